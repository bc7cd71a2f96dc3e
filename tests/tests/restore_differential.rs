//! A cluster restored by `lifeboat-restore` beside one restored by etcd's own tool, from the same
//! snapshot of a random history and with the same flags.
//!
//! Both are started as a real etcd of the version that took the snapshot, with its own checks on
//! (`ETCD_VERIFY=all`), and asked everything that a client can ask: ids, members, HashKV, every
//! key with its revisions and lease, leases, users, roles, alarms. Then each must take writes, a
//! further member, a defragmentation and a restart. What is allowed to differ is checked by name.
//!
//! Everything random comes from one seed, `LIFEBOAT_SEED`, which a failure prints.
//! `LIFEBOAT_DIFFERENTIAL_SEEDS=n` looks at n histories of each kind.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::cluster::{Plan, User};
use lifeboat_tests::load::load_noise;
use lifeboat_tests::restored::facts::{self, HashFacts};
use lifeboat_tests::restored::rows::{self, Tables};
use lifeboat_tests::restored::tools::{self, Written};
use lifeboat_tests::restored::{Facts, Order, Past, Tool, history};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Error, Etcd, EtcdVersion, LoadSpec, each_etcd};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

each_etcd!(
    one_member_is_what_etcds_tool_restores,
    three_members_are_what_etcds_tool_restores,
    a_cut_history_is_what_the_server_answers_there,
);

/// Far beyond everything that a history writes, and no round number.
const BUMP: i64 = 1_000_000_007;
/// What a lease gets that was made because a key names it.
const LEASE_MADE_SECONDS: i64 = 3_600;
/// A tenth of etcd's own patience: the members are on one machine.
const QUICK: [&str; 2] = ["--heartbeat-interval=30", "--election-timeout=300"];
/// The token that ids are made of.
const TOKEN: &str = "a-new-token";

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// The seeds to look at: each version and kind its own, so that a plain run sees all of them.
fn seeds(version: &EtcdVersion, kind: u64) -> Vec<u64> {
    let first = number("LIFEBOAT_SEED", 20_261_120);
    let minor: u64 = version.label.rsplit('.').next().unwrap().parse().unwrap();
    let count = number("LIFEBOAT_DIFFERENTIAL_SEEDS", 1);
    (0..count).map(|more| first + more * 1_000 + kind * 10 + minor).collect()
}

/// A snapshot of a live cluster, with what that cluster answered at that moment.
struct Source {
    dir: TempDir,
    past: Past,
    facts: Facts,
    cluster: Cluster,
    context: String,
}

impl Source {
    /// With the history of `seed`. Authentication is on at the end of every other one.
    fn of(version: &EtcdVersion, seed: u64) -> Self {
        let context = format!("etcd {}, seed {seed}", version.label);
        let mut cluster = ClusterSpec::new(version).start().unwrap();
        let past = history::write(&mut cluster, seed, seed.is_multiple_of(2));
        let past = past.unwrap_or_else(|e| panic!("{context}: {e:?}"));
        let dir = tempfile::tempdir().unwrap();
        save(&cluster, &dir.path().join("snapshot.db"));
        let facts = Facts::of(&cluster, hash_at(&past)).unwrap();
        Source { dir, past, facts, cluster, context }
    }

    fn snapshot(&self) -> PathBuf {
        self.dir.path().join("snapshot.db")
    }
}

fn save(cluster: &Cluster, file: &Path) {
    cluster.etcdctl_at(0, &["snapshot", "save", file.to_str().unwrap()]).unwrap();
}

/// The revision at which HashKV means the same everywhere. At the compact revision itself old
/// servers refuse it, and newer ones answer what they stored when they compacted.
fn hash_at(past: &Past) -> Option<i64> {
    (past.revision > past.compact_revision).then_some(past.revision)
}

/// The places in which first one tool's work runs, then the other's: same names and addresses.
fn places(spec: ClusterSpec, past: &Past) -> Plan {
    let spec = spec.verify_all().arguments(&QUICK).arguments(&["--strict-reconfig-check=false"]);
    let spec = match &past.root {
        Some(User { password, .. }) => spec.auth_present(password),
        None => spec,
    };
    spec.plan().unwrap()
}

