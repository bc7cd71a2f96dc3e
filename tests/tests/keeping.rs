//! How backups are kept: tiers, and locks that hold against `prune`.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::objects::LoadSpec;
use lifeboat_tests::s3::{ACCESS_KEY, Bucket, S3Kind, S3Server, SECRET_KEY};
use lifeboat_tests::site::{CLUSTER, Site};
use lifeboat_tests::skips::or_skip;
use lifeboat_tests::{Cluster, ClusterSpec, Error, Etcd};

fn scene() -> Result<(Cluster, Site), Error> {
    let cluster = ClusterSpec::new(&Etcd::newest()?).start()?;
    let _ = cluster.load(&LoadSpec { objects: 20, ..LoadSpec::default() })?;
    let site = Site::new(&cluster)?;
    let text = format!(
        "[default]\naws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n"
    );
    durable::write_new(&site.path("aws"), text.as_bytes())?;
    Ok((cluster, site))
}

fn configure(site: &Site, tiers: &str, destinations: &str, prune: &str) {
    let pruned = if prune.is_empty() { "" } else { ", \"prune\"" };
    let text = format!(
        "cluster = \"{CLUSTER}\"\n\
         stages = [\"capture\", \"verify\", \"compress\", \"encrypt\", \"replicate\"{pruned}]\n\
         [run]\nattempts = 1\ndeadline = \"90s\"\n\
         [encrypt]\nrecipients_files = [\"keys/recipients.txt\"]\n\
         [decrypt]\nidentities_files = [\"keys/identity.txt\"]\n\
         [replicate]\ntiers = {tiers}\n{destinations}\n{prune}"
    );
    site.configure(&text).unwrap();
}

fn bucket(server: &S3Server, more: &str) -> String {
    format!(
        "[destinations.bucket]\nurl = \"s3://backups/etcd\"\nendpoint = \"{}\"\n\
         path_style = true\ncredentials_file = \"aws\"\n{more}\n",
        server.endpoint()
    )
}

const DISK: &str = "[destinations.disk]\nurl = \"file:backups/disk\"\n";

#[test]
fn the_first_backup_of_a_month_is_a_monthly_one_and_the_next_is_not() {
    let Some((_cluster, site)) = or_skip("tiers", scene()) else { return };
    let dry = |expected: &str| {
        let page = site.lifeboat(&["run", "--dry-run"]).code(0).stdout;
        assert!(page.contains(&format!("as a backup of tier {expected:?}")), "{page}");
        assert!(page.contains(&format!("/{CLUSTER}/{expected}/")), "{page}");
        let json = site.lifeboat(&["run", "--dry-run", "--json"]).code(0).json();
        assert_eq!(json["tier"], expected);
    };
    let all = "[\"frequent\", \"daily\", \"monthly\"]";
    configure(&site, all, DISK, "");
    for (expected, count) in [("monthly", 1), ("frequent", 1), ("frequent", 2)] {
        dry(expected);
        let _ = site.lifeboat(&["run"]).code(0);
        let made = std::fs::read_dir(site.path("backups/disk").join(CLUSTER).join(expected));
        assert_eq!(made.unwrap().count(), 2 * count, "{expected}");
    }
    // A monthly backup is the one of its day as well, but only where there are monthly ones.
    configure(&site, "[\"frequent\", \"daily\"]", &DISK.replace("disk", "other"), "");
    dry("daily");
    // What cannot be read holds up nothing: then it is a frequent one, and somebody hears of it.
    let away = "[destinations.away]\nurl = \"s3://backups\"\nendpoint = \"http://127.0.0.1:1\"\n\
                path_style = true\ncredentials_file = \"aws\"\ntimeout = \"1s\"\n";
    configure(&site, all, away, "");
    let ran = site.lifeboat(&["run", "--dry-run"]).code(0).said("this backup is a frequent one");
    assert!(ran.stdout.contains("as a backup of tier \"frequent\""), "{}", ran.stdout);
}

/// What the policy no longer wants and a lock still holds is told with its date, stays whole, and
/// keeps nothing else from being removed.
#[test]
fn f38_i18_prune_leaves_what_is_locked_and_goes_on() {
    let test = "f38_i18_prune_leaves_what_is_locked";
    let Some((_cluster, site)) = or_skip(test, scene()) else { return };
    let Some(minio) = or_skip(test, S3Server::start(S3Kind::Minio)) else { return };
    minio.create_bucket("backups", Bucket::Locking).unwrap();
    let prune = "[prune]\nlast = 1\nmin_keep = 1\nmax_fraction = 1.0\n";
    let with = |more: &str| format!("{DISK}{}", bucket(&minio, more));
    let held = |count: usize| {
        let list = site.lifeboat(&["list", "--json"]).code(0).json();
        let rows = list["backups"].as_array().unwrap().clone();
        let holds = |name: &str| rows.iter().filter(|b| b["copies"][name] == "verified").count();
        assert_eq!((holds("disk"), holds("bucket")), (1, count), "{rows:#?}");
        assert_eq!(list["orphans"].as_array().unwrap().len(), 0);
    };
    // The first two are locked, the third is not.
    configure(&site, "[\"frequent\"]", &with("lock = \"governance\"\nlock_for = \"1h\""), prune);
    let _ = site.lifeboat(&["run"]).code(0);
    let ran = site.lifeboat(&["run"]).code(0).said("it is locked until 20");
    let _ = ran.said("destination \"bucket\"").said("it can be removed when the lock has ended");
    held(2);
    configure(&site, "[\"frequent\"]", &with(""), prune);
    for _ in 0..2 {
        let _ = site.lifeboat(&["run"]).code(0).said("it is locked until 20");
    }
    // Two that are locked, and the newest: the one that was not locked is gone.
    held(3);
    let _ = site.lifeboat(&["prune"]).code(0).said("it is locked until 20");
    held(3);
}

/// A key of one's own is in no log, however talkative.
#[test]
fn i23_a_key_for_the_store_is_shown_nowhere() {
    let test = "i23_a_key_for_the_store_is_shown_nowhere";
    let Some((_cluster, mut site)) = or_skip(test, scene()) else { return };
    let Some(moto) = or_skip(test, S3Server::start(S3Kind::Moto)) else { return };
    moto.create_bucket("backups", Bucket::Plain).unwrap();
    // 32 bytes, "canary canary canary canary key!".
    let key = "Y2FuYXJ5IGNhbmFyeSBjYW5hcnkgY2FuYXJ5IGtleSE=";
    site.write("sse-c", key.as_bytes());
    let more = "checksum = \"part\"\nsse = \"customer\"\ncustomer_key_file = \"sse-c\"";
    configure(&site, "[\"frequent\"]", &bucket(&moto, more), "");
    site.set("LIFEBOAT_LOG_LEVEL", "trace,aws_sigv4::http_request=trace");
    let ran = site.lifeboat(&["run"]).said("x-amz-server-side-encryption-customer");
    for line in ran.stderr.lines().chain(ran.stdout.lines()) {
        assert!(!line.contains(key), "the key is in the log: {line}");
    }
}
