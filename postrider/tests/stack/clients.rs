//! Clients as a stranger would write them, straight on the wire: what they show is what was sent, duplicates included.

use std::collections::VecDeque;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use shared::position::Cursor;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message, protocol::CloseFrame};

use super::{PATIENCE, Stack, http};

/// A notification as it came, whatever the transport.
#[derive(Clone, Debug)]
pub struct Received {
    pub id: String,
    pub cursor: String,
    pub content: Value,
    pub seq: u64,
}

impl Received {
    fn read(frame: &Value) -> Self {
        let text =
            |name: &str| frame[name].as_str().unwrap_or_else(|| panic!("no {name} in {frame}")).to_owned();
        Self {
            id: text("id"),
            cursor: text("cursor"),
            content: frame["content"].clone(),
            seq: frame["seq"].as_u64().unwrap_or(0),
        }
    }

    /// Where it stands, for comparing.
    pub fn position(&self) -> (u32, u64) {
        let cursor = Cursor::decode(&self.cursor).unwrap();
        (cursor.epoch.0, cursor.next)
    }
}

async fn patiently<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_late| panic!("waited {PATIENCE:?} for {what}"))
}

/// A WebSocket client.
pub struct WebSocket {
    socket: tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>,
    pub welcome: Value,
}

impl WebSocket {
    /// Connects and says hello.
    pub async fn connect(stack: &Stack, recipient: &str, hello: Value) -> Self {
        let url = format!("{}/v1/ws", stack.distributor().replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {}", stack.token(recipient)).parse().unwrap());
        headers.insert("sec-websocket-protocol", "postrider.v1.json".parse().unwrap());
        let connected = patiently("the handshake", tokio_tungstenite::connect_async(request)).await;
        let (mut socket, _response) = connected.unwrap_or_else(|error| panic!("{error}\n{}", stack.logs()));
        let mut frame = json!({"frame": "hello"});
        frame.as_object_mut().unwrap().extend(hello.as_object().unwrap().clone());
        socket.send(Message::text(frame.to_string())).await.unwrap();
        let mut client = Self { socket, welcome: Value::Null };
        client.welcome = client.next_frame().await.expect("open");
        assert_eq!(client.welcome["frame"], "welcome", "{}", client.welcome);
        client
    }

    /// The next frame, or how it was closed.
    pub async fn next_frame(&mut self) -> Result<Value, Option<CloseFrame>> {
        patiently("a frame", self.frame()).await
    }

    async fn frame(&mut self) -> Result<Value, Option<CloseFrame>> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(close))) => return Err(close),
                Some(Ok(_control)) => {}
                None | Some(Err(Error::ConnectionClosed | Error::Protocol(_) | Error::Io(_))) => {
                    return Err(None);
                }
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }

    /// The next notification, however long it takes: whoever waits for this bounds the wait.
    pub async fn whenever(&mut self) -> Received {
        loop {
            let frame = self.frame().await.unwrap_or_else(|close| panic!("closed: {close:?}"));
            if frame["frame"] == "notification" {
                return Received::read(&frame);
            }
        }
    }

    /// The next frame of this name; others, but for notifications, are passed over.
    pub async fn next_named(&mut self, name: &str) -> Value {
        // Over the whole wait: a connection on which only pings come is a silent one.
        patiently(name, async {
            loop {
                let frame = self.next_frame().await.unwrap_or_else(|close| panic!("closed: {close:?}"));
                if frame["frame"] == name {
                    return frame;
                }
                assert_ne!(frame["frame"], "notification", "waiting for {name}: {frame}");
            }
        })
        .await
    }

    /// The next notification; unacknowledged.
    pub async fn next(&mut self) -> Received {
        self.try_next().await.unwrap_or_else(|close| panic!("closed: {close:?}"))
    }

    /// The next notification, or how the connection ended.
    pub async fn try_next(&mut self) -> Result<Received, Option<CloseFrame>> {
        loop {
            let frame = self.next_frame().await?;
            if frame["frame"] == "notification" {
                return Ok(Received::read(&frame));
            }
            assert_ne!(frame["frame"], "error", "{frame}");
        }
    }

    /// The next `count` notifications, each acknowledged.
    pub async fn take(&mut self, count: usize) -> Vec<Received> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let received = self.next().await;
            self.acknowledge(received.seq).await;
            taken.push(received);
        }
        taken
    }

    /// Acknowledges everything up to `seq`.
    pub async fn acknowledge(&mut self, seq: u64) {
        self.say(&json!({"frame": "ack", "seq": seq})).await;
    }

    /// Sends one frame. The connection may have been closed meanwhile, which reading will tell.
    pub async fn say(&mut self, frame: &Value) {
        let _closed_shows_when_reading = self.socket.send(Message::text(frame.to_string())).await;
    }
}

/// An SSE client that sends nothing but its request.
pub struct Sse {
    body: std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    buffer: String,
    ready: VecDeque<(String, Value)>,
}

impl Sse {
    /// Connects, with the id of the last frame seen, if any.
    pub async fn connect(stack: &Stack, recipient: &str, last_id: Option<&str>) -> Self {
        let mut request = http()
            .get(format!("{}/v1/sse", stack.distributor()))
            .bearer_auth(stack.token(recipient))
            .header("accept", "text/event-stream");
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        Self { body: Box::pin(answer.bytes_stream()), buffer: String::new(), ready: VecDeque::new() }
    }

    /// The next event: its name and its data.
    pub async fn next_frame(&mut self) -> (String, Value) {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return frame;
            }
            let chunk = patiently("an SSE frame", self.body.next()).await.expect("open").unwrap();
            self.buffer.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .map(|value| value.trim_start().to_owned())
                };
                if let (Some(name), Some(data)) = (field("event:"), field("data:")) {
                    let mut data: Value = serde_json::from_str(&data).unwrap();
                    if let Some(id) = field("id:") {
                        data["cursor"] = json!(id);
                    }
                    self.ready.push_back((name, data));
                }
            }
        }
    }

    /// The next notification.
    pub async fn next(&mut self) -> Received {
        loop {
            let (name, data) = self.next_frame().await;
            if name == "notification" {
                return Received::read(&data);
            }
        }
    }

    /// The next `count` notifications.
    pub async fn take(&mut self, count: usize) -> Vec<Received> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await);
        }
        taken
    }
}

/// Says what was processed on SSE.
pub async fn acknowledge(stack: &Stack, recipient: &str, cursor: &str) {
    let request = http().post(format!("{}/v1/ack", stack.distributor())).bearer_auth(stack.token(recipient));
    let answer = request.json(&json!({"cursor": cursor})).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.text().await);
}

/// One long-poll: notifications and the cursor to ask with next.
pub async fn poll(stack: &Stack, recipient: &str, cursor: Option<&str>) -> (Vec<Received>, String) {
    let mut url = format!("{}/v1/poll?wait=20000", stack.distributor());
    if let Some(cursor) = cursor {
        url.push_str(&format!("&cursor={cursor}"));
    }
    let answer = http().get(url).bearer_auth(stack.token(recipient)).timeout(PATIENCE).send().await.unwrap();
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(status, 200, "{body}");
    let received = body["notifications"].as_array().unwrap().iter().map(Received::read).collect();
    (received, body["cursor"].as_str().unwrap().to_owned())
}