/// What one tool wrote, what the cluster on it answered, and how it lived on.
struct Side {
    written: Vec<Written>,
    tables: Vec<Tables>,
    facts: Facts,
    later: Later,
}

/// What came after the first answers. Both sides do the same, so all of it must be the same.
#[derive(Debug, PartialEq)]
struct Later {
    revision_after_write: i64,
    hash_after_write: Vec<HashFacts>,
    keys_of_the_further_member: Option<usize>,
    hash_after_restart: Vec<HashFacts>,
}

/// Restores with `tool`, starts etcd on it, asks, and lets it live on; gives the places back.
fn side(tool: Tool<'_>, order: &Order, plan: Plan, past: &Past, context: &str) -> (Side, Plan) {
    tools::clear(&plan).unwrap();
    tools::restore(tool, order, &plan).unwrap_or_else(|e| panic!("{context}: {e:?}"));
    let written = plan.members().iter().map(|member| Written::of(member).unwrap()).collect();
    let tables = plan.members().iter().map(|m| rows::of(&m.data_dir).unwrap()).collect();
    let members = plan.voters();
    let mut cluster = plan.start().unwrap_or_else(|e| panic!("{context}: {e:?}"));
    // After a bump the head is the compact revision.
    let hash_at = hash_at(past).filter(|_| order.bump.is_none());
    let facts = Facts::of(&cluster, hash_at).unwrap_or_else(|e| panic!("{context}: {e:?}"));
    let later = live_on(&mut cluster, members == 1).unwrap_or_else(|e| panic!("{context}: {e:?}"));
    assert_user_can_log_in(&cluster, past, context);
    (Side { written, tables, facts, later }, cluster.into_plan(members).unwrap())
}

/// A write, a further member that learns the data, a defragmentation, and a restart. etcd makes a
/// new member wait for seconds, so that not all are given one.
fn live_on(cluster: &mut Cluster, grow: bool) -> Result<Later, Error> {
    cluster.etcdctl_at(0, &["put", "/after", "the restore"])?;
    let revision = cluster.revision(0)?;
    let hash_after_write = facts::hashes(cluster, revision)?;
    let mut keys_of_the_further_member = None;
    if grow {
        let further = cluster.add_member()?;
        keys_of_the_further_member = Some(keys_at_member(cluster, further)?);
    }
    for index in 0..cluster.members().len() {
        cluster.etcdctl_at(index, &["defrag"])?;
    }
    cluster.restart(0)?;
    assert!(cluster.etcdctl_at(0, &["get", "/after"])?.contains("the restore"));
    // Of the further member too.
    let mut hash_after_restart = facts::hashes(cluster, revision)?;
    hash_after_restart.dedup();
    Ok(Later {
        revision_after_write: revision,
        hash_after_write,
        keys_of_the_further_member,
        hash_after_restart,
    })
}

/// What this member has itself, asked without its peers.
fn keys_at_member(cluster: &Cluster, index: usize) -> Result<usize, Error> {
    let arguments = ["get", "", "--prefix", "--keys-only", "--consistency=s"];
    let answer = cluster.etcdctl_json(index, &arguments)?;
    Ok(answer["kvs"].as_array().map_or(0, Vec::len))
}

/// With authentication on, the old password still opens the door.
fn assert_user_can_log_in(cluster: &Cluster, past: &Past, context: &str) {
    let (Some(_), Some(user)) = (&past.root, &past.user) else { return };
    assert!(facts::may_log_in(cluster, user).unwrap(), "{context}: {user:?} is refused");
    let password = format!("not-{}", user.password);
    let stranger = User { password, ..user.clone() };
    assert!(!facts::may_log_in(cluster, &stranger).unwrap(), "{context}: {stranger:?} gets in");
}

