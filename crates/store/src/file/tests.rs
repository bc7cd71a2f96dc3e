#![allow(clippy::disallowed_methods)]

use super::*;
use std::os::unix::fs::PermissionsExt;

fn open(path: &Path) -> FileDestination {
    FileDestination::open(FileSettings { name: "disk".into(), path: path.into() }).unwrap()
}

#[tokio::test]
async fn files_and_folders_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(&dir.path().join("root"));
    disk.put_new("a/b.json", Bytes::from_static(b"{}"), &Keeping::default()).await.unwrap();
    for (path, mode) in [("root", 0o700), ("root/a", 0o700), ("root/a/b.json", 0o600)] {
        let found = dir.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
}

#[tokio::test]
async fn links_hidden_files_and_foreign_names_are_not_listed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    disk.put_new("a/real", Bytes::from_static(b"1"), &Keeping::default()).await.unwrap();
    std::os::unix::fs::symlink("/etc/hostname", dir.path().join("a/link")).unwrap();
    std::os::unix::fs::symlink(dir.path().join("a"), dir.path().join("loop")).unwrap();
    std::fs::write(dir.path().join("a/.real.1-2.partial"), "x").unwrap();
    std::fs::write(dir.path().join("a/back\\slash"), "x").unwrap();
    let keys: Vec<String> = disk.list("").await.unwrap().into_iter().map(|o| o.key).collect();
    assert_eq!(keys, ["a/real"]);
    assert_eq!(disk.head("a/link").await.unwrap(), None);
    assert_eq!(disk.head("a").await.unwrap(), None);
}

#[tokio::test]
async fn only_old_unfinished_files_under_the_prefix_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    for folder in ["a", "b"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        std::fs::write(dir.path().join(folder).join(".x.1-2.partial"), "x").unwrap();
        std::fs::write(dir.path().join(folder).join("whole"), "x").unwrap();
    }
    let (past, future) = ("1990-01-01T00:00:00Z", "9000-01-01T00:00:00Z");
    let none = disk.abort_stale_uploads("a/", past.parse().unwrap()).await.unwrap();
    assert!(none.is_empty(), "{none:?}");
    let some = disk.abort_stale_uploads("a/", future.parse().unwrap()).await.unwrap();
    assert_eq!(some, ["a/.x.1-2.partial"]);
    assert!(dir.path().join("b/.x.1-2.partial").exists());
    assert_eq!(disk.list("").await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_root_that_vanished_is_no_empty_listing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(&dir.path().join("root"));
    assert!(disk.list("").await.unwrap().is_empty());
    std::fs::remove_dir(dir.path().join("root")).unwrap();
    let error = disk.list("").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Local(_)), "{error}");
}

#[tokio::test]
async fn a_relative_path_is_refused() {
    let settings = FileSettings { name: "disk".into(), path: "backups".into() };
    let error = FileDestination::open(settings).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Config { .. }), "{error}");
    assert!(error.to_string().contains("backups"), "{error}");
}

#[tokio::test]
async fn a_refusal_of_the_disk_tells_its_cause() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path());
    disk.put_new("a", Bytes::from_static(b"1"), &Keeping::default()).await.unwrap();
    let error =
        disk.put_new("a/b", Bytes::from_static(b"1"), &Keeping::default()).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Local(_)), "{error}");
    assert!(error.to_string().contains("exists") || error.to_string().contains("directory"));
    let full = crate::error::local("write", "/x", std::io::ErrorKind::StorageFull.into());
    assert!(full.hint().unwrap().contains("free some space"), "{full}");
}

#[tokio::test]
async fn nothing_is_written_where_no_listing_would_see_it() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(&dir.path().join("root"));
    std::fs::create_dir(dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("../elsewhere", dir.path().join("root/prod")).unwrap();
    let refused = |e: StoreError| {
        assert!(matches!(e.kind(), ErrorKind::Config { .. }), "{e}");
        assert!(e.to_string().contains("root/prod is a symbolic link"), "{e}");
    };
    let key = "prod/daily/a.json";
    refused(disk.put_new(key, Bytes::from_static(b"{}"), &Keeping::default()).await.unwrap_err());
    refused(
        disk.create(key, &Keeping::default(), Acknowledged::default()).await.map(drop).unwrap_err(),
    );
    assert!(std::fs::read_dir(dir.path().join("elsewhere")).unwrap().next().is_none());
}

#[tokio::test]
async fn two_names_of_one_directory_are_one_place() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(&dir.path().join("root"));
    std::os::unix::fs::symlink("root", dir.path().join("link")).unwrap();
    for name in ["link", "./root", "root/../root", "root/"] {
        assert_eq!(open(&dir.path().join(name)).location(), disk.location(), "{name}");
    }
}

/// A volume that goes away while the destination is open takes the directory with it.
#[tokio::test]
async fn f36_a_directory_that_went_away_is_not_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("volume/root");
    let disk = open(&root);
    std::fs::remove_dir(&root).unwrap();
    let put = disk.put_new("a/b", Bytes::from_static(b"1"), &Keeping::default()).await;
    let begun = disk.create("a/c", &Keeping::default(), Acknowledged::default()).await;
    for error in [put.err().unwrap(), begun.err().unwrap()] {
        assert!(matches!(error.kind(), ErrorKind::Local(_)), "{error}");
    }
    assert!(!root.exists());
}
