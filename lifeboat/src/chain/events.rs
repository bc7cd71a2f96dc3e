//! What a stage says on stderr: one JSON object a line, or whatever a foreign program writes.

use contract::PROGRESS_TARGET;
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::ChildStderr;
use tokio::sync::mpsc;

/// A longer line is cut: nobody reads it, and it must not fill the memory.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// Something that a stage said.
#[derive(Debug)]
pub(super) enum Event {
    Progress { what: String, bytes: u64, total: u64 },
    Line { position: usize, line: Map<String, Value> },
    Failure { position: usize, failure: Failure },
}

/// Why a stage failed, in its own words.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) causes: String,
    pub(crate) hint: String,
    pub(crate) blame: String,
    /// The etcd member that the failure is about, if it is about one.
    pub(crate) member: String,
}

/// Passes on what the step at `position` says, until it closes its stderr.
pub(super) async fn listen(position: usize, stderr: ChildStderr, to: mpsc::Sender<Event>) {
    let mut lines = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        let mut limited = (&mut lines).take(LINE_BYTES_MAX);
        match limited.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if to.send(understand(position, text.trim_end())).await.is_err() {
            return;
        }
    }
}

fn understand(position: usize, text: &str) -> Event {
    let line = match serde_json::from_str(text) {
        Ok(Value::Object(line)) => line,
        _ => Map::from_iter([("level".into(), "info".into()), ("message".into(), text.into())]),
    };
    let word = |key: &str| line.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| line.get(key).and_then(Value::as_u64).unwrap_or_default();
    if word("event") == PROGRESS_TARGET {
        return Event::Progress {
            what: word("what"),
            bytes: number("bytes"),
            total: number("total"),
        };
    }
    // Programs of the user's log errors as JSON too, but only ours say with what code they end.
    if word("level") == "error" && line.contains_key("code") && line.contains_key("message") {
        let failure = Failure {
            message: word("message"),
            causes: word("causes"),
            hint: word("hint"),
            blame: word("blame"),
            member: word("member"),
        };
        return Event::Failure { position, failure };
    }
    Event::Line { position, line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_a_users_program_logs_is_no_failure_of_its_step() {
        let line = |text| matches!(understand(1, text), Event::Line { position: 1, .. });
        assert!(line(r#"{"level":"error","message":"a pod looks odd"}"#));
        assert!(line(r#"{"level":"error","code":7,"msg":"no message"}"#));
        assert!(line("error: plain words"));
        let ours = r#"{"level":"error","code":20,"blame":"own","message":"damaged"}"#;
        assert!(matches!(understand(1, ours), Event::Failure { position: 1, .. }));
    }
}