/// Everything that a client can see is the same, and of what lies in the files all that is not
/// named here. `old_form` is the membership as 3.4 writes it.
fn assert_same(ours: &Side, theirs: &Side, old_form: bool, context: &str) {
    let differences = ours.facts.differences(&theirs.facts);
    assert!(differences.is_empty(), "{context}:\n{}", differences.join("\n"));
    assert_eq!(ours.later, theirs.later, "{context}");
    assert_eq!(ours.later.hash_after_restart.len(), 1, "{context}: members disagree");
    for (ours, theirs) in ours.written.iter().zip(&theirs.written) {
        assert_eq!(ours.wal_names, theirs.wal_names, "{context}");
        assert_eq!(ours.snap_names, theirs.snap_names, "{context}");
        assert!(ours.db_bytes <= theirs.db_bytes, "{context}: {} bytes", ours.db_bytes);
        assert!(ours.disk_bytes <= theirs.disk_bytes, "{context}: {} bytes", ours.disk_bytes);
    }
    for (ours, theirs) in ours.tables.iter().zip(&theirs.tables) {
        let mut found = rows::differences(ours, theirs);
        found.retain(|row| row != "meta/confState");
        if old_form {
            let new_form = |row: &String| row.starts_with("members/") || row == "meta/term";
            found.retain(|row| !new_form(row));
        }
        assert!(found.is_empty(), "{context}: {found:?}");
    }
}

/// What the restored cluster has in common with the one that it was taken from.
fn assert_as_the_source(restored: &Facts, source: &Source) {
    let context = &source.context;
    assert_eq!(restored.hashes.first(), source.facts.hashes.first(), "{context}");
    let mut same = source.facts.clone();
    same.cluster_id = restored.cluster_id;
    same.members.clone_from(&restored.members);
    same.hashes.clone_from(&restored.hashes);
    let differences = restored.differences(&same);
    assert!(differences.is_empty(), "{context}:\n{}", differences.join("\n"));
    assert_ne!(restored.cluster_id, source.facts.cluster_id, "{context}");
}

/// etcd's own tool that knows the flags of `order`. 3.4 and 3.5.1 cannot raise a revision; what
/// the tool of 3.6 writes, they start from.
fn reference(version: &EtcdVersion, order: &Order) -> Option<EtcdVersion> {
    match version.label {
        "3.4" | "3.5" if order.bump.is_some() => {
            or_skip("restore_differential::bump", Etcd::version("3.6"))
        }
        _ => Some(version.clone()),
    }
}

/// Through a file and through a pipe in turn.
fn ours(seed: u64) -> Tool<'static> {
    if seed.is_multiple_of(2) { Tool::Lifeboat } else { Tool::LifeboatFromStdin }
}

/// The write-ahead logs of an order, as the tool of 3.6 writes them. That of 3.5 writes the same
/// bytes; that of 3.4 leaves the voters out of the snapshot's record, and that of 3.7 two fields
/// that are zero.
fn logs_of_3_6(order: &Order, plan: &Plan) -> Option<Vec<Vec<u8>>> {
    let version = or_skip("restore_differential::log", Etcd::version("3.6"))?;
    tools::clear(plan).unwrap();
    tools::restore(Tool::Etcds(&version), order, plan).unwrap();
    Some(plan.members().iter().map(|member| Written::of(member).unwrap().wal).collect())
}

/// Both tools, one after the other in the same places. Gives our side.
fn both(version: &EtcdVersion, spec: ClusterSpec, source: &Source, order: &Order) -> Option<Side> {
    let tool = reference(version, order)?;
    let old_form = tool.label == "3.4";
    let (past, context) = (&source.past, &source.context);
    let plan = places(spec, past);
    let logs = logs_of_3_6(order, &plan);
    let (theirs, plan) = side(Tool::Etcds(&tool), order, plan, past, context);
    let (ours, _) = side(ours(past.seed), order, plan, past, context);
    assert_same(&ours, &theirs, old_form, context);
    if let Some(logs) = logs {
        let our_logs = ours.written.iter().map(|written| &written.wal);
        assert!(our_logs.eq(&logs), "{context}: other bytes in the log");
    }
    if ["3.5", "3.6"].contains(&tool.label) {
        let logs = |side: &Side| side.written.iter().map(|w| w.wal.clone()).collect::<Vec<_>>();
        assert!(logs(&ours) == logs(&theirs), "{context}: other bytes in the log");
    }
    Some(ours)
}

