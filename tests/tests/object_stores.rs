//! Object stores: the main job into directories and buckets at once, and everything that a store
//! can do wrong. What lies in a bucket of s3s-fs is looked at, and damaged, as files.

#![allow(clippy::disallowed_methods, reason = "damage is done without care")]
#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::s3::{ACCESS_KEY, Bucket, S3Kind, S3Server, SECRET_KEY};
use lifeboat_tests::site::{CLUSTER, Ran, Site};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::tls::Certificates;
use lifeboat_tests::{Cluster, ClusterSpec, Error, Etcd, Server, run, servers, wait_until};
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Never a credential of any server; whoever shows it has taken it from the environment.
const ENVIRONMENT_CANARY: &str = "canary-secret-of-the-environment";
/// A secret that no server knows.
const WRONG_SECRET: &str = "canary-secret-that-is-wrong";
/// The smallest part that S3 takes.
const PART_BYTES: usize = 5 << 20;

/// A cluster and a place to back it up from, with credentials of three profiles.
struct Scene {
    cluster: Cluster,
    site: Site,
}

impl Scene {
    fn start() -> Result<Self, Error> {
        let cluster = ClusterSpec::new(&Etcd::newest()?).start()?;
        let mut site = Site::new(&cluster)?;
        let profile = |name: &str, secret: &str| {
            format!(
                "[{name}]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {secret}\n"
            )
        };
        let writer = profile("writer", SECRET_KEY);
        let thief = profile("thief", WRONG_SECRET);
        durable::write_new(&site.path("aws"), format!("{writer}\n{thief}").as_bytes())?;
        let other = profile("default", SECRET_KEY);
        durable::write_new(&site.path("aws-other"), other.as_bytes())?;
        // Credentials that are named must win over these, and nothing may ever show them.
        site.set("AWS_ACCESS_KEY_ID", "canary-id-of-the-environment");
        site.set("AWS_SECRET_ACCESS_KEY", ENVIRONMENT_CANARY);
        site.set("AWS_SESSION_TOKEN", ENVIRONMENT_CANARY);
        Ok(Scene { cluster, site })
    }

    /// With some objects in the cluster.
    fn small() -> Result<Self, Error> {
        let scene = Scene::start()?;
        let _ = scene.cluster.load(&LoadSpec { objects: 20, ..LoadSpec::default() })?;
        Ok(scene)
    }

    fn configure(&self, require: &str, destinations: &[String]) {
        let text = format!(
            "cluster = \"demo\"\n\
             stages = [\"capture\", \"verify\", \"compress\", \"encrypt\", \"replicate\"]\n\
             [run]\nattempts = 1\ndeadline = \"90s\"\n\
             [encrypt]\nrecipients_files = [\"keys/recipients.txt\"]\n\
             [decrypt]\nidentities_files = [\"keys/identity.txt\"]\n\
             [replicate]\nrequire = {require}\n{}",
            destinations.concat()
        );
        self.site.configure(&text).unwrap();
    }

    /// Runs the pipeline, and looks for secrets in everything that it leaves.
    fn run(&self, arguments: &[&str]) -> Ran {
        self.keeps_secrets(self.site.lifeboat(&[&["run"], arguments].concat()))
    }

    fn lifeboat(&self, arguments: &[&str]) -> Ran {
        self.keeps_secrets(self.site.lifeboat(arguments))
    }

    fn keeps_secrets(&self, ran: Ran) -> Ran {
        let secrets = [SECRET_KEY, WRONG_SECRET, ENVIRONMENT_CANARY];
        let left = files(&self.site.path("state")).into_iter().map(|path| fs::read(path).unwrap());
        let mut texts: Vec<String> =
            left.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect();
        texts.extend([ran.stdout.clone(), ran.stderr.clone()]);
        for secret in secrets {
            assert!(!texts.iter().any(|text| text.contains(secret)), "{secret} is shown: {ran:?}");
        }
        ran
    }

