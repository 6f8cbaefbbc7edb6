//! Acknowledgements that arrive at another node than the session's. A client that sends `POST /v1/ack` through a balancer
//! does not choose the node. The session's name says where it is, else the connection map does, and that node is told over
//! its link. The ways to nodes that were found once outlast the registry's absence.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use shared::delivery::{NodeId, SessionId, SessionName};
use shared::link::{show_secret, wire};
use shared::position::Cursor;
use shared::recipient::Recipient;
use shared::registry::{Nodes, Routes};
use tokio::sync::Semaphore;
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use crate::config::{LinkSettings, RelaySettings};
use crate::hub::lock;
use crate::metrics;

/// Why an acknowledgement could not be passed on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    /// As many are on their way as may be.
    #[error("too many acknowledgements are being passed on")]
    Busy,
    /// The registry or the node took too long.
    #[error("no answer within the deadline")]
    Late,
    /// The registry does not say where the session is.
    #[error("the registry does not answer")]
    Registry(#[from] shared::registry::Error),
    /// The address that the registry holds is none.
    #[error("the node's address is none")]
    Address(#[from] tonic::transport::Error),
    /// The node does not take it.
    #[error("the node does not take it")]
    Node(#[from] Box<Status>),
    /// The secret cannot be shown; the settings are checked for that.
    #[error("the link secret is not visible ASCII")]
    Secret(#[from] InvalidMetadataValue),
    /// The cursor is not one of this recipient.
    #[error("the cursor is not one of this recipient")]
    Foreign,
}

/// The way to the other nodes.
pub(crate) struct Relay {
    node: NodeId,
    routes: Arc<dyn Routes>,
    nodes: Arc<dyn Nodes>,
    link: LinkSettings,
    settings: RelaySettings,
    places: Semaphore,
    /// To nodes with a lease, as of when the last one was added.
    channels: Mutex<HashMap<NodeId, Channel>>,
}

impl Relay {
    /// From `node` to those that `routes` and `nodes` name, which are shown the secret of `link`.
    pub(crate) fn new(
        node: NodeId,
        routes: Arc<dyn Routes>,
        nodes: Arc<dyn Nodes>,
        link: LinkSettings,
        settings: RelaySettings,
    ) -> Self {
        let places = Semaphore::new(settings.concurrency.min(Semaphore::MAX_PERMITS));
        Self { node, routes, nodes, link, settings, places, channels: Mutex::default() }
    }

    /// The node that passes on.
    pub(crate) fn node(&self) -> NodeId {
        self.node
    }

    /// Tells the node that holds the session `name` of `recipient` that everything behind `cursor` is processed. Answers whether
    /// there is one.
    ///
    /// # Errors
    /// When it could not be told, or does not take it.
    pub(crate) async fn acknowledge(
        &self,
        recipient: &Recipient,
        name: SessionName,
        cursor: Cursor,
    ) -> Result<bool, RelayError> {
        let passed_on = match self.places.try_acquire() {
            Ok(_place) => {
                tokio::time::timeout(self.settings.within_ms, self.pass_on(recipient, name, cursor))
                    .await
                    .unwrap_or(Err(RelayError::Late))
            }
            Err(_none_left) => Err(RelayError::Busy),
        };
        metrics::relayed(match &passed_on {
            Ok(true) => "passed_on",
            Ok(false) => "no_session",
            Err(RelayError::Busy) => "busy",
            Err(_) => "failed",
        });
        passed_on
    }

    async fn pass_on(
        &self,
        recipient: &Recipient,
        SessionName { session, node }: SessionName,
        cursor: Cursor,
    ) -> Result<bool, RelayError> {
        let node = match node {
            Some(node) => Some(node),
            None => self.find(recipient, session).await?,
        };
        // One that is said to be here has ended: who asks has looked.
        let Some(node) = node.filter(|node| *node != self.node) else { return Ok(false) };
        let Some(channel) = self.channel(node).await? else { return Ok(false) };
        let mut request = Request::new(wire::Acknowledgement {
            session: session.0,
            tenant: recipient.tenant.as_str().to_owned(),
            recipient: recipient.id.as_str().to_owned(),
            cursor: cursor.encode(),
        });
        show_secret(&mut request, &self.link.secret)?;
        match wire::link_client::LinkClient::new(channel).acknowledge(request).await {
            Ok(_acknowledged) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) if status.code() == Code::InvalidArgument => Err(RelayError::Foreign),
            // The way is kept: it connects again by itself, and the registry may be away.
            Err(status) => Err(RelayError::Node(Box::new(status))),
        }
    }

    /// The node that holds `session`, by the registry's word.
    async fn find(&self, recipient: &Recipient, session: SessionId) -> Result<Option<NodeId>, RelayError> {
        let found = self.routes.lookup(std::slice::from_ref(recipient)).await?;
        Ok(found.iter().flatten().find(|route| route.session == session).map(|route| route.node))
    }

    /// The way to `node`; `None` when it has no lease.
    async fn channel(&self, node: NodeId) -> Result<Option<Channel>, RelayError> {
        if let Some(channel) = lock(&self.channels).get(&node) {
            return Ok(Some(channel.clone()));
        }
        let nodes = self.nodes.nodes().await?;
        let Some(found) = nodes.iter().find(|found| found.id == node) else { return Ok(None) };
        let channel = Endpoint::from_shared(format!("http://{}", found.address))?
            .connect_timeout(self.settings.within_ms)
            .http2_keep_alive_interval(self.link.keepalive_ms)
            .keep_alive_timeout(self.link.keepalive_timeout_ms)
            .tcp_nodelay(true)
            .connect_lazy();
        let mut channels = lock(&self.channels);
        channels.retain(|known, _channel| nodes.iter().any(|found| found.id == *known));
        channels.insert(node, channel.clone());
        Ok(Some(channel))
    }
}