fn order(source: &Source, bumped: bool) -> Order {
    let order = Order::new(&source.snapshot(), TOKEN);
    if bumped { order.bump(BUMP) } else { order }
}

fn one_member_is_what_etcds_tool_restores(version: &EtcdVersion) {
    for (number, seed) in seeds(version, 0).into_iter().enumerate() {
        let source = Source::of(version, seed);
        let order = order(&source, number % 2 == 1);
        let ours = both(version, ClusterSpec::new(version), &source, &order);
        if let Some(ours) = ours.filter(|_| order.bump.is_none()) {
            assert_as_the_source(&ours.facts, &source);
        }
    }
}

fn three_members_are_what_etcds_tool_restores(version: &EtcdVersion) {
    for (number, seed) in seeds(version, 1).into_iter().enumerate() {
        let source = Source::of(version, seed);
        let order = order(&source, number % 2 == 0);
        let spec = ClusterSpec::new(version).members(3).peer_urls(2).wal_apart();
        let Some(ours) = both(version, spec, &source, &order) else { return };
        let bumped = source.past.revision + order.bump.unwrap_or_default();
        assert_eq!(ours.facts.revision, bumped, "{}", source.context);
    }
}

/// A cluster from our tool alone, started.
fn started(order: &Order, plan: Plan, context: &str) -> Cluster {
    tools::restore(Tool::Lifeboat, order, &plan).unwrap_or_else(|e| panic!("{context}: {e:?}"));
    plan.start().unwrap_or_else(|e| panic!("{context}: {e:?}"))
}

fn a_cut_history_is_what_the_server_answers_there(version: &EtcdVersion) {
    for seed in seeds(version, 2) {
        let source = Source::of(version, seed);
        let past = &source.past;
        let (lease, on_a_lease_that_has_gone) = past.revoked.unwrap();
        for cut in [on_a_lease_that_has_gone, past.compact_revision + 1] {
            let context = format!("{}, cut at {cut}", source.context);
            let (_, live) = facts::all_keys(&source.cluster, cut).unwrap();
            let live_hash = facts::hashes(&source.cluster, cut).unwrap();
            let flags = ["--revision", &cut.to_string()];
            let order = Order::new(&source.snapshot(), TOKEN).ours_only(&flags);
            let cluster = started(&order, places(ClusterSpec::new(version), past), &context);
            let facts = Facts::of(&cluster, Some(cut)).unwrap();
            assert_eq!(facts.revision, cut, "{context}");
            let same = Facts { keys: live, hashes: live_hash, ..facts.clone() };
            let differences = facts.differences(&same);
            assert!(differences.is_empty(), "{context}:\n{}", differences.join("\n"));
            assert_leases_hold_their_keys(&facts, &context);
            if cut == on_a_lease_that_has_gone {
                assert_eq!(facts.leases[&lease].granted_seconds, LEASE_MADE_SECONDS, "{context}");
                assert!(!source.facts.leases.contains_key(&lease), "{context}");
            }
            cluster.etcdctl(&["put", "/after", "the cut"]).unwrap();
            assert_eq!(cluster.revision(0).unwrap(), cut + 1, "{context}");
        }
    }
}

/// A key on a lease that is not there would never expire.
fn assert_leases_hold_their_keys(facts: &Facts, context: &str) {
    for key in facts.keys.iter().filter(|key| key.lease != 0) {
        let lease = facts.leases.get(&key.lease);
        let holds = lease.is_some_and(|lease| lease.keys.contains(&key.key));
        assert!(holds, "{context}: {key:?} is on no lease");
    }
}

