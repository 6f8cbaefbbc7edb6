//! What the HTTP transports share: the client, the reading of a refusal, `POST /v1/ack`.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;

use super::connection::{Retry, Trouble};

/// How long connecting, or an answer to a short request, may take.
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Largest problem document that is read.
const PROBLEM_BYTES: usize = 16 * 1024;

/// An HTTP client that speaks TLS with `ring`.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    crate::tls::install();
    Client::builder().connect_timeout(ANSWER_DEADLINE).build()
}

#[derive(Deserialize)]
struct Problem {
    code: String,
    #[serde(default)]
    title: String,
    detail: Option<String>,
}

/// The answer when it is a good one; else what it says is wrong.
pub(super) async fn accepted(response: Response) -> Result<Response, Trouble> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let after = response
        .headers()
        .get("retry-after")
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    let body = response.bytes().await.unwrap_or_default();
    Err(refusal(status, after, &body))
}

/// What a refused request says: which status may be tried again is RFC 9110's and ours.
pub(super) fn refusal(status: StatusCode, after: Option<Duration>, body: &[u8]) -> Trouble {
    let problem: Option<Problem> = serde_json::from_slice(&body[..body.len().min(PROBLEM_BYTES)]).ok();
    let (code, why) = match problem {
        Some(problem) => (problem.code, problem.detail.unwrap_or(problem.title)),
        None => (status.as_str().to_owned(), status.to_string()),
    };
    let temporary = status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS;
    match (temporary, after) {
        (false, _) => Trouble::new(why, Retry::Never { code }),
        (true, Some(after)) => Trouble::new(format!("{code}: {why}"), Retry::After(after)),
        (true, None) => Trouble::new(format!("{code}: {why}"), Retry::Backoff),
    }
}

#[derive(Deserialize)]
struct Acknowledged {
    sessions: u64,
}

/// `POST /v1/ack`; nothing is sent before it is awaited. Answers whether the session was found.
pub(super) fn acknowledge(
    http: &Client,
    url: &str,
    token: &str,
    session: &str,
    cursor: &str,
) -> impl Future<Output = Result<bool, Trouble>> + Send + use<> {
    let body = serde_json::json!({"cursor": cursor, "session": session});
    let request = http.post(format!("{url}/v1/ack")).bearer_auth(token).json(&body).timeout(ANSWER_DEADLINE);
    async {
        let response = accepted(request.send().await.map_err(trouble)?).await?;
        let body = response.bytes().await.map_err(trouble)?;
        let Acknowledged { sessions } =
            serde_json::from_slice(&body).map_err(|error| Trouble::undecodable(&error))?;
        Ok(sessions > 0)
    }
}

/// A request that got no answer.
pub(super) fn trouble(error: reqwest::Error) -> Trouble {
    Trouble::network(shared::process::chain(&error.without_url()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_whether_to_come_again() {
        let body = br#"{"code":"token-invalid","title":"Token invalid","retryable":false}"#;
        let never = refusal(StatusCode::UNAUTHORIZED, None, body);
        assert_eq!(never.retry, Retry::Never { code: "token-invalid".into() });
        let after = Some(Duration::from_secs(3));
        let later = refusal(StatusCode::SERVICE_UNAVAILABLE, after, b"<html>");
        assert_eq!(later.retry, Retry::After(Duration::from_secs(3)));
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, None, b"").retry, Retry::Backoff);
    }
}
