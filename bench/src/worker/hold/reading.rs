//! What clients read: whole frames are entered in the ledger and acknowledged together.

use super::super::note;
use super::Shared;
use super::client::{Client, Session, State, request};
use crate::control::Transport;
use crate::wire::frame::{self, Frame, Notification};
use crate::wire::scan::{Scan, digits};
use crate::wire::{http, sse, websocket};

/// A client's `ping`, as it goes over the wire.
pub(super) const PING_FRAME: [u8; 22] = *b"\x81\x90\0\0\0\0{\"frame\":\"ping\"}";

/// Takes the whole messages among `bytes`; answers how many bytes they were.
pub(super) fn take(
    client: &mut Client,
    bytes: &[u8],
    shared: &mut Shared,
    index: usize,
) -> Result<usize, String> {
    if client.transport == Transport::Poll {
        return polled(client, bytes, shared, index);
    }
    let mut begin = 0;
    if client.state == State::Head {
        let Some((head, length)) = http::head(bytes)? else { return Ok(0) };
        let expected = if client.transport == Transport::Ws { 101 } else { 200 };
        if head.status != expected {
            return Err(refusal(head.status, &bytes[length..]));
        }
        client.state = State::Opening;
        begin = length;
    }
    let used = match client.transport {
        Transport::Ws => websocket_frames(client, &bytes[begin..], shared)?,
        Transport::Sse | Transport::Poll => events(client, &bytes[begin..], shared, index)?,
    };
    Ok(begin + used)
}

/// Whether it is worth another attempt stands in its words.
fn refusal(status: u16, body: &[u8]) -> String {
    let lasting = if matches!(status, 429 | 503) { "refused for now" } else { "refused for good" };
    format!("{lasting}: {status} {}", String::from_utf8_lossy(&body[..body.len().min(300)]))
}

