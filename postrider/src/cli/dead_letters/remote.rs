//! Dead letters by a receiver's API, with a producer's key.

use postrider_receiver::http::{Changed, Letter, WholeLetter};
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;
use shared::position::Position;
use shared::store::{DeadChange, DeadFilter};

use crate::cli::failure::Failure;
use crate::cli::receiver::Receiver;

/// Most in one page: what every receiver allows by default.
const PAGE: u32 = 500;

pub(super) struct Remote(pub(super) Receiver);

#[derive(Deserialize)]
struct Page {
    dead_letters: Vec<Letter>,
    cursor: Option<String>,
}

impl Remote {
    pub(super) async fn list(&self, filter: &DeadFilter, limit: u32) -> Result<Vec<Letter>, Failure> {
        let (mut letters, mut cursor): (Vec<Letter>, Option<String>) = (Vec::new(), None);
        loop {
            let left = limit.saturating_sub(u32::try_from(letters.len())?);
            let mut query = said(filter);
            query.push(("limit", left.min(PAGE).to_string()));
            query.extend(cursor.take().map(|cursor| ("cursor", cursor)));
            let request = self.0.ask("/v1/dead-letters", &query)?;
            let page: Page = serde_json::from_slice(&self.0.answer(request).await?)?;
            letters.extend(page.dead_letters);
            cursor = page.cursor;
            if cursor.is_none() || letters.len() >= usize::try_from(limit)? {
                return Ok(letters);
            }
        }
    }

    pub(super) async fn show(&self, position: Position) -> Result<WholeLetter, Failure> {
        let request = self.0.request(Method::GET, &format!("/v1/dead-letters/{position}"));
        Ok(serde_json::from_slice(&self.0.answer(request).await?)?)
    }

    pub(super) async fn change_one(&self, position: Position, change: DeadChange) -> Result<Letter, Failure> {
        let request = match change {
            DeadChange::Requeue => {
                self.0.request(Method::POST, &format!("/v1/dead-letters/{position}/requeue"))
            }
            DeadChange::Discard => self.0.request(Method::DELETE, &format!("/v1/dead-letters/{position}")),
        };
        Ok(serde_json::from_slice(&self.0.answer(request).await?)?)
    }

    /// Asks until there are no more.
    pub(super) async fn change_many(
        &self,
        filter: &DeadFilter,
        change: DeadChange,
        dry_run: bool,
    ) -> Result<Changed, Failure> {
        let mut body = json!({"all": true, "dry_run": dry_run});
        for (name, value) in said(filter) {
            // A requeue touches nothing but what is dead, and has no word for it.
            if name != "state" || change == DeadChange::Discard {
                body[name] = json!(value);
            }
        }
        let path = match change {
            DeadChange::Requeue => "/v1/dead-letters/requeue",
            DeadChange::Discard => "/v1/dead-letters/discard",
        };
        let mut count = 0;
        loop {
            let request = self.0.request(Method::POST, path).json(&body);
            let changed: Changed = serde_json::from_slice(&self.0.answer(request).await?)?;
            count += changed.count;
            if dry_run || !changed.more {
                return Ok(Changed { count, ..changed });
            }
        }
    }
}

/// The filter in the words of the API.
fn said(filter: &DeadFilter) -> Vec<(&'static str, String)> {
    [
        ("recipient", filter.recipient.as_ref().map(ToString::to_string)),
        ("code", filter.code_prefix.clone()),
        ("from", filter.from.map(|time| time.to_string())),
        ("until", filter.until.map(|time| time.to_string())),
        ("state", filter.state.map(|state| state.as_str().to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}
