//! Where the pipeline is, and what it asks for: an API key of producers, the secret that client tokens are signed with.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::StreamExt as _;
use postrider_distributor::auth::{Claims, mint};
use serde::Deserialize;
use shared::config::Secret;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// How long a connection may take until everything stored is through.
const CONNECT_WITHIN: Duration = Duration::from_secs(60);
/// How long a client token is good: longer than any measurement.
const TOKEN_SECONDS: u64 = 3600;
/// Read buffer of a client connection, in bytes: the default of 128 KiB times 10,000 would be felt.
const READ_BUFFER_BYTES: usize = 4096;

/// A client's connection.
pub(crate) type Socket = WebSocketStream<TcpStream>;

/// How clients get in.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Door {
    /// Where clients connect
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    distributor: SocketAddr,
    /// The HS256 secret of client tokens
    #[arg(long, env = "POSTRIDER_TOKEN_SECRET", hide_env_values = true)]
    secret: String,
}

/// An address of this machine: no load is ever sent to another one.
pub(crate) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().is_loopback() { Ok(address) } else { Err("must be a loopback address".into()) }
}

/// What is read of a server frame.
#[derive(Debug, Deserialize)]
pub(crate) struct Frame<'a> {
    pub(crate) frame: &'a str,
    #[serde(default)]
    pub(crate) seq: u64,
    pub(crate) id: Option<&'a str>,
    pub(crate) content: Option<Content>,
}

/// The content of every notification here.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Content {
    /// Counts the recipient's notifications from 0.
    pub(crate) n: u64,
    /// When it was to be sent, in microseconds from the start.
    pub(crate) at: u64,
}

impl Door {
    /// Opens the session of `recipient` and waits until it is live.
    pub(crate) async fn connect(&self, recipient: &str) -> anyhow::Result<Socket> {
        let opened = tokio::time::timeout(CONNECT_WITHIN, self.open(recipient)).await;
        opened.with_context(|| format!("not live after {CONNECT_WITHIN:?}"))?
    }

    async fn open(&self, recipient: &str) -> anyhow::Result<Socket> {
        // Naming the window opens the session at once, without a `hello`.
        let url = format!("ws://{}/v1/ws?window=64", self.distributor);
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("authorization", format!("Bearer {}", self.token(recipient)?).parse()?);
        headers.insert("sec-websocket-protocol", "postrider.v1.json".parse()?);
        let stream = TcpStream::connect(self.distributor).await?;
        stream.set_nodelay(true)?;
        let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
        let (mut socket, _response) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        while let Some(came) = socket.next().await {
            if let Message::Text(text) = came? {
                match serde_json::from_str::<Frame<'_>>(&text)?.frame {
                    "drained" => return Ok(socket),
                    "welcome" => {}
                    other => anyhow::bail!("{other} before anything was sent: {text}"),
                }
            }
        }
        anyhow::bail!("closed before it was live")
    }

    fn token(&self, recipient: &str) -> anyhow::Result<String> {
        let now = jiff::Timestamp::now().as_second();
        let exp = u64::try_from(now)? + TOKEN_SECONDS;
        let claims = Claims { sub: recipient.into(), tenant: "default".into(), exp, ..Claims::default() };
        Ok(mint(&claims, &Secret::new(self.secret.clone()))?)
    }
}