    /// The names of all backups, newest first, and how many artifacts have no manifest.
    fn listed(&self) -> (Vec<String>, usize) {
        let list = self.lifeboat(&["list", "--json"]).json();
        let names = list["backups"].as_array().unwrap().iter();
        let names = names.map(|b| b["name"].as_str().unwrap().to_owned()).collect();
        (names, list["orphans"].as_array().unwrap().len())
    }

    fn assert_nothing_listed(&self) {
        assert_eq!(self.listed(), (Vec::new(), 0));
    }
}

fn disk(name: &str) -> String {
    format!("[destinations.{name}]\nurl = \"file:backups/{name}\"\n")
}

/// A destination in a bucket, with the credentials of a profile of the file `aws`.
fn bucket(name: &str, endpoint: &str, bucket: &str, profile: &str, more: &str) -> String {
    format!(
        "[destinations.{name}]\nurl = \"s3://{bucket}/etcd\"\nendpoint = \"{endpoint}\"\n\
         path_style = true\ncredentials_file = \"aws\"\nprofile = \"{profile}\"\n{more}\n"
    )
}

fn s3s(test: &str) -> Option<S3Server> {
    let server = or_skip(test, S3Server::start(S3Kind::S3sFs))?;
    server.create_bucket("backups", Bucket::Plain).unwrap();
    Some(server)
}

/// Everything under a folder that is an object: s3s-fs keeps its own notes in hidden files.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries.flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        match entry.path() {
            path if path.is_dir() => found.extend(files(&path)),
            path if !hidden => found.push(path),
            _ => {}
        }
    }
    found.sort();
    found
}

fn objects(server: &S3Server, ending: &str) -> Vec<PathBuf> {
    let all = files(&server.bucket_dir("backups").unwrap());
    all.into_iter().filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// Data that does not get smaller, from a fixed seed (xorshift), in values that etcd takes.
fn fill(cluster: &Cluster, bytes: usize) {
    const VALUE_BYTES: usize = 1 << 20;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    runtime.block_on(async {
        let mut client = etcd_client::Client::connect(cluster.endpoints(), None).await.unwrap();
        for index in 0..bytes.div_ceil(VALUE_BYTES) {
            let words = (0..VALUE_BYTES / 8).flat_map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()
            });
            let value: Vec<u8> = words.collect();
            client.put(format!("/noise/{index}"), value, None).await.unwrap();
        }
    });
}

#[test]
fn i01_a_directory_and_two_kinds_of_stores_at_once() {
    let test = "i01_a_directory_and_two_kinds_of_stores_at_once";
    let Some(scene) = or_skip(test, Scene::start()) else { return };
    let (Some(s3s), Some(moto)) = (s3s(test), or_skip(test, S3Server::start(S3Kind::Moto))) else {
        return;
    };
    moto.create_bucket("backups", Bucket::Plain).unwrap();
    fill(&scene.cluster, 12 << 20);
    let parts = format!("part_bytes = {PART_BYTES}\n");
    let classed = "checksum = \"part\"\nstorage_class = \"STANDARD_IA\"\nsse = \"kms\"\n\
                   kms_key = \"alias/backups\"\n";
    let other_file =
        bucket("moto", &moto.endpoint(), "backups", "default", &format!("{parts}{classed}"))
            .replace("\"aws\"", "\"aws-other\"");
    let ours = bucket("s3s", &s3s.endpoint(), "backups", "writer", &parts);
    scene.configure("\"all\"", &[disk("disk"), ours, other_file]);
    let _ = scene.run(&["--json"]).code(0);
    let shown = scene.lifeboat(&["show", "--json"]).code(0).json();
    let copies = shown["copies"].as_array().unwrap();
    assert_eq!(copies.len(), 3, "{copies:#?}");
    assert!(copies.iter().all(|c| c["state"] == "verified"));
    assert!(copies.iter().all(|c| c["manifest_sha256"] == copies[0]["manifest_sha256"]));
    let bytes = shown["manifest"]["artifact"]["bytes"].as_u64().unwrap();
    assert!(bytes > 2 * PART_BYTES as u64, "{bytes} bytes are not three parts");
    people_see_three_copies(&scene, &s3s);
    each_copy_comes_back(&scene);
}

