//! Faults of the machine that Lifeboat runs on: disks that fill up, fail or lie, closed and full
//! outputs, missing and lying programs, names that lead nowhere. Data decide what a run says of
//! itself; nothing here may turn a failure into a success, or half a file into a whole one.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{REGIONS, Ran, Site, shipped};
use lifeboat_tests::skips::{can_mount, or_skip, skip};
use lifeboat_tests::{Cluster, ClusterSpec, Etcd, run};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Objects of a database of some 8 MB: more than all pipes between two stages hold.
const PIPES_FULL: usize = 4_000;

fn cluster_and_site(test: &str, objects: usize) -> Option<(Cluster, Site)> {
    let cluster = ClusterSpec::new(&or_skip(test, Etcd::newest())?).start().unwrap();
    let _ = cluster.load(&LoadSpec::bulk(3, objects)).unwrap();
    let mut site = Site::new(&cluster).unwrap();
    site.set("LIFEBOAT__RUN__ATTEMPTS", "1");
    Some((cluster, site))
}

fn without_prune() -> String {
    shipped().split_once("[prune]\n").unwrap().0.replace(", \"prune\"]", "]")
}

/// A program of ours, started by another one that makes the machine worse.
fn under(site: &Site, wrapper: &[&str], program: &str, arguments: &[&str]) -> Ran {
    let ours = site.command(program);
    let mut command = Command::new(wrapper[0]);
    command.args(&wrapper[1..]).arg(ours.get_program()).args(arguments);
    command.current_dir(site.path("")).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&command.stdin(std::process::Stdio::null()).output().unwrap())
}

/// A program of ours, started by a shell that has put something else in place of its outputs.
fn in_shell(site: &Site, script: &str) -> Ran {
    let script = format!("PATH=$(dirname \"$0\"):$PATH; {script}");
    under(site, &["sh", "-c", &script], "lifeboat", &[])
}

/// Whether system calls can be watched, and made to fail, here.
fn can_trace(test: &str) -> bool {
    let tried = run(Command::new("strace").args(["-f", "-e", "trace=fsync", "true"]));
    if let Err(e) = &tried {
        skip(test, &format!("strace cannot be used: {e}"));
    }
    tried.is_ok()
}

fn report_of_last_run(site: &Site) -> Value {
    let runs = fs::read_dir(site.path("state/demo/runs")).unwrap();
    let newest = runs.map(|entry| entry.unwrap().path()).max().unwrap();
    serde_json::from_slice(&fs::read(newest.join("report.json")).unwrap()).unwrap()
}

/// The disk says that what was written did not get there. Only the n-th sync of every process
/// fails: a second try would succeed, without the data.
#[test]
fn f10_i03_a_failed_sync_means_lost_data_and_is_never_tried_again() {
    let test = "f10_failed_sync";
    let Some((_cluster, site)) = cluster_and_site(test, 50) else { return };
    if !can_trace(test) {
        return;
    }
    let mut stored = 0;
    let mut nth = 1;
    loop {
        let inject = format!("inject=fsync,fdatasync:error=EIO:when={nth}");
        let trace = ["strace", "-f", "-qq", "-o", "trace", "-e", "trace=fsync,fdatasync", "-e"];
        let ran = under(&site, &[&trace[..], &[&inject]].concat(), "lifeboat", &["run", "--json"]);
        if !fs::read_to_string(site.path("trace")).unwrap().contains("INJECTED") {
            // There are no so many.
            let _ = ran.code(0);
            break;
        }
        // What only makes the next run quicker may be lost with a warning.
        let is_told = ran.code == 0 && ran.stderr.contains("last-backup.json cannot be written");
        assert!(is_told || ran.code == 30, "sync {nth}: {}", ran.stderr);
        assert!(is_told || ran.stderr.contains("os error 5"), "sync {nth}: {}", ran.stderr);
        // After the commit a sync may fail, too: that is told, and the backup is listed.
        let says_stored = ["is stored and proved", "is committed"];
        stored += usize::from(says_stored.iter().any(|words| ran.stderr.contains(words)));
        assert_eq!(site.backups().len(), stored, "sync {nth}: {}", ran.stderr);
        assert_nothing_partial(&site);
        nth += 1;
    }
    assert!(nth > 5, "only {nth} syncs");
    let _ = site.lifeboat(&["run"]).code(0);
    site.assert_fetchable();
    one_file_alone(&site);
}

