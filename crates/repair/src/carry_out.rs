//! Works, one after the other: the newest backup first, until all are done, the time is up or
//! somebody asks for the end.

use crate::crew::Crew;
use crate::error::Error;
use crate::mend::{Done, Mended};
use level::{Copied, Lack, Synced, Why, Work};
use std::time::Instant;

impl Crew {
    /// Makes good what is lacking. After `deadline` no further copy is begun. A source that turns
    /// out damaged is itself made good from the others, at once.
    pub async fn carry_out(&mut self, works: &[Work], deadline: Option<Instant>) -> Vec<Copied> {
        let mut copies = Vec::new();
        for work in works {
            if self.halt.is_stopped() || deadline.is_some_and(|at| Instant::now() >= at) {
                copies.extend(work.lacks.iter().map(|lack| left(work, lack)));
                continue;
            }
            let mended = self.mend(work).await;
            let again = after(work, &mended);
            copies.extend(mended.copies.into_iter().map(|(lack, done)| told(work, &lack, done)));
            if let Some(again) = again.filter(|_| !self.halt.is_stopped()) {
                let mended = self.mend(&again).await;
                copies.extend(mended.copies.into_iter().map(|(l, done)| told(&again, &l, done)));
            }
        }
        copies
    }
}

/// What is to be done about sources that turned out damaged.
fn after(work: &Work, mended: &Mended) -> Option<Work> {
    let is_damaged = |name: &String| mended.damaged.iter().any(|(damaged, _)| damaged == name);
    let lacks = mended.damaged.iter().map(|(destination, problem)| Lack {
        destination: destination.clone(),
        why: Why::Damaged,
        problem: Some(problem.clone()),
    });
    let lacks: Vec<Lack> = lacks.collect();
    // What was copied just now is as good as any.
    let made = mended.copies.iter().filter(|(_, done)| done.is_ok());
    let made = made.map(|(lack, _)| lack.destination.clone());
    let sources: Vec<String> =
        work.sources.iter().filter(|name| !is_damaged(name)).cloned().chain(made).collect();
    (!lacks.is_empty() && !sources.is_empty()).then(|| Work { sources, lacks, ..work.clone() })
}

fn told(work: &Work, lack: &Lack, done: Result<Done, Error>) -> Copied {
    let (backup, destination) = (work.backup.clone(), lack.destination.clone());
    let mut copied = left(work, lack);
    match done {
        Ok(done) => {
            copied.result = done.result();
            copied.from = done.from;
            copied.server_side = done.server_side;
            copied.quarantined = done.quarantined;
            let from = copied.from.as_ref().map(|from| format!(" from {from}")).unwrap_or_default();
            match copied.result {
                Synced::Whole => tracing::info!("{backup} in {destination} is whole"),
                Synced::Adopted => tracing::info!("{backup} in {destination} has its manifest now"),
                _ => tracing::info!("{backup} is in {destination} now{from}"),
            }
            for key in &copied.quarantined {
                tracing::warn!("{destination}: damaged bytes were kept as {key}, and replaced");
            }
        }
        Err(e @ (Error::SetAside { .. } | Error::Stopped)) => copied.error = Some(e.told()),
        Err(e) => {
            let hint = contract::Failure::hint(&e).unwrap_or_default();
            tracing::warn!(hint, "{backup} is not whole in {destination}: {}", e.told());
            copied.result = Synced::Failed;
            copied.error = Some(e.told());
        }
    }
    copied
}

fn left(work: &Work, lack: &Lack) -> Copied {
    Copied {
        backup: work.backup.clone(),
        destination: lack.destination.clone(),
        why: lack.why,
        problem: lack.problem.clone(),
        artifact_bytes: work.manifest.artifact.bytes,
        result: Synced::Left,
        from: None,
        server_side: false,
        quarantined: Vec::new(),
        error: None,
    }
}
