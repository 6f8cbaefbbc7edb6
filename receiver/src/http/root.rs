//! `GET /`: tells a visitor what this is.

use std::net::SocketAddr;

use axum::response::{IntoResponse, Response};
use http::header;

pub(super) fn welcome(address: SocketAddr) -> Response {
    let text = format!(
        "\
This is a Postrider receiver: producers hand notifications in here, and each reaches its recipient on whatever
connection they hold, or the moment they come back. An answer of 202 means that it will not be lost.

Send one (with a key from `postrider key create`):

  curl -H 'Authorization: Bearer prk_...' -d 'hello' http://{address}/v1/to/alice

Or with everything there is to say about it:

  curl -H 'Authorization: Bearer prk_...' -H 'Content-Type: application/json' \\
    -d '{{\"to\":{{\"recipient\":\"alice\"}},\"type\":\"order.shipped\",\"content\":{{\"order\":7}},\"ttl\":3600}}' \\
    http://{address}/v1/notifications

Every operation: http://{address}/openapi.json
"
    );
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}
