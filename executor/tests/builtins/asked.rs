//! Asking a built-in something.

use std::sync::Arc;

use bytes::Bytes;
use postrider_executor::sandbox::{Answer, Grants, Input, Output, Report};
use postrider_executor::{SandboxSettings, builtins};
use serde_json::Value;
use shared::notification::ContentType;
use shared::task::ModuleName;

use crate::world::{World, input};

/// A built-in and a sandbox to ask it in.
pub(crate) struct Builtin {
    world: World,
    wasm: &'static [u8],
}

impl Builtin {
    pub(crate) fn named(name: &str) -> Self {
        Self::within(name, SandboxSettings::default())
    }

    /// In a sandbox of its own. What it compiled is there for the next one, as after a restart.
    pub(crate) fn within(name: &str, mut settings: SandboxSettings) -> Self {
        settings.modules.directory = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/compiled").into());
        let (_digest, builtin) = builtins::find(&ModuleName::parse(name).unwrap()).unwrap();
        Self { world: World::new(settings), wasm: builtin.wasm }
    }

    /// One attempt with this configuration as its grant, if there is any.
    pub(crate) async fn report(&self, config: &Value, input: &Input) -> Report {
        let constants = config.as_object().unwrap().iter();
        let constants = constants.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()));
        let grants = Grants { config: Some(Arc::new(constants.collect())), ..Grants::default() };
        self.world.run_with(self.wasm, &grants, input).await
    }

    /// Its outputs for this input.
    pub(crate) async fn outputs_for(&self, config: &Value, input: &Input) -> Vec<Output> {
        let report = self.report(config, input).await;
        match report.answer {
            Ok(Answer::Done(outputs)) => outputs,
            other => panic!("{other:?}"),
        }
    }

    /// The one output for this input.
    pub(crate) async fn output_for(&self, config: &Value, input: &Input) -> Output {
        let outputs = self.outputs_for(config, input).await;
        let [output] = <[Output; 1]>::try_from(outputs).unwrap();
        output
    }

    /// The content of the one output for this JSON content.
    pub(crate) async fn content(&self, config: &Value, content: &str) -> Value {
        json_of(&self.output_for(config, &input(content)).await)
    }

    /// Why it rejects this JSON content.
    pub(crate) async fn refusal(&self, config: &Value, content: &str) -> String {
        self.refusal_of(config, &input(content)).await
    }

    pub(crate) async fn refusal_of(&self, config: &Value, input: &Input) -> String {
        let report = self.report(config, input).await;
        match report.answer {
            Ok(Answer::Rejected { reason }) => reason,
            other => panic!("{other:?}"),
        }
    }
}

pub(crate) fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.content).unwrap()
}

/// An input with content of this type.
pub(crate) fn typed(content_type: &str, content: impl Into<Bytes>) -> Input {
    let mut input = input("{}");
    input.notification.content_type = ContentType::parse(content_type).unwrap();
    input.notification.content = content.into();
    input
}
