//! Faults that come over the wire: a proxy before a real etcd lies about the snapshot, about the
//! members, and about the database itself.
//!
//! Each case is a whole `lifeboat run`. It ends with the code of the table and says who lied, about
//! what, and what to do next; what was stored before is as it was. Where another member can take
//! over, the run ends well, and the bytes that come back are proved.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]
#![allow(clippy::disallowed_methods, reason = "damage is done without care")]

use lifeboat_tests::lying_etcd::{
    Ending, HEADER, Lie, LyingEtcd, Reply, Tamper, Value, code, edit, rewrite,
};
use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{REGIONS, Ran, Site};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd};
use std::path::PathBuf;

/// Objects of a database of some 500 kB: several messages of a stream.
const SOME_MESSAGES: usize = 200;
/// A byte in the midst of that database, on the border of a sector.
const MIDDLE: u64 = 512 * 200;

/// One script, and how a run must end with it.
struct Case {
    name: &'static str,
    lies: Vec<Lie>,
    code: i32,
    words: Vec<&'static str>,
}

fn case(name: &'static str, lie: Lie, code: i32, words: &[&'static str]) -> Case {
    Case { name, lies: vec![lie], code, words: words.to_vec() }
}

fn stream(name: &'static str, tamper: Tamper, code: i32, word: &'static str) -> Case {
    case(name, Lie::Snapshot(tamper), code, &[word])
}

/// A cluster of one, the proxy before it, and a site that knows only the proxy and has one backup.
struct Stage {
    cluster: Cluster,
    etcd: LyingEtcd,
    site: Site,
}

impl Stage {
    fn set(test: &str) -> Option<Self> {
        let version = or_skip(test, Etcd::newest())?;
        let cluster = ClusterSpec::new(&version).start().unwrap();
        let _ = cluster.load(&LoadSpec::bulk(11, SOME_MESSAGES)).unwrap();
        let etcd = LyingEtcd::before(cluster.endpoint(0)).unwrap();
        let mut site = Site::new(&cluster).unwrap();
        site.set("ETCDCTL_ENDPOINTS", etcd.url());
        site.set("LIFEBOAT__CAPTURE__ENDPOINTS", etcd.url());
        site.set("LIFEBOAT__CAPTURE__STALL_TIMEOUT", "1s");
        let _ = site.lifeboat(&["run"]).code(0);
        site.assert_fetchable();
        Some(Stage { cluster, etcd, site })
    }

    /// Runs every case, and shows all that went wrong at once. `snapshots` is how many are asked
    /// for in a run that fails.
    fn play(&self, cases: Vec<Case>, snapshots: usize) {
        let mut wrong = Vec::new();
        for case in cases {
            let before = everything(&self.site);
            self.etcd.tell(case.lies);
            let ran = self.site.lifeboat(&["run"]);
            let mut problems = unlike(&ran, case.code, &case.words);
            if case.code != 0 {
                let asked = self.etcd.snapshots();
                if asked != snapshots {
                    problems.push(format!("{asked} snapshots were asked for, not {snapshots}"));
                }
                if before != everything(&self.site) {
                    problems.push("something was stored or removed".to_owned());
                }
            }
            if !problems.is_empty() {
                let said = format!("{}{}", ran.stdout, ran.stderr);
                wrong.push(format!("{}: {}\n{said}", case.name, problems.join(", ")));
            }
        }
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
        self.etcd.tell(Vec::new());
        let _ = self.site.lifeboat(&["run"]).code(0);
        self.site.assert_fetchable();
    }

    /// The same of the capture alone, where nothing but its order is at stake: it costs less.
    fn capture(&self, cases: Vec<Case>) {
        for case in cases {
            self.etcd.tell(case.lies);
            let ran = self.site.program("lifeboat-capture", &["-o", "out.db"]).code(case.code);
            for word in case.words.iter().chain(&[self.etcd.url(), "next: "]) {
                assert!(ran.stderr.contains(word), "{}: {word:?} is not in {ran:?}", case.name);
            }
            assert!(!self.site.path("out.db").exists(), "{}: an output appeared", case.name);
        }
    }

    fn newest_manifest(&self) -> serde_json::Value {
        self.site.lifeboat(&["show", "--json"]).code(0).json()["manifest"].clone()
    }
}

