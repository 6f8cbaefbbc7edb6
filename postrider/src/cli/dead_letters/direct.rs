//! Dead letters straight in the store, for the operator. A requeue is asked for here as well; a director does it.

use std::sync::Arc;

use postrider_receiver::http::{Changed, Letter, WholeLetter};
use shared::clock::{Clock as _, SystemClock};
use shared::position::Position;
use shared::store::{DeadChange, DeadFilter, DeadReview, DeadState};

use crate::cli::failure::{Code, Failure};

/// Who asked, where a producer's key stands otherwise.
const OPERATOR: &str = "operator";

/// Most that one call reads or changes.
const STEP: u32 = 500;

/// How far a dry run counts.
const COUNTED: u32 = 1_000_000;

pub(super) struct Direct {
    pub(super) store: Arc<dyn DeadReview>,
}

impl Direct {
    pub(super) async fn list(&self, filter: &DeadFilter, limit: u32) -> Result<Vec<Letter>, Failure> {
        let (mut letters, mut after) = (Vec::new(), None);
        loop {
            let step = limit.saturating_sub(u32::try_from(letters.len())?).min(STEP);
            let page = self.store.list_dead(filter, after, step).await.map_err(Failure::engine)?;
            let full = page.len() >= usize::try_from(step)?;
            after = page.last().map(|last| (last.time, last.position));
            letters.extend(page.into_iter().map(Letter::from));
            if !full || letters.len() >= usize::try_from(limit)? {
                return Ok(letters);
            }
        }
    }

    pub(super) async fn show(&self, filter: &DeadFilter, position: Position) -> Result<WholeLetter, Failure> {
        let found = self.store.get_dead(filter.tenant.as_ref(), position).await.map_err(Failure::engine)?;
        found.map(WholeLetter::from).ok_or_else(|| absent(position))
    }

    pub(super) async fn change_one(
        &self,
        filter: &DeadFilter,
        position: Position,
        change: DeadChange,
    ) -> Result<Letter, Failure> {
        let one =
            DeadFilter { tenant: filter.tenant.clone(), position: Some(position), ..DeadFilter::default() };
        let now = SystemClock.now();
        self.store.change_dead(&one, change, OPERATOR, now, 1).await.map_err(Failure::engine)?;
        let found = self.store.list_dead(&one, None, 1).await.map_err(Failure::engine)?.pop();
        let letter = found.ok_or_else(|| absent(position))?;
        let done = match change {
            DeadChange::Requeue => !matches!(letter.state, DeadState::Dead | DeadState::Discarded),
            DeadChange::Discard => letter.state == DeadState::Discarded,
        };
        if done {
            return Ok(letter.into());
        }
        let fit = if letter.requeueable { "" } else { " and not a whole notification" };
        let why = anyhow::anyhow!("{position} is {}{fit}: nothing was changed", letter.state.as_str());
        Err(Failure::new(Code::Refused, why))
    }

    /// Asks until there are no more.
    pub(super) async fn change_many(
        &self,
        filter: &DeadFilter,
        change: DeadChange,
        dry_run: bool,
    ) -> Result<Changed, Failure> {
        if dry_run {
            let count = self.store.count_dead(filter, change, COUNTED).await.map_err(Failure::engine)?;
            return Ok(Changed { count, more: count >= u64::from(COUNTED), dry_run });
        }
        let mut count = 0;
        loop {
            let now = SystemClock.now();
            let changed = self.store.change_dead(filter, change, OPERATOR, now, STEP).await;
            let changed = changed.map_err(Failure::engine)?;
            count += changed;
            if changed < u64::from(STEP) {
                return Ok(Changed { count, more: false, dry_run });
            }
        }
    }
}

fn absent(position: Position) -> Failure {
    Failure::new(Code::Refused, anyhow::anyhow!("there is no dead letter {position}"))
}
