//! Prints the receiver's OpenAPI document: `cargo run -p postrider-receiver --example openapi > docs/openapi.json`.

#[expect(clippy::print_stdout, reason = "printing is what this program is for")]
fn main() {
    print!("{}", postrider_receiver::http::document());
}
