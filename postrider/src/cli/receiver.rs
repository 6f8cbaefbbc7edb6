//! What commands that speak to a receiver have in common: where it is, whose key, and what a refusal says.

use std::time::Duration;

use clap::Args;
use reqwest::{Client, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use shared::process::chain;

use super::credentials::Embedded;
use super::failure::{Code, Failure};
use super::print;

/// Where the receiver is, and the key that it is shown.
#[derive(Args, Debug)]
pub(super) struct Access {
    /// Where the receiver is [default: the one of --data-dir]
    #[arg(long, env = "POSTRIDER_URL")]
    url: Option<String>,
    /// The producer's key [default: the one of --data-dir]
    #[arg(long, env = "POSTRIDER_API_KEY", hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,
}

/// A receiver.
pub(super) struct Receiver {
    http: Client,
    url: String,
    api_key: String,
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    title: String,
    detail: Option<String>,
}

impl Access {
    /// The receiver; what is not given is found in the data directory.
    pub(super) fn receiver(&self, embedded: &Embedded) -> Result<Receiver, Failure> {
        let api_key = match &self.api_key {
            Some(key) => key.clone(),
            None => embedded.credentials("--api-key")?.api_key.expose().to_owned(),
        };
        let url = self.url.clone().unwrap_or_else(|| embedded.receiver());
        crate::tls::install();
        let http = Client::builder().timeout(Duration::from_secs(30)).build()?;
        Ok(Receiver { http, url: url.trim_end_matches('/').to_owned(), api_key })
    }
}

impl Receiver {
    /// A request with the key.
    pub(super) fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.api_key)
    }

    /// A question with the key.
    pub(super) fn ask(&self, path: &str, query: &[(&str, String)]) -> Result<RequestBuilder, Failure> {
        let mut url = Url::parse(&format!("{}{path}", self.url)).map_err(Failure::usage)?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(self.http.get(url).bearer_auth(&self.api_key))
    }

    /// The body of a good answer.
    pub(super) async fn answer(&self, request: RequestBuilder) -> Result<Vec<u8>, Failure> {
        let answer = request.send().await.map_err(|error| self.unanswered(error))?;
        let (status, body) = (answer.status(), answer.bytes().await.map_err(|error| self.unanswered(error))?);
        if status.is_success() { Ok(body.into()) } else { Err(refused(status, &body)) }
    }

    fn unanswered(&self, error: reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::usage(chain(&error));
        }
        let why = chain(&error.without_url());
        Failure::new(Code::Unreachable, anyhow::anyhow!("no answer from {}: {why}", self.url))
    }
}

fn refused(status: StatusCode, body: &[u8]) -> Failure {
    let text = match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => format!("{}: {}", problem.code, problem.detail.unwrap_or(problem.title)),
        Err(_not_ours) => status.to_string(),
    };
    let code = if status.is_server_error() { Code::Unreachable } else { Code::Refused };
    Failure::new(code, anyhow::anyhow!("not accepted: {}", print::harmless(&text)))
}
