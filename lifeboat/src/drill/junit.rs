//! The evidence as JUnit XML, which every CI server shows: a suite for each copy, a case for each
//! check.

use super::report::{Drilled, Report, Result};
use contract::drill::DrillCheck;

pub(super) fn page(report: &Report) -> String {
    let suites: String = report.drills.iter().map(|one| suite(report, one)).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\">\n{suites}</testsuites>\n",
        quoted(&format!("lifeboat drill {}", report.cluster))
    )
}

fn suite(report: &Report, one: &Drilled) -> String {
    let class = format!("{}.{}", report.cluster, one.destination);
    let mut cases: Vec<String> = one.checks.iter().map(|check| case(&class, check)).collect();
    let failed = one.checks.iter().filter(|check| !check.passed).count();
    let (mut failures, mut errors) = (failed, 0);
    if failed == 0
        && let Some(cause) = &one.cause
    {
        let element = match one.result {
            Result::Suspect => "failure",
            _ => "error",
        };
        (failures, errors) = if element == "failure" { (1, 0) } else { (0, 1) };
        let (name, text) = (quoted(&cause.stage), quoted(&one.summary()));
        cases.push(format!(
            "    <testcase classname=\"{}\" name=\"{name}\"><{element} message=\"{text}\"/></testcase>\n",
            quoted(&class)
        ));
    }
    let ms: u64 = one.phases_ms.values().sum();
    format!(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" \
         time=\"{}.{:03}\" timestamp=\"{}\">\n{}  </testsuite>\n",
        quoted(&format!("{} from {}", one.backup, one.destination)),
        cases.len(),
        ms / 1000,
        ms % 1000,
        one.at,
        cases.concat()
    )
}

fn case(class: &str, check: &DrillCheck) -> String {
    let (class, name) = (quoted(class), quoted(&check.name));
    if check.passed {
        return format!("    <testcase classname=\"{class}\" name=\"{name}\"/>\n");
    }
    let text = quoted(&format!("expected {}, found {}", check.expected, check.found));
    format!(
        "    <testcase classname=\"{class}\" name=\"{name}\"><failure message=\"{text}\"/></testcase>\n"
    )
}

/// In an attribute. Characters that XML cannot hold at all have no place in it.
fn quoted(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\n' | '\t' => safe.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_somebody_elses_is_markup() {
        assert_eq!(quoted("<a b=\"c\">&\u{1b}[2J\n"), "&lt;a b=&quot;c&quot;&gt;&amp;[2J ");
    }
}
