//! One client, and the requests that it makes.

use mio::net::TcpStream;

use super::super::socket::{self, Rest};
use super::Shared;
use crate::control::Transport;
use crate::ledger::Entries;

/// How long a long-poll waits, in milliseconds: the default of the protocol.
const POLL_WAIT_MS: u32 = 25_000;

/// How far a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not begun, or to be begun again.
    Closed,
    Connecting,
    /// It asked, and waits for the head of the answer.
    Head,
    /// Its session is opening.
    Opening,
    /// Everything stored is through.
    Live,
}

/// A connection.
pub(super) struct Client {
    pub(super) stream: Option<TcpStream>,
    /// What was received and is not whole.
    pub(super) rest: Rest,
    /// What could not be written yet.
    pub(super) out: Rest,
    /// What is known of those that got something, or whose transport has to say where it stands.
    pub(super) session: Option<Box<Session>>,
    pub(super) transport: Transport,
    pub(super) state: State,
    /// The server proved that it took every acknowledgement.
    pub(super) confirmed: bool,
}

/// What a client knows of its session.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) entries: Entries,
    pub(super) cursor: Box<[u8]>,
    pub(super) name: Box<str>,
    /// For transports that show it again and again.
    token: Box<str>,
    /// Of an event that came in pieces.
    pub(super) carry: Rest,
    /// When those were due that came and are not acknowledged, and those whose acknowledgement is under way.
    pub(super) due: Vec<u64>,
    pub(super) posted: Vec<u64>,
    /// An acknowledgement is under way or in the queue.
    pub(super) posting: bool,
    /// A confirmation is waited for.
    pub(super) awaited: bool,
}

impl Client {
    pub(super) const fn new(transport: Transport) -> Self {
        Self {
            stream: None,
            rest: None,
            out: None,
            session: None,
            transport,
            state: State::Closed,
            confirmed: false,
        }
    }

    /// Writes, or keeps what cannot be written.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        socket::write(stream, bytes, &mut self.out).map_err(|error| error.to_string())
    }
}

/// What a client asks to be connected, or to go on polling.
pub(super) fn request(client: &mut Client, shared: &Shared, index: usize) -> anyhow::Result<Vec<u8>> {
    let window = shared.setup.window;
    let session = client.session.as_deref();
    let cursor = session.map(|session| String::from_utf8_lossy(&session.cursor)).unwrap_or_default();
    let cursor = if cursor.is_empty() { String::new() } else { format!("&cursor={cursor}") };
    let (path, headers) = match client.transport {
        // Naming the window opens the session at once, without a `hello`.
        Transport::Ws => (
            format!("/v1/ws?window={window}{cursor}"),
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: cG9zdHJpZGVyIGJlbmNoLg==\r\nsec-websocket-protocol: postrider.v1.json\r\n",
        ),
        Transport::Sse => {
            (format!("/v1/sse?ack=explicit&window={window}{cursor}"), "accept: text/event-stream\r\n")
        }
        Transport::Poll => {
            // The first one only asks where the session stands.
            let known = session.filter(|session| !session.name.is_empty());
            let wait = if known.is_some() { POLL_WAIT_MS } else { 0 };
            let name = known.map(|session| format!("&session={}", session.name)).unwrap_or_default();
            (format!("/v1/poll?wait={wait}&window={window}{cursor}{name}"), "")
        }
    };
    let token = token(client, shared, index)?;
    Ok(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{headers}authorization: Bearer {token}\r\n\r\n")
        .into_bytes())
}

/// The client's token: a WebSocket shows it once, the others keep it.
fn token(client: &mut Client, shared: &Shared, index: usize) -> anyhow::Result<String> {
    match client.session.as_deref_mut() {
        Some(session) if client.transport != Transport::Ws => {
            if session.token.is_empty() {
                session.token = shared.token(index)?.into();
            }
            Ok(session.token.to_string())
        }
        _shown_once => shared.token(index),
    }
}

/// The request that acknowledges what a client got.
pub(super) fn acknowledgement(clients: &mut [Client], shared: &Shared, index: usize) -> Vec<u8> {
    let client = &mut clients[index];
    let token = token(client, shared, index).unwrap_or_default();
    let Some(session) = client.session.as_deref_mut() else { return Vec::new() };
    session.posted.append(&mut session.due);
    let cursor = String::from_utf8_lossy(&session.cursor);
    let body = format!(r#"{{"cursor":"{cursor}","session":"{}"}}"#, session.name);
    format!(
        "POST /v1/ack HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_client_is_some_bytes_beside_its_socket() {
        assert!(size_of::<Client>() <= 64, "{}", size_of::<Client>());
    }
}
