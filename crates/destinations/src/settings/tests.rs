//! Opening: of directories above all, which may be missing, or hang.

use super::*;
use std::path::PathBuf;

/// Destinations by name and url, each with so little patience.
fn pipeline(destinations: &[(&str, String)]) -> Pipeline {
    let mut pipeline = Pipeline::default();
    for (name, url) in destinations {
        let timeout = Some(config::Duration::from_secs(1));
        let destination = Destination { url: url.clone(), timeout, ..Default::default() };
        pipeline.destinations.insert((*name).to_owned(), destination);
    }
    pipeline
}

/// A directory with two tables of mounts in it: the first names `nas` there, the second nothing.
fn unmounted() -> (tempfile::TempDir, PathBuf, Mounts) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    let (fstab, mounted) = (root.join("fstab"), root.join("mounts"));
    let line = format!("nas:/b {}/nas nfs _netdev 0 0\n", root.display());
    durable::write_new(&fstab, line.as_bytes()).unwrap();
    durable::write_new(&mounted, b"").unwrap();
    (dir, root, Mounts::of(&fstab, &mounted))
}

#[tokio::test]
async fn f36_i01_where_nothing_is_mounted_nothing_is_made_and_the_destination_fails_by_name() {
    use contract::{Exit, Failure};
    let (_dir, root, mounts) = unmounted();
    let below = format!("file:{}/nas/etcd", root.display());
    let pipeline = pipeline(&[("nas", below), ("disk", format!("file:{}/disk", root.display()))]);
    let opened: BTreeMap<_, _> = open_all_on(&pipeline, &mounts).await.into_iter().collect();
    assert!(opened["disk"].is_ok() && root.join("disk").is_dir());
    let Err(refused) = &opened["nas"] else { panic!("it was opened") };
    assert_eq!(refused.exit(), Exit::LocalDisk);
    let said = refused.to_string();
    assert!(said.contains("\"nas\"") && said.contains("nothing is mounted on"), "{said}");
    assert!(!root.join("nas").exists(), "a directory was made on the wrong disk");
}

#[test]
fn f25_i24_a_directory_that_hangs_keeps_no_other_destination_from_being_opened() {
    let (_dir, root, _) = unmounted();
    // A look at the tables hangs, as one at a file system that is away would, until somebody writes.
    let (hangs, mounted) = (root.join("hangs"), root.join("mounts"));
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &hangs, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let directory = format!("file:{}/etcd", root.display());
    let mut pipeline = pipeline(&[("nas", directory), ("site", "s3://bucket".into())]);
    if let Some(site) = pipeline.destinations.get_mut("site") {
        site.region = Some("eu-central-1".into());
    }
    let opened =
        crate::block_on(async { open_all_on(&pipeline, &Mounts::of(&hangs, &mounted)).await });
    drop(std::fs::OpenOptions::new().write(true).open(&hangs));
    let opened: BTreeMap<_, _> = opened.unwrap().into_iter().collect();
    assert!(opened["site"].is_ok());
    let Err(Error::Store(late)) = &opened["nas"] else { panic!("it was opened") };
    assert!(matches!(late.kind(), ErrorKind::Stalled { .. }), "{late}");
}

/// What a tier is kept as is said once for all of them, or for some.
#[tokio::test]
async fn a_class_is_of_all_tiers_or_of_those_that_are_named() {
    let text = |class: &str| {
        format!(
            "cluster = \"c\"\nstages = [\"capture\", \"verify\", \"replicate\"]\n\
             [replicate]\nallow_plaintext = true\ntiers = [\"frequent\", \"daily\", \"monthly\"]\n\
             [destinations.b]\nurl = \"s3://b\"\nregion = \"eu-central-1\"\n\
             storage_class = {class}\ntags = {{ team = \"etcd\" }}\n"
        )
    };
    let one = "{ daily = \"STANDARD_IA\", monthly = \"GLACIER_IR\" }";
    for (class, of) in [
        (one, [None, Some("STANDARD_IA"), Some("GLACIER_IR")]),
        ("\"STANDARD_IA\"", [Some("STANDARD_IA"); 3]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipeline.toml");
        durable::write_new(&path, text(class).as_bytes()).unwrap();
        let pipeline = Pipeline::load(Some(&path)).unwrap();
        let opened = open_one(&pipeline, "b").await.unwrap();
        for (tier, class) in ["frequent", "daily", "monthly"].into_iter().zip(of) {
            let keeping = opened.keeping(tier, Timestamp::UNIX_EPOCH);
            assert_eq!(keeping.storage_class.as_deref(), class, "{tier}");
            assert_eq!(keeping.of_record().storage_class, None, "a manifest is always at hand");
            assert_eq!((keeping.tags.len(), keeping.lock), (1, None));
        }
    }
}
