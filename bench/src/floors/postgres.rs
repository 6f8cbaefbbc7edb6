//! Rows as notifications are stored: into a table with the same indexes by COPY, and out of it by an indexed SELECT.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

use crate::os;
use crate::result::Better::{Higher, Lower};
use crate::result::Outcome;
use crate::start::Engines;

/// Rows of one COPY.
const ROWS: u64 = 5000;
/// Rows of a recipient, which one SELECT gets.
const EACH: u64 = 100;
/// Recipients whose rows the SELECT goes through, after which it begins anew.
const RECIPIENTS: u64 = 1000;

pub(super) async fn measure(engines: &Engines, lasts: Duration, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(&engines.postgres()?).await?;
    let table = format!("bench_floor_{}", uuid::Uuid::new_v4().simple());
    let make = format!(
        "create table {table} (tenant text collate \"C\" not null, recipient text collate \"C\" not null, \
         epoch bigint not null, partition bigint not null, record_offset bigint not null, expires_ms bigint not null, \
         time_ms bigint not null, id text not null, content bytea not null, \
         primary key (tenant, recipient, epoch, record_offset, partition, expires_ms)); \
         create index on {table} (partition, tenant, recipient); create index on {table} (expires_ms)"
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(make))).await?;
    let measured = both(&mut connection, &table, engines, lasts, outcome).await;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("drop table {table}")))).await?;
    connection.close().await?;
    measured
}

async fn both(
    connection: &mut PgConnection,
    table: &str,
    engines: &Engines,
    lasts: Duration,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let server: Vec<_> =
        engines.processes()?.into_iter().filter(|process| process.name == "postgres").collect();
    let cpu = || anyhow::Ok(os::cpu_seconds(&server)?.get("postgres").copied());
    let (before, began, mut rows) = (cpu()?, Instant::now(), 0_u64);
    while began.elapsed() < lasts || rows < RECIPIENTS * EACH {
        let mut copy = connection.copy_in_raw(&format!("copy {table} from stdin")).await?;
        copy.send(lines(rows)?.into_bytes()).await?;
        rows += copy.finish().await?;
    }
    told("copy", rows, began.elapsed(), before, cpu()?, outcome);
    connection.execute(sqlx::raw_sql(AssertSqlSafe(format!("analyze {table}")))).await?;
    let select = format!(
        "select record_offset, id, content from {table} where tenant = 'default' and recipient = $1 and epoch = 1 \
         and record_offset > $2 order by record_offset limit 128"
    );
    let (before, began, mut read, mut recipient) = (cpu()?, Instant::now(), 0, 0);
    while began.elapsed() < lasts {
        let query =
            sqlx::query(AssertSqlSafe(select.clone())).bind(format!("recipient-{recipient}")).bind(-1_i64);
        let found = query.fetch_all(&mut *connection).await?;
        for row in &found {
            let content: &[u8] = row.try_get(2)?;
            anyhow::ensure!(!content.is_empty(), "an empty row");
        }
        anyhow::ensure!(found.len() as u64 == EACH, "{} rows of a recipient", found.len());
        read += EACH;
        recipient = (recipient + 1) % RECIPIENTS;
    }
    told("select", read, began.elapsed(), before, cpu()?, outcome);
    Ok(())
}

fn told(
    name: &str,
    rows: u64,
    elapsed: Duration,
    before: Option<f64>,
    after: Option<f64>,
    outcome: &mut Outcome,
) {
    outcome.figure(
        format!("floor.postgres_{name}_rows_per_second"),
        rows as f64 / elapsed.as_secs_f64(),
        "1/s",
        Higher,
    );
    // Only where the server's process is known.
    if let (Some(before), Some(after)) = (before, after) {
        let each = (after - before) * 1e6 / rows.max(1) as f64;
        outcome.figure(format!("floor.postgres_{name}_us_per_row"), each, "µs", Lower);
    }
}

/// The rows of one COPY: all of a recipient's in a row, as a page of the log has them after an absence.
fn lines(from: u64) -> anyhow::Result<String> {
    let mut lines = String::with_capacity(ROWS as usize * 400);
    for row in from..from + ROWS {
        let recipient = row / EACH;
        writeln!(
            lines,
            "default\trecipient-{recipient}\t1\t{}\t{row}\t1800000000000\t1700000000000\t\
             00000000-0000-7000-8000-{row:012}\t\\\\x{}",
            recipient % 8,
            "78".repeat(128)
        )?;
    }
    Ok(lines)
}