fn websocket_frames(client: &mut Client, bytes: &[u8], shared: &mut Shared) -> Result<usize, String> {
    let mut used = 0;
    let mut upto = None;
    shared.reply.clear();
    shared.due.clear();
    while let Some((frame, length)) = websocket::next(&bytes[used..])? {
        used += length;
        match frame.opcode {
            websocket::TEXT => match frame::read(frame.payload)? {
                Frame::Notification(notification) => {
                    upto = Some(notification.seq);
                    shared.due.push(notification.stamp.at);
                    enter(client, &notification, shared);
                }
                Frame::Gap { seq, count, .. } => {
                    upto = Some(seq);
                    session(client).entries.gaps += u32::try_from(count).unwrap_or(u32::MAX);
                }
                other => plain(client, other, shared),
            },
            websocket::PING => websocket::write(websocket::PONG, frame.payload, &mut shared.reply),
            websocket::CLOSE => return Err(websocket::close(frame.payload)),
            _other => {}
        }
    }
    if let Some(seq) = upto {
        let mut text = Vec::with_capacity(48);
        text.extend_from_slice(br#"{"frame":"ack","seq":"#);
        digits(seq, &mut text);
        text.push(b'}');
        websocket::write(websocket::TEXT, &text, &mut shared.reply);
    }
    if !shared.reply.is_empty() {
        client.write(&shared.reply)?;
    }
    let due = std::mem::take(&mut shared.due);
    shared.acknowledged(&due);
    shared.due = due;
    Ok(used)
}

fn events(client: &mut Client, bytes: &[u8], shared: &mut Shared, index: usize) -> Result<usize, String> {
    let (mut used, mut text) = (0, session(client).carry.take().map(Vec::from).unwrap_or_default());
    while let Some((data, length)) = sse::chunk(&bytes[used..])? {
        if data.is_empty() {
            return Err("the stream ended".into());
        }
        used += length;
        text.extend_from_slice(data);
    }
    let mut read = 0;
    while let Some((data, length)) = sse::event(&text[read..]) {
        read += length;
        if !data.is_empty() {
            posted_frame(client, frame::read(&data)?, shared);
        }
    }
    let session = session(client);
    session.carry = (read < text.len()).then(|| text[read..].into());
    post(client, shared, index);
    Ok(used)
}

/// Has what came acknowledged by POST, unless that is under way.
fn post(client: &mut Client, shared: &mut Shared, index: usize) {
    let door = shared.number(index).1;
    let Some(session) = &mut client.session else { return };
    if !session.due.is_empty() && !std::mem::replace(&mut session.posting, true) {
        shared.lanes.push(door, index);
    }
}

/// A frame to a client that says by its cursor where it stands.
fn posted_frame(client: &mut Client, frame: Frame<'_>, shared: &mut Shared) {
    match frame {
        Frame::Notification(notification) => {
            enter(client, &notification, shared);
            session(client).due.push(notification.stamp.at);
        }
        Frame::Gap { cursor, count, .. } => {
            let session = session(client);
            session.entries.gaps += u32::try_from(count).unwrap_or(u32::MAX);
            session.cursor = cursor.into_bytes().into();
        }
        Frame::Welcome { session: name, cursor } => {
            let session = session(client);
            (session.name, session.cursor) = (name.into(), cursor.into_bytes().into());
        }
        other => plain(client, other, shared),
    }
}

fn plain(client: &mut Client, frame: Frame<'_>, shared: &mut Shared) {
    match frame {
        Frame::Drained => client.state = State::Live,
        Frame::Pong => client.confirmed = true,
        Frame::Error(text) => note(&mut shared.tick.problems, text),
        Frame::Goaway => note(&mut shared.tick.problems, "a distributor says that it goes away"),
        Frame::Notification(_) | Frame::Gap { .. } | Frame::Welcome { .. } | Frame::Other => {}
    }
}

fn session(client: &mut Client) -> &mut Session {
    client.session.get_or_insert_default()
}

fn enter(client: &mut Client, notification: &Notification<'_>, shared: &mut Shared) {
    let keeps_cursor = client.transport != Transport::Ws;
    let session = session(client);
    let came = session.entries.enter(notification.stamp.n, notification.id);
    shared.tick.came += 1;
    shared.tick.fresh += u64::from(came != crate::ledger::Came::Again);
    if keeps_cursor {
        if session.cursor.len() == notification.cursor.len() {
            session.cursor.copy_from_slice(notification.cursor);
        } else {
            session.cursor = notification.cursor.into();
        }
    }
}

fn polled(client: &mut Client, bytes: &[u8], shared: &mut Shared, index: usize) -> Result<usize, String> {
    let Some(answer) = http::answer(bytes)? else { return Ok(0) };
    if answer.head.status != 200 {
        return Err(refusal(answer.head.status, &answer.body));
    }
    let mut scan = Scan(&answer.body);
    let strange = || format!("a strange answer: {}", String::from_utf8_lossy(&answer.body));
    scan.behind(br#""session":""#).ok_or_else(strange)?;
    let name = scan.until(b'"').ok_or_else(strange)?;
    scan.behind(br#""cursor":""#).ok_or_else(strange)?;
    let cursor = scan.until(b'"').ok_or_else(strange)?;
    scan.behind(br#""notifications":["#).ok_or_else(strange)?;
    let mut rest = scan.0;
    shared.due.clear();
    while let Some(at) = memchr::memmem::find(rest, br#"{"frame":"notification""#) {
        let (notification, behind) = frame::notification(&rest[at..]).ok_or_else(strange)?;
        enter(client, &notification, shared);
        shared.due.push(notification.stamp.at);
        rest = behind;
    }
    gaps(client, rest);
    let known = session(client);
    if *known.name != *String::from_utf8_lossy(name) {
        known.name = String::from_utf8_lossy(name).into();
    }
    known.cursor = cursor.into();
    client.state = State::Live;
    // Asking again with the cursor acknowledges.
    let next = request(client, shared, index).map_err(|error| format!("{error:#}"))?;
    client.write(&next)?;
    let due = std::mem::take(&mut shared.due);
    shared.acknowledged(&due);
    shared.due = due;
    Ok(answer.used)
}

/// Counts what the gaps of an answer say; there are hardly ever any.
fn gaps(client: &mut Client, rest: &[u8]) {
    let mut rest = rest;
    while let Some(at) = memchr::memmem::find(rest, br#"{"frame":"gap""#) {
        let end = memchr::memmem::find(&rest[at..], b"}}").map_or(rest.len(), |end| at + end + 2);
        if let Ok(Frame::Gap { count, .. }) = frame::read(&rest[at..end]) {
            session(client).entries.gaps += u32::try_from(count).unwrap_or(u32::MAX);
        }
        rest = &rest[end..];
    }
}
