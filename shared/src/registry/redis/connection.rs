//! The connection to Redis: made when it is first needed, replaced when it breaks or stays silent. The adapter sends
//! pipelines through it.
//!
//! Not the driver's own connection manager: that one stays broken for ever when a reconnection fails for anything but
//! I/O, for example because Redis is still loading its data.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, IntoConnectionInfo as _, Pipeline};
use redis::{RedisError, ServerErrorKind};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::super::Error;
use super::scripts;
use crate::config::RedisSettings;
use crate::retry::Backoff;

/// How soon and how seldom a lost Redis is tried again.
const RECONNECT: Backoff = Backoff { base: Duration::from_millis(50), cap: Duration::from_secs(1) };

/// Commands that may wait for their turn to be written, before callers wait.
const PIPELINES_WAITING: usize = 1024;

pub(super) struct Connection {
    client: Client,
    timeout: Duration,
    link: Mutex<Link>,
}

/// The present connection. `generation` tells a caller's broken one from a newer one.
#[derive(Default)]
struct Link {
    live: Option<MultiplexedConnection>,
    generation: u64,
    failures: u32,
    retry_at: Option<Instant>,
}

/// Nobody answered in time.
#[derive(Debug)]
struct Silent(Duration);

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no answer within {} ms", self.0.as_millis())
    }
}

impl std::error::Error for Silent {}

impl Connection {
    pub(super) fn new(settings: &RedisSettings) -> Result<Self, Error> {
        let tcp =
            TcpSettings::default().set_nodelay(true).set_user_timeout(settings.timeout_ms.saturating_mul(2));
        let target = settings.url.expose().into_connection_info().map_err(classify)?.set_tcp_settings(tcp);
        let client = Client::open(target).map_err(classify)?;
        Ok(Self { client, timeout: settings.timeout_ms, link: Mutex::default() })
    }

    /// Sends `pipeline` in one round trip and answers its values. Loads the scripts and sends it once more when Redis
    /// does not know them, so every command in it must bear repetition.
    pub(super) async fn send<T: FromRedisValue>(&self, pipeline: &Pipeline) -> Result<T, Error> {
        let mut used = None;
        let answer = timeout(self.timeout, self.exchange(pipeline, &mut used)).await;
        match answer {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(error)) => {
                if let Some(generation) = used.filter(|_| error.is_unrecoverable_error()) {
                    self.abandon(generation).await;
                }
                Err(classify(error))
            }
            Err(_elapsed) => {
                // A peer that vanished without a word looks just like this, so the connection is not trusted again.
                if let Some(generation) = used {
                    self.abandon(generation).await;
                }
                Err(Error::Unavailable(Some(Box::new(Silent(self.timeout)))))
            }
        }
    }

    async fn exchange<T: FromRedisValue>(
        &self,
        pipeline: &Pipeline,
        used: &mut Option<u64>,
    ) -> Result<T, RedisError> {
        let (mut live, generation) = self.live().await?;
        *used = Some(generation);
        match pipeline.query_async(&mut live).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                scripts::load().exec_async(&mut live).await?;
                pipeline.query_async(&mut live).await
            }
            answer => answer,
        }
    }

    async fn live(&self) -> Result<(MultiplexedConnection, u64), RedisError> {
        let mut link = self.link.lock().await;
        if let Some(live) = &link.live {
            return Ok((live.clone(), link.generation));
        }
        if link.retry_at.is_some_and(|at| Instant::now() < at) {
            return Err(RedisError::from((ErrorKind::Io, "lately failed to connect")));
        }
        // Counted as a failure until it succeeds, so that a caller who gives up leaves the right trace.
        let delay = RECONNECT.delay(link.failures, rand::random::<f64>());
        link.failures = link.failures.saturating_add(1);
        link.retry_at = Some(Instant::now() + delay);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout))
            .set_pipeline_buffer_size(PIPELINES_WAITING);
        let live = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        *link =
            Link { live: Some(live.clone()), generation: link.generation + 1, failures: 0, retry_at: None };
        Ok((live, link.generation))
    }

    async fn abandon(&self, generation: u64) {
        let mut link = self.link.lock().await;
        if link.generation == generation {
            link.live = None;
        }
    }
}

/// What a caller can do about `error`.
pub(super) fn classify(error: RedisError) -> Error {
    let passing = match error.kind() {
        ErrorKind::Io | ErrorKind::Parse | ErrorKind::ClusterConnectionNotFound => true,
        ErrorKind::Server(kind) => matches!(
            kind,
            ServerErrorKind::BusyLoading
                | ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::NoScript
        ),
        // Out of memory, too many clients, busy in a script: the operator's to mend, and then it goes on.
        ErrorKind::Extension => {
            matches!(error.code(), Some("OOM" | "BUSY" | "NOREPLICAS" | "MISCONF"))
                || error.to_string().contains("max number of clients")
        }
        _ => false,
    };
    if passing { Error::Unavailable(Some(Box::new(error))) } else { Error::Rejected(Box::new(error)) }
}
