//! What waits to be sent to one node. Bounded by what the partition may have in flight.

use std::collections::VecDeque;

use shared::link::wire;

use crate::config::LinkSettings;
use crate::forward::{Link, StreamId};

/// What a frame weighs beyond its record, in bytes.
const FRAME_BYTES: usize = 128;

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    frames: VecDeque<(wire::Frame, usize)>,
    /// The stream that frames went to, until it is lost.
    link: Option<Link>,
    flush: Flush,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Flush {
    #[default]
    Idle,
    /// A batch is being handed over.
    Outstanding,
    /// As before, and its stream was lost meanwhile: how it ends says nothing any more.
    Outdated,
}

/// Whether there is a way to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Open,
    Lost,
}

impl Outbox {
    pub(super) fn push(&mut self, frame: wire::Frame, size_bytes: usize) {
        self.frames.push_back((frame, size_bytes + FRAME_BYTES));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    pub(super) fn is_on(&self, stream: StreamId) -> bool {
        self.link.as_ref().is_some_and(|link| link.stream() == stream)
    }

    /// Whether nothing would be lost by dropping it.
    pub(super) fn is_forgettable(&self) -> bool {
        self.frames.is_empty() && self.link.is_none() && self.flush == Flush::Idle
    }

    /// The next batch and the stream to send it on (`None`: to be opened), when one is to be handed over now.
    pub(super) fn start_flush(&mut self, settings: &LinkSettings) -> Option<(Option<Link>, wire::ToNode)> {
        if self.frames.is_empty() || self.flush != Flush::Idle {
            return None;
        }
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while let Some((_, size)) = self.frames.front() {
            bytes += size;
            if !frames.is_empty() && (bytes > settings.batch_bytes || frames.len() >= settings.batch_frames) {
                break;
            }
            frames.extend(self.frames.pop_front().map(|(frame, _)| frame));
        }
        self.flush = Flush::Outstanding;
        Some((self.link.clone(), wire::ToNode { frames }))
    }

    /// A batch was handed to the stream, or could not be (`None`). Answers whether the lanes must hear that the way is
    /// lost.
    #[must_use]
    pub(super) fn flushed(&mut self, link: Option<Link>) -> Way {
        if std::mem::take(&mut self.flush) == Flush::Outdated {
            return Way::Open;
        }
        self.link = link.filter(|link| !link.is_over());
        if self.link.is_some() { Way::Open } else { Way::Lost }
    }

    /// The stream is lost, and what waits for it with it.
    pub(super) fn lose(&mut self) {
        self.frames.clear();
        self.link = None;
        if self.flush == Flush::Outstanding {
            self.flush = Flush::Outdated;
        }
    }
}
