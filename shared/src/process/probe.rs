//! `--probe`: asks the operators' port of the process that runs with the same settings. For health checks inside
//! containers, whose images have nothing else that speaks HTTP.

use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::ValueEnum;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How long an answer may take; orchestrators wait for as long or longer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most of an answer that is read.
const MOST_BYTES: u64 = 16 * 1024;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Question {
    /// Whether the process lives.
    Livez,
    /// Whether it wants traffic.
    Readyz,
}

impl Question {
    const fn path(self) -> &'static str {
        match self {
            Self::Livez => "/livez",
            Self::Readyz => "/readyz",
        }
    }
}

/// Asks the process whose operators' port listens at `listen`; an unspecified address is asked on loopback.
///
/// # Errors
/// With what it said, unless that is 200; when nobody answers in time; when `listen` leaves the port to choose.
pub(super) async fn ask(question: Question, listen: SocketAddr) -> Result<(), Error> {
    if listen.port() == 0 {
        let told = "admin.listen leaves the port to choose: name one, so that it can be asked";
        return Err(Error::new(ErrorKind::InvalidInput, told));
    }
    let address = SocketAddr::new(reachable(listen.ip()), listen.port());
    match tokio::time::timeout(PATIENCE, answer(question.path(), address)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Error::new(error.kind(), format!("{address}: {error}"))),
        Err(_elapsed) => {
            Err(Error::new(ErrorKind::TimedOut, format!("{address}: no answer in {PATIENCE:?}")))
        }
    }
}

fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

async fn answer(path: &str, address: SocketAddr) -> Result<(), Error> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n").as_bytes()).await?;
    let mut said = Vec::new();
    stream.take(MOST_BYTES).read_to_end(&mut said).await?;
    let said = String::from_utf8_lossy(&said);
    let status = said.split(' ').nth(1).unwrap_or_default();
    if status == "200" {
        return Ok(());
    }
    let body = said.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    Err(Error::other(format!("{path} is {status} {body}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::{self, Readiness, Ready};
    use crate::shutdown::Shutdown;

    #[tokio::test]
    async fn a_probe_is_answered_as_the_operators_port_stands() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let everywhere = SocketAddr::from(([0, 0, 0, 0], port));
        let (readiness, shutdown) = (Readiness::of(&["service"]), Shutdown::new());
        let serving = tokio::spawn(admin::run(listener, readiness.clone(), None, shutdown.clone()));
        ask(Question::Livez, everywhere).await.unwrap();
        let refused = ask(Question::Readyz, everywhere).await.unwrap_err().to_string();
        assert!(refused.contains("/readyz is 503") && refused.contains("service"), "{refused}");
        readiness.set("service", Ready::Yes);
        ask(Question::Readyz, everywhere).await.unwrap();
        shutdown.begin();
        serving.await.unwrap();
        let gone = ask(Question::Livez, everywhere).await.unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::ConnectionRefused, "{gone}");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_eq!(ask(Question::Livez, any).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_waited_for() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = ask(Question::Readyz, silent.local_addr().unwrap()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    }
}
