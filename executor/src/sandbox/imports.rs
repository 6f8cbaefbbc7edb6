//! What the interfaces of `postrider:task` do when a guest calls them. Nothing here can fail the host: a call that is too
//! much answers so.

use bytes::Bytes;
use wasmtime::component::HasSelf;

use super::attempt::Level;
use super::bindings::postrider::task::key_value::Error;
use super::bindings::postrider::task::{clock, config, key_value, log, types};
use super::grants::Interfaces;
use super::key_value::{self as port, Expected, Space};
use super::state::{KeyValueCalls, State};

type Linker = wasmtime::component::Linker<State>;

/// Puts in what every task has, and what this one was granted.
pub(super) fn link(linker: &mut Linker, interfaces: Interfaces) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    if interfaces.config {
        config::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    }
    if interfaces.key_value {
        key_value::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    }
    if interfaces.clock {
        clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    }
    Ok(())
}

impl types::Host for State {}

impl config::Host for State {
    fn get(&mut self, key: String) -> Option<String> {
        self.config.as_ref()?.get(&key).cloned()
    }
}

impl clock::Host for State {
    fn now(&mut self) -> u64 {
        self.clock.now().as_millis()
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, text: String) {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.log.write(level, &text);
    }
}

impl From<port::Error> for Error {
    fn from(error: port::Error) -> Self {
        match error {
            port::Error::Conflict => Self::Conflict,
            port::Error::Full => Self::Full,
            port::Error::Unavailable => Self::Unavailable,
        }
    }
}

fn expected(version: Option<u64>) -> Expected {
    match version {
        None => Expected::Anything,
        Some(0) => Expected::Nothing,
        Some(version) => Expected::Version(version),
    }
}

impl KeyValueCalls {
    /// One call less; the space it goes to.
    fn begin(&mut self, key: &str, value_bytes: usize) -> Result<Space, Error> {
        if key.len() > self.key_bytes || value_bytes > self.value_bytes {
            return Err(Error::TooLarge);
        }
        self.left = self.left.checked_sub(1).ok_or(Error::Full)?;
        // The interface is not there without the grant.
        self.space.clone().ok_or(Error::Unavailable)
    }
}

impl key_value::Host for State {
    async fn get(&mut self, key: String) -> Result<Option<key_value::Entry>, Error> {
        let calls = &mut self.key_value;
        let space = calls.begin(&key, 0)?;
        let found = calls.store.get(&space, &key).await?;
        Ok(found.map(|entry| key_value::Entry { value: entry.value.to_vec(), version: entry.version }))
    }

    async fn set(&mut self, key: String, value: Vec<u8>, version: Option<u64>) -> Result<u64, Error> {
        let calls = &mut self.key_value;
        let space = calls.begin(&key, value.len())?;
        Ok(calls.store.set(&space, &key, Bytes::from(value), expected(version)).await?)
    }

    async fn delete(&mut self, key: String, version: Option<u64>) -> Result<(), Error> {
        let calls = &mut self.key_value;
        let space = calls.begin(&key, 0)?;
        Ok(calls.store.delete(&space, &key, expected(version)).await?)
    }
}
