//! The proxy that is set for the whole machine, as WinHTTP writes it: a list of proxies, and a list of hosts without one. Pure.
//!
//! Source: <https://learn.microsoft.com/windows/win32/api/winhttp/ns-winhttp-winhttp_proxy_info>.

/// The address of the proxy for HTTPS, and for whom it is not asked; `None` if there is none for HTTPS.
pub(super) fn of_winhttp(proxies: &str, bypass: &str) -> Option<(String, Vec<String>)> {
    let entries: Vec<&str> = separated(proxies).collect();
    let mut by_scheme = entries.iter().filter_map(|entry| entry.split_once('='));
    let for_https = by_scheme.find(|(scheme, _)| scheme.eq_ignore_ascii_case("https")).map(|(_, address)| address);
    // An entry without a scheme is for all of them.
    let address = for_https.or_else(|| entries.iter().copied().find(|entry| !entry.contains('=')))?;
    Some((address.to_owned(), separated(bypass).map(str::to_lowercase).collect()))
}

fn separated(list: &str) -> impl Iterator<Item = &str> {
    list.split(|c: char| c == ';' || c.is_whitespace()).filter(|entry| !entry.is_empty())
}

/// Whether a name matches a pattern, in which `*` stands for any run of characters.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proxy_for_https_is_taken_and_none_for_other_schemes() {
        let of = |proxies| of_winhttp(proxies, "").map(|(address, _)| address);
        assert_eq!(of("proxy.example.org:8080").as_deref(), Some("proxy.example.org:8080"));
        assert_eq!(of("http=a:80;HTTPS=b:443").as_deref(), Some("b:443"));
        assert_eq!(of("http=a:80  c:8080").as_deref(), Some("c:8080"));
        assert_eq!(of("https=http://d:3128").as_deref(), Some("http://d:3128"));
        assert_eq!((of("http=a:80;ftp=a:21"), of(""), of(" ; ")), (None, None, None));
        let direct = of_winhttp("p:1", "<local>;*.Example.org 10.*").map(|(_, direct)| direct);
        assert_eq!(direct, Some(vec!["<local>".to_owned(), "*.example.org".to_owned(), "10.*".to_owned()]));
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, met) in [
            ("10.*", "10.1.2.3", true),
            ("10.*", "110.1.2.3", false),
            ("*.a.org", "x.a.org", true),
            ("*.a.org", "a.org", false),
            ("w*.a*.org", "www.abc.org", true),
            ("w*.a*.org", "www.org", false),
            ("a*a", "a", false),
            ("a.org", "a.org", true),
            ("*", "anything", true),
        ] {
            assert_eq!(matches(pattern, name), met, "{pattern} {name}");
        }
    }
}
