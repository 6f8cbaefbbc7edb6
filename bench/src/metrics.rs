//! Operators' ports: what their counters say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::wire::http;

/// How long one may take to answer.
const WITHIN: Duration = Duration::from_secs(10);

/// An operators' port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Port {
    name: String,
    address: SocketAddr,
}

impl Port {
    pub(crate) fn new(name: &str, address: SocketAddr) -> Self {
        Self { name: name.into(), address }
    }
}

/// Reads `NAME=ADDRESS`.
///
/// # Errors
/// When it is something else.
pub(crate) fn port(text: &str) -> Result<Port, String> {
    let (name, address) = text.split_once('=').ok_or("must be NAME=ADDRESS")?;
    Ok(Port { name: name.into(), address: crate::target::loopback(address)? })
}

/// All counters (`_total`, `_sum`, `_count`), those of ports of one name added up: `NAME counter{labels}`.
pub(crate) async fn counters(ports: &[Port]) -> anyhow::Result<BTreeMap<String, f64>> {
    let mut counters = BTreeMap::new();
    for port in ports {
        let text = tokio::time::timeout(WITHIN, get(port.address)).await;
        let text = text.context("no answer in time").flatten();
        let text = text.with_context(|| format!("{}: {}", port.name, port.address))?;
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let base = name.split('{').next().unwrap_or_default();
            if ["_total", "_sum", "_count"].iter().any(|end| base.ends_with(end)) {
                *counters.entry(format!("{} {name}", port.name)).or_default() += value.parse().unwrap_or(0.0);
            }
        }
    }
    Ok(counters)
}

/// By how much they grew, where they did.
pub(crate) fn growth(before: &BTreeMap<String, f64>, after: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let grown = after.into_iter().map(|(name, value)| {
        let growth = value - before.get(&name).copied().unwrap_or(0.0);
        (name, growth)
    });
    grown.filter(|(_, growth)| *growth != 0.0).collect()
}

async fn get(address: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let answer = http::answer(&bytes).map_err(anyhow::Error::msg)?.context("an answer that is cut")?;
    anyhow::ensure!(answer.head.status == 200, "answered {}", answer.head.status);
    Ok(String::from_utf8(answer.body.into_owned())?)
}
