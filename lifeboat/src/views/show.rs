//! `lifeboat show`: everything about one backup, and what to type to bring it back.

use super::{age, bytes, choose, plural, print, print_json, read_catalogue};
use crate::cli::{Common, ShowArgs};
use crate::error::Error;
use catalogue::{Backup, Catalogue, Depth, Drilled, Manifest, State};
use contract::Exit;
use contract::facts::{Adopted, TimeFrom};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// So many resources of Kubernetes are counted on the page; the others are in the JSON.
const RESOURCES_MAX: usize = 6;

/// The JSON of `lifeboat show --json`.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    version: u32,
    name: &'a str,
    manifest: Option<&'a Manifest>,
    copies: Vec<Copy<'a>>,
}

#[derive(Debug, Serialize)]
struct Copy<'a> {
    destination: &'a str,
    location: &'a str,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<&'a str>,
    manifest_key: &'a str,
    manifest_sha256: &'a str,
    /// The key of whoever is trusted and signed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signed_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proven_at: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drill: Option<&'a Drilled>,
    /// When a scrub or a drill last read all of it and found nothing wrong, and how deep.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_at: Option<jiff::Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified_depth: Option<Depth>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
}

pub(crate) fn show(common: &Common, args: &ShowArgs) -> Result<Exit, Error> {
    let catalogue = read_catalogue(common)?;
    let name = choose(&catalogue, &args.backup)?;
    let copies: Vec<(&str, &Backup)> =
        catalogue.copies().filter(|(_, backup)| backup.name == name).collect();
    // A trusted copy describes the backup better than a broken one.
    let best = copies.iter().find(|(_, b)| b.state.is_trusted()).or(copies.first());
    let manifest = best.and_then(|(_, backup)| backup.manifest.as_ref());
    let shown = Shown {
        version: 1,
        name: name.as_str(),
        manifest,
        copies: copies.iter().map(|(d, b)| copy(&catalogue, d, b)).collect(),
    };
    match args.output.json {
        true => print_json(&shown)?,
        false => print(&page(&shown, &catalogue))?,
    }
    Ok(Exit::Ok)
}

fn copy<'a>(catalogue: &'a Catalogue, destination: &'a str, backup: &'a Backup) -> Copy<'a> {
    let place = catalogue.destinations.iter().find(|d| d.destination == destination);
    Copy {
        destination,
        location: place.map_or("", |d| d.location.as_str()),
        state: backup.state,
        problem: backup.problem.as_deref(),
        manifest_key: &backup.manifest_key,
        manifest_sha256: &backup.manifest_sha256,
        signed_by: backup.signed.as_ref().map(|signed| signed.key.as_str()),
        proven_at: backup.proven_at,
        drill: backup.drill.as_ref(),
        verified_at: backup.verified.map(|looked| looked.at),
        verified_depth: backup.verified.map(|looked| looked.depth),
        notes: &backup.notes,
    }
}

fn page(shown: &Shown<'_>, catalogue: &Catalogue) -> String {
    let mut page = Page(String::new());
    page.line("backup", shown.name);
    if let Some(manifest) = shown.manifest {
        describe(&mut page, manifest, catalogue);
    }
    if let Some(key) = shown.copies.iter().find_map(|copy| copy.signed_by) {
        page.line("signed by", key);
    }
    for copy in &shown.copies {
        let problem = copy.problem.map(|p| format!(": {p}")).unwrap_or_default();
        page.line(
            "copy",
            format!("{} {} ({}{problem})", copy.destination, copy.location, copy.state.name()),
        );
        if let Some(drill) = copy.drill {
            page.line("", drilled(drill, copy.proven_at, catalogue));
        }
        // A drill has told that already.
        if let (Some(at), Some(depth)) = (copy.verified_at, copy.verified_depth)
            && depth.is_of_scrub()
        {
            let ago = age(catalogue.read_at.as_second() - at.as_second());
            page.line("", format!("read back {ago} ago: whole ({})", depth.name()));
        }
        copy.notes.iter().for_each(|note| page.line("", note));
    }
    page.line("bring back", format!("lifeboat fetch {} -o snapshot.db", shown.name));
    let whole = shown.copies.iter().find(|copy| copy.state.is_usable());
    if let (Some(manifest), Some(copy)) = (shown.manifest, whole) {
        page.line("by hand", by_hand(manifest, copy));
    }
    page.0
}

fn describe(page: &mut Page, manifest: &Manifest, catalogue: &Catalogue) {
    let (etcd, snapshot) = (&manifest.etcd, &manifest.snapshot);
    let seconds = catalogue.read_at.as_second() - manifest.taken_at.as_second();
    let id = manifest.cluster_id().map_or("etcd id not known".into(), |id| format!("etcd id {id}"));
    page.line("cluster", format!("{} ({id})", manifest.cluster));
    page.line("taken", format!("{} ({} ago)", manifest.taken_at, age(seconds)));
    match &etcd.adopted {
        Some(adopted) => adoption(page, adopted),
        None => {
            let member = name_of(&etcd.member_name, &etcd.member_id);
            page.line("etcd", format!("{}, from member {member}", etcd.etcd_version));
        }
    }
    for member in &etcd.members {
        let learner = if member.learner { " (learner)" } else { "" };
        let urls = member.peer_urls.join(",");
        page.line("member", format!("{} {urls}{learner}", name_of(&member.name, &member.id)));
    }
    for alarm in &etcd.alarms {
        page.line("alarm", format!("{} of member {}", alarm.alarm, alarm.member_id));
    }
    for reason in &etcd.degraded {
        page.line("degraded", reason);
    }
    let barrier = match etcd.adopted {
        Some(_) => String::new(),
        None => format!(" (barrier {})", etcd.revision_barrier),
    };
    page.line("revision", format!("{}{barrier}", snapshot.revision));
    let keys = i64::try_from(snapshot.total_key_live).unwrap_or(i64::MAX);
    page.line("keys", format!("{} live, {} records", keys, snapshot.total_key_records));
    if !snapshot.kubernetes.is_empty() {
        page.line("kubernetes", resources(&snapshot.kubernetes));
    }
    page.line("status hash", format!("{:x}", snapshot.status_hash));
    for (name, keys) in &snapshot.encryption_at_rest {
        page.line(
            "encrypted",
            format!("{keys} keys by Kubernetes, which needs {name} to read them"),
        );
    }
    if snapshot.auth_enabled == Some(true) {
        page.line("auth", "etcd asks for a user and a password");
    }
    hashkv(page, manifest);
    for step in &manifest.steps {
        page.line(
            &step.stage,
            format!("{} {}", bytes(step.output.bytes), short(&step.output.sha256)),
        );
    }
    for recipient in &manifest.recipients {
        page.line("opens with", recipient);
    }
}

