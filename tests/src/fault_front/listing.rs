//! Falsified listings: what a store may answer when it is asked for its objects, and must not be
//! believed.
//!
//! Works on the text of the answer, element by element, as servers write it: without comments,
//! with every element closed; or on JSON as JSON. Does not: parse XML in general.

use super::protocol::Protocol;
use super::script::Tamper;
use serde_json::Value;

/// The listing `text` with what `tamper` does to it.
pub(super) fn falsified(protocol: Protocol, text: &str, tamper: Tamper) -> String {
    match (protocol, tamper) {
        (_, Tamper::Torn) => text.chars().take(text.chars().count() / 2).collect(),
        (Protocol::S3, _) => S3.falsified(text, tamper),
        (Protocol::Azure, _) => AZURE.falsified(text, tamper),
        (Protocol::Gcs, _) => match serde_json::from_str(text) {
            Ok(page) => in_json(page, tamper).to_string(),
            Err(_) => text.to_owned(),
        },
    }
}

/// The names of elements.
struct Xml {
    open: &'static str,
    close: &'static str,
    name: &'static str,
    /// What says whether it goes on, and what it says then.
    more: &'static str,
    goes_on: &'static str,
    end: &'static str,
}

const S3: Xml = Xml {
    open: "<Contents>",
    close: "</Contents>",
    name: "Key",
    more: "IsTruncated",
    goes_on: "<IsTruncated>true</IsTruncated><NextContinuationToken>again</NextContinuationToken>",
    end: "</ListBucketResult>",
};

const AZURE: Xml = Xml {
    open: "<Blob>",
    close: "</Blob>",
    name: "Name",
    more: "NextMarker",
    goes_on: "<NextMarker>again</NextMarker>",
    end: "</EnumerationResults>",
};

impl Xml {
    fn falsified(&self, text: &str, tamper: Tamper) -> String {
        let entries = self.entries(text);
        match tamper {
            Tamper::Stale => {
                let names: Vec<&str> = entries.iter().map(|e| self.name_of(e)).collect();
                let gone = of_newest(&names);
                let is_gone = |entry: &&&str| gone.contains(&self.name_of(entry));
                let gone: Vec<&str> = entries.iter().filter(is_gone).copied().collect();
                without(text, &gone)
            }
            Tamper::Cut => {
                let kept = entries.len() / 2;
                self.saying(&without(text, &entries[kept..]), "")
            }
            Tamper::Loop => self.saying(text, self.goes_on),
            Tamper::Twice => match entries.first() {
                Some(first) => text.replacen(first, &format!("{first}{first}"), 1),
                None => text.to_owned(),
            },
            Tamper::Torn => text.to_owned(),
        }
    }

    fn name_of<'a>(&self, entry: &'a str) -> &'a str {
        element(entry, self.name).unwrap_or_default()
    }

    fn entries<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let mut found = Vec::new();
        let mut rest = text;
        while let (Some(from), Some(to)) = (rest.find(self.open), rest.find(self.close)) {
            found.push(&rest[from..to + self.close.len()]);
            rest = &rest[to + self.close.len()..];
        }
        found
    }

    /// The same, saying this about whether it goes on.
    fn saying(&self, text: &str, goes_on: &str) -> String {
        let inner = element(text, self.more).unwrap_or_default();
        let said = format!("<{0}>{inner}</{0}>", self.more);
        let silent = text.replacen(&said, "", 1).replacen(&format!("<{}/>", self.more), "", 1);
        let silent = silent.replacen(&format!("<{} />", self.more), "", 1);
        silent.replace(self.end, &format!("{goes_on}{}", self.end))
    }
}

/// Google's listing says nothing when it is whole: one that is cut looks like a shorter one.
fn in_json(mut page: Value, tamper: Tamper) -> Value {
    let Some(items) = page["items"].as_array_mut() else { return page };
    match tamper {
        Tamper::Stale => {
            let names: Vec<String> =
                items.iter().map(|i| i["name"].as_str().unwrap_or_default().to_owned()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let gone = of_newest(&names);
            items.retain(|item| !item["name"].as_str().is_some_and(|name| gone.contains(&name)));
        }
        Tamper::Cut => {
            items.truncate(items.len() / 2);
            if let Some(page) = page.as_object_mut() {
                page.remove("nextPageToken");
            }
        }
        Tamper::Loop => page["nextPageToken"] = "again".into(),
        Tamper::Twice => {
            if let Some(first) = items.first().cloned() {
                items.insert(0, first);
            }
        }
        Tamper::Torn => {}
    }
    page
}

fn without(text: &str, entries: &[&str]) -> String {
    entries.iter().fold(text.to_owned(), |text, entry| text.replacen(entry, "", 1))
}

/// Names begin with the time, so the last stem is the newest backup: both of its objects.
fn of_newest<'a>(names: &[&'a str]) -> Vec<&'a str> {
    // `time-run.suffix` and `time-run-revision.json`.
    let stem = |key: &str| {
        let file = key.rsplit('/').next().unwrap_or_default();
        let name = file.split('.').next().unwrap_or_default();
        name.split('-').take(2).collect::<Vec<_>>().join("-")
    };
    let newest = names.iter().map(|name| stem(name)).max();
    names.iter().filter(|name| Some(stem(name)) == newest).copied().collect()
}

/// The text of the first element of that name.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 4] = ["p/2026-a.age", "p/2026-a-7.json", "p/2026-b.age", "p/2026-b-9.json"];

    fn page(protocol: Protocol) -> String {
        let (xml, rest) = match protocol {
            Protocol::S3 => (S3, "<IsTruncated>false</IsTruncated>"),
            Protocol::Azure => (AZURE, "<NextMarker />"),
            Protocol::Gcs => {
                let items = KEYS.map(|key| serde_json::json!({ "name": key }));
                return serde_json::json!({ "items": items }).to_string();
            }
        };
        let entry = |key: &str| format!("{}<{2}>{key}</{2}>{}", xml.open, xml.close, xml.name);
        format!("<Root>{}{rest}{}", KEYS.map(entry).concat(), xml.end)
    }

    #[test]
    fn each_kind_of_lie_in_each_language() {
        for protocol in [Protocol::S3, Protocol::Azure, Protocol::Gcs] {
            let lie = |tamper| falsified(protocol, &page(protocol), tamper);
            let count = |text: &str| text.matches("p/2026").count();
            let stale = lie(Tamper::Stale);
            assert!(count(&stale) == 2 && !stale.contains("2026-b"), "{stale}");
            let cut = lie(Tamper::Cut);
            assert!(count(&cut) == 2, "{cut}");
            assert!(!cut.contains("IsTruncated") && !cut.contains("NextMarker"), "{cut}");
            let looped = lie(Tamper::Loop);
            assert!(count(&looped) == 4 && looped.contains("again"), "{looped}");
            assert_eq!(count(&lie(Tamper::Twice)), 5, "{protocol:?}");
            assert!(lie(Tamper::Torn).len() < page(protocol).len());
        }
        assert_eq!(element("<A><B>x</B></A>", "B"), Some("x"));
    }
}
