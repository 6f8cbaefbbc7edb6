//! A TCP proxy in this process, between services and whatever it stands for: it slows, cuts or swallows what passes.
//! A black hole of this kind accepts and then says nothing, as a wedged server does; one that drops packets is
//! `fence.rs`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::Rng as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

/// Most bytes taken from a socket at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Most chunks under way in one direction of a connection; past it nothing more is read.
const UNDER_WAY: usize = 64;

/// A slow line, in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    pub latency: Duration,
    /// Added to the latency, from nothing to this. What passes stays in order.
    pub jitter: Duration,
    /// Of each connection.
    pub bytes_per_second: u64,
}

/// What happens to what passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Clear,
    Slow(Line),
    /// Connections are accepted; nothing is read and nothing is forwarded.
    BlackHole,
    /// As a black hole, for what the server says; what clients say is forwarded.
    Mute,
    /// Every connection is reset, open ones and new ones.
    Reset,
}

/// A proxy; dropped, it resets what is open and listens no more.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.weather.send_replace(Weather::Reset);
        self.accepting.abort();
    }
}

impl Proxy {
    /// Stands in for `behind`, which need not listen yet.
    pub async fn start(behind: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (weather, seen) = watch::channel(Weather::Clear);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _from)) = listener.accept().await {
                tokio::spawn(carry(client, behind, seen.clone()));
            }
        });
        Self { address, weather, accepting }
    }

    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

/// One connection from its acceptance to its end.
async fn carry(mut client: TcpStream, behind: SocketAddr, mut weather: watch::Receiver<Weather>) {
    let mut watched = weather.clone();
    let passing = async {
        through(&mut weather, IN).await;
        let mut server = TcpStream::connect(behind).await?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let both = async {
            tokio::try_join!(
                direction(from_client, to_server, weather.clone(), IN),
                direction(from_server, to_client, weather.clone(), OUT)
            )
        };
        both.await.map(drop)
    };
    let whole = tokio::select! {
        passed = passing => passed.is_ok(),
        _reset = watched.wait_for(|weather| *weather == Weather::Reset) => false,
    };
    if !whole {
        // An end that cannot be told by FIN is told by RST; one that is gone already needs neither.
        let _gone = client.set_zero_linger();
    }
}

/// What swallows what clients say,
const IN: &[Weather] = &[Weather::BlackHole];
/// and what swallows what the server says.
const OUT: &[Weather] = &[Weather::BlackHole, Weather::Mute];

/// Waits while there is one of `swallowing`.
async fn through(weather: &mut watch::Receiver<Weather>, swallowing: &[Weather]) {
    // The sender is gone when the proxy is; then the connection is being reset.
    let _proxy_gone = weather.wait_for(|weather| !swallowing.contains(weather)).await;
}

/// Forwards until the sender has no more, then says so to the other side.
async fn direction(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut weather: watch::Receiver<Weather>,
    swallowing: &[Weather],
) -> std::io::Result<()> {
    let (sender, mut under_way) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let mut heard = weather.clone();
    let reading = async move {
        loop {
            through(&mut heard, swallowing).await;
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = tokio::select! {
                read = from.read(&mut chunk) => read?,
                _changed = heard.changed() => continue,
            };
            chunk.truncate(read);
            let delay = match *heard.borrow() {
                Weather::Slow(line) => line.latency + line.jitter.mul_f64(rand::rng().random()),
                Weather::Clear | Weather::BlackHole | Weather::Mute | Weather::Reset => Duration::ZERO,
            };
            if read == 0 || sender.send((Instant::now() + delay, chunk)).await.is_err() {
                return Ok::<_, std::io::Error>(());
            }
        }
    };
    let writing = async move {
        while let Some((due, chunk)) = under_way.recv().await {
            sleep_until(due).await;
            through(&mut weather, swallowing).await;
            let now = *weather.borrow();
            if let Weather::Slow(line) = now {
                let seconds = chunk.len() as f64 / line.bytes_per_second as f64;
                sleep(Duration::from_secs_f64(seconds)).await;
            }
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(reading, writing).map(drop)
}
