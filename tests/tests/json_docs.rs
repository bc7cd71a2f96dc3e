//! docs/json.md and what the commands really print: every field that is printed stands there, and
//! every field that stands there is printed, unless it is marked as one that can be missing.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{Site, shipped, with_program};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One row of a table.
#[derive(Debug)]
struct Field {
    path: String,
    may_be_missing: bool,
    /// Described elsewhere, or in words: what is below it is not looked at.
    is_closed: bool,
    types: String,
}

/// The fields under each heading of the page.
fn documented() -> BTreeMap<String, Vec<Field>> {
    let page = include_str!("../../docs/json.md");
    let mut sections = BTreeMap::new();
    for section in page.split("\n## ").skip(1) {
        let (title, text) = section.split_once('\n').unwrap();
        let fields = text.lines().filter_map(field).collect();
        sections.insert(title.trim().to_owned(), fields);
    }
    sections
}

fn field(row: &str) -> Option<Field> {
    let mut columns = row.strip_prefix("| `")?.splitn(3, " | ");
    let name = columns.next()?.trim_end_matches('`');
    let (types, meaning) = (columns.next()?, columns.next()?);
    Some(Field {
        path: name.trim_end_matches('?').to_owned(),
        may_be_missing: name.ends_with('?'),
        is_closed: types.starts_with('[') || meaning.contains(": `") || meaning.starts_with('`'),
        types: types.to_owned(),
    })
}

