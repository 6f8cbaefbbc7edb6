//! Over a WebSocket.

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{Door, Heard, Trouble, read};

pub struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Connection {
    pub(super) async fn open(door: &Door<'_>) -> Result<Self, Trouble> {
        let url = format!("{}/v1/ws", door.url.replacen("http", "ws", 1));
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {}", door.token).parse().unwrap());
        headers.insert("sec-websocket-protocol", "postrider.v1.json".parse().unwrap());
        let (socket, _response) =
            tokio_tungstenite::connect_async(request).await.map_err(|error| error.to_string())?;
        let mut connection = Self { socket };
        connection.say(&json!({"frame": "hello", "cursor": door.cursor})).await?;
        Ok(connection)
    }

    pub(super) async fn next(&mut self) -> Result<Heard, Trouble> {
        loop {
            let text = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(close))) => return Err(format!("closed: {close:?}")),
                Some(Ok(_control)) => return Ok(Heard::Alive),
                Some(Err(error)) => return Err(error.to_string()),
                None => return Err("the connection ended".to_owned()),
            };
            let frame: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            if let Some(heard) = read(&frame)? {
                return Ok(heard);
            }
        }
    }

    pub(super) async fn say(&mut self, frame: &Value) -> Result<(), Trouble> {
        self.socket.send(Message::text(frame.to_string())).await.map_err(|error| error.to_string())
    }
}
