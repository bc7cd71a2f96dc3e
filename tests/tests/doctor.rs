//! `lifeboat doctor` on clusters that really are sick: each disaster is staged with real etcd
//! processes and must be named; the commands that it prints are typed, and must help.
//!
//! Cases share a cluster where the one before leaves it whole. Only lag is staged by a proxy that
//! lies about one member's index: a real member on one machine catches up before anybody looks.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]
#![allow(clippy::disallowed_methods, reason = "damage is done without care")]

use lifeboat_tests::lying_etcd::{LyingEtcd, edit};
use lifeboat_tests::site::{Ran, Site};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::tls::Validity;
use lifeboat_tests::{
    Cluster, ClusterSpec, Etcd, EtcdVersion, LoadSpec, Server, each_etcd, wait_until,
};
use serde_json::Value;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// For a member that was replaced to copy everything, and for one that was damaged to start.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
/// Where `etcdserverpb.StatusResponse` has it.
const RAFT_APPLIED_INDEX: u32 = 7;

fn start(test: &str, members: usize, arguments: &[&str]) -> Option<(Cluster, Site)> {
    let version = or_skip(test, Etcd::newest())?;
    let cluster = ClusterSpec::new(&version).members(members).arguments(arguments).start().unwrap();
    let site = Site::new(&cluster).unwrap();
    Some((cluster, site))
}

/// What the doctor says, and with which code.
fn examine(site: &Site, code: i32) -> Value {
    site.lifeboat(&["doctor", "--json"]).code(code).json()
}

/// Asserts the case, and that everything says the same.
fn assert_case(said: &Value, case: &str, restore: &str) {
    assert_eq!(said["case"], case, "{said:#}");
    assert_eq!(said["restore"], restore, "{said:#}");
    assert!(!said["reasons"].as_array().unwrap().is_empty(), "{said:#}");
}

fn headline(said: &Value) -> &str {
    said["headline"].as_str().unwrap()
}

/// The commands, in order.
fn commands(said: &Value) -> Vec<String> {
    let steps = said["steps"].as_array().unwrap();
    steps.iter().filter_map(|step| Some(step["command"].as_str()?.to_owned())).collect()
}

/// Types a command into a shell that has the site's variables, this cluster's etcdctl and our own
/// programs on its PATH.
fn type_in(site: &Site, version: &EtcdVersion, command: &str) -> Ran {
    let own = site.command("lifeboat");
    let variables = own.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let beside = lifeboat_tests::binaries::bin_dir().unwrap();
    let etcdctl = version.etcdctl.parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).current_dir(site.path("")).env_clear().envs(variables);
    shell.env("PATH", format!("{}:{}:{path}", etcdctl.display(), beside.display()));
    Ran::of(&shell.output().unwrap())
}

fn is_healthy(site: &Site) {
    let healthy = || {
        let ran = site.lifeboat(&["doctor", "--json"]);
        if ran.code == 0 { Ok(()) } else { Err(ran.stdout + &ran.stderr) }
    };
    wait_until("the cluster to be healthy", CATCH_UP_LIMIT, healthy).unwrap();
}

/// In every version: three that are well, and what is left when one of them is killed.
fn a_healthy_cluster_and_a_dead_member_are_told_apart(version: &EtcdVersion) {
    let mut cluster = ClusterSpec::new(version).members(3).start().unwrap();
    let site = Site::new(&cluster).unwrap();
    let said = examine(&site, 0);
    assert_case(&said, "healthy", "not-needed");
    assert_eq!(said["members"].as_array().unwrap().len(), 3);
    for member in said["members"].as_array().unwrap() {
        assert!(member["answer"]["hashkv"].is_number(), "{said:#}");
        assert_eq!(member["answer"]["problems"].as_array().unwrap().len(), 0, "{said:#}");
        assert_eq!(member["answer"]["lists"].as_array().unwrap().len(), 3, "{said:#}");
    }
    cluster.kill(2).unwrap();
    let said = examine(&site, 40);
    assert_case(&said, "member-down", "never");
    assert_eq!(said["confidence"], "high", "{said:#}");
    assert!(headline(&said).starts_with("m3 is down: 2 of 3"), "{said:#}");
}

