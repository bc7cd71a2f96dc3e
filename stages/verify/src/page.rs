//! What people see of a proved file: first what `etcdutl snapshot status` prints.

use snapshot::Report;
use std::fmt::Write as _;

pub(crate) fn of(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{label:<18} {value}");
    };
    let status = &report.status;
    line("hash", status.hash_hex.clone());
    line("revision", status.revision.to_string());
    line("total keys", format!("{} (etcdutl 3.6 and later: live keys)", status.total_key_live));
    line("", format!("{} (etcdctl 3.4, etcdutl 3.5: all records)", status.total_key_rows));
    line("total size", format!("{} bytes", status.total_size));
    if let Some(version) = &report.storage_version {
        line("storage version", version.clone());
    }
    let trailer = if report.has_trailer { "matches its trailer" } else { "no trailer to match" };
    line("SHA-256", format!("{} ({trailer})", report.sha256));
    let pages = report.pages;
    line("pages", format!("{} of {} bytes, {} free", pages.total, report.page_bytes, pages.free));
    if let Some(revision) = report.compact_revision {
        line("compacted at", revision.to_string());
    }
    if let Some(hash) = report.hashkv.hash {
        let (at, under) = (report.hashkv.revision, report.hashkv.compact_revision);
        line("HashKV", format!("{hash} at revision {at}, compacted at {under}"));
    }
    for (name, keys) in &report.encryption_at_rest {
        line("encrypted with", format!("{name}: {keys} keys, which Kubernetes needs it to read"));
    }
    if report.auth_enabled {
        line("authentication", "on".to_owned());
    }
    for alarm in &report.alarms {
        line("alarm", format!("{} of member {}", alarm.alarm, alarm.member));
    }
    for bucket in &report.missing_buckets {
        line("missing bucket", format!("{bucket} (every etcd makes it when it starts)"));
    }
    for bucket in &report.unknown_buckets {
        line("unknown bucket", bucket.clone());
    }
    text
}
