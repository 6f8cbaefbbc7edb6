//! The client-facing edge over HTTP: routes, who is asking, and what all three transports share. `websocket.rs`,
//! `sse.rs` and `poll.rs` are the transports.

mod ack;
mod body;
mod credentials;
mod page;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod settings;
mod tickets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use http::{HeaderName, HeaderValue, Method, header};
use rand::Rng as _;
use shared::delivery::SessionName;
use shared::shutdown::Shutdown;
use tokio_util::task::TaskTracker;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use self::problem::Refusal;
pub use self::settings::EdgeSettings;
use crate::auth::{AuthSettings, Authenticator, KeyError, Origins, Tickets};
use crate::config::SessionLimits;
use crate::hub::{Handle, Hub, Opened, Refused};
use crate::poll::Lingering;
use crate::protocol;
use crate::relay::Relay;
use crate::{poll, sse, websocket};

/// How often what has run out is forgotten.
const SWEEP: Duration = Duration::from_secs(1);

/// What the transports share.
pub struct Edge {
    pub(crate) hub: Arc<Hub>,
    pub(crate) settings: EdgeSettings,
    pub(crate) lingering: Lingering,
    pub(crate) shutdown: Shutdown,
    /// Whether the shutdown began; WebSockets look here when they are woken.
    stopped: AtomicBool,
    /// WebSockets, which outlive the request that began them.
    pub(crate) connections: TaskTracker,
    /// How long a frame may go unconfirmed by the peer's kernel on a connection whose acknowledgements are believed.
    pub(crate) unconfirmed: Duration,
    pub(crate) relay: Relay,
    auth: Authenticator,
    origins: Origins,
    tickets: Tickets,
    ticket_ttl: Duration,
    window: u32,
}

impl Edge {
    /// The edge of a node.
    ///
    /// # Errors
    /// When the settings give no key to verify tokens with.
    pub(crate) fn new(
        hub: Arc<Hub>,
        auth: &AuthSettings,
        session: &SessionLimits,
        settings: EdgeSettings,
        relay: Relay,
        shutdown: Shutdown,
    ) -> Result<Arc<Self>, KeyError> {
        Ok(Arc::new(Self {
            auth: Authenticator::new(auth)?,
            origins: Origins::new(&auth.allowed_origins),
            tickets: Tickets::new(auth.ticket_ttl_ms, auth.tickets),
            ticket_ttl: auth.ticket_ttl_ms,
            window: session.window,
            unconfirmed: session.grace_ms * 4 / 5,
            lingering: Lingering::default(),
            connections: TaskTracker::new(),
            hub,
            settings,
            relay,
            shutdown,
            stopped: AtomicBool::new(false),
        }))
    }

    /// Forgets tickets and lingering sessions whose time is over, until shutdown; then ends the lingering ones and
    /// waits for the WebSockets, which see the shutdown themselves. The service runs it.
    pub async fn run(&self) {
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _at = sweeps.tick() => {}
                () = self.shutdown.begun() => break,
            }
            let now = self.now();
            self.tickets.sweep(now, self.settings.poll_linger_ms);
            self.lingering.sweep(now, self.settings.poll_linger_ms);
        }
        self.lingering.clear();
        self.connections.close();
        self.connections.wait().await;
    }

    /// Ends what is left of connections and lingering sessions; [`Edge::run`] returns once they are gone.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.shutdown.begin();
        self.hub.wake_all();
    }

    /// Whether [`Edge::stop`] was called. A session that was entered before is woken then.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Opens a session, or says after how many seconds to try again.
    pub(crate) fn open(&self, opened: Opened) -> Result<Handle, Refusal> {
        self.hub.open(opened).map_err(|refused| self.refusal(refused))
    }

    /// A refusal of the hub, to be tried again at a time of its own.
    pub(crate) fn refusal(&self, refused: Refused) -> Refusal {
        let least = self.settings.retry_after_s;
        let range = match refused {
            // Other nodes have room: nobody has to wait for this one.
            Refused::Draining => 1..=least,
            Refused::Full | Refused::RecipientFull | Refused::TenantFull => least..=least.saturating_mul(4),
        };
        Refusal::Refused(refused, rand::rng().random_range(range))
    }

    /// What `welcome` says of a session.
    pub(crate) fn opened(&self, handle: &Handle, window: Option<u32>) -> protocol::Opened {
        protocol::Opened {
            session: SessionName { session: handle.id(), node: Some(self.relay.node()) },
            ping_ms: u64::try_from(self.settings.ping_ms.as_millis()).unwrap_or(u64::MAX),
            window: window.map_or(self.window, |asked| asked.clamp(1, self.window)),
        }
    }

    /// Allows listed origins what a browser asks before it lets a page read across origins.
    fn cors(self: &Arc<Self>) -> CorsLayer {
        let edge = Arc::clone(self);
        let listed = move |origin: &HeaderValue, _: &http::request::Parts| {
            origin.to_str().is_ok_and(|origin| edge.origins.lists(origin))
        };
        CorsLayer::new()
            .allow_origin(AllowOrigin::predicate(listed))
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                header::CACHE_CONTROL,
                HeaderName::from_static("last-event-id"),
            ])
            .max_age(Duration::from_secs(600))
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge").field("hub", &self.hub).finish_non_exhaustive()
    }
}

/// Everything that clients may ask.
pub fn router(edge: Arc<Edge>) -> Router {
    let cors = edge.cors();
    Router::new()
        .route("/", get(page::page))
        .route("/v1/ws", get(websocket::accept))
        .route("/v1/sse", get(sse::stream))
        .route("/v1/poll", get(poll::poll))
        .route("/v1/ack", post(ack::ack))
        .route("/v1/tickets", post(tickets::issue))
        .fallback(|| async { Refusal::NotFound })
        .method_not_allowed_fallback(|| async { Refusal::Method })
        .layer(cors)
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ))
        .with_state(edge)
}
