//! `lifeboat check`: a sound setup is told so on one screen, and each thing that can be wrong is
//! found, named with its next step, and given its exit code, before any run.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::s3::{ACCESS_KEY, Bucket, S3Kind, S3Server, SECRET_KEY};
use lifeboat_tests::site::{Ran, Site, shipped};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::tls::Validity;
use lifeboat_tests::{Cluster, ClusterSpec, Etcd};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What fits on a terminal of the smallest kind.
const SCREEN_LINES: usize = 24;
/// Says how far the clock is off, in debug builds.
const CLOCK_FILE: &str = "LIFEBOAT_TEST_CLOCK_FILE";
const DAY_SECONDS: i64 = 86_400;

/// A site with two recipients, whose identities are elsewhere.
fn site(cluster: &Cluster) -> Site {
    let site = Site::new(cluster).unwrap();
    prepare(&site);
    site
}

fn prepare(site: &Site) {
    let other = site.lifeboat(&["keygen", "keys/other.txt"]).code(0);
    let first = fs::read_to_string(site.path("keys/recipients.txt")).unwrap();
    site.write("keys/recipients.txt", format!("{first}{}", other.stdout).as_bytes());
    fs::create_dir(site.path("elsewhere")).unwrap();
    for key in ["identity.txt", "other.txt"] {
        fs::rename(site.path("keys").join(key), site.path("elsewhere").join(key)).unwrap();
    }
}

/// The shipped pipeline with other destinations.
fn configure(site: &Site, destinations: &str) {
    let (before, rest) = shipped().split_once("[destinations.region_a]").map(owned).unwrap();
    let (_, after) = rest.split_once("\n[prune]").map(owned).unwrap();
    site.configure(&format!("{before}{destinations}\n[prune]{after}")).unwrap();
}

