//! `GET /`: tells a visitor what this is. No console, no script.

use axum::response::Html;

/// Serves the request.
pub(super) async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}
