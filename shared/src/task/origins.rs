//! The origins a module may send requests to: read when its settings are taken, and asked before each request. Pure.

use std::fmt;

use http::Uri;

/// How a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear, where the allow-list says so.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// That of `uri`, if it has one of these.
    #[must_use]
    pub fn of(uri: &Uri) -> Option<Self> {
        match uri.scheme_str()? {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _other => None,
        }
    }

    /// The port when none is named.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// Origins, each `scheme://host` or `scheme://host:port`. A host `*.example.com` stands for every name below
/// `example.com`, and not for itself. Nothing else is a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Origin>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    scheme: Scheme,
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Exactly(String),
    /// With its leading dot.
    Below(String),
}

/// The text is no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not http:// or https:// with a host and at most a port")]
pub struct InvalidOrigin(String);

impl AllowList {
    /// Reads origins.
    ///
    /// # Errors
    /// With the first that is none.
    pub fn parse<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, InvalidOrigin> {
        let origin = |text: &str| Origin::parse(text).ok_or_else(|| InvalidOrigin(text.to_owned()));
        Ok(Self(origins.into_iter().map(origin).collect::<Result<_, _>>()?))
    }

    /// Whether a request may go there. `host` is in lower case.
    #[must_use]
    pub fn allows(&self, scheme: Scheme, host: &str, port: u16) -> bool {
        self.0.iter().any(|origin| origin.scheme == scheme && origin.port == port && origin.host.is(host))
    }
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        // A pattern is no URI; what is left of it must be one.
        let (below, text) = match rest.strip_prefix("*.") {
            Some(parent) => (true, format!("{scheme}://{parent}")),
            None => (false, text.to_owned()),
        };
        let uri: Uri = text.parse().ok()?;
        let scheme = Scheme::of(&uri)?;
        let authority = uri.authority()?;
        let bare = uri.path() == "/" && uri.query().is_none() && !text.ends_with('/');
        if !bare || authority.as_str().contains(['@', '*']) {
            return None;
        }
        let host = authority.host().to_ascii_lowercase();
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None => scheme.port(),
        };
        let named = host.contains('.') && host.parse::<core::net::Ipv4Addr>().is_err();
        let host = match below {
            true if named => Host::Below(format!(".{host}")),
            true => return None,
            false => Host::Exactly(host),
        };
        Some(Self { scheme, host, port })
    }
}

impl Host {
    fn is(&self, host: &str) -> bool {
        match self {
            Self::Exactly(exactly) => exactly == host,
            Self::Below(below) => host.len() > below.len() && host.ends_with(below.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let list = AllowList::parse(["https://api.example.com", "http://Inner.example.com:8080"]).unwrap();
        assert!(list.allows(Scheme::Https, "api.example.com", 443));
        assert!(list.allows(Scheme::Http, "inner.example.com", 8080));
        for (scheme, host, port) in [
            (Scheme::Http, "api.example.com", 80),
            (Scheme::Http, "api.example.com", 443),
            (Scheme::Https, "api.example.com", 8443),
            (Scheme::Https, "api.example.com.evil.test", 443),
            (Scheme::Https, "xapi.example.com", 443),
            (Scheme::Https, "example.com", 443),
        ] {
            assert!(!list.allows(scheme, host, port), "{scheme}://{host}:{port}");
        }
    }

    #[test]
    fn a_pattern_stands_for_names_below_and_not_for_itself() {
        let list = AllowList::parse(["https://*.example.com"]).unwrap();
        assert!(list.allows(Scheme::Https, "a.example.com", 443));
        assert!(list.allows(Scheme::Https, "a.b.example.com", 443));
        for host in ["example.com", ".example.com", "badexample.com", "example.com.test"] {
            assert!(!list.allows(Scheme::Https, host, 443), "{host}");
        }
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        assert!(!AllowList::default().allows(Scheme::Https, "example.com", 443));
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "example.com",
            "ftp://example.com",
            "https://",
            "https://*",
            "https://*.com",
            "https://*.1.2.3.4",
            "https://a.*.example.com",
            "https://u:p@example.com",
            "https://example.com/",
            "https://example.com/x",
            "https://example.com?x",
            "https://exa mple.com",
        ] {
            assert!(AllowList::parse([text]).is_err(), "{text}");
        }
    }
}
