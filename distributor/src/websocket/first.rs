//! From an upgraded connection to an open session: what the first frame is, and how long it may take.

use std::time::Duration;

use shared::position::Cursor;
use tokio::time::Instant;

use super::wire::{Ended, Heard, Wire};
use crate::auth::{Denied, Identity};
use crate::http::Edge;
use crate::http::problem::Refusal;
use crate::hub::{Handle, Opened, Transport};
use crate::protocol::{ClientFrame, Close, Code, Hello, Mistake, encode_error};
use crate::session::Acknowledging;

/// What the handshake left to be said.
pub(super) enum Expected {
    /// Nothing: the session is open.
    Nothing(Box<Open>),
    /// A `hello` may bring cursor and window.
    MaybeHello(Identity),
    /// A `hello` must bring the token; this came in the query.
    Hello {
        /// Where the client stands.
        cursor: Option<Cursor>,
        /// The window it wants.
        window: Option<u32>,
    },
}

/// What a session is opened with.
pub(super) struct Opening {
    pub(super) identity: Identity,
    pub(super) cursor: Option<Cursor>,
    pub(super) window: Option<u32>,
}

/// Whether the client has greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// It may: the session opened because it took too long.
    Late,
    /// It did, or has nothing to greet with.
    Over,
}

/// An open session.
pub(super) struct Open {
    pub(super) handle: Handle,
    pub(super) identity: Identity,
    pub(super) window: Option<u32>,
    /// A frame that came first and was no `hello`; it is still to be served.
    pub(super) waiting: Option<ClientFrame>,
    /// Whether a `hello` may still come.
    pub(super) greeting: Greeting,
}

impl Opening {
    pub(super) fn open(self, edge: &Edge) -> Result<Open, Refusal> {
        let Self { identity, cursor, window } = self;
        let opened = Opened {
            recipient: identity.recipient.clone(),
            cursor,
            acknowledging: Acknowledging::Explicit,
            window,
            transport: Transport::WebSocket,
        };
        Ok(Open { handle: edge.open(opened)?, identity, window, waiting: None, greeting: Greeting::Over })
    }
}

/// Opens the session, or says how the connection ends.
pub(super) async fn session(edge: &Edge, wire: &mut Wire, expected: Expected) -> Result<Open, Ended> {
    let (identity, first, cursor, window) = match expected {
        Expected::Nothing(open) => return Ok(*open),
        Expected::MaybeHello(identity) => {
            let first = frame(edge, wire, edge.settings.hello_wait_ms).await?;
            (Some(identity), first, None, None)
        }
        Expected::Hello { cursor, window } => {
            let first = frame(edge, wire, edge.settings.hello_ms).await?;
            let Some(first) = first else { return Err(Ended::Closed(Close::HelloTimeout)) };
            (None, Some(first), cursor, window)
        }
    };
    let (hello, waiting, greeting) = match first {
        Some(ClientFrame::Hello(hello)) => (hello, None, Greeting::Over),
        other => (Hello::default(), other, Greeting::Late),
    };
    let identity = match (&hello.token, identity) {
        // The handshake's token is the one that counts.
        (_, Some(identity)) => identity,
        (Some(token), None) => match edge.token(token) {
            Ok(identity) => identity,
            Err(refusal) => return Err(denied(wire, &refusal, hello.reference)),
        },
        (None, None) => {
            let code = if waiting.is_some() { Code::HelloExpected } else { Code::Unauthenticated };
            return Err(refuse(wire, Mistake::new(code, "the first frame must be a hello with a token")));
        }
    };
    let opening = Opening { identity, cursor: hello.cursor.or(cursor), window: hello.window.or(window) };
    let mut open = opening.open(edge).map_err(|refusal| denied(wire, &refusal, hello.reference))?;
    (open.waiting, open.greeting) = (waiting, greeting);
    Ok(open)
}

/// The first frame; `None` when none came in time. A mistake in it ends the connection: what the client wanted to start
/// with is not known.
async fn frame(edge: &Edge, wire: &mut Wire, limit: Duration) -> Result<Option<ClientFrame>, Ended> {
    let deadline = Instant::now() + limit;
    loop {
        let heard = tokio::select! {
            heard = wire.hear() => heard?,
            () = tokio::time::sleep_until(deadline) => return Ok(None),
            () = edge.shutdown.begun() => return Err(Ended::Closed(Close::GoAway)),
        };
        match heard {
            Heard::Text(text) => {
                return ClientFrame::decode(&text).map(Some).map_err(|mistake| refuse(wire, mistake));
            }
            Heard::Binary => {
                let mistake = Mistake::new(Code::BinaryUnsupported, "frames are text");
                return Err(refuse(wire, mistake));
            }
            Heard::Sign | Heard::Written => {}
        }
    }
}

/// Answers a mistake in the first frame and says with what the connection is closed.
fn refuse(wire: &mut Wire, mistake: Mistake) -> Ended {
    crate::metrics::bad_frame(mistake.code);
    let close = match mistake.code {
        Code::BinaryUnsupported => Close::Binary,
        Code::Unauthenticated => Close::Unauthenticated,
        Code::TokenExpired => Close::TokenExpired,
        Code::Overloaded => Close::Overloaded,
        _ => Close::ProtocolError,
    };
    wire.send(encode_error(&mistake));
    Ended::Closed(close)
}

fn denied(wire: &mut Wire, refusal: &Refusal, reference: Option<String>) -> Ended {
    let problem = refusal.problem();
    let code = match refusal {
        Refusal::Denied(Denied::Expired) => Code::TokenExpired,
        Refusal::Denied(_) => Code::Unauthenticated,
        _ => Code::Overloaded,
    };
    let detail = problem.detail.unwrap_or_else(|| problem.title.to_owned());
    refuse(wire, Mistake::new(code, detail).answering(reference))
}
