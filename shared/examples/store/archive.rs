//! Rows into the store.

use shared::clock::{Clock as _, SystemClock};
use shared::store::Inbox as _;

use super::Arguments;
use super::cost::Meter;
use super::raw;
use super::sample::PARTITION;

const MAKE_WEEKS: &str = "
    DO $$ DECLARE week bigint := extract(epoch FROM now())::bigint / 604800; BEGIN
        FOR n IN week .. week + 1 LOOP
            EXECUTE format('CREATE TABLE stored_w%s PARTITION OF stored FOR VALUES FROM (%s) TO (%s)',
                n, n * 604800000::bigint, (n + 1) * 604800000::bigint);
        END LOOP;
    END $$;
    CREATE TABLE bare (LIKE stored);";

pub(crate) async fn compare(arguments: &Arguments, batch: usize) {
    let rows = arguments.sample.make();
    let encoded: Vec<Vec<u8>> = rows.chunks(batch).map(raw::encode).collect();

    let mut floors = Vec::new();
    for table in ["bare", "stored"] {
        let mut database = arguments.database().await;
        database.execute(MAKE_WEEKS).await;
        database.settle().await;
        let meter = Meter::start(database.backend);
        for batch in &encoded {
            raw::copy(&mut database.connection, table, batch).await;
        }
        let cost = meter.stop();
        cost.say(&format!("COPY, {table}"), rows.len());
        floors.push(cost);
        assert_eq!(usize::try_from(database.count(table).await).unwrap(), rows.len());
        database.drop_now().await;
    }

    let mut database = arguments.database().await;
    database.execute(MAKE_WEEKS).await;
    database.settle().await;
    let meter = Meter::start(database.backend);
    let mut from = 0;
    for batch in rows.chunks(batch) {
        let to = from + batch.len() as u64;
        let lost = database.store.archive(PARTITION, from, to, batch, SystemClock.now()).await.unwrap();
        assert!(lost.is_empty());
        from = to;
    }
    let cost = meter.stop();
    cost.say("archive", rows.len());
    for floor in &floors {
        cost.compare(floor);
    }
    assert_eq!(usize::try_from(database.count("stored").await).unwrap(), rows.len());
    database.drop_now().await;
}
