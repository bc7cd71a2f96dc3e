//! One stage at work in one run: it opens its streams, checks what came before, and signs off.
//!
//! The order is the contract. A stage reads to the end of its input, then [`Job::confirm`]s that
//! every step before it left a receipt and that the last of them wrote exactly what was read
//! here. Only then may it commit anything. [`Job::finish`] writes its own receipt before its
//! output closes, so that the reader can tell the end of the data from the death of the writer.
//!
//! Without a run directory a stage is an ordinary filter: nothing is confirmed, no receipt is
//! written.

use crate::plan::FORMAT_VERSION;
use crate::run_dir::RunDirError;
use crate::stream::StreamError;
use crate::{
    Blame, Clock, Exit, Failure, Plan, Receipt, RunDir, Sink, Source, StreamArgs, Tally, Waited,
};
use jiff::Timestamp;
use std::path::PathBuf;

/// What can go wrong between the stages.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The run directory is unusable.
    #[error(transparent)]
    RunDir(#[from] RunDirError),
    /// An input or output is unusable.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// This stage has no place in the plan.
    #[error("stage {stage:?} is not in the plan of this run ({planned})")]
    NotPlanned {
        /// The stage that was started.
        stage: String,
        /// The stages of the plan.
        planned: String,
    },
    /// A step before this one did not succeed.
    #[error("stage {stage:?} ended without a receipt: its output is not whole")]
    NoReceipt {
        /// The step that has none.
        stage: String,
        /// Where it should be.
        path: PathBuf,
    },
    /// What arrived is not what the step before says it wrote.
    #[error("stage {stage:?} wrote {wrote}, but {reader:?} read {read}")]
    Different {
        /// The writer.
        stage: String,
        /// The reader.
        reader: String,
        /// What the writer's receipt says.
        wrote: Tally,
        /// What arrived.
        read: Tally,
    },
    /// A receipt belongs elsewhere.
    #[error("the receipt {} is of run {found_run}, stage {found_stage:?}; expected run {run}, stage {stage:?}", path.display())]
    Foreign {
        /// The receipt.
        path: PathBuf,
        /// This run.
        run: String,
        /// The stage whose receipt was expected.
        stage: String,
        /// The run in the receipt.
        found_run: String,
        /// The stage in the receipt.
        found_stage: String,
    },
    /// A receipt lacks a fact that this stage needs.
    #[error("the receipt of stage {stage:?} cannot be understood: {problem}")]
    Facts {
        /// The stage whose receipt it is.
        stage: String,
        /// What is wrong.
        problem: String,
    },
}

impl Failure for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::RunDir(e) => e.exit(),
            Error::Stream(e) => e.exit(),
            Error::NotPlanned { .. } => Exit::Usage,
            Error::NoReceipt { .. } => Exit::Transient,
            Error::Different { .. } | Error::Foreign { .. } | Error::Facts { .. } => Exit::Corrupt,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Error::RunDir(e) => e.hint(),
            Error::Stream(e) => e.hint(),
            Error::NotPlanned { .. } => Some("add it to `stages` in pipeline.toml".into()),
            Error::NoReceipt { stage, .. } => Some(format!("look at the error of stage {stage}")),
            Error::Different { .. } => {
                Some("something between the two stages changed or cut the bytes; run again".into())
            }
            Error::Foreign { .. } => Some("use a new run directory for each run".into()),
            Error::Facts { .. } => Some("use programs of one version in one run".into()),
        }
    }

    fn blame(&self) -> Blame {
        match self {
            Error::Stream(e) => e.blame(),
            Error::NoReceipt { .. } => Blame::Upstream,
            _ => Blame::Own,
        }
    }
}

/// Stages that let others go first where they share the processors: etcd, as on a node of a control
/// plane, and the two stages that drain it, for which its read transaction waits. The way back is
/// in no such list: whoever restores is in a hurry.
const GIVE_WAY: [&str; 4] = ["compress", "encrypt", "replicate", "prune"];
/// How much less of a busy processor they ask for.
const NICENESS: i32 = 5;

