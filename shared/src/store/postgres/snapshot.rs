//! Pages of many sessions, read from Postgres in one snapshot: three statements, however many sessions ask.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;

use super::inbox::TOPIC;
use crate::position::Cursor;
use crate::recipient::Recipient;
use crate::store::columns::{GapColumns, StoredColumns, merge_gap, wide};
use crate::store::failure::{Failure, Unfit};
use crate::store::{Page, PageRequest};

#[derive(sqlx::FromRow)]
struct NumberedRow {
    number: i64,
    #[sqlx(flatten)]
    row: StoredColumns,
}

#[derive(sqlx::FromRow)]
struct NumberedGap {
    number: i64,
    #[sqlx(flatten)]
    gap: GapColumns,
}

/// Recipients and cursors as columns.
pub(super) struct Asked<'a> {
    pub(super) tenants: Vec<&'a str>,
    pub(super) recipients: Vec<&'a str>,
    pub(super) epochs: Vec<i64>,
    pub(super) nexts: Vec<i64>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(cursors: impl Iterator<Item = (&'a Recipient, Cursor)>) -> Self {
        let mut asked =
            Self { tenants: Vec::new(), recipients: Vec::new(), epochs: Vec::new(), nexts: Vec::new() };
        for (recipient, cursor) in cursors {
            asked.tenants.push(recipient.tenant.as_str());
            asked.recipients.push(recipient.id.as_str());
            asked.epochs.push(i64::from(cursor.epoch.0));
            // Clients carry cursors: one beyond every offset must not fail the others' reads.
            asked.nexts.push(i64::try_from(cursor.next).unwrap_or(i64::MAX));
        }
        asked
    }
}

/// Answers each request, in the order asked. `connection` is in a transaction that sees one snapshot.
pub(super) async fn read(
    connection: &mut PgConnection,
    requests: &[PageRequest],
) -> Result<Vec<Page>, Failure> {
    let asked = Asked::new(requests.iter().map(|request| (&request.recipient, request.from)));
    let mut pages = vec![Page::default(); requests.len()];
    read_rows(connection, &asked, requests, &mut pages).await?;
    read_gaps(connection, &asked, &mut pages).await?;
    read_progress(connection, requests, &mut pages).await?;
    Ok(pages)
}

async fn read_rows(
    connection: &mut PgConnection,
    asked: &Asked<'_>,
    requests: &[PageRequest],
    pages: &mut [Page],
) -> Result<(), Failure> {
    let found: Vec<NumberedRow> = sqlx::query_as(include_str!("pages.sql"))
        .bind(&asked.tenants)
        .bind(&asked.recipients)
        .bind(&asked.epochs)
        .bind(&asked.nexts)
        .bind(requests.iter().map(|request| i64::from(request.limit)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    for NumberedRow { number, row } in found {
        page(pages, number)?.rows.push(row.try_into()?);
    }
    for (request, page) in requests.iter().zip(pages) {
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        page.more = page.rows.len() > limit;
        page.rows.truncate(limit);
    }
    Ok(())
}

async fn read_gaps(
    connection: &mut PgConnection,
    asked: &Asked<'_>,
    pages: &mut [Page],
) -> Result<(), Failure> {
    let found: Vec<NumberedGap> = sqlx::query_as(
        "SELECT q.number, g.* FROM UNNEST($1::text[], $2::text[])
             WITH ORDINALITY AS q (tenant, recipient, number)
         JOIN gaps g ON g.tenant = q.tenant AND g.recipient = q.recipient
         ORDER BY q.number, g.cause, g.epoch",
    )
    .bind(&asked.tenants)
    .bind(&asked.recipients)
    .fetch_all(connection)
    .await?;
    for NumberedGap { number, gap } in found {
        merge_gap(&mut page(pages, number)?.gaps, gap.try_into()?);
    }
    Ok(())
}

async fn read_progress(
    connection: &mut PgConnection,
    requests: &[PageRequest],
    pages: &mut [Page],
) -> Result<(), Failure> {
    let partitions: HashSet<i64> = requests.iter().map(|request| i64::from(request.partition.0)).collect();
    let found: Vec<(i64, i64)> =
        sqlx::query_as("SELECT partition, upto FROM progress WHERE topic = $1 AND partition = ANY ($2)")
            .bind(TOPIC)
            .bind(partitions.into_iter().collect::<Vec<_>>())
            .fetch_all(connection)
            .await?;
    let upto: HashMap<i64, i64> = found.into_iter().collect();
    for (request, page) in requests.iter().zip(pages) {
        let found = upto.get(&i64::from(request.partition.0)).copied();
        page.archived_upto = found.map_or(Ok(0), |upto| wide("upto", upto))?;
    }
    Ok(())
}

/// The page that `number`, counted from one, answers.
fn page(pages: &mut [Page], number: i64) -> Result<&mut Page, Failure> {
    let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    let found = index.and_then(|index| pages.get_mut(index));
    found.ok_or_else(|| Unfit::failure("number", format_args!("is {number}")))
}
