//! Logs go to stderr: lines for people on a terminal, one JSON object a line otherwise.
//!
//! Standard output belongs to the data. A log that cannot be written is dropped: reporting an
//! error must never turn into another one.

use crate::progress::PROGRESS_TARGET;
use std::borrow::Cow;
use std::fmt;
use std::io::IsTerminal;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// A library that at "trace" shows the headers that it signs, and a key for the store is one of them.
const TALKS_OF_SECRETS: &str = "aws_sigv4";

/// Whether an event is never written, however much was asked for.
fn is_silenced(event: &Event<'_>) -> bool {
    let metadata = event.metadata();
    metadata.target().starts_with(TALKS_OF_SECRETS) && *metadata.level() == Level::TRACE
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Human on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Sets up logging for this process. `LIFEBOAT_LOG_LEVEL` (such as `debug`) says how much.
pub fn init(format: LogFormat, stage: &'static str) {
    let filter = EnvFilter::try_from_env("LIFEBOAT_LOG_LEVEL").unwrap_or_else(|_| {
        // The libraries below say too much at their own "info".
        EnvFilter::new("warn,lifeboat=info,progress=info")
    });
    let human = match format {
        LogFormat::Auto => std::io::stderr().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // When nobody reads stderr any more, the default is to complain there, which panics.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    // A second call in one process (only tests do that) keeps the first set-up.
    let _ = if human {
        builder.event_format(HumanLines { stage }).try_init()
    } else {
        builder.event_format(JsonLines { stage }).try_init()
    };
}

/// The fields of one event, in the order they were given.
#[derive(Default)]
struct Fields {
    message: String,
    rest: serde_json::Map<String, serde_json::Value>,
}

impl Fields {
    fn of(event: &Event<'_>) -> Self {
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields
    }

    fn put(&mut self, field: &Field, value: impl Into<serde_json::Value>) {
        let value = value.into();
        match (field.name(), &value) {
            ("message", serde_json::Value::String(text)) => self.message.clone_from(text),
            (_, serde_json::Value::String(text)) if text.is_empty() => {}
            (name, _) => {
                self.rest.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

struct JsonLines {
    stage: &'static str,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if is_silenced(event) {
            return Ok(());
        }
        let Fields { message, rest } = Fields::of(event);
        let mut line = serde_json::Map::new();
        line.insert("time".into(), crate::Clock::system().now().to_string().into());
        line.insert("level".into(), event.metadata().level().as_str().to_lowercase().into());
        line.insert("stage".into(), self.stage.into());
        if event.metadata().target() == PROGRESS_TARGET {
            line.insert("event".into(), PROGRESS_TARGET.into());
        }
        if !message.is_empty() {
            line.insert("message".into(), message.into());
        }
        line.extend(rest);
        writeln!(writer, "{}", serde_json::Value::Object(line))
    }
}

/// One logged JSON object as lines for people, as the stage itself would show it on a terminal.
#[must_use]
pub fn human_line(stage: &str, line: &serde_json::Map<String, serde_json::Value>) -> String {
    let own = ["time", "level", "stage", "message"];
    let word = |key: &str| line.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    let level = match word("level") {
        "error" => Level::ERROR,
        "warn" => Level::WARN,
        _ => Level::INFO,
    };
    let fields = line.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let fields = fields.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_human(&mut text, level, stage, word("message"), &fields);
    text
}

struct HumanLines {
    stage: &'static str,
}

impl<S, N> FormatEvent<S, N> for HumanLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if event.metadata().target() == PROGRESS_TARGET || is_silenced(event) {
            return Ok(());
        }
        let Fields { message, rest } = Fields::of(event);
        write_human(&mut writer, *event.metadata().level(), self.stage, &message, &rest)
    }
}

/// Text for a terminal: what servers, manifests and programs say may hold sequences that clear the
/// screen, hide words or type for the reader. Line ends and tabs stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c.is_control() && c != '\n' && c != '\t';
    match text.contains(acts) {
        true => text.replace(acts, "\u{fffd}").into(),
        false => text.into(),
    }
}

/// `error: verify: message (key=value)`, then its causes and the next step on lines of their own.
fn write_human(
    writer: &mut impl fmt::Write,
    level: Level,
    stage: &str,
    message: &str,
    fields: &serde_json::Map<String, serde_json::Value>,
) -> fmt::Result {
    let label = match level {
        Level::ERROR => "error: ",
        Level::WARN => "warning: ",
        _ => "",
    };
    write!(writer, "{label}{stage}: {}", visible(message))?;
    let shown = ["causes", "hint", "code", "exit", "blame"];
    let mut separator = " (";
    for (name, value) in fields.iter().filter(|(name, _)| !shown.contains(&name.as_str())) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        write!(writer, "{separator}{}={}", visible(name), visible(&text))?;
        separator = ", ";
    }
    writeln!(writer, "{}", if separator == ", " { ")" } else { "" })?;
    for (name, label) in [("causes", "because"), ("hint", "next")] {
        if let Some(text) = fields.get(name).and_then(serde_json::Value::as_str) {
            writeln!(writer, "  {label}: {}", visible(text))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_human_error_ends_with_its_cause_and_the_next_step() {
        let fields = serde_json::json!({
            "code": 20, "causes": "disk on fire", "hint": "run elsewhere", "page": 7,
        });
        let mut text = String::new();
        let fields = fields.as_object().unwrap();
        write_human(&mut text, Level::ERROR, "verify", "it broke", fields).unwrap();
        assert_eq!(
            text,
            "error: verify: it broke (page=7)\n  because: disk on fire\n  next: run elsewhere\n"
        );
    }

    #[test]
    fn nothing_that_is_said_acts_on_the_terminal() {
        let fields = serde_json::json!({ "causes": "\u{7}", "member": "\u{1b}[2Ja\u{9b}5m" });
        let mut text = String::new();
        let fields = fields.as_object().unwrap();
        write_human(&mut text, Level::WARN, "verify", "a\n\tb\u{1b}]0;x", fields).unwrap();
        assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
        assert!(text.starts_with("warning: verify: a\n\tb\u{fffd}]0;x (member="), "{text:?}");
    }
}
