//! `docs/recovery.md` is typed here, command by command, into the situations that it is for, with
//! real etcd; then the cluster has to be well.
//!
//! Owns: which section is staged how (`NOTHING_IS_LOST` and the lists below it) and what a reader would put in
//! place of the examples (`Scene::words`). Every `sh` block and every command within a line counts:
//! one without a scenario fails, and so does a scenario that does not find its commands.
//! Invariant: `/var/lib/etcd` and `/etc/kubernetes` of this machine are never named to a program.
//!
//! Does not: run systemd. A stand-in writes down what it is told, and the test does it.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]
#![allow(clippy::disallowed_methods, reason = "throw-away files need no durability")]

use lifeboat_tests::cluster::MemberAddress;
use lifeboat_tests::restore_scene::{names, piped, tree};
use lifeboat_tests::site::{Ran, Site};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::tls::Validity;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, LoadSpec, Server, binaries, servers, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const RECOVERY: &str = include_str!("../../docs/recovery.md");
const RESTORE: &str = include_str!("../../docs/restore.md");

/// Spans that begin so are typed; others are names, flags and words.
const PROGRAMS: [&str; 5] = ["lifeboat ", "etcdctl ", "etcdutl ", "etcd ", "systemctl "];
/// What no command may still hold when it is run here.
const OF_THE_PAGE: [&str; 4] = ["/var/lib/etcd", "/etc/kubernetes", "cp-0", "10.0.0."];

/// Sections in the order in which one cluster goes through them. Each list has a cluster of its own.
const NOTHING_IS_LOST: [(&str, Scenario); 3] = [
    ("Recovery", well),
    ("2. The database is full", full),
    ("1. One member is lost", one_member_is_lost),
];
const THE_CLUSTER_IS_LOST: [(&str, Scenario); 2] = [
    ("3. Members disagree on membership", members_disagree),
    ("4. Quorum is lost", quorum_is_lost),
];
const ONE_MEMBER: [(&str, Scenario); 4] = [
    ("5. Unreachable from here", unreachable),
    ("6. Somebody deleted it", deleted),
    ("Before the night", drilled),
    ("Without Lifeboat", by_hand),
];

const SOMEBODY_WRITES: [(&str, Scenario); 1] = [("7. Somebody forged a backup", forged)];

type Scenario = fn(&mut Scene, Section);

/// For an etcd to catch up, to elect, or to be started.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
/// Fills quickly.
const QUOTA: &str = "--quota-backend-bytes=3000000";
/// The object of section 6, with every byte that a shell could spoil.
const OBJECT: &str = r"k8s\000\012\377 apiVersion \012\012";
const OBJECT_KEY: &str = "/registry/configmaps/default/settings";

/// The commands of one section, in order: blocks whole, and spans within lines.
struct Section {
    name: String,
    typed: Vec<String>,
}

impl Section {
    /// All of them. More or fewer are a change of the page that its test does not know.
    fn commands<const N: usize>(self) -> [String; N] {
        let (name, count) = (self.name, self.typed.len());
        self.typed.try_into().unwrap_or_else(|typed| {
            panic!("{name}: {count} commands, and the test has a part for {N}: {typed:#?}")
        })
    }
}

/// Sections of a page that hold commands.
fn sections(page: &str) -> Vec<Section> {
    let mut found = Vec::new();
    let (mut name, mut typed, mut fence) = (String::new(), Vec::new(), None);
    for line in page.lines() {
        match (&mut fence, line.strip_prefix("```")) {
            (None, Some(kind)) => fence = Some((kind.to_owned(), String::new())),
            (Some((kind, block)), Some(_)) => {
                assert_eq!(kind, "sh", "a block of another kind in {name}: {block}");
                typed.push(std::mem::take(block));
                fence = None;
            }
            (Some((_, block)), None) => *block += &format!("{line}\n"),
            (None, None) if line.starts_with('#') => {
                let title = line.trim_start_matches('#').trim().to_owned();
                let section = Section { name: std::mem::replace(&mut name, title), typed };
                found.push(section);
                typed = Vec::new();
            }
            (None, None) => typed.extend(spans(line)),
        }
    }
    assert!(fence.is_none(), "a block without an end");
    found.push(Section { name, typed });
    found.retain(|section| !section.typed.is_empty());
    found
}