/// What a command printed, as paths with the types of their values.
#[derive(Debug, Default)]
struct Seen(BTreeMap<String, BTreeSet<&'static str>>);

impl Seen {
    fn take(&mut self, path: &str, value: &Value, fields: &[Field]) {
        let known = fields.iter().find(|field| field.path == path);
        if !path.is_empty() {
            self.0.entry(path.to_owned()).or_default().insert(type_of(value));
        }
        if known.is_some_and(|field| field.is_closed) {
            return;
        }
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    let below = join(path, key);
                    let star = join(path, "*");
                    let is_map = fields
                        .iter()
                        .any(|f| f.path == star || f.path.starts_with(&format!("{star}.")));
                    self.take(if is_map { &star } else { &below }, value, fields);
                }
            }
            Value::Array(all) => {
                all.iter().for_each(|value| self.take(&format!("{path}[]"), value, fields));
            }
            _ => {}
        }
    }

    /// What is printed and not documented, or the other way round.
    fn compare(&self, title: &str, fields: &[Field], problems: &mut Vec<String>) {
        let is_list_of =
            |path: &str| fields.iter().any(|f| f.path.starts_with(&format!("{path}[")));
        let is_parent = |path: &str| fields.iter().any(|f| f.path.starts_with(&format!("{path}.")));
        for (path, types) in &self.0 {
            match fields.iter().find(|field| field.path == *path) {
                Some(field) => {
                    let wrong = types.iter().find(|found| !allows(&field.types, found));
                    problems.extend(wrong.map(|found| format!("{title}: {path} is {found}")));
                }
                None if is_list_of(path) || is_parent(path) => {}
                None if path.ends_with("[]") && allows_lists(fields, path) => {}
                None => problems.push(format!("{title}: {path} is not in docs/json.md")),
            }
        }
        for field in fields.iter().filter(|field| !field.may_be_missing) {
            let above: Vec<&str> = field.path.split_inclusive(['.', ']']).collect();
            // Below something that may be missing, that decides.
            let optional = (1..above.len()).any(|n| {
                let path = above[..n].concat();
                let path = path.trim_end_matches('.');
                fields
                    .iter()
                    .any(|f| f.path == path && f.may_be_missing && !self.0.contains_key(path))
            });
            if !optional && !self.0.contains_key(&field.path) && !self.is_empty_list(&field.path) {
                problems.push(format!("{title}: {} is documented and was not printed", field.path));
            }
        }
    }

    /// A list that was there and had nothing in it.
    fn is_empty_list(&self, path: &str) -> bool {
        let lists = path.match_indices("[]").map(|(at, _)| &path[..at]);
        lists
            .into_iter()
            .any(|list| self.0.contains_key(list) && !self.0.contains_key(&format!("{list}[]")))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn allows(types: &str, found: &str) -> bool {
    match found {
        "string" => types.contains("string") || types.contains("time"),
        "object" => types.contains("object") || types.starts_with('['),
        other => types.contains(other),
    }
}

fn allows_lists(fields: &[Field], path: &str) -> bool {
    let list = path.trim_end_matches("[]");
    fields.iter().any(|field| field.path == list && field.types.starts_with("list"))
}

/// What every command printed, by the heading of the page.
type Printed = BTreeMap<&'static str, Vec<Value>>;

#[test]
fn every_field_that_is_printed_is_documented_and_the_other_way_round() {
    let Some(printed) = everything() else { return };
    let sections = documented();
    let mut problems = Vec::new();
    for (title, values) in &printed {
        let fields = &sections.get(*title).unwrap_or_else(|| panic!("no section {title}"));
        assert!(fields.len() > 4, "{title} has no table");
        let mut seen = Seen::default();
        values.iter().for_each(|value| seen.take("", value, fields));
        seen.compare(title, fields, &mut problems);
    }
    for title in sections.keys() {
        if !printed.contains_key(title.as_str()) {
            problems.push(format!("{title} is documented, and this test does not run it"));
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

fn everything() -> Option<Printed> {
    let cluster = ClusterSpec::new(&or_skip("json_docs", Etcd::newest())?).start().unwrap();
    let _ = cluster
        .load(&LoadSpec { objects: 40, secrets_encrypted: true, ..LoadSpec::default() })
        .unwrap();
    let mut site = Site::new(&cluster).unwrap();
    let mut printed = Printed::new();
    let mut add = |title, value| printed.entry(title).or_default().push(value);
    let run = "lifeboat run --json";
    for _ in 0..3 {
        add(run, site.lifeboat(&["run", "--json"]).code(0).json());
    }
    let plan = "lifeboat run --dry-run --json";
    add(plan, site.lifeboat(&["run", "--dry-run", "--json"]).code(0).json());
    site.configure(&with_program(&shipped(), ("own", ".x"), "encrypt", &["cat"])).unwrap();
    add(plan, site.lifeboat(&["run", "--dry-run", "--json"]).code(0).json());
    site.configure(&shipped()).unwrap();
    let check = "lifeboat check --json";
    add(check, site.lifeboat(&["check", "--json"]).code(0).json());
    restore(&site, &mut add);
    drill(&cluster, &site, &mut add);
    let _ = site.lifeboat(&["fetch", "-o", "back.db"]).code(0);
    adopt(&cluster, &site, &mut add);
    let verify = site.program("lifeboat-verify", &["--json", "back.db"]).code(0).json();
    add("lifeboat-verify --json FILE", verify);
    damage_and_look(&mut site, &mut add);
    copies(&site, &mut add);
    let check = "lifeboat check --json";
    add(check, site.lifeboat(&["check", "--json"]).json());
    let doctor = "lifeboat doctor --json";
    add(doctor, site.lifeboat(&["doctor", "--json"]).code(0).json());
    site.set("LIFEBOAT__CAPTURE__ENDPOINTS", "http://127.0.0.1:1");
    add(doctor, site.lifeboat(&["doctor", "--json"]).code(10).json());
    add(check, site.lifeboat(&["check", "--json"]).json());
    add(run, site.lifeboat(&["run", "--json"]).code(10).json());
    add(check, site.lifeboat(&["check", "--json"]).code(10).json());
    Some(printed)
}

/// A file that becomes a backup, one that is one already, and one that is none.
fn adopt(cluster: &Cluster, site: &Site, add: &mut impl FnMut(&'static str, Value)) {
    let file = site.path("other.db");
    let _ = cluster.etcdctl(&["put", "one", "more"]).unwrap();
    let _ = cluster.etcdctl_at(0, &["snapshot", "save", file.to_str().unwrap()]).unwrap();
    for arguments in [&["--dry-run", "other.db"][..], &["back.db", "other.db", "pipeline.toml"]] {
        let adopted = site.lifeboat(&[&["adopt", "--json"], arguments].concat());
        add("lifeboat adopt --json", adopted.json());
    }
}

/// With everything that is not always there: a raised revision, something moved aside, other members.
fn restore(site: &Site, add: &mut impl FnMut(&'static str, Value)) {
    durable::create_private_dir(&site.path("restored")).unwrap();
    let two = ["--initial-cluster", "m1=http://h1:2380,m2=http://h2:2380"];
    let one = ["restore", "--json", "--member", "m1", "--data-dir", "restored/m1"];
    let title = "lifeboat restore --json";
    add(title, site.lifeboat(&[&one[..], &two].concat()).code(0).json());
    let again = ["--replace", "--wal-dir", "restored/wal", "--flavour", "systemd", "--no-bump"];
    add(title, site.lifeboat(&[&one[..], &again].concat()).code(0).json());
    let undo = ["restore", "--undo", "--json", "--data-dir", "restored/m1"];
    let undo = [&undo[..], &["--wal-dir", "restored/wal"]].concat();
    add("lifeboat restore --undo --json", site.lifeboat(&undo).code(0).json());
    for flavour in ["kubeadm", "k3s"] {
        let plan = ["restore", "--plan", "--format", "json", "--flavour", flavour];
        let plan = site.lifeboat(&plan).code(0).json();
        add("lifeboat restore --plan --format json", plan);
    }
}

/// One that proves, one without etcd, and one that cannot be made.
fn drill(cluster: &Cluster, site: &Site, add: &mut impl FnMut(&'static str, Value)) {
    let etcd = cluster.version().etcd.to_str().unwrap();
    let _ = site.lifeboat(&["keygen", "keys/other.txt"]).code(0);
    for (arguments, code) in [
        (&["--each-destination", "--etcd", etcd][..], 0),
        (&["--native-only"], 0),
        (&["--native-only", "--identity", "keys/other.txt"], 21),
    ] {
        let drilled = site.lifeboat(&[&["drill", "--json"], arguments].concat());
        add("lifeboat drill --json", drilled.code(code).json());
    }
}

/// Broken and orphaned backups, and a destination that cannot be read.
fn damage_and_look(site: &mut Site, add: &mut impl FnMut(&'static str, Value)) {
    let newest = site.objects("region_b", ".age").pop().unwrap();
    let oldest = site.objects("region_b", ".json").remove(0);
    durable::remove_file(&newest).unwrap();
    durable::remove_file(&oldest).unwrap();
    look(site, add);
    site.set("LIFEBOAT__PRUNE__LAST", "1");
    site.set("LIFEBOAT__PRUNE__MIN_KEEP", "1");
    for rule in ["HOURLY", "DAILY", "WEEKLY"] {
        site.set(&format!("LIFEBOAT__PRUNE__{rule}"), "0");
    }
    let prune = site.lifeboat(&["prune", "--dry-run", "--json", "--allow-large-removal"]);
    add("lifeboat-prune --json", prune.code(0).json());
    let moved = site.path("backups/moved");
    std::fs::rename(site.path("backups/region-b"), &moved).unwrap();
    std::fs::write(site.path("backups/region-b"), b"").unwrap();
    look(site, add);
    add("lifeboat sync --json", site.lifeboat(&["sync", "--json"]).json());
    add("lifeboat scrub --json", site.lifeboat(&["scrub", "--json", "--newest", "1"]).json());
    durable::remove_file(&site.path("backups/region-b")).unwrap();
    std::fs::rename(&moved, site.path("backups/region-b")).unwrap();
}

/// Copies that are lacking, damaged, and beyond repair.
fn copies(site: &Site, add: &mut impl FnMut(&'static str, Value)) {
    let (sync, scrub) = ("lifeboat sync --json", "lifeboat scrub --json");
    add(sync, site.lifeboat(&["sync", "--json", "--dry-run"]).json());
    add(sync, site.lifeboat(&["sync", "--json", "--all"]).code(0).json());
    let artifacts = site.objects("region_b", ".age");
    std::fs::write(&artifacts[0], b"cut").unwrap();
    add(scrub, site.lifeboat(&["scrub", "--json"]).code(0).json());
    add("lifeboat-catalogue", site.program("lifeboat-catalogue", &[]).code(0).json());
    std::fs::write(&artifacts[1], b"cut").unwrap();
    std::fs::write(&site.objects("region_a", ".age")[1], b"cut").unwrap();
    add(scrub, site.lifeboat(&["scrub", "--json"]).code(20).json());
    add(sync, site.lifeboat(&["sync", "--json"]).code(40).json());
    look(site, add);
}

fn look(site: &Site, add: &mut impl FnMut(&'static str, Value)) {
    add("lifeboat list --json", site.lifeboat(&["list", "--json"]).code(0).json());
    add("lifeboat status --json", site.lifeboat(&["status", "--json"]).json());
    add("lifeboat show --json", site.lifeboat(&["show", "--json"]).code(0).json());
    add("lifeboat-catalogue", site.program("lifeboat-catalogue", &[]).code(0).json());
}