fn unlike(ran: &Ran, code: i32, words: &[&str]) -> Vec<String> {
    let mut problems = Vec::new();
    if ran.code != code {
        problems.push(format!("exit code {} and not {code}", ran.code));
    }
    let failed = if code == 0 { &[][..] } else { &["no backup was made", "next: "] };
    let unsaid = words.iter().chain(failed).filter(|word| !ran.stderr.contains(**word));
    problems.extend(unsaid.map(|word| format!("does not say {word:?}")));
    problems
}

fn everything(site: &Site) -> [Vec<PathBuf>; 2] {
    REGIONS.map(|region| site.objects(region, ""))
}

/// F15: a part of a database that by its length looks like a whole snapshot. F16: without a digest
/// that fits, bytes are captured once more, and then it is the end.
#[test]
fn f15_f16_i05_a_stream_that_is_no_whole_snapshot_is_captured_once_more_and_then_refused() {
    let Some(stage) = Stage::set("f15_f16") else { return };
    let cases = vec![
        stream("nothing", Tamper::After(0, Ending::Clean), 20, "without the digest"),
        stream("three messages", Tamper::After(3, Ending::Clean), 20, "before the end of the"),
        stream("half a database", Tamper::CutAt(MIDDLE), 20, "without the digest"),
        stream("half a page", Tamper::CutAt(MIDDLE + 17), 20, "no whole number of pages"),
        stream("no digest", Tamper::NoDigest, 20, "the stream ended without the digest"),
        stream("half a message", Tamper::CutInside(3), 20, "before the end of the database"),
        stream("two digests", Tamper::TwoDigests, 20, "the stream went on after the digest"),
        stream("half digests", Tamper::SplitDigest, 20, "came 16 bytes; expected a digest of 32"),
        stream("two snapshots", Tamper::Twice, 20, "the stream went on after the digest"),
        // In a run it is `verify` that compares the digest with the bytes.
        stream("a false digest", Tamper::CutBeforeFalseDigest(MIDDLE), 20, "failed in verify"),
        stream("another digest", Tamper::WrongDigest, 20, "failed in verify"),
        stream("one bit", Tamper::Flip(MIDDLE + 100), 20, "failed in verify"),
    ];
    stage.play(cases, 2);
    let word = "the database received has SHA-256";
    stage.capture(vec![
        stream("a false digest", Tamper::CutBeforeFalseDigest(MIDDLE), 20, word),
        stream("another digest", Tamper::WrongDigest, 20, word),
        stream("one bit", Tamper::Flip(MIDDLE + 100), 20, word),
    ]);
}

#[test]
fn f14_i05_a_stream_that_lies_about_what_is_still_to_come_is_refused() {
    let Some(stage) = Stage::set("f14_remaining") else { return };
    let lie =
        |name, lie: fn(usize, u64) -> u64, word| stream(name, Tamper::Remaining(lie), 20, word);
    let now_says = "bytes after this message and now says";
    let cases = vec![
        lie("one byte too many", |_, told| told + 1, "no whole number of pages"),
        lie("a sector too many", |_, told| told + 512, now_says),
        lie("a sector too few", |_, told| told.saturating_sub(512), now_says),
        lie("nothing more to come", |_, _| 0, "expected a digest of 32"),
        lie("always the same", |_, _| 1 << 20, now_says),
        lie("ever more", |number, told| told + (number as u64) * 512, now_says),
        lie("2^63", |_, _| 1 << 63, now_says),
        lie("2^64 - 1", |_, _| u64::MAX, "no whole number of pages"),
    ];
    stage.capture(cases);
}

#[test]
fn f15_a_stream_that_ends_after_any_message_is_no_snapshot() {
    let Some(stage) = Stage::set("f15_each_message") else { return };
    stage.etcd.tell(vec![Lie::Snapshot(Tamper::Empties(3))]);
    let whole = stage.site.program("lifeboat-capture", &["-o", "whole.db"]).code(0);
    let _ = stage.site.program("lifeboat-verify", &["whole.db"]).code(0);
    let bytes = std::fs::metadata(stage.site.path("whole.db")).unwrap().len();
    let messages = usize::try_from(bytes.div_ceil(32 << 10)).unwrap();
    assert!(messages > 6, "{whole:?}");
    for count in 0..=messages {
        stage.etcd.tell(vec![Lie::Snapshot(Tamper::After(count, Ending::Clean))]);
        let ran = stage.site.program("lifeboat-capture", &["-o", "part.db"]);
        let is_whole = count > messages;
        assert_eq!(ran.code, if is_whole { 0 } else { 20 }, "after {count} of {messages}: {ran:?}");
        assert!(!stage.site.path("part.db").exists(), "after {count}: an output appeared");
    }
}