each_etcd!(a_healthy_cluster_and_a_dead_member_are_told_apart);

/// From one member that stands still to nobody at all.
#[test]
fn f25_members_go_one_after_the_other() {
    let Some((mut cluster, site)) = start("doctor_members", 3, &[]) else { return };
    let _ = cluster.load(&LoadSpec { objects: 20, ..LoadSpec::default() }).unwrap();
    let _ = site.lifeboat(&["run"]).code(0);

    cluster.pause(1).unwrap();
    let said = examine(&site, 40);
    assert_case(&said, "member-down", "never");
    assert!(headline(&said).starts_with("m2 is down"), "{said:#}");
    assert_eq!(said["confidence"], "medium", "it may be cut off from here alone: {said:#}");
    cluster.resume(1).unwrap();
    is_healthy(&site);

    cluster.kill(2).unwrap();
    cluster.kill(1).unwrap();
    let said = examine(&site, 10);
    assert_case(&said, "quorum-lost", "yes");
    assert!(headline(&said).contains("1 of 3 voting members answer, 2 are needed"), "{said:#}");
    assert!(said["backup"]["newest"].is_string(), "{said:#}");
    let typed = commands(&said);
    assert!(typed.iter().any(|command| command.ends_with(" restore --plan")), "{typed:?}");
    // What the survivor holds can be rescued as it says, and is a whole snapshot.
    let rescued = site.path("rescued.db").display().to_string();
    let save = typed.iter().find(|command| command.contains("snapshot save")).unwrap();
    let save = save.replace("/var/tmp/lifeboat-rescued.db", &rescued);
    let _ = type_in(&site, cluster.version(), &save).code(0);
    let _ = site.program("lifeboat-verify", &[&rescued]).code(0);
    let refused = site.lifeboat(&["doctor", "--replace-member", "m3", "--yes", "--force"]).code(50);
    let _ = refused.said("no leader that a majority follows");

    cluster.kill(0).unwrap();
    let said = examine(&site, 10);
    assert_case(&said, "unreachable", "last-resort");
    assert_eq!(said["confidence"], "low", "{said:#}");
    let page = site.lifeboat(&["doctor"]).code(10).stdout;
    assert!(page.contains("whether etcd is down everywhere"), "{page}");
    assert!(page.lines().last().unwrap().starts_with("Next"), "{page}");
    assert!(page.lines().count() < 50, "one screen: {page}");
    let _ = site.lifeboat(&["doctor", "--replace-member", "m3", "--yes"]).code(10);
}

/// A member with these flags, such as the doctor printed them. Its peers reach it at `peer_url`.
fn start_with(cluster: &Cluster, index: usize, peer_url: &str, flags: &str) -> Server {
    let member = &cluster.members()[index];
    let mut command = Command::new(&cluster.version().etcd);
    command.env_clear().current_dir(cluster.dir()).args(flags.split_whitespace());
    command.arg("--data-dir").arg(&member.data_dir).args(["--log-level", "error"]);
    command.args(["--listen-peer-urls", peer_url]);
    for flag in ["--listen-client-urls", "--advertise-client-urls"] {
        command.args([flag, &member.client_url]);
    }
    let log = cluster.dir().join("replaced.log");
    Server::spawn("the replaced member", &mut command, &log).unwrap()
}

fn listed(cluster: &Cluster) -> Vec<(String, String)> {
    let list = cluster.etcdctl_json(0, &["member", "list"]).unwrap();
    let members = list["members"].as_array().unwrap().clone();
    let text = |member: &Value, name: &str| member[name].as_str().unwrap_or_default().to_owned();
    let url = |member: &Value| member["peerURLs"][0].as_str().unwrap().to_owned();
    let mut members: Vec<_> = members.iter().map(|m| (text(m, "name"), url(m))).collect();
    members.sort();
    members
}

