//! Frames of RFC 6455 as the server of a very large number of connections reads and writes them: from and into buffers
//! that belong to the thread, so that a connection owns memory only while a frame or a message of it is incomplete. The
//! header's bytes are the library's business; messages, control frames and their rules are here. Pure.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

/// What a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping, to be answered by a pong with the same payload (section 5.5.2).
    Ping(&'a [u8]),
    /// A pong.
    Pong,
    /// A close frame, with the payload to answer it with (section 5.5.1). Nothing is read behind it.
    Close(&'a [u8]),
}

/// The client broke the protocol; the connection cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// Not a frame, or not in this place.
    Protocol,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A message larger than the limit.
    TooLarge,
}

/// A message whose last fragment has not come.
#[derive(Debug)]
struct Fragments {
    text: bool,
    payload: Vec<u8>,
    /// How much of it is checked to be text.
    valid: usize,
}

/// Takes frames off a stream of bytes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What came of a frame that is not complete.
    rest: Vec<u8>,
    fragments: Option<Box<Fragments>>,
    closed: bool,
}

impl Reader {
    /// A reader that has been given `early` bytes to begin with.
    pub(super) fn with(early: &[u8]) -> Self {
        Self { rest: early.to_vec(), ..Self::default() }
    }

    /// Whether a close frame came, good or bad.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether bytes wait for the rest of their frame.
    pub(super) fn has_rest(&self) -> bool {
        !self.rest.is_empty()
    }

    /// Reads on with `bytes`, which are spoilt, and tells `hear` of every message of at most `most` bytes and of every
    /// control frame, in order, until it fails.
    ///
    /// # Errors
    /// What `hear` answered, or how the client broke the protocol.
    pub(super) fn read<E: From<Broken>>(
        &mut self,
        bytes: &mut [u8],
        most: usize,
        mut hear: impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.rest.is_empty() {
            let used = self.frames(bytes, most, &mut hear)?;
            self.rest.extend_from_slice(&bytes[used..]);
        } else {
            let mut rest = std::mem::take(&mut self.rest);
            rest.extend_from_slice(bytes);
            let used = self.frames(&mut rest, most, &mut hear)?;
            rest.drain(..used);
            if !rest.is_empty() {
                self.rest = rest;
            }
        }
        Ok(())
    }

    /// Reads the complete frames; answers how many bytes they were.
    fn frames<E: From<Broken>>(
        &mut self,
        bytes: &mut [u8],
        most: usize,
        hear: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<usize, E> {
        let mut at = 0;
        while !self.closed {
            let mut cursor = Cursor::new(&bytes[at..]);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|_no_frame| Broken::Protocol)?;
            let Some((header, length)) = parsed else { break };
            let checked = self.check(&header, length, most);
            self.closed |= checked.is_err() && header.opcode == OpCode::Control(Control::Close);
            let length = checked?;
            let begin = at + usize::try_from(cursor.position()).map_err(|_too_far| Broken::TooLarge)?;
            let Some(payload) = bytes.get_mut(begin..begin + length) else { break };
            unmask(payload, header.mask.ok_or(Broken::Protocol)?);
            at = begin + length;
            self.take(&header, payload, hear)?;
        }
        Ok(if self.closed { bytes.len() } else { at })
    }

