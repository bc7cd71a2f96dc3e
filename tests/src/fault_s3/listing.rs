//! Falsified listings: what a store may answer to ListObjectsV2 and must not be believed.
//!
//! Works on the text of the answer, element by element, as servers write it: without comments,
//! with every element closed. Does not: parse XML in general.

use super::script::Tamper;

const OPEN: &str = "<Contents>";
const CLOSE: &str = "</Contents>";

/// The listing `text` with what `tamper` does to it.
pub(super) fn falsified(text: &str, tamper: Tamper) -> String {
    let entries = entries(text);
    match tamper {
        Tamper::Stale => without_newest(text, &entries),
        Tamper::Cut => {
            let kept = entries.len() / 2;
            let shorter = without(text, &entries[kept..]);
            replaced(&shorter, "IsTruncated", "")
        }
        Tamper::Loop => {
            let going_on = replaced(text, "IsTruncated", "<IsTruncated>true</IsTruncated>");
            let token = "<NextContinuationToken>again</NextContinuationToken></ListBucketResult>";
            going_on.replace("</ListBucketResult>", token)
        }
        Tamper::Twice => match entries.first() {
            Some(first) => text.replacen(first, &format!("{first}{first}"), 1),
            None => text.to_owned(),
        },
        Tamper::Torn => text.chars().take(text.chars().count() / 2).collect(),
    }
}

fn entries(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let (Some(from), Some(to)) = (rest.find(OPEN), rest.find(CLOSE)) {
        found.push(&rest[from..to + CLOSE.len()]);
        rest = &rest[to + CLOSE.len()..];
    }
    found
}

fn without(text: &str, entries: &[&str]) -> String {
    entries.iter().fold(text.to_owned(), |text, entry| text.replacen(entry, "", 1))
}

/// Names begin with the time, so the last stem is the newest backup: both of its objects go.
fn without_newest(text: &str, entries: &[&str]) -> String {
    let key = |entry: &str| element(entry, "Key").unwrap_or_default().to_owned();
    let file = |key: &str| key.rsplit('/').next().unwrap_or_default().to_owned();
    // `time-run.suffix` and `time-run-revision.json`.
    let stem = |key: &str| {
        let file = file(key);
        let name = file.split('.').next().unwrap_or_default();
        name.split('-').take(2).collect::<Vec<_>>().join("-")
    };
    let Some(newest) = entries.iter().map(|e| stem(&key(e))).max() else {
        return text.to_owned();
    };
    let gone: Vec<&str> = entries.iter().filter(|e| stem(&key(e)) == newest).copied().collect();
    without(text, &gone)
}

/// The text of the first element of that name.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}

fn replaced(text: &str, name: &str, with: &str) -> String {
    match element(text, name) {
        Some(inner) => text.replacen(&format!("<{name}>{inner}</{name}>"), with, 1),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> String {
        let entry = |key: &str| format!("<Contents><Key>{key}</Key><Size>1</Size></Contents>");
        let keys = ["p/2026-a.age", "p/2026-a-7.json", "p/2026-b.age", "p/2026-b-9.json"];
        format!(
            "<ListBucketResult><IsTruncated>false</IsTruncated>{}</ListBucketResult>",
            keys.map(entry).concat()
        )
    }

    #[test]
    fn each_kind_of_lie() {
        let count = |text: &str| text.matches(OPEN).count();
        let stale = falsified(&page(), Tamper::Stale);
        assert!(count(&stale) == 2 && !stale.contains("2026-b"), "{stale}");
        let cut = falsified(&page(), Tamper::Cut);
        assert!(count(&cut) == 2 && !cut.contains("IsTruncated"), "{cut}");
        let looped = falsified(&page(), Tamper::Loop);
        assert!(looped.contains("<IsTruncated>true<") && looped.contains(">again<"), "{looped}");
        assert_eq!(count(&falsified(&page(), Tamper::Twice)), 5);
        assert!(!falsified(&page(), Tamper::Torn).contains("</ListBucketResult>"));
        assert_eq!(element("<A><B>x</B></A>", "B"), Some("x"));
    }
}
