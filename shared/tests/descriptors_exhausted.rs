//! A process without a descriptor left: accepting backs off instead of spinning, who is connected is served, and it
//! recovers by itself. A program of its own, since the limit is the process's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that fails panics")]

use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shared::serve::{HttpLimits, serve};
use shared::shutdown::Shutdown;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

fn failures(shown: &PrometheusHandle) -> u64 {
    let text = shown.render();
    let line = text.lines().find_map(|line| line.strip_prefix("postrider_accept_failures "));
    line.map_or(0, |count| count.parse().unwrap())
}

async fn ask(stream: &mut TcpStream) -> std::io::Result<[u8; 12]> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await?;
    let mut first = [0; 12];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut first)).await??;
    // The rest of the answer, so that the next one is read from its beginning.
    let mut rest = [0; 1024];
    let _rest = tokio::time::timeout(PATIENCE, stream.read(&mut rest)).await??;
    Ok(first)
}

/// Leaves no descriptor: the limit is where the first free one is. Answers what it was.
fn exhaust() -> Rlimit {
    let before = getrlimit(Resource::Nofile);
    let free = u64::try_from(std::fs::File::open("/dev/null").unwrap().as_raw_fd()).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(free), maximum: before.maximum }).unwrap();
    before
}

#[test]
fn accepting_backs_off_and_recovers_while_who_is_connected_is_served() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let shown = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let app = axum::Router::new().route("/", axum::routing::get(|| async { "here\n" }));
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(serve(listener, app, HttpLimits::default(), shutdown.clone()));
        let mut connected = TcpStream::connect(address).await.unwrap();
        assert_eq!(&ask(&mut connected).await.unwrap(), b"HTTP/1.1 200");

        // The client's end has its descriptor; the server's end will find none.
        let late = TcpSocket::new_v4().unwrap();
        let (before, begun) = (exhaust(), Instant::now());
        let mut late = late.connect(address).await.unwrap();
        while failures(&shown) < 5 {
            assert_eq!(&ask(&mut connected).await.unwrap(), b"HTTP/1.1 200");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (failed, elapsed) = (failures(&shown), begun.elapsed());
        assert!(failed as u128 <= elapsed.as_millis() / 100 + 1, "{failed} attempts in {elapsed:?}");
        setrlimit(Resource::Nofile, before).unwrap();
        assert_eq!(&ask(&mut late).await.unwrap(), b"HTTP/1.1 200");
        shutdown.begin();
        serving.await.unwrap();
    });
}