/// A hidden unfinished file is litter; a name that somebody lists must be whole.
fn assert_nothing_partial(site: &Site) {
    for region in REGIONS {
        let names = site.objects(region, "");
        let manifests = names.iter().filter(|p| p.to_string_lossy().ends_with(".json")).count();
        let artifacts = names.iter().filter(|p| p.to_string_lossy().ends_with(".age")).count();
        assert!(manifests <= artifacts, "{names:?}");
    }
}

/// Read and write errors of one stage with one output file.
fn one_file_alone(site: &Site) {
    for (call, words) in [("fsync", "sync"), ("write", "write"), ("read", "read")] {
        let paths = site.path("fetched.db");
        // Of the reads only those of the input are meant, of the writes the first one.
        let inject = match call {
            "write" => "inject=write:error=EIO:when=1".to_owned(),
            _ => format!("inject={call}:error=EIO"),
        };
        let trace = format!("trace={call}");
        let mut wrapper = vec!["strace", "-f", "-qq", "-o", "trace", "-e", &trace, "-e", &inject];
        if call == "read" {
            wrapper.extend(["-P", paths.to_str().unwrap()]);
        }
        let source = paths.to_str().unwrap();
        let ran = under(site, &wrapper, "lifeboat-compress", &["-i", source, "-o", "out.zst"]);
        assert_eq!(ran.code, 30, "{call}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{call}: {}", ran.stderr);
        assert!(!site.path("out.zst").exists(), "{call}: an output appeared");
    }
}

/// What a power cut leaves: the name comes after the bytes are on the disk, and the directory
/// after the name.
#[test]
fn f11_i03_a_name_appears_only_after_its_bytes_are_on_the_disk() {
    let test = "f11_order";
    let Some((_cluster, site)) = cluster_and_site(test, 50) else { return };
    if !can_trace(test) {
        return;
    }
    let calls = "trace=write,pwrite64,fsync,fdatasync,linkat,link,rename,renameat,renameat2";
    // A file for each thread: in one file, calls of several threads are torn apart.
    fs::create_dir(site.path("traces")).unwrap();
    let wrapper = ["strace", "-ff", "-qq", "-y", "-o", "traces/of", "-e", calls];
    let _ = under(&site, &wrapper, "lifeboat", &["run"]).code(0);
    let trace = traces(&site);
    let named = names_given(&trace);
    // Manifests and artifacts in two places, six receipts, the plan and the report.
    assert!(named.len() >= 2 * 2 + STEPS + 2, "{named:?}\n{trace}");
    for (line, name) in &named {
        assert_synced_around(&trace, *line, name);
    }
}

const STEPS: usize = 6;

/// All calls, those of one thread after those of another, each behind the thread's number.
fn traces(site: &Site) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(site.path("traces")).unwrap() {
        let path = entry.unwrap().path();
        let thread = path.extension().unwrap().to_str().unwrap().to_owned();
        let calls = fs::read_to_string(&path).unwrap();
        all.extend(calls.lines().map(|line| format!("{thread} {line}\n")));
    }
    all
}

/// Where a file got its final name, and which.
fn names_given(trace: &str) -> Vec<(usize, String)> {
    let gives = |line: &str| line.contains("link(") || line.contains("linkat(");
    let moves = |line: &str| line.contains("rename");
    let mut found = Vec::new();
    for (number, line) in trace.lines().enumerate().filter(|(_, l)| gives(l) || moves(l)) {
        // The last quoted word is the new name; a failed call gives none.
        if let Some(name) = line.rsplit('"').nth(1).filter(|_| line.ends_with("= 0")) {
            found.push((number, name.to_owned()));
        }
    }
    found
}