#[test]
fn f13_f14_i24_a_stream_that_breaks_or_never_ends_is_given_up_by_a_named_limit() {
    let Some(mut stage) = Stage::set("f13_f14") else { return };
    stage.site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    let after = |name, ending, code, word| stream(name, Tamper::After(3, ending), code, word);
    // What had arrived when it broke is for the kernel to decide; the endpoint is named anyhow.
    const BROKE: &str = "http://127.0.0.1:";
    let cases = vec![
        stream("empty from the start", Tamper::EmptyForEver(0), 10, "etcd sends empty messages"),
        stream("empty in the midst", Tamper::EmptyForEver(5), 10, "etcd sends empty messages only"),
        after("a stall", Ending::Stall, 10, "etcd sent nothing for 1.0 s"),
        after("a reset stream", Ending::Reset, 10, BROKE),
        after("a farewell", Ending::GoAway, 10, BROKE),
        after("a reset connection", Ending::Drop, 10, BROKE),
        after(
            "an error of etcd",
            Ending::Status(code::INTERNAL, "mvcc: database not open"),
            10,
            "etcd answered Internal: mvcc: database not open",
        ),
        after(
            "an end of etcd",
            Ending::Status(code::UNAVAILABLE, "transport is closing"),
            10,
            "the connection broke: transport is closing",
        ),
    ];
    stage.play(cases, 1);
    stage.site.set("LIFEBOAT__RUN__ATTEMPTS", "3");
    stage.play(vec![after("three resets", Ending::Drop, 10, "attempt 2 failed in capture")], 3);
    stage.site.set("LIFEBOAT__CAPTURE__TIMEOUT", "1s");
    let slow = stream("a slow one", Tamper::Slow(100_000), 10, "it took longer than 1.0 s");
    stage.etcd.tell(slow.lies);
    let ran = stage.site.lifeboat(&["run"]);
    assert_eq!(unlike(&ran, slow.code, &slow.words), [""; 0], "{ran:?}");
    stage.site.set("LIFEBOAT__CAPTURE__TIMEOUT", "30m");
    // What a person must mend is not tried again.
    let refused = Ending::Status(code::PERMISSION_DENIED, "etcdserver: permission denied");
    let refused = after("no right to it", refused, 11, "permission denied");
    stage.play(vec![refused], 1);
}

#[test]
fn f17_f18_f57_a_member_that_says_odd_things_of_itself() {
    let Some(mut stage) = Stage::set("f17_status") else { return };
    stage.site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    stage.site.set("LIFEBOAT__CAPTURE__ALLOW_DEGRADED", "false");
    let status = |name, field, number, code, words: &[&'static str]| {
        let lie = edit("Status", move |status| status.set_number(field, number));
        case(name, lie, code, words)
    };
    let text = |name, field, text: &'static str, code, words: &[&'static str]| {
        let lie = edit("Status", move |status| status.set(field, Value::Bytes(text.into())));
        case(name, lie, code, words)
    };
    stage.play(
        vec![
            status("a learner", IS_LEARNER, 1, 10, &["no member is fit", "it is a learner"]),
            status("ahead of itself", RAFT_INDEX, 1 << 40, 10, &["raft entries behind", "at most"]),
            status("no leader", LEADER, 0, 10, &["allow_degraded is false"]),
        ],
        0,
    );
    // Nothing of this makes the bytes less sound.
    stage.play(
        vec![
            status("no database", DB_SIZE, 0, 0, &[]),
            text("an alarm of tomorrow", ERRORS, "memberID:1 alarm:7", 0, &["alarm 7 of member 1"]),
            text("no version at all", VERSION, "rubbish", 0, &[]),
        ],
        0,
    );
    stage.etcd.tell(text("tomorrow's etcd", VERSION, "3.9.0", 0, &[]).lies);
    let _ = stage.site.lifeboat(&["run"]).code(0);
    assert_eq!(stage.newest_manifest()["etcd"]["etcd_version"], "3.9.0");
    let check = stage.site.program("lifeboat-capture", &["--check"]);
    assert!(check.stdout.contains("etcd 3.9.0 is newer than 3.7"), "{check:?}");

    stage.etcd.tell(status("no leader", LEADER, 0, 0, &[]).lies);
    stage.site.set("LIFEBOAT__CAPTURE__ALLOW_DEGRADED", "true");
    let _ = stage.site.lifeboat(&["run"]).code(0).said("the cluster has no quorum");
    let degraded = stage.newest_manifest()["etcd"]["degraded"].to_string();
    assert!(degraded.contains("the cluster has no quorum: the barrier is"), "{degraded}");
    stage.site.assert_fetchable();
}

