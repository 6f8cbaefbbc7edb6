//! Serves an echo on the distributor's own accept path, for the Autobahn suite: `scripts/autobahn`. Prints its address.

use shared::serve::{HttpLimits, serve};
use shared::shutdown::Shutdown;

#[tokio::main]
#[expect(clippy::print_stdout, reason = "the script reads the address")]
async fn main() -> std::io::Result<()> {
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    serve(listener, postrider_distributor::echo(16 * 1024 * 1024), HttpLimits::default(), shutdown).await;
    Ok(())
}
