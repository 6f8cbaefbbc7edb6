//! Requests, written without anything between the numbers and the bytes.

use super::Producers;
use crate::wire::scan::digits;

impl Producers {
    /// Writes the next request of a connection.
    pub(super) fn write_request(&mut self, lane: usize, due: u64) {
        let plan = &self.setup.plan;
        let sent = self.lanes[lane].sent;
        let (body, batch) = (&mut self.body, plan.batch);
        body.clear();
        for k in sent..sent + batch {
            body.push(if k == sent { b'[' } else { b',' });
            let (recipient, n) = plan.item(lane as u64, k);
            body.extend_from_slice(br#"{"to":{"recipient":""#);
            body.extend_from_slice(plan.run.as_bytes());
            body.push(b'-');
            digits(plan.client(recipient), body);
            body.extend_from_slice(br#""},"type":"bench","content":{"n":"#);
            let content = body.len() - 5;
            digits(n.into(), body);
            body.extend_from_slice(br#","at":"#);
            digits(due, body);
            body.extend_from_slice(br#","pad":""#);
            let pad = plan.payload.saturating_sub(body.len() - content + 2);
            body.extend_from_slice(&self.pad[..pad]);
            body.extend_from_slice(br#""}}"#);
        }
        body.push(b']');
        let whole = if batch == 1 { &body[1..body.len() - 1] } else { &body[..] };
        self.request.clear();
        self.request.extend_from_slice(&self.head);
        digits(whole.len() as u64, &mut self.request);
        self.request.extend_from_slice(b"\r\n\r\n");
        self.request.extend_from_slice(whole);
    }
}
