//! URLs of files, as property lists of macOS have them.

use data_encoding::HEXUPPER_PERMISSIVE;

/// The path of a `file:` URL without a slash at its end; a text that is a path already is one. `None` for any other URL.
#[must_use]
pub fn path_of(text: &str) -> Option<String> {
    let path = match text.strip_prefix("file://") {
        Some(rest) => decoded(rest.strip_prefix("localhost").unwrap_or(rest))?,
        None => text.to_owned(),
    };
    let trimmed = path.trim_end_matches('/');
    (path.starts_with('/') && !path.contains('\0')).then(|| if trimmed.is_empty() { "/" } else { trimmed }.to_owned())
}

fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.as_bytes().get(..2)?;
        bytes.extend(HEXUPPER_PERMISSIVE.decode(digits).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_of_a_file_is_a_path() {
        for (url, path) in [
            (
                "file:///Library/SystemExtensions/A%20B/x.systemextension/",
                "/Library/SystemExtensions/A B/x.systemextension",
            ),
            ("file://localhost/x", "/x"),
            ("/Applications/X.app", "/Applications/X.app"),
            ("file:///%D0%BA", "/к"),
            ("file:///", "/"),
        ] {
            assert_eq!(path_of(url).as_deref(), Some(path));
        }
        for url in ["https://example.com/x", "x", "", "file:///%4", "file:///%zz", "file:///%00", "file:///%FF"] {
            assert_eq!(path_of(url), None, "{url}");
        }
    }
}
