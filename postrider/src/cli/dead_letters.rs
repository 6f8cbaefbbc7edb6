//! `postrider dead-letters`: what can never be delivered; `remote` asks a receiver, as a producer, `direct` the store, as the
//! operator, who alone sees what names no tenant.

mod direct;
mod remote;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use postrider_receiver::http::{Changed, Letter, WholeLetter};
use shared::clock::Timestamp;
use shared::position::Position;
use shared::process::SettingsFlags;
use shared::recipient::{RecipientId, TenantId};
use shared::store::{DeadChange, DeadFilter, DeadState};

use self::direct::Direct;
use self::remote::Remote;
use super::credentials::Embedded;
use super::engines::Engines;
use super::failure::Failure;
use super::print;
use super::receiver::Access;

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// List them, the newest first
    List(List),
    /// Show one with its headers and its body
    Show(Show),
    /// Have them delivered again
    Requeue(Change),
    /// Forget them: headers and bodies are gone at once
    Discard(Change),
}

#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    which: Which,
    /// Most that are listed
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
pub(super) struct Show {
    /// The id that `list` shows
    id: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Args, Debug)]
pub(super) struct Change {
    /// Ids that `list` shows; or give filters, or --all
    ids: Vec<String>,
    #[command(flatten)]
    which: Which,
    /// All of them are meant
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    /// Only count
    #[arg(long, conflicts_with = "ids")]
    dry_run: bool,
    #[command(flatten)]
    place: Place,
}

/// Which dead letters.
#[derive(Args, Clone, Debug)]
struct Which {
    /// Of this recipient
    #[arg(long)]
    recipient: Option<String>,
    /// Whose code starts with this: malformed, misplaced, unsupported, refused, undecodable
    #[arg(long)]
    code: Option<String>,
    /// Dead-lettered then or later (RFC 3339)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Dead-lettered before then (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// dead, requeue_requested, requeued, expired or discarded
    #[arg(long)]
    state: Option<String>,
}

/// Where they are.
#[derive(Args, Debug)]
struct Place {
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    /// As the operator: ask the store of the settings, or of --data-dir, instead of a receiver
    #[arg(long, conflicts_with_all = ["url", "api_key"])]
    store: bool,
    /// With --store: only this tenant's
    #[arg(long, requires = "store")]
    tenant: Option<String>,
    #[command(flatten)]
    access: Access,
    /// Data directory of `postrider standalone`
    #[arg(long, value_name = "DIR")]
    data_dir: Option<std::path::PathBuf>,
    #[command(flatten)]
    settings: SettingsFlags,
}

/// Whom the command asks.
enum Desk {
    Remote(Remote),
    Direct(Direct),
}

impl Place {
    fn desk(&self) -> Result<Desk, Failure> {
        if self.store {
            let engines = Engines { data_dir: self.data_dir.clone(), settings: self.settings.clone() };
            return Ok(Desk::Direct(Direct { store: engines.store()?.dead_letters }));
        }
        let embedded = Embedded::at(self.data_dir.clone());
        Ok(Desk::Remote(Remote(self.access.receiver(&embedded)?)))
    }

    /// What is asked for, checked here so that a slip costs no way.
    fn filter(&self, which: &Which) -> Result<DeadFilter, Failure> {
        let wrong = |what: &str, why: &dyn std::fmt::Display| Failure::usage(format_args!("{what} {why}"));
        let time = |what: &str, text: &Option<String>| {
            let time = text.as_deref().map(Timestamp::parse_rfc3339).transpose();
            time.map_err(|error| wrong(what, &format_args!("is {error}")))
        };
        let state = |word: &str| {
            let words = DeadState::ALL.map(DeadState::as_str).join(", ");
            DeadState::parse(word).ok_or_else(|| wrong("state", &format_args!("is one of {words}")))
        };
        Ok(DeadFilter {
            tenant: self
                .tenant
                .as_deref()
                .map(TenantId::parse)
                .transpose()
                .map_err(|error| wrong("tenant", &error))?,
            position: None,
            recipient: which
                .recipient
                .as_deref()
                .map(RecipientId::parse)
                .transpose()
                .map_err(|error| wrong("recipient", &error))?,
            code_prefix: which.code.clone(),
            from: time("from", &which.from)?,
            until: time("until", &which.until)?,
            state: which.state.as_deref().map(state).transpose()?,
        })
    }
}

pub(super) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments).await,
        Command::Show(arguments) => show(arguments).await,
        Command::Requeue(arguments) => change(arguments, DeadChange::Requeue).await,
        Command::Discard(arguments) => change(arguments, DeadChange::Discard).await,
    }
}

async fn list(arguments: List) -> Result<(), Failure> {
    let List { which, limit, place } = arguments;
    let (filter, desk) = (place.filter(&which)?, place.desk()?);
    let letters = match &desk {
        Desk::Remote(remote) => remote.list(&filter, limit).await?,
        Desk::Direct(direct) => direct.list(&filter, limit).await?,
    };
    for letter in &letters {
        if place.json {
            print::line(serde_json::to_string(letter)?)?;
        } else {
            print::line(line(letter))?;
        }
    }
    if letters.len() >= usize::try_from(limit)? {
        print::note(format_args!("the newest {limit} only; there may be more"));
    }
    Ok(())
}

