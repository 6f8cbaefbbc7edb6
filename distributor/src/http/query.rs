//! What clients say in the query string. A parameter that is empty counts as left out; one that is not known is ignored.

use std::time::Duration;

use axum::extract::Query;
use http::{HeaderMap, Uri};
use serde::Deserialize;
use shared::delivery::{SessionId, SessionName};
use shared::position::Cursor;

use super::problem::Refusal;
use super::settings::EdgeSettings;
use crate::session::Acknowledging;

/// The query of `/v1/ws`, `/v1/sse` and `/v1/poll`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Asked {
    cursor: Option<String>,
    last_event_id: Option<String>,
    ticket: Option<String>,
    session: Option<String>,
    wait: Option<String>,
    max: Option<String>,
    window: Option<String>,
    ack: Option<String>,
}

impl Asked {
    /// Reads the query of `uri`.
    pub(crate) fn read(uri: &Uri) -> Result<Self, Refusal> {
        let Query(asked) = Query::<Self>::try_from_uri(uri)
            .map_err(|_why| Refusal::Query("query", "cannot be read; every parameter may come once"))?;
        Ok(asked)
    }

    /// The cursor, if any.
    pub(crate) fn cursor(&self) -> Result<Option<Cursor>, Refusal> {
        present(self.cursor.as_ref()).map(decode).transpose()
    }

    /// Where an `EventSource` stands: its header, or what stands for it in the query.
    pub(crate) fn event_cursor(&self, headers: &HeaderMap) -> Result<Option<Cursor>, Refusal> {
        let header = headers.get("last-event-id").map(|value| value.to_str().unwrap_or("?"));
        header
            .filter(|text| !text.is_empty())
            .or_else(|| present(self.last_event_id.as_ref()))
            .or_else(|| present(self.cursor.as_ref()))
            .map(decode)
            .transpose()
    }

    /// How an event stream's acknowledgements are learnt: a bare `EventSource` has no word for them.
    pub(crate) fn acknowledging(&self) -> Result<Acknowledging, Refusal> {
        match present(self.ack.as_ref()) {
            Some("explicit") => Ok(Acknowledging::Explicit),
            Some("grace") | None => Ok(Acknowledging::Grace),
            Some(_other) => Err(Refusal::Query("ack", "must be explicit or grace")),
        }
    }

    /// The ticket, if any.
    pub(crate) fn ticket(&self) -> Option<&str> {
        present(self.ticket.as_ref())
    }

    /// The session to go on with, if any.
    pub(crate) fn session(&self) -> Result<Option<SessionId>, Refusal> {
        present(self.session.as_ref())
            .map(|text| text.parse().map_err(|_why| Refusal::Query("session", "is not a session id")))
            .transpose()
            .map(|name: Option<SessionName>| name.map(|name| name.session))
    }

    /// The window asked for, if any.
    pub(crate) fn window(&self) -> Result<Option<u32>, Refusal> {
        const WRONG: Refusal = Refusal::Query("window", "must be an integer above zero");
        let number = present(self.window.as_ref()).map(|text| text.parse::<u32>().map_err(|_why| WRONG));
        match number.transpose()? {
            Some(0) => Err(WRONG),
            window => Ok(window),
        }
    }

    /// How long to wait, never longer than the setting.
    pub(crate) fn wait(&self, settings: &EdgeSettings) -> Result<Duration, Refusal> {
        let Some(text) = present(self.wait.as_ref()) else { return Ok(settings.poll_wait_ms) };
        let wait: u64 =
            text.parse().map_err(|_why| Refusal::Query("wait", "must be a whole number of milliseconds"))?;
        Ok(Duration::from_millis(wait).min(settings.poll_wait_max_ms))
    }

    /// How many notifications at most, never more than the setting.
    pub(crate) fn max(&self, settings: &EdgeSettings) -> Result<usize, Refusal> {
        const WRONG: Refusal = Refusal::Query("max", "must be an integer above zero");
        let Some(text) = present(self.max.as_ref()) else { return Ok(settings.poll_notifications) };
        match text.parse::<usize>().map_err(|_why| WRONG)? {
            0 => Err(WRONG),
            max => Ok(max.min(settings.poll_notifications_max)),
        }
    }
}

fn present(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

fn decode(text: &str) -> Result<Cursor, Refusal> {
    Cursor::decode(text).map_err(|_why| Refusal::Cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Asked {
        Asked::read(&format!("/v1/poll?{query}").parse().unwrap()).unwrap()
    }

    #[test]
    fn every_bad_parameter_is_refused_with_its_name() {
        let settings = EdgeSettings::default();
        let rows = [
            ("wait=-1", "wait"),
            ("wait=1.5", "wait"),
            ("wait=soon", "wait"),
            ("max=0", "max"),
            ("max=-3", "max"),
            ("max=many", "max"),
            ("window=0", "window"),
            ("window=99999999999", "window"),
            ("session=xyz", "session"),
            ("session=00f", "session"),
            ("ack=never", "ack"),
        ];
        for (query, name) in rows {
            let asked = asked(query);
            let refused = [
                asked.wait(&settings).err(),
                asked.max(&settings).err(),
                asked.window().err(),
                asked.session().err(),
                asked.acknowledging().err(),
            ];
            let names: Vec<_> = refused.into_iter().flatten().collect();
            assert!(
                matches!(names.as_slice(), [Refusal::Query(found, _)] if *found == name),
                "{query}: {names:?}"
            );
        }
        assert_eq!(asked("cursor=nonsense").cursor(), Err(Refusal::Cursor));
        assert!(Asked::read(&"/v1/poll?max=1&max=2".parse().unwrap()).is_err());
    }

    #[test]
    fn limits_hold_and_empty_means_left_out() {
        let settings = EdgeSettings::default();
        assert_eq!(asked("wait=999999999").wait(&settings), Ok(settings.poll_wait_max_ms));
        assert_eq!(asked("max=999999").max(&settings), Ok(settings.poll_notifications_max));
        assert_eq!(asked("wait=&max=&other=1").wait(&settings), Ok(settings.poll_wait_ms));
        assert_eq!(asked("cursor=").cursor(), Ok(None));
        assert_eq!(asked("").window(), Ok(None));
    }
}
