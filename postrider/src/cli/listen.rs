//! `postrider listen`: notifications on standard output, everything about them on standard error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use shared::recipient::Recipient;
use shared::shutdown::Shutdown;
use tokio::time::Instant;

use super::credentials::{DEFAULT_TENANT, Embedded, recipient, token};
use super::failure::{Code, Failure};
use super::print;
use crate::client::{Error, Incoming, Listener, Notification, Options, Transport};

/// How long a token lives that is made for one connection after the other.
const TOKEN_TTL: Duration = Duration::from_secs(3600);
/// The cursor file is written at most this often while notifications come.
const CURSOR_EVERY: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Whose notifications
    recipient: String,
    /// ws, sse or poll
    #[arg(long, default_value = "ws")]
    transport: Transport,
    /// The client token [default: one signed with the secret of --data-dir]
    #[arg(long, env = "POSTRIDER_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print each notification as one line of JSON
    #[arg(long)]
    json: bool,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Keep the cursor in this file, and start from the one that is there
    #[arg(long, value_name = "PATH")]
    cursor_file: Option<PathBuf>,
    /// Where the distributor is [default: the one of --data-dir]
    #[arg(long, env = "POSTRIDER_DISTRIBUTOR_URL")]
    url: Option<String>,
    #[command(flatten)]
    embedded: Embedded,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let recipient = recipient(DEFAULT_TENANT, &arguments.recipient)?;
    let mut cursor = Cursor::read(arguments.cursor_file.clone())?;
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let mut left = arguments.count.unwrap_or(u64::MAX);
    while left > 0 && !shutdown.has_begun() {
        let options = options(&arguments, &recipient, cursor.text.clone())?;
        let mut listener = Listener::new(options).map_err(refused)?;
        let ended = show(&mut listener, &mut left, arguments.json, &mut cursor, &shutdown).await;
        if let Some(text) = listener.cursor() {
            cursor.moved(text);
        }
        listener.close().await;
        cursor.write()?;
        match ended {
            // A token that this command signed itself is signed again.
            Err(Ended::Listening(Error::Refused { code, .. }))
                if code == "token-expired" && arguments.token.is_none() => {}
            Err(Ended::Listening(error)) => return Err(refused(error)),
            Err(Ended::Showing(error)) => return Err(error.into()),
            Ok(()) => {}
        }
    }
    Ok(())
}

enum Ended {
    Listening(Error),
    Showing(std::io::Error),
}

/// Shows what comes until `left` is zero or `shutdown`.
async fn show(
    listener: &mut Listener,
    left: &mut u64,
    json: bool,
    cursor: &mut Cursor,
    shutdown: &Shutdown,
) -> Result<(), Ended> {
    while *left > 0 {
        let incoming = tokio::select! {
            () = shutdown.begun() => return Ok(()),
            incoming = listener.next() => incoming.map_err(Ended::Listening)?,
        };
        match incoming {
            Incoming::Notification(notification) => {
                // Shown first, acknowledged after: a crash in between shows it twice rather than never.
                print::line(line(&notification, json)).map_err(Ended::Showing)?;
                listener.acknowledge(&notification.cursor);
                cursor.moved(&notification.cursor);
                *left -= 1;
            }
            Incoming::Gap(gap) => {
                let causes: Vec<String> =
                    gap.causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
                print::note(format_args!("these will never come: {}", print::harmless(&causes.join(", "))));
                listener.acknowledge(&gap.cursor);
                cursor.moved(&gap.cursor);
            }
            Incoming::Opened { session, stored, .. } => {
                let first = if stored { ", stored ones first" } else { "" };
                print::note(format_args!("connected, session {}{first}", print::harmless(&session)));
            }
            Incoming::Drained { count: 0 } => {}
            Incoming::Drained { count } => print::note(format_args!("that was all that was stored: {count}")),
            Incoming::Interrupted { why, retry_in } => {
                print::note(format_args!("{}; again in {} ms", print::harmless(&why), retry_in.as_millis()));
            }
        }
        cursor.write_sometimes().map_err(Ended::Showing)?;
    }
    Ok(())
}

fn options(arguments: &Arguments, recipient: &Recipient, cursor: Option<String>) -> Result<Options, Failure> {
    let token = match &arguments.token {
        Some(token) => token.clone(),
        None => token(recipient, TOKEN_TTL, &arguments.embedded.credentials("--token")?.token_secret)?,
    };
    let url = arguments.url.clone().unwrap_or_else(|| arguments.embedded.distributor());
    Ok(Options::new(url, token).over(arguments.transport).from_cursor(cursor))
}

fn line(notification: &Notification, json: bool) -> String {
    if json {
        return notification.frame.clone();
    }
    let content = match std::str::from_utf8(&notification.content) {
        Ok(text) => print::harmless(text),
        Err(_binary) => {
            format!(
                "<{} bytes of {}>",
                notification.content.len(),
                print::harmless(&notification.content_type)
            )
        }
    };
    format!("{} {} {content}", print::harmless(&notification.time), print::harmless(&notification.kind))
}

fn refused(error: Error) -> Failure {
    let code = match &error {
        Error::Refused { .. } => Code::Refused,
        Error::Address(_) => Code::Usage,
    };
    Failure::new(code, error)
}

/// Where this client stands, and the file that remembers it.
struct Cursor {
    file: Option<PathBuf>,
    text: Option<String>,
    changed: bool,
    written: Instant,
}

impl Cursor {
    fn read(file: Option<PathBuf>) -> Result<Self, Failure> {
        let text = match file.as_deref().map(std::fs::read_to_string) {
            Some(Ok(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Some(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            Some(Err(_)) | None => None,
        };
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if text.as_ref().is_some_and(|text| !text.bytes().all(sound)) {
            return Err(Failure::usage("the cursor file holds no cursor"));
        }
        Ok(Self { file, text, changed: false, written: Instant::now() })
    }

    fn moved(&mut self, to: &str) {
        if self.text.as_deref() != Some(to) {
            self.text = Some(to.to_owned());
            self.changed = true;
        }
    }

    fn write_sometimes(&mut self) -> std::io::Result<()> {
        if self.written.elapsed() >= CURSOR_EVERY { self.write() } else { Ok(()) }
    }

    /// All or nothing, so that a crash leaves the cursor before.
    fn write(&mut self) -> std::io::Result<()> {
        let (Some(file), Some(text), true) = (&self.file, &self.text, self.changed) else { return Ok(()) };
        let part: &Path = &file.with_extension("new");
        std::fs::write(part, text)?;
        std::fs::rename(part, file)?;
        self.changed = false;
        self.written = Instant::now();
        Ok(())
    }
}
