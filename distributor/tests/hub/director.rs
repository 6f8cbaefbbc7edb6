//! A director that does what a test tells it.

use std::time::Duration;

use shared::config::Secret;
use shared::delivery::{SessionId, Verdict};
use shared::link::{self, wire};
use shared::notification::Notification;
use shared::position::Position;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::node::PATIENCE;

pub(crate) struct Director {
    frames: mpsc::Sender<wire::ToNode>,
    verdicts: tonic::Streaming<wire::ToDirector>,
    waiting: Vec<wire::VerdictFrame>,
}

impl Director {
    pub(crate) async fn connect(address: &str) -> Self {
        Self::try_connect(address).await.unwrap()
    }

    pub(crate) async fn try_connect(address: &str) -> Result<Self, tonic::Status> {
        Self::connect_showing(address, &Secret::default()).await
    }

    pub(crate) async fn connect_showing(address: &str, secret: &Secret) -> Result<Self, tonic::Status> {
        let channel = tonic::transport::Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_timeout(Duration::from_secs(5))
            .connect()
            .await
            .unwrap();
        let (frames, stream) = mpsc::channel(64);
        let mut request = tonic::Request::new(ReceiverStream::new(stream));
        link::show_secret(&mut request, secret).unwrap();
        let answer = wire::link_client::LinkClient::new(channel).deliver(request).await?;
        Ok(Self { frames, verdicts: answer.into_inner(), waiting: Vec::new() })
    }

    pub(crate) async fn send(&self, frames: Vec<wire::Frame>) {
        self.frames.send(wire::ToNode { frames }).await.unwrap();
    }

    pub(crate) async fn forward(
        &self,
        session: SessionId,
        position: Position,
        parked_upto: u64,
        notification: &Notification,
    ) {
        self.send(vec![link::record(session, position, parked_upto, notification)]).await;
    }

    /// The next verdict.
    pub(crate) async fn verdict(&mut self) -> (SessionId, Position, Verdict) {
        while self.waiting.is_empty() {
            let batch = tokio::time::timeout(PATIENCE, self.verdicts.message()).await.unwrap();
            self.waiting = batch.unwrap().expect("the node ended the stream").verdicts;
        }
        link::read_verdict(self.waiting.remove(0)).unwrap()
    }

    /// How the node ends the stream, once it does.
    pub(crate) async fn ended(&mut self) -> Option<tonic::Status> {
        let end = async {
            loop {
                match self.verdicts.message().await {
                    Ok(Some(_verdicts)) => {}
                    Ok(None) => return None,
                    Err(status) => return Some(status),
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.unwrap()
    }
}
