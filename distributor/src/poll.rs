//! Long-poll: `GET /v1/poll`. Asking with the returned cursor acknowledges all up to it; the session lingers between
//! polls, and keeps what was returned and not acknowledged, so that a lost answer can be given again.

mod lingering;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use http::{HeaderValue, header};
use shared::delivery::SessionId;
use shared::position::Cursor;
use tokio::time::Instant;

pub(crate) use self::lingering::Lingering;
use self::lingering::{Held, Polled};
use crate::auth::{Identity, Use};
use crate::http::Edge;
use crate::http::problem::Refusal;
use crate::http::query::Asked;
use crate::hub::{Opened, Refused, Transport};
use crate::protocol::{self, encode};
use crate::session::{Acknowledging, Frame, State};

/// Serves the request.
pub(crate) async fn poll(
    Shared(edge): Shared<Arc<Edge>>,
    request: Request,
) -> Result<Response<Body>, Refusal> {
    edge.check_origin(request.headers())?;
    let asked = Asked::read(request.uri())?;
    let cursor = asked.cursor()?;
    let (wait, max) = (asked.wait(&edge.settings)?, asked.max(&edge.settings)?);
    let (session, window) = (asked.session()?, asked.window()?);
    let usage = if cursor.is_some() { Use::Reconnect } else { Use::Connect };
    let identity = edge.identify(request.headers(), asked.ticket(), usage)?;
    let deadline = Instant::now() + wait;
    let mut held = match find(&edge, &identity, session, cursor).await {
        Some(mut held) => {
            held.go_on(cursor).map_err(|_foreign| Refusal::Cursor)?;
            held
        }
        None => open(&edge, identity, cursor, window)?,
    };
    collect(&edge, &mut held, max, deadline).await;
    if !held.has_something()
        && let Some(closing) = held.handle().closing()
    {
        held.handle().end();
        return Err(Refusal::Refused(Refused::Draining, closing.after_s()));
    }
    let opened = edge.opened(held.handle(), window);
    Ok(answer(&mut held, &opened, max))
}

/// The session to go on with: the one named, or an idle one that last returned, or was last asked with, this cursor.
async fn find(
    edge: &Edge,
    identity: &Identity,
    session: Option<SessionId>,
    cursor: Option<Cursor>,
) -> Option<Held> {
    if let Some(id) = session {
        let polled = edge.lingering.get(id)?;
        let ours = *polled.handle().recipient() == identity.recipient && is_open(&polled);
        return if ours { Some(Held::displacing(polled, edge.hub.clock()).await) } else { None };
    }
    let cursor = cursor?;
    let candidates = edge.hub.sessions_of(&identity.recipient);
    candidates.iter().filter(|handle| handle.transport() == Transport::Poll).find_map(|handle| {
        let polled = edge.lingering.get(handle.id()).filter(is_open)?;
        Held::idle(polled, edge.hub.clock()).filter(|held| held.stands_at(cursor))
    })
}

fn is_open(polled: &Arc<Polled>) -> bool {
    polled.handle().state() != State::Closed
}

fn open(
    edge: &Edge,
    identity: Identity,
    cursor: Option<Cursor>,
    window: Option<u32>,
) -> Result<Held, Refusal> {
    let opened = Opened {
        recipient: identity.recipient,
        cursor,
        acknowledging: Acknowledging::Explicit,
        window,
        transport: Transport::Poll,
    };
    let handle = match edge.hub.open(opened.clone()) {
        // A client that never gives a cursor back leaves a session behind with every poll.
        Err(Refused::RecipientFull) if edge.lingering.end_idle_of(&opened.recipient) => edge.open(opened)?,
        entered => entered.map_err(|refused| edge.refusal(refused))?,
    };
    let polled = edge.lingering.enter(handle, cursor, edge.now());
    // Nobody else knows it yet.
    Held::idle(polled, edge.hub.clock()).ok_or_else(|| edge.refusal(Refused::Full))
}

/// Waits until there is something to return, or no reason to wait any longer.
async fn collect(edge: &Edge, held: &mut Held, max: usize, deadline: Instant) {
    loop {
        held.take(max);
        if held.has_something() || held.handle().closing().is_some() || held.handle().state() == State::Closed
        {
            return;
        }
        // A client that polls is there: nothing has to be found out.
        let _probed = held.handle().take_probe();
        tokio::select! {
            () = held.handle().ready() => {}
            () = held.displaced() => return,
            () = tokio::time::sleep_until(deadline) => return,
            () = edge.shutdown.begun() => return,
        }
    }
}

/// Everything taken and not acknowledged, at most `max`, and the cursor behind it.
fn answer(held: &mut Held, opened: &protocol::Opened, max: usize) -> Response<Body> {
    let (mut notifications, mut gaps) = (Vec::new(), Vec::new());
    for frame in held.unacknowledged().take(max) {
        match frame {
            Frame::Gap { .. } => gaps.push(encode(frame, opened)),
            Frame::Notification { .. } => notifications.push(encode(frame, opened)),
            Frame::Welcome { .. } | Frame::Drained { .. } => {}
        }
    }
    let json = format!(
        r#"{{"session":"{}","cursor":"{}","notifications":[{}],"gaps":[{}]}}"#,
        opened.session,
        held.give_back(max),
        notifications.join(","),
        gaps.join(",")
    );
    let mut response = Response::new(Body::from(json));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
