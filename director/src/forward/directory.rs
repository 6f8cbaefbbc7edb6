//! Where the nodes are: what the registry said last. With the registry away, what it said before still serves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use shared::delivery::NodeId;
use shared::registry::Nodes;

use super::lock;
use crate::metrics;

/// See the module.
pub(super) struct Directory {
    nodes: Arc<dyn Nodes>,
    addresses: Mutex<HashMap<NodeId, String>>,
}

impl Directory {
    pub(super) fn new(nodes: Arc<dyn Nodes>) -> Self {
        Self { nodes, addresses: Mutex::default() }
    }

    /// Asks the registry.
    pub(super) async fn refresh(&self) {
        match self.nodes.nodes().await {
            Ok(nodes) => {
                *lock(&self.addresses) = nodes.into_iter().map(|node| (node.id, node.address)).collect();
            }
            Err(error) => {
                metrics::engine_failure("registry");
                tracing::debug!(error = &error as &dyn std::error::Error, "nodes not refreshed");
            }
        }
    }

    /// The address of `node`; the registry is asked when it is not known.
    pub(super) async fn address(&self, node: NodeId) -> Option<String> {
        if !self.knows(node) {
            self.refresh().await;
        }
        lock(&self.addresses).get(&node).cloned()
    }

    pub(super) fn knows(&self, node: NodeId) -> bool {
        lock(&self.addresses).contains_key(&node)
    }
}