fn assert_synced_around(trace: &str, at: usize, name: &str) {
    let lines: Vec<&str> = trace.lines().collect();
    let (pid, call) = lines[at].split_once(' ').unwrap();
    let own = |line: &&&str| line.starts_with(&format!("{pid} "));
    // An unnamed file is known by its descriptor, a hidden one by its path.
    let descriptor = call.split("/proc/self/fd/").nth(1).and_then(|rest| rest.split('"').next());
    let hidden = call.split('"').nth(1).unwrap().to_owned();
    let is_file = |line: &str| match descriptor {
        Some(number) => line.contains(&format!("({number}<")),
        None => line.contains(hidden.rsplit('/').next().unwrap()),
    };
    let before: Vec<&&str> = lines[..at].iter().filter(|line| own(line) && is_file(line)).collect();
    let last = before.last().unwrap_or_else(|| panic!("{name} was not even written\n{trace}"));
    assert!(last.contains("sync("), "{name}: the last before the name is {last}");
    let directory = Path::new(name).parent().unwrap().to_str().unwrap().to_owned();
    let after = lines[at + 1..].iter().filter(own);
    let is_sync = |line: &&str| line.contains("sync(") && line.contains(&format!("{directory}>"));
    assert!(after.copied().any(|line| is_sync(&line)), "{directory} was not synced after {name}");
}

/// How much is needed is known, and so is what is there.
#[test]
fn f09_a_fetch_that_will_not_fit_is_refused_before_it_begins() {
    let test = "f09_fetch";
    let Some((_cluster, site)) = cluster_and_site(test, 500) else { return };
    if !can_mount(test) {
        return;
    }
    let _ = site.lifeboat(&["run"]).code(0);
    fs::create_dir(site.path("small")).unwrap();
    let small = |command: &str| {
        let script = format!(
            "mount -t tmpfs -o size=256k none small || exit 99
             {command}; code=$?; ls -A small; exit $code"
        );
        let script = format!("PATH=$(dirname \"$0\"):$PATH; {script}");
        under(&site, &["unshare", "-rm", "sh", "-c", &script], "lifeboat", &[])
    };
    let ran = small("lifeboat fetch -o small/back.db").code(30);
    let ran = ran.said("bytes are needed and 262144 are free").said("next: ");
    assert_eq!(ran.stdout, "", "something was left");
    // Nobody knows it before, and then it is just as true.
    let _ = site.lifeboat(&["fetch", "-o", "back.db"]).code(0);
    for program in ["lifeboat-verify", "lifeboat-encrypt"] {
        let ran = small(&format!("{program} -i back.db -o small/out")).code(30);
        let ran = ran.said("no space left for").said("next: ");
        assert_eq!(ran.stdout, "", "{program} left something");
    }
}

/// Outputs that cannot be written: the data decide how the run ends.
#[test]
fn f53_closed_and_full_outputs_change_nothing_about_the_data() {
    let Some((_cluster, mut site)) = cluster_and_site("f53_outputs", 50) else { return };
    site.configure(&without_prune()).unwrap();
    let outputs = [
        ">/dev/full",
        "2>/dev/full",
        ">/dev/full 2>&1",
        ">&-",
        "2>&-",
        ">&- 2>&-",
        "2>log/full",
        "| true; exit ${PIPESTATUS:-0}",
    ];
    for (number, output) in outputs.iter().enumerate() {
        let script = match output.starts_with('|') {
            // The reader of the answer is gone; the exit code goes by a file.
            true => "(lifeboat run --json; echo $? > code) | true; exit $(cat code)".to_owned(),
            false => format!("lifeboat run --json {}", output.replace("log/full", "/dev/full")),
        };
        let _ = in_shell(&site, &script).code(0);
        assert_eq!(site.backups().len(), number + 1, "{output}");
        assert_eq!(report_of_last_run(&site)["exit"], 0, "{output}");
    }
    site.assert_fetchable();
    // A stage alone, whose log goes nowhere.
    let _ = in_shell(&site, "lifeboat-verify -i fetched.db -o copy.db 2>/dev/full").code(0);
    assert_eq!(fs::read(site.path("copy.db")).unwrap(), fs::read(site.path("fetched.db")).unwrap());
    // Its data are another matter.
    let _ = in_shell(&site, "lifeboat-verify -i fetched.db >/dev/full").code(30);
    let _ = in_shell(&site, "lifeboat list >/dev/full").code(30);
    let _ = in_shell(&site, "lifeboat list | true").code(0);
    // A failure stays one where nobody can be told.
    site.set("LIFEBOAT__CAPTURE__ENDPOINTS", "http://127.0.0.1:1");
    for output in [">/dev/full 2>&1", ">&- 2>&-"] {
        let _ = in_shell(&site, &format!("lifeboat run --json {output}")).code(10);
        assert_eq!(report_of_last_run(&site)["exit"], 10, "{output}");
    }
    assert_eq!(site.backups().len(), outputs.len());
}

