//! The four roles, each with nothing but the policy that `docs/destinations.md` prints for it: it does
//! its job, and nothing else; and a verb that is denied says which permission it lacks.
//!
//! A front enforces the policies request by request; Azurite enforces the letters of shared access
//! signatures by itself, too.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::cloud_scene::{Backend, CloudPlace, CloudScene};
use lifeboat_tests::fault_front::{FaultFront, Operation, Protocol};
use lifeboat_tests::policy::{Policy, ROLES};
use lifeboat_tests::s3::{ACCESS_KEY, Bucket, S3Kind, S3Server, SECRET_KEY};
use lifeboat_tests::site::{CLUSTER, Ran, Site};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::vault::account_sas;
use lifeboat_tests::{Cluster, ClusterSpec, Error, Etcd};

const PAGE: &str = include_str!("../../docs/destinations.md");

/// Everything but the newest goes.
const GREEDY: &str = "[prune]\nlast = 1\nmin_keep = 1\nmax_fraction = 1.0\n";

/// What is good to have, and not needed to succeed: a writer only gives up, and a pruner only looks
/// for what others gave up, when something went wrong. Where nothing is locked, nothing shows that
/// locks cannot be seen.
const SPARE: [&str; 4] = [
    "s3:AbortMultipartUpload",
    "s3:ListBucketMultipartUploads",
    "s3:GetObjectRetention",
    "s3:GetObjectLegalHold",
];

/// The policy of a role, for the prefix of a place instead of that of the page.
fn policy(place: &CloudPlace<'_>, role: &str) -> Policy {
    let page = PAGE.replace("my-bucket/etcd/", &format!("my-bucket/{}/", place.name));
    Policy::of(&page, place.backend.protocol().unwrap(), role)
}

/// What the role is there for.
fn job(place: &CloudPlace<'_>, role: &str) -> Ran {
    let all = [place.destination("timeout = \"20s\"\n")];
    let prunes = if role == "pruner" { GREEDY } else { "" };
    place.configure("\"all\"", &all, prunes);
    match role {
        "writer" => place.lifeboat(&["run"]),
        "pruner" => place.lifeboat(&["prune"]),
        "restorer" => {
            let out = format!("out-{}", place.name);
            place.remove(&out);
            place.lifeboat(&["fetch", "latest", "-o", &out])
        }
        _ => {
            let list = place.lifeboat(&["list"]);
            if list.code == 0 { place.lifeboat(&["status"]) } else { list }
        }
    }
}

#[test]
fn i18_each_role_does_its_job_with_its_own_policy() {
    let test = "i18_each_role_does_its_job_with_its_own_policy";
    let Some(scene) = or_skip(test, CloudScene::large(test)) else { return };
    for backend in scene.clouds() {
        let place = scene.place(backend, "roles");
        for (role, holds) in
            [("writer", 1), ("writer", 2), ("auditor", 2), ("restorer", 2), ("pruner", 1)]
        {
            place.front().permit(Some(policy(&place, role)));
            let ran = job(&place, role);
            let denied = place.front().denied();
            assert_eq!(ran.code, 0, "{backend:?} {role}: {ran:#?}\n{denied:#?}");
            assert_eq!(place.holds(holds), Ok(()), "{backend:?} {role}: {ran:#?}");
            // Nothing was asked for that is not in the page.
            assert!(denied.is_empty(), "{backend:?} {role}: {denied:#?}");
        }
    }
}

#[test]
fn i18_f30_a_verb_that_is_denied_says_which_permission_it_lacks() {
    let test = "i18_f30_a_verb_that_is_denied_says_which_permission_it_lacks";
    let Some(scene) = or_skip(test, CloudScene::large(test)) else { return };
    let mut problems = Vec::new();
    for backend in scene.clouds() {
        let place = scene.place(backend, "denied");
        for role in ROLES {
            let whole = policy(&place, role);
            for permission in whole.permissions() {
                problems.extend(without(&place, role, &whole, &permission).err());
            }
        }
    }
    assert!(problems.is_empty(), "{} failed\n{}", problems.len(), problems.join("\n\n"));
}