async fn show(arguments: Show) -> Result<(), Failure> {
    let (position, desk) = (position(&arguments.id)?, arguments.place.desk()?);
    let whole = match &desk {
        Desk::Remote(remote) => remote.show(position).await?,
        Desk::Direct(direct) => direct.show(&arguments.place.filter(&Which::none())?, position).await?,
    };
    if arguments.place.json {
        return Ok(print::line(serde_json::to_string(&whole)?)?);
    }
    print_whole(&whole)
}

async fn change(arguments: Change, change: DeadChange) -> Result<(), Failure> {
    let Change { ids, which, all, dry_run, place } = arguments;
    let mut filter = place.filter(&which)?;
    let narrowed = DeadFilter { tenant: None, ..filter.clone() } != DeadFilter::default();
    if ids.is_empty() != (narrowed || all) {
        return Err(Failure::usage("say which: ids, or filters, or --all"));
    }
    if change == DeadChange::Requeue && filter.state.is_some() {
        return Err(Failure::usage("a requeue takes what is dead, whatever --state says: leave it out"));
    }
    let positions = ids.iter().map(|id| position(id)).collect::<Result<Vec<_>, _>>()?;
    let desk = place.desk()?;
    for position in positions {
        let letter = match &desk {
            Desk::Remote(remote) => remote.change_one(position, change).await?,
            Desk::Direct(direct) => direct.change_one(&filter, position, change).await?,
        };
        print::line(if place.json { serde_json::to_string(&letter)? } else { line(&letter) })?;
    }
    if !ids.is_empty() {
        return Ok(());
    }
    filter.state.get_or_insert(DeadState::Dead);
    let changed = match &desk {
        Desk::Remote(remote) => remote.change_many(&filter, change, dry_run).await?,
        Desk::Direct(direct) => direct.change_many(&filter, change, dry_run).await?,
    };
    if place.json {
        return Ok(print::line(serde_json::to_string(&changed)?)?);
    }
    let Changed { count, more, .. } = changed;
    let or_more = if more { " or more" } else { "" };
    Ok(print::line(match (change, dry_run) {
        (DeadChange::Requeue, true) => format!("{count}{or_more} would be requeued"),
        (DeadChange::Discard, true) => format!("{count}{or_more} would be discarded"),
        (DeadChange::Requeue, false) => format!("{count} will be requeued"),
        (DeadChange::Discard, false) => format!("{count} discarded"),
    })?)
}

impl Which {
    const fn none() -> Self {
        Self { recipient: None, code: None, from: None, until: None, state: None }
    }
}

fn position(id: &str) -> Result<Position, Failure> {
    id.parse().map_err(|error| Failure::usage(format_args!("{} {error}", print::harmless(id))))
}

fn line(letter: &Letter) -> String {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let cells = [
        letter.id.clone(),
        letter.time.clone(),
        letter.state.clone(),
        letter.code.clone(),
        or_dash(&letter.tenant),
        or_dash(&letter.recipient),
        or_dash(&letter.notification),
        letter.detail.clone(),
    ];
    cells.map(|cell| print::harmless(&cell).replace(['\n', '\t'], " ")).join("\t")
}

fn print_whole(whole: &WholeLetter) -> Result<(), Failure> {
    let letter = &whole.letter;
    let said = |name: &str, value: &str| print::line(format_args!("{name:<14}{}", print::harmless(value)));
    said("id", &letter.id)?;
    said("state", &format!("{} since {}", letter.state, letter.changed))?;
    said("reason", &format!("{}: {}", letter.code, letter.detail))?;
    said("dead-lettered", &letter.time)?;
    said("key", &whole.key)?;
    for (name, value) in [("notification", &letter.notification), ("changed by", &letter.changed_by)] {
        if let Some(value) = value {
            said(name, value)?;
        }
    }
    let at = &letter.coordinates;
    let topic = at.topic.as_deref().unwrap_or("(not ours)");
    let place = format!("{topic} partition {} offset {} epoch {}", at.partition, at.offset, at.epoch);
    said("stood at", &place)?;
    if let Some(at) = &letter.requeued_at {
        said("stands at", &format!("partition {} offset {} epoch {}", at.partition, at.offset, at.epoch))?;
    }
    said("requeueable", if letter.requeueable { "yes" } else { "no" })?;
    if letter.cut {
        said("cut", "body or headers are missing: the log did not take them a second time")?;
    }
    for header in &whole.headers {
        let value = header.value.as_deref().or(header.value_base64.as_deref()).unwrap_or_default();
        print::line(format_args!("  {}: {}", print::harmless(&header.name), print::harmless(value)))?;
    }
    let body = match (&whole.body, &whole.body_base64) {
        (Some(json), _) => json.get().to_owned(),
        (None, Some(bytes)) => {
            let text = STANDARD.decode(bytes).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            text.unwrap_or_else(|| format!("(base64) {bytes}"))
        }
        (None, None) => String::new(),
    };
    Ok(print::line(print::harmless(&body))?)
}
