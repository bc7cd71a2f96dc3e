//! Bad input of every kind: damaged bytes, wrong keys, wrong configurations, wrong commands.
//! Each is refused with its own exit code and with a message that names the object, what is wrong
//! with it, and the next step.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::site::{Ran, Site, shipped};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::tls::Certificates;
use lifeboat_tests::{Cluster, ClusterSpec, Error, Etcd};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;

/// The variable that names the endpoints, over the configuration.
const ENDPOINTS: &str = "LIFEBOAT__CAPTURE__ENDPOINTS";

/// What was refused otherwise than it should be. All of it is shown at once.
#[derive(Default)]
struct Refusals(Vec<String>);

impl Refusals {
    /// `what` must end with `code`, say each of `texts`, and name the next step.
    fn expect(&mut self, what: &str, ran: &Ran, code: i32, texts: &[&str]) {
        let mut wrong = Vec::new();
        if ran.code != code {
            wrong.push(format!("exit code {} and not {code}", ran.code));
        }
        let expected = texts.iter().chain(&["next: "]);
        let unsaid = expected.filter(|text| !ran.stderr.contains(**text));
        wrong.extend(unsaid.map(|text| format!("does not say {text:?}")));
        if !wrong.is_empty() {
            let said = format!("{}{}", ran.stdout, ran.stderr);
            self.0.push(format!("{what}: {}\n{said}", wrong.join(", ")));
        }
    }

