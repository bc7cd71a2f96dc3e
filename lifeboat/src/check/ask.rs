//! Asks the stages, all at once, each with the environment of its job and a limit in time.
//!
//! Invariant: whatever a stage does, there is an answer for it. Its warnings count as findings.

use super::stages;
use crate::cli::Common;
use crate::error::Error;
use crate::{environment, find};
use config::Pipeline;
use contract::{CheckReport, Exit, Finding};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

/// How long a stage may take. Each has shorter limits of its own for whatever it asks.
const LIMIT: Duration = Duration::from_secs(90);
/// An answer has a few kilobytes.
const SAID_BYTES_MAX: u64 = 1 << 20;
/// Stages without anything to ask: that the program is there is all there is to know.
const SILENT: [&str; 1] = ["verify"];

/// What a stage left behind.
struct Said {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// The answers of all stages and programs, in the order of the data.
pub(super) fn all(common: &Common, pipeline: &Pipeline) -> Result<Vec<CheckReport>, Error> {
    let config = common.config_path()?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Pipe)?;
    let mut answers = runtime.block_on(async {
        let asked = stages(pipeline).map(|stage| ask(stage, &config));
        futures::future::join_all(asked).await
    });
    answers.extend(pipeline.programs.iter().map(|(name, program)| {
        let mut report = CheckReport::new(name);
        report.add(of_program(&program.command));
        report
    }));
    answers.sort_by_key(|part| pipeline.stages.iter().position(|name| *name == part.stage));
    Ok(answers)
}

async fn ask(stage: &str, config: &Path) -> CheckReport {
    let program = match find::stage(stage) {
        Ok(program) => program,
        Err(e) => {
            let mut report = CheckReport::new(stage);
            report.failed("program", &e);
            return report;
        }
    };
    if SILENT.contains(&stage) {
        let mut report = CheckReport::new(stage);
        report.good("program", program.display().to_string());
        return report;
    }
    match tokio::time::timeout(LIMIT, talk(stage, &program, config)).await {
        Ok(Ok(said)) => understand(stage, &said),
        Ok(Err(e)) => {
            let mut report = CheckReport::new(stage);
            report.failed("answer", &e);
            report
        }
        Err(_) => {
            let detail = format!("no answer within {} s", LIMIT.as_secs());
            let next = format!("run `lifeboat {stage} --check` to see where it stands still");
            let mut report = CheckReport::new(stage);
            report.add(Finding::bad("answer", detail, Exit::Transient).next(next));
            report
        }
    }
}

async fn talk(stage: &str, program: &Path, config: &Path) -> Result<Said, Error> {
    let start = |source| Error::Start { program: program.display().to_string(), source };
    let mut child = Command::new(program)
        .arg("--check")
        .arg("--config")
        .arg(config)
        .args(["--log", "json"])
        .env_clear()
        .envs(environment::of(stage))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr, status) = tokio::join!(read(stdout), read(stderr), child.wait());
    Ok(Said { status: status.map_err(start)?, stdout, stderr })
}

/// What comes, up to a limit; then the pipe is closed, and who goes on talking learns it.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        // What was read before an error is still worth something.
        let _ = pipe.take(SAID_BYTES_MAX).read_to_end(&mut bytes).await;
    }
    bytes
}

fn understand(stage: &str, said: &Said) -> CheckReport {
    let parsed = serde_json::from_slice::<CheckReport>(&said.stdout);
    let code = said.status.code();
    match parsed {
        Ok(mut report) if report.stage == stage && code == Some(report.exit.into()) => {
            warnings(&said.stderr).into_iter().for_each(|finding| report.add(finding));
            report
        }
        _ => {
            let mut report = CheckReport::new(stage);
            report.add(unintelligible(stage, said));
            report
        }
    }
}

/// The lines of a log that are JSON, of one level.
fn logged(stderr: &[u8], level: &str) -> Vec<Value> {
    let lines = stderr.split(|byte| *byte == b'\n');
    let parsed = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    parsed.filter(|line| line["level"] == level).collect()
}

fn word<'a>(line: &'a Value, name: &str) -> Option<&'a str> {
    line[name].as_str().filter(|text| !text.is_empty())
}

fn warnings(stderr: &[u8]) -> Vec<Finding> {
    let findings = logged(stderr, "warn").into_iter().filter_map(|line| {
        let next = word(&line, "hint").unwrap_or("see to it before the next run");
        Some(Finding::warning("log", word(&line, "message")?, next))
    });
    findings.collect()
}

/// An error that ended the stage before it could answer, or whatever else is known.
fn unintelligible(stage: &str, said: &Said) -> Finding {
    if let (Some(line), Some(code)) = (logged(&said.stderr, "error").first(), said.status.code())
        && let (Some(message), true) = (word(line, "message"), code != 0)
    {
        let detail = match word(line, "causes") {
            Some(causes) => format!("{message}: {causes}"),
            None => message.to_owned(),
        };
        let exit = Exit::from_code(code).unwrap_or(Exit::Bug);
        let finding = Finding::bad("answer", detail, exit);
        return match word(line, "hint") {
            Some(hint) => finding.next(hint),
            None => finding,
        };
    }
    let text = String::from_utf8_lossy(&said.stderr);
    let last = text.lines().last().unwrap_or("it said nothing");
    let detail = format!("it ended with {} and no answer: {last}", said.status);
    let next = format!("run `lifeboat {stage} --check`; are all programs of one version?");
    Finding::bad("answer", detail, Exit::Bug).next(next)
}

/// Whether a program of the user's can be started.
fn of_program(command: &[String]) -> Finding {
    let name = command.first().map(String::as_str).unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = match name.contains('/') {
        true => vec![PathBuf::from(name)],
        false => std::env::split_paths(&path).map(|dir| dir.join(name)).collect(),
    };
    let can_run = |place: &&PathBuf| {
        place.is_file() && rustix::fs::access(place.as_path(), rustix::fs::Access::EXEC_OK).is_ok()
    };
    match places.iter().find(can_run) {
        Some(place) => Finding::good("program", place.display().to_string()),
        None => Finding::bad("program", format!("{name:?} is not a program here"), Exit::Config)
            .next("install it, or correct its command in pipeline.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn said(code: i32, stdout: &str, stderr: &str) -> Said {
        let status = ExitStatus::from_raw(code << 8);
        Said { status, stdout: stdout.into(), stderr: stderr.into() }
    }

    #[test]
    fn whatever_a_stage_says_becomes_a_finding() {
        let good = r#"{"version":1,"stage":"capture","level":"ok","exit":0,"checks":[]}"#;
        let warn = r#"{"level":"warn","message":"look out"}"#;
        let error = r#"{"level":"error","message":"no","causes":"why","hint":"do this"}"#;
        for (case, said, exit, detail) in [
            ("a good answer", said(0, good, ""), 0, ""),
            ("a warning beside it", said(0, good, warn), 0, "look out"),
            ("an answer and another code", said(9, good, ""), 1, "no answer: it said nothing"),
            ("an error", said(11, "", error), 11, "no: why"),
            ("an unknown code", said(99, "", error), 1, "no: why"),
            ("garbage", said(0, "hello", "thread panicked"), 1, "thread panicked"),
            ("another stage", said(0, &good.replace("capture", "prune"), ""), 1, "no answer"),
        ] {
            let report = understand("capture", &said);
            assert_eq!(report.exit, exit, "{case}: {report:?}");
            let found = report.checks.iter().any(|finding| finding.detail.contains(detail));
            assert!(detail.is_empty() || found, "{case}: {report:?}");
        }
    }
}