fn spans(line: &str) -> Vec<String> {
    let parts: Vec<&str> = line.split('`').collect();
    assert!(parts.len() % 2 == 1, "a span of code goes over the end of: {line}");
    let code = parts.into_iter().skip(1).step_by(2);
    code.filter(|code| PROGRAMS.iter().any(|p| code.starts_with(p))).map(str::to_owned).collect()
}

fn play(scenarios: &[(&str, Scenario)], scene: &mut Scene) {
    let mut page = sections(RECOVERY);
    for (name, scenario) in scenarios {
        let at = page.iter().position(|section| section.name == *name);
        let at = at.unwrap_or_else(|| panic!("the page has no section {name:?} with commands"));
        scenario(scene, page.remove(at));
    }
}

#[test]
fn every_section_with_commands_has_a_scenario() {
    let scenarios = NOTHING_IS_LOST.iter().chain(&THE_CLUSTER_IS_LOST).chain(&ONE_MEMBER);
    let scenarios = scenarios.chain(&SOMEBODY_WRITES);
    let staged: BTreeSet<String> = scenarios.map(|(name, _)| (*name).to_owned()).collect();
    let written: BTreeSet<String> = sections(RECOVERY).into_iter().map(|s| s.name).collect();
    assert_eq!(written, staged);
    let page = "# a\n`lifeboat x` and `--flag`\n```sh\none\ntwo\n```\n## b\n`doctor`\n";
    let [section] = <[Section; 1]>::try_from(sections(page)).ok().unwrap();
    assert_eq!(section.commands(), ["lifeboat x", "one\ntwo\n"]);
}

/// The first column of the table is what the doctor can say, and nothing else.
#[test]
fn the_table_has_every_case_of_the_doctor() {
    let site = Site::without_cluster().unwrap();
    let help = site.lifeboat(&["doctor", "--help"]).code(0).stdout;
    let cases = help.split("The cases: ").nth(1).unwrap().split('.').next().unwrap();
    let words = cases.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
    let told: BTreeSet<&str> = words.filter(|word| !["", "and"].contains(word)).collect();
    let rows = RECOVERY.lines().filter_map(|line| line.strip_prefix("| `"));
    let first = rows.map(|row| row.split(" | ").next().unwrap());
    let written: BTreeSet<&str> =
        first.flat_map(|cell| cell.split('`').step_by(2)).filter(|word| is_case(word)).collect();
    assert_eq!(written, told);
}

