//! Requests of guests to the outside: where they arrive, where they never do, and how much they carry.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postrider_executor::SandboxSettings;
use postrider_executor::sandbox::{AllowList, Answer, Failure, Grants, Report};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::gets::{NO_BODY, NO_RESPONSE, gets};
use crate::guests::quiet;
use crate::world::{World, code, input, settings};

fn told(report: &Report) -> u64 {
    match &report.answer {
        Ok(Answer::Retry { after: Some(after), .. }) => u64::try_from(after.as_millis()).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// A server that says the same to everybody, and counts connections.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// `said` none: says nothing, and keeps the connection.
    async fn start(address: &str, said: Option<String>) -> Self {
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let said = said.clone();
                tokio::spawn(async move {
                    let mut asked = Vec::new();
                    while !asked.ends_with(b"\r\n\r\n") && stream.read_buf(&mut asked).await.unwrap() > 0 {}
                    match said {
                        Some(said) => stream.write_all(said.as_bytes()).await.unwrap_or_default(),
                        None => std::future::pending().await,
                    }
                });
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn response(body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// Settings under which the machine itself may be reached, as an internal service would be.
fn reaching(network: &str) -> SandboxSettings {
    let mut settings = settings();
    settings.http.networks = vec![network.parse().unwrap()];
    settings
}

async fn get(world: &World, allowed: &str, authority: &str) -> Report {
    let allow = AllowList::parse([allowed]).unwrap();
    let grants = Grants { http: Some(Arc::new(allow)), ..Grants::default() };
    world.run_with(&gets(), &grants, &input(authority)).await
}

/// A request to `service.test` at the port of `server`, which the allow-list has.
async fn get_service(world: &World, server: &Server) -> Report {
    let authority = format!("service.test:{}", server.port);
    get(world, &format!("http://{authority}"), &authority).await
}

#[tokio::test]
async fn a_request_to_an_allowed_origin_is_answered() {
    let world = World::new(reaching("127.0.0.1/32"));
    let server = Server::start("127.0.0.1", response("hello")).await;
    world.resolver.answers(&[&["127.0.0.1"]]);
    assert_eq!(told(&get_service(&world, &server).await), 200_000_005);
    assert_eq!((server.connections(), world.resolver.asked.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn without_the_grant_the_module_is_denied() {
    let report = World::new(settings()).run(&gets()).await;
    assert!(
        matches!(&report.answer, Err(Failure::Denied(import)) if import.starts_with("wasi:http/")),
        "{report:?}"
    );
}

#[tokio::test]
async fn an_origin_that_is_not_on_the_list_fails_the_task_and_is_never_resolved() {
    let world = World::new(reaching("127.0.0.1/32"));
    let server = Server::start("127.0.0.1", response("")).await;
    world.resolver.answers(&[&["127.0.0.1"]]);
    let other = format!("other.test:{}", server.port);
    let report = get(&world, &format!("http://service.test:{}", server.port), &other).await;
    assert_eq!(report.answer, Err(Failure::Denied(format!("http request to http://{other}"))));
    assert_eq!((server.connections(), world.resolver.asked.load(Ordering::SeqCst)), (0, 0));
}

#[tokio::test]
async fn private_and_metadata_addresses_are_denied_by_name_and_by_number() {
    let world = World::new(settings());
    let server = Server::start("127.0.0.1", response("secret")).await;
    for address in [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "100.100.100.200",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "fd00:ec2::254",
        "fe80::1",
    ] {
        let number = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        world.resolver.answers(&[&[address]]);
        for host in ["service.test", &number] {
            let authority = format!("{host}:{}", server.port);
            let report = get(&world, &format!("http://{authority}"), &authority).await;
            let told = format!("http request to http://{authority} at {address}");
            assert_eq!(report.answer, Err(Failure::Denied(told)));
        }
    }
    assert_eq!(server.connections(), 0);
    // Other spellings of addresses are names to the resolver, and what it answers is checked.
    world.resolver.answers(&[&["127.0.0.1"]]);
    for host in ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"] {
        let authority = format!("{host}:{}", server.port);
        assert_eq!(code(&get(&world, &format!("http://{authority}"), &authority).await), "denied", "{host}");
    }
    assert_eq!(server.connections(), 0);
    assert_eq!(world.run(&quiet()).await.answer, Ok(Answer::Done(vec![])));
}

#[tokio::test]
async fn a_name_that_answers_differently_the_second_time_gains_nothing() {
    let world = World::new(reaching("127.0.0.1/32"));
    let server = Server::start("127.0.0.1", response("hello")).await;
    // The first answer is checked, and connected to: nobody asks again.
    world.resolver.answers(&[&["127.0.0.1"], &["169.254.169.254"]]);
    assert_eq!(told(&get_service(&world, &server).await), 200_000_005);
    assert_eq!(world.resolver.asked.load(Ordering::SeqCst), 1);
    let report = get_service(&world, &server).await;
    assert!(matches!(&report.answer, Err(Failure::Denied(told)) if told.ends_with("at 169.254.169.254")));
    // A name with an address of each kind is made to mislead.
    world.resolver.answers(&[&["127.0.0.1", "10.0.0.1"]]);
    assert_eq!(code(&get_service(&world, &server).await), "denied");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let world = World::new(reaching("127.0.0.0/8"));
    let inner = Server::start("127.0.0.1", response("secret")).await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\n\r\n",
        inner.port
    );
    let server = Server::start("127.0.0.1", Some(redirect)).await;
    world.resolver.answers(&[&["127.0.0.1"]]);
    assert_eq!(told(&get_service(&world, &server).await), 302_000_000);
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn a_response_at_its_limit_is_read_and_a_longer_one_is_cut_off() {
    let mut limits = reaching("127.0.0.1/32");
    limits.http.response_bytes = 10_000;
    let world = World::new(limits);
    world.resolver.answers(&[&["127.0.0.1"]]);
    let server = Server::start("127.0.0.1", response(&"x".repeat(10_000))).await;
    assert_eq!(told(&get_service(&world, &server).await), 200_010_000);
    let server = Server::start("127.0.0.1", response(&"x".repeat(10_001))).await;
    assert_eq!(told(&get_service(&world, &server).await), NO_BODY);
}

#[tokio::test]
async fn headers_time_and_the_number_of_requests_are_limited() {
    let mut limits = reaching("127.0.0.1/32");
    limits.http.header_bytes = 8192;
    limits.http.request_ms = Duration::from_millis(200);
    let world = World::new(limits.clone());
    world.resolver.answers(&[&["127.0.0.1"]]);
    let flood = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(10_000));
    let flood = Server::start("127.0.0.1", Some(flood)).await;
    assert!(told(&get_service(&world, &flood).await) >= NO_RESPONSE);
    let silent = Server::start("127.0.0.1", None).await;
    assert!(told(&get_service(&world, &silent).await) >= NO_RESPONSE);
    // Headers, and then nothing.
    let stalls =
        Server::start("127.0.0.1", Some("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".into()))
            .await;
    assert_eq!(told(&get_service(&world, &stalls).await), NO_BODY);
    limits.http.requests = 0;
    let world = World::new(limits);
    world.resolver.answers(&[&["127.0.0.1"]]);
    let server = Server::start("127.0.0.1", response("")).await;
    assert!(told(&get_service(&world, &server).await) >= NO_RESPONSE);
    assert_eq!(server.connections(), 0);
}
