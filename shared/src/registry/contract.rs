//! What every adapter of the registry port must do. Each check takes a registry that other checks may be using: it
//! works in a tenant and with ids of its own. The checks of [`wipe`] need a registry of their own.
//!
//! A check panics, with what it expected, when the adapter breaks the contract.

pub mod flags;
pub mod nodes;
pub mod routes;
pub mod wipe;

use std::time::Duration;

use super::{Node, Nodes, Route};
use crate::delivery::{NodeId, SessionId};
use crate::recipient::{Recipient, RecipientId, TenantId};

/// Long enough that no check sees it end.
const LONG: Duration = Duration::from_secs(600);

/// Lets the registry's clock move on by about this much.
#[async_trait::async_trait]
pub trait Pass: Send + Sync {
    /// Returns once it has.
    async fn pass(&self, time: Duration);
}

/// A recipient of a tenant that no other check uses.
fn recipient(name: &str) -> Recipient {
    let tenant = format!("t{:016x}", rand::random::<u64>());
    Recipient::new(
        TenantId::parse(&tenant).expect("a tenant's name"),
        RecipientId::parse(name).expect("a recipient's name"),
    )
}

fn route(node: NodeId) -> Route {
    Route { session: SessionId::random(), node }
}

/// A node with a lease.
async fn leased(nodes: &dyn Nodes) -> NodeId {
    let id = NodeId::random();
    nodes.renew(&Node { id, address: format!("{id}.test:1") }, LONG).await.expect("a lease");
    id
}