fn is_case(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// Nothing is left to a default that is outside of the test's own directories.
fn assert_of_this_place(script: &str) {
    let left = OF_THE_PAGE.iter().find(|word| script.contains(**word));
    assert!(left.is_none(), "{left:?} is still in {script}");
    let lines = script.replace("\\\n", " ");
    for line in lines.lines().filter(|line| line.contains(" restore ")) {
        let is_said = ["--plan", "--data-dir"].iter().any(|flag| line.contains(flag));
        assert!(is_said, "it would write to the usual place of this machine: {line}");
    }
}

/// A cluster, the place of its operator, and what stands in for the page's examples.
struct Scene {
    cluster: Cluster,
    site: Site,
    /// What the examples of a time and of an id stand for here.
    time: String,
    new_id: String,
    /// The machine in place of the first member's, where that is another one.
    machine: Option<MemberAddress>,
    /// The ports of a throw-away etcd.
    look: MemberAddress,
}

impl Scene {
    fn new(spec: &ClusterSpec) -> Self {
        let cluster = spec.start().unwrap();
        let load = LoadSpec { objects: 30, updates: 10, deletes: 3, ..LoadSpec::default() };
        let _ = cluster.load(&LoadSpec { event_leases: 0, ..load }).unwrap();
        let site = Site::new(&cluster).unwrap();
        durable::create_private_dir(&site.path("stand-ins")).unwrap();
        let script = "#!/bin/sh\necho \"$@\" >> systemctl.log\nexit \"${SYSTEMCTL_EXIT:-0}\"\n";
        site.write("stand-ins/systemctl", script.as_bytes());
        let all = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(site.path("stand-ins/systemctl"), all).unwrap();
        durable::create_private_dir(&site.path("kubernetes/manifests")).unwrap();
        let look = ClusterSpec::new(cluster.version()).plan().unwrap().members()[0].clone();
        let (time, new_id) = (String::new(), String::new());
        Scene { cluster, site, time, new_id, machine: None, look }
    }

    /// What a reader puts in place of the examples, on the machine of one member.
    fn words(&self, node: usize) -> Vec<(&'static str, String)> {
        let members = self.cluster.members();
        let machine = self.machine.as_ref().unwrap_or(&members[node]);
        let first = self.machine.as_ref().unwrap_or(&members[0]);
        let third = members.get(2).unwrap_or(first);
        let artifact = self.site.objects("region_a", ".age").pop().unwrap_or_default();
        vec![
            // Only on the short page, where the directory is left to its default.
            ("--member cp-01 --replace", "--member m1 --replace --data-dir /var/lib/etcd".into()),
            ("/var/lib/etcd", machine.data_dir.display().to_string()),
            ("/etc/kubernetes", self.site.path("kubernetes").display().to_string()),
            ("cp-01", "m1".into()),
            ("cp-02", "m2".into()),
            ("cp-03", "m3".into()),
            ("https://10.0.0.1:2380", first.peer_url.clone()),
            ("https://10.0.0.3:2380", third.peer_url.clone()),
            ("http://127.0.0.1:23800", self.look.peer_url.clone()),
            ("http://127.0.0.1:23790", self.look.client_url.clone()),
            ("2026-11-20 02:00", self.time.clone()),
            ("cafe1234", self.new_id.clone()),
            ("identity.txt", "keys/identity.txt".into()),
            ("artifact.db.zst.age", artifact.display().to_string()),
        ]
    }

    /// Types it as an operator does on the machine of one member; a terminal gives `answer`.
    fn typed_on(&self, node: usize, text: &str, answer: Option<&str>) -> Ran {
        let mut script = text.to_owned();
        for (example, real) in self.words(node) {
            script = script.replace(example, &real);
        }
        assert_of_this_place(&script);
        // What a block leaves running when it fails half way ends with it.
        let head = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n";
        self.site.write("typed.sh", format!("{head}{script}").as_bytes());
        let mut shell = Command::new(if answer.is_some() { "script" } else { "bash" });
        match answer {
            Some(_) => shell.args(["-qec", "bash typed.sh", "/dev/null"]),
            None => shell.arg("typed.sh"),
        };
        let own = self.site.command("lifeboat");
        let variables = own.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        shell.current_dir(self.site.path("")).env_clear().envs(variables).env("PATH", self.path());
        let mut ran = match answer {
            Some(answer) => piped(&mut shell, answer.as_bytes()),
            None => Ran::of(&shell.stdin(Stdio::null()).output().unwrap()),
        };
        // Whoever reads of a failure has to see what was typed.
        ran.stderr = format!("$ {script}\n{}", ran.stderr);
        ran
    }

    fn typed(&self, text: &str) -> Ran {
        self.typed_on(0, text, None)
    }

    /// The stand-ins, our programs, those of etcd, age and zstd, and the machine's.
    fn path(&self) -> String {
        let mut folders = vec![self.site.path("stand-ins"), binaries::bin_dir().unwrap()];
        folders.push(self.cluster.version().etcd.parent().unwrap().to_path_buf());
        let tools = ["age", "zstd"].map(servers::tool);
        let parent = |tool: PathBuf| tool.parent().map(Path::to_path_buf);
        folders.extend(tools.into_iter().flatten().filter_map(parent));
        folders.extend(["/usr/bin", "/bin"].map(PathBuf::from));
        let folders: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        folders.join(":")
    }

    /// What the page begins with, and the case that it must name.
    fn says(&self, case: &str, code: i32) {
        let ran = self.typed("lifeboat doctor").code(code);
        assert!(ran.stdout.contains(&format!("case      {case}, ")), "{case}: {}", ran.stdout);
    }

    fn becomes_healthy(&self) {
        let healthy = || match self.site.lifeboat(&["doctor"]) {
            ran if ran.code == 0 => Ok(()),
            ran => Err(ran.stdout + &ran.stderr),
        };
        wait_until("the cluster to be healthy", CATCH_UP_LIMIT, healthy).unwrap();
        self.says("healthy", 0);
        let _ = self.cluster.etcdctl(&["put", "a write", "is taken"]).unwrap();
    }

    /// What systemd was told since the last time.
    fn systemd_was_told(&self) -> String {
        let log = self.site.path("systemctl.log");
        let told = std::fs::read_to_string(&log).unwrap_or_default();
        let _ = std::fs::remove_file(log);
        told
    }

    /// Every key with its value and revisions, as etcdctl prints them.
    fn keys(&self) -> Vec<String> {
        keys(&self.cluster)
    }
}

fn keys(cluster: &Cluster) -> Vec<String> {
    let text = cluster.etcdctl(&["get", "", "--prefix", "--write-out", "fields"]).unwrap();
    let of_header = ["\"ClusterID\"", "\"MemberID\"", "\"RaftTerm\"", "\"Revision\""];
    let rest = text.lines().filter(|line| !of_header.iter().any(|h| line.starts_with(h)));
    rest.map(str::to_owned).collect()
}

fn three_members(test: &str, scenarios: &[(&str, Scenario)]) {
    let Some(version) = or_skip(test, Etcd::newest()) else { return };
    let spec = ClusterSpec::new(&version).members(3).arguments(&[QUOTA]);
    play(scenarios, &mut Scene::new(&spec));
}

#[test]
fn where_nothing_is_lost_the_page_mends_it() {
    three_members("where_nothing_is_lost_the_page_mends_it", &NOTHING_IS_LOST);
}

#[test]
fn where_quorum_is_lost_the_page_brings_it_back() {
    three_members("where_quorum_is_lost_the_page_brings_it_back", &THE_CLUSTER_IS_LOST);
}

#[test]
fn one_member_is_looked_at_drilled_and_brought_back_by_hand() {
    let name = "one_member_is_looked_at_drilled_and_brought_back_by_hand";
    let Some(version) = or_skip(name, Etcd::newest()) else { return };
    let tools = ["age", "zstd"].map(|tool| or_skip(name, servers::tool(tool)));
    if tools.iter().any(Option::is_none) {
        return;
    }
    let mut scene = Scene::new(&ClusterSpec::new(&version).tls());
    play(&ONE_MEMBER, &mut scene);
    the_short_page(&mut scene);
}

#[test]
fn f48_what_somebody_forged_is_seen_and_put_right() {
    let Some(version) = or_skip("f48_forged_page", Etcd::newest()) else { return };
    play(&SOMEBODY_WRITES, &mut Scene::new(&ClusterSpec::new(&version)));
}

fn forged(scene: &mut Scene, section: Section) {
    let [status, look, sync, run] = section.commands();
    let key = scene.site.lifeboat(&["keygen-signing", "keys/signing.pem"]).code(0).stdout;
    scene.site.set("LIFEBOAT__ENCRYPT__SIGNING_KEY_FILE", "keys/signing.pem");
    scene.site.set("LIFEBOAT__TRUST__SIGNERS", &format!("[{:?}]", key.trim()));
    let _ = scene.site.lifeboat(&["run"]).code(0);
    let path = scene.site.objects("region_a", ".json").pop().unwrap();
    let right = std::fs::read_to_string(&path).unwrap();
    let forged = right.replacen("\"total_key_live\": ", "\"total_key_live\": 1", 1);
    assert_ne!(right, forged);
    std::fs::write(&path, forged).unwrap();
    assert!(scene.typed(&status).code(22).stdout.contains("FORGED"));
    assert!(scene.typed(&look).code(0).stdout.contains("(forged: the manifest is unusable"));
    let _ = scene.typed(&sync).code(22).said("damaged bytes were kept");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), right);
    let _ = scene.typed(&status).code(0);
    // Then an old state is put back everywhere: there is only one older one here.
    let _ = scene.site.lifeboat(&["run"]).code(0);
    for region in ["region_a", "region_b"] {
        for suffix in [".json", ".age"] {
            std::fs::remove_file(scene.site.objects(region, suffix).pop().unwrap()).unwrap();
        }
    }
    assert!(scene.typed(&status).code(22).stdout.contains("ROLLED BACK"));
    let _ = scene.typed(&run).code(0);
    let _ = scene.typed(&status).code(0);
}

