//! `postrider send`: one notification, by `POST /v1/to/{recipient}`.

use std::io::Read as _;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use shared::process::chain;

use super::credentials::Embedded;
use super::failure::{Code, Failure};
use super::print;

/// Largest content that is read: above what any receiver takes, so that its own refusal is what one sees.
const CONTENT_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Whom it is for
    recipient: String,
    /// What it says; `-`, or nothing, reads standard input
    #[arg(default_value = "-")]
    content: String,
    /// What kind of thing happened, for example order.shipped
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// How long it is worth delivering, in seconds
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// very-low, low, normal or high
    #[arg(long)]
    urgency: Option<String>,
    /// Media type of the content [default: application/json if it is JSON after --json, else text/plain]
    #[arg(long, value_name = "TYPE", conflicts_with = "json")]
    content_type: Option<String>,
    /// The content is JSON; it is checked before it is sent
    #[arg(long)]
    json: bool,
    /// Where the receiver is [default: the one of --data-dir]
    #[arg(long, env = "POSTRIDER_URL")]
    url: Option<String>,
    /// The producer's key [default: the one of --data-dir]
    #[arg(long, env = "POSTRIDER_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
    #[command(flatten)]
    embedded: Embedded,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    title: String,
    detail: Option<String>,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    // A name that breaks the grammar would be another path.
    let recipient = super::credentials::recipient(super::credentials::DEFAULT_TENANT, &arguments.recipient)?;
    let content = content(&arguments)?;
    let api_key = match &arguments.api_key {
        Some(key) => key.clone(),
        None => arguments.embedded.credentials("--api-key")?.api_key.expose().to_owned(),
    };
    let url = arguments.url.clone().unwrap_or_else(|| arguments.embedded.receiver());
    crate::tls::install();
    let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let media = match (&arguments.content_type, arguments.json) {
        (Some(media), _) => media.as_str(),
        (None, true) => "application/json",
        (None, false) if std::str::from_utf8(&content).is_ok() => "text/plain; charset=utf-8",
        (None, false) => "application/octet-stream",
    };
    let mut request = http
        .post(format!("{}/v1/to/{}", url.trim_end_matches('/'), recipient.id))
        .bearer_auth(api_key)
        .header("content-type", media)
        .body(content);
    let ttl = arguments.ttl.map(|seconds| seconds.to_string());
    for (name, value) in [("postrider-type", &arguments.kind), ("ttl", &ttl), ("urgency", &arguments.urgency)]
    {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let answer = request.send().await.map_err(|error| unanswered(&url, error))?;
    let (status, body) = (answer.status(), answer.bytes().await.map_err(|error| unanswered(&url, error))?);
    if status.is_success() {
        let accepted: Accepted = serde_json::from_slice(&body)?;
        return Ok(print::line(accepted.id)?);
    }
    Err(refused(status, &body))
}

fn content(arguments: &Arguments) -> Result<Vec<u8>, Failure> {
    let content = match arguments.content.as_str() {
        "-" => {
            let mut content = Vec::new();
            std::io::stdin().lock().take(CONTENT_BYTES).read_to_end(&mut content)?;
            content
        }
        text => text.as_bytes().to_vec(),
    };
    if arguments.json {
        serde_json::from_slice::<serde::de::IgnoredAny>(&content)
            .map_err(|error| Failure::usage(format_args!("the content is not JSON: {error}")))?;
    }
    Ok(content)
}

fn unanswered(url: &str, error: reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::usage(chain(&error));
    }
    let why = chain(&error.without_url());
    Failure::new(Code::Unreachable, anyhow::anyhow!("no answer from {url}: {why}"))
}

fn refused(status: reqwest::StatusCode, body: &[u8]) -> Failure {
    let text = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => format!("{}: {}", problem.code, problem.detail.unwrap_or(problem.title)),
        Err(_not_ours) => status.to_string(),
    };
    let code = if status.is_server_error() { Code::Unreachable } else { Code::Refused };
    Failure::new(code, anyhow::anyhow!("not accepted: {}", print::harmless(&text)))
}