    fn finish(self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

fn small(spec: &ClusterSpec) -> Result<(Cluster, Site), Error> {
    let cluster = spec.start()?;
    let _ = cluster.load(&LoadSpec { objects: 20, ..LoadSpec::default() })?;
    let site = Site::new(&cluster)?;
    Ok((cluster, site))
}

/// A site with one backup, whose cluster is gone.
fn with_backup(test: &str) -> Option<Site> {
    let version = or_skip(test, Etcd::newest())?;
    let (_cluster, site) = small(&ClusterSpec::new(&version)).unwrap();
    let _ = site.lifeboat(&["run"]).code(0);
    Some(site)
}

fn write(site: &Site, name: &str, bytes: &[u8]) {
    durable::replace(&site.path(name), bytes).unwrap();
}

#[test]
fn i05_i06_f16_a_damaged_snapshot_is_no_snapshot() {
    let Some(site) = with_backup("i05_i06_f16_a_damaged_snapshot_is_no_snapshot") else { return };
    let _ = site.lifeboat(&["fetch", "latest", "-o", "good.db"]).code(0);
    let good = fs::read(site.path("good.db")).unwrap();
    let flipped = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let artifact = fs::read(site.objects("region_a", ".age").remove(0)).unwrap();
    let noise: Vec<u8> =
        (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let cut = format!("ends after {} bytes, expected", good.len() / 2);
    let last = good.len() - 1;
    let cases: [(&str, Vec<u8>, i32, Vec<&str>); 9] = [
        ("half", good[..good.len() / 2].to_vec(), 20, vec![&cut]),
        ("one byte short", good[..last].to_vec(), 20, vec!["ends after", "expected"]),
        ("one bit in a page", flipped(good.len() / 2), 20, vec![]),
        ("one bit in the trailer", flipped(last), 20, vec!["the SHA-256 trailer is", "hash to"]),
        ("a byte too many", [&good[..], b"x"].concat(), 20, vec![]),
        ("empty", Vec::new(), 20, vec!["ends after 0 bytes"]),
        ("noise", noise, 20, vec!["not a bbolt database"]),
        ("gzip", [&b"\x1f\x8b\x08\0"[..], &good].concat(), 20, vec!["a gzip file", "gunzip"]),
        ("still encrypted", artifact, 20, vec!["an encrypted age file", "age -d"]),
    ];
    let mut refusals = Refusals::default();
    for (what, bytes, code, texts) in &cases {
        write(&site, "bad.db", bytes);
        let ran = site.program("lifeboat-verify", &["bad.db"]);
        refusals.expect(what, &ran, *code, &[&["bad.db"], texts.as_slice()].concat());
        assert_eq!(ran.stdout, "", "{what}: nothing is said about bytes that are not sound");
        let piped = site.program("lifeboat-verify", &["-i", "bad.db", "-o", "out.db"]);
        refusals.expect(&format!("{what}, as a filter"), &piped, *code, texts);
        assert!(!site.path("out.db").exists(), "{what}: an output appeared");
    }
    without_its_trailer(&site, &good[..good.len() - 32], &mut refusals);
    let missing = site.program("lifeboat-verify", &["missing.db"]);
    refusals.expect("missing", &missing, 2, &["cannot open the input missing.db"]);
    let another = "00".repeat(32);
    let ran = site.program("lifeboat-verify", &["good.db", "--expect-sha256", &another]);
    refusals.expect("another SHA-256", &ran, 20, &[&another]);
    let ran = site.program("lifeboat-verify", &["good.db", "--expect-sha256", "xyz"]);
    assert!(ran.code == 2 && ran.stderr.contains("64 hex digits"), "{ran:?}");
    refusals.finish();
}

/// A database file without a digest is proved as a file, but never as a step: there it may be a
/// stream that was cut at just that place.
fn without_its_trailer(site: &Site, bytes: &[u8], refusals: &mut Refusals) {
    write(site, "bare.db", bytes);
    let page = site.program("lifeboat-verify", &["bare.db"]).code(0).stdout;
    assert!(page.contains("no trailer to match"), "{page}");
    let ran = site.program("lifeboat-verify", &["-i", "bare.db", "-o", "out.db"]);
    refusals.expect("without a trailer", &ran, 20, &["no SHA-256 trailer", "lifeboat-verify FILE"]);
}

#[test]
fn f44_a_backup_is_only_opened_by_what_opens_it() {
    let Some(site) = with_backup("f44_a_backup_is_only_opened_by_what_opens_it") else { return };
    let mut refusals = Refusals::default();
    let made = site.lifeboat(&["keygen", "keys/another.txt"]).code(0).stdout;
    let fetch = |more: &[&str]| {
        let ran = site.lifeboat(&[&["fetch", "latest", "-o", "out.db"], more].concat());
        assert!(!site.path("out.db").exists(), "an output appeared: {ran:?}");
        assert!(!ran.stderr.contains("AGE-SECRET-KEY"), "{ran:?}");
        ran
    };
    let wrong = fetch(&["--identity", "keys/another.txt"]);
    refusals.expect("a wrong identity", &wrong, 21, &["the one identity", "decrypt failed"]);
    let both = ["--identity", "keys/another.txt", "--identity", "keys/third.txt"];
    let _ = site.lifeboat(&["keygen", "keys/third.txt"]).code(0);
    refusals.expect("two of them", &fetch(&both), 21, &["none of the 2 identities"]);
    let missing = fetch(&["--identity", "keys/no-such.txt"]);
    refusals.expect("a missing file", &missing, 21, &["keys/no-such.txt", "because: No such file"]);
    write(&site, "public.txt", made.as_bytes());
    let public = fetch(&["--identity", "public.txt"]);
    refusals.expect("the public half", &public, 21, &["public.txt", "public recipient"]);
    write(&site, "empty.txt", b"# nothing\n");
    let empty = fetch(&["--identity", "empty.txt"]);
    refusals.expect("no identity in it", &empty, 21, &["empty.txt has no identity"]);
    site.configure(&shipped().replace("[\"keys/identity.txt\"]", "[]")).unwrap();
    let none = fetch(&[]);
    refusals.expect("none configured", &none, 3, &["no identity to decrypt with", "--identity"]);
    // What needs no identity works without one.
    let _ = site.lifeboat(&["fetch", "latest", "--raw", "-o", "raw.age"]).code(0);
    refusals.finish();
}

#[test]
fn f47_i12_i25_a_manifest_is_believed_only_where_it_fits() {
    let Some(site) = with_backup("f47_i12_i25_a_manifest_is_believed_only_where_it_fits") else {
        return;
    };
    let manifest = site.objects("region_a", ".json").remove(0);
    let text = fs::read_to_string(&manifest).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let changed = |key: &str, value: serde_json::Value| {
        let mut json = json.clone();
        json[key] = value;
        serde_json::to_string(&json).unwrap()
    };
    let mut artifact = json["artifact"].clone();
    artifact["file"] = "../../escape.db".into();
    let twice = text.replacen('{', "{\n  \"version\": 1,", 1);
    let cases = [
        ("malformed", text.replace(':', ";"), 20, "not a manifest"),
        ("not even text", "\u{0}\u{1}".into(), 20, "not a manifest"),
        ("a list", "[]".into(), 20, "no version"),
        (
            "of a newer version",
            changed("version", 2.into()),
            60,
            "version 2; this program knows up to 1",
        ),
        ("of another cluster", changed("cluster", "prod".into()), 20, "cluster \"prod\""),
        ("of another tier", changed("tier", "daily".into()), 20, "its name says"),
        ("with an artifact elsewhere", changed("artifact", artifact), 20, "../../escape.db"),
        ("with a key twice", twice, 20, "\"version\""),
    ];
    let key = manifest.strip_prefix(site.path("backups/region-a")).unwrap();
    let key = key.to_str().unwrap();
    let mut refusals = Refusals::default();
    for (what, text, code, why) in cases {
        fs::write(&manifest, text).unwrap();
        let list = site.lifeboat(&["list"]).code(0).stdout;
        let shown = list.contains("region_a (broken), region_b") && list.contains(why);
        assert!(shown, "{what}: {list}");
        let fetch = ["--destination", "region_a", "--manifest", key, "-o", "out.age"];
        let ran = site.program("lifeboat-fetch", &fetch);
        refusals.expect(what, &ran, code, &["region_a", key, why]);
        let from = site.lifeboat(&["fetch", "latest", "--from", "region_a", "-o", "out.db"]);
        refusals.expect(&format!("{what}, by name"), &from, code, &["region_a", why]);
    }
    fs::write(&manifest, &text).unwrap();
    renamed(&site, &manifest, &mut refusals);
    let odd =
        site.program("lifeboat-fetch", &["--destination", "region_a", "--manifest", "x.json"]);
    refusals.expect("no key", &odd, 2, &["\"x.json\" is not the key of a manifest"]);
    let odd = site.program("lifeboat-fetch", &["--destination", "tape", "--manifest", key]);
    refusals.expect("no destination", &odd, 2, &["no destination \"tape\""]);
    refusals.finish();
}

/// A manifest under the name of another backup is broken, and hides nothing.
fn renamed(site: &Site, manifest: &Path, refusals: &mut Refusals) {
    let name = manifest.file_name().unwrap().to_str().unwrap();
    let other = manifest.with_file_name(name.replacen("20", "21", 1));
    fs::copy(manifest, &other).unwrap();
    let list = site.lifeboat(&["list"]).code(0).stdout;
    assert!(list.contains("its name says") && list.contains("region_a, region_b"), "{list}");
    // The broken one looks newer; `latest` is the newest that is whole.
    let _ = site.lifeboat(&["fetch", "latest", "-o", "latest.db"]).code(0);
    let broken = other.file_name().unwrap().to_str().unwrap();
    let ran = site.lifeboat(&["fetch", &broken[..20], "-o", "out.db"]);
    refusals.expect("misnamed", &ran, 20, &["no destination has a verified copy", "its name says"]);
}

#[test]
fn f45_f46_i15_a_damaged_artifact_is_refused_by_the_step_that_sees_it() {
    let test = "f45_f46_i15_a_damaged_artifact_is_refused_by_the_step_that_sees_it";
    let Some(site) = with_backup(test) else { return };
    let artifact = fs::read(site.objects("region_a", ".age").remove(0)).unwrap();
    let mut refusals = Refusals::default();
    let identity = ["--identity", "keys/identity.txt"];
    let decrypt = |bytes: &[u8]| {
        write(&site, "bad.age", bytes);
        let ends = ["-d", "-i", "bad.age", "-o", "out.zst"];
        let ran = site.program("lifeboat-encrypt", &[&ends[..], &identity].concat());
        assert!(!site.path("out.zst").exists(), "an output appeared: {ran:?}");
        ran
    };
    let mut flipped = artifact.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    refusals.expect("flipped", &decrypt(&flipped), 20, &["payload is damaged"]);
    let cut = decrypt(&artifact[..artifact.len() - 20]);
    refusals.expect("cut", &cut, 20, &["age payload"]);
    refusals.expect("cut early", &decrypt(&artifact[..50]), 20, &["truncated"]);
    refusals.expect("empty", &decrypt(b""), 20, &["the input is not an age file: it is empty"]);
    refusals.expect("not age", &decrypt(b"hello, world"), 20, &["not an age file"]);

    let ends = ["-d", "-i", "bad.age", "-o", "packed.zst"];
    write(&site, "bad.age", &artifact);
    let _ = site.program("lifeboat-encrypt", &[&ends[..], &identity].concat()).code(0);
    let packed = fs::read(site.path("packed.zst")).unwrap();
    let unpack = |bytes: &[u8]| {
        write(&site, "bad.zst", bytes);
        let ran = site.program("lifeboat-compress", &["-d", "-i", "bad.zst", "-o", "out.db"]);
        assert!(!site.path("out.db").exists(), "an output appeared: {ran:?}");
        ran
    };
    refusals.expect("cut zstd", &unpack(&packed[..packed.len() - 9]), 20, &["ends"]);
    refusals.expect("no zstd", &unpack(&artifact), 20, &["zstd"]);
    refusals.expect("empty zstd", &unpack(b""), 20, &["empty"]);
    refusals.expect("two frames", &unpack(&[&packed[..], &packed].concat()), 20, &["frame"]);
    refusals.finish();
}

#[test]
fn f51_a_configuration_is_right_or_refused() {
    let site = Site::without_cluster().unwrap();
    let mut refusals = Refusals::default();
    let good = shipped();
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from:?} is not in the shipped pipeline");
        good.replacen(from, to, 1)
    };
    let level = good.lines().position(|line| line.starts_with("level = 1")).unwrap() + 1;
    let (name, value) = (format!(":{level}:1"), format!(":{level}:9"));
    let table = format!("pipeline.toml:{}:10", level - 1);
    let huge = format!("{good}\n{}", "# filler\n".repeat(250_000));
    let no_prune =
        with("\"replicate\", \"prune\"]", "\"replicate\"]").replace("[prune]", "[purge]");
    let s3 = "s3://user:hunter2@bucket/x";
    let cases: Vec<(&str, String, Vec<&str>)> = vec![
        ("an unknown key", with("level = 1", "levle = 1"), vec![&name, "levle", "\"level\"?"]),
        ("an unknown table", no_prune, vec!["purge", "did you mean \"prune\"?"]),
        (
            "an unknown word",
            with("= \"when-comparable\"", "= \"when-compared\""),
            vec!["when-comparable"],
        ),
        ("a wrong type", with("level = 1", "level = \"three\""), vec![&value, "\"three\""]),
        ("a wrong number", with("level = 1", "level = 30"), vec!["level 30 is not from 1 to 19"]),
        ("no duration", with("\"26h\"", "\"26\""), vec!["\"26\" is not a duration", "\"26h\""]),
        ("no TOML", with("[compress]", "[compress"), vec![&table]),
        ("a key twice", with("level = 1", "level = 1\nlevel = 4"), vec!["duplicate key"]),
        ("nothing", String::new(), vec!["the cluster has no name"]),
        ("comments only", "# nothing\n".into(), vec!["the cluster has no name"]),
        ("no text", "\u{0}\u{1}\u{2}".into(), vec!["pipeline.toml:1:"]),
        ("two megabytes", huge, vec!["at most 1048576 are read"]),
        (
            "another order",
            with("\"compress\", \"encrypt\"", "\"encrypt\", \"compress\""),
            vec!["\"encrypt\" comes before \"compress\""],
        ),
        ("no verify", with("\"verify\", ", ""), vec!["stage \"verify\" is missing"]),
        ("an unknown stage", with("\"verify\", ", "\"verfy\", "), vec!["did you mean \"verify\"?"]),
        ("a password in a URL", with("file:backups/region-a", s3), vec!["it holds credentials"]),
        ("one place twice", with("region-b\"", "region-a\""), vec!["one copy, not two"]),
        (
            "one place twice, in disguise",
            with("file:backups/region-b", "file:./backups/region-a/"),
            vec!["one copy, not two"],
        ),
        (
            "no effect",
            with("file:backups/region-a\"", "file:backups/region-a\"\nregion = \"x\""),
            vec!["region has no effect on a directory"],
        ),
        ("too many copies", with("require = \"all\"", "require = 3"), vec!["more copies than"]),
        ("no copies", with("require = \"all\"", "require = 0"), vec!["a number above 0"]),
        ("half a pair", with("# cert_file", "cert_file"), vec!["cert_file and key_file belong"]),
        ("no zone", with("\"UTC\"", "\"Mars/Base\""), vec!["time zone \"Mars/Base\" is not known"]),
    ];
    for (what, text, texts) in &cases {
        site.configure(text).unwrap();
        for verb in [&["run", "--dry-run"][..], &["status"], &["prune", "--dry-run"]] {
            let ran = site.lifeboat(verb);
            refusals.expect(what, &ran, 3, &[&["pipeline.toml"], texts.as_slice()].concat());
            assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        }
    }
    refusals.finish();
}

#[test]
fn f51_a_configuration_that_is_not_there() {
    let mut site = Site::without_cluster().unwrap();
    let mut refusals = Refusals::default();
    let ran = site.lifeboat(&["--config", "no-such.toml", "run"]);
    refusals.expect("missing", &ran, 3, &["no-such.toml", "because: No such file"]);
    fs::create_dir(site.path("folder.toml")).unwrap();
    let ran = site.lifeboat(&["--config", "folder.toml", "run"]);
    refusals.expect("a directory", &ran, 3, &["folder.toml", "because: "]);
    let ran = site.lifeboat(&["-C", "no-such-folder", "run"]);
    refusals.expect("no such directory", &ran, 2, &["no-such-folder"]);
    let ran = site.program("lifeboat-compress", &["-C", "no-such-folder"]);
    refusals.expect("no such directory for a stage", &ran, 2, &["no-such-folder"]);
    fs::write(site.path("pipeline.toml"), b"cluster = \"\xff\"\n").unwrap();
    refusals.expect("not UTF-8", &site.lifeboat(&["run"]), 3, &["pipeline.toml", "UTF-8"]);
    site.configure(&shipped()).unwrap();
    site.set("LIFEBOAT__COMPRESS__LEVLE", "4");
    let variable = "environment variable LIFEBOAT__COMPRESS__LEVLE";
    let ran = site.lifeboat(&["run", "--dry-run"]);
    refusals.expect("a variable", &ran, 3, &[variable, "did you mean \"level\"?"]);
    refusals.finish();
}

#[test]
fn f20_i23_an_etcd_that_cannot_be_used() {
    let test = "f20_i23_an_etcd_that_cannot_be_used";
    let Some(version) = or_skip(test, Etcd::newest()) else { return };
    let spec = ClusterSpec::new(&version).tls().auth("hunter2");
    let (cluster, mut site) = small(&spec).unwrap();
    let other = Certificates::create(&site.path("other")).unwrap();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let text = |path: &Path| path.display().to_string();
    let none = |name: &str| (name.to_owned(), String::new());
    let ca = |value: String| vec![("ETCDCTL_CACERT".to_owned(), value)];
    let cert = |value: String| vec![("ETCDCTL_CERT".to_owned(), value)];
    let key = |value: String| vec![("ETCDCTL_KEY".to_owned(), value)];
    let user = |value: &str| vec![("ETCDCTL_USER".to_owned(), value.to_owned())];
    let at = |value: String| vec![(ENDPOINTS.to_owned(), value)];
    let plain = cluster.endpoint(0).replace("https://", "http://");
    let without = ["ETCDCTL_CACERT", "ETCDCTL_CERT", "ETCDCTL_KEY"].map(none).to_vec();
    let (no_file, no_pem) = (text(&site.path("no.pem")), text(&site.path("keys/identity.txt")));
    let (other_cert, other_key) = (text(&other.client().certificate), text(&other.client().key));
    let cases = [
        ("nobody there", at(format!("https://{closed}")), 10, "was refused"),
        ("certificates for http", at(plain.clone()), 3, "would not use them"),
        ("http, but TLS", [at(plain), without].concat(), 3, "speaks TLS"),
        ("no URL", at("http://[".into()), 3, "http://["),
        ("another authority", ca(text(&other.ca())), 11, "known authority"),
        ("no authority", ca(no_file.clone()), 3, "no.pem"),
        ("no PEM", ca(no_pem), 3, "identity.txt"),
        ("no certificate", cert(no_file), 3, "no.pem"),
        (
            "another's certificate",
            [cert(other_cert), key(other_key.clone())].concat(),
            11,
            "client certificate",
        ),
        ("not a pair", key(other_key), 11, "does not belong"),
        ("no password", user("root"), 3, "password"),
        ("a wrong password", user("root:canary"), 11, "user or password"),
        ("nobody", user(""), 11, "root role"),
    ];
    let mut refusals = Refusals::default();
    for (what, variables, code, why) in cases {
        let ran = captured(&mut site, &cluster, &variables);
        refusals.expect(what, &ran, code, &[why]);
        assert!(!site.path("out.db").exists(), "{what}: an output appeared");
    }
    // The log that says everything does not say the password.
    let ran = captured(&mut site, &cluster, &[("LIFEBOAT_LOG_LEVEL".into(), "trace".into())]);
    let _ = ran.code(0).said("send (frame=");
    refusals.finish();
}

/// A capture with some variables set otherwise; no password is ever shown.
fn captured(site: &mut Site, cluster: &Cluster, otherwise: &[(String, String)]) -> Ran {
    cluster.client_env().iter().for_each(|(name, value)| site.set(name, value));
    site.set(ENDPOINTS, &cluster.endpoints().join(","));
    otherwise.iter().for_each(|(name, value)| site.set(name, value));
    let ran = site.program("lifeboat-capture", &["-o", "out.db"]);
    assert!(!ran.stderr.contains("hunter2") && !ran.stderr.contains("canary"), "{ran:?}");
    ran
}

#[test]
fn a_command_that_makes_no_sense() {
    let site = Site::without_cluster().unwrap();
    let mut refusals = Refusals::default();
    let ran = site.lifeboat(&["lsit"]);
    refusals.expect("an unknown verb", &ran, 2, &["\"lsit\"", "did you mean `lifeboat list`?"]);
    refusals.expect("a far one", &site.lifeboat(&["frobnicate"]), 2, &["\"frobnicate\"", "--help"]);
    for arguments in [&["run", "--no-such"][..], &["fetch"], &["show", "a", "b"], &[]] {
        let ran = site.lifeboat(arguments);
        assert!(ran.code == 2 && ran.stderr.contains("Usage: lifeboat"), "{arguments:?} {ran:?}");
    }
    let ran = site.program("lifeboat-replicate", &[]);
    refusals.expect("replicate alone", &ran, 2, &["there is no run directory"]);
    let ran = site.program("lifeboat-replicate", &["--run-dir", "keys"]);
    refusals.expect("another directory", &ran, 2, &["keys is not a run directory"]);
    let ran = site.lifeboat(&["keygen", "keys/identity.txt"]);
    refusals.expect("a key that exists", &ran, 2, &["keys/identity.txt", "already"]);
    let ran = site.lifeboat(&["init"]);
    refusals.expect("a pipeline that exists", &ran, 2, &["pipeline.toml", "already"]);
    refusals.expect("no program", &site.lifeboat(&["wrap", "scan"]), 3, &["no program \"scan\""]);
    refusals.finish();
}

#[test]
fn i22_what_is_asked_for_is_not_there() {
    let Some(mut site) = with_backup("i22_what_is_asked_for_is_not_there") else { return };
    let mut refusals = Refusals::default();
    let name = site.manifests("region_a")[0]["backup"].as_str().unwrap().to_owned();
    refusals.expect("no such", &site.lifeboat(&["show", "1999"]), 41, &["no backup \"1999\""]);
    let ran = site.lifeboat(&["fetch", "1999", "-o", "out.db"]);
    refusals.expect("no such to fetch", &ran, 41, &["no backup \"1999\"", "lifeboat list"]);
    second_of_the_same_second(&site, &name);
    let ran = site.lifeboat(&["show", &name[..17]]);
    refusals.expect("ambiguous", &ran, 2, &[&name[..17], "2 backups", "more of the name"]);
    write(&site, "taken.db", b"precious");
    let ran = site.lifeboat(&["fetch", &name, "-o", "taken.db"]);
    refusals.expect("an output that exists", &ran, 2, &["taken.db exists already"]);
    assert_eq!(fs::read(site.path("taken.db")).unwrap(), b"precious");
    let ran = site.lifeboat(&["fetch", &name, "-o", "no/such/folder/out.db"]);
    refusals.expect("no such folder", &ran, 2, &["no/such/folder"]);
    assert!(!site.path("no").exists());

    site.set("LIFEBOAT__RUN__STALE_AFTER", "1s");
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let status = site.lifeboat(&["status"]).code(41).stdout;
    assert!(status.starts_with("demo: STALE: ") && status.contains("allowed"), "{status}");
    assert_eq!(site.lifeboat(&["status", "--json"]).code(41).json()["safety"], "stale");
    site.set("LIFEBOAT__CLUSTER", "another");
    let status = site.lifeboat(&["status"]).code(41).stdout;
    assert_eq!(status, "another: NO BACKUP: no verified backup\n");
    let ran = site.lifeboat(&["fetch", "latest", "-o", "out.db"]);
    refusals.expect("none", &ran, 41, &["cluster \"another\" has no backup"]);
    in_the_dark(&site, &mut refusals);
    refusals.finish();
}

/// A backup whose name begins as another one does.
fn second_of_the_same_second(site: &Site, name: &str) {
    for region in ["region_a", "region_b"] {
        for object in site.objects(region, "") {
            let other = object.to_str().unwrap().replace(&name[17..22], "01zzz");
            fs::copy(&object, other).unwrap();
        }
    }
}

/// All destinations are unreadable: nothing is known, and nothing is claimed.
fn in_the_dark(site: &Site, refusals: &mut Refusals) {
    fs::remove_dir_all(site.path("backups")).unwrap();
    write(site, "backups", b"a file where a directory was");
    let status = site.lifeboat(&["status"]).code(10).stdout;
    assert!(status.contains("UNKNOWN: no destination could be read"), "{status}");
    let ran = site.lifeboat(&["fetch", "latest", "-o", "out.db"]);
    refusals.expect("dark", &ran, 30, &["lifeboat list", "region_a, region_b"]);
    let list = site.lifeboat(&["list"]).code(30).stdout;
    assert!(list.contains("! region_a could not be read"), "{list}");
    let ran = site.lifeboat(&["prune"]);
    refusals.expect("prune in the dark", &ran, 50, &["nothing was removed", "region_a"]);
    let mut closed = site.command("lifeboat");
    let ran = Ran::of(&closed.arg("list").stdout(Stdio::null()).output().unwrap());
    assert_eq!(ran.code, 30, "{ran:?}");
}