#[test]
fn a_dead_member_is_replaced_although_the_machine_dies_half_way() {
    let Some((mut cluster, mut site)) = start("doctor_replace", 3, &[]) else { return };
    let _ = cluster.load(&LoadSpec { objects: 50, ..LoadSpec::default() }).unwrap();
    let replace = |site: &Site, arguments: &[&str]| {
        site.lifeboat(&[&["doctor", "--replace-member"], arguments].concat())
    };
    let _ = replace(&site, &["m3", "--yes"]).code(50).said("it is healthy");
    let _ = replace(&site, &["m9", "--yes"]).code(50).said("no member is called so; there are m1");
    cluster.kill(2).unwrap();
    let before = listed(&cluster);
    let _ = replace(&site, &["m2", "--yes", "--force"]).code(50).said("would stand still");
    let asked = replace(&site, &["m3"]).code(50).said("nobody agreed");
    assert!(asked.stdout.contains("remove member"), "{asked:?}");
    assert_eq!(listed(&cluster), before, "nothing was changed");

    // Killed between the two changes: the member is out, and is added by whoever types it again.
    site.set("LIFEBOAT_TEST_FAIL_AT", "doctor:1");
    let dead = replace(&site, &["m3", "--yes"]).code(10);
    assert!(dead.stderr.contains("failpoint 1: doctor.member.removed"), "{dead:?}");
    site.unset("LIFEBOAT_TEST_FAIL_AT");
    assert_eq!(listed(&cluster).len(), 2);
    let _ = replace(&site, &["m3", "--yes"]).code(50).said("--peer-url");
    let again = dead.stdout.lines().find_map(|line| line.split_once("go on with: ")).unwrap().1;
    let done = type_in(&site, cluster.version(), again).code(0);
    assert!(done.stdout.contains("it had been removed before"), "{done:?}");
    // And again: nothing is left to change.
    let again = type_in(&site, cluster.version(), again).code(0);
    assert!(again.stdout.contains("waits to be started"), "{again:?}");
    let said = examine(&site, 40);
    assert!(headline(&said).contains("was added and has never started"), "{said:#}");

    std::fs::remove_dir_all(&cluster.members()[2].data_dir).unwrap();
    let flags = done.stdout.lines().map(str::trim).find(|line| line.starts_with("--name=m3"));
    let _server = start_with(&cluster, 2, &before[2].1, flags.unwrap());
    is_healthy(&site);
    assert_eq!(listed(&cluster), before, "the same names and addresses");
}

/// Flips a bit of every copy of these bytes in a member's database.
fn flip(data_dir: &Path, needle: &[u8]) {
    let path = data_dir.join("member/snap/db");
    let mut bytes = std::fs::read(&path).unwrap();
    let places: Vec<usize> = bytes
        .windows(needle.len())
        .enumerate()
        .filter_map(|(place, window)| (window == needle).then_some(place))
        .collect();
    assert!(!places.is_empty(), "the value is not in {}", path.display());
    for place in places {
        bytes[place] ^= 1;
    }
    std::fs::write(&path, bytes).unwrap();
}

fn damage(cluster: &mut Cluster, index: usize, needle: &str) {
    cluster.stop(index).unwrap();
    flip(&cluster.members()[index].data_dir, needle.as_bytes());
    cluster.restart(index).unwrap();
}

#[test]
fn a_flipped_bit_is_found_and_its_owner_named() {
    let Some((mut cluster, site)) = start("doctor_corrupt", 3, &[]) else { return };
    let _ = cluster.load(&LoadSpec { objects: 50, ..LoadSpec::default() }).unwrap();
    let _ = cluster.etcdctl(&["put", "canary", "a-value-of-which-one-bit-is-flipped"]).unwrap();
    damage(&mut cluster, 2, "a-value-of-which-one-bit-is-flipped");
    let said = examine(&site, 20);
    assert_case(&said, "member-corrupt", "never");
    assert_eq!(said["confidence"], "high", "{said:#}");
    assert_eq!(headline(&said), "m3 holds other data than the majority");
    let typed = commands(&said);
    assert!(typed[0].ends_with("doctor --replace-member m3"), "{typed:?}");

    // Another one, elsewhere: three members, three histories.
    let _ = cluster.etcdctl(&["put", "second", "another-value-that-is-flipped"]).unwrap();
    damage(&mut cluster, 1, "another-value-that-is-flipped");
    let said = examine(&site, 20);
    assert_case(&said, "data-corruption", "last-resort");
    let page = site.lifeboat(&["doctor"]).code(20).stdout;
    assert!(page.contains(" ≠ "), "{page}");
}

