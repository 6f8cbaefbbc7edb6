//! Rows out of the store.

use shared::clock::{Clock as _, SystemClock};
use shared::position::{Cursor, Epoch};
use shared::store::{Inbox as _, PageRequest};
use sqlx::Row as _;

use super::Arguments;
use super::cost::Meter;
use super::sample::{PARTITION, Sample};

/// What is asked for by one who needs nothing but rows: a page of one recipient.
const SELECT: &str = "SELECT * FROM stored WHERE tenant = $1 AND recipient = $2
    AND (epoch, record_offset) >= ($3, $4) ORDER BY epoch, record_offset LIMIT $5";

pub(crate) async fn compare(arguments: &Arguments, page: u32, sessions: usize) {
    let rows = arguments.sample.make();
    let recipients: Vec<_> = (0..arguments.sample.recipients()).map(Sample::recipient).collect();
    let mut database = arguments.database().await;
    let mut from = 0;
    for batch in rows.chunks(2000) {
        let to = from + batch.len() as u64;
        database.store.archive(PARTITION, from, to, batch, SystemClock.now()).await.unwrap();
        from = to;
    }
    database.execute("SET enable_seqscan = off; SET jit = off").await;
    database.settle().await;

    // Once unmeasured, so that both find everything in memory.
    let mut floor = None;
    for _ in 0..2 {
        let meter = Meter::start(database.backend);
        let mut seen = 0;
        for recipient in &recipients {
            let mut next = 0_i64;
            loop {
                let found = sqlx::query(SELECT)
                    .bind(recipient.tenant.as_str())
                    .bind(recipient.id.as_str())
                    .bind(1_i64)
                    .bind(next)
                    .bind(i64::from(page))
                    .fetch_all(&mut database.connection)
                    .await
                    .unwrap();
                seen += found.len();
                match found.last() {
                    Some(last) if found.len() == page as usize => next = last.get::<i64, _>(4) + 1,
                    _ => break,
                }
            }
        }
        assert_eq!(seen, rows.len());
        floor = Some(meter.stop());
    }
    let floor = floor.unwrap();
    floor.say("SELECT, one recipient each", rows.len());

    let meter = Meter::start(database.backend);
    let mut seen = 0;
    for some in recipients.chunks(sessions) {
        let start = Cursor::start(Epoch(0), PARTITION);
        let ask = |recipient: &_| PageRequest {
            recipient: Clone::clone(recipient),
            partition: PARTITION,
            from: start,
            limit: page,
        };
        let mut requests: Vec<PageRequest> = some.iter().map(ask).collect();
        while !requests.is_empty() {
            let pages = database.store.pages(&requests).await.unwrap();
            let answered = std::mem::take(&mut requests).into_iter().zip(&pages);
            for (request, page) in answered {
                seen += page.rows.len();
                if let Some(last) = page.rows.last().filter(|_| page.more) {
                    requests.push(PageRequest { from: Cursor::after(last.position), ..request });
                }
            }
        }
    }
    let cost = meter.stop();
    assert_eq!(seen, rows.len());
    cost.say("pages", rows.len());
    cost.compare(&floor);
    database.drop_now().await;
}