fn well(scene: &mut Scene, section: Section) {
    let [doctor, plan] = section.commands();
    assert_eq!(doctor.trim(), "lifeboat doctor", "what `says` types");
    scene.says("healthy", 0);
    let _ = scene.site.lifeboat(&["run"]).code(0);
    let theirs = scene.typed(&format!("{plan} --flavour k3s")).code(0).stdout;
    assert!(theirs.contains("--cluster-reset"), "{theirs}");
}

fn one_member_is_lost(scene: &mut Scene, section: Section) {
    let [first, replace, stop, start] = section.commands();
    // With its data whole.
    scene.cluster.stop(1).unwrap();
    scene.says("member-down", 40);
    let _ = scene.typed_on(1, &first, None).code(0);
    assert_eq!(scene.systemd_was_told(), "start etcd\n");
    scene.cluster.restart(1).unwrap();
    scene.becomes_healthy();

    // With its data lost.
    scene.cluster.kill(1).unwrap();
    let refused = scene.typed_on(1, &replace, Some("no\n"));
    assert_ne!(refused.code, 0, "{refused:?}");
    let ran = scene.typed_on(1, &replace, Some("yes\n")).code(0);
    let printed = flags(&ran.stdout, "m2");
    for step in [&stop, &start] {
        step.lines().for_each(|line| assert!(ran.stdout.contains(line), "{line}"));
    }
    move_aside(scene, 1, &stop);
    let _ = scene.typed_on(1, &start, None).code(0);
    assert_eq!(scene.systemd_was_told(), "start etcd\n");
    with_its_old_flags_it_does_not_join(scene, 1);
    let server = start_as_printed(&scene.cluster, 1, &printed);
    scene.becomes_healthy();
    back_to_the_harness(scene, 1, server);
    static_pods(scene, &stop, &start);
}