fn people_see_three_copies(scene: &Scene, s3s: &S3Server) {
    let list = scene.lifeboat(&["list"]).code(0).stdout;
    assert!(list.contains("disk, moto, s3s"), "{list}");
    let status = scene.lifeboat(&["status"]).code(0).stdout;
    assert!(status.contains("SAFE") && status.contains("3 of 3 copies"), "{status}");
    let page = scene.lifeboat(&["show"]).code(0).stdout;
    assert!(page.contains(&format!("s3s s3://backups/etcd/ at {}", s3s.endpoint())), "{page}");
}

fn each_copy_comes_back(scene: &Scene) {
    let mut digests = Vec::new();
    for destination in ["disk", "moto", "s3s"] {
        let file = format!("{destination}.db");
        let ran = scene.lifeboat(&["fetch", "latest", "--from", destination, "-o", &file]).code(0);
        let _ = ran.said(&format!("from {destination} is in {file}"));
        let page = scene.site.program("lifeboat-verify", &["--json", &file]).code(0).json();
        digests.push(page["sha256"].as_str().unwrap().to_owned());
    }
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    let unknown = scene.lifeboat(&["fetch", "latest", "--from", "tape", "-o", "x.db"]).code(2);
    let _ = unknown.said("no destination \"tape\"").said("next: ");
}

#[test]
fn a_setting_that_the_store_ignores_does_not_count() {
    let test = "a_setting_that_the_store_ignores_does_not_count";
    let Some(scene) = or_skip(test, Scene::small()) else { return };
    let Some(s3s) = s3s(test) else { return };
    let with =
        |line: &str| [disk("disk"), bucket("s3s", &s3s.endpoint(), "backups", "writer", line)];
    let complaint = "the store ignored sse: asked for AES256, found none";

    scene.configure("\"all\"", &with("storage_class = \"STANDARD_IA\""));
    let ran = scene.run(&[]).code(3).said("the store does not accept storage_class");
    let _ = ran.said("destination \"s3s\"").said("next: correct it, or leave it out");

    scene.configure("\"all\"", &with("sse = \"s3\""));
    let ran = scene.run(&[]).code(3).said("destination \"s3s\"").said(complaint);
    let _ = ran.said("only 1 of 2 destinations").said("next: the store does not support it");
    scene.assert_nothing_listed();
    assert_eq!(objects(&s3s, ""), Vec::<PathBuf>::new(), "what was written is taken back");

    scene.configure("1", &with("sse = \"s3\""));
    let ran = scene.run(&["--json"]).code(40).said("destination \"s3s\"").said(complaint);
    let ran = ran.said("next: ").said("fewer copies than wanted");
    let backup = ran.json()["backup"].as_str().unwrap().to_owned();
    let list = scene.lifeboat(&["list", "--json"]).code(0).json();
    assert_eq!(list["backups"][0]["name"], backup.as_str());
    assert_eq!(list["backups"][0]["copies"], serde_json::json!({ "disk": "verified" }));
    let _ = scene.lifeboat(&["status"]).code(40);
    let missing = scene.lifeboat(&["fetch", "latest", "--from", "s3s", "-o", "x.db"]).code(20);
    let _ = missing.said(&backup).said("next: ");
}

