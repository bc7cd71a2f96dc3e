//! Carries the log to one destination: create, write, complete, read back.
//!
//! Every call to the store is given up when it makes no progress for `stall_timeout`, when the
//! source breaks off, or when the log goes on without this destination; then the upload is
//! aborted. Waiting for the source has no limit here.

use super::reader::Reader;
use super::{Cut, Kept, Lag, Next, Outcome, Target};
use crate::{
    Acknowledged, ErrorKind, Operation, ReadBackOptions, Result, StoreError, Stored, Summary,
    Upload, read_back,
};
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

/// How long giving up may take; more than a backend allows itself for it.
const ABORT_TIMEOUT: Duration = Duration::from_secs(90);
/// How long an object that is about to appear is waited for when it is not wanted any more.
const APPEAR_GRACE: Duration = Duration::from_secs(5);

pub(super) struct Copy {
    pub(super) target: Target,
    pub(super) reader: Reader,
    pub(super) acknowledged: Acknowledged,
    /// Whether the object was made here.
    pub(super) made: bool,
}

/// Which copy an error is about.
pub(super) struct Place {
    destination: String,
    key: String,
    operation: Operation,
}

impl Place {
    pub(super) fn error(&self, kind: ErrorKind) -> StoreError {
        StoreError::new(&self.destination, self.operation, &self.key, kind)
    }
}

impl Copy {
    pub(super) async fn carry(mut self) -> Outcome {
        let result = self.keep().await;
        let lag: Lag = self.reader.lag();
        let destination = self.target.destination.name().to_owned();
        Outcome { destination, key: self.target.key, result, made: self.made, lag }
    }

    async fn keep(&mut self) -> Result<Kept> {
        let (destination, key) = (self.target.destination.clone(), self.target.key.clone());
        let keeping = self.target.keeping.clone();
        let creating = destination.create(&key, &keeping, self.acknowledged.clone());
        let mut upload = self.watched(Operation::Create, creating).await?;
        let summary = match self.pour(&mut *upload).await {
            Ok(summary) => summary,
            Err(e) => return Err(give_up(upload, e).await),
        };
        failpoint::pass("fanout.poured");
        let stored = self.complete(upload, &summary).await?;
        self.made = !stored.existed;
        failpoint::pass("fanout.completed");
        let options = ReadBackOptions {
            mode: self.target.read_back,
            stall_timeout: self.target.stall_timeout,
            keeping,
        };
        let read_back = self.unless_cut(read_back(&*destination, &key, &summary, &options)).await?;
        failpoint::pass("fanout.read_back");
        Ok(Kept { stored, read_back })
    }

    /// Writes until the source's end.
    async fn pour(&mut self, upload: &mut dyn Upload) -> Result<Summary> {
        loop {
            match self.reader.next().await {
                Ok(Next::Block(block)) => {
                    self.watched(Operation::Write, upload.write(block)).await?;
                }
                Ok(Next::End(summary)) => return Ok(summary),
                Err(cut) => return Err(cut.into_error(&self.place(Operation::Write))),
            }
        }
    }

    /// An upload that stalls or is given up while it is completed may have become an object all the same.
    async fn complete(&mut self, mut upload: Box<dyn Upload>, summary: &Summary) -> Result<Stored> {
        let (stalled, place) = (self.stalled(Operation::Complete), self.place(Operation::Complete));
        let (acknowledged, stall_timeout) = (self.acknowledged.clone(), self.target.stall_timeout);
        let completing = progressing(upload.complete(summary), &acknowledged, stall_timeout);
        let mut completing = Box::pin(completing);
        let why = tokio::select! {
            biased;
            completed = &mut completing => match completed {
                Some(completed) => return completed,
                None => stalled,
            },
            cut = self.reader.cut() => {
                let why = Cut::into_error(cut, &place);
                // What appears just now is ours, and has to be known as ours to be taken back.
                if let Ok(Some(Ok(stored))) = tokio::time::timeout(APPEAR_GRACE, &mut completing).await {
                    self.made = !stored.existed;
                    return Err(why);
                }
                why
            }
        };
        drop(completing);
        let given_up = give_up(upload, why).await;
        let parts = given_up.left_behind().map(|parts| format!(", or {parts}"));
        let what = format!("possibly the whole object{}", parts.unwrap_or_default());
        Err(given_up.leaving_behind(what))
    }

    /// A read-back, which limits itself, unless it is not wanted any more.
    async fn unless_cut<T>(&mut self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let place = self.place(Operation::ReadBack);
        tokio::select! {
            biased;
            done = call => done,
            cut = self.reader.cut() => Err(Cut::into_error(cut, &place)),
        }
    }

    /// A call to the store, unless it stalls or is not wanted any more.
    async fn watched<T>(
        &mut self,
        operation: Operation,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let (stalled, place) = (self.stalled(operation), self.place(operation));
        let (acknowledged, stall_timeout) = (self.acknowledged.clone(), self.target.stall_timeout);
        let call = progressing(call, &acknowledged, stall_timeout);
        tokio::select! {
            biased;
            cut = self.reader.cut() => Err(Cut::into_error(cut, &place)),
            done = call => done.unwrap_or(Err(stalled)),
        }
    }

    fn stalled(&self, operation: Operation) -> StoreError {
        self.place(operation).error(ErrorKind::Stalled { after: self.target.stall_timeout })
    }

    fn place(&self, operation: Operation) -> Place {
        let destination = self.target.destination.name().to_owned();
        Place { destination, key: self.target.key.clone(), operation }
    }
}

/// A call that is given up when no byte was acknowledged for `stall_timeout`.
async fn progressing<T>(
    call: impl Future<Output = T>,
    acknowledged: &Acknowledged,
    stall_timeout: Duration,
) -> Option<T> {
    let mut call = pin!(call);
    loop {
        let before = acknowledged.progress();
        match tokio::time::timeout(stall_timeout, &mut call).await {
            Ok(done) => return Some(done),
            Err(_) if acknowledged.progress() != before => {}
            Err(_) => return None,
        }
    }
}

async fn give_up(upload: Box<dyn Upload>, e: StoreError) -> StoreError {
    match tokio::time::timeout(ABORT_TIMEOUT, upload.abort()).await {
        Ok(Ok(())) => e,
        Ok(Err(abort)) => {
            let what = abort.left_behind().unwrap_or("an unfinished upload").to_owned();
            e.leaving_behind(what)
        }
        Err(_) => e.leaving_behind("an unfinished upload (aborting it took too long)".into()),
    }
}