fn owned((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

fn bucket(site: &Site, server: &S3Server, name: &str, more: &str) -> String {
    site.write(
        "aws",
        format!(
            "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        )
        .as_bytes(),
    );
    format!(
        "[destinations.bucket]\nurl = \"s3://{name}/etcd\"\nendpoint = \"{}\"\npath_style = true\n\
         credentials_file = \"aws\"\n{more}\n",
        server.endpoint()
    )
}

const DISK: &str = "[destinations.disk]\nurl = \"file:backups/disk\"\n";

fn check(site: &Site) -> Ran {
    site.lifeboat(&["check", "--json"])
}

/// Every finding, as `(part, finding)`.
fn findings(ran: &Ran) -> Vec<(String, Value)> {
    let answer = ran.json();
    let mut all = Vec::new();
    for part in answer["parts"].as_array().unwrap() {
        let stage = part["stage"].as_str().unwrap();
        for finding in part["checks"].as_array().unwrap() {
            all.push((stage.to_owned(), finding.clone()));
        }
    }
    all
}

/// Asserts that there is a finding of this level whose detail holds `words`, with a next step.
fn assert_found(case: &str, ran: &Ran, part: &str, level: &str, words: &str) {
    let all = findings(ran);
    let is_it = |(stage, finding): &&(String, Value)| {
        stage == part
            && finding["level"] == level
            && finding["detail"].as_str().unwrap().contains(words)
    };
    let found = all.iter().find(is_it);
    let Some((_, finding)) = found else {
        panic!("{case}: no {level} of {part} says {words:?}:\n{}{}", ran.stdout, ran.stderr)
    };
    let next = finding["next"].as_str().unwrap_or_default();
    assert!(level == "ok" || !next.is_empty(), "{case}: no next step: {finding}");
}

fn objects(folder: &Path) -> usize {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries.flatten().map(|e| if e.path().is_dir() { objects(&e.path()) } else { 1 }).sum()
}

#[test]
fn i24_a_sound_setup_is_told_so_on_one_screen() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).tls().start().unwrap();
    let site = site(&cluster);
    let Some(store) = or_skip("check", S3Server::start(S3Kind::Minio)) else { return };
    store.create_bucket("backups", Bucket::Plain).unwrap();
    configure(&site, &format!("{}{DISK}", bucket(&site, &store, "backups", "")));

    let ran = site.lifeboat(&["check"]).code(0);
    assert!(ran.stdout.lines().count() <= SCREEN_LINES, "{}", ran.stdout);
    assert!(ran.stdout.ends_with("all good: lifeboat run\n"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'), "colours without a terminal: {}", ran.stdout);
    for words in ["server certificate until", "create-only", "parts", "clock"] {
        assert!(ran.stdout.contains(words), "{words:?} is not in\n{}", ran.stdout);
    }
    let ran = check(&site).code(0);
    let answer = ran.json();
    assert_eq!((&answer["level"], &answer["exit"]), (&"ok".into(), &0.into()));
    let parts: Vec<&str> =
        answer["parts"].as_array().unwrap().iter().map(|p| p["stage"].as_str().unwrap()).collect();
    let expected = ["here", "capture", "verify", "compress", "encrypt", "replicate", "prune"];
    assert_eq!(parts, expected);
    assert_eq!(answer["would"]["required"], 2);
    // Nothing is left, and nothing that looks like a backup was there.
    assert_eq!(objects(&site.path("backups/disk")), 0);
    assert!(site.backups().is_empty());
    assert!(!site.path("state").exists());
    let _ = site.lifeboat(&["run"]).code(0);
    assert_eq!(site.backups().len(), 1);
    let _ = check(&site).code(0);
}

/// One thing that is wrong with a site that is sound but for it.
struct Wrong {
    case: &'static str,
    /// Makes it wrong.
    spoil: fn(&mut Site),
    code: i32,
    part: &'static str,
    level: &'static str,
    words: &'static str,
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn chown(path: &Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), None).unwrap();
}

/// Somebody who is not root, in whose name nothing runs here.
const STRANGER: u32 = 12_345;

/// What is wrong with this machine and its configuration; etcd and destinations are sound.
const WRONG_HERE: [Wrong; 17] = [
    Wrong {
        case: "f12 mode",
        spoil: |site| {
            fs::create_dir(site.path("state")).unwrap();
            chmod(&site.path("state"), 0o777);
        },
        code: 3,
        part: "here",
        level: "failed",
        words: "everybody may write to state (mode 0777)",
    },
    Wrong {
        case: "f12 owner",
        spoil: |site| {
            fs::create_dir(site.path("state")).unwrap();
            chown(&site.path("state"), STRANGER);
        },
        code: 3,
        part: "here",
        level: "failed",
        words: "belongs to user 12345, this is user 0",
    },
    Wrong {
        case: "f12 symbolic link of somebody else",
        spoil: |site| {
            fs::create_dir(site.path("target")).unwrap();
            std::os::unix::fs::symlink(site.path("target"), site.path("state")).unwrap();
            chown(&site.path("state"), STRANGER);
        },
        code: 3,
        part: "here",
        level: "failed",
        words: "is a symbolic link that belongs to user 12345",
    },
    Wrong {
        case: "f12 a file",
        spoil: |site| site.write("state", b""),
        code: 3,
        part: "here",
        level: "failed",
        words: "is no directory",
    },
    Wrong {
        case: "f12 f58 read-only",
        spoil: |site| site.set("LIFEBOAT__RUN__STATE_DIR", "/proc/lifeboat"),
        code: 30,
        part: "here",
        level: "failed",
        words: "/proc",
    },
    Wrong {
        case: "f12 a group that may write",
        spoil: |site| {
            fs::create_dir(site.path("state")).unwrap();
            chmod(&site.path("state"), 0o770);
        },
        code: 0,
        part: "here",
        level: "warning",
        words: "its group may write",
    },
    Wrong {
        case: "configuration that everybody may change",
        spoil: |site| chmod(&site.path("pipeline.toml"), 0o666),
        code: 0,
        part: "here",
        level: "warning",
        words: "everybody may change",
    },
    Wrong {
        case: "f44 recipient typo",
        spoil: |site| {
            let text = fs::read_to_string(site.path("keys/recipients.txt")).unwrap();
            site.write("keys/recipients.txt", text.replacen("age1", "age1q", 1).as_bytes());
        },
        code: 3,
        part: "encrypt",
        level: "failed",
        words: "its checksum does not hold",
    },
    Wrong {
        case: "f44 no recipient",
        spoil: |site| site.write("keys/recipients.txt", b"# none\n"),
        code: 3,
        part: "encrypt",
        level: "failed",
        words: "there is no recipient",
    },
    Wrong {
        case: "f44 one recipient twice",
        spoil: |site| {
            let text = fs::read_to_string(site.path("keys/recipients.txt")).unwrap();
            site.write("keys/recipients.txt", format!("{text}{text}").as_bytes());
        },
        code: 3,
        part: "encrypt",
        level: "failed",
        words: "line 3 of",
    },
    Wrong {
        case: "f44 only one recipient",
        spoil: |site| {
            let text = fs::read_to_string(site.path("keys/recipients.txt")).unwrap();
            let first = text.lines().next().unwrap();
            site.write("keys/recipients.txt", first.as_bytes());
        },
        code: 0,
        part: "encrypt",
        level: "warning",
        words: "if its identity is lost, every backup is",
    },
    Wrong {
        case: "f44 the identity lies here",
        spoil: |site| {
            fs::copy(site.path("elsewhere/identity.txt"), site.path("keys/identity.txt")).unwrap();
        },
        code: 0,
        part: "encrypt",
        level: "warning",
        words: "lies here and opens every backup",
    },
    Wrong {
        case: "a secret that everybody can read",
        spoil: |site| {
            fs::copy(site.path("elsewhere/identity.txt"), site.path("keys/identity.txt")).unwrap();
            chmod(&site.path("keys/identity.txt"), 0o644);
        },
        code: 0,
        part: "here",
        level: "warning",
        words: "everybody can read keys/identity.txt (mode 0644)",
    },
    Wrong {
        case: "a program that is not there",
        spoil: |site| {
            let text = fs::read_to_string(site.path("pipeline.toml")).unwrap();
            let scan = ("scan", "");
            let own = lifeboat_tests::site::with_program(&text, scan, "compress", &["no-such"]);
            site.configure(&own).unwrap();
        },
        code: 3,
        part: "scan",
        level: "failed",
        words: "\"no-such\" is not a program here",
    },
    Wrong {
        case: "dead endpoint",
        spoil: |site| site.set("LIFEBOAT__CAPTURE__ENDPOINTS", "http://127.0.0.1:1"),
        code: 10,
        part: "capture",
        level: "failed",
        words: "the connection was refused",
    },
    Wrong {
        case: "one dead endpoint of two",
        spoil: |site| {
            let text = fs::read_to_string(site.path("endpoint")).unwrap();
            let both = format!("{text},http://127.0.0.1:1");
            site.set("LIFEBOAT__CAPTURE__ENDPOINTS", &both);
        },
        code: 0,
        part: "capture",
        level: "warning",
        words: "the connection was refused",
    },
    Wrong {
        case: "a destination that cannot be",
        spoil: |site| {
            fs::create_dir_all(site.path("backups")).unwrap();
            site.write("backups/region-b", b"a file");
        },
        code: 3,
        part: "replicate",
        level: "failed",
        words: "region-b is no directory",
    },
];

#[test]
fn f12_f44_f58_each_thing_that_is_wrong_here_is_found() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    if !rustix::process::geteuid().is_root() {
        lifeboat_tests::skip("check: wrong owners", "needs root");
        return;
    }
    let cluster = ClusterSpec::new(&version).start().unwrap();
    for wrong in WRONG_HERE {
        let mut site = site(&cluster);
        site.write("endpoint", cluster.endpoint(0).as_bytes());
        (wrong.spoil)(&mut site);
        let ran = check(&site);
        assert_eq!(ran.code, wrong.code, "{}: {}\n{}", wrong.case, ran.stdout, ran.stderr);
        assert_found(wrong.case, &ran, wrong.part, wrong.level, wrong.words);
        let screen = site.lifeboat(&["check"]);
        let end = if wrong.code == 0 { "good to go" } else { "not ready" };
        assert!(screen.stdout.contains(end), "{}: {}", wrong.case, screen.stdout);
        // What a run must not begin with is refused with the same words, before the capture.
        if wrong.part == "here" && wrong.code != 0 {
            let run = site.lifeboat(&["run"]).code(wrong.code);
            assert!(run.stderr.contains(wrong.words), "{}: {}", wrong.case, run.stderr);
            site.assert_nothing_stored();
        }
    }
}

/// Steps the clock of every program of the site.
fn step_clock(site: &mut Site, seconds: i64) {
    site.write("clock", seconds.to_string().as_bytes());
    let path = site.path("clock").display().to_string();
    site.set(CLOCK_FILE, &path);
}

#[test]
fn f20_certificates_that_expire_are_found_before_they_do() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).tls().start().unwrap();
    let certificates = cluster.certificates().unwrap();
    let mut site = site(&cluster);
    // rcgen's certificates last until 4096; the clock goes to their last month instead.
    let month: jiff::Timestamp = "4095-12-20T00:00:00Z".parse().unwrap();
    let ahead = month.as_second() - jiff::Timestamp::now().as_second();
    step_clock(&mut site, ahead);
    let ran = check(&site);
    for what in ["client certificate", "server certificate", "authority (ca_file)"] {
        assert_found(what, &ran, "capture", "warning", &format!("the {what} expires in 1"));
    }
    step_clock(&mut site, ahead + 12 * DAY_SECONDS);
    let ran = check(&site);
    for what in ["client certificate", "server certificate", "authority (ca_file)"] {
        assert_found(what, &ran, "capture", "failed", &format!("the {what} expired on 4096-01-01"));
    }
    step_clock(&mut site, 0);
    let expired = certificates.issue_client("old", Validity::Expired).unwrap();
    site.set("LIFEBOAT__CAPTURE__CA_FILE", &certificates.ca().display().to_string());
    site.set("LIFEBOAT__CAPTURE__CERT_FILE", &expired.certificate.display().to_string());
    site.set("LIFEBOAT__CAPTURE__KEY_FILE", &expired.key.display().to_string());
    let ran = check(&site).code(11);
    assert_found(
        "expired",
        &ran,
        "capture",
        "failed",
        "the client certificate expired on 2020-01-01",
    );
    assert_found("expired", &ran, "capture", "failed", "the server refuses the client certificate");
}

