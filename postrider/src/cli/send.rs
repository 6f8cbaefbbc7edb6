//! `postrider send`: one notification, by `POST /v1/to/{recipient}`.

use std::io::Read as _;

use clap::Args;
use serde::Deserialize;

use super::credentials::Embedded;
use super::failure::Failure;
use super::print;
use super::receiver::Access;

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
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    embedded: Embedded,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    // A name that breaks the grammar would be another path.
    let recipient = super::credentials::recipient(super::credentials::DEFAULT_TENANT, &arguments.recipient)?;
    let content = content(&arguments)?;
    let receiver = arguments.access.receiver(&arguments.embedded)?;
    let media = match (&arguments.content_type, arguments.json) {
        (Some(media), _) => media.as_str(),
        (None, true) => "application/json",
        (None, false) if std::str::from_utf8(&content).is_ok() => "text/plain; charset=utf-8",
        (None, false) => "application/octet-stream",
    };
    let mut request = receiver
        .request(reqwest::Method::POST, &format!("/v1/to/{}", recipient.id))
        .header("content-type", media)
        .body(content);
    let ttl = arguments.ttl.map(|seconds| seconds.to_string());
    for (name, value) in [("postrider-type", &arguments.kind), ("ttl", &ttl), ("urgency", &arguments.urgency)]
    {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    let accepted: Accepted = serde_json::from_slice(&receiver.answer(request).await?)?;
    Ok(print::line(accepted.id)?)
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
