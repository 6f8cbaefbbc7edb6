//! What goes over sockets, read and written without a parse more than the figures need: a load generator takes the
//! processor from the pipeline that it measures.

pub(crate) mod frame;
pub(crate) mod http;
pub(crate) mod scan;
pub(crate) mod sse;
pub(crate) mod websocket;
