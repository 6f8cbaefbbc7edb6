//! WebSocket: frames both ways on one connection.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::Options;
use super::connection::{Retry, Trouble};
use super::frames::ServerFrame;
use super::http::{self, ANSWER_DEADLINE};

const SUBPROTOCOL: &str = "postrider.v1.json";
/// Largest frame that is read: four times the largest content that a notification may have.
const FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Until `welcome` says how often the server is heard.
const FIRST_SILENCE: Duration = Duration::from_secs(15);

/// How long the server may be silent when it promised to be heard every `ping_ms`: two of them may get lost.
pub(super) fn silence_after(ping_ms: u64) -> Duration {
    Duration::from_millis(ping_ms) * 2 + Duration::from_secs(10)
}

#[derive(Debug)]
pub(super) struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    silence: Duration,
}

impl Connection {
    pub(super) async fn open(options: &Options, cursor: Option<&str>) -> Result<Self, Trouble> {
        crate::tls::install();
        let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        // `http` and `https` become `ws` and `wss`.
        let url =
            format!("ws{}/v1/ws?window={}{cursor}", options.url.trim_start_matches("http"), options.window);
        let unusable = |why: String| Trouble::new(why, Retry::Never { code: "address".into() });
        let mut request = url.into_client_request().map_err(|error| unusable(error.to_string()))?;
        let bearer = HeaderValue::try_from(format!("Bearer {}", options.token))
            .map_err(|_invalid| unusable("the token is no header value".into()))?;
        request.headers_mut().insert("authorization", bearer);
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        let config = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .max_message_size(Some(FRAME_BYTES))
            .max_frame_size(Some(FRAME_BYTES));
        let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
        match tokio::time::timeout(ANSWER_DEADLINE, connecting).await {
            Ok(Ok((socket, _response))) => Ok(Self { socket, silence: FIRST_SILENCE }),
            Ok(Err(error)) => Err(refused(error)),
            Err(_elapsed) => Err(Trouble::network("no answer in time")),
        }
    }

    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Result<ServerFrame, Trouble> {
        loop {
            let message = match tokio::time::timeout(self.silence, self.socket.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(error))) => return Err(Trouble::network(error)),
                Ok(None) => return Err(Trouble::network("the connection ended")),
                Err(_elapsed) => return Err(Trouble::network("the server fell silent")),
            };
            match message {
                Message::Text(text) => {
                    let frame = ServerFrame::decode(&text).map_err(|error| Trouble::undecodable(&error))?;
                    if let ServerFrame::Welcome(welcome) = &frame {
                        self.silence = silence_after(welcome.ping_ms);
                    }
                    return Ok(frame);
                }
                Message::Close(frame) => return Err(closed(frame)),
                // Pings are answered by the library; binary is nothing this protocol has.
                Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_) => {}
            }
        }
    }

    pub(super) async fn acknowledge(&mut self, seq: u64) -> Result<(), Trouble> {
        let ack = serde_json::json!({"frame": "ack", "seq": seq}).to_string();
        match tokio::time::timeout(ANSWER_DEADLINE, self.socket.send(Message::text(ack))).await {
            Ok(sent) => sent.map_err(Trouble::network),
            Err(_elapsed) => Err(Trouble::network("nothing could be written in time")),
        }
    }

    pub(super) async fn close(mut self) {
        let goodbye = async {
            self.socket.close(None).await?;
            // The server's close says that it has read the acknowledgement before it.
            while let Some(message) = self.socket.next().await {
                message?;
            }
            Ok::<_, tungstenite::Error>(())
        };
        match tokio::time::timeout(ANSWER_DEADLINE, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "closed without an answer"),
            Err(_elapsed) => tracing::debug!("closed without an answer in time"),
        }
    }
}

/// Close codes from 4500 on mean that something has to change first.
fn closed(frame: Option<CloseFrame>) -> Trouble {
    let Some(frame) = frame else { return Trouble::network("closed without a code") };
    let (code, reason) = (u16::from(frame.code), frame.reason.as_str());
    match code {
        4500..=4999 => Trouble::new(format!("closed with {code}"), Retry::Never { code: reason.to_owned() }),
        _ => Trouble::network(format!("closed with {code} {reason}")),
    }
}

fn refused(error: tungstenite::Error) -> Trouble {
    match error {
        tungstenite::Error::Http(response) => {
            let after = response.headers().get("retry-after");
            let after = after.and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
            http::refusal(response.status(), after, response.body().as_deref().unwrap_or_default())
        }
        other => Trouble::network(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(code: u16) -> Option<CloseFrame> {
        Some(CloseFrame { code: code.into(), reason: "why".into() })
    }

    #[test]
    fn one_comparison_tells_whether_to_reconnect() {
        for code in [1002, 1006, 1011, 4000, 4499] {
            assert_eq!(closed(frame(code)).retry, Retry::Backoff, "{code}");
        }
        for code in [4500, 4999] {
            assert_eq!(closed(frame(code)).retry, Retry::Never { code: "why".into() }, "{code}");
        }
        assert_eq!(closed(None).retry, Retry::Backoff);
    }
}