/// Runs the block that stops etcd and moves its data; the data must be elsewhere and whole.
fn move_aside(scene: &Scene, node: usize, stop: &str) {
    let data_dir = scene.cluster.members()[node].data_dir.clone();
    let before = tree(&data_dir);
    let _ = scene.typed_on(node, stop, None).code(0);
    assert_eq!(scene.systemd_was_told(), "stop etcd\n");
    assert!(!data_dir.exists());
    let beside = names(data_dir.parent().unwrap());
    let start = format!("{}.before-", data_dir.file_name().unwrap().to_string_lossy());
    let moved = beside.iter().rfind(|name| name.starts_with(&start)).unwrap();
    assert_eq!(tree(&data_dir.with_file_name(moved)), before);
}

fn with_its_old_flags_it_does_not_join(scene: &mut Scene, node: usize) {
    scene.cluster.spawn(node).unwrap();
    let refused = scene.cluster.wait_healthy(&[node]).unwrap_err();
    assert!(refused.to_string().contains("it ended with"), "{refused}");
    let _ = std::fs::remove_dir_all(&scene.cluster.members()[node].data_dir);
}

/// Where etcd is a static pod, the same lines move its manifest away and back.
fn static_pods(scene: &mut Scene, stop: &str, start: &str) {
    scene.site.set("SYSTEMCTL_EXIT", "5");
    scene.site.write("kubernetes/manifests/etcd.yaml", b"the pod");
    let (away, there) = ("kubernetes/etcd.yaml", "kubernetes/manifests/etcd.yaml");
    let only_the_pod = stop.lines().next().unwrap();
    let _ = scene.typed(only_the_pod).code(0);
    assert!(scene.site.path(away).exists() && !scene.site.path(there).exists());
    let _ = scene.typed(start).code(0);
    assert!(scene.site.path(there).exists() && !scene.site.path(away).exists());
    scene.site.unset("SYSTEMCTL_EXIT");
    let _ = scene.systemd_was_told();
}