struct Run {
    dir: RunDir,
    plan: Plan,
    step: usize,
}

/// One stage at work.
pub struct Job {
    stage: String,
    tool: String,
    clock: Clock,
    started_at: Timestamp,
    streams: StreamArgs,
    run: Option<Run>,
}

impl Job {
    /// Finds the stage's place in the run, if there is a run.
    ///
    /// # Errors
    /// When the run directory is unusable or its plan does not have this stage.
    pub fn open(stage: &str, streams: &StreamArgs, clock: Clock) -> Result<Self, Error> {
        let run = streams.run_dir.as_deref().map(|path| open_run(path, stage)).transpose()?;
        if run.is_some() && GIVE_WAY.contains(&stage) {
            // Where the system refuses, everything is as fair as before.
            let _ = rustix::process::nice(NICENESS);
        }
        failpoint::pass("job.opened");
        Ok(Job {
            stage: stage.to_owned(),
            tool: format!("lifeboat-{stage} {}", env!("CARGO_PKG_VERSION")),
            started_at: clock.now(),
            streams: streams.clone(),
            clock,
            run,
        })
    }

    /// Names another tool in the receipt, for a program that is not ours.
    #[must_use]
    pub fn of_tool(mut self, tool: String) -> Self {
        self.tool = tool;
        self
    }

    /// The input that the command line names.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn input(&self) -> Result<Source, Error> {
        Ok(Source::open(self.streams.input.as_deref())?)
    }

    /// The input of a stage that reads nothing: it only waits for the end of its input, and only
    /// if the command line names one.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub fn signal_input(&self) -> Result<Source, Error> {
        let Some(path) = self.streams.input.as_deref() else {
            return Ok(Source::empty());
        };
        let mut source = Source::open(Some(path))?;
        source.drain()?;
        Ok(source)
    }

    /// The output that the command line names.
    ///
    /// # Errors
    /// When it cannot be opened, or the file exists.
    pub fn output(&self) -> Result<Sink, Error> {
        Ok(Sink::open(self.streams.output.as_deref())?)
    }

    /// The output of a stage that writes nothing: its end tells the next stage to begin.
    ///
    /// # Errors
    /// When it cannot be opened, or the file exists.
    pub fn signal_output(&self) -> Result<Sink, Error> {
        match self.streams.output.as_deref() {
            Some(path) => Ok(Sink::open(Some(path))?),
            None => Ok(Sink::empty()),
        }
    }

    /// The plan of the run, if there is a run.
    #[must_use]
    pub fn plan(&self) -> Option<&Plan> {
        self.run.as_ref().map(|run| &run.plan)
    }

    /// The run directory, if there is a run.
    #[must_use]
    pub fn run_dir(&self) -> Option<&RunDir> {
        self.run.as_ref().map(|run| &run.dir)
    }

    /// The stage's position in the plan; 0 without a run.
    #[must_use]
    pub fn step(&self) -> usize {
        self.run.as_ref().map_or(0, |run| run.step)
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Checks, at the end of the input, that every step before this one left a receipt, that
    /// each read what the one before wrote, and that the last wrote what was read here. The first
    /// read something just where the plan has an input. Returns the receipts in order; none without
    /// a run.
    ///
    /// # Errors
    /// [`Error::NoReceipt`], [`Error::Different`] or [`Error::Foreign`]. Nothing may be
    /// committed then.
    pub fn confirm(&self, source: &Source) -> Result<Vec<Receipt>, Error> {
        let Some(run) = &self.run else {
            return Ok(Vec::new());
        };
        let has_input = run.plan.input.is_some();
        let mut receipts: Vec<Receipt> = Vec::with_capacity(run.step);
        for (position, step) in run.plan.steps.iter().enumerate().take(run.step) {
            let receipt = run.receipt(position, &step.name)?;
            match (receipts.last(), &receipt.input) {
                (Some(before), Some(read)) => must_match(before, &step.name, read)?,
                (None, read) if read.is_some() == has_input => {}
                (before, _) => return Err(misplaced(&step.name, before.is_some() || has_input)),
            }
            receipts.push(receipt);
        }
        if let Some(before) = receipts.last() {
            must_match(before, &self.stage, &source.tally())?;
        }
        failpoint::pass("job.confirmed");
        Ok(receipts)
    }

    /// The receipt as [`Job::finish`] would write it now; none without a run.
    ///
    /// # Errors
    /// When the facts are no JSON.
    pub fn receipt(
        &self,
        source: Option<&Source>,
        sink: &Sink,
        facts: &impl serde::Serialize,
    ) -> Result<Option<Receipt>, Error> {
        let Some(run) = &self.run else { return Ok(None) };
        let unfit = |e: serde_json::Error| Error::Facts {
            stage: self.stage.clone(),
            problem: e.to_string(),
        };
        Ok(Some(Receipt {
            version: FORMAT_VERSION,
            run: run.plan.run.clone(),
            step: run.step,
            stage: self.stage.clone(),
            tool: self.tool.clone(),
            started_at: self.started_at,
            finished_at: self.clock.now(),
            input: source.map(Source::tally),
            output: sink.written(),
            waited: Waited {
                input_ms: source.map_or(0, Source::waited_ms),
                output_ms: sink.waited_ms(),
            },
            facts: serde_json::to_value(facts).map_err(unfit)?,
        }))
    }

    /// Writes the receipt, then closes the output.
    ///
    /// # Errors
    /// When the receipt or the output cannot be written.
    pub fn finish(
        self,
        source: Option<&Source>,
        sink: Sink,
        facts: &impl serde::Serialize,
    ) -> Result<(), Error> {
        failpoint::pass("job.finishing");
        let receipt = self.receipt(source, &sink, facts)?;
        if let Some((run, receipt)) = self.run.as_ref().zip(receipt) {
            run.dir.write_receipt(&receipt)?;
        }
        failpoint::pass("job.receipt_written");
        sink.publish()?;
        failpoint::pass("job.output_published");
        Ok(())
    }
}