/// The resources with the most keys, those first.
fn resources(keys: &BTreeMap<String, u64>) -> String {
    let mut all: Vec<(&String, &u64)> = keys.iter().collect();
    all.sort_by_key(|(_, count)| Reverse(**count));
    let shown = all.iter().take(RESOURCES_MAX).map(|(name, count)| format!("{name} {count}"));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if all.len() > RESOURCES_MAX {
        // Writing to a string cannot fail.
        let _ = write!(text, ", and {} more resources (--json)", all.len() - RESOURCES_MAX);
    }
    text
}

/// Where a backup came from that nobody captured.
fn adoption(page: &mut Page, adopted: &Adopted) {
    let wrapped = match adopted.wrapped.as_slice() {
        [] => String::new(),
        all => format!(" ({})", all.join(" > ")),
    };
    page.line("adopted", format!("from the file {}{wrapped}", adopted.file));
    let time = match adopted.time_from {
        TimeFrom::Given => "the time is as somebody said",
        TimeFrom::ZipEntry => "the time is that of the entry in the zip file",
        TimeFrom::FileTime => "the time is that of the file",
    };
    page.line("", time);
    if !adopted.has_trailer {
        page.line("", "a copied member/snap/db: what was only in its WAL is missing");
    }
}

fn hashkv(page: &mut Page, manifest: &Manifest) {
    let snapshot = &manifest.snapshot;
    if manifest.etcd.adopted.is_some() {
        return page.line("HashKV", "no member was asked");
    }
    let agree = snapshot.hashkv.iter().filter(|v| v.agrees).count();
    let asked = i64::try_from(snapshot.hashkv.len()).unwrap_or(i64::MAX);
    page.line("HashKV", format!("agrees with {agree} of {}", plural(asked, "member")));
    for verdict in &snapshot.hashkv {
        let name = name_of(&verdict.member_name, &verdict.member_id);
        if let Some(why) = &verdict.not_compared {
            page.line("", format!("{name} was not compared: {why}"));
        }
        if verdict.computed.is_some() {
            page.line("", format!("{name} HOLDS OTHER DATA than the majority: replace it"));
        }
    }
}

/// What the last drill of a copy found, and when one proved it, where that was another one.
fn drilled(drill: &Drilled, proven_at: Option<jiff::Timestamp>, catalogue: &Catalogue) -> String {
    let ago = |at: jiff::Timestamp| age(catalogue.read_at.as_second() - at.as_second());
    let with = match (&drill.etcd_version, drill.depth) {
        (Some(version), Depth::ThreeMembers) => format!("three members of etcd {version}"),
        (Some(version), _) => format!("etcd {version}"),
        (None, _) => "no etcd started".to_owned(),
    };
    let said = format!("drill {} ago: {} ({with})", ago(drill.at), drill.finding.name());
    match proven_at.filter(|at| *at != drill.at) {
        Some(at) => format!("{said}; proven {} ago", ago(at)),
        None => said,
    }
}

/// The same with standard tools alone: there is no lock-in.
fn by_hand(manifest: &Manifest, copy: &Copy<'_>) -> String {
    let key = manifest.artifact_key();
    let mut text = match copy.location.strip_prefix("file://") {
        Some(directory) => format!("cat {}", quoted(&format!("{directory}/{key}"))),
        None => from_bucket(copy.location, &key),
    };
    for step in manifest.steps.iter().rev() {
        text += match step.stage.as_str() {
            "encrypt" => " | age -d -i IDENTITY",
            "compress" => " | zstd -d",
            _ => "",
        };
    }
    text + " > snapshot.db"
}

/// A location in a bucket is `s3://BUCKET/PREFIX/`, and ` at URL` for a store that is not Amazon's.
fn from_bucket(location: &str, key: &str) -> String {
    let (place, endpoint) = location.split_once(" at ").unwrap_or((location, ""));
    let object = quoted(&format!("{}/{key}", place.trim_end_matches('/')));
    match endpoint {
        "" => format!("aws s3 cp {object} -"),
        url => format!("aws s3 cp {object} - --endpoint-url {}", quoted(url)),
    }
}

/// As one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/.:_-%@+=".contains(c);
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

fn name_of(name: &str, id: &str) -> String {
    if name.is_empty() { id.to_owned() } else { format!("{name} ({id})") }
}

fn short(sha256: &str) -> &str {
    sha256.get(..16).unwrap_or(sha256)
}

struct Page(String);

impl Page {
    fn line(&mut self, label: &str, text: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{label:<12} {text}");
    }
}
