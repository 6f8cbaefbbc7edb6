//! Who is let in: the cap on connections, the rate at which they are accepted, the cap of an address; and what those
//! are told who are not.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::Json;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::addresses::{Addresses, Counted, forwarded};
use super::rate::Rate;
use super::{HttpLimits, metrics};
use crate::problem::{CONTENT_TYPE, Problem};

/// Most connections at a time that are told why they are not let in; one more is closed without a word.
const TURNED_AWAY: usize = 256;

/// Why a connection, or a request, is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TurnedAway {
    /// More connect than are accepted per second.
    Rate,
    /// The client's address has as many connections as it may.
    Address,
    /// The process is going away.
    Draining,
}

impl TurnedAway {
    /// Every one, in the order of the documents.
    pub const ALL: [Self; 3] = [Self::Rate, Self::Address, Self::Draining];

    /// The problem's stable code, its status and its title.
    #[must_use]
    pub const fn row(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::Rate => ("connecting-too-fast", 503, "more connect than are accepted"),
            Self::Address => ("address-overloaded", 503, "the client's address has too many connections"),
            Self::Draining => ("draining", 503, "this node is going away"),
        }
    }

    /// The word in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Address => "address",
            Self::Draining => "draining",
        }
    }

    /// The answer, with a time to come back that is drawn anew each time.
    pub(super) fn answer(self, retry_after_s: u64) -> Response {
        let (code, status, title) = self.row();
        let after = rand::random_range(retry_after_s..=retry_after_s.saturating_mul(4));
        let problem = Problem::new(code, title, status).retry_after(after);
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::RETRY_AFTER, after.into());
        response
    }
}

/// The door of one edge.
pub(super) struct Door {
    places: Arc<Semaphore>,
    turning: Arc<Semaphore>,
    rate: Mutex<Rate>,
    addresses: Arc<Addresses>,
    proxies: usize,
}

/// Holds a connection's place under the caps. In every request's extensions, so that an upgraded connection can keep it.
#[derive(Clone, Debug)]
pub struct Place {
    #[expect(dead_code, reason = "held to be dropped")]
    connection: Arc<Held>,
    #[expect(dead_code, reason = "held to be dropped")]
    client: Option<Arc<Counted>>,
}

#[derive(Debug)]
struct Held {
    _permit: OwnedSemaphorePermit,
    _open: metrics::Open,
    _peer: Option<Counted>,
}

impl Door {
    pub(super) fn new(limits: &HttpLimits) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            turning: Arc::new(Semaphore::new(TURNED_AWAY)),
            rate: Mutex::new(Rate::new(limits.accepts_per_second, Instant::now())),
            addresses: Addresses::new(limits.per_address),
            proxies: limits.trusted_proxies,
        }
    }

    /// Waits for a place under the cap on connections.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        if self.places.available_permits() == 0 {
            metrics::full();
        }
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Lets a connection in that has its place. Whose it is behind proxies, only its requests tell.
    pub(super) fn admit(&self, permit: OwnedSemaphorePermit, peer: IpAddr) -> Result<Place, TurnedAway> {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        if !rate.take(Instant::now()) {
            return Err(TurnedAway::Rate);
        }
        drop(rate);
        let counted = if self.proxies == 0 {
            Some(self.addresses.enter(peer).ok_or(TurnedAway::Address)?)
        } else {
            None
        };
        let held = Held { _permit: permit, _open: metrics::Open::count(), _peer: counted };
        Ok(Place { connection: Arc::new(held), client: None })
    }

    /// The place of one request on a connection: behind proxies it counts for the client that the proxies name.
    pub(super) fn request(
        &self,
        place: &Place,
        headers: &HeaderMap,
        peer: IpAddr,
    ) -> Result<Place, TurnedAway> {
        if self.proxies == 0 {
            return Ok(place.clone());
        }
        let client = self.addresses.enter(forwarded(headers, self.proxies, peer));
        let client = client.map(Arc::new).ok_or(TurnedAway::Address)?;
        Ok(Place { client: Some(client), ..place.clone() })
    }

    /// A place among those that are told why they are not let in, if there is one.
    pub(super) fn turning(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.turning).try_acquire_owned().ok()
    }
}
