//! One address for all distributors, as users have it: TCP, connection by connection to the next one that takes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::stack::Addresses;

/// How many distributors are tried for one connection, and how long each may take to answer.
const TRIES: usize = 3;
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

pub struct Balancer {
    url: String,
    task: JoinHandle<()>,
}

impl Balancer {
    pub async fn start(addresses: Addresses) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let turn = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(async move {
            while let Ok((client, _from)) = listener.accept().await {
                let (addresses, turn) = (addresses.clone(), Arc::clone(&turn));
                tokio::spawn(async move { carry(client, &addresses, &turn).await });
            }
        });
        Self { url, task }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries bytes both ways until either end is gone.
async fn carry(mut client: TcpStream, addresses: &Addresses, turn: &AtomicUsize) {
    for _ in 0..TRIES {
        let url = addresses.distributor(turn.fetch_add(1, Ordering::Relaxed));
        let connecting = TcpStream::connect(url.trim_start_matches("http://").to_owned());
        if let Ok(Ok(mut server)) = tokio::time::timeout(CONNECT_WITHIN, connecting).await {
            let _either_end_is_gone = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