/// A folder with the programs of ours, of which one is something else. `lifeboat` is a copy, as it
/// looks for its stages beside itself.
fn installed_with(site: &Site, stage: &str, instead: Option<(&str, u32)>) -> PathBuf {
    let folder = site.path("bin");
    fs::create_dir_all(&folder).unwrap();
    let real = PathBuf::from(site.command("lifeboat").get_program());
    if !folder.join("lifeboat").exists() {
        fs::copy(&real, folder.join("lifeboat")).unwrap();
    }
    for name in ["capture", "verify", "compress", "encrypt", "replicate", "prune", "catalogue"] {
        let file = format!("lifeboat-{name}");
        let _ = fs::remove_file(folder.join(&file));
        match instead {
            _ if name != stage => symlink(real.with_file_name(&file), folder.join(&file)).unwrap(),
            None => {}
            Some((script, mode)) => {
                let script = script.replace("REAL", real.with_file_name(&file).to_str().unwrap());
                fs::write(folder.join(&file), script).unwrap();
                let mode = fs::Permissions::from_mode(mode);
                fs::set_permissions(folder.join(&file), mode).unwrap();
            }
        }
    }
    folder.join("lifeboat")
}

/// What stands in place of the program of a stage, the exit code and the words that follow.
type Impostor = (&'static str, Option<(&'static str, u32)>, i32, &'static str);

const UNSIGNED: &str = "compress failed: ended as if it had succeeded, and left no receipt";

const IMPOSTORS: [Impostor; 10] = [
    ("it is missing", None, 2, "there is no program \"lifeboat-compress\""),
    ("it may not be executed", Some(("#!/bin/sh\n", 0o600)), 3, "lifeboat-compress"),
    ("it is no program", Some(("\x7fELF nonsense", 0o700)), 1, "lifeboat-compress"),
    ("its interpreter is missing", Some(("#!/no/such/shell\n", 0o700)), 3, "lifeboat-compress"),
    ("it only prints", Some(("#!/bin/sh\necho garbage\n", 0o700)), 1, UNSIGNED),
    ("it copies and signs for nothing", Some(("#!/bin/sh\nexec cat\n", 0o700)), 1, UNSIGNED),
    (
        "it succeeds without an output",
        Some(("#!/bin/sh\nexec cat >/dev/null\n", 0o700)),
        1,
        UNSIGNED,
    ),
    (
        "it says more than it wrote",
        Some(("#!/bin/sh\nREAL \"$@\" | (head -c 1000; cat >/dev/null)\n", 0o700)),
        20,
        "\"compress\" wrote",
    ),
    (
        "it signs for other bytes",
        Some(("#!/bin/sh\nREAL \"$@\" | tr '\\000' '\\001'\n", 0o700)),
        20,
        "\"compress\" wrote",
    ),
    (
        "it is of another version",
        Some((
            "#!/bin/sh\nREAL \"$@\" | (cat; sleep 0.2; sed -i 's/\"version\": 1/\"version\": 7/' \
             state/demo/runs/*/receipts/02-compress.json)\n",
            0o700,
        )),
        60,
        "format version 7",
    ),
];

/// Runs the pipeline with something in place of a stage.
fn run_with(site: &Site, stage: &str, instead: Option<(&str, u32)>) -> Ran {
    let mut command = Command::new(installed_with(site, stage, instead));
    let ours = site.command("lifeboat");
    command.args(["run", "--json"]).current_dir(site.path("")).env_clear();
    command.envs(ours.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&command.output().unwrap())
}

#[test]
fn f52_a_stage_that_is_missing_broken_or_lying_is_named() {
    let Some((_cluster, site)) = cluster_and_site("f52_impostors", 500) else { return };
    for (what, instead, code, words) in IMPOSTORS {
        let _ = fs::remove_dir_all(site.path("state"));
        let ran = run_with(&site, "compress", instead);
        assert_eq!(ran.code, code, "{what}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{what}: {}", ran.stderr);
        assert_eq!(site.backups(), Vec::<String>::new(), "{what}");
        site.assert_nothing_stored();
    }
    // Nobody comes after the one that commits, and could miss its receipt.
    site.configure(&without_prune()).unwrap();
    let ran = run_with(&site, "replicate", Some(("#!/bin/sh\nexec cat >/dev/null\n", 0o700)));
    assert_eq!(ran.json()["backup"], Value::Null);
    let _ = ran.code(1).said("replicate failed: ended as if it had succeeded");
    site.assert_nothing_stored();
    let _ = site.lifeboat(&["run"]).code(0);
    site.assert_fetchable();
}

