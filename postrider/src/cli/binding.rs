//! `postrider binding`: which notifications are enriched by which module, by a receiver's API, with a producer's key.

use clap::{Args, Subcommand};
use postrider_receiver::http::Binding;
use reqwest::Method;

use super::desk::{Desk, segment};
use super::failure::Failure;
use super::print;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Bind a module to the notifications of a type
    Put(Put),
    /// List them
    List(List),
    /// Remove one
    Delete(Named),
}

#[derive(Args, Debug)]
pub(super) struct Put {
    /// Its name
    name: String,
    /// A notification's type, or the beginning of one and `*`
    #[arg(long = "type", value_name = "TYPE")]
    kind: String,
    /// The module: `name`, or `name@version`, where the version may be an alias
    #[arg(long)]
    module: String,
    /// Most milliseconds that a notification is held back [default: 2000]
    #[arg(long, value_name = "MS")]
    deadline_ms: Option<u64>,
    /// What becomes of it otherwise: deliver_plain, retry or dead_letter [default: deliver_plain]
    #[arg(long, value_name = "WORD")]
    on_timeout: Option<String>,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct Named {
    /// The name that `list` shows
    name: String,
    #[command(flatten)]
    desk: Desk,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Put(arguments) => put(arguments).await,
        Command::List(List { desk }) => list(desk).await,
        Command::Delete(Named { name, desk }) => {
            desk.call(Method::DELETE, &format!("/v1/bindings/{}", segment(&name)?)).await.map(drop)
        }
    }
}

async fn put(arguments: Put) -> Result<(), Failure> {
    let Put { name, kind, module, deadline_ms, on_timeout, desk } = arguments;
    let asked = serde_json::json!({"type": kind, "module": module, "deadline_ms": deadline_ms, "on_timeout": on_timeout});
    let receiver = desk.receiver()?;
    let request = receiver.request(Method::PUT, &format!("/v1/bindings/{}", segment(&name)?)).json(&asked);
    let body = receiver.answer(request).await?;
    if desk.json { Desk::print(&body) } else { print_binding(&serde_json::from_slice(&body)?) }
}

async fn list(desk: Desk) -> Result<(), Failure> {
    let mut all: serde_json::Value = serde_json::from_slice(&desk.call(Method::GET, "/v1/bindings").await?)?;
    let bindings = all.get_mut("bindings").map(serde_json::Value::take).unwrap_or_default();
    for binding in serde_json::from_value::<Vec<Binding>>(bindings)? {
        if desk.json { print::line(serde_json::to_string(&binding)?)? } else { print_binding(&binding)? }
    }
    Ok(())
}

fn print_binding(binding: &Binding) -> Result<(), Failure> {
    let deadline = format!("{} ms", binding.deadline_ms);
    Ok(print::cells(&[
        Some(&binding.name),
        Some(&binding.kind),
        Some(&binding.module),
        Some(&deadline),
        Some(&binding.on_timeout),
    ])?)
}
