//! The floor: Postgres without anything of ours.

use shared::store::StoredRow;
use sqlx::PgConnection;

/// The start of a binary COPY: signature, flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const END: [u8; 2] = (-1_i16).to_be_bytes();

/// The rows as one binary COPY, ready to be sent.
pub(crate) fn encode(rows: &[StoredRow]) -> Vec<u8> {
    let mut out = HEADER.to_vec();
    for row in rows {
        let (at, n) = (&row.position, &row.notification);
        out.extend(17_i16.to_be_bytes());
        put(&mut out, n.recipient.tenant.as_str().as_bytes());
        put(&mut out, n.recipient.id.as_str().as_bytes());
        let (epoch, partition) = (u64::from(at.epoch.0), u64::from(at.partition.0));
        for number in [epoch, partition, at.offset, n.expires.as_millis(), n.time.as_millis()] {
            put(&mut out, &number.to_be_bytes());
        }
        put(&mut out, &2_i16.to_be_bytes());
        for text in [n.id.as_str(), &n.source, n.kind.as_str(), n.content_type.as_str()] {
            put(&mut out, text.as_bytes());
        }
        for text in [&n.metadata, &n.trace.parent, &n.trace.state, &n.trace.baggage] {
            match text {
                Some(text) => put(&mut out, text.as_bytes()),
                None => out.extend((-1_i32).to_be_bytes()),
            }
        }
        put(&mut out, &n.content);
    }
    out.extend(END);
    out
}

fn put(out: &mut Vec<u8>, value: &[u8]) {
    out.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
    out.extend(value);
}

/// One COPY, durable when it returns.
pub(crate) async fn copy(connection: &mut PgConnection, table: &str, encoded: &[u8]) {
    let statement = format!("COPY {table} FROM STDIN (FORMAT binary)");
    let mut copy = connection.copy_in_raw(&statement).await.unwrap();
    copy.send(encoded).await.unwrap();
    copy.finish().await.unwrap();
}