#[test]
fn f39_f40_a_clock_that_is_off_is_found_by_asking_the_stores() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).start().unwrap();
    let Some(store) = or_skip("check", S3Server::start(S3Kind::Minio)) else { return };
    store.create_bucket("backups", Bucket::Plain).unwrap();
    let mut site = site(&cluster);
    configure(&site, &format!("{}{DISK}", bucket(&site, &store, "backups", "")));
    for (seconds, code, level, words) in [
        (100, 0, "warning", "this machine's clock is 100 s ahead of the store's"),
        (-100, 0, "warning", "this machine's clock is 100 s behind the store's"),
        (86_400, 11, "failed", "ahead of the store's"),
    ] {
        step_clock(&mut site, seconds);
        let ran = check(&site);
        assert_eq!(ran.code, code, "{seconds}: {}", ran.stdout);
        let is_off = |about: &str| {
            findings(&ran).into_iter().any(|(_, f)| {
                // The answer may come in the next second.
                f["about"] == about && f["name"] == "clock" && f["level"] == level
            })
        };
        assert!(is_off("bucket") && is_off("disk"), "{seconds}: {}", ran.stdout);
        if seconds == 86_400 {
            assert_found("clock", &ran, "replicate", level, words);
        }
    }
}

#[test]
fn f19_f20_authentication_and_alarms_are_found_before_a_run() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let quota = ["--quota-backend-bytes=2097152"];
    let cluster = ClusterSpec::new(&version).auth("pw").arguments(&quota).start().unwrap();
    let mut site = site(&cluster);
    let endpoints = cluster.endpoints().join(",");
    for arguments in [
        &["user", "add", "reader:secret"][..],
        &["role", "add", "reading"],
        &["role", "grant-permission", "reading", "read", "", "--prefix"],
        &["user", "grant-role", "reader", "reading"],
    ] {
        let _ = cluster.etcdctl(arguments).unwrap();
    }
    let _ = check(&site).code(0);
    for (user, words) in
        [("reader:secret", "permission denied"), ("root:wrong", "user or password is wrong")]
    {
        site.set("ETCDCTL_USER", user);
        let ran = check(&site).code(11);
        assert_found(user, &ran, "capture", "failed", words);
    }
    site.set("ETCDCTL_USER", "root:pw");
    site.set("ETCDCTL_ENDPOINTS", &endpoints);
    let value = "v".repeat(100_000);
    let full = (0..60).any(|n| cluster.etcdctl(&["put", &format!("k{n}"), &value]).is_err());
    assert!(full, "etcd took more than its quota");
    let ran = check(&site).code(0);
    assert_found("NOSPACE", &ran, "capture", "warning", "NOSPACE is raised for member");
    assert_found("quota", &ran, "capture", "warning", "of its quota");
}

