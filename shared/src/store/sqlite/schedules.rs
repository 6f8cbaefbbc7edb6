//! Schedules, and leases by name, in SQLite.

use async_trait::async_trait;
use sqlx::{Connection as _, SqliteConnection};

use super::Store;
use crate::clock::Timestamp;
use crate::recipient::TenantId;
use crate::store::columns::{millis, pack_headers, signed, text, wide};
use crate::store::failure::{Failure, settle};
use crate::store::schedule_columns::{
    ADVANCE_SCHEDULE, COUNT_OTHER_SCHEDULES, DELETE_SCHEDULE, DUE_SCHEDULES, GET_SCHEDULE, LIST_SCHEDULES,
    PUT_SCHEDULE, RELEASE_LEASE, REVISION, ScheduleColumns, TAKE_LEASE, next_revision,
};
use crate::store::{EntryName, Error, Leases, ScheduleRow, Schedules};

#[async_trait]
impl Schedules for Store {
    async fn put_schedule(
        &self,
        schedule: &ScheduleRow,
        expected: Option<u64>,
        most: u32,
    ) -> Result<u64, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let mut transaction = held.begin_with("BEGIN IMMEDIATE").await?;
            let done = put(&mut transaction, schedule, expected, most).await;
            let done = settle(transaction, done).await?;
            held.release();
            done
        };
        self.within("put_schedule", work).await
    }

    async fn get_schedule(&self, tenant: &TenantId, name: &EntryName) -> Result<Option<ScheduleRow>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let found: Option<ScheduleColumns> = sqlx::query_as(GET_SCHEDULE)
                .bind(tenant.as_str())
                .bind(name.as_str())
                .fetch_optional(&mut *held)
                .await?;
            held.release();
            found.map(ScheduleRow::try_from).transpose()
        };
        self.within("get_schedule", work).await
    }

    async fn list_schedules(
        &self,
        tenant: &TenantId,
        after: Option<&EntryName>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let found: Vec<ScheduleColumns> = sqlx::query_as(LIST_SCHEDULES)
                .bind(tenant.as_str())
                .bind(after.map(EntryName::as_str))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(ScheduleRow::try_from).collect()
        };
        self.within("list_schedules", work).await
    }

    async fn delete_schedule(&self, tenant: &TenantId, name: &EntryName) -> Result<bool, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let gone = sqlx::query(DELETE_SCHEDULE)
                .bind(tenant.as_str())
                .bind(name.as_str())
                .execute(&mut *held)
                .await?;
            held.release();
            Ok(gone.rows_affected() == 1)
        };
        self.within("delete_schedule", work).await
    }

    async fn due_schedules(&self, now: Timestamp, limit: u32) -> Result<Vec<ScheduleRow>, Error> {
        let work = async {
            let mut held = self.reader().await?;
            let found: Vec<ScheduleColumns> = sqlx::query_as(DUE_SCHEDULES)
                .bind(millis(now))
                .bind(i64::from(limit))
                .fetch_all(&mut *held)
                .await?;
            held.release();
            found.into_iter().map(ScheduleRow::try_from).collect()
        };
        self.within("due_schedules", work).await
    }

    async fn advance_schedule(
        &self,
        schedule: &ScheduleRow,
        fired: Option<Timestamp>,
        times: u64,
        next: Option<Timestamp>,
    ) -> Result<(), Error> {
        let work = async {
            let mut held = self.writer().await?;
            let moved = sqlx::query(ADVANCE_SCHEDULE)
                .bind(schedule.tenant.as_str())
                .bind(schedule.name.as_str())
                .bind(signed("revision", schedule.revision)?)
                .bind(fired.map(millis))
                .bind(signed("count", times)?)
                .bind(next.map(millis))
                .execute(&mut *held)
                .await?;
            held.release();
            if moved.rows_affected() == 1 { Ok(()) } else { Err(Failure::Conflict) }
        };
        self.within("advance_schedule", work).await
    }
}

#[async_trait]
impl Leases for Store {
    async fn take_lease(
        &self,
        name: &str,
        holder: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, Error> {
        let work = async {
            let mut held = self.writer().await?;
            let taken = sqlx::query(TAKE_LEASE)
                .bind(text(name))
                .bind(text(holder))
                .bind(millis(now))
                .bind(millis(until))
                .execute(&mut *held)
                .await?;
            held.release();
            Ok(taken.rows_affected() == 1)
        };
        self.within("take_lease", work).await
    }

    async fn release_lease(&self, name: &str, holder: &str) -> Result<(), Error> {
        let work = async {
            let mut held = self.writer().await?;
            sqlx::query(RELEASE_LEASE).bind(text(name)).bind(text(holder)).execute(&mut *held).await?;
            held.release();
            Ok(())
        };
        self.within("release_lease", work).await
    }
}

async fn put(
    connection: &mut SqliteConnection,
    schedule: &ScheduleRow,
    expected: Option<u64>,
    most: u32,
) -> Result<u64, Failure> {
    let (tenant, name) = (schedule.tenant.as_str(), schedule.name.as_str());
    let others: i64 =
        sqlx::query_scalar(COUNT_OTHER_SCHEDULES).bind(tenant).bind(name).fetch_one(&mut *connection).await?;
    let there: Option<i64> =
        sqlx::query_scalar(REVISION).bind(tenant).bind(name).fetch_optional(&mut *connection).await?;
    let there = there.map(|revision| wide("revision", revision)).transpose()?;
    if others >= i64::from(most) || expected.is_some_and(|expected| there != Some(expected)) {
        return Err(Failure::Conflict);
    }
    let revision = next_revision(there, schedule);
    sqlx::query(PUT_SCHEDULE)
        .bind(tenant)
        .bind(name)
        .bind(text(&schedule.settings))
        .bind(&schedule.record.key[..])
        .bind(pack_headers(&schedule.record.headers))
        .bind(&schedule.record.payload[..])
        .bind(schedule.enabled)
        .bind(schedule.next.map(millis))
        .bind(schedule.fired.map(millis))
        .bind(signed("count", schedule.count)?)
        .bind(millis(schedule.changed))
        .bind(signed("revision", revision)?)
        .execute(connection)
        .await?;
    Ok(revision)
}
