//! Programs of the user's own in the chain: what they may do, what a run makes of their failures,
//! and what they can see.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::running::Process;
use lifeboat_tests::site::{REGIONS, Ran, Site, shipped, with_program};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd};
use rustix::process::Signal;
use serde_json::Value;

/// Objects of a small database, which fits into a pipe once it is compressed, and those of a
/// larger one, which fits into none.
const SMALL: usize = 100;
const LARGE: usize = 2_000;

fn cluster_and_site(test: &str, objects: usize) -> Option<(Cluster, Site)> {
    let cluster = ClusterSpec::new(&or_skip(test, Etcd::newest())?).start().unwrap();
    let _ = cluster.load(&LoadSpec::bulk(5, objects)).unwrap();
    let site = Site::new(&cluster).unwrap();
    Some((cluster, site))
}

/// Puts the program `own` into the shipped pipeline.
fn configure(site: &Site, before: &str, suffix: &str, command: &[&str]) {
    let toml = with_program(&shipped(), ("own", suffix), before, command);
    site.configure(&toml).unwrap();
}

/// What the manifest says of the step before the program, and of the program.
fn own_and_the_one_before(manifest: &Value) -> (&Value, &Value) {
    let steps = manifest["steps"].as_array().unwrap();
    let own = steps.iter().position(|step| step["stage"] == "own").unwrap();
    (&steps[own - 1], &steps[own])
}

#[test]
fn a_program_that_changes_nothing_fits_anywhere() {
    let Some((_cluster, site)) = cluster_and_site("identity", SMALL) else { return };
    for before in ["verify", "compress", "encrypt", "replicate"] {
        configure(&site, before, "", &["cat"]);
        let _ = site.lifeboat(&["run"]).code(0);
        let manifest = site.manifests("region_a").pop().unwrap();
        let (before_it, own) = own_and_the_one_before(&manifest);
        assert_eq!(own["tool"], "cat");
        assert_eq!(own["output"], before_it["output"]);
        site.assert_fetchable();
    }
    assert_eq!(site.backups().len(), 4);
    for artifact in site.objects("region_b", ".age") {
        assert!(artifact.to_str().unwrap().ends_with(".db.zst.age"));
    }
    // Several of them, one after the other.
    let one = with_program(&shipped(), ("one", ""), "compress", &["cat"]);
    let two =
        with_program(&one, ("two", ""), "compress", &["sh", "-c", "exec dd bs=7777 status=none"]);
    site.configure(&two).unwrap();
    let _ = site.lifeboat(&["run"]).code(0);
    site.assert_fetchable();
}

/// Swaps the halves of the byte range: its own inverse, so that a test can undo it.
const ROTATE: [&str; 3] = ["tr", "\\000-\\177\\200-\\377", "\\200-\\377\\000-\\177"];

#[test]
fn what_a_program_changed_only_its_owner_can_undo() {
    let Some((_cluster, site)) = cluster_and_site("suffix", SMALL) else { return };
    configure(&site, "encrypt", ".rot", &ROTATE);
    let _ = site.lifeboat(&["run"]).code(0);
    let manifest = site.manifests("region_a").remove(0);
    let name = manifest["backup"].as_str().unwrap();
    let artifact = site.objects("region_a", ".db.zst.rot.age").remove(0);
    assert!(artifact.to_str().unwrap().contains(name));
    let (before_it, own) = own_and_the_one_before(&manifest);
    assert_eq!(own["tool"], "tr");
    assert_ne!(own["output"]["sha256"], before_it["output"]["sha256"]);
    assert_eq!(site.backups(), [name]);

    let ran = site.lifeboat(&["fetch", "latest", "-o", "back.db"]).code(60);
    let _ = ran.said("was made with program \"own\", which only you can undo").said("--raw");
    assert!(!site.path("back.db").exists());
    let _ = site.lifeboat(&["fetch", "latest", "--raw", "-o", "back.age"]).code(0);
    let raw = std::fs::read(site.path("back.age")).unwrap();
    assert_eq!(raw, std::fs::read(&artifact).unwrap());
    undo_by_hand(&site);

    // Its result is the last thing that is stored, where nothing comes after it.
    configure(&site, "replicate", ".rot", &ROTATE);
    let _ = site.lifeboat(&["run"]).code(0);
    assert_eq!(site.objects("region_b", ".db.zst.age.rot").len(), 1);
    let _ = site.lifeboat(&["fetch", "latest", "-o", "again.db"]).code(60);
}