#[test]
fn f29_a_store_that_refuses_fails_by_its_own_code() {
    let test = "f29_a_store_that_refuses_fails_by_its_own_code";
    let Some(scene) = or_skip(test, Scene::small()) else { return };
    let Some(s3s) = s3s(test) else { return };
    let endpoint = s3s.endpoint();
    let at = |name: &str, there: &str, profile: &str| bucket(name, &endpoint, there, profile, "");

    // The same server with two profiles at once: each destination has its own.
    let thief = at("thief", "backups", "thief").replace("/etcd", "/stolen");
    scene.configure("\"all\"", &[at("good", "backups", "writer"), thief]);
    let ran = scene.run(&[]).code(11).said("destination \"thief\"").said("credentials");
    let _ = ran.said("next: correct the access key and its secret").said("only 1 of 2");
    assert_eq!(objects(&s3s, ""), Vec::<PathBuf>::new());

    let nowhere = "[destinations.aws]\nurl = \"s3://backups\"\ncredentials_file = \"aws\"\n";
    scene.configure("\"all\"", &[disk("disk"), nowhere.to_owned()]);
    let _ = scene.run(&[]).code(3).said("no region is known").said("next: set region");

    // A file of credentials with a line that cannot be read, and one that is not there.
    let odd = format!("[writer]\naws_access_key_id {ACCESS_KEY}\n{WRONG_SECRET}\n");
    durable::replace(&scene.site.path("aws"), odd.as_bytes()).unwrap();
    scene.configure("\"all\"", &[at("s3s", "backups", "writer")]);
    let _ = scene.run(&[]).code(11).said("destination \"s3s\"").said("next: ");
    fs::remove_file(scene.site.path("aws")).unwrap();
    let _ = scene.run(&[]).code(11).said("destination \"s3s\"").said("next: ");
}

#[test]
fn i23_the_most_talkative_log_shows_no_secret() {
    let test = "i23_the_most_talkative_log_shows_no_secret";
    let Some(mut scene) = or_skip(test, Scene::small()) else { return };
    let Some(s3s) = s3s(test) else { return };
    scene.configure("1", &[bucket("s3s", &s3s.endpoint(), "backups", "writer", "")]);
    scene.site.set("LIFEBOAT_LOG_LEVEL", "trace");
    let _ = scene.run(&[]).code(0).said("the snapshot is sound").said("transmitting request");
    let _ = scene.lifeboat(&["fetch", "-o", "back.db"]).code(0);
}

#[test]
fn f25_f36_a_dead_store_does_not_hold_up_the_others() {
    let test = "f25_f36_a_dead_store_does_not_hold_up_the_others";
    let Some(scene) = or_skip(test, Scene::small()) else { return };
    let Some(s3s) = s3s(test) else { return };
    // Nobody listens on a port that was just free; nobody answers on one that is never accepted.
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let dead = |address: std::net::SocketAddr| {
        bucket("dead", &format!("http://{address}"), "backups", "writer", "timeout = \"1s\"\n")
    };
    let alive = [disk("disk"), bucket("s3s", &s3s.endpoint(), "backups", "writer", "")];
    let three = |last: String| [alive[0].clone(), alive[1].clone(), last];

    scene.configure("\"all\"", &three(dead(closed)));
    let ran = scene.run(&[]).code(10).said("only 2 of 3 destinations hold a proved copy");
    let _ = ran.said("destination \"dead\"").said("no progress for 1 s").said("next: ");
    assert_eq!(objects(&s3s, ""), Vec::<PathBuf>::new(), "what was uploaded is taken back");
    assert_eq!(files(&scene.site.path("backups")), Vec::<PathBuf>::new());
    let list = scene.lifeboat(&["list"]).code(10).stdout;
    assert!(list.contains("! dead could not be read"), "{list}");

    scene.configure("\"majority\"", &three(dead(silent.local_addr().unwrap())));
    let ran = scene.run(&[]).code(40).said("destination \"dead\"").said("next: ");
    let _ = ran.said("destination disk holds a proved copy");
    let status = scene.lifeboat(&["status"]).code(40).stdout;
    assert!(status.contains("PARTIAL") && status.contains("could not read dead"), "{status}");
    let _ = scene.lifeboat(&["fetch", "latest", "-o", "back.db"]).code(0);
}