/// Fields of `etcdserverpb.StatusResponse`.
const VERSION: u32 = 2;
const DB_SIZE: u32 = 3;
const LEADER: u32 = 4;
const RAFT_INDEX: u32 = 5;
const RAFT_APPLIED_INDEX: u32 = 7;
const ERRORS: u32 = 8;
const IS_LEARNER: u32 = 10;
/// Fields of `etcdserverpb.ResponseHeader`.
const CLUSTER_ID: u32 = 1;
const MEMBER_ID: u32 = 2;
const REVISION: u32 = 3;

/// What the members answer beside the snapshot decides whether its bytes can be trusted.
#[test]
fn f16_f17_what_the_cluster_says_about_the_bytes_is_compared_with_them() {
    let Some(mut stage) = Stage::set("f17_answers") else { return };
    stage.site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    let header = |method, field, change: fn(u64) -> u64| {
        edit(method, move |answer| {
            answer.each(HEADER, |header| header.set_number(field, change(header.number(field))));
        })
    };
    let (hash, compact_revision) = (2, 3);
    let cases = vec![
        case(
            "a barrier that the snapshot does not reach",
            header("Range", REVISION, |revision| revision + 1_000),
            10,
            &["the snapshot ends at revision", "but the cluster was at", "another member"],
        ),
        case(
            "a hash of other data",
            edit("HashKV", move |answer| answer.set_number(hash, answer.number(hash) ^ 1)),
            20,
            &["HashKV at revision", "but member", "answered", "etcdctl endpoint hashkv"],
        ),
    ];
    stage.play(cases, 1);
    let refuse = |method| Lie::Answer(method, Reply::Refuse(code::INTERNAL, "out of order"));
    let cases = vec![
        case("no barrier", refuse("Range"), 10, &["no linearizable read from", "out of order"]),
        case("no members", refuse("MemberList"), 10, &["no member list from", "out of order"]),
        case(
            "a barrier of another member",
            header("Range", MEMBER_ID, |id| id ^ 1),
            10,
            &["the endpoint leads to several members", "not a load balancer's"],
        ),
    ];
    stage.play(cases, 0);

    // What cannot be compared is no proof against the bytes, unless one asks for it.
    stage.cluster.etcdctl(&["compaction", "3", "--physical"]).unwrap();
    let older = edit("HashKV", move |answer| answer.set_number(compact_revision, 1));
    for lie in [refuse("HashKV"), older] {
        stage.etcd.tell(vec![lie.clone()]);
        stage.site.set("LIFEBOAT__VERIFY__HASHKV", "when-comparable");
        let _ = stage.site.lifeboat(&["run"]).code(0);
        assert_eq!(stage.newest_manifest()["snapshot"]["hashkv"][0]["agrees"], false);
        stage.site.set("LIFEBOAT__VERIFY__HASHKV", "all");
        let _ = stage.site.lifeboat(&["run"]).code(10).said("was not compared with the snapshot");
    }
}

/// A cluster of three, each member behind a proxy, of which one is going to lie. It is a follower
/// that seems to be the most advanced, so it is asked first.
#[test]
fn f13_f14_f16_f17_another_member_takes_over_from_one_that_lies() {
    let Some(version) = or_skip("takes_over", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).members(3).start().unwrap();
    let _ = cluster.load(&LoadSpec::bulk(11, SOME_MESSAGES)).unwrap();
    let members: Vec<LyingEtcd> =
        cluster.endpoints().iter().map(|url| LyingEtcd::before(url).unwrap()).collect();
    let mut site = Site::new(&cluster).unwrap();
    let urls: Vec<&str> = members.iter().map(LyingEtcd::url).collect();
    site.set("LIFEBOAT__CAPTURE__ENDPOINTS", &urls.join(","));
    site.set("LIFEBOAT__CAPTURE__STALL_TIMEOUT", "1s");
    let index = (cluster.leader().unwrap() + 1) % 3;
    let (liar, name) = (&members[index], &cluster.members()[index].name);
    let advanced = || {
        edit("Status", |status| {
            status.set_number(RAFT_APPLIED_INDEX, status.number(RAFT_APPLIED_INDEX) + 10);
        })
    };
    // How many attempts of the run it takes: what breaks before anything was handed out is asked
    // of another member by capture itself; after bytes that were wrong the run begins anew.
    let cases = [
        ("empty for ever", Tamper::EmptyForEver(0), 1),
        ("a stall", Tamper::After(1, Ending::Stall), 1),
        ("a reset connection", Tamper::After(2, Ending::Drop), 1),
        ("two messages", Tamper::After(2, Ending::Clean), 2),
        ("no digest", Tamper::NoDigest, 2),
        ("another digest", Tamper::WrongDigest, 2),
        ("a bit", Tamper::Flip(MIDDLE), 2),
    ];
    for (what, tamper, attempts) in cases {
        liar.tell(vec![advanced(), Lie::Snapshot(tamper)]);
        let ran = site.lifeboat(&["run", "--json"]).code(0);
        assert_eq!(liar.snapshots(), 1, "{what}: {}", ran.stderr);
        assert_eq!(ran.json()["attempts"], attempts, "{what}: {}", ran.stderr);
        let shown = site.lifeboat(&["show", "--json"]).code(0).json();
        assert_ne!(shown["manifest"]["etcd"]["member_name"], name.as_str(), "{what}");
        site.assert_fetchable();
    }
    one_that_is_not_fit_is_left_out(&mut site, &members, index, name);
    two_clusters_are_refused(&site, liar);
}

