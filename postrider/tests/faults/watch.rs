//! What scenarios look at beside the account of a load: clients of the product's own library that note when they came and
//! went, what a process says of itself, what Redis is told and says.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use postrider::client::{Incoming, Listener, Options, Transport};
use rustix::process::{Pid, Resource};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use crate::stack::{PATIENCE, Part, Stack, http, token};

/// What a watcher noted.
#[derive(Debug, Default)]
pub struct Noted {
    /// What it was given, in order.
    pub ids: Vec<String>,
    /// When each session opened.
    pub opened: Vec<Instant>,
    /// When each connection was lost, and why.
    pub interrupted: Vec<(Instant, String)>,
}

/// A client that acknowledges everything and comes back by itself.
pub struct Watcher {
    recipient: String,
    noted: Arc<Mutex<Noted>>,
    _task: AbortOnDropHandle<()>,
}

impl Watcher {
    /// Listens at `url` until it is dropped.
    pub fn start(url: &str, recipient: &str, transport: Transport) -> Self {
        let noted: Arc<Mutex<Noted>> = Arc::default();
        let mut listener = Listener::new(Options::new(url, token(recipient)).over(transport)).unwrap();
        let notes = Arc::clone(&noted);
        let task = tokio::spawn(async move {
            loop {
                match listener.next().await.unwrap() {
                    Incoming::Opened { .. } => notes.lock().unwrap().opened.push(Instant::now()),
                    Incoming::Notification(notification) => {
                        listener.acknowledge(&notification.cursor);
                        notes.lock().unwrap().ids.push(notification.id);
                    }
                    Incoming::Gap(gap) => listener.acknowledge(&gap.cursor),
                    Incoming::Drained { .. } => {}
                    Incoming::Interrupted { why, .. } => {
                        notes.lock().unwrap().interrupted.push((Instant::now(), why));
                    }
                }
            }
        });
        Self { recipient: recipient.to_owned(), noted, _task: AbortOnDropHandle::new(task) }
    }

    pub fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap()
    }

    /// Waits until so many sessions were opened.
    pub async fn opened(&self, count: usize) {
        until(&format!("{} opens session {count}", self.recipient), async || {
            self.noted().opened.len() >= count
        })
        .await;
    }

    /// Waits until it was given exactly these, in this order.
    pub async fn given(&self, ids: &[String]) {
        until(&format!("{} is given {} notifications", self.recipient, ids.len()), async || {
            self.noted().ids.len() >= ids.len()
        })
        .await;
        assert_eq!(self.noted().ids, ids, "{}", self.recipient);
    }
}

/// Waits for a fact.
pub async fn until(what: &str, mut fact: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fact().await {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} until {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The sum of a metric of a process over all labels that contain `label`.
pub async fn metric(stack: &Stack, part: Part, name: &str, label: &str) -> f64 {
    metric_with(stack, part, name, &[label]).await
}

/// The sum of a metric of a process over all labels that contain each of `labels`.
pub async fn metric_with(stack: &Stack, part: Part, name: &str, labels: &[&str]) -> f64 {
    let answer = http().get(format!("{}/metrics", stack.admin_of(part))).timeout(PATIENCE).send().await;
    let text = answer.unwrap().text().await.unwrap();
    let of_name = |line: &&str| {
        // The exporter appends what tells a counter.
        let rest = line.strip_prefix(name).map(|rest| rest.strip_prefix("_total").unwrap_or(rest));
        rest.is_some_and(|rest| rest.starts_with([' ', '{']))
            && labels.iter().all(|label| line.contains(label))
    };
    text.lines().filter(of_name).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// The sum over `count` distributors.
pub async fn of_distributors(stack: &Stack, count: usize, name: &str, label: &str) -> f64 {
    let mut sum = 0.0;
    for index in 0..count {
        sum += metric(stack, Part::Distributor(index), name, label).await;
    }
    sum
}

/// POSTs until it is accepted, as producers do while something is away.
pub async fn send(stack: &Stack, recipient: &str) -> String {
    send_content(stack, recipient, &json!("content")).await
}

/// As [`send`], of this content.
pub async fn send_content(stack: &Stack, recipient: &str, content: &Value) -> String {
    let producer = stack.producer();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match producer.try_send(recipient, content, None).await {
            Ok(id) => return id,
            Err(why) => assert!(Instant::now() < deadline, "not accepted in {PATIENCE:?}: {why}"),
        }
    }
}

/// Says something to the stack's own Redis and answers what it said.
pub async fn redis(stack: &Stack, command: &str) -> String {
    let settings: toml::Table =
        std::fs::read_to_string(stack.dir().join("postrider.toml")).unwrap().parse().unwrap();
    let url = settings["redis"]["url"].as_str().unwrap();
    let mut stream = TcpStream::connect(url.trim_start_matches("redis://")).await.unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(!answer.starts_with('-'), "{command}: {answer}");
    answer
}

/// How many commands Redis has run.
pub async fn redis_commands(stack: &Stack) -> u64 {
    let stats = redis(stack, "INFO stats").await;
    let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
    line.unwrap().trim().parse().unwrap()
}

/// Lets a process have so many open files, at most as many as this one may.
pub fn limit_open_files(id: u32, most: u64) {
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    let limit = rustix::process::Rlimit { current, maximum };
    rustix::process::prlimit(Pid::from_raw(id.cast_signed()), Resource::Nofile, limit).unwrap();
}

/// How many files a process has open.
pub fn open_files(id: u32) -> u64 {
    std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count() as u64
}

/// Processor time a process has used.
pub fn processor_time(id: u32) -> Duration {
    /// Of `/proc`, as `sysconf(_SC_CLK_TCK)` says on Linux.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = words[11..=12].iter().map(|word| word.parse::<f64>().unwrap()).sum();
    Duration::from_secs_f64(ticks / TICKS_PER_SECOND)
}

/// A WebSocket whose handshake was made by hand, so that a test decides what is read of it and when.
///
/// # Errors
/// When nobody takes the connection.
pub async fn bare_websocket(url: &str, recipient: &str) -> std::io::Result<TcpStream> {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // What the kernel takes in advance is not what the client reads.
    socket.set_recv_buffer_size(4096).unwrap();
    let address = url.trim_start_matches("http://").parse().unwrap();
    let mut stream = socket.connect(address).await?;
    let request = format!(
        "GET /v1/ws?window=64 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {}\r\n\r\n",
        token(recipient)
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Content of so many bytes.
pub fn padding(bytes: usize) -> Value {
    json!("x".repeat(bytes))
}
