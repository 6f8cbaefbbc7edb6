//! From an upgraded connection to an open session: what the first frame is, and how long it may take.

use std::collections::VecDeque;
use std::time::Duration;

use shared::clock::Timestamp;
use shared::position::Cursor;
use tokio::time::Instant;

use super::client::say;
use super::wire::{Ended, Said, Wire};
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
    /// When the client's right ends.
    pub(super) expires: Timestamp,
    pub(super) window: Option<u32>,
    /// What came before the session was open and was no `hello`; it is still to be served.
    pub(super) waiting: VecDeque<Said>,
    /// Whether a `hello` may still come.
    pub(super) greeting: Greeting,
}

impl Opening {
    pub(super) fn open(self, edge: &Edge) -> Result<Open, Refusal> {
        let Self { identity, cursor, window } = self;
        let Identity { recipient, expires, .. } = identity;
        let opened = Opened {
            recipient,
            cursor,
            acknowledging: Acknowledging::Explicit,
            window,
            transport: Transport::WebSocket,
        };
        let (handle, waiting) = (edge.open(opened)?, VecDeque::new());
        Ok(Open { handle, expires, window, waiting, greeting: Greeting::Over })
    }
}

/// Opens the session, or says how the connection ends.
pub(super) async fn session(edge: &Edge, wire: &mut Wire, expected: Expected) -> Result<Open, Ended> {
    let mut came = VecDeque::new();
    let (identity, first, cursor, window) = match expected {
        Expected::Nothing(open) => return Ok(*open),
        Expected::MaybeHello(identity) => {
            let first = frame(edge, wire, &mut came, edge.settings.hello_wait_ms).await?;
            (Some(identity), first, None, None)
        }
        Expected::Hello { cursor, window } => {
            let first = frame(edge, wire, &mut came, edge.settings.hello_ms).await?;
            let Some(first) = first else { return Err(Ended::Closed(Close::HelloTimeout)) };
            (None, Some(first), cursor, window)
        }
    };
    let (hello, greeting) = match first {
        Some(ClientFrame::Hello(hello)) => (hello, Greeting::Over),
        other => {
            came.extend(other.map(|frame| Said::Frame(Ok(frame))));
            came.rotate_right(1.min(came.len()));
            (Hello::default(), Greeting::Late)
        }
    };
    let identity = match (&hello.token, identity) {
        // The handshake's token is the one that counts.
        (_, Some(identity)) => identity,
        (Some(token), None) => match edge.token(token) {
            Ok(identity) => identity,
            Err(refusal) => return Err(denied(wire, &refusal, hello.reference)),
        },
        (None, None) => {
            let code = if greeting == Greeting::Late { Code::HelloExpected } else { Code::Unauthenticated };
            return Err(refuse(wire, &Mistake::new(code, "the first frame must be a hello with a token")));
        }
    };
    let opening = Opening { identity, cursor: hello.cursor.or(cursor), window: hello.window.or(window) };
    let mut open = opening.open(edge).map_err(|refusal| denied(wire, &refusal, hello.reference))?;
    (open.waiting, open.greeting) = (came, greeting);
    Ok(open)
}

/// The first frame; `None` when none came in time. A mistake in it ends the connection: what the client wanted to start
/// with is not known. What came behind it is left in `came`.
async fn frame(
    edge: &Edge,
    wire: &mut Wire,
    came: &mut VecDeque<Said>,
    limit: Duration,
) -> Result<Option<ClientFrame>, Ended> {
    let deadline = Instant::now() + limit;
    loop {
        match came.pop_front() {
            Some(Said::Frame(frame)) => return frame.map(Some).map_err(|mistake| refuse(wire, &mistake)),
            Some(Said::Binary) => {
                return Err(refuse(wire, &Mistake::new(Code::BinaryUnsupported, "frames are text")));
            }
            Some(Said::Sign) => continue,
            None => {}
        }
        tokio::select! {
            heard = wire.hear(&edge.settings, |said| came.push_back(said)) => heard?,
            () = tokio::time::sleep_until(deadline) => return Ok(None),
            () = edge.shutdown.begun() => return Err(Ended::Closed(Close::GoAway)),
        }
    }
}

/// Answers a mistake in the first frame and says with what the connection is closed.
fn refuse(wire: &mut Wire, mistake: &Mistake) -> Ended {
    crate::metrics::bad_frame(mistake.code);
    let close = match mistake.code {
        Code::BinaryUnsupported => Close::Binary,
        Code::Unauthenticated => Close::Unauthenticated,
        Code::TokenExpired => Close::TokenExpired,
        Code::Overloaded => Close::Overloaded,
        _ => Close::ProtocolError,
    };
    let told = wire.send(|out| {
        say(out, &encode_error(mistake));
        Ok(())
    });
    told.err().unwrap_or(Ended::Closed(close))
}

fn denied(wire: &mut Wire, refusal: &Refusal, reference: Option<String>) -> Ended {
    let problem = refusal.problem();
    let code = match refusal {
        Refusal::Denied(Denied::Expired) => Code::TokenExpired,
        Refusal::Denied(_) => Code::Unauthenticated,
        _ => Code::Overloaded,
    };
    let detail = problem.detail.unwrap_or_else(|| problem.title.to_owned());
    refuse(wire, &Mistake::new(code, detail).answering(reference))
}