/// A role that lacks one permission changes nothing and says which; only prune calls a store that
/// it cannot read a reason to refuse.
fn without(
    place: &CloudPlace<'_>,
    role: &str,
    whole: &Policy,
    permission: &str,
) -> Result<(), String> {
    place.front().permit(None);
    while place.objects(".json").len() < 2 {
        let _ = job(place, "writer").code(0);
    }
    let before = place.objects("");
    place.front().permit(Some(whole.without(permission)));
    let ran = job(place, role);
    if SPARE.contains(&permission) {
        return (ran.code == 0).then_some(()).ok_or(format!("{role}: {ran:#?}"));
    }
    let reads = !permission.to_lowercase().contains("delete");
    let code = if role == "pruner" && reads { 50 } else { 11 };
    let is_told = format!("{ran:?}").contains(permission);
    match ran.code == code && is_told && place.objects("") == before {
        true => Ok(()),
        false => Err(format!("{}: {role} without {permission}: {ran:#?}", place.name)),
    }
}

/// What copies and what reads back: a writer's policy brings what is missing and leaves records; what
/// is damaged it tells and leaves alone, and only with a pruner's as well it is replaced.
#[test]
fn i18_f45_sync_and_scrub_do_with_a_policy_what_the_page_says() {
    let test = "i18_f45_sync_and_scrub_do_with_a_policy_what_the_page_says";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    for backend in scene.clouds() {
        let place = scene.place(backend, "level");
        let all = [place.beside("disk"), place.destination("timeout = \"20s\"\n")];
        place.configure("\"all\"", &all, "");
        let _ = place.lifeboat(&["run"]).code(0);
        for object in place.objects("") {
            place.vault.remove(&object);
        }
        let writer = policy(&place, "writer");
        place.front().permit(Some(writer.clone()));
        let does = |verb: &str, code: i32| {
            let ran = place.lifeboat(&[verb]);
            assert_eq!(
                ran.code,
                code,
                "{backend:?} {verb}: {ran:#?}\n{:#?}",
                place.front().denied()
            );
            ran
        };
        let _ = does("sync", 0);
        assert_eq!(place.holds(1), Ok(()), "{backend:?}");
        let _ = does("scrub", 0);
        assert_eq!(place.objects(".json").len(), 2, "{backend:?}: a manifest and a record");
        assert!(place.front().denied().is_empty(), "{backend:?}: {:#?}", place.front().denied());
        // Who may not make an object leaves no record, and says so.
        place.front().permit(Some(policy(&place, "auditor")));
        let ran = place.lifeboat(&["scrub"]);
        assert!(ran.stderr.contains("record"), "{backend:?}: {ran:#?}");
        assert_eq!(place.objects(".json").len(), 2, "{backend:?}: {ran:#?}");
        assert!(!place.front().denied().is_empty(), "{backend:?}: it did not even try");
        let artifact = place.objects(".age").remove(0);
        let whole = place.vault.get(&artifact).unwrap();
        let mut bytes = whole.clone();
        bytes[0] ^= 1;
        place.vault.put(&artifact, &bytes);
        place.front().permit(Some(writer.clone()));
        let _ = does("scrub", 20);
        assert_eq!(place.vault.get(&artifact).unwrap(), bytes, "{backend:?}");
        place.front().permit(Some(writer.and(&policy(&place, "pruner"))));
        let _ = does("scrub", 0);
        assert_eq!(place.vault.get(&artifact).unwrap(), whole, "{backend:?}");
        assert!(place.front().denied().is_empty(), "{backend:?}: {:#?}", place.front().denied());
    }
}

/// Tags on Azure: what the page grants for them is enough, and each half of it is needed and named.
#[test]
fn i18_f30_tags_on_azure_need_what_the_page_says() {
    let test = "i18_f30_tags_on_azure_need_what_the_page_says";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    if !scene.clouds().contains(&Backend::Azure) {
        return;
    }
    let place = scene.place(Backend::Azure, "tags");
    let tagged = place.destination("timeout = \"20s\"\ntags = { team = \"etcd\" }\n");
    place.configure("\"all\"", &[tagged], "");
    let tags = Policy::of(PAGE, Protocol::Azure, "tags");
    let writer = policy(&place, "writer");
    place.front().permit(Some(writer.and(&tags)));
    let ran = place.lifeboat(&["run"]);
    assert_eq!((ran.code, place.front().denied().len()), (0, 0), "{ran:#?}");
    for permission in tags.permissions() {
        place.front().permit(Some(writer.and(&tags.without(&permission))));
        let ran = place.lifeboat(&["run"]);
        let (_, verb) = permission.rsplit_once("blobs/").unwrap();
        assert!(ran.code == 11 && ran.stderr.contains(verb), "{permission}: {ran:#?}");
    }
}

