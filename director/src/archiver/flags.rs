//! The flags stage: marks the recipients of parked records `backlog` in the registry, then says how far. Which question
//! follows which answer, and why, is in [`super::marking`].

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use shared::group::{self, Assignment};
use shared::log::Fetched;
use shared::position::PartitionId;

use super::Archiver;
use super::marking::{Answer, Call, Marking, Step};
use super::stage::{self, Stage};
use super::sweep;
use crate::calls::{Conflict, persist};

/// Makes a flags stage for each partition, with the slow scan beside it.
pub(super) struct Crew(pub(super) Archiver);

impl group::Crew for Crew {
    fn work(&self, assignment: Assignment) -> BoxFuture<'static, ()> {
        let archiver = self.0.clone();
        async move {
            let (drain, partition) = (assignment.drain.clone(), assignment.partition);
            let sweeping = async {
                tokio::select! {
                    () = drain.cancelled() => {}
                    () = sweep::mark(&archiver, partition) => {}
                }
            };
            let settings = Arc::new(archiver.settings.clone());
            let marks = Marks { archiver: archiver.clone(), partition };
            tokio::join!(stage::run(marks, assignment, settings, archiver.backoff), sweeping);
        }
        .boxed()
    }
}

struct Marks {
    archiver: Archiver,
    partition: PartitionId,
}

impl Stage for Marks {
    const NAME: &'static str = "flags";

    async fn begin(&self) -> Result<u64, Conflict> {
        self.carry_out(Marking::begin()).await
    }

    async fn shift(&self, batch: &[Fetched], from: u64, to: u64) -> Result<(), Conflict> {
        self.carry_out(Marking::shift(batch, from, to)).await.map(drop)
    }
}

impl Marks {
    /// As fast as the engines answer: sessions wait for it.
    async fn carry_out(&self, (mut marking, mut call): (Marking, Call)) -> Result<u64, Conflict> {
        loop {
            if call == Call::ArchivedUpto {
                tracing::info!(partition = %self.partition, "the registry knows no flags; marking whoever has rows");
            }
            match marking.answer(ask(&self.archiver, self.partition, &call).await) {
                Step::Call(next) => call = next,
                Step::Stands(upto) => return Ok(upto),
                Step::Conflict => return Err(Conflict),
            }
        }
    }
}

/// Asks until there is an answer.
pub(super) async fn ask(archiver: &Archiver, partition: PartitionId, call: &Call) -> Answer {
    let Archiver { inbox, flags, backoff, settings, .. } = archiver;
    let answer = match call {
        Call::FlaggedUpto => {
            let read = persist(*backoff, "reading flagged_upto", || flags.flagged_upto(partition));
            read.await.map(Answer::Upto)
        }
        Call::ArchivedUpto => {
            let read = persist(*backoff, "reading archived_upto", || inbox.archived_upto(partition));
            read.await.map(|upto| Answer::Upto(Some(upto)))
        }
        Call::Recipients(after) => {
            let read = persist(*backoff, "reading recipients with rows", || {
                inbox.recipients(partition, after.as_ref(), settings.sweep_page)
            });
            read.await.map(Answer::Recipients)
        }
        Call::Mark(marks) => {
            let mark = persist(*backoff, "marking recipients", || flags.mark(marks));
            mark.await.map(|()| Answer::Done)
        }
        Call::Advance { from, to } => {
            let advance =
                persist(*backoff, "advancing flagged_upto", || flags.advance(partition, *from, *to));
            advance.await.map(|()| Answer::Done)
        }
    };
    answer.unwrap_or(Answer::Conflict)
}
