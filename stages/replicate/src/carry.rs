//! Carries the bytes to all destinations, and takes each as it comes to its end.
//!
//! Owns: who is waited for, and for how long. Without enough copies, for everybody; with enough of
//! them recorded, for the others only as long as `replicate.patience` says, or until a signal.
//!
//! Does not: decide what counts; that is the commit's.

use crate::commit::Commit;
use crate::error::Error;
use crate::pump::{Pumped, pump};
use config::Pipeline;
use contract::{Job, Progress, Source};
use destinations::Opened;
use std::collections::BTreeMap;
use std::time::Duration;
use store::{Acknowledged, FanoutBreaker, FanoutRun, FanoutSender, Outcomes};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the uploads may take to be aborted, or taken back, after a signal.
const ABORT_GRACE: Duration = Duration::from_secs(15);
/// How long those that are given up may take to end.
const STRAGGLER_GRACE: Duration = Duration::from_secs(120);

/// A fan-out under way, and what has come of it so far.
pub(crate) struct Carrier<'a> {
    pub(crate) commit: Commit<'a>,
    /// The job, once the source came to its end and was confirmed.
    pub(crate) pumped: Option<Pumped>,
    /// Why the source did not come to its end.
    failure: Option<Error>,
    outcomes: Outcomes,
    /// Whether every destination came to its end.
    has_ended: bool,
    reading: Option<oneshot::Receiver<Result<Option<Pumped>, Error>>>,
    breaker: FanoutBreaker,
    patience: Duration,
    shower: JoinHandle<()>,
    terminate: Signal,
    interrupt: Signal,
}

/// What there is to see to.
enum Event {
    Ended(Option<Box<store::Outcome>>),
    Read(Box<Result<Option<Pumped>, Error>>),
    /// A manifest came to its end.
    Written,
    Stopped(SignalKind),
    TooLate,
}

impl<'a> Carrier<'a> {
    /// Begins to read the source and to write to every destination.
    pub(crate) fn start(
        job: Job,
        source: Source,
        sender: FanoutSender,
        fanout: FanoutRun,
        opened: &BTreeMap<String, Opened>,
        pipeline: &Pipeline,
        commit: Commit<'a>,
    ) -> Result<Self, Error> {
        let breaker = sender.breaker();
        let names = opened.keys().cloned().collect();
        let shower = tokio::spawn(show(names, fanout.acknowledged()));
        let (done, reading) = oneshot::channel();
        let settings = pipeline.clone();
        // Not a blocking task of the runtime: one that waits for standard input has no end.
        std::thread::spawn(move || done.send(pump(job, source, sender, &settings)).is_ok());
        let on = |kind| signal(kind).map_err(destinations::Error::Runtime);
        Ok(Carrier {
            commit,
            pumped: None,
            failure: None,
            outcomes: fanout.start(),
            has_ended: false,
            reading: Some(reading),
            breaker,
            patience: pipeline.replicate.patience.get(),
            shower,
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
        })
    }

    /// Until every destination came to its end, or is waited for no more. Tells the signal that
    /// stopped it, if one did; without a commit everything has been taken back then.
    pub(crate) async fn carry(&mut self) -> Result<Option<SignalKind>, Error> {
        let mut given_up_at = None;
        let mut stopped_by = None;
        loop {
            if self.commit.is_done() && given_up_at.is_none() {
                given_up_at = Some(Instant::now() + self.patience);
            }
            match self.event(given_up_at).await {
                Event::Ended(Some(outcome)) => self.commit.take(*outcome),
                Event::Ended(None) => {
                    self.has_ended = true;
                    self.outlast_the_source().await;
                }
                Event::Read(read) => self.confirmed(*read),
                Event::Written => {}
                Event::Stopped(signal) => {
                    stopped_by = Some(signal);
                    self.stop().await;
                    break;
                }
                Event::TooLate => {
                    self.breaker.give_up_stragglers(self.patience);
                    self.rest(STRAGGLER_GRACE).await;
                    break;
                }
            }
            if self.has_ended && self.commit.is_at_rest() {
                break;
            }
        }
        self.shower.abort();
        self.commit.close();
        match self.failure.take() {
            Some(e) if stopped_by.is_none() => Err(e),
            _ => Ok(stopped_by),
        }
    }

    async fn event(&mut self, given_up_at: Option<Instant>) -> Event {
        let reading = async {
            match &mut self.reading {
                Some(reading) => reading.await.unwrap_or(Err(Error::ReaderLost)),
                None => std::future::pending().await,
            }
        };
        let too_late = async {
            match given_up_at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = reading => Event::Read(Box::new(read)),
            outcome = self.outcomes.next(), if !self.has_ended => {
                Event::Ended(outcome.map(Box::new))
            }
            () = self.commit.written() => Event::Written,
            _ = self.terminate.recv() => Event::Stopped(SignalKind::terminate()),
            _ = self.interrupt.recv() => Event::Stopped(SignalKind::interrupt()),
            () = too_late => Event::TooLate,
        }
    }

    /// The source came to its end, broke off, or nobody was left to read it for.
    fn confirmed(&mut self, read: Result<Option<Pumped>, Error>) {
        self.reading = None;
        match read {
            Ok(Some(pumped)) => {
                self.commit.allow(pumped.manifest.clone());
                self.pumped = Some(pumped);
            }
            Ok(None) => {}
            // The uploads end by themselves now, and are waited for.
            Err(e) => self.failure = Some(e),
        }
    }

    /// After a signal. What was committed stays; what was not is taken back.
    async fn stop(&mut self) {
        self.breaker.break_off();
        self.breaker.give_up_stragglers(Duration::ZERO);
        self.rest(ABORT_GRACE).await;
        // The source may have come to its end before the signal: what was completed since then is
        // of no use without a manifest.
        if !self.commit.is_done()
            && tokio::time::timeout(ABORT_GRACE, self.commit.undo()).await.is_err()
        {
            tracing::warn!("what was stored could not be taken back in time: it has no manifest");
        }
    }

    /// Takes what still comes.
    async fn rest(&mut self, limit: Duration) {
        let rest = async {
            while !self.has_ended || !self.commit.is_at_rest() {
                tokio::select! {
                    outcome = self.outcomes.next(), if !self.has_ended => match outcome {
                        Some(outcome) => self.commit.take(outcome),
                        None => self.has_ended = true,
                    },
                    () = self.commit.written() => {}
                }
            }
        };
        if tokio::time::timeout(limit, rest).await.is_err() {
            tracing::warn!("some uploads could not be aborted in time; a later run will");
        }
    }

    /// Where every destination failed by itself the source may have long to go, and what it says
    /// changes nothing. Where they failed because it broke off, it says why.
    async fn outlast_the_source(&mut self) {
        if let Some(reading) = self.reading.take().filter(|_| !self.commit.failed_by_itself()) {
            let read = reading.await.unwrap_or(Err(Error::ReaderLost));
            self.confirmed(read);
        }
    }
}

/// Tells how far each destination is.
async fn show(names: Vec<String>, acknowledged: Vec<Acknowledged>) {
    const EVERY: Duration = Duration::from_millis(250);
    let mut all: Vec<(Progress, Acknowledged)> =
        names.into_iter().map(|name| Progress::new(name, None)).zip(acknowledged).collect();
    loop {
        tokio::time::sleep(EVERY).await;
        all.iter_mut().for_each(|(progress, so_far)| progress.at(so_far.bytes()));
    }
}