impl Run {
    fn receipt(&self, position: usize, stage: &str) -> Result<Receipt, Error> {
        let path = self.dir.receipt_path(position, stage);
        let Some(receipt) = self.dir.receipt(position, stage)? else {
            return Err(Error::NoReceipt { stage: stage.to_owned(), path });
        };
        if receipt.run != self.plan.run || receipt.stage != stage || receipt.step != position {
            return Err(Error::Foreign {
                path,
                run: self.plan.run.to_string(),
                stage: stage.to_owned(),
                found_run: receipt.run.to_string(),
                found_stage: receipt.stage,
            });
        }
        Ok(receipt)
    }
}

fn open_run(path: &std::path::Path, stage: &str) -> Result<Run, Error> {
    let (dir, plan) = RunDir::open(path)?;
    match plan.position(stage) {
        // Whoever starts a step again after it succeeded must not commit again.
        Some(step) if dir.receipt_path(step, stage).exists() => {
            let path = dir.receipt_path(step, stage);
            Err(RunDirError::Write(durable::Error::AlreadyExists(path)).into())
        }
        Some(step) => Ok(Run { dir, plan, step }),
        None => Err(Error::NotPlanned {
            stage: stage.to_owned(),
            planned: plan.steps.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Only the first step reads nothing, and that only in a run without an input.
fn misplaced(stage: &str, must_read: bool) -> Error {
    let problem = if must_read { "it does not say what it read" } else { "it read something" };
    Error::Facts { stage: stage.to_owned(), problem: problem.to_owned() }
}

fn must_match(before: &Receipt, reader: &str, read: &Tally) -> Result<(), Error> {
    let wrote = before.output.tally();
    if wrote == *read {
        return Ok(());
    }
    Err(Error::Different {
        stage: before.stage.clone(),
        reader: reader.to_owned(),
        wrote,
        read: read.clone(),
    })
}
