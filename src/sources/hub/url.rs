//! The little of URLs that asking a Hub takes.

use std::fmt::Write as _;

/// Scheme, host and port, in one spelling, so that two are the same exactly when the texts are; `None` for what is no web address.
pub fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = scheme.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    // A name before the host (`https://hub@evil`) is how addresses are made to look like others.
    if authority.is_empty() || authority.contains('@') {
        return None;
    }
    let host = authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    Some(format!("{scheme}://{host}"))
}

/// Where a redirect from `base` to `location` leads; `None` for what is no web address.
pub fn join(base: &str, location: &str) -> Option<String> {
    let joined = if location.contains("://") && !location.starts_with('/') {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{}:{location}", base.split_once("://")?.0)
    } else if location.starts_with('/') {
        format!("{}{location}", origin(base)?)
    } else {
        let path = base.split(['?', '#']).next()?;
        format!("{}/{location}", path.rsplit_once('/')?.0)
    };
    origin(&joined).map(|_| joined)
}

/// Whether an address is on this very machine, where no proxy can help.
pub fn is_loopback(url: &str) -> bool {
    let Some(host) = origin(url).and_then(|o| o.split_once("://").map(|(_, host)| host.to_owned())) else {
        return false;
    };
    let name = if host.starts_with('[') { host.split(']').next() } else { host.split(':').next() }.unwrap_or_default();
    name == "localhost" || name == "[::1" || name.starts_with("127.")
}

/// An address without what a server may have signed into it, for messages.
pub fn shown(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// Percent-encodes a path; `keep_slash` says whether `/` separates or belongs to a name.
pub fn encode(text: &str, keep_slash: bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            b'/' if keep_slash => encoded.push('/'),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_one_spelling() {
        for same in ["https://Hub.co/a", "HTTPS://hub.co:443/b?c", "https://hub.co"] {
            assert_eq!(origin(same).unwrap(), "https://hub.co");
        }
        assert_ne!(origin("http://hub.co"), origin("https://hub.co"));
        assert_ne!(origin("https://hub.co:8443"), origin("https://hub.co"));
        for none in ["ftp://a/b", "hub.co/a", "https://", "https://hub.co@evil.example/", "https:///a", "file:///etc"] {
            assert_eq!(origin(none), None, "{none}");
        }
        assert_eq!(origin("https://hub.co\\@evil.example").unwrap(), "https://hub.co");
    }

    #[test]
    fn redirects_are_joined() {
        let base = "https://hub.co/org/name/resolve/main/config.json?x=1";
        let join = |location| join(base, location);
        assert_eq!(join("/api/cache/1").unwrap(), "https://hub.co/api/cache/1");
        assert_eq!(join("other.json").unwrap(), "https://hub.co/org/name/resolve/main/other.json");
        assert_eq!(join("//cdn.co/a?s=1").unwrap(), "https://cdn.co/a?s=1");
        assert_eq!(join("http://cdn.co/a").unwrap(), "http://cdn.co/a");
        assert_eq!(join("ftp://cdn.co/a"), None);
    }

    #[test]
    fn loopback_encoding_and_what_is_shown() {
        assert!(
            is_loopback("http://127.0.0.1:80/a") && is_loopback("http://localhost:1") && is_loopback("http://[::1]:1")
        );
        assert!(!is_loopback("https://hub.co") && !is_loopback("https://localhost.evil.example"));
        assert_eq!(encode("refs/pr 1", false), "refs%2Fpr%201");
        assert_eq!(encode("a/b", true), "a/b");
        assert_eq!(shown("https://cdn.co/a?Signature=s"), "https://cdn.co/a");
    }
}
