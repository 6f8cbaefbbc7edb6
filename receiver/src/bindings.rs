//! What is bound to the types of a tenant's notifications, remembered.

use std::sync::Arc;

use shared::clock::Clock;
use shared::recipient::TenantId;
use shared::store::Bindings;

use crate::bound::Bound;
use crate::config::LookupSettings;
use crate::known::Known;
use crate::refusal::Refusal;

/// The bindings of all tenants.
pub(crate) struct Bonds {
    pub(crate) store: Arc<dyn Bindings>,
    known: Known<TenantId, Arc<Bound>>,
}

impl Bonds {
    pub(crate) fn new(store: Arc<dyn Bindings>, clock: Arc<dyn Clock>, settings: LookupSettings) -> Self {
        Self { store, known: Known::new("bindings", settings, clock) }
    }

    /// Those of `tenant`.
    ///
    /// # Errors
    /// As [`Known::get`]: a notification is not taken while nobody knows what it is to become.
    pub(crate) async fn of(&self, tenant: &TenantId) -> Result<Arc<Bound>, Refusal> {
        let ask = async { Ok(Arc::new(Bound::of(self.store.bindings(tenant).await?))) };
        self.known.get(tenant, ask).await
    }

    /// Forgets those of `tenant`, which were changed here.
    pub(crate) fn changed(&self, tenant: &TenantId) {
        self.known.forget(tenant);
    }
}
