//! What is told to whom.
//!
//! A heartbeat, as services like healthchecks.io have it, is asked at `URL/start` when a run
//! begins, and at `URL/EXIT` when it has ended, with 0 for success; it raises the alarm itself
//! when nothing comes. A webhook gets the whole report, and nothing at the start.

use crate::args::{Args, Event};
use crate::error::Error;
use crate::post::{Client, Message};
use config::Pipeline;
use contract::{Exit, Failure, Source};
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use url::Url;

/// A report is some hundred bytes; nothing reasonable is longer.
const REPORT_BYTES_MAX: u64 = 1 << 20;
/// A URL longer than this is none.
const URL_FILE_BYTES_MAX: u64 = 8 << 10;

pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    let pipeline = Pipeline::load(args.common.config.as_deref())?;
    let report = match args.event {
        Event::Start => None,
        Event::End => Some(read_report(args)?),
    };
    let settings = &pipeline.notify;
    let client = Client::new(settings.timeout.get());
    let mut exit = Exit::Ok;
    let heartbeat = settings.heartbeat_file.as_deref();
    let webhook = settings.webhook_file.as_deref();
    let told = [
        heartbeat.map(|file| tell_heartbeat(&client, file, report.as_ref())),
        webhook.zip(report.as_ref()).map(|(file, report)| tell_webhook(&client, file, report)),
    ];
    // Not an error of the run that this is about.
    for failure in told.into_iter().flatten().filter_map(Result::err) {
        let causes = std::error::Error::source(&failure).map(ToString::to_string);
        tracing::warn!(causes, hint = failure.hint(), "{failure}");
        exit = failure.exit();
    }
    Ok(exit)
}

fn read_report(args: &Args) -> Result<Value, Error> {
    let source = Source::open(args.common.streams.input.as_deref())?;
    let mut text = Vec::new();
    source.take(REPORT_BYTES_MAX).read_to_end(&mut text).map_err(Error::Read)?;
    serde_json::from_slice(&text).map_err(|e| Error::NoReport(e.to_string()))
}

fn tell_heartbeat(client: &Client, file: &Path, report: Option<&Value>) -> Result<(), Error> {
    let mut url = read_url("notify.heartbeat_file", file)?;
    let word = match report {
        None => "start".to_owned(),
        Some(report) => report["exit"].as_u64().unwrap_or_default().to_string(),
    };
    let path = format!("{}/{word}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    let summary = report.map(summary).unwrap_or_default();
    client.post(&url, &Message { kind: "text/plain; charset=utf-8", text: summary })
}

fn tell_webhook(client: &Client, file: &Path, report: &Value) -> Result<(), Error> {
    let url = read_url("notify.webhook_file", file)?;
    client.post(&url, &Message { kind: "application/json", text: report.to_string() })
}

/// The report in one line.
fn summary(report: &Value) -> String {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let cluster = word(&report["cluster"]);
    let cause = &report["cause"];
    let failed = format!("{} failed: {}", word(&cause["stage"]), word(&cause["message"]));
    let exit = &report["exit"];
    match (report["backup"].as_str(), cause.is_null()) {
        (Some(name), true) => format!("{cluster}: backup {name} is committed (exit {exit})"),
        (Some(name), false) => {
            format!("{cluster}: backup {name} is committed; after that {failed} (exit {exit})")
        }
        _ if report.get("backup").is_none() => format!("{cluster}: {failed} (exit {exit})"),
        (None, _) => format!("{cluster}: no backup was made: {failed} (exit {exit})"),
    }
}

/// The URL is a secret, and stands in a file of its own.
fn read_url(key: &'static str, path: &Path) -> Result<Url, Error> {
    let failed = |source| Error::UrlFile { key, path: path.to_path_buf(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(URL_FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    let url = text.lines().next().and_then(|line| Url::parse(line.trim()).ok());
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    url.filter(is_web).ok_or_else(|| Error::NoUrl { key, path: path.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn f54_a_report_is_told_in_one_line() {
        let report = json!({ "cluster": "demo", "backup": "20261120T021400Z-x", "exit": 0 });
        assert_eq!(summary(&report), "demo: backup 20261120T021400Z-x is committed (exit 0)");
        let cause = json!({ "stage": "capture", "message": "nobody is there" });
        let report = json!({ "cluster": "demo", "backup": null, "exit": 10, "cause": cause });
        let text = "demo: no backup was made: capture failed: nobody is there (exit 10)";
        assert_eq!(summary(&report), text);
    }
}
