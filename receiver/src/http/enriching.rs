//! What a notification is to become before it is delivered: what is bound to the tenant's types, and whether the modules
//! that are named exist and take the content.

use std::collections::HashMap;

use shared::recipient::TenantId;
use shared::task::ModuleRef;
use tokio::time::{Instant, timeout_at};

use super::Edge;
use crate::admission::{Admitted, Enriched};
use crate::modules::{Age, Found};
use crate::refusal::{Reason, Refusal};

/// Checks what was admitted of one request; a module is looked up once.
pub(super) struct Enriching<'a> {
    edge: &'a Edge,
    tenant: &'a TenantId,
    deadline: Instant,
    found: HashMap<ModuleRef, Result<Found, Refusal>>,
}

impl<'a> Enriching<'a> {
    pub(super) fn of(edge: &'a Edge, tenant: &'a TenantId, deadline: Instant) -> Self {
        Self { edge, tenant, deadline, found: HashMap::new() }
    }

    /// Refuses what names a module that is not there, and what is to become something by one that takes another content.
    pub(super) async fn check(&mut self, admitted: &Admitted) -> Result<(), Refusal> {
        let (Some(enriched), Some(first)) = (&admitted.enriched, admitted.notifications().first()) else {
            return Ok(());
        };
        let module = &enriched.how().module;
        let catalogue = &self.edge.modules;
        let checked = async {
            if !self.found.contains_key(module) {
                let found = catalogue.find(self.tenant, module, Age::Known).await;
                self.found.insert(module.clone(), found);
            }
            let found = match self.found.get(module) {
                Some(Ok(found)) => found,
                Some(Err(refusal)) if refusal.reason == Reason::ModuleUnknown => {
                    return match enriched {
                        Enriched::Asked(_) => Err(refusal.clone().at("/task/module")),
                        // Its producer may know nothing of it; the binding says what becomes of the notification.
                        Enriched::Bound(_) => Ok(()),
                    };
                }
                Some(Err(refusal)) => return Err(refusal.clone()),
                None => return Err(Refusal::plain(Reason::Internal)),
            };
            // All of them have the same content.
            catalogue.check(found, &first.content_type, &first.content).await
        };
        match timeout_at(self.deadline, checked).await {
            Ok(checked) => checked,
            Err(_elapsed) => Err(Refusal::plain(Reason::StoreUnavailable)),
        }
    }
}