/// From one version to another: the cluster has what the source has, and lives on.
fn moved(from: &str, to: &str) {
    let name = format!("restore_differential::moved_{from}_to_{to}");
    let Some(from) = or_skip(&name, Etcd::version(from)) else { return };
    let Some(to) = or_skip(&name, Etcd::version(to)) else { return };
    for seed in seeds(&from, 3) {
        let mut source = Source::of(&from, seed);
        source.context = format!("{} to {}", source.context, to.label);
        // Whether it tells what root may do is up to the server: everything, in all of them.
        source.facts.roles.remove("root");
        let flags = ["--target-version", to.label];
        let order = Order::new(&source.snapshot(), TOKEN).ours_only(&flags);
        let mut cluster =
            started(&order, places(ClusterSpec::new(&to), &source.past), &source.context);
        let mut facts = Facts::of(&cluster, hash_at(&source.past)).unwrap();
        facts.roles.remove("root");
        assert_as_the_source(&facts, &source);
        live_on(&mut cluster, false).unwrap_or_else(|e| panic!("{}: {e:?}", source.context));
        assert_user_can_log_in(&cluster, &source.past, &source.context);
    }
}

#[test]
fn a_snapshot_of_3_6_moves_to_3_5() {
    moved("3.6", "3.5");
}

#[test]
fn a_snapshot_of_3_6_moves_to_3_4() {
    moved("3.6", "3.4");
}

#[test]
fn a_snapshot_of_3_4_moves_to_3_7() {
    moved("3.4", "3.7");
}

#[test]
fn a_snapshot_of_3_5_moves_to_3_7() {
    moved("3.5", "3.7");
}

/// A history without users, for what is special about a snapshot.
fn plain_past(cluster: &Cluster) -> Past {
    let revision = cluster.revision(0).unwrap();
    Past { seed: 0, revision, compact_revision: 0, root: None, user: None, revoked: None }
}

fn can_write(cluster: &Cluster) -> bool {
    cluster.etcdctl(&["put", "/after", "the restore"]).is_ok()
}

/// etcd's tool keeps the alarm, and the cluster restored with it takes no write until somebody
/// lifts it, however much room there is.
#[test]
fn an_alarm_of_a_full_database_does_not_come_back() {
    let Some(version) = or_skip("restore_differential::nospace", Etcd::newest()) else { return };
    let quota = ["--quota-backend-bytes=16777216"];
    let full = ClusterSpec::new(&version).arguments(&quota).start().unwrap();
    load_noise(&full.connection(), 64 << 20).unwrap_err();
    assert!(full.etcdctl(&["alarm", "list"]).unwrap().contains("NOSPACE"));
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("full.db");
    save(&full, &snapshot);

    let past = plain_past(&full);
    let order = Order::new(&snapshot, TOKEN);
    let keep = order.clone().ours_only(&["--keep-alarms"]);
    let mut plan = places(ClusterSpec::new(&version), &past);
    let expected = [
        (Tool::Etcds(&version), &order, false),
        (Tool::Lifeboat, &order, true),
        (Tool::Lifeboat, &keep, false),
    ];
    for (tool, order, writes) in expected {
        tools::clear(&plan).unwrap();
        tools::restore(tool, order, &plan).unwrap();
        let cluster = plan.start().unwrap();
        let alarms = cluster.etcdctl(&["alarm", "list"]).unwrap();
        assert_eq!(alarms.is_empty(), writes, "{tool:?}: {alarms}");
        assert_eq!(can_write(&cluster), writes, "{tool:?}");
        plan = cluster.into_plan(1).unwrap();
    }
}