fn one_that_is_not_fit_is_left_out(
    site: &mut Site,
    members: &[LyingEtcd],
    index: usize,
    name: &str,
) {
    const AHEAD: u64 = 5_000;
    let learner = edit("Status", |status| status.set_number(IS_LEARNER, 1));
    let alone = edit("Status", |status| status.set_number(LEADER, 0));
    let ahead = edit("Status", |status| {
        for field in [RAFT_INDEX, RAFT_APPLIED_INDEX] {
            status.set_number(field, status.number(field) + AHEAD);
        }
    });
    let cases = [
        ("a learner", Some(learner), None, "it is a learner"),
        ("one without a leader", Some(alone), None, "the cluster has no quorum"),
        ("one that lags", None, Some(ahead), "raft entries behind, at most 1000 are allowed"),
    ];
    site.set("LIFEBOAT__CAPTURE__ALLOW_DEGRADED", "false");
    site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    for (what, own, others, word) in cases {
        for (at, member) in members.iter().enumerate() {
            let lie = if at == index { &own } else { &others };
            member.tell(lie.iter().cloned().collect());
        }
        let _ = site.lifeboat(&["run"]).code(0);
        site.set("LIFEBOAT__CAPTURE__MEMBER", name);
        let ran = site.lifeboat(&["run"]);
        assert_eq!(unlike(&ran, 10, &[word]), [""; 0], "{what}: {ran:?}");
        assert_eq!(members[index].snapshots(), 0, "{what} was asked for a snapshot");
        site.set("LIFEBOAT__CAPTURE__MEMBER", "follower");
    }
    members.iter().for_each(|member| member.tell(Vec::new()));
}

fn two_clusters_are_refused(site: &Site, liar: &LyingEtcd) {
    liar.tell(vec![edit("Status", |status| {
        status.each(HEADER, |header| header.set_number(CLUSTER_ID, 0xcafe));
    })]);
    let ran = site.lifeboat(&["run"]);
    let words = [liar.url(), "is cluster", "cafe", "name the endpoints of one cluster only"];
    assert_eq!(unlike(&ran, 50, &words), [""; 0], "{ran:?}");
}

/// The database as a whole is another one, and its digest fits.
#[test]
fn f49_f57_a_crafted_database_is_refused_with_the_page() {
    let Some(mut stage) = Stage::set("f49") else { return };
    stage.site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    let crafted = |name, change: fn(&mut Database), code, word| {
        let lie = rewrite(move |bytes| {
            let mut database = Database::new(bytes);
            change(&mut database);
            database.bytes
        });
        case(name, lie, code, &[word])
    };
    let cases = vec![
        crafted("a cycle", |db| db.each(BRANCH, |page| page.put_u64(24, page.id())), 20, "page "),
        crafted("giant counts", |db| db.each(LEAF, |page| page.put_u16(10, u16::MAX)), 20, "page "),
        crafted("giant runs", |db| db.each(LEAF, |page| page.put_u32(12, u32::MAX)), 20, "page "),
        crafted("giant keys", |db| db.each(LEAF, |page| page.put_u32(24, u32::MAX)), 20, "page "),
        crafted("giant values", |db| db.each(LEAF, |page| page.put_u32(28, 1 << 31)), 20, "page "),
        crafted("giant offsets", |db| db.each(LEAF, |page| page.put_u32(20, 1 << 31)), 20, "page "),
        crafted(
            "a new kind of page",
            |db| db.each(LEAF, |page| page.put_u16(8, 0x20)),
            20,
            "the page's flags name no page type",
        ),
        crafted("2^63 pages", |db| db.metas(|meta| meta.put_u64(56, 1 << 63)), 60, "PAGES_MAX"),
        crafted("a root nowhere", |db| db.metas(|m| m.put_u64(32, 1 << 62)), 20, "points at page"),
        crafted(
            "a new format",
            |db| db.metas(|m| m.put_u32(20, 3)),
            60,
            "version is 3, expected 2",
        ),
        crafted("nothing", |db| db.bytes.clear(), 20, "no whole number of pages"),
        crafted("zeros", |db| db.bytes.fill(0), 20, "not a bbolt database"),
    ];
    stage.play(cases, 1);
}