/// No name server, no route, a proxy that is not there: it is tried again within its time, and the
/// place is named.
#[test]
fn f59_a_name_or_proxy_that_leads_nowhere_is_named() {
    let Some((_cluster, mut site)) = cluster_and_site("f59_names", 50) else { return };
    let etcd =
        [("http://no-such-host.invalid:2379", "no-such-host.invalid"), ("http://[::1]:1", "::1")];
    let endpoints = "LIFEBOAT__CAPTURE__ENDPOINTS";
    let good = site.command("lifeboat");
    let good = good.get_envs().find(|(name, _)| *name == endpoints).unwrap().1.unwrap();
    let good = good.to_str().unwrap().to_owned();
    for (endpoint, named) in etcd {
        site.set(endpoints, endpoint);
        let _ = site.lifeboat(&["run"]).code(10).said(named).said("next: ");
        site.assert_nothing_stored();
    }
    site.set(endpoints, &good);
    site.set("AWS_ACCESS_KEY_ID", "nobody");
    site.set("AWS_SECRET_ACCESS_KEY", "nothing");
    let stores = [
        ("http://no-such-host.invalid:9000", ""),
        ("http://[::1]:1", ""),
        ("http://store.invalid", "http://127.0.0.1:1"),
    ];
    for (endpoint, proxy) in stores {
        site.set("HTTP_PROXY", proxy);
        let s3 =
            format!("s3://bucket\"\nendpoint = \"{endpoint}\"\nregion = \"x\"\npath_style = true");
        let toml = shipped().replace("file:backups/region-b\"", &format!("{s3}\ntimeout = \"2s\""));
        site.configure(&toml).unwrap();
        let ran = site.lifeboat(&["run", "--json"]);
        assert_eq!(ran.code, 10, "{endpoint} {proxy}: {}", ran.stderr);
        assert_eq!(ran.json()["cause"]["stage"], "replicate");
        assert!(ran.stderr.contains("region_b"), "{endpoint}: {}", ran.stderr);
        assert_eq!(site.objects("region_a", ".json"), Vec::<PathBuf>::new());
    }
}

/// A word that stands in the data of etcd and nowhere else.
const CANARY: &str = "canary-of-plaintext-7d1e";

/// Everything below a folder, whatever it is called.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, found) } else { found.push(path) }
    }
}

fn assert_no_canary(folder: &Path) {
    let mut files = Vec::new();
    files_below(folder, &mut files);
    for file in files {
        let bytes = fs::read(&file).unwrap_or_default();
        let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!found, "{} holds plaintext", file.display());
    }
}

#[test]
fn i13_plaintext_is_on_no_disk_and_in_no_destination() {
    let Some((cluster, mut site)) = cluster_and_site("i13_canary", PIPES_FULL) else { return };
    for key in ["a", "m", "z"] {
        let value = format!("{CANARY} {}", CANARY.repeat(50));
        let _ = cluster.etcdctl(&["put", &format!("/{key}/{CANARY}"), &value]).unwrap();
    }
    fs::create_dir(site.path("tmp")).unwrap();
    site.set("TMPDIR", site.path("tmp").to_str().unwrap());
    // In the middle of a run, and with everything that has no name any more.
    site.hold_before("compress");
    let mut running = site.run_until_held();
    for place in ["state", "tmp"] {
        assert_no_canary(&site.path(place));
    }
    for stage in ["verify", "compress", "encrypt", "replicate"] {
        let pid = running.step(stage).pid;
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            if target.to_string_lossy().ends_with("(deleted)") {
                let bytes = fs::read(entry.path()).unwrap_or_default();
                assert!(!bytes.windows(CANARY.len()).any(|w| w == CANARY.as_bytes()), "{target:?}");
            }
        }
    }
    site.go();
    let _ = running.end().code(0);
    for place in ["state", "tmp", "backups"] {
        assert_no_canary(&site.path(place));
    }
    // It is in there all the same.
    site.assert_fetchable();
    let back = fs::read(site.path("fetched.db")).unwrap();
    assert!(back.windows(CANARY.len()).any(|window| window == CANARY.as_bytes()));
    plaintext_is_not_uploaded(&mut site);
}

