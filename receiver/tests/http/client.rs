//! An HTTP/1.1 client small enough to send what no library would.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::fakes::Stage;

/// How long a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A request under construction.
pub(crate) struct Call {
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self { line: format!("{method} {path} HTTP/1.1"), headers: Vec::new(), body: Vec::new() }
    }

    /// A post of JSON.
    pub(crate) fn json(path: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::new("POST", path).header("content-type", "application/json").body(body)
    }

    /// JSON put in its place.
    pub(crate) fn put(path: &str, body: &Value) -> Self {
        Self::new("PUT", path).header("content-type", "application/json").body(body.to_string())
    }

    /// Sends it with another key.
    pub(crate) async fn send_as(self, key: &str, stage: &Stage) -> Answer {
        self.header("authorization", &format!("Bearer {key}")).send_bare(stage.address).await
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it with the stage's key.
    pub(crate) async fn send(self, stage: &Stage) -> Answer {
        let bearer = format!("Bearer {}", stage.key);
        self.header("authorization", &bearer).send_bare(stage.address).await
    }

    /// Sends it as it is.
    pub(crate) async fn send_bare(self, address: SocketAddr) -> Answer {
        self.send_once(address).await.expect("closed without an answer")
    }

    /// Sends it as it is; nothing when the connection is closed without a byte of an answer.
    pub(crate) async fn send_once(self, address: SocketAddr) -> Option<Answer> {
        let length = self.body.len().to_string();
        let call = self.header("connection", "close").header("content-length", &length);
        let mut stream = call.open(address).await;
        // A receiver that refuses early may close before it has read all.
        let _refused_early = stream.write_all(&call.body).await.is_err();
        answered(stream).await
    }

    /// Sends the head and leaves the body to the test.
    pub(crate) async fn open(&self, address: SocketAddr) -> TcpStream {
        let mut head = format!("{}\r\nhost: test\r\n", self.line);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream
    }
}

/// Reads until the peer closes.
pub(crate) async fn finish(stream: TcpStream) -> Answer {
    answered(stream).await.expect("closed without an answer")
}

async fn answered(mut stream: TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let read = read.expect("the connection was not closed in time");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    if text.is_empty() {
        return None;
    }
    let Some((head, _)) = text.split_once("\r\n\r\n") else { panic!("no answer: {text:?} {read:?}") };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answer { status, head: head.to_ascii_lowercase(), body: bytes[head.len() + 4..].to_vec() })
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of the problem, after checking that it is one.
    pub(crate) fn code(&self) -> String {
        let problem = self.json();
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{problem}");
        assert_eq!(problem["status"], self.status);
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("urn:postrider:problem:{code}"));
        assert_eq!(problem["retryable"] == true, self.header("retry-after").is_some(), "{problem}");
        code
    }
}
