//! Versions of etcd: whether they are known here, fit together, and are free of the faults that
//! damage data silently.
//!
//! The faults are those of etcd's own changelogs that no look at the bytes finds for certain:
//! data inconsistency (issues 13766, 14733 and 11652).

use contract::{Exit, Finding};

/// What this program was tested with.
const OLDEST: (u64, u64) = (3, 4);
const NEWEST: (u64, u64) = (3, 7);

/// Major, minor and patch.
pub type Version = (u64, u64, u64);

/// From and to which version, what is wrong, and where it is mended.
const FAULTS: [(Version, Version, &str, &str); 3] = [
    ((3, 4, 0), (3, 4, 7), "may lose the index of an authentication change and diverge", "3.4.45"),
    ((3, 5, 0), (3, 5, 2), "may silently miss writes after a crash", "3.5.33"),
    ((3, 5, 3), (3, 5, 5), "may apply writes twice after a crash during a defrag", "3.5.33"),
];

/// What there is to say about the versions of all members.
#[must_use]
pub fn look(versions: &[String]) -> Vec<Finding> {
    let mut distinct: Vec<&str> = versions.iter().map(String::as_str).collect();
    distinct.sort_unstable();
    distinct.dedup();
    let mut findings: Vec<Finding> = distinct.iter().filter_map(|text| one(text)).collect();
    if distinct.len() > 1 {
        let detail = format!("the members run different versions: {}", distinct.join(", "));
        findings.push(Finding::warning("version", detail, "finish the upgrade, then check again"));
    }
    if findings.is_empty() {
        findings.push(Finding::good("version", format!("etcd {}", distinct.join(", "))));
    }
    findings
}

fn one(text: &str) -> Option<Finding> {
    let Some(version) = parse(text) else {
        let detail = format!("{text:?} is not a version of etcd");
        return Some(Finding::warning("version", detail, "check that the endpoint is etcd's own"));
    };
    let minor = (version.0, version.1);
    if minor < OLDEST {
        let detail = format!("etcd {text} is older than 3.4, the oldest version known here");
        return Some(Finding::bad("version", detail, Exit::Unsupported).next("upgrade etcd"));
    }
    if minor > NEWEST {
        let detail = format!("etcd {text} is newer than 3.7, the newest version known here");
        return Some(Finding::warning("version", detail, "upgrade Lifeboat"));
    }
    let fault = FAULTS.iter().find(|(from, to, ..)| (*from..=*to).contains(&version))?;
    let detail = format!("etcd {text} {}", fault.2);
    Some(Finding::warning("version", detail, format!("upgrade etcd to {} or later", fault.3)))
}

/// Major, minor and patch; `3.5.0-rc.1+git` counts as 3.5.0.
#[must_use]
pub fn parse(text: &str) -> Option<Version> {
    let plain = text.split(['-', '+']).next()?;
    let mut numbers = plain.split('.').map(str::parse::<u64>);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Level;

    #[test]
    fn faulty_and_unknown_versions_are_named() {
        let level = |text: &str| {
            let findings = look(&[text.to_owned()]);
            assert_eq!(findings.len(), 1, "{text}: {findings:?}");
            findings[0].level
        };
        for (text, expected) in [
            ("3.3.27", Level::Failed),
            ("3.4.7", Level::Warning),
            ("3.4.8", Level::Ok),
            ("3.5.0-rc.1", Level::Warning),
            ("3.5.2", Level::Warning),
            ("3.5.5", Level::Warning),
            ("3.5.6", Level::Ok),
            ("3.7.1", Level::Ok),
            ("3.8.0-alpha.0", Level::Warning),
            ("4.0.0", Level::Warning),
            ("three", Level::Warning),
        ] {
            assert_eq!(level(text), expected, "{text}");
        }
    }

    #[test]
    fn different_versions_are_a_warning() {
        let findings = look(&["3.5.30".into(), "3.6.14".into(), "3.6.14".into()]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].detail.contains("3.5.30, 3.6.14"), "{findings:?}");
    }
}