/// `replicate` itself looks, whoever started it and whatever became of the configuration.
fn plaintext_is_not_uploaded(site: &mut Site) {
    let plain = shipped().replace("\"encrypt\", ", "");
    site.configure(&plain).unwrap();
    let _ = site.lifeboat(&["plan", "--run-dir", "run"]).code(0);
    for (stage, input, output) in
        [("capture", None, "0"), ("verify", Some("0"), "1"), ("compress", Some("1"), "2")]
    {
        let ends = ["--run-dir", "run", "--output", output];
        let input = input.map(|file| ["--input", file]);
        let arguments: Vec<&str> = ends.into_iter().chain(input.into_iter().flatten()).collect();
        let _ = site.program(&format!("lifeboat-{stage}"), &arguments).code(0);
    }
    let s3 = "s3://bucket\"\nregion = \"x\"\nendpoint = \"http://127.0.0.1:1";
    site.configure(&shipped().replace("file:backups/region-b", s3)).unwrap();
    let arguments = ["--run-dir", "run", "--input", "2"];
    let ran = site.program("lifeboat-replicate", &arguments).code(50);
    let _ = ran.said("region_b").said("encrypt").said("next: ");
    site.configure(&plain.replace("file:backups/region-b", s3)).unwrap();
    let _ = site.lifeboat(&["run"]).code(3).said("would receive plaintext Secrets");
}

/// However a run ends, it leaves a report that says the same as its exit code.
#[test]
fn i22_a_run_leaves_a_report_however_it_ends() {
    let Some((_cluster, mut site)) = cluster_and_site("i22_reports", PIPES_FULL) else { return };
    site.hold_before("compress");
    let mut running = site.run_until_held();
    running.signal(Signal::TERM);
    let _ = running.end().code(143);
    assert_eq!(report_of_last_run(&site)["exit"], 143);

    site.set("LIFEBOAT__RUN__DEADLINE", "1s");
    let ran = site.lifeboat(&["run", "--json"]).code(10);
    assert_eq!(report_of_last_run(&site), ran.json());
    site.set("LIFEBOAT__RUN__DEADLINE", "1h");

    let mut running = site.run_until_held();
    running.step("encrypt").signal(Signal::KILL);
    site.go();
    let ran = running.end().code(137);
    assert_eq!(report_of_last_run(&site), ran.json());
    assert_eq!(report_of_last_run(&site)["cause"]["stage"], "encrypt");

    // Nothing was ever stored, and the destinations alone say so.
    let _ = fs::remove_dir_all(site.path("state"));
    fs::create_dir_all(site.path("backups/region-a")).unwrap();
    fs::create_dir_all(site.path("backups/region-b")).unwrap();
    let status = site.lifeboat(&["status", "--json"]).code(41).json();
    assert_eq!(status["safety"], "none");
    assert!(!site.path("state").exists(), "status needs no state");
}

/// What a stage holds does not depend on how much passes through it.
#[test]
fn f08_i24_the_memory_of_a_run_stays_below_its_bound() {
    /// Of the whole tree of processes.
    const BOUND_KILOBYTES: u64 = 256 << 10;
    /// Some 31 MB.
    const LARGE: usize = 15_000;
    /// Everything goes through; the end of it is held back.
    const HOLD_THE_END: [&str; 3] =
        ["sh", "-c", "cat; : > held; until test -e go; do sleep 0.02; done; rm -f held go"];
    let Some((_cluster, site)) = cluster_and_site("f08_memory", LARGE) else { return };
    let toml =
        lifeboat_tests::site::with_program(&shipped(), ("hold", ""), "verify", &HOLD_THE_END);
    site.configure(&toml).unwrap();
    let mut running = site.run_until_held();
    let mut peaks = Vec::new();
    for process in running.children() {
        let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let peak = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
        peaks.push((process.words[0].clone(), peak.unwrap_or_default()));
    }
    site.go();
    let _ = running.end().code(0);
    let sum: u64 = peaks.iter().map(|(_, peak)| peak).sum();
    assert!(peaks.len() >= 5 && sum > 0, "{peaks:?}");
    assert!(sum <= BOUND_KILOBYTES, "{sum} kB: {peaks:?}");
}