    /// Refuses what no client may send (sections 5.1 to 5.5), before it is waited for.
    fn check(&self, header: &FrameHeader, length: u64, most: usize) -> Result<usize, Broken> {
        let extended = header.rsv1 || header.rsv2 || header.rsv3;
        if extended || header.mask.is_none() {
            return Err(Broken::Protocol);
        }
        let length = usize::try_from(length).map_err(|_too_large| Broken::TooLarge)?;
        match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => Err(Broken::Protocol),
            OpCode::Control(_) if !header.is_final || length > 125 => Err(Broken::Protocol),
            OpCode::Control(_) => Ok(length),
            OpCode::Data(data) if (data == Data::Continue) != self.fragments.is_some() => {
                Err(Broken::Protocol)
            }
            OpCode::Data(_) => {
                let before = self.fragments.as_ref().map_or(0, |fragments| fragments.payload.len());
                if before + length > most { Err(Broken::TooLarge) } else { Ok(length) }
            }
        }
    }

    fn take<E: From<Broken>>(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        hear: &mut impl FnMut(Event<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        match header.opcode {
            OpCode::Control(Control::Ping) => hear(Event::Ping(payload)),
            OpCode::Control(Control::Pong) => hear(Event::Pong),
            OpCode::Control(_) => {
                self.closed = true;
                hear(Event::Close(closing(payload)?))
            }
            OpCode::Data(data) => match self.fragments.take() {
                None if header.is_final => message(data == Data::Text, payload, hear),
                None => self.keep(Fragments::new(data == Data::Text), payload),
                Some(mut fragments) if header.is_final => {
                    fragments.payload.extend_from_slice(payload);
                    message(fragments.text, &fragments.payload, hear)
                }
                Some(fragments) => self.keep(*fragments, payload),
            },
        }
    }

    /// Waits for the next fragment. Text that can never become UTF-8 is refused at once.
    fn keep<E: From<Broken>>(&mut self, mut fragments: Fragments, payload: &[u8]) -> Result<(), E> {
        fragments.payload.extend_from_slice(payload);
        if fragments.text {
            let unchecked = fragments.payload.get(fragments.valid..).unwrap_or_default();
            match std::str::from_utf8(unchecked) {
                Ok(text) => fragments.valid += text.len(),
                Err(error) if error.error_len().is_some() => return Err(Broken::NotUtf8.into()),
                Err(cut) => fragments.valid += cut.valid_up_to(),
            }
        }
        self.fragments = Some(Box::new(fragments));
        Ok(())
    }
}

impl Fragments {
    fn new(text: bool) -> Self {
        Self { text, payload: Vec::new(), valid: 0 }
    }
}

fn message<E: From<Broken>>(
    text: bool,
    payload: &[u8],
    hear: &mut impl FnMut(Event<'_>) -> Result<(), E>,
) -> Result<(), E> {
    if !text {
        return hear(Event::Binary(payload));
    }
    hear(Event::Text(std::str::from_utf8(payload).map_err(|_not_text| Broken::NotUtf8)?))
}

/// The payload that a close frame is answered with: its code, which must be one that may be sent (section 7.4).
fn closing(payload: &[u8]) -> Result<&[u8], Broken> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() { Ok(payload) } else { Err(Broken::Protocol) };
    };
    if !CloseCode::from(u16::from_be_bytes(*code)).is_allowed() {
        return Err(Broken::Protocol);
    }
    std::str::from_utf8(reason).map_err(|_not_text| Broken::NotUtf8)?;
    Ok(code)
}

/// Section 5.3.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from_ne_bytes([mask[0], mask[1], mask[2], mask[3], mask[0], mask[1], mask[2], mask[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Room left for the header of a frame: that of 126 bytes to 64 KiB, which nearly all have.
const HEADER: usize = 4;

/// Appends a text frame to `out`; `write` appends its text.
pub(super) fn text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    data(out, Data::Text, write);
}

/// Appends a text or binary frame to `out`; `write` appends its payload.
pub(super) fn data(out: &mut Vec<u8>, data: Data, write: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(out);
    let length = out.len() - begin - HEADER;
    let header = FrameHeader { opcode: OpCode::Data(data), ..FrameHeader::default() };
    if header.len(length as u64) == HEADER {
        format(&header, length, &mut &mut out[begin..begin + HEADER]);
    } else {
        let mut other = Vec::with_capacity(10);
        format(&header, length, &mut other);
        out.splice(begin..begin + HEADER, other);
    }
}

/// Appends a control frame with a payload of at most 125 bytes to `out`.
pub(super) fn control(out: &mut Vec<u8>, control: Control, payload: &[u8]) {
    let header = FrameHeader { opcode: OpCode::Control(control), ..FrameHeader::default() };
    format(&header, payload.len(), out);
    out.extend_from_slice(payload);
}

fn format(header: &FrameHeader, length: usize, out: &mut impl std::io::Write) {
    let written = header.format(length as u64, out);
    debug_assert!(written.is_ok(), "its writer is memory");
}

#[cfg(test)]
mod tests;
