//! The executor's process.

use std::process::ExitCode;

use postrider_executor::{Config, Ports, Service};
use shared::process;

fn main() -> ExitCode {
    process::run("postrider-executor", async |mut start| {
        let config: Config = start.section();
        let process = start.begin().await?;
        let service = Service::bind(config, Ports::default()).await?;
        process.announce(&[])?;
        process.serve(service.readiness(), async |shutdown| service.run(shutdown).await).await
    })
}
