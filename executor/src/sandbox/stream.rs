//! Standard output and error of a guest: bounded, and never a file of ours. What a component writes becomes log lines;
//! what a command writes to standard output is its answer.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

use super::attempt::{Level, LogLine};
use super::failure::Failure;

/// Most bytes taken in one write: what pipes do. The guest writes again.
const CHUNK_BYTES: usize = 64 * 1024;

/// The log of an attempt. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<Mutex<Lines>>);

#[derive(Debug)]
struct Lines {
    lines: Vec<LogLine>,
    /// What was written to standard output and to standard error since the last end of a line.
    open: [BytesMut; 2],
    left_bytes: usize,
    dropped_bytes: u64,
}

/// What a line takes beside its text, so that empty lines have an end, too.
const LINE_BYTES: usize = size_of::<LogLine>();

impl Log {
    pub(super) fn new(most_bytes: usize) -> Self {
        let lines =
            Lines { lines: Vec::new(), open: Default::default(), left_bytes: most_bytes, dropped_bytes: 0 };
        Self(Arc::new(Mutex::new(lines)))
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line, or counts it as dropped when there is no room.
    pub(super) fn write(&self, level: Level, text: &str) {
        let mut lines = self.lock();
        let bytes = text.len() + LINE_BYTES;
        if bytes > lines.left_bytes {
            lines.dropped_bytes += text.len() as u64;
            return;
        }
        lines.left_bytes -= bytes;
        lines.lines.push(LogLine { level, text: text.to_owned() });
    }

    /// What was said last on standard error, if anything.
    pub(super) fn last_words(&self) -> Option<String> {
        let lines = self.lock();
        let open = String::from_utf8_lossy(&lines.open[Fd::Err as usize]);
        if !open.trim().is_empty() {
            return Some(open.into_owned());
        }
        let warned = |line: &&LogLine| line.level == Level::Warn && !line.text.trim().is_empty();
        lines.lines.iter().rev().find(warned).map(|line| line.text.clone())
    }

    /// The lines and how many bytes were dropped. What has no end of line yet is a line.
    pub(super) fn finish(&self) -> (Vec<LogLine>, u64) {
        let mut lines = self.lock();
        for fd in [Fd::Out, Fd::Err] {
            if !lines.open[fd as usize].is_empty() {
                lines.end_line(fd);
            }
        }
        (std::mem::take(&mut lines.lines), lines.dropped_bytes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fd {
    Out = 0,
    Err = 1,
}

impl Lines {
    fn append(&mut self, fd: Fd, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            let ends = text.len() < piece.len();
            // The first byte of a line pays for the line.
            let begins = self.open[fd as usize].is_empty();
            let cost = text.len() + if begins { LINE_BYTES } else { 0 };
            if cost > self.left_bytes {
                self.dropped_bytes += text.len() as u64;
            } else {
                self.left_bytes -= cost;
                self.open[fd as usize].extend_from_slice(text);
                if ends {
                    self.end_line(fd);
                }
            }
        }
    }

    fn end_line(&mut self, fd: Fd) {
        let text = String::from_utf8_lossy(&self.open[fd as usize].split()).into_owned();
        let level = match fd {
            Fd::Out => Level::Info,
            Fd::Err => Level::Warn,
        };
        self.lines.push(LogLine { level, text });
    }
}

/// What a command says on standard output: its answer. Cloning shares it.
#[derive(Clone, Debug)]
pub(super) struct Said {
    bytes: Arc<Mutex<BytesMut>>,
    most_bytes: usize,
}

impl Said {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { bytes: Arc::default(), most_bytes }
    }

    /// What was written.
    pub(super) fn finish(&self) -> Bytes {
        std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).freeze()
    }

    fn append(&self, written: &[u8]) -> Result<(), Failure> {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() > self.most_bytes - bytes.len() {
            let most = self.most_bytes;
            return Err(Failure::OutputTooLarge(format!("more than {most} bytes on standard output")));
        }
        bytes.extend_from_slice(written);
        Ok(())
    }
}

/// Where a guest's standard stream leads.
#[derive(Clone, Debug)]
pub(super) enum Stream {
    /// Lines of level info.
    Info(Log),
    /// Lines of level warn.
    Warn(Log),
    /// What a command says.
    Said(Said),
}

impl Stream {
    fn append(&self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Info(log) => log.lock().append(Fd::Out, bytes),
            Self::Warn(log) => log.lock().append(Fd::Err, bytes),
            Self::Said(said) => said.append(bytes)?,
        }
        Ok(())
    }
}

impl IsTerminal for Stream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Stream {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Pollable for Stream {
    async fn ready(&mut self) {}
}

impl OutputStream for Stream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.append(&bytes).map_err(|failure| StreamError::Trap(wasmtime::Error::new(failure)))
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(CHUNK_BYTES)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(self.append(bytes).map(|()| bytes.len()).map_err(std::io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_put_together_and_kept_apart_by_stream() {
        let log = Log::new(10_000);
        let (out, err) = (Stream::Info(log.clone()), Stream::Warn(log.clone()));
        out.append(b"on").unwrap();
        err.append(b"bad\nwor").unwrap();
        out.append(b"e\ntwo\n").unwrap();
        err.append(b"se").unwrap();
        let (lines, dropped) = log.finish();
        let texts: Vec<_> = lines.iter().map(|line| (line.level, line.text.as_str())).collect();
        let expected =
            [(Level::Warn, "bad"), (Level::Info, "one"), (Level::Info, "two"), (Level::Warn, "worse")];
        assert_eq!((texts.as_slice(), dropped), (expected.as_slice(), 0));
    }

    #[test]
    fn what_does_not_fit_is_dropped_and_counted_and_empty_lines_have_an_end() {
        let log = Log::new(LINE_BYTES + 4);
        log.write(Level::Debug, "four");
        log.write(Level::Debug, "more");
        let (lines, dropped) = log.finish();
        assert_eq!((lines.len(), dropped), (1, 4));

        let log = Log::new(10 * LINE_BYTES);
        let out = Stream::Info(log.clone());
        out.append(&[b'\n'; 1000]).unwrap();
        assert_eq!(log.finish().0.len(), 10);
    }

    #[test]
    fn an_answer_takes_what_it_may_and_not_a_byte_more() {
        let said = Said::new(4);
        let out = Stream::Said(said.clone());
        out.append(b"four").unwrap();
        assert_eq!(out.append(b"5").unwrap_err().code(), "output_too_large");
        assert_eq!(said.finish(), "four");
    }
}