/// The flags that are printed for a member that is added, which the page names.
fn flags(printed: &str, member: &str) -> String {
    let start = format!("--name={member} ");
    let line = printed.lines().map(str::trim).find(|line| line.starts_with(&start)).unwrap();
    for flag in ["--initial-cluster-state=existing", "--initial-cluster="] {
        assert!(line.contains(flag), "{line}");
        assert!(RECOVERY.contains(&format!("`{}`", flag.trim_end_matches('='))), "{flag}");
    }
    line.to_owned()
}

fn start_as_printed(cluster: &Cluster, node: usize, flags: &str) -> Server {
    let member = &cluster.members()[node];
    let mut command = Command::new(&cluster.version().etcd);
    command.env_clear().current_dir(cluster.dir()).args(flags.split_whitespace());
    command.arg("--data-dir").arg(&member.data_dir).args([QUOTA, "--log-level", "error"]);
    command.args(["--listen-peer-urls", &member.peer_url, "--unsafe-no-fsync"]);
    for flag in ["--listen-client-urls", "--advertise-client-urls"] {
        command.args([flag, &member.client_url]);
    }
    let log = cluster.dir().join("replaced.log");
    Server::spawn("the replaced member", &mut command, &log).unwrap()
}

/// The harness goes on with a member that was started from what was printed.
fn back_to_the_harness(scene: &mut Scene, node: usize, server: Server) {
    server.kill().unwrap();
    scene.cluster.spawn(node).unwrap();
    scene.cluster.wait_healthy(&[0, 1, 2]).unwrap();
}

fn full(scene: &mut Scene, section: Section) {
    let [way_out, show] = section.commands();
    let value = "x".repeat(100_000);
    let put = |n: usize| scene.cluster.etcdctl(&["put", &format!("key-{}", n % 3), &value]);
    assert!((0..90).any(|n| put(n).is_err()), "it never filled up");
    scene.says("no-space", 40);
    let before = scene.site.backups().len();
    let ran = scene.typed(&way_out).code(0);
    assert!(ran.stdout.contains("healthy"), "{ran:?}");
    assert_eq!(scene.site.backups().len(), before + 1, "it was saved before the history went");
    let _ = put(0).unwrap();
    scene.becomes_healthy();
    let shown = scene.typed(&show).code(0);
    assert!(shown.stdout.contains("configmaps"), "{}", shown.stdout);
}

/// As in `doctor.rs`: a removed member that somebody started as a cluster of its own.
fn members_disagree(scene: &mut Scene, section: Section) {
    let [add] = section.commands();
    let stop = the_stop_of_section_1();
    let cluster = &mut scene.cluster;
    cluster.stop(2).unwrap();
    let list = cluster.etcdctl(&["member", "list"]).unwrap();
    let line = list.lines().find(|line| line.contains(", m3,")).unwrap();
    let _ = cluster.etcdctl(&["member", "remove", line.split(',').next().unwrap()]).unwrap();
    cluster.stop(0).unwrap();
    cluster.stop(1).unwrap();
    let odd = start_as_printed(cluster, 2, "--name=m3 --force-new-cluster");
    wait_until("the removed member to answer", CATCH_UP_LIMIT, || {
        cluster.etcdctl_at(2, &["endpoint", "health"]).map_err(|e| e.to_string())
    })
    .unwrap();
    // While they read their logs again, the others take the odd one for a peer; its word that they do
    // not belong to its cluster would end them.
    odd.signal(Signal::STOP).unwrap();
    cluster.spawn(0).unwrap();
    cluster.spawn(1).unwrap();
    cluster.wait_healthy(&[0, 1]).unwrap();
    odd.signal(Signal::CONT).unwrap();
    scene.says("membership-split", 40);

    odd.kill().unwrap();
    move_aside(scene, 2, &stop);
    let ran = scene.typed_on(2, &add, Some("yes\n")).code(0);
    let server = start_as_printed(&scene.cluster, 2, &flags(&ran.stdout, "m3"));
    scene.becomes_healthy();
    back_to_the_harness(scene, 2, server);
}

fn the_stop_of_section_1() -> String {
    let lost = sections(RECOVERY).into_iter().find(|section| section.name.starts_with("1. "));
    let stop = lost.unwrap().typed.into_iter().find(|text| text.contains("systemctl stop"));
    stop.unwrap()
}

