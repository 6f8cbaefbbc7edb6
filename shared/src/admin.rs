//! The operators' port of every service: `/livez`, `/readyz`, `/metrics`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use crate::serve::{HttpLimits, serve};
use crate::shutdown::Shutdown;

/// Whether a service wants traffic: a switch that it throws itself, once it listens and until it drains. Liveness has
/// no such switch and never asks a backing service: restarting a process does not bring an engine back.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<RwLock<Vec<Part>>>);

type Part = (&'static str, Arc<AtomicBool>);

impl Readiness {
    /// Not ready until each of `parts` is.
    #[must_use]
    pub fn of(parts: &[&'static str]) -> Self {
        let parts = parts.iter().map(|part| (*part, Arc::default())).collect();
        Self(Arc::new(RwLock::new(parts)))
    }

    /// Adds the parts of `other`, which stay its own to set: from now on this is not ready while they are not.
    pub fn include(&self, other: &Self) {
        let theirs = other.parts();
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(theirs);
    }

    /// Says whether `part` is ready.
    pub fn set(&self, part: &str, ready: Ready) {
        if let Some((_, flag)) = self.parts().iter().find(|(name, _)| *name == part) {
            flag.store(ready == Ready::Yes, Ordering::SeqCst);
        }
    }

    /// The parts that are not ready.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.parts().iter().filter(|(_, flag)| !flag.load(Ordering::SeqCst)).map(|(name, _)| *name).collect()
    }

    fn parts(&self) -> Vec<Part> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Ready or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Wants traffic.
    Yes,
    /// Does not.
    No,
}

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    metrics: Option<PrometheusHandle>,
}

/// Serves the port until `shutdown`; it outlives the drain when given the later of the two shutdowns.
pub async fn run(
    listener: TcpListener,
    readiness: Readiness,
    metrics: Option<PrometheusHandle>,
    shutdown: Shutdown,
) {
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(render))
        .with_state(Admin { readiness, metrics });
    let limits = HttpLimits { connections: 64, ..HttpLimits::default() };
    serve(listener, app, limits, shutdown).await;
}

async fn readyz(State(admin): State<Admin>) -> Response {
    match admin.readiness.missing() {
        missing if missing.is_empty() => "ok\n".into_response(),
        missing => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", missing.join(", "))).into_response()
        }
    }
}

async fn render(State(admin): State<Admin>) -> Response {
    match admin.metrics {
        Some(handle) => {
            handle.run_upkeep();
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], handle.render()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
