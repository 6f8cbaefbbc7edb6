//! What clients connect to.

use std::sync::Arc;

use crate::hub::Hub;

/// The client-facing routes.
pub(crate) fn router(_hub: Arc<Hub>) -> axum::Router {
    axum::Router::new()
}
