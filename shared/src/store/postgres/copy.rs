//! Rows on their way into Postgres as one binary COPY, which costs half of what the same rows cost as arrays: nothing is
//! planned, joined or looked for. It fits rows that nothing stands against: one that is stored already fails all of them,
//! and the quota is not asked.

use bytes::BufMut as _;
use sqlx::PgConnection;

use super::batch::Row;
use super::code;
use crate::position::Position;
use crate::store::columns::{millis, signed, text, urgency_number};
use crate::store::failure::{Failure, Unfit};

const STATEMENT: &str = "COPY stored (
    tenant, recipient, epoch, partition, record_offset, expires_ms, time_ms, urgency,
    id, source, type, content_type, metadata, trace_parent, trace_state, baggage, content
) FROM STDIN (FORMAT binary)";

const COLUMNS: i16 = 17;

/// What a binary COPY begins with: its signature, no flags, no extension. PostgreSQL manual, COPY, "Binary Format".
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: i16 = -1;
const NULL: i32 = -1;

/// Bytes made before they are sent: the engine works on them while the next ones are made.
const CHUNK: usize = 64 * 1024;

/// Stores all of `rows`, or fails: see [`was_stored`].
pub(super) async fn copy<'a>(
    connection: &mut PgConnection,
    rows: impl Iterator<Item = Row<'a>>,
) -> Result<(), Failure> {
    let mut copy = connection.copy_in_raw(STATEMENT).await?;
    let mut encoded = Vec::with_capacity(2 * CHUNK);
    encoded.put_slice(HEADER);
    for row in rows {
        encode(&mut encoded, row)?;
        if encoded.len() >= CHUNK {
            copy.send(&encoded[..]).await?;
            encoded.clear();
        }
    }
    encoded.put_i16(END);
    copy.send(&encoded[..]).await?;
    copy.finish().await?;
    Ok(())
}

/// Whether a COPY failed because one of its rows was stored already: `unique_violation`.
pub(super) fn was_stored(error: &sqlx::Error) -> bool {
    code(error).as_deref() == Some("23505")
}

fn encode(out: &mut Vec<u8>, Row { row, expires_ms, .. }: Row<'_>) -> Result<(), Failure> {
    let (n, Position { epoch, partition, offset }) = (&row.notification, row.position);
    out.put_i16(COLUMNS);
    put(out, n.recipient.tenant.as_str().as_bytes())?;
    put(out, n.recipient.id.as_str().as_bytes())?;
    let (epoch, partition) = (i64::from(epoch.0), i64::from(partition.0));
    for number in [epoch, partition, signed("record_offset", offset)?, expires_ms, millis(n.time)] {
        put(out, &number.to_be_bytes())?;
    }
    put(out, &urgency_number(n.urgency).to_be_bytes())?;
    put(out, n.id.as_str().as_bytes())?;
    put(out, text(&n.source).as_bytes())?;
    put(out, n.kind.as_str().as_bytes())?;
    put(out, n.content_type.as_str().as_bytes())?;
    for optional in [&n.metadata, &n.trace.parent, &n.trace.state, &n.trace.baggage] {
        match optional {
            Some(value) => put(out, text(value).as_bytes())?,
            None => out.put_i32(NULL),
        }
    }
    put(out, &n.content)
}

fn put(out: &mut Vec<u8>, value: &[u8]) -> Result<(), Failure> {
    let length = i32::try_from(value.len()).map_err(|error| Unfit::failure("length", error))?;
    out.put_i32(length);
    out.put_slice(value);
    Ok(())
}
