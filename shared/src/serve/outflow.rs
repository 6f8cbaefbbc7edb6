//! What became of the bytes of a connection: when they were handed to the operating system, and how long the peer's
//! kernel may leave them unconfirmed. For who must draw conclusions from a connection that lives.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Sleep;

/// Most bytes that the kernel keeps unsent (`TCP_NOTSENT_LOWAT`): what lies there longer than the network needs is
/// better kept where it can still be given back.
const UNSENT_BYTES: u32 = 64 * 1024;

/// The outgoing side of a connection. In every request's extensions; cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Outflow(Arc<State>);

#[derive(Debug, Default)]
struct State {
    flushes: AtomicU64,
    flushed: Notify,
    /// Milliseconds that are to be set; zero: nothing new.
    user_timeout_ms: AtomicU32,
}

impl Outflow {
    /// How often everything that was written had been handed to the operating system.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.0.flushes.load(Ordering::Acquire)
    }

    /// Waits until that has happened more often than `flushes` times. Who reads [`Outflow::flushes`] and then gives a
    /// chunk to the connection's own task learns so that the chunk was handed over.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn flushed_beyond(&self, flushes: u64) {
        loop {
            let mut flushed = std::pin::pin!(self.0.flushed.notified());
            flushed.as_mut().enable();
            if self.flushes() > flushes {
                return;
            }
            flushed.await;
        }
    }

    /// From the next write on, a connection whose peer leaves bytes unconfirmed for `limit` is dead, also when the peer
    /// only stopped reading (`TCP_USER_TIMEOUT`, RFC 5482).
    pub fn limit_unconfirmed(&self, limit: Duration) {
        let millis = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).max(1);
        self.0.user_timeout_ms.store(millis, Ordering::Release);
    }

    fn count_flush(&self) {
        self.0.flushes.fetch_add(1, Ordering::AcqRel);
        self.0.flushed.notify_waiters();
    }
}

/// A connection that tells its [`Outflow`].
pub(super) struct Watched {
    stream: TcpStream,
    outflow: Outflow,
    /// How long the peer may take nothing, and the end of that time while it takes nothing.
    patience: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, outflow: Outflow, patience: Duration) -> Self {
        if let Err(error) = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES) {
            tracing::debug!(%error, "no TCP_NOTSENT_LOWAT");
        }
        Self { stream, outflow, patience, stalled: None }
    }

    /// The socket, no longer watched.
    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// What a write came to; an error once the peer has taken nothing for too long.
    fn within_patience(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let patience = self.patience;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        std::task::ready!(stalled.as_mut().poll(context));
        super::metrics::timed_out("write");
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn obey(&self) {
        let millis = self.outflow.0.user_timeout_ms.load(Ordering::Acquire);
        if millis == 0 {
            return;
        }
        self.outflow.0.user_timeout_ms.store(0, Ordering::Release);
        let limit = Duration::from_millis(u64::from(millis));
        if let Err(error) = SockRef::from(&self.stream).set_tcp_user_timeout(Some(limit)) {
            tracing::debug!(%error, "no TCP_USER_TIMEOUT");
        }
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.obey();
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within_patience(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.obey();
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.within_patience(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            self.outflow.count_flush();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_peer_that_takes_nothing_is_given_up_and_one_that_takes_little_by_little_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut peer = listener.accept().await.unwrap().0;
        let mut watched = Watched::new(stream, Outflow::default(), PATIENCE);
        // More than both kernels hold: each mebibyte waits for the peer to have read some.
        let (mut read, written) = (vec![0; 1024 * 1024], vec![0; 1024 * 1024]);
        for _mebibyte in 0..32 {
            let (done, also) = tokio::join!(watched.write_all(&written), peer.read_exact(&mut read));
            assert!(done.is_ok() && also.is_ok());
        }
        let error = loop {
            if let Err(error) = watched.write_all(&written).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_flush_is_counted_and_the_limit_reaches_the_socket_with_the_next_write() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let outflow = Outflow::default();
        let mut watched = Watched::new(stream, outflow.clone(), PATIENCE);
        outflow.limit_unconfirmed(Duration::from_millis(1234));
        let before = outflow.flushes();
        watched.write_all(b"x").await.unwrap();
        assert_eq!(outflow.flushes(), before);
        watched.flush().await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), outflow.flushed_beyond(before)).await.unwrap();
        let set = SockRef::from(&watched.stream).tcp_user_timeout().unwrap();
        assert_eq!(set, Some(Duration::from_millis(1234)));
    }
}
