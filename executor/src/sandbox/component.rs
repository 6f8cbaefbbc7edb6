//! A guest that is a component of the world `postrider:task/task`.

use async_trait::async_trait;
use bytes::Bytes;
use shared::notification::Urgency;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};

use super::attempt::Input;
use super::bindings::postrider::task::types;
use super::bindings::{Task, TaskPre};
use super::failure::Failure;
use super::grants::Interfaces;
use super::guest::{Answered, Guest};
use super::outputs::{Measure, Stated};
use super::state::{State, Stdio};
use super::{Call, imports};

/// A component, linked with what it was granted.
pub(super) struct Linked(TaskPre<State>);

/// Checks that `component` is a task that needs nothing but what is granted.
///
/// # Errors
/// [`Failure::Denied`] for an import without its grant, [`Failure::InvalidModule`] for anything else that does not fit.
pub(super) fn link(
    engine: &Engine,
    component: &Component,
    interfaces: Interfaces,
) -> Result<Linked, Failure> {
    let imports = component.component_type();
    for (name, _) in imports.imports(engine) {
        granted(name, interfaces)?;
    }
    let invalid = |error: wasmtime::Error| Failure::InvalidModule(format!("{error:#}"));
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(invalid)?;
    if interfaces.http {
        wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker).map_err(invalid)?;
    }
    imports::link(&mut linker, interfaces).map_err(invalid)?;
    let linked = linker.instantiate_pre(component).map_err(invalid)?;
    Ok(Linked(TaskPre::new(linked).map_err(invalid)?))
}

fn granted(import: &str, interfaces: Interfaces) -> Result<(), Failure> {
    let name = import.split('@').next().unwrap_or(import);
    let there = match name {
        "postrider:task/config" => interfaces.config,
        "postrider:task/key-value" => interfaces.key_value,
        "postrider:task/clock" => interfaces.clock,
        "wasi:http/outgoing-handler" | "wasi:http/types" => interfaces.http,
        _linked_or_not => true,
    };
    if there { Ok(()) } else { Err(Failure::Denied(import.to_owned())) }
}

#[async_trait]
impl Guest for Linked {
    fn stdio(&self, _call: &Call<'_>) -> Result<Stdio, Failure> {
        Ok(Stdio::Log)
    }

    async fn run(
        &self,
        store: &mut Store<State>,
        call: &Call<'_>,
        _stdio: Stdio,
    ) -> wasmtime::Result<Answered> {
        let input = lower(call);
        let task: Task = self.0.instantiate_async(&mut *store).await?;
        let answer = task.call_run(store, &input).await?;
        Ok(lift(&call.measure(), answer))
    }
}

fn lower(call: &Call<'_>) -> types::Input {
    let Input { notification, attempt, idempotency_token } = call.input;
    types::Input {
        id: notification.id.to_string(),
        tenant: notification.recipient.tenant.to_string(),
        recipient: notification.recipient.id.to_string(),
        source: notification.source.clone(),
        type_: notification.kind.to_string(),
        content_type: notification.content_type.to_string(),
        content: notification.content.to_vec(),
        metadata: notification.metadata.clone(),
        urgency: match notification.urgency {
            Urgency::VeryLow => types::Urgency::VeryLow,
            Urgency::Low => types::Urgency::Low,
            Urgency::Normal => types::Urgency::Normal,
            Urgency::High => types::Urgency::High,
        },
        accepted: notification.time.as_millis(),
        expires: notification.expires.as_millis(),
        attempt: *attempt,
        time_limit_ms: call.time_limit_ms(),
        idempotency_token: idempotency_token.clone(),
        traceparent: notification.trace.parent.clone(),
    }
}

fn lift(measure: &Measure<'_>, answer: Result<Vec<types::Output>, types::Failure>) -> Answered {
    match answer {
        Ok(outputs) => measure.done(outputs.into_iter().map(stated).collect()),
        Err(types::Failure::Retry(retry)) => Ok(measure.retry(&retry.reason, retry.after_ms)),
        Err(types::Failure::Reject(reason)) => Ok(measure.rejected(&reason)),
    }
}

fn stated(output: types::Output) -> Stated {
    Stated {
        recipient: output.recipient,
        kind: output.type_,
        content_type: output.content_type,
        content: Bytes::from(output.content),
        metadata: output.metadata,
        urgency: output.urgency.map(|urgency| match urgency {
            types::Urgency::VeryLow => Urgency::VeryLow,
            types::Urgency::Low => Urgency::Low,
            types::Urgency::Normal => Urgency::Normal,
            types::Urgency::High => Urgency::High,
        }),
        ttl_ms: output.ttl_ms,
    }
}
