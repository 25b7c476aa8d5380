//! AppStream metadata: the newest release of an application, and its developer.
//!
//! Only these two facts are extracted by searching for their tags. This is not an XML parser and expands no entities beyond
//! the predefined ones.

/// Facts about an application; empty where the file does not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metainfo {
    /// The version of the first release in the file, which is the newest.
    pub version: String,
    /// The developer.
    pub developer: String,
}

/// Parses a metainfo or appdata file.
#[must_use]
pub fn parse(text: &str) -> Metainfo {
    let version = tag(text, "release").and_then(|(attributes, _)| attribute(attributes, "version"));
    let developer = tag(text, "developer_name").or_else(|| {
        let (_, inside) = tag(text, "developer")?;
        tag(&inside[..inside.find("</developer>")?], "name")
    });
    let developer = developer.and_then(|(_, rest)| rest.split('<').next()).map(unescape);
    Metainfo { version: version.map(unescape).unwrap_or_default(), developer: developer.unwrap_or_default() }
}

/// The attributes of the first tag of this name, and the text after it.
fn tag<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str)> {
    let mut rest = text;
    loop {
        rest = &rest[rest.find('<')? + 1..];
        let Some(inside) = rest.strip_prefix(name) else { continue };
        if inside.starts_with(|c: char| c.is_whitespace() || matches!(c, '>' | '/')) {
            let end = inside.find('>')?;
            return Some((&inside[..end], &inside[end + 1..]));
        }
    }
}

fn attribute<'t>(attributes: &'t str, name: &str) -> Option<&'t str> {
    let mut rest = attributes;
    loop {
        let at = rest.find(name)?;
        let begins = rest[..at].ends_with(char::is_whitespace);
        rest = &rest[at + name.len()..];
        let Some(value) = rest.trim_start().strip_prefix('=').map(str::trim_start).filter(|_| begins) else { continue };
        let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
        return value[1..].split(quote).next();
    }
}

fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_release_and_the_developer_are_read() {
        let text = "<component><id>org.x.App</id><developer id=\"a\">\n<name>Tom &amp; Co</name></developer><releases>\n\
            <release date=\"2026-01-02\" version=\"2.1\"/><release version='2.0'/></releases></component>";
        assert_eq!(parse(text), Metainfo { version: "2.1".into(), developer: "Tom & Co".into() });
        let old = "<developer_name>Kaspersky</developer_name><releases><release version = '1' /></releases>";
        assert_eq!(parse(old), Metainfo { version: "1".into(), developer: "Kaspersky".into() });
        assert_eq!(parse("<releases/><release subversion=\"x\">"), Metainfo::default());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in any::<String>(), marks in "(<|>|release|version|=|\"|developer|name|/| ){0,30}") {
            let _ = parse(&text);
            let _ = parse(&marks);
        }
    }
}