/// etcd's tool keeps a downgrade that was under way; a restored cluster has none.
fn a_downgrade_under_way_ends(version: &str, to: &str) {
    let name = format!("restore_differential::downgrade_{version}");
    let Some(version) = or_skip(&name, Etcd::version(version)) else { return };
    let cluster = ClusterSpec::new(&version).start().unwrap();
    cluster.etcdctl(&["put", "a", "b"]).unwrap();
    cluster.etcdctl(&["downgrade", "enable", to]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let snapshot = dir.path().join("downgrade.db");
    save(&cluster, &snapshot);

    let past = plain_past(&cluster);
    let order = Order::new(&snapshot, TOKEN);
    let mut plan = places(ClusterSpec::new(&version), &past);
    for (tool, pending) in [(Tool::Etcds(&version), true), (Tool::Lifeboat, false)] {
        tools::clear(&plan).unwrap();
        tools::restore(tool, &order, &plan).unwrap();
        let tables = rows::of(&plan.members()[0].data_dir).unwrap();
        let kept = tables["cluster"].contains_key(b"downgrade".as_slice());
        assert_eq!(kept, pending, "{tool:?}");
        let cluster = plan.start().unwrap();
        let status = cluster.etcdctl_json(0, &["endpoint", "status"]).unwrap();
        let enabled = &status[0]["Status"]["downgradeInfo"]["enabled"];
        assert_eq!(enabled.as_bool().unwrap_or_default(), pending, "{tool:?}: {status}");
        assert!(can_write(&cluster), "{tool:?}");
        plan = cluster.into_plan(1).unwrap();
    }
}

#[test]
fn a_downgrade_under_way_ends_3_6() {
    a_downgrade_under_way_ends("3.6", "3.5");
}

#[test]
fn a_downgrade_under_way_ends_3_7() {
    a_downgrade_under_way_ends("3.7", "3.6");
}

fn conf_state(tables: &Tables) -> Value {
    serde_json::from_slice(&tables["meta"][b"confState".as_slice()]).unwrap()
}

/// A source with a member that does not vote, restored as one voter and as three.
#[test]
fn a_learner_in_the_source_is_none_of_the_restored() {
    let Some(version) = or_skip("restore_differential::learner", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).learner().start().unwrap();
    cluster.etcdctl(&["put", "a", "b"]).unwrap();
    let source = taken_from(cluster, "a learner in the source");
    assert!(source.facts.members.iter().any(|member| member.is_learner));
    for members in [1, 3] {
        let spec = ClusterSpec::new(&version).members(members);
        let ours = both(&version, spec, &source, &order(&source, false)).unwrap();
        assert_conf_state_is_the_members(&ours);
    }
}

/// etcd's tool leaves the voters and learners of the source there.
fn assert_conf_state_is_the_members(ours: &Side) {
    let voters: Vec<u64> = ours.facts.members.iter().map(|member| member.id).collect();
    for tables in &ours.tables {
        let state = conf_state(tables);
        let found = state["voters"].as_array().unwrap();
        let found: Vec<u64> = found.iter().map(|id| id.as_u64().unwrap()).collect();
        assert_eq!(found, voters);
        assert!(state["learners"].as_array().is_none_or(Vec::is_empty), "{state}");
    }
}

#[test]
fn five_members_are_restored_as_five() {
    let Some(version) = or_skip("restore_differential::five", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).members(5).arguments(&QUICK).start().unwrap();
    cluster.load(&LoadSpec::default()).unwrap();
    let source = taken_from(cluster, "five members");
    let spec = ClusterSpec::new(&version).members(5);
    let ours = both(&version, spec, &source, &order(&source, false)).unwrap();
    assert_as_the_source(&ours.facts, &source);
    assert_conf_state_is_the_members(&ours);
}

/// A snapshot of a cluster that has no random history.
fn taken_from(cluster: Cluster, context: &str) -> Source {
    let dir = tempfile::tempdir().unwrap();
    save(&cluster, &dir.path().join("snapshot.db"));
    let past = plain_past(&cluster);
    let facts = Facts::of(&cluster, hash_at(&past)).unwrap();
    Source { dir, past, facts, cluster, context: context.to_owned() }
}

/// One value more on one side: the comparison is able to fail.
#[test]
fn a_difference_between_the_two_is_seen() {
    let Some(version) = or_skip("restore_differential::seen", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).arguments(&QUICK).start().unwrap();
    cluster.etcdctl(&["put", "a", "b"]).unwrap();
    let before = Facts::of(&cluster, Some(2)).unwrap();
    assert_eq!(before.differences(&before), Vec::<String>::new());
    cluster.etcdctl(&["put", "a", "c"]).unwrap();
    cluster.etcdctl(&["lease", "grant", "5000"]).unwrap();
    cluster.etcdctl(&["role", "add", "reader"]).unwrap();
    let after = Facts::of(&cluster, Some(3)).unwrap();
    let found = after.differences(&before).join("\n");
    for kind in ["revision", "HashKV", "keys", "leases", "roles"] {
        assert!(found.contains(&format!("{kind}: ")), "{kind} is not in: {found}");
    }
}
