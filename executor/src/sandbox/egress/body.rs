//! The body of a response: at most so many bytes, until such a time.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use wasmtime_wasi_http::Error;

/// A body within limits.
pub(super) struct Bounded {
    body: Incoming,
    most_bytes: usize,
    left_bytes: usize,
    ends: Pin<Box<Sleep>>,
}

impl Bounded {
    pub(super) fn new(body: Incoming, most_bytes: usize, ends: Instant) -> Self {
        Self { body, most_bytes, left_bytes: most_bytes, ends: Box::pin(sleep_until(ends)) }
    }
}

impl Body for Bounded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.ends.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(Error::HttpResponseTimeout)));
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let Poll::Ready(Some(Ok(frame))) = polled else {
            return polled.map_err(Error::from);
        };
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match self.left_bytes.checked_sub(bytes) {
            Some(left) => {
                self.left_bytes = left;
                Poll::Ready(Some(Ok(frame)))
            }
            None => {
                self.left_bytes = 0;
                let most = self.most_bytes as u64;
                Poll::Ready(Some(Err(Error::HttpResponseBodySize(Some(most)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
