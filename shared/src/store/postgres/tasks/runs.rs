//! Tasks as executors know them, in Postgres.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _};

use super::super::Store;
use super::rows::{Kept, Seen, enter, keep, key, read};
use crate::clock::Timestamp;
use crate::store::columns::{millis, signed, wide};
use crate::store::failure::Failure;
use crate::store::task_columns::{BACKLOG, DUE, DueColumns};
use crate::store::task_rules::{Given, Life};
use crate::store::{Begun, DueTask, Effort, Error, Finish, Hold, Lease, NewTask, Renewed, TaskKey, TaskRuns};

/// In the order of keys, as [`keep`] locks them. A lease is there for as long as there is something to hold.
const RENEW: &str = "WITH held AS (
        SELECT t.tenant, t.id FROM UNNEST($1::text[], $2::text[], $3::bigint[]) AS h (tenant, id, fence)
        JOIN tasks t ON t.tenant = h.tenant AND t.id = h.id
        WHERE t.fence = h.fence AND t.lease_ms IS NOT NULL ORDER BY t.tenant, t.id FOR UPDATE OF t
    ) UPDATE tasks t SET lease_ms = GREATEST(t.lease_ms, $4), wake_ms = GREATEST(t.wake_ms, $4)
    FROM held h WHERE t.tenant = h.tenant AND t.id = h.id RETURNING t.tenant, t.id, t.cancel_by IS NOT NULL";

const PUBLISHED: &str = "WITH held AS (
        SELECT t.tenant, t.id FROM UNNEST($1::text[], $2::text[], $3::bigint[]) AS h (tenant, id, fence)
        JOIN tasks t ON t.tenant = h.tenant AND t.id = h.id
        WHERE t.fence = h.fence AND t.outputs IS NOT NULL ORDER BY t.tenant, t.id FOR UPDATE OF t
    ) UPDATE tasks t SET outputs = NULL, lease_ms = NULL, wake_ms = NULL
    FROM held h WHERE t.tenant = h.tenant AND t.id = h.id";

/// What somebody is at is left for the next time.
const PURGE: &str = "WITH picked AS (
        SELECT tenant, id FROM tasks WHERE wake_ms IS NULL AND changed_ms < $1
        ORDER BY changed_ms, tenant, id LIMIT $2 FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM tasks t USING picked p WHERE t.tenant = p.tenant AND t.id = p.id RETURNING t.tenant, t.id
    ), untold AS (
        DELETE FROM task_steps s USING gone g WHERE s.tenant = g.tenant AND s.id = g.id
    ) SELECT count(*) FROM gone";

#[async_trait]
impl TaskRuns for Store {
    async fn begin(&self, tasks: &[NewTask], lease: &Lease, now: Timestamp) -> Result<Vec<Begun>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let mut begun: HashMap<&TaskKey, Begun> = HashMap::with_capacity(tasks.len());
            // Each time around, somebody else has been at one of these tasks meanwhile; the deadline ends it.
            while begun.len() < tasks.len() {
                let left: Vec<_> = tasks.iter().filter(|task| !begun.contains_key(&task.key)).collect();
                let fresh = begin_fresh(&mut held, &left, lease, now).await?;
                let left: Vec<_> = left.into_iter().filter(|task| !fresh.contains_key(&task.key)).collect();
                begun.extend(fresh);
                begun.extend(begin_known(&mut held, &left, lease, now).await?);
            }
            held.release();
            Ok(tasks.iter().filter_map(|task| begun.remove(&task.key)).collect())
        };
        self.within("begin", work).await
    }

    async fn renew(&self, holds: &[Hold], until: Timestamp) -> Result<Vec<Renewed>, Error> {
        let work = async {
            let (tenants, ids, fences) = columns(holds)?;
            let mut held = self.hold().await?;
            let found = sqlx::query(RENEW)
                .bind(tenants)
                .bind(ids)
                .bind(fences)
                .bind(millis(until))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            let renewed: Result<HashMap<TaskKey, bool>, Failure> =
                found.iter().map(|row| Ok((key(row)?, row.try_get(2)?))).collect();
            let renewed = renewed?;
            let answer = |hold: &Hold| match renewed.get(&hold.key) {
                None => Renewed::Lost,
                Some(false) => Renewed::Held,
                Some(true) => Renewed::CancelAsked,
            };
            Ok(holds.iter().map(answer).collect())
        };
        self.within("renew", work).await
    }

    async fn finish(&self, ends: &[(Hold, Finish, Effort)], now: Timestamp) -> Result<Vec<bool>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            loop {
                let seen = read(&mut held, ends.iter().map(|(hold, ..)| &hold.key)).await?;
                let (mut kept, mut steps, mut counted) = (Vec::new(), Vec::new(), Vec::new());
                for (hold, finish, effort) in ends {
                    let Some(seen) = seen.get(&hold.key).map(|seen| &seen.life) else {
                        counted.push(false);
                        continue;
                    };
                    let mut life = seen.clone();
                    let step = life.finish(hold.fence, finish, effort, now);
                    counted.push(step.is_some());
                    if let Some(Some(step)) = step {
                        steps.push((&hold.key, step));
                        let end = Some((finish, effort));
                        kept.push(Kept { end, ..Kept::new(&hold.key, seen.clone(), life) });
                    }
                }
                // If not, somebody else has been at one of these tasks meanwhile; the deadline ends it.
                if keep(&mut held, &kept, &steps).await? {
                    held.release();
                    return Ok(counted);
                }
            }
        };
        self.within("finish", work).await
    }

    async fn published(&self, holds: &[Hold]) -> Result<(), Error> {
        let work = async {
            let (tenants, ids, fences) = columns(holds)?;
            let mut held = self.hold().await?;
            sqlx::query(PUBLISHED).bind(tenants).bind(ids).bind(fences).execute(&mut *held).await?;
            held.release();
            Ok(())
        };
        self.within("published", work).await
    }

    async fn due(&self, now: Timestamp, patience: Duration, limit: u32) -> Result<Vec<DueTask>, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let found: Vec<DueColumns> = sqlx::query_as(DUE)
                .bind(millis(now))
                .bind(millis(now.before(patience)))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(DueTask::try_from).collect()
        };
        self.within("due", work).await
    }

    async fn backlog(&self, most: u32) -> Result<[u64; 3], Error> {
        let work = async {
            let mut held = self.hold().await?;
            let (pending, running, retrying): (i64, i64, i64) =
                sqlx::query_as(BACKLOG).bind(i64::from(most)).fetch_one(&mut *held).await?;
            held.release();
            Ok([wide("count", pending)?, wide("count", running)?, wide("count", retrying)?])
        };
        self.within("backlog", work).await
    }

    async fn purge_tasks(&self, before: Timestamp, limit: u32) -> Result<u64, Error> {
        let work = async {
            let mut held = self.hold().await?;
            let purge = sqlx::query_scalar(PURGE).bind(millis(before)).bind(i64::from(limit));
            let gone: i64 = purge.fetch_one(&mut *held).await?;
            held.release();
            wide("count", gone)
        };
        self.within("purge_tasks", work).await
    }
}