#[test]
fn f31_f33_what_a_bucket_does_not_do_is_found() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).start().unwrap();
    let Some(store) = or_skip("check", S3Server::start(S3Kind::Minio)) else { return };
    store.create_bucket("backups", Bucket::Plain).unwrap();
    let site = site(&cluster);
    let writer = bucket(&site, &store, "backups", "");
    for (case, destination, code, level, words) in [
        (
            "no bucket",
            bucket(&site, &store, "no-such-bucket", ""),
            3,
            "failed",
            "there is no bucket",
        ),
        (
            "storage class",
            bucket(&site, &store, "backups", "storage_class = \"STANDARD_IA\""),
            3,
            "failed",
            "storage_class",
        ),
        ("sse", bucket(&site, &store, "backups", "sse = \"kms\""), 3, "failed", "store"),
        (
            "nobody there",
            writer.replace(&store.endpoint(), "http://127.0.0.1:1"),
            10,
            "failed",
            "no connection",
        ),
        ("the only copy", writer.clone(), 0, "warning", "there is only one destination"),
    ] {
        configure(&site, &destination);
        let ran = check(&site);
        assert_eq!(ran.code, code, "{case}: {}", ran.stdout);
        assert_found(case, &ran, "replicate", level, words);
    }
    configure(&site, &writer);
    let wrong = format!(
        "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = wrong-secret\n"
    );
    site.write("aws", wrong.as_bytes());
    let ran = check(&site).code(11);
    assert_found("wrong secret", &ran, "replicate", "failed", "are not valid");
    assert!(!ran.stdout.contains("wrong-secret") && !ran.stderr.contains("wrong-secret"));
    // One file system for both: not two copies.
    configure(&site, &format!("{DISK}[destinations.other]\nurl = \"file:backups/other\"\n"));
    let ran = check(&site).code(0);
    assert_found("one disk", &ran, "replicate", "warning", "they are lost together");
}