#[test]
fn i04_f28_what_is_there_is_never_overwritten() {
    let test = "i04_f28_what_is_there_is_never_overwritten";
    let Some(scene) = or_skip(test, Scene::small()) else { return };
    let Some(s3s) = s3s(test) else { return };
    let at = |name: &str, prefix: &str| {
        bucket(name, &s3s.endpoint(), "backups", "writer", "").replace("/etcd", prefix)
    };
    scene.configure("\"all\"", &[disk("disk"), at("s3s", "/etcd")]);
    let artifact = up_to_replicate(&scene.site, "run");
    copy_run_dir(&scene.site, "run", "again");
    copy_run_dir(&scene.site, "run", "third");
    let replicate = |run_dir: &str| {
        let arguments = ["--run-dir", run_dir, "--input", &artifact];
        scene.keeps_secrets(scene.site.program("lifeboat-replicate", &arguments))
    };
    let _ = replicate("run").code(0);
    let contents = || {
        let mut all = objects(&s3s, "");
        all.extend(files(&scene.site.path("backups")));
        let read = |path: PathBuf| (path.clone(), fs::read(path).unwrap());
        all.into_iter().map(read).collect::<Vec<_>>()
    };
    let before = contents();
    assert_eq!(before.len(), 4);
    let ran = replicate("again").code(50).said("the key is taken by another object");
    let _ = ran.said("next: keys are never reused");
    assert_eq!(contents(), before);

    // A new destination beside the old ones: what it got is taken back, and nothing else is.
    scene.configure("\"all\"", &[disk("disk"), at("s3s", "/etcd"), at("fresh", "/fresh")]);
    let _ = replicate("third").code(50).said("only 1 of 3 destinations");
    assert_eq!(contents(), before);
}

/// The steps before `replicate`, joined by files; gives the artifact's path.
fn up_to_replicate(site: &Site, run_dir: &str) -> String {
    let _ = site.lifeboat(&["plan", "--run-dir", run_dir]).code(0);
    let mut input: Option<String> = None;
    for (position, stage) in ["capture", "verify", "compress", "encrypt"].iter().enumerate() {
        let output = format!("{position}-{stage}");
        let mut arguments = vec!["--run-dir", run_dir, "--output", &output];
        arguments.extend(input.iter().flat_map(|input| ["--input", input.as_str()]));
        let _ = site.program(&format!("lifeboat-{stage}"), &arguments).code(0);
        input = Some(output);
    }
    input.unwrap()
}

fn copy_run_dir(site: &Site, from: &str, to: &str) {
    let (from, to) = (site.path(from), site.path(to));
    run(Command::new("cp").arg("-a").arg(from).arg(to)).unwrap();
}

#[test]
fn f45_f46_f47_damage_in_a_bucket_is_found_and_gone_around() {
    let test = "f45_f46_f47_damage_in_a_bucket_is_found_and_gone_around";
    let Some(scene) = or_skip(test, Scene::small()) else { return };
    let Some(s3s) = s3s(test) else { return };
    // The damaged one is asked first.
    let first = bucket("a_bucket", &s3s.endpoint(), "backups", "writer", "");
    scene.configure("\"all\"", &[first, disk("disk")]);
    let _ = scene.run(&[]).code(0);
    by_hand_can_be_typed(&scene, &s3s);
    let artifact = objects(&s3s, ".age").remove(0);
    let manifest = objects(&s3s, ".json").remove(0);
    let (whole, record) = (fs::read(&artifact).unwrap(), fs::read(&manifest).unwrap());
    let listed = |state: &str, why: &str| {
        let list = scene.lifeboat(&["list"]).code(0).stdout;
        assert!(list.contains(state) && list.contains(why), "{list}");
    };

    flip(&artifact, whole.len() as u64 / 2);
    let _ = fetch(&scene, &["--from", "a_bucket"]).code(20).said("a_bucket").said("next: ");
    let ran = fetch(&scene, &[]).code(0).said("could not be brought back from a_bucket");
    let _ = ran.said("from disk is in back.db");

    fs::write(&artifact, &whole[..whole.len() - 1]).unwrap();
    let why = format!("has {} bytes; its manifest says {}", whole.len() - 1, whole.len());
    listed("a_bucket (broken), disk", &why);
    let _ = fetch(&scene, &[]).code(0).said("from disk is in back.db");
    let _ = fetch(&scene, &["--from", "a_bucket"]).code(20).said(&why).said("next: ");
    let status = scene.lifeboat(&["status"]).code(40).stdout;
    assert!(status.contains("1 of 2 copies") && status.contains("1 copy broken"), "{status}");

    fs::remove_file(&artifact).unwrap();
    listed("a_bucket (broken), disk", "the artifact is missing");
    fs::write(&artifact, &whole).unwrap();
    for damaged in [&b"{}"[..], b"", &record[..record.len() / 2]] {
        fs::write(&manifest, damaged).unwrap();
        listed("a_bucket (broken), disk", "the manifest is unusable");
        let _ = fetch(&scene, &[]).code(0).said("from disk is in back.db");
    }
    fs::write(&manifest, &record).unwrap();
    nothing_whole_is_left(&scene, &artifact);
}

