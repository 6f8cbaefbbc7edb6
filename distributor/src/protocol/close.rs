//! The one place that chooses WebSocket close codes. 4000 to 4499: reconnect. 4500 to 4999: do not. Below 4000 stand
//! the codes of RFC 6455 itself.

/// Why this server closes a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close {
    /// The node drains or stops.
    GoAway,
    /// The client did not read for longer than the write limit.
    Slow,
    /// Two heartbeats in a row were not answered.
    HeartbeatLost,
    /// The session was ended by this node in favour of another.
    Replaced,
    /// No `hello` came before the handshake's deadline.
    HelloTimeout,
    /// The node holds as many sessions as it may.
    Overloaded,
    /// The client broke RFC 6455.
    WebSocketError,
    /// The client sent a text frame that is not UTF-8.
    NotUtf8,
    /// The client sent a binary frame.
    Binary,
    /// The client's first frame is not what the protocol asks for.
    ProtocolError,
    /// The token is missing or no good.
    Unauthenticated,
    /// The token expired: come back with a new one.
    TokenExpired,
    /// A client frame is larger than the limit.
    FrameTooLarge,
    /// More bad frames on one connection than the limit.
    TooManyBadFrames,
}

impl Close {
    /// Every one, in the order of the documents.
    pub const ALL: [Self; 14] = [
        Self::GoAway,
        Self::Slow,
        Self::HeartbeatLost,
        Self::Replaced,
        Self::HelloTimeout,
        Self::Overloaded,
        Self::WebSocketError,
        Self::NotUtf8,
        Self::Binary,
        Self::ProtocolError,
        Self::Unauthenticated,
        Self::TokenExpired,
        Self::FrameTooLarge,
        Self::TooManyBadFrames,
    ];

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::GoAway => 4000,
            Self::Slow => 4001,
            Self::HeartbeatLost => 4002,
            Self::Replaced => 4003,
            Self::HelloTimeout => 4005,
            Self::Overloaded => 4008,
            Self::WebSocketError => 1002,
            Self::Binary => 1003,
            Self::NotUtf8 => 1007,
            Self::ProtocolError => 4500,
            Self::Unauthenticated => 4501,
            Self::TokenExpired => 4502,
            Self::FrameTooLarge => 4503,
            Self::TooManyBadFrames => 4504,
        }
    }

    /// The reason on the wire, for people and logs; also the label of the metric.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::GoAway => "goaway",
            Self::Slow => "slow",
            Self::HeartbeatLost => "heartbeat-lost",
            Self::Replaced => "replaced",
            Self::HelloTimeout => "hello-timeout",
            Self::Overloaded => "overloaded",
            Self::WebSocketError => "websocket-error",
            Self::NotUtf8 => "not-utf8",
            Self::Binary => "binary-unsupported",
            Self::ProtocolError => "protocol-error",
            Self::Unauthenticated => "unauthenticated",
            Self::TokenExpired => "token-expired",
            Self::FrameTooLarge => "frame-too-large",
            Self::TooManyBadFrames => "too-many-bad-frames",
        }
    }

    /// Whether a client should come back by itself: one comparison, as it makes it.
    #[must_use]
    pub const fn reconnect(self) -> bool {
        matches!(self.code(), 4000..=4499)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_is_its_own_and_fits_a_close_frame() {
        let codes: HashSet<u16> = Close::ALL.into_iter().map(Close::code).collect();
        assert_eq!(codes.len(), Close::ALL.len());
        assert!(Close::ALL.into_iter().all(|close| close.reason().len() <= 123));
    }

    #[test]
    fn what_the_server_or_the_network_causes_may_be_tried_again_and_what_the_client_causes_may_not() {
        use Close::*;
        for close in [GoAway, Slow, HeartbeatLost, Replaced, HelloTimeout, Overloaded] {
            assert!(close.reconnect(), "{close:?}");
        }
        for close in [Binary, ProtocolError, Unauthenticated, TokenExpired, FrameTooLarge, TooManyBadFrames] {
            assert!(!close.reconnect(), "{close:?}");
        }
    }

    #[test]
    fn every_code_is_documented() {
        let document = include_str!("../../../docs/PROTOCOL.md");
        for close in Close::ALL {
            let row = format!("| {} | `{}` |", close.code(), close.reason());
            assert!(document.contains(&row), "docs/PROTOCOL.md lacks: {row}");
        }
    }
}