#[test]
fn f12_state_that_cannot_be_kept_stops_the_run_before_it_captures() {
    let test = "f12_state";
    let Some((_cluster, mut site)) = cluster_and_site(test, 50) else { return };
    site.write("blocker", b"");
    fs::create_dir_all(site.path("state")).unwrap();
    symlink("nowhere", site.path("dangling")).unwrap();
    for place in ["blocker", "blocker/below", "dangling"] {
        site.set("LIFEBOAT__RUN__STATE_DIR", place);
        let ran = site.lifeboat(&["run"]);
        assert!([3, 30].contains(&ran.code), "{place}: {ran:?}");
        let ran = ran.said(place.split('/').next().unwrap()).said("next: ");
        assert!(!ran.stderr.contains("capturing"), "{}", ran.stderr);
    }
    site.set("LIFEBOAT__RUN__STATE_DIR", "state");
    fs::set_permissions(site.path("state"), fs::Permissions::from_mode(0o777)).unwrap();
    let ran = site.lifeboat(&["run"]).code(3).said("everybody may write to").said("chmod 700");
    assert!(!ran.stderr.contains("capturing"), "{}", ran.stderr);
    fs::set_permissions(site.path("state"), fs::Permissions::from_mode(0o700)).unwrap();
    if can_mount(test) {
        let script = "mount -t tmpfs -o ro,mode=700 none state && exec \"$0\" run";
        let ran = under(&site, &["unshare", "-rm", "sh", "-c", script], "lifeboat", &[]).code(30);
        let ran = ran.said("state").said("is read-only");
        assert!(!ran.stderr.contains("capturing"), "{}", ran.stderr);
    }
    site.assert_nothing_stored();
}

#[test]
fn f58_a_process_that_may_open_or_write_too_little_says_so() {
    let test = "f58_limits";
    let Some((_cluster, site)) = cluster_and_site(test, 50) else { return };
    for files in [3, 8, 12, 20, 40, 63] {
        let ran = in_shell(&site, &format!("ulimit -n {files}; exec lifeboat run"));
        // Where the loader itself finds no room, it ends with a code of its own: never with 0.
        let says = format!("this process may have {files} files open; at least 64 are needed");
        let is_told = ran.code == 30 && ran.stderr.contains(&says);
        assert!(is_told || ran.code == 127, "{files} files: {}", ran.stderr);
        site.assert_nothing_stored();
    }
    let _ = in_shell(&site, "ulimit -n 64; exec lifeboat run").code(0);
    // The soft limit is ours to raise.
    let _ = in_shell(&site, "ulimit -Sn 20; exec lifeboat run").code(0);
    if can_mount(test) {
        // A root that is read-only, as in the image: everything that is written is in one place.
        let script = "mount --bind . . && cd \"$PWD\" && mount -o remount,bind,ro / \
                      && ! touch /f58 2>/dev/null && exec \"$0\" run";
        let _ = under(&site, &["unshare", "-rm", "sh", "-c", script], "lifeboat", &[]).code(0);
        site.assert_fetchable();
    }
}

/// Two manifests for one run, each of them sound by itself: nobody can say which is right.
#[test]
fn f47_two_manifests_for_one_run_are_both_told() {
    let Some((_cluster, site)) = cluster_and_site("f47_two", 50) else { return };
    let _ = site.lifeboat(&["run"]).code(0);
    let manifest = site.objects("region_b", ".json").remove(0);
    let mut json: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    json["snapshot"]["keys"] = 1.into();
    fs::write(&manifest, serde_json::to_vec(&json).unwrap()).unwrap();
    let differ = "the manifests of region_a and of region_b differ";
    let list = site
        .lifeboat(&["list"])
        .code(0)
        .stdout
        .replace("region_b and of region_a", "region_a and of region_b");
    assert!(list.contains(differ) && list.contains("suspect"), "{list}");
    assert_eq!(site.lifeboat(&["status", "--json"]).code(41).json()["safety"], "none");
    let ran = site.lifeboat(&["fetch", "latest", "-o", "out.db"]).code(20);
    let _ = ran.said("no verified copy").said("next: ");
    assert!(!site.path("out.db").exists());
    // Whoever chooses can have it: the bytes are proved all the same.
    let name = json["backup"].as_str().unwrap();
    let _ = site.lifeboat(&["fetch", name, "--from", "region_a", "-o", "out.db"]).code(0);
}
