//! `postrider module`: modules and their aliases, by a receiver's API, with a producer's key.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use postrider_receiver::http::{Alias, ModuleShown};
use reqwest::Method;

use super::desk::{Desk, segment};
use super::failure::Failure;
use super::{pages, print};

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Put a version there; it never changes afterwards
    Put(Put),
    /// List all versions, by name, the newest first
    List(List),
    /// Show a version and its module's aliases, as JSON
    Show(Named),
    /// Let an alias stand for a version
    Alias(SetAlias),
    /// Let an alias stand for what it stood for before
    Rollback(Rollback),
    /// Remove a version
    Delete(Named),
}

#[derive(Args, Debug)]
pub(super) struct Put {
    /// `name@version`
    module: String,
    /// The WASM: a component of the world `postrider:task/task`, or a WASI command
    file: PathBuf,
    /// A file with its settings, JSON: grants, limits, the schema of its input
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct List {
    /// Of this module only
    #[arg(long)]
    name: Option<String>,
    /// Most that are listed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct Named {
    /// `name@version`
    module: String,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct SetAlias {
    /// `name@version`
    module: String,
    /// The alias; what is live counts when no version is named
    #[arg(default_value = shared::task::LIVE)]
    alias: String,
    #[command(flatten)]
    desk: Desk,
}

#[derive(Args, Debug)]
pub(super) struct Rollback {
    /// The module's name
    module: String,
    /// The alias
    #[arg(default_value = shared::task::LIVE)]
    alias: String,
    #[command(flatten)]
    desk: Desk,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Put(arguments) => put(arguments).await,
        Command::List(arguments) => list(arguments).await,
        Command::Show(Named { module, desk }) => {
            Desk::print(&desk.call(Method::GET, &format!("/v1/modules/{}", segment(&module)?)).await?)
        }
        Command::Alias(arguments) => set_alias(arguments).await,
        Command::Rollback(Rollback { module, alias, desk }) => {
            let path = format!("/v1/modules/{}/aliases/{}/rollback", segment(&module)?, segment(&alias)?);
            print_alias(&desk, &desk.call(Method::POST, &path).await?)
        }
        Command::Delete(Named { module, desk }) => {
            desk.call(Method::DELETE, &format!("/v1/modules/{}", segment(&module)?)).await.map(drop)
        }
    }
}

async fn put(arguments: Put) -> Result<(), Failure> {
    let Put { module, file, settings, desk } = arguments;
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| Failure::usage(format_args!("{}: {error}", path.display())))
    };
    // The settings stand in front of the module.
    let mut body = settings.as_ref().map(read).transpose()?.unwrap_or_default();
    body.extend(read(&file)?);
    let receiver = desk.receiver()?;
    let request = receiver
        .request(Method::PUT, &format!("/v1/modules/{}", segment(&module)?))
        .header("content-type", "application/wasm")
        .body(body);
    let body = receiver.answer(request).await?;
    if desk.json { Desk::print(&body) } else { print_module(&serde_json::from_slice(&body)?) }
}

async fn list(arguments: List) -> Result<(), Failure> {
    let List { name, limit, desk } = arguments;
    let receiver = desk.receiver()?;
    let found: Vec<ModuleShown> =
        pages::first(&receiver, "/v1/modules", "modules", &[("name", name)], limit).await?;
    for module in &found {
        if desk.json { print::line(serde_json::to_string(module)?)? } else { print_module(module)? }
    }
    pages::note_more(found.len(), limit);
    Ok(())
}

async fn set_alias(arguments: SetAlias) -> Result<(), Failure> {
    let SetAlias { module, alias, desk } = arguments;
    let Some((name, version)) = module.split_once('@') else {
        return Err(Failure::usage("say which version: name@version"));
    };
    let path = format!("/v1/modules/{}/aliases/{}", segment(name)?, segment(&alias)?);
    let receiver = desk.receiver()?;
    let request = receiver.request(Method::PUT, &path).json(&serde_json::json!({"version": version}));
    print_alias(&desk, &receiver.answer(request).await?)
}

fn print_module(module: &ModuleShown) -> Result<(), Failure> {
    let (name, size) = (format!("{}@{}", module.name, module.version), module.size_bytes.to_string());
    Ok(print::cells(&[Some(&name), Some(&module.digest), Some(&size), Some(&module.created)])?)
}

fn print_alias(desk: &Desk, body: &[u8]) -> Result<(), Failure> {
    if desk.json {
        return Desk::print(body);
    }
    let alias: Alias = serde_json::from_slice(body)?;
    let cells =
        [Some(&*alias.alias), Some(&*alias.version), alias.previous.as_deref(), Some(&*alias.changed)];
    Ok(print::cells(&cells)?)
}
