//! Stopping in order: one signal, heard by all, and a deadline after which nobody waits.

use tokio_util::sync::CancellationToken;

/// Heard by everything that runs. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// One that nobody has called yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls it: everything that listens stops.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Whether it was called.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until it is called.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    /// A shutdown that is called with this one, or alone.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// Calls it on SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When the process may not listen to signals.
    pub fn on_signals(&self) -> std::io::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let token = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = token.cancelled() => {}
            }
            token.cancel();
        });
        Ok(())
    }
}
