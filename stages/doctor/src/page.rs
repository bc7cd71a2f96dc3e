//! The diagnosis for people: one screen that ends with the next command to type.

use crate::diagnose::{Diagnosis, Step, Verdict};
use crate::observation::{Answer, Member, Observations};
use contract::{Finding, Level};
use etcd::hex_id;
use std::fmt::Write as _;

/// Reasons and findings beyond these are in the JSON.
const LINES_MAX: usize = 12;
/// Text is broken before this column.
const WIDTH: usize = 100;

/// The whole page.
pub(crate) fn page(seen: &Observations, diagnosis: &Diagnosis) -> String {
    let verdict = &diagnosis.verdict;
    let mut page = Page(String::new());
    page.line(&verdict.headline.to_string());
    page.line("");
    page.members(seen);
    let (case, confidence) = (verdict.case.name(), verdict.confidence.name());
    page.entry("case", &format!("{case}, {confidence} confidence"));
    page.list("because", &verdict.reasons);
    page.entry("restore?", &format!("{}: {}", verdict.restore.words(), verdict.restore_why));
    let (backup, others): (Vec<&Finding>, Vec<&Finding>) =
        diagnosis.findings.iter().partition(|finding| finding.name == "backup");
    let next = backup.iter().find_map(|finding| finding.next.as_ref());
    let next = next.map(|next| format!(" -> {next}")).unwrap_or_default();
    page.entry("backup", &format!("{}{next}", seen.backup.line()));
    page.list("see to", &others.into_iter().map(told).collect::<Vec<_>>());
    page.steps(&verdict.steps);
    page.next(verdict);
    page.0
}

/// What to do, for a person at another machine, too.
pub(crate) fn steps(steps: &[Step]) -> String {
    let mut page = Page(String::new());
    page.steps(steps);
    page.0
}

fn told(finding: &Finding) -> String {
    let mark = if finding.level == Level::Failed { "! " } else { "" };
    let about = if finding.about.is_empty() { &finding.name } else { &finding.about };
    let next = finding.next.as_ref().map(|next| format!(" -> {next}")).unwrap_or_default();
    format!("{mark}{about}: {}{next}", finding.detail)
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    fn entry(&mut self, label: &str, text: &str) {
        for (number, line) in wrapped(text, WIDTH - 10).iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            self.line(&format!("{label:<9} {line}"));
        }
    }

    fn list(&mut self, label: &str, items: &[String]) {
        for (number, item) in items.iter().take(LINES_MAX).enumerate() {
            self.entry(if number == 0 { label } else { "" }, item);
        }
        if items.len() > LINES_MAX {
            self.entry("", &format!("and {} more (--json)", items.len() - LINES_MAX));
        }
    }

    fn members(&mut self, seen: &Observations) {
        let header = [
            "member", "address", "answers", "leader", "term", "applied", "revision", "db", "HashKV",
        ];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(seen.members.iter().map(|member| row(member, seen)));
        rows.extend(seen.strays.iter().map(|address| {
            let silence = address.silence.as_ref().map(ToString::to_string).unwrap_or_default();
            silent("?", &address.url, &silence)
        }));
        let mut widths = [0; 9];
        for row in &rows {
            // A silent member's reason runs over the columns to its right.
            for (width, cell) in
                widths.iter_mut().zip(row).take(if row[3].is_empty() { 2 } else { 9 })
            {
                *width = (*width).max(cell.chars().count());
            }
        }
        for row in &rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                // Writing to a string cannot fail.
                let _ = write!(line, "{cell:<width$}  ");
            }
            self.line(&line);
        }
        self.line("");
    }

    fn steps(&mut self, steps: &[Step]) {
        self.line("");
        for (number, step) in steps.iter().enumerate() {
            let on = step.on.as_ref().map(|on| format!("on {on}: ")).unwrap_or_default();
            let text = format!("{on}{}", step.text);
            for (line, text) in wrapped(&text, WIDTH - 4).iter().enumerate() {
                let label = if line == 0 { format!("{}.", number + 1) } else { String::new() };
                self.line(&format!("{label:<3} {text}"));
            }
            if let Some(command) = &step.command {
                // Never broken: it is copied.
                self.line(&format!("      {command}"));
            }
        }
    }

    /// The first step that can be typed.
    fn next(&mut self, verdict: &Verdict) {
        let typed = verdict.steps.iter().find_map(|step| Some((step, step.command.as_ref()?)));
        if let Some((step, command)) = typed {
            let on = step.on.as_ref().map(|on| format!(" (on {on})")).unwrap_or_default();
            self.line("");
            self.line(&format!("Next{on}: {command}"));
        }
    }
}

fn row(member: &Member, seen: &Observations) -> [String; 9] {
    let name = match member.name.as_str() {
        "" => hex_id(member.id),
        name => name.to_owned(),
    };
    let Some(answer) = &member.answer else {
        let asked = member.addresses.iter().find_map(|a| Some((a, a.silence.as_ref()?)));
        return match asked {
            Some((address, silence)) => silent(&name, &address.url, &silence.to_string()),
            None => silent(&name, "-", "it advertises no address"),
        };
    };
    let status = &answer.status;
    let leader = match status.leader {
        0 => "none".to_owned(),
        id if id == member.id => "itself".to_owned(),
        id => match seen.members.iter().find(|other| other.id == id && !other.name.is_empty()) {
            Some(leader) => leader.name.clone(),
            None => hex_id(id),
        },
    };
    [
        name,
        answer.address.clone(),
        format!("{} ms", answer.latency_ms),
        leader,
        status.raft_term.to_string(),
        status.raft_applied_index.to_string(),
        status.revision.to_string(),
        size(answer),
        answer.hashkv.as_ref().map_or_else(|_| "-".into(), |hash| format!("{:08x}", hash.hash)),
    ]
}

fn silent(name: &str, address: &str, reason: &str) -> [String; 9] {
    let mut row: [String; 9] = Default::default();
    row[0] = name.to_owned();
    row[1] = address.to_owned();
    row[2] = format!("NO: {reason}");
    row
}

/// `20.1 MiB`, and of which quota where etcd says.
fn size(answer: &Answer) -> String {
    let mebibytes = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
    match answer.status.db_quota_bytes {
        0 => mebibytes(answer.status.db_bytes),
        quota => {
            let percent = answer.status.db_bytes.saturating_mul(100) / quota;
            format!("{} ({percent} %)", mebibytes(answer.status.db_bytes))
        }
    }
}

/// Lines of at most `width` characters, broken between words.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole() {
        assert_eq!(wrapped("aa bb cc", 5), ["aa bb", "cc"]);
        assert_eq!(wrapped("a-very-long-word b", 4), ["a-very-long-word", "b"]);
        assert_eq!(wrapped("", 4), [""]);
    }
}
