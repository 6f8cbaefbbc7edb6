//! Whom commands about tasks, modules, schedules and bindings ask, and how they print.

use clap::Args;
use reqwest::Method;

use super::credentials::Embedded;
use super::failure::Failure;
use super::print;
use super::receiver::{Access, Receiver};

/// Where the receiver is, and whether a program reads the output.
#[derive(Args, Debug)]
pub(super) struct Desk {
    /// Print JSON, one object a line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    embedded: Embedded,
}

impl Desk {
    pub(super) fn receiver(&self) -> Result<Receiver, Failure> {
        self.access.receiver(&self.embedded)
    }

    /// Asks with no more than a path, and answers the body.
    pub(super) async fn call(&self, method: Method, path: &str) -> Result<Vec<u8>, Failure> {
        let receiver = self.receiver()?;
        receiver.answer(receiver.request(method, path)).await
    }

    /// Prints a body of JSON as it came, on one line.
    pub(super) fn print(body: &[u8]) -> Result<(), Failure> {
        Ok(print::line(String::from_utf8_lossy(body).trim_end())?)
    }
}

/// `name` as one segment of a path, which a name of ours is; anything else would be another path.
pub(super) fn segment(name: &str) -> Result<&str, Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~@:+".contains(&byte);
    if name.is_empty() || name.starts_with("..") || name == "." || !name.bytes().all(plain) {
        return Err(Failure::usage(format_args!("{:?} is no name", print::harmless(name))));
    }
    Ok(name)
}
