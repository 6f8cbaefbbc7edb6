//! The opening handshake (RFC 6455, section 4.2). Pure but for the types of HTTP.

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::http::problem::Refusal;
use crate::protocol::{BEARER_SUBPROTOCOL, SUBPROTOCOL};

/// A handshake that is in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    /// `Sec-WebSocket-Accept`.
    accept: String,
    /// Whether our subprotocol was offered, and so is selected.
    selected: bool,
    /// The token that came as a subprotocol.
    pub(super) token: Option<String>,
}

/// Checks a request.
pub(crate) fn read(headers: &HeaderMap, version: Version) -> Result<Handshake, Refusal> {
    if version != Version::HTTP_11 {
        return Err(Refusal::Handshake("HTTP/1.1 is needed"));
    }
    if !words(headers, &header::CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade")) {
        return Err(Refusal::Handshake("the header Connection must contain upgrade"));
    }
    if !words(headers, &header::UPGRADE).any(|word| word.eq_ignore_ascii_case("websocket")) {
        return Err(Refusal::Handshake("the header Upgrade must be websocket"));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::Version);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    if STANDARD.decode(key).map_or(0, |bytes| bytes.len()) != 16 {
        return Err(Refusal::Handshake("the header Sec-WebSocket-Key must be 16 bytes in base64"));
    }
    let offered: Vec<&str> = words(headers, &header::SEC_WEBSOCKET_PROTOCOL).collect();
    let selected = offered.contains(&SUBPROTOCOL);
    if !selected && headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        return Err(Refusal::Subprotocol);
    }
    let token = offered.iter().find_map(|word| word.strip_prefix(BEARER_SUBPROTOCOL)).map(str::to_owned);
    Ok(Handshake { accept: derive_accept_key(key), selected, token })
}

/// The answer that begins the WebSocket.
#[must_use]
pub(crate) fn response(handshake: &Handshake) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&handshake.accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    if handshake.selected {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

/// The words of a header that is a comma-separated list, over all its lines.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, section 1.3.
    fn good() -> HeaderMap {
        let rows = [
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "bearer.a.b.c, postrider.v1.json"),
        ];
        rows.into_iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn a_good_handshake_is_answered_as_the_rfc_says_and_the_token_is_not_repeated() {
        let handshake = read(&good(), Version::HTTP_11).unwrap();
        assert_eq!(handshake.token.as_deref(), Some("a.b.c"));
        let response = response(&handshake);
        assert_eq!(response.status(), 101);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["sec-websocket-protocol"], SUBPROTOCOL);
    }

    #[test]
    fn no_offered_subprotocol_is_accepted_and_none_is_selected() {
        let mut headers = good();
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        let response = response(&read(&headers, Version::HTTP_11).unwrap());
        assert!(!response.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn every_broken_handshake_is_refused() {
        let rows: [(&str, Option<&str>, &str, u16); 10] = [
            ("connection", None, "handshake-invalid", 400),
            ("connection", Some("close"), "handshake-invalid", 400),
            ("upgrade", None, "handshake-invalid", 400),
            ("upgrade", Some("h2c"), "handshake-invalid", 400),
            ("sec-websocket-version", None, "version-unsupported", 426),
            ("sec-websocket-version", Some("8"), "version-unsupported", 426),
            ("sec-websocket-key", None, "handshake-invalid", 400),
            ("sec-websocket-key", Some("c2hvcnQ="), "handshake-invalid", 400),
            ("sec-websocket-protocol", Some("mqtt"), "subprotocol-unsupported", 400),
            ("sec-websocket-protocol", Some("bearer.a.b.c"), "subprotocol-unsupported", 400),
        ];
        for (name, value, code, status) in rows {
            let mut headers = good();
            headers.remove(name);
            if let Some(value) = value {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let problem = read(&headers, Version::HTTP_11).expect_err(name).problem();
            assert_eq!((problem.code, problem.status), (code, status), "{name}: {value:?}");
        }
        assert!(read(&good(), Version::HTTP_10).is_err());
    }
}
