//! Promise 3 in headless Chromium, with the browser's own `WebSocket` and `EventSource` on a page of another origin:
//! `tests/browser/`, run by Node.js against both engine columns.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::stack::{Column, Plan, SECRET, Stack};

const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 41\r\nconnection: close\r\n\r\n\
                    <!doctype html><title>a client's</title>\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_gets_the_stored_then_the_new_embedded() {
    a_browser_gets_the_stored_then_the_new(Column::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_gets_the_stored_then_the_new_distributed() {
    a_browser_gets_the_stored_then_the_new(Column::Distributed).await;
}

async fn a_browser_gets_the_stored_then_the_new(column: Column) {
    let pages = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", pages.local_addr().unwrap());
    let serving = tokio::spawn(serve_pages(pages));
    let pipeline = Stack::start(Plan { column, origin: origin.clone(), ..Plan::default() }).await;

    let tests = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/browser");
    assert!(tests.join("node_modules").is_dir(), "npm ci was not run in tests/browser: scripts/test does");
    let output = Command::new("node")
        .args(["--test", "--test-timeout=120000", "browser.test.js"])
        .current_dir(tests)
        .env("POSTRIDER_TEST_ORIGIN", &origin)
        .env("POSTRIDER_TEST_RECEIVER", pipeline.producer().receiver())
        .env("POSTRIDER_TEST_DISTRIBUTOR", pipeline.distributor())
        .env("POSTRIDER_TEST_API_KEY", pipeline.producer().api_key)
        .env("POSTRIDER_TEST_TOKEN_SECRET", SECRET)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("Node.js is installed: scripts/prerequisites");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        pipeline.logs()
    );
    // A run that ran nothing would succeed too.
    assert!(said.contains("# pass 4") && said.contains("# skipped 0"), "{said}");
    serving.abort();
}

async fn serve_pages(listener: TcpListener) {
    while let Ok((mut stream, _browser)) = listener.accept().await {
        tokio::spawn(async move {
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok() {
                // A browser that hung up wants no page.
                let _gone = stream.write_all(PAGE.as_bytes()).await;
            }
        });
    }
}
