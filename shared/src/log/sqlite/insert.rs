//! Rows into the file, many to a statement. Called by the writer inside its transaction.

use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::super::Error;
use super::file::failed;

/// A record as it is written.
pub(super) struct Row<'a> {
    pub(super) place: i64,
    pub(super) now_ms: i64,
    pub(super) body: &'a [u8],
}

/// Four statements, each prepared once: a batch is written as few large ones and a tail of small ones.
static STATEMENTS: LazyLock<[(usize, String); 4]> = LazyLock::new(|| {
    [64, 16, 4, 1].map(|rows| {
        let values = vec!["(?, ?, ?)"; rows].join(", ");
        (rows, format!("insert into records (place, appended_ms, body) values {values}"))
    })
});

pub(super) async fn insert(connection: &mut SqliteConnection, rows: Vec<Row<'_>>) -> Result<(), Error> {
    let mut rest = &rows[..];
    for (most, statement) in STATEMENTS.iter() {
        while let Some((chunk, behind)) = rest.split_at_checked(*most) {
            if chunk.is_empty() {
                break;
            }
            rest = behind;
            let mut query = sqlx::query(statement.as_str());
            for row in chunk {
                query = query.bind(row.place).bind(row.now_ms).bind(row.body);
            }
            query.execute(&mut *connection).await.map_err(failed)?;
        }
    }
    Ok(())
}