/// Begins those of `tasks` that are not there: nearly all that the log brings.
async fn begin_fresh<'a>(
    connection: &mut PgConnection,
    tasks: &[&'a NewTask],
    lease: &Lease,
    now: Timestamp,
) -> Result<HashMap<&'a TaskKey, Begun>, Failure> {
    let (mut entered, mut steps) = (Vec::with_capacity(tasks.len()), Vec::with_capacity(2 * tasks.len()));
    for task in tasks {
        let (mut life, first) = Life::entered(task.created);
        let (_, second) = life.begin(lease, now);
        steps.extend([Some(first), second].into_iter().flatten().map(|step| (&task.key, step)));
        entered.push((*task, life));
    }
    let made: HashSet<TaskKey> = enter(connection, &entered, &steps).await?;
    let begun = entered.into_iter().filter(|(task, _)| made.contains(&task.key)).map(|(task, life)| {
        let hold = Hold { key: task.key.clone(), fence: life.fence };
        (&task.key, Begun::Run { hold, attempt: life.attempt })
    });
    Ok(begun.collect())
}

/// Begins those of `tasks` that are there; nothing when somebody else was at one of them meanwhile.
async fn begin_known<'a>(
    connection: &mut PgConnection,
    tasks: &[&'a NewTask],
    lease: &Lease,
    now: Timestamp,
) -> Result<HashMap<&'a TaskKey, Begun>, Failure> {
    if tasks.is_empty() {
        return Ok(HashMap::new());
    }
    let mut seen = read(connection, tasks.iter().map(|task| &task.key)).await?;
    let (mut begun, mut kept, mut steps) = (HashMap::with_capacity(tasks.len()), Vec::new(), Vec::new());
    for task in tasks {
        let Some(Seen { life: before, is_unplaced, outputs }) = seen.remove(&task.key) else { continue };
        let mut life = before.clone();
        let (given, step) = life.begin(lease, now);
        steps.extend(step.map(|step| (&task.key, step)));
        let hold = Hold { key: task.key.clone(), fence: life.fence };
        let answer = match given {
            Given::Run => Begun::Run { hold, attempt: life.attempt },
            Given::Publish => Begun::Publish { hold, outputs },
            Given::Ended => Begun::Ended(life.state),
            Given::NotBefore(time) => Begun::NotBefore(time),
        };
        begun.insert(&task.key, answer);
        let position = task.position.filter(|_| is_unplaced);
        if position.is_some() || life != before {
            kept.push(Kept { position, ..Kept::new(&task.key, before, life) });
        }
    }
    Ok(if keep(connection, &kept, &steps).await? { begun } else { HashMap::new() })
}

type Columns<'a> = (Vec<&'a str>, Vec<&'a str>, Vec<i64>);

fn columns(holds: &[Hold]) -> Result<Columns<'_>, Failure> {
    let mut columns = Columns::default();
    for hold in holds {
        columns.0.push(hold.key.tenant.as_str());
        columns.1.push(hold.key.id.as_str());
        columns.2.push(signed("fence", hold.fence)?);
    }
    Ok(columns)
}