#[test]
fn f58_too_few_open_files_are_named_by_check_and_run() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).start().unwrap();
    let site = site(&cluster);
    for verb in ["check", "run"] {
        let program = site.command("lifeboat");
        let mut command = site.command("lifeboat");
        let script = format!("ulimit -n 20; exec '{}' {verb}", program.get_program().display());
        let mut shell = std::process::Command::new("sh");
        shell.arg("-c").arg(script).current_dir(site.path("")).env_clear();
        let variables = command.envs([("LIFEBOAT_LOG", "human")]).get_envs();
        shell.envs(variables.filter_map(|(name, value)| Some((name, value?))));
        let ran = Ran::of(&shell.output().unwrap());
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, 30, "{verb}: {said}");
        assert!(said.contains("may have 20 files open; at least 64 are needed"), "{verb}: {said}");
        assert!(said.contains("ulimit -n 1024"), "{verb}: {said}");
    }
    site.assert_nothing_stored();
}

#[test]
fn f51_check_and_dry_run_agree_on_a_wrong_configuration() {
    let site = Site::without_cluster().unwrap();
    for (case, toml) in [
        ("unknown key", format!("{}\n[nonsense]\nx = 1\n", shipped())),
        ("wrong type", shipped().replace("keep_runs = 20", "keep_runs = \"many\"")),
        (
            "wrong order",
            shipped().replace("\"compress\", \"encrypt\"", "\"encrypt\", \"compress\""),
        ),
        ("no destination", shipped().split("[destinations.region_a]").next().unwrap().to_owned()),
        ("not TOML", "cluster = \n".to_owned()),
        ("empty", String::new()),
    ] {
        site.configure(&toml).unwrap();
        let (check, dry) = (site.lifeboat(&["check"]), site.lifeboat(&["run", "--dry-run"]));
        assert_eq!((check.code, dry.code), (3, 3), "{case}: {check:?} {dry:?}");
        assert_eq!(check.stderr, dry.stderr, "{case}");
        assert_eq!(check.stdout, "", "{case}");
    }
}

