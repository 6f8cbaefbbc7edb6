//! Lists of the API, page after page.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::Failure;
use super::receiver::Receiver;

/// Most in one page: what every receiver allows by default, of every list.
const PAGE: u32 = 50;

/// The first `limit` of the list at `path`, whose pages have them in `field`.
pub(super) async fn first<T: DeserializeOwned>(
    receiver: &Receiver,
    path: &str,
    field: &str,
    query: &[(&str, Option<String>)],
    limit: u32,
) -> Result<Vec<T>, Failure> {
    let (mut found, mut cursor): (Vec<T>, Option<String>) = (Vec::new(), None);
    let said: Vec<(&str, String)> =
        query.iter().filter_map(|(name, value)| Some((*name, value.clone()?))).collect();
    loop {
        let left = limit.saturating_sub(u32::try_from(found.len())?);
        let mut asked = said.clone();
        asked.push(("limit", left.min(PAGE).to_string()));
        asked.extend(cursor.take().map(|cursor| ("cursor", cursor)));
        let mut page: Value = serde_json::from_slice(&receiver.answer(receiver.ask(path, &asked)?).await?)?;
        let items = page.get_mut(field).map(Value::take).unwrap_or_default();
        found.extend(serde_json::from_value::<Vec<T>>(items)?);
        cursor = page.get("cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() || found.len() >= usize::try_from(limit)? {
            return Ok(found);
        }
    }
}

/// Says that there may be more than the `limit` that was asked for.
pub(super) fn note_more(shown: usize, limit: u32) {
    if shown >= usize::try_from(limit).unwrap_or(usize::MAX) {
        super::print::note(format_args!("the first {limit} only; there may be more"));
    }
}
