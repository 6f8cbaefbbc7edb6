//! The WIT world as Rust: made by wasmtime from `wit/postrider-task.wit` when this is compiled.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::allow_attributes_without_reason,
    reason = "the WIT file is the documentation, and the code is made by wasmtime"
)]

wasmtime::component::bindgen!({
    path: "wit/postrider-task.wit",
    world: "task",
    imports: {
        "postrider:task/key-value": async,
    },
    exports: { default: async },
});