/// One member, with TLS: every command that is printed carries what etcdctl needs.
#[test]
fn f19_f20_a_full_database_and_a_wrong_certificate() {
    let Some(version) = or_skip("doctor_full", Etcd::newest()) else { return };
    const QUOTA: &str = "--quota-backend-bytes=2000000";
    let cluster = ClusterSpec::new(&version).tls().arguments(&[QUOTA]).start().unwrap();
    let mut site = Site::new(&cluster).unwrap();
    assert_case(&examine(&site, 0), "healthy", "not-needed");

    let value = "x".repeat(100_000);
    let full =
        |number: i32| cluster.etcdctl(&["put", &format!("key-{}", number % 3), &value]).is_err();
    assert!((0..60).any(full), "it never filled up");
    let said = examine(&site, 40);
    assert_case(&said, "no-space", "never");
    for command in commands(&said) {
        let _ = type_in(&site, &version, &command).code(0);
    }
    is_healthy(&site);
    let _ = cluster.etcdctl(&["put", "key", "a write"]).unwrap();

    // The same without a variable of etcdctl's: flags carry what they carried.
    let (certificates, client) =
        (cluster.certificates().unwrap(), cluster.certificates().unwrap().client());
    let flags = [
        ("--endpoints", cluster.endpoint(0).to_owned()),
        ("--cacert", certificates.ca().display().to_string()),
        ("--cert", client.certificate.display().to_string()),
        ("--key", client.key.display().to_string()),
    ];
    let flags: Vec<String> = flags.iter().map(|(flag, value)| format!("{flag}={value}")).collect();
    let empty = site.path("keys");
    let mut bare = lifeboat_tests::binaries::command("lifeboat").unwrap();
    let bare = Ran::of(
        &bare.current_dir(&empty).args(["doctor", "--json"]).args(&flags).output().unwrap(),
    );
    let said = bare.code(0).json();
    assert_case(&said, "healthy", "not-needed");
    assert!(said["backup"]["problem"].is_string(), "no pipeline.toml: {said:#}");

    let other = certificates.issue_client("expired", Validity::Expired).unwrap();
    site.set("ETCDCTL_CERT", &other.certificate.display().to_string());
    site.set("ETCDCTL_KEY", &other.key.display().to_string());
    let said = examine(&site, 11);
    assert_case(&said, "unreachable", "never");
    assert!(headline(&said).contains("it is reached and refuses"), "{said:#}");
    site.unset("ETCDCTL_CERT");
    site.unset("ETCDCTL_KEY");
    assert_case(&examine(&site, 11), "unreachable", "never");
}