fn nothing_whole_is_left(scene: &Scene, in_bucket: &Path) {
    let on_disk = files(&scene.site.path("backups"));
    let on_disk = on_disk.iter().find(|p| p.extension().is_some_and(|e| e == "age")).unwrap();
    for artifact in [in_bucket, on_disk] {
        flip(artifact, 300);
    }
    let ran = fetch(scene, &[]).code(20).said("from a_bucket").said("from disk");
    let _ = ran.said("next: ");
    for artifact in [in_bucket, on_disk] {
        fs::write(artifact, b"").unwrap();
    }
    let _ = fetch(scene, &[]).code(20).said("verified copy").said("next: ");
    let _ = scene.lifeboat(&["show"]).code(20).said("verified copy").said("next: ");
    let status = scene.lifeboat(&["status"]).code(41).stdout;
    assert!(status.contains("NO BACKUP") && status.contains("2 copies broken"), "{status}");
}

fn by_hand_can_be_typed(scene: &Scene, s3s: &S3Server) {
    let page = scene.lifeboat(&["show"]).code(0).stdout;
    let copy = format!("a_bucket s3://backups/etcd/ at {} (verified)", s3s.endpoint());
    assert!(page.contains(&copy), "{page}");
    let by_hand = page.lines().find(|line| line.starts_with("by hand")).unwrap();
    let begin = format!("aws s3 cp s3://backups/etcd/{CLUSTER}/frequent/");
    let end = format!(".db.zst.age - --endpoint-url {} | age -d -i IDENTITY", s3s.endpoint());
    assert!(by_hand.contains(&begin) && by_hand.contains(&end), "{by_hand}");
}

