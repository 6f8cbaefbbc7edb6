//! One stream: how it is made, and how its verdicts get to the workers.

use std::collections::HashMap;

use futures_util::StreamExt as _;
use shared::config::Secret;
use shared::delivery::NodeId;
use shared::link::outgoing::{self, Batch};
use shared::link::{read_verdict, show_secret, wire};
use shared::position::PartitionId;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};

use super::{Forwarder, Inbound, StreamId};
use crate::config::LinkSettings;
use crate::routing::Record;

/// HTTP/2 flow-control window for verdicts, in bytes: some 30,000 of them may be on their way.
const WINDOW_BYTES: u32 = 1024 * 1024;

/// Why there is no stream to a node.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The registry knows no such node.
    #[error("the registry knows no such node")]
    Unknown,
    /// No answer in time.
    #[error("no answer within the deadline")]
    Late,
    /// No connection.
    #[error("no connection")]
    Transport(#[from] tonic::transport::Error),
    /// The secret cannot be shown; the settings are checked for that.
    #[error("the link secret is not visible ASCII")]
    Secret(#[from] InvalidMetadataValue),
    /// The node refused the stream.
    #[error("the node refused the stream")]
    Refused(#[from] Box<Status>),
}

/// Opens a stream that carries what comes from `batches` until `ended`, showing the node `secret`.
pub(super) async fn connect(
    address: &str,
    settings: &LinkSettings,
    secret: &Secret,
    batches: mpsc::Receiver<Batch<Record>>,
    ended: CancellationToken,
) -> Result<Streaming<wire::ToDirector>, ConnectError> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(settings.connect_ms)
        .http2_keep_alive_interval(settings.keepalive_ms)
        .keep_alive_timeout(settings.keepalive_timeout_ms)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect()
        .await?;
    let mut request = Request::new(ReceiverStream::new(batches).take_until(ended.cancelled_owned()));
    show_secret(&mut request, secret)?;
    Ok(outgoing::deliver(channel, request).await.map_err(Box::new)?)
}

/// Hands verdicts to the workers of their partitions until the stream ends.
pub(super) async fn read(
    forwarder: &Forwarder,
    node: NodeId,
    stream: StreamId,
    mut inbound: Streaming<wire::ToDirector>,
) {
    loop {
        match inbound.message().await {
            Ok(Some(batch)) => dispatch(forwarder, node, stream, batch).await,
            Ok(None) => {
                tracing::info!(%node, "the node ended the stream");
                return;
            }
            Err(status) => {
                tracing::warn!(%node, error = &status as &dyn std::error::Error, "stream lost");
                return;
            }
        }
    }
}

async fn dispatch(forwarder: &Forwarder, node: NodeId, stream: StreamId, batch: wire::ToDirector) {
    let mut by_partition: HashMap<PartitionId, Vec<_>> = HashMap::new();
    for frame in batch.verdicts {
        match read_verdict(frame) {
            // A verdict on a record of another generation has nobody to hear it.
            Ok((session, position, verdict)) if position.epoch == forwarder.epoch => {
                by_partition.entry(position.partition).or_default().push((session, position.offset, verdict));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::error!(%node, error = &error as &dyn std::error::Error, "invalid verdict");
            }
        }
    }
    for (partition, verdicts) in by_partition {
        if let Some(worker) = forwarder.worker(partition) {
            // A worker that is gone needs no verdicts.
            drop(worker.send(Inbound::Verdicts { node, stream, verdicts }).await);
        }
    }
}
