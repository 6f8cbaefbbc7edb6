//! A guest that is a WASI command: a core module with `_start` and the imports of `wasi_snapshot_preview1`, which any
//! language can make. It reads one JSON object on standard input and answers with one on standard output.

mod wire;

use async_trait::async_trait;
use wasmtime::{Engine, ExternType, InstancePre, Linker, Module, Store};
use wasmtime_wasi::{I32Exit, p1};

use super::Call;
use super::failure::Failure;
use super::guest::{Answered, Guest};
use super::state::{State, Stdio};
use super::stream::Said;

/// How a command exits that wants another attempt: `EX_TEMPFAIL` of `sysexits.h`.
const TEMPORARY: i32 = 75;

const START: &str = "_start";

/// A command, linked.
pub(super) struct Linked(InstancePre<State>);

/// Checks that `module` is a command that needs nothing but WASI.
///
/// # Errors
/// [`Failure::InvalidModule`].
pub(super) fn link(engine: &Engine, module: &Module) -> Result<Linked, Failure> {
    let invalid = |error: wasmtime::Error| Failure::InvalidModule(format!("{error:#}"));
    let starts = match module.get_export(START) {
        Some(ExternType::Func(start)) => start.params().len() == 0 && start.results().len() == 0,
        Some(_) | None => false,
    };
    if !starts {
        return Err(Failure::InvalidModule(format!(
            "has no function {START} without parameters and results"
        )));
    }
    let mut linker = Linker::new(engine);
    p1::add_to_linker_async(&mut linker, |state: &mut State| &mut state.wasi).map_err(invalid)?;
    Ok(Linked(linker.instantiate_pre(module).map_err(invalid)?))
}

#[async_trait]
impl Guest for Linked {
    fn stdio(&self, call: &Call<'_>) -> Result<Stdio, Failure> {
        let said = Said::new(call.settings.output_bytes);
        Ok(Stdio::Command { input: wire::lower(call)?, said })
    }

    async fn run(
        &self,
        store: &mut Store<State>,
        call: &Call<'_>,
        stdio: Stdio,
    ) -> wasmtime::Result<Answered> {
        let Stdio::Command { said, .. } = stdio else {
            return Ok(Err(Failure::Host("a command without its standard streams".to_owned())));
        };
        let instance = self.0.instantiate_async(&mut *store).await?;
        let start = instance.get_typed_func::<(), ()>(&mut *store, START)?;
        let code = match start.call_async(&mut *store, ()).await {
            Ok(()) => 0,
            Err(error) => match error.downcast_ref::<I32Exit>() {
                Some(exit) => exit.0,
                None => return Err(error),
            },
        };
        let measure = call.measure();
        let last = store.data().log.last_words();
        let reason = || last.clone().unwrap_or_else(|| format!("exited with code {code}"));
        Ok(match code {
            0 => wire::lift(&measure, &said.finish()),
            TEMPORARY => Ok(measure.retry(&reason(), None)),
            _failed => Ok(measure.rejected(&reason())),
        })
    }
}