/// Whoever took over the machine of a writer cannot make what is there less restorable.
#[test]
fn i18_i04_a_writer_can_neither_remove_nor_replace() {
    let test = "i18_i04_a_writer_can_neither_remove_nor_replace";
    let Some(scene) = or_skip(test, CloudScene::small(test)) else { return };
    for backend in scene.clouds() {
        let place = scene.place(backend, "captured");
        for _ in 0..2 {
            let _ = job(&place, "writer").code(0);
        }
        let all = place.objects("");
        place.front().permit(Some(policy(&place, "writer")));
        let ran = job(&place, "pruner");
        assert!(matches!(ran.code, 11 | 40), "{backend:?}: {ran:#?}");
        let delete = match backend {
            Backend::S3 => "s3:DeleteObject",
            Backend::Gcs => "storage.objects.delete",
            _ => "blobs/delete",
        };
        assert!(ran.stderr.contains(delete), "{backend:?}: {ran:#?}");
        // An unconditional write of somebody who does not use Lifeboat.
        let status = place.front().put_over(&all[0], b"theirs");
        if backend != Backend::Azure {
            assert_eq!(status, 403, "{backend:?}");
            assert_eq!(place.objects(""), all);
            assert_eq!(place.holds(2), Ok(()), "{backend:?}");
        }
    }
}

/// Everything of one site on a bucket of MinIO's that locks, and so keeps versions, behind a front.
struct Locking {
    _cluster: Cluster,
    site: Site,
    _minio: S3Server,
    front: FaultFront,
}

impl Locking {
    fn start() -> Result<Self, Error> {
        let cluster = ClusterSpec::new(&Etcd::newest()?).start()?;
        let site = Site::new(&cluster)?;
        let minio = S3Server::start(S3Kind::Minio)?;
        minio.create_bucket("backups", Bucket::Locking)?;
        let front = FaultFront::start(&minio, "backups")?;
        let text = format!(
            "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
        );
        site.write("aws", text.as_bytes());
        Ok(Locking { _cluster: cluster, site, _minio: minio, front })
    }

    fn configure(&self, more: &str, prune: &str) {
        let pruned = if prune.is_empty() { "" } else { ", \"prune\"" };
        let endpoint = self.front.endpoint();
        let text = format!(
            "cluster = \"{CLUSTER}\"\n\
             stages = [\"capture\", \"verify\", \"compress\", \"encrypt\", \"replicate\"{pruned}]\n\
             [run]\nattempts = 1\ndeadline = \"90s\"\n\
             [encrypt]\nrecipients_files = [\"keys/recipients.txt\"]\n\
             [destinations.bucket]\nurl = \"s3://backups/etcd\"\nendpoint = \"{endpoint}\"\n\
             path_style = true\ncredentials_file = \"aws\"\n{more}\n{prune}"
        );
        self.site.configure(&text).unwrap();
    }

    /// Runs a verb with a policy, and gives what the policy refused besides.
    fn ran(&self, policy: &Policy, verb: &str) -> (Ran, Vec<String>) {
        self.front.calm();
        self.front.permit(Some(policy.clone()));
        let ran = self.site.lifeboat(&[verb]);
        let denied = self.front.denied().into_iter().map(|(_, missing)| missing).collect();
        (ran, denied)
    }

    fn holds(&self) -> usize {
        self.front.permit(None);
        let list = self.site.lifeboat(&["list", "--json"]).code(0).json();
        list["backups"].as_array().unwrap().len()
    }
}