/// A folder with all programs, of which one is another.
fn with_program_instead(site: &Site, name: &str, script: &str) -> Ran {
    let folder = site.path(&format!("bin-{}", fs::read_dir(site.path("")).unwrap().count()));
    fs::create_dir(&folder).unwrap();
    let here = lifeboat_tests::binaries::bin_dir().unwrap();
    for program in
        ["lifeboat", "capture", "verify", "compress", "encrypt", "replicate", "prune", "catalogue"]
    {
        let file = match program {
            "lifeboat" => "lifeboat".to_owned(),
            stage => format!("lifeboat-{stage}"),
        };
        // A link to the front would lead it back to where it comes from.
        match program {
            "lifeboat" => drop(fs::copy(here.join(&file), folder.join(&file)).unwrap()),
            stage if stage == name => {
                fs::write(folder.join(&file), format!("#!/bin/sh\n{script}\n")).unwrap();
                chmod(&folder.join(&file), 0o755);
            }
            _ => std::os::unix::fs::symlink(here.join(&file), folder.join(&file)).unwrap(),
        }
    }
    let command = site.command("lifeboat");
    let mut own = std::process::Command::new(folder.join("lifeboat"));
    own.args(["check", "--json"]).current_dir(site.path("")).env_clear();
    own.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(&own.output().unwrap())
}

#[test]
fn f52_a_stage_that_dies_or_babbles_is_a_finding_and_hides_no_other() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let cluster = ClusterSpec::new(&version).start().unwrap();
    let site = site(&cluster);
    let sound = r#"{"version":1,"stage":"compress","level":"ok","exit":0,"checks":[]}"#;
    for (case, script, words) in [
        ("killed", "kill -9 $$".to_owned(), "signal: 9"),
        ("silent", "exit 0".to_owned(), "it said nothing"),
        ("garbage", "echo hello; echo panicked >&2; exit 1".to_owned(), "panicked"),
        ("endless", "yes".to_owned(), "no answer"),
        ("another code", format!("echo '{sound}'; exit 7"), "exit status: 7"),
    ] {
        let ran = with_program_instead(&site, "compress", &script);
        assert_eq!(ran.code, 1, "{case}: {}{}", ran.stdout, ran.stderr);
        assert_found(case, &ran, "compress", "failed", words);
        assert_found(case, &ran, "capture", "ok", "revision");
        assert_found(case, &ran, "prune", "ok", "");
    }
}

#[test]
fn a_member_that_is_down_is_a_warning_while_the_others_have_a_quorum() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let mut cluster = ClusterSpec::new(&version).members(3).start().unwrap();
    let mut site = site(&cluster);
    let down = (0..3).find(|index| cluster.leader().unwrap() != *index).unwrap();
    cluster.kill(down).unwrap();
    let ran = check(&site).code(0);
    let name = format!("member \"m{}\" does not answer", down + 1);
    assert_found("one down", &ran, "capture", "warning", &name);
    assert_found("one down", &ran, "capture", "ok", "2 of 3 members agree");
    // Whoever wants all of them to agree would have no backup.
    site.set("LIFEBOAT__VERIFY__HASHKV", "all");
    let ran = check(&site).code(10);
    assert_found("all wanted", &ran, "capture", "failed", &name);
}

#[test]
fn f12_a_volume_that_is_too_small_or_read_only_is_found() {
    let Some(version) = or_skip("check", Etcd::newest()) else { return };
    let mount = ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"];
    if let Err(e) = lifeboat_tests::run(std::process::Command::new("unshare").args(mount)) {
        return lifeboat_tests::skip("check: volumes", &format!("nothing can be mounted: {e}"));
    }
    let cluster = ClusterSpec::new(&version).start().unwrap();
    let site = site(&cluster);
    fs::create_dir(site.path("state")).unwrap();
    for (options, verb, code, words) in [
        ("size=64k,mode=700", "check", 30, "are free for the receipts of a run"),
        ("ro,mode=700", "check", 30, "the file system of"),
        ("ro,mode=700", "run", 30, "is read-only"),
        ("size=64m,mode=700", "check", 0, "in memory: gone after a restart"),
    ] {
        let script = format!("mount -t tmpfs -o {options} none state || exit 99; exec $1 {verb}");
        let lifeboat = site.command("lifeboat");
        let mut command = std::process::Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script, "sh"]).arg(lifeboat.get_program());
        command.current_dir(site.path("")).env_clear();
        command.envs(lifeboat.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let ran = Ran::of(&command.output().unwrap());
        let said = format!("{}{}", ran.stdout, ran.stderr);
        let words_in_one_line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(ran.code, code, "{options} {verb}: {said}");
        assert!(words_in_one_line.contains(words), "{options} {verb}: {said}");
    }
    site.assert_nothing_stored();
}