#[test]
fn f17_a_member_that_lags_and_one_that_was_removed_and_runs_on() {
    let Some((mut cluster, mut site)) = start("doctor_split", 3, &[]) else { return };
    let _ = cluster.load(&LoadSpec { objects: 20, ..LoadSpec::default() }).unwrap();
    let liar = LyingEtcd::before(cluster.endpoint(2)).unwrap();
    liar.tell(vec![edit("Status", |status| {
        status.set_number(RAFT_APPLIED_INDEX, status.number(RAFT_APPLIED_INDEX).saturating_sub(40));
    })]);
    let others = format!("{},{}", cluster.endpoint(0), cluster.endpoint(1));
    site.set("LIFEBOAT__CAPTURE__ENDPOINTS", &format!("{others},{}", liar.url()));
    site.set("LIFEBOAT__CAPTURE__MAX_LAG", "30");
    let said = examine(&site, 40);
    assert_case(&said, "member-lagging", "never");
    assert!(headline(&said).starts_with("m3 answers and does not keep up"), "{said:#}");
    site.unset("LIFEBOAT__CAPTURE__MAX_LAG");
    site.set("LIFEBOAT__CAPTURE__ENDPOINTS", &cluster.endpoints().join(","));

    // Somebody who believed that it had to be saved starts the removed member as a cluster of its
    // own. The others are away meanwhile, and do not find it when they come back: each side would
    // tell the other that it was removed, and whoever is told so ends.
    cluster.stop(2).unwrap();
    let id = cluster_member_id(&cluster, "m3");
    let _ = cluster.etcdctl(&["member", "remove", &id]).unwrap();
    cluster.stop(0).unwrap();
    cluster.stop(1).unwrap();
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let elsewhere = format!("http://{elsewhere}");
    let _server = start_with(&cluster, 2, &elsewhere, "--name=m3 --force-new-cluster");
    wait_until("the removed member to answer", CATCH_UP_LIMIT, || {
        cluster.etcdctl_at(2, &["endpoint", "health"]).map_err(|e| e.to_string())
    })
    .unwrap();
    cluster.spawn(0).unwrap();
    cluster.spawn(1).unwrap();
    cluster.wait_healthy(&[0, 1]).unwrap();
    let said = examine(&site, 40);
    assert_case(&said, "membership-split", "never");
    assert!(headline(&said).starts_with("m3 answers and does not belong"), "{said:#}");
    let reasons = said["reasons"][0].as_str().unwrap();
    assert!(reasons.contains("it was removed, and still runs"), "{said:#}");
    assert!(reasons.contains("takes writes of its own"), "{said:#}");
    let _ = site.lifeboat(&["doctor", "--replace-member", "m2", "--yes", "--force"]).code(50);
}

fn cluster_member_id(cluster: &Cluster, name: &str) -> String {
    let list = cluster.etcdctl(&["member", "list"]).unwrap();
    let line = list.lines().find(|line| line.contains(&format!(", {name},"))).unwrap();
    line.split(',').next().unwrap().to_owned()
}

/// Logging in needs a majority: without one there is little to be asked, but the case is the same.
/// And nothing of a password gets onto a page.
fn where_one_must_log_in_the_cases_are_the_same(version: &EtcdVersion) {
    let spec = ClusterSpec::new(version).members(3).auth("s3cret-word");
    let mut cluster = spec.start().unwrap();
    let site = Site::new(&cluster).unwrap();
    assert_case(&examine(&site, 0), "healthy", "not-needed");
    for arguments in [&["doctor"][..], &["doctor", "--replace-member", "m1"]] {
        let ran = site.lifeboat(arguments);
        assert!(!format!("{ran:?}").contains("s3cret-word"), "{ran:?}");
    }
    cluster.kill(1).unwrap();
    cluster.kill(2).unwrap();
    let ran = site.lifeboat(&["doctor", "--json"]).code(10);
    assert!(!format!("{ran:?}").contains("s3cret-word"), "{ran:?}");
    assert_case(&ran.json(), "quorum-lost", "last-resort");
}

#[test]
fn where_one_must_log_in_the_newest_tells_less() {
    let name = "doctor_login_newest";
    if let Some(version) = or_skip(name, Etcd::newest()) {
        where_one_must_log_in_the_cases_are_the_same(&version);
    }
}

#[test]
fn where_one_must_log_in_an_old_one_tells_more() {
    if let Some(version) = or_skip("doctor_login_3_5", Etcd::version("3.5")) {
        where_one_must_log_in_the_cases_are_the_same(&version);
    }
}

#[test]
fn a_file_that_cannot_be_read_is_an_error_of_configuration() {
    let mut site = Site::without_cluster().unwrap();
    site.set("LIFEBOAT__CAPTURE__ENDPOINTS", "https://127.0.0.1:1");
    site.set("ETCDCTL_CACERT", "/not/there");
    let _ = site.lifeboat(&["doctor"]).code(3).said("cannot read /not/there");
}