fn undo_by_hand(site: &Site) {
    let script = "lifeboat-encrypt --decrypt -i back.age | tr \"$1\" \"$2\" \
                  | lifeboat-compress --decompress -o back.db";
    let beside = lifeboat_tests::binaries::bin_dir().unwrap();
    let path = format!("{}:{}", beside.display(), std::env::var("PATH").unwrap());
    let mut shell = site.command("lifeboat-encrypt");
    let environment: Vec<_> =
        shell.get_envs().filter_map(|(n, v)| Some((n.to_owned(), v?.to_owned()))).collect();
    shell = std::process::Command::new("sh");
    shell.args(["-c", script, "sh", ROTATE[1], ROTATE[2]]).current_dir(site.path(""));
    shell.env_clear().envs(environment).env("PATH", path);
    let _ = Ran::of(&shell.output().unwrap()).code(0);
    let _ = site.program("lifeboat-verify", &["back.db"]).code(0);
}

/// What a program does, the exit code of the run and what is said of it.
type Failing = (&'static [&'static str], u8, &'static str);

/// Codes that the table has are passed on; any other is a failure like no other.
const FAILING: [Failing; 9] = [
    (&["sh", "-c", "cat; exit 3"], 3, "program \"own\" ended with exit code 3"),
    (&["sh", "-c", "cat; exit 77"], 1, "program \"own\" ended with exit code 77"),
    (&["sh", "-c", "cat; exit 20"], 20, "program \"own\" ended with exit code 20"),
    // The code for too few copies is no success of a program that makes none.
    (&["sh", "-c", "cat; exit 40"], 40, "program \"own\" ended with exit code 40"),
    (&["sh", "-c", "cat; kill -9 $$"], 1, "program \"own\" ended with signal 9"),
    (&["sh", "-c", "head -c 10 >/dev/null; exit 4"], 1, "program \"own\" ended with exit code 4"),
    (&["sh", "-c", "exit 5"], 1, "program \"own\" ended with exit code 5"),
    (&["no-such-program-anywhere"], 3, "cannot start \"own\""),
    (&["/dev/null"], 3, "cannot start \"own\""),
];

/// None of these fails, and none of them passes on what it read.
const LYING: [&[&str]; 6] = [
    &["head", "-c", "10"],
    &["true"],
    &["echo", "nothing of what was read"],
    &["sh", "-c", "cat; echo and more"],
    &["sh", "-c", "cat > /dev/null; echo something else"],
    &["tr", "a-z", "A-Z"],
];

#[test]
fn f52_a_program_that_fails_or_lies_stops_the_run() {
    let Some((_cluster, site)) = cluster_and_site("failing", SMALL) else { return };
    for before in ["compress", "replicate"] {
        for (command, code, words) in FAILING {
            configure(&site, before, "", command);
            assert_own_is_to_blame(&site, code, words, command);
        }
        for command in LYING {
            configure(&site, before, "", command);
            assert_own_is_to_blame(&site, 20, "program \"own\" ", command);
        }
    }
    // With a suffix it may write what it likes, but not nothing.
    configure(&site, "encrypt", ".x", &["sh", "-c", "cat >/dev/null"]);
    assert_own_is_to_blame(&site, 20, "program \"own\" read ", &["cat >/dev/null"]);
    site.configure(&shipped()).unwrap();
    let _ = site.lifeboat(&["run"]).code(0);
}

#[test]
fn f52_a_program_that_stops_reading_is_noticed_however_large_the_rest() {
    let Some((_cluster, site)) = cluster_and_site("stops_reading", LARGE) else { return };
    for before in ["verify", "compress"] {
        for suffix in ["", ".x"] {
            for command in [&["head", "-c", "10"][..], &["true"], &["echo", "hi"]] {
                configure(&site, before, suffix, command);
                assert_own_is_to_blame(&site, 20, "program \"own\" stopped reading", command);
            }
        }
    }
}

