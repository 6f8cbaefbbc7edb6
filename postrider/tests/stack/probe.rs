//! Whether an engine answers: one question of its own protocol, within a second.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(1);

async fn ask(address: SocketAddr, question: &[u8], answer_bytes: usize) -> io::Result<Vec<u8>> {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(question).await?;
        let mut answer = vec![0; answer_bytes];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    };
    tokio::time::timeout(DEADLINE, asking).await.unwrap_or_else(|late| Err(late.into()))
}

/// `PING`, answered `PONG`.
pub async fn redis(address: SocketAddr) -> io::Result<()> {
    let answer = ask(address, b"PING\r\n", 5).await?;
    if answer == b"+PONG" { Ok(()) } else { Err(io::Error::other(format!("{answer:?}"))) }
}

/// A command that Redis answers `OK`.
pub async fn redis_command(address: SocketAddr, command: &str) -> io::Result<()> {
    let answer = ask(address, format!("{command}\r\n").as_bytes(), 3).await?;
    if answer == b"+OK" { Ok(()) } else { Err(io::Error::other(format!("{command}: {answer:?}"))) }
}

/// ApiVersions, which a broker answers once it serves.
pub async fn kafka(address: SocketAddr) -> io::Result<()> {
    // Length 10; key 18, version 0, correlation 1, no client's name.
    let question = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    ask(address, &question, 4).await.map(drop)
}

/// A start-up packet, answered with an authentication request once the server has recovered.
pub async fn postgres(address: SocketAddr) -> io::Result<()> {
    let settings = b"user\0postrider\0database\0postgres\0\0";
    let mut question = u32::try_from(settings.len() + 8).unwrap().to_be_bytes().to_vec();
    question.extend(196_608_u32.to_be_bytes());
    question.extend(settings);
    let answer = ask(address, &question, 1).await?;
    if answer == b"R" { Ok(()) } else { Err(io::Error::other("it refuses connections")) }
}
