//! Who is asking: the first credential that a request brings is the one that counts.

use http::{HeaderMap, header};
use shared::clock::Timestamp;

use super::Edge;
use super::problem::Refusal;
use crate::auth::{Denied, Identity, TicketRefused, Use};

impl Edge {
    /// Lets a request in by its `Origin`, or refuses it.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        // An `Origin` that is no text is none that is let in.
        let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        if self.origins.accept(text(header::ORIGIN), text(header::HOST)) {
            Ok(())
        } else {
            Err(Refusal::Origin)
        }
    }

    /// Whom an `Authorization` header speaks for; `None` without one.
    pub(crate) fn bearer(&self, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
        let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
        let text = value.to_str().map_err(|_why| Refusal::Denied(Denied::Malformed))?;
        let token = match text.split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(Refusal::Denied(Denied::Malformed)),
        };
        self.token(token).map(Some)
    }

    /// Whom a token speaks for.
    pub(crate) fn token(&self, token: &str) -> Result<Identity, Refusal> {
        self.auth.verify(token, self.now()).map_err(Refusal::Denied)
    }

    /// Whom a ticket speaks for.
    pub(crate) fn ticket(&self, ticket: &str, usage: Use) -> Result<Identity, Refusal> {
        self.tickets.redeem(ticket, usage, self.now()).map_err(|refused| match refused {
            TicketRefused::Unknown => Refusal::Denied(Denied::Ticket),
            TicketRefused::Expired => Refusal::Denied(Denied::Expired),
        })
    }

    /// Whom a request speaks for, by header or ticket; a ticket of a client that says where it stands may be used again.
    pub(crate) fn identify(
        &self,
        headers: &HeaderMap,
        ticket: Option<&str>,
        usage: Use,
    ) -> Result<Identity, Refusal> {
        match (self.bearer(headers)?, ticket) {
            (Some(identity), _) => Ok(identity),
            (None, Some(ticket)) => self.ticket(ticket, usage),
            (None, None) => Err(Refusal::Denied(Denied::Missing)),
        }
    }

    /// The time, as tokens see it.
    pub(crate) fn now(&self) -> Timestamp {
        self.hub.clock().now()
    }
}