#[test]
fn f57_what_is_newer_than_this_program_is_backed_up_and_told() {
    let Some(stage) = Stage::set("f57") else { return };
    // The same length and the same place in the order of buckets.
    let bucket = rewrite(|mut bytes| {
        replace(&mut bytes, b"members_removed", b"members_renamed");
        bytes
    });
    stage.etcd.tell(vec![bucket]);
    let _ = stage.site.lifeboat(&["run"]).code(0).said("members_renamed");
    let manifest = stage.newest_manifest();
    assert!(manifest["snapshot"]["buckets"]["members_renamed"].is_u64(), "{manifest:#}");
    stage.site.assert_fetchable();

    let version = rewrite(|mut bytes| {
        let name = b"storageVersion3.";
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
        let old = bytes[at..at + name.len() + 1].to_vec();
        replace(&mut bytes, &old, b"storageVersion3.9");
        bytes
    });
    stage.etcd.tell(vec![version]);
    let _ = stage.site.lifeboat(&["run"]).code(0);
    assert_eq!(stage.newest_manifest()["snapshot"]["storage_version"], "3.9.0");
    stage.site.assert_fetchable();
}

fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let places: Vec<usize> =
        (0..bytes.len() - old.len()).filter(|at| bytes[*at..].starts_with(old)).collect();
    assert!(!places.is_empty(), "{old:?} is not there");
    places.into_iter().for_each(|at| bytes[at..at + old.len()].copy_from_slice(new));
}

/// Kinds of pages, as their headers tell them.
const BRANCH: u16 = 1;
const LEAF: u16 = 2;

/// A bbolt file in which fields are overwritten: number u64, flags u16, count u16 and overflow u32
/// begin a page, and its first element follows: for a branch position u32, key bytes u32 and page
/// u64; for a leaf flags, position, key bytes and value bytes, each u32.
struct Database {
    bytes: Vec<u8>,
    page_bytes: usize,
}

struct Page<'a>(&'a mut [u8]);

impl Database {
    fn new(bytes: Vec<u8>) -> Self {
        let size = u32::from_le_bytes(bytes[24..28].try_into().unwrap());
        Database { bytes, page_bytes: size as usize }
    }

    /// Every page of a kind, those that are free and stale too.
    fn each(&mut self, kind: u16, change: impl Fn(&mut Page<'_>)) {
        let mut found = 0;
        for (number, page) in self.bytes.chunks_exact_mut(self.page_bytes).enumerate() {
            let mut page = Page(page);
            let flags = u16::from_le_bytes([page.0[8], page.0[9]]);
            if page.id() == number as u64 && flags == kind && page.0[10..12] != [0, 0] {
                change(&mut page);
                found += 1;
            }
        }
        assert!(found > 0, "no page of kind {kind}");
    }

    /// Both meta pages, whose checksums are made to fit.
    fn metas(&mut self, change: impl Fn(&mut Page<'_>)) {
        for page in self.bytes.chunks_exact_mut(self.page_bytes).take(2) {
            let mut page = Page(page);
            change(&mut page);
            let checked = page.0[16..72].iter();
            let sum = checked.fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
                (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
            });
            page.put_u64(72, sum);
        }
    }
}

impl Page<'_> {
    fn id(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().unwrap())
    }

    fn put_u16(&mut self, at: usize, number: u16) {
        self.0[at..at + 2].copy_from_slice(&number.to_le_bytes());
    }

    fn put_u32(&mut self, at: usize, number: u32) {
        self.0[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }

    fn put_u64(&mut self, at: usize, number: u64) {
        self.0[at..at + 8].copy_from_slice(&number.to_le_bytes());
    }
}