fn quorum_is_lost(scene: &mut Scene, section: Section) {
    let [plan, restore, accept, undo] = section.commands();
    let _ = scene.site.lifeboat(&["run"]).code(0);
    let (saved, seen) = (scene.keys(), scene.cluster.revision(0).unwrap());
    let _ = scene.cluster.etcdctl(&["put", "written", "since the backup"]).unwrap();
    scene.cluster.kill(1).unwrap();
    scene.cluster.kill(2).unwrap();
    scene.says("quorum-lost", 10);
    let planned = scene.typed(&plan).code(0).stdout;
    assert!(planned.contains("--member m1") && planned.contains("--member m3"), "{planned}");
    assert_eq!(names(&scene.site.path("plan")), ["m1.sh", "m2.sh", "m3.sh"]);
    let markdown = std::fs::read_to_string(scene.site.path("recovery-plan.md")).unwrap();
    assert!(markdown.starts_with('#') && markdown.contains("restore --undo"), "{markdown}");

    // The page says to stop etcd everywhere; until then nothing is touched.
    let old = scene.cluster.members()[0].data_dir.clone();
    let _ = scene.typed(&restore).code(50);
    scene.cluster.stop(0).unwrap();
    let before = tree(&old);
    let _ = scene.typed(&restore).code(0);
    assert_ne!(tree(&old), before);
    let _ = scene.typed(&undo).code(0);
    assert_eq!(tree(&old), before, "byte for byte");
    let ran = scene.typed(&restore).code(0);
    for node in [1, 2] {
        let on = format!("on m{}: ", node + 1);
        let command = ran.stdout.lines().find_map(|line| line.split_once(&on)).unwrap().1;
        let other = scene.cluster.members()[node].data_dir.display().to_string();
        let command = command.replace(&old.display().to_string(), &other);
        let _ = scene.typed_on(node, &command, None).code(0);
    }
    (0..3).for_each(|node| scene.cluster.spawn(node).unwrap());
    scene.cluster.wait_healthy(&[0, 1, 2]).unwrap();
    assert_eq!(scene.keys(), saved, "what the backup holds, and nothing that came after");
    assert!(scene.cluster.revision(0).unwrap() > seen + 1_000_000);
    scene.becomes_healthy();
    accepted(scene, &ran.stdout, &accept);
}

/// The new cluster is refused until its id is accepted, with the command that was printed.
fn accepted(scene: &mut Scene, restored: &str, accept: &str) {
    scene.new_id = format!("{:x}", scene.cluster.status_of(0).unwrap().cluster_id);
    // What is printed names the configuration, too, where that is not in its usual place.
    let config = format!(" -c {}", scene.site.path("pipeline.toml").display());
    let typed = accept.replace("cafe1234", &scene.new_id);
    let printed = restored.replace(&config, "");
    assert!(printed.contains(typed.trim()), "{typed} is not what was printed: {restored}");
    let _ = scene.site.lifeboat(&["run"]).code(50).said(&scene.new_id);
    let _ = scene.typed(accept).code(0);
    let _ = scene.site.lifeboat(&["run"]).code(0);
}

fn unreachable(scene: &mut Scene, section: Section) {
    let [look] = section.commands();
    let kept = scene.cluster.endpoint(0).to_owned();
    for (name, value) in
        [("ETCDCTL_ENDPOINTS", "https://127.0.0.1:1"), (ENDPOINTS, "https://127.0.0.1:1")]
    {
        scene.site.set(name, value);
    }
    scene.says("unreachable", 10);
    scene.site.set("ETCDCTL_ENDPOINTS", &kept);
    scene.site.set(ENDPOINTS, &kept);
    // From a node of the control plane.
    let ran = scene.typed(&look).code(0);
    assert!(ran.stdout.contains(&kept), "{ran:?}");

    let certificates = scene.cluster.certificates().unwrap();
    let client = certificates.client();
    let expired = certificates.issue_client("expired", Validity::Expired).unwrap();
    scene.site.set("ETCDCTL_CERT", &expired.certificate.display().to_string());
    scene.site.set("ETCDCTL_KEY", &expired.key.display().to_string());
    let ran = scene.typed("lifeboat doctor").code(11);
    assert!(ran.stdout.contains("it is reached and refuses"), "{ran:?}");
    scene.site.set("ETCDCTL_CERT", &client.certificate.display().to_string());
    scene.site.set("ETCDCTL_KEY", &client.key.display().to_string());
    scene.says("healthy", 0);
}

