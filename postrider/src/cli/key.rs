//! `postrider key`: producers' API keys.

use std::time::Duration;

use clap::{Args, Subcommand};
use shared::clock::{Clock as _, SystemClock, Timestamp};
use shared::credential::ApiSecret;
use shared::recipient::TenantId;
use shared::store::ApiKey;

use super::credentials::DEFAULT_TENANT;
use super::engines::Engines;
use super::failure::{Code, Failure};
use super::print;

/// Most keys in a list.
const LISTED: u32 = 1000;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Make a key and print its secret, which is shown this once
    Create(Create),
    /// List keys
    List(List),
    /// Revoke a key
    Revoke(Revoke),
}

#[derive(Args, Debug)]
pub(super) struct Create {
    #[arg(long, default_value = DEFAULT_TENANT)]
    tenant: String,
    /// What it is for
    #[arg(long, default_value = "")]
    label: String,
    /// How many days it is good [default: until it is revoked]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    #[command(flatten)]
    engines: Engines,
}

#[derive(Args, Debug)]
pub(super) struct List {
    /// Only this tenant's
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    engines: Engines,
}

#[derive(Args, Debug)]
pub(super) struct Revoke {
    /// The id that `create` and `list` show, or the secret itself
    id: String,
    #[command(flatten)]
    engines: Engines,
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create(arguments).await,
        Command::List(arguments) => list(arguments).await,
        Command::Revoke(arguments) => revoke(arguments).await,
    }
}

async fn create(arguments: Create) -> Result<(), Failure> {
    let tenant = tenant(&arguments.tenant)?;
    let now = SystemClock.now();
    let day = Duration::from_secs(24 * 3600);
    let expires = arguments.days.map(|days| now.after(day * days));
    let (key, secret) = ApiSecret::generate(tenant, arguments.label, now, expires);
    let store = arguments.engines.store()?;
    store.keys.create_key(&key).await.map_err(Failure::engine)?;
    print::note(format_args!("key {} of tenant {}; its secret is shown this once:", key.id, key.tenant));
    Ok(print::line(secret.text().expose())?)
}

async fn list(arguments: List) -> Result<(), Failure> {
    let tenant = arguments.tenant.as_deref().map(tenant).transpose()?;
    let store = arguments.engines.store()?;
    let keys = store.keys.list_keys(tenant.as_ref(), LISTED).await.map_err(Failure::engine)?;
    let now = SystemClock.now();
    for key in &keys {
        print::line(line(key, now))?;
    }
    if keys.len() == LISTED as usize {
        print::note(format_args!("the first {LISTED} only"));
    }
    Ok(())
}

async fn revoke(arguments: Revoke) -> Result<(), Failure> {
    let id = match ApiSecret::parse(&arguments.id) {
        Ok(secret) => secret.id().to_owned(),
        Err(_no_secret) => arguments.id,
    };
    let store = arguments.engines.store()?;
    if !store.keys.revoke_key(&id, SystemClock.now()).await.map_err(Failure::engine)? {
        return Err(Failure::new(Code::Failed, anyhow::anyhow!("there is no key {}", print::harmless(&id))));
    }
    Ok(print::line(format_args!("{id} is revoked; receivers heed it once their cached copy is stale"))?)
}

fn tenant(text: &str) -> Result<TenantId, Failure> {
    TenantId::parse(text).map_err(|error| Failure::usage(format_args!("tenant {text:?} {error}")))
}

fn line(key: &ApiKey, now: Timestamp) -> String {
    let state = match (key.revoked, key.expires) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("good until {at}"),
        (None, None) => "good".into(),
    };
    format!("{}\t{}\t{}\t{state}\t{}", key.id, key.tenant, key.created, print::harmless(&key.label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_with_what_it_is_still_good_for() {
        let at = Timestamp::from_millis;
        let (mut key, _) =
            ApiSecret::generate(TenantId::parse("acme").unwrap(), "ci".into(), at(0), Some(at(10)));
        assert!(line(&key, at(5)).contains("good until"));
        assert!(line(&key, at(10)).contains("expired"));
        key.revoked = Some(at(3));
        assert!(line(&key, at(5)).contains("revoked"));
    }
}