/// A bucket that keeps versions hides what is locked behind a marker, for whoever does not look.
#[test]
fn f38_i18_a_lock_holds_against_whoever_may_not_see_it() {
    let test = "f38_i18_a_lock_holds_against_whoever_may_not_see_it";
    let Some(place) = or_skip(test, Locking::start()) else { return };
    let of = |name: &str| Policy::of(PAGE, Protocol::S3, name);
    let keeping = "lock = \"governance\"\nlock_for = \"1h\"\ntags = { team = \"etcd\" }\n";
    place.configure(keeping, "");
    let writer = of("writer").and(&of("lock")).and(&of("tags"));
    for _ in 0..2 {
        let (ran, denied) = place.ran(&writer, "run");
        assert_eq!((ran.code, denied.len()), (0, 0), "{ran:#?} {denied:#?}");
    }
    assert_eq!(place.holds(), 2);
    // With the policy of the page, whether or not the configuration knows of locks.
    for keeping in [keeping, ""] {
        place.configure(keeping, GREEDY);
        let (ran, denied) = place.ran(&of("pruner"), "prune");
        assert!(ran.code == 0 && denied.is_empty(), "{ran:#?} {denied:#?}");
        let _ = ran.said("it is locked until 20");
        assert_eq!((place.front.count(Operation::Delete), place.holds()), (0, 2));
    }
    // Without the right to see it, it is asked for by name, and the refusal is told.
    place.configure(keeping, GREEDY);
    let (ran, _) = place.ran(&of("pruner").without("s3:GetObjectRetention"), "prune");
    assert_eq!(ran.code, 11, "{ran:#?}");
    let _ = ran.said("s3:GetObjectRetention");
    assert_eq!((place.front.count(Operation::Delete), place.holds()), (0, 2));
    // A writer that cannot see what it asked for does not say that it is there.
    place.configure(keeping, "");
    for permission in [of("lock"), of("tags")].iter().flat_map(Policy::permissions) {
        if permission == "s3:GetObjectTagging" {
            continue; // Not in a bucket that keeps versions.
        }
        let (ran, _) = place.ran(&writer.without(&permission), "run");
        assert_eq!(ran.code, 11, "{permission}: {ran:#?}");
        let _ = ran.said(&permission);
    }
}

/// The server's own opinion of the letters, without any front.
#[test]
fn i18_azurite_grants_each_role_its_job_by_the_letters_of_a_signature() {
    let test = "i18_azurite_grants_each_role_its_job_by_the_letters_of_a_signature";
    let Some(scene) = or_skip(test, CloudScene::large(test)) else { return };
    if !scene.clouds().contains(&Backend::Azure) {
        return;
    }
    let place = scene.place(Backend::Azure, "letters");
    let own = |role: &str| with_letters(&scene, &place, role, &policy(&place, role).sas);
    for role in ["writer", "writer", "auditor", "restorer"] {
        let ran = own(role);
        assert_eq!(ran.code, 0, "{role}: {ran:#?}");
    }
    for (role, letters) in [("writer", "rl"), ("pruner", "rcwl"), ("restorer", "cw")] {
        let ran = with_letters(&scene, &place, role, letters);
        assert!(ran.code != 0, "{role} with {letters}: {ran:#?}");
        assert_eq!(place.holds(2), Ok(()), "{role} with {letters}: {ran:#?}");
    }
    let ran = own("pruner");
    assert_eq!((ran.code, place.holds(1)), (0, Ok(())), "{ran:#?}");
}

fn with_letters(scene: &CloudScene, place: &CloudPlace<'_>, role: &str, letters: &str) -> Ran {
    scene.store.site.write(&place.credentials_file(), account_sas(letters).as_bytes());
    place.use_sas();
    job(place, role)
}

/// What the page grants, seen as a whole.
#[test]
fn i18_the_page_grants_no_role_more_than_its_job() {
    for (protocol, create, delete) in [
        (Protocol::S3, "s3:PutObject", "s3:DeleteObject"),
        (Protocol::Gcs, "storage.objects.create", "storage.objects.delete"),
        (Protocol::Azure, "blobs/write", "blobs/delete"),
    ] {
        for (role, may_create, may_delete) in [
            ("writer", true, false),
            ("pruner", false, true),
            ("restorer", false, false),
            ("auditor", false, false),
        ] {
            let granted = Policy::of(PAGE, protocol, role).permissions();
            let has = |what: &str| granted.iter().any(|one| one.ends_with(what));
            assert_eq!((has(create), has(delete)), (may_create, may_delete), "{protocol:?} {role}");
            assert!(granted.iter().all(|one| !one.contains('*')), "{granted:?}");
        }
    }
}