const ENDPOINTS: &str = "LIFEBOAT__CAPTURE__ENDPOINTS";

fn deleted(scene: &mut Scene, section: Section) {
    let [look] = section.commands();
    let _ = scene.typed(&format!("printf '{OBJECT}' | etcdctl put {OBJECT_KEY}")).code(0);
    let value = |scene: &Scene| -> Value {
        let got = scene.cluster.etcdctl_json(0, &["get", OBJECT_KEY]).unwrap();
        got["kvs"][0]["value"].clone()
    };
    let before = value(scene);
    assert!(before.is_string(), "{before}");
    let _ = scene.site.lifeboat(&["run"]).code(0);
    scene.time = scene.site.manifests("region_a")[0]["taken_at"].as_str().unwrap().to_owned();
    let _ = scene.cluster.etcdctl(&["del", OBJECT_KEY]).unwrap();
    // A later backup, in which it is gone.
    scene.site.write("clock", b"7200");
    scene.site.set("LIFEBOAT_TEST_CLOCK_FILE", &scene.site.path("clock").display().to_string());
    let _ = scene.site.lifeboat(&["run"]).code(0);
    let untouched = names(&scene.site.path(""));
    let ran = scene.typed(&look).code(0);
    assert!(ran.stdout.contains(OBJECT_KEY), "{ran:?}");
    assert_eq!(value(scene), before, "byte for byte");
    let mut left = names(&scene.site.path(""));
    left.retain(|name| !untouched.contains(name));
    assert!(left.is_empty(), "{left:?}");

    // In place of `latest`, where all of it must go back.
    let first = scene.site.manifests("region_a")[0].clone();
    let revision = format!("--revision {}", first["snapshot"]["revision"]);
    for which in ["--at '2026-11-20 02:00'", &revision] {
        let planned = scene.typed(&format!("lifeboat restore --plan {which}")).code(0).stdout;
        assert!(planned.contains(first["backup"].as_str().unwrap()), "{which}: {planned}");
    }
}

fn drilled(scene: &mut Scene, section: Section) {
    let [list, drill, show] = section.commands();
    assert!(!scene.typed(&list).code(0).stdout.contains("proven"));
    let _ = scene.typed(&drill).code(0);
    let listed = scene.typed(&list).code(0);
    assert!(listed.stdout.contains("proven"), "{listed:?}");
    let _ = scene.typed(&show).code(0);
}

fn by_hand(scene: &mut Scene, section: Section) {
    let [open] = section.commands();
    let saved = scene.keys();
    let _ = scene.site.lifeboat(&["run"]).code(0);
    // On a new machine, with its own address.
    let plan = ClusterSpec::new(scene.cluster.version()).plan().unwrap();
    scene.machine = Some(plan.members()[0].clone());
    let _ = scene.typed(&open).code(0);
    scene.machine = None;
    assert_eq!(keys(&plan.start().unwrap()), saved);
}

/// The commands at the head of `docs/restore.md`, each with words of explanation behind it.
fn the_short_page(scene: &mut Scene) {
    let lines = RESTORE.lines().filter_map(|line| line.strip_prefix("    lifeboat "));
    let typed: Vec<String> =
        lines.map(|line| format!("lifeboat {}", line.split("   ").next().unwrap())).collect();
    let [plan, restore, undo] = <[String; 3]>::try_from(typed).unwrap();
    let data_dir = scene.cluster.members()[0].data_dir.clone();
    scene.cluster.stop(0).unwrap();
    let before = tree(&data_dir);
    let _ = scene.typed(&plan).code(0);
    assert_eq!(tree(&data_dir), before);
    let _ = scene.typed(&restore).code(0);
    assert_ne!(tree(&data_dir), before);
    let _ = scene.typed(&undo).code(0);
    assert_eq!(tree(&data_dir), before);
    scene.cluster.restart(0).unwrap();
    scene.becomes_healthy();
}
