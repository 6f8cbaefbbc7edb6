//! Generates the link service from its `.proto`, with a compiler written in Rust, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/link.proto");
    println!("cargo::rerun-if-changed=migrations");
    let descriptors = protox::compile(["link.proto"], ["proto"])?;
    tonic_prost_build::configure().bytes(".postrider.link.v1.Record.content").compile_fds(descriptors)?;
    Ok(())
}
