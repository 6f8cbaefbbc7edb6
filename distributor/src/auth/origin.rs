//! Which origins (RFC 6454) a browser may come from. WebSocket handshakes are not subject to a browser's same-origin
//! policy, so the server has to look.

use std::collections::HashSet;

/// The origins that are let in.
#[derive(Clone, Debug, Default)]
pub struct Origins(HashSet<String>);

impl Origins {
    /// Exactly these, beside the server's own.
    #[must_use]
    pub fn new(allowed: &[String]) -> Self {
        Self(allowed.iter().map(|origin| origin.to_ascii_lowercase()).collect())
    }

    /// Whether a request with this `Origin` and `Host` is let in: one without an origin comes from no browser page;
    /// one whose origin has the authority it calls comes from this server.
    #[must_use]
    pub fn accept(&self, origin: Option<&str>, host: Option<&str>) -> bool {
        let Some(origin) = origin else { return true };
        let origin = origin.to_ascii_lowercase();
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let same = matches!((authority, host), (Some(ours), Some(host)) if ours == host.to_ascii_lowercase());
        same || self.0.contains(&origin)
    }

    /// Whether `origin` is on the list.
    #[must_use]
    pub fn lists(&self, origin: &str) -> bool {
        self.0.contains(&origin.to_ascii_lowercase())
    }
}

/// Whether `text` has the form of an origin: scheme, host, perhaps a port, and nothing else.
pub(super) fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, authority)| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
            && !authority.is_empty()
            && !authority.bytes().any(|byte| b"/?#@ *".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_no_origin_the_same_host_and_listed_origins_come_in() {
        let origins = Origins::new(&["https://app.example.org".to_owned()]);
        let rows = [
            (None, true),
            (Some("https://push.example.org"), true),
            (Some("http://push.example.org"), true),
            (Some("HTTPS://APP.example.org"), true),
            (Some("https://app.example.org:8443"), false),
            (Some("https://app.example.org.evil.test"), false),
            (Some("https://evil.test"), false),
            (Some("http://push.example.org:8080"), false),
            (Some("https://push.example.org/"), false),
            (Some("null"), false),
            (Some(""), false),
        ];
        for (origin, accepted) in rows {
            assert_eq!(origins.accept(origin, Some("push.example.org")), accepted, "{origin:?}");
        }
        assert!(!origins.accept(Some("http://push.example.org"), None));
    }

    #[test]
    fn a_pattern_or_a_path_is_no_origin() {
        assert!(is_origin("https://a.example") && is_origin("http://localhost:3000"));
        for text in ["*", "a.example", "https://", "https://*.example", "https://a.example/", "://a"] {
            assert!(!is_origin(text), "{text}");
        }
    }
}
