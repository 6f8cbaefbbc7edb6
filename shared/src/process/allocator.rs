//! The allocator of every program: a notification makes and gives back dozens of allocations, many of them on another
//! thread than the one that made them, which glibc's own takes a fifth of the processor for.

pub use mimalloc::MiMalloc as Allocator;

/// Makes [`Allocator`] that of a program; said once, in its `main.rs`.
#[macro_export]
macro_rules! allocator {
    () => {
        #[global_allocator]
        static ALLOCATOR: $crate::process::Allocator = $crate::process::Allocator;
    };
}