fn fetch(scene: &Scene, more: &[&str]) -> Ran {
    let output = scene.site.path("back.db");
    if output.exists() {
        fs::remove_file(output).unwrap();
    }
    let ran = scene.lifeboat(&[&["fetch", "latest", "-o", "back.db"], more].concat());
    assert_eq!(scene.site.path("back.db").exists(), ran.code == 0, "{ran:?}");
    ran
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn what_is_pruned_is_gone_from_the_bucket() {
    let test = "what_is_pruned_is_gone_from_the_bucket";
    let Some(scene) = or_skip(test, Scene::small()) else { return };
    let Some(s3s) = s3s(test) else { return };
    let policy = "[prune]\nlast = 1\nmin_keep = 1\nmax_fraction = 1.0\n".to_owned();
    let places = [bucket("s3s", &s3s.endpoint(), "backups", "writer", ""), policy];
    scene.configure("\"all\"", &places);
    for _ in 0..3 {
        let _ = scene.run(&[]).code(0);
    }
    let (names, _) = scene.listed();
    assert_eq!((names.len(), objects(&s3s, "").len()), (3, 6));
    let planned = scene.lifeboat(&["prune", "--dry-run"]).code(0).stdout;
    assert!(planned.contains("s3s: 1 kept, 2 to remove"), "{planned}");
    assert_eq!(objects(&s3s, "").len(), 6);
    let _ = scene.lifeboat(&["prune"]).code(0).said("removed").said(&names[2]);
    assert_eq!(scene.listed(), (vec![names[0].clone()], 0));
    let left = objects(&s3s, "");
    assert!(left.len() == 2 && left.iter().all(|p| p.to_string_lossy().contains(&names[0])));
}

#[test]
fn f31_a_store_with_an_authority_of_its_own() {
    let test = "f31_a_store_with_an_authority_of_its_own";
    let Some(scene) = or_skip(test, Scene::small()) else { return };
    let tls = |name: &str| Certificates::create(&scene.site.path(name)).unwrap();
    let (ours, another) = (tls("tls"), tls("other-tls"));
    let Some((_server, endpoint)) = or_skip(test, moto_with(&ours, &scene.site)) else { return };
    let trusting = |authority: PathBuf| {
        let line = format!("ca_file = \"{}\"\n", authority.display());
        bucket("moto", &endpoint, "backups", "writer", &line)
    };
    scene.configure("\"all\"", &[trusting(ours.ca())]);
    let _ = scene.run(&[]).code(0);
    assert_eq!(scene.listed().0.len(), 1);
    let lost = trusting(ours.ca()).replace("s3://backups", "s3://no-such-bucket");
    scene.configure("\"all\"", &[disk("disk"), lost]);
    let ran = scene.run(&[]).code(3).said("there is no bucket \"no-such-bucket\"");
    let _ = ran.said("only 1 of 2 destinations").said("next: create the bucket");
    assert_eq!(files(&scene.site.path("backups")), Vec::<PathBuf>::new());
    let list = scene.lifeboat(&["list"]).code(3).stdout;
    assert!(list.contains("could not be read") && list.contains("no-such-bucket"), "{list}");

    scene.configure("\"all\"", &[trusting(another.ca())]);
    let ran = scene.run(&[]).code(3).said("certificate is not trusted");
    let _ = ran.said("next: name its authority in ca_file");
    scene.configure("\"all\"", &[trusting(scene.site.path("keys/recipients.txt"))]);
    let _ = scene.run(&[]).code(3).said("contains no certificate").said("next: ");
    scene.configure("\"all\"", &[trusting(scene.site.path("no-such-file"))]);
    let _ = scene.run(&[]).code(3).said("no-such-file").said("next: ");
}

/// moto behind TLS, with a bucket.
fn moto_with(certificates: &Certificates, site: &Site) -> Result<(Server, String), Error> {
    let python = servers::tool("moto")?.with_file_name("python");
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let shown = certificates.server();
    let mut command = Command::new(&python);
    command.env_clear().env("PYTHONNOUSERSITE", "1").env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string(), "--ssl"]);
    command.arg("--ssl-cert").arg(shown.certificate).arg("--ssl-key").arg(shown.key);
    let server = Server::spawn("moto behind TLS", &mut command, &site.path("moto.log"))?;
    let connect = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|e| e.to_string());
    wait_until("moto behind TLS", Duration::from_secs(60), connect)?;
    let endpoint = format!("https://127.0.0.1:{port}");
    let put = "import ssl, sys, urllib.request as u\n\
               trust = ssl.create_default_context(cafile=sys.argv[2])\n\
               u.urlopen(u.Request(sys.argv[1], method='PUT'), context=trust)";
    let bucket = format!("{endpoint}/backups");
    run(Command::new(python).args(["-c", put, &bucket]).arg(certificates.ca()))?;
    Ok((server, endpoint))
}

/// MinIO checks what it is sent: signatures, the full-object CRC-64/NVME of one PUT and of many
/// parts, and that the key is free. Every setting is the default one.
#[test]
fn i17_a_store_that_verifies_checksums_takes_the_defaults() {
    let test = "i17_a_store_that_verifies_checksums_takes_the_defaults";
    let Some(minio) = or_skip(test, S3Server::start(S3Kind::Minio)) else { return };
    minio.create_bucket("backups", Bucket::Plain).unwrap();
    for content in [1 << 20, 12 << 20] {
        let scene = Scene::start().unwrap();
        fill(&scene.cluster, content);
        let parts = format!("part_bytes = {PART_BYTES}\n");
        let there =
            bucket("minio", &minio.endpoint(), &format!("backups/{content}"), "writer", &parts);
        scene.configure("\"all\"", &[disk("disk"), there]);
        let _ = scene.run(&[]).code(0);
        let _ = scene.lifeboat(&["fetch", "--from", "minio", "-o", "back.db"]).code(0);
        let _ = scene.site.program("lifeboat-verify", &["back.db"]).code(0);
        let (names, orphans) = scene.listed();
        assert_eq!((names.len(), orphans), (1, 0));
    }
}