fn assert_own_is_to_blame(site: &Site, code: u8, words: &str, what: &[&str]) {
    let ran = site.lifeboat(&["run", "--json"]);
    assert_eq!(ran.code, i32::from(code), "{what:?}: {}", ran.stderr);
    assert_eq!(ran.json()["cause"]["stage"], "own", "{what:?}: {}", ran.stderr);
    assert_eq!(ran.json()["backup"], Value::Null);
    assert!(ran.stderr.contains(words), "{what:?}: {}", ran.stderr);
    assert!(ran.stderr.contains("no backup was made: own failed"), "{what:?}: {}", ran.stderr);
    assert_eq!(site.backups(), Vec::<String>::new(), "{what:?}");
    site.assert_nothing_stored();
}

#[test]
fn f02_a_program_killed_from_outside_is_named() {
    let Some((_cluster, site)) = cluster_and_site("killed", LARGE) else { return };
    site.hold_before("compress");
    let mut running = site.run_until_held();
    let wrap = running.step("hold");
    let [own] = Process::children_of(wrap.pid).try_into().unwrap();
    own.signal(Signal::KILL);
    let ran = running.end().code(1).said("program \"hold\" ended with signal 9");
    assert_eq!(ran.json()["cause"]["stage"], "hold");
    running.wait_children_gone();
    site.assert_nothing_stored();
}

/// Nobody but those whose job it is may see these.
const CANARY: &str = "canary-5f1c";

/// The environment of a process, as the kernel shows it.
fn environment(process: &Process) -> String {
    let bytes = std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap();
    String::from_utf8_lossy(&bytes).replace('\0', "\n")
}

#[test]
fn i23_i18_each_step_sees_the_secrets_of_its_own_job_only() {
    let Some((_cluster, mut site)) = cluster_and_site("environment", LARGE) else { return };
    site.write("password", CANARY.as_bytes());
    for name in [
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "ETCDCTL_CANARY",
        "SOME_TOKEN",
        "LIFEBOAT_RUN_DIR",
        "LD_CANARY",
        "http_proxy",
    ] {
        site.set(name, &format!("{CANARY}-{name}"));
    }
    site.hold_before("compress");
    let mut running = site.run_until_held();
    let seen = |running: &mut lifeboat_tests::Running, stage: &str| {
        let text = environment(&running.step(stage));
        let names = text.lines().filter(|line| line.contains(CANARY));
        let mut names: Vec<String> =
            names.map(|line| line.split('=').next().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let stores = ["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "http_proxy"];
    assert_eq!(seen(&mut running, "capture"), ["ETCDCTL_CANARY"]);
    for stage in ["verify", "hold", "compress", "encrypt"] {
        assert_eq!(seen(&mut running, stage), Vec::<String>::new(), "{stage}");
    }
    for stage in ["replicate", "prune"] {
        assert_eq!(seen(&mut running, stage), stores, "{stage}");
    }
    let wrap = running.step("hold");
    let own = Process::children_of(wrap.pid);
    assert!(!own.is_empty());
    for process in own.iter().chain(&running.children()) {
        assert!(!process.words.concat().contains(CANARY), "{:?}", process.words);
    }
    assert!(own.iter().all(|process| !environment(process).contains(CANARY)));
    site.go();
    let ran = running.end().code(0);
    nothing_leaks(&site, &ran);
}

/// Neither into the logs nor into anything that is written.
fn nothing_leaks(site: &Site, ran: &Ran) {
    assert!(!ran.stderr.contains(CANARY) && !ran.stdout.contains(CANARY));
    for region in REGIONS {
        for object in site.objects(region, "") {
            let bytes = std::fs::read(&object).unwrap();
            let found = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
            assert!(!found, "{}", object.display());
        }
    }
    let state = std::process::Command::new("grep")
        .args(["-rl", CANARY, "state"])
        .current_dir(site.path(""))
        .output();
    assert_eq!(String::from_utf8_lossy(&state.unwrap().stdout), "");
}
