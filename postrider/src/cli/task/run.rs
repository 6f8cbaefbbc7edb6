//! `postrider task run`: asks for a task, and waits for its end if that is wanted.

use std::time::Duration;

use clap::Args;
use postrider_receiver::http::{Task, TaskAccepted};
use reqwest::Method;
use tokio::time::Instant;

use super::request::Wanted;
use super::shown::whole;
use crate::cli::desk::{Desk, segment};
use crate::cli::failure::{Code, Failure};
use crate::cli::print;
use crate::cli::receiver::Receiver;

/// How often the state is asked for.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Args, Debug)]
pub(in crate::cli) struct Arguments {
    /// The module: `name`, or `name@version`, where the version may be an alias
    module: String,
    #[command(flatten)]
    wanted: Wanted,
    /// Wait for its end, at most so many seconds; the exit code says whether it is completed
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60")]
    wait: Option<u32>,
    #[command(flatten)]
    desk: Desk,
}

pub(super) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { module, wanted, wait, desk } = arguments;
    let receiver = desk.receiver()?;
    let request = receiver.request(Method::POST, "/v1/tasks").json(&wanted.request(&module)?);
    let body = receiver.answer(request).await?;
    let accepted: TaskAccepted = serde_json::from_slice(&body)?;
    let Some(seconds) = wait else {
        return if desk.json { Desk::print(&body) } else { Ok(print::line(&accepted.id)?) };
    };
    let ended = end(&receiver, segment(&accepted.id)?, Duration::from_secs(seconds.into())).await?;
    if desk.json {
        print::line(serde_json::to_string(&ended)?)?
    } else {
        whole(&ended)?
    }
    if ended.state == "completed" {
        return Ok(());
    }
    Err(Failure::new(Code::Failed, anyhow::anyhow!("the task is {}", print::harmless(&ended.state))))
}

/// The task at its end, or as it is when the time is up.
async fn end(receiver: &Receiver, id: &str, limit: Duration) -> Result<Task, Failure> {
    let until = Instant::now() + limit;
    let path = format!("/v1/tasks/{id}");
    loop {
        // An executor may enter it later than it was answered.
        match receiver.answer(receiver.request(Method::GET, &path)).await {
            Ok(body) => {
                let found: Task = serde_json::from_slice(&body)?;
                let ended = ["completed", "failed", "cancelled"].contains(&found.state.as_str());
                if ended || Instant::now() >= until {
                    return Ok(found);
                }
            }
            Err(refusal) if Instant::now() >= until => return Err(refusal),
            Err(refusal) if refusal.is_refused() => {}
            Err(unreachable) => print::note(format_args!("{unreachable}; asking again")),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
