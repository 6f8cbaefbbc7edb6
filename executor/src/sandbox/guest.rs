//! The two kinds of guests behind one trait: components of the world `task`, and WASI commands.

use async_trait::async_trait;
use wasmtime::Store;

use super::Call;
use super::attempt::Answer;
use super::failure::Failure;
use super::state::{State, Stdio};

/// What a guest said, or why it is not understood.
pub(super) type Answered = Result<Answer, Failure>;

/// A module that is compiled and linked, ready to be run any number of times at once.
#[async_trait]
pub(super) trait Guest: Send + Sync {
    /// What its standard streams are in this call.
    ///
    /// # Errors
    /// When the input cannot be put in the form it reads.
    fn stdio(&self, call: &Call<'_>) -> Result<Stdio, Failure>;

    /// One attempt, in a fresh instance. Deadline, fuel and memory are the store's.
    ///
    /// # Errors
    /// What stopped it.
    ///
    /// # Cancel safety
    /// The guest is gone with the store when this is dropped.
    async fn run(
        &self,
        store: &mut Store<State>,
        call: &Call<'_>,
        stdio: Stdio,
    ) -> wasmtime::Result<Answered>;
}
