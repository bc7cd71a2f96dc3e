use super::*;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[test]
fn i03_i23_a_file_appears_whole_and_private() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut file = NewFile::create(&path).unwrap();
    file.write_all(b"bytes").unwrap();
    assert!(!path.exists());
    file.publish_new().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn i03_the_fall_back_behaves_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let mut file = NewFile::create_named(&path).unwrap();
    file.write_all(b"bytes").unwrap();
    assert!(!path.exists());
    file.publish_new().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"bytes");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no partial file is left");
}

#[test]
fn i03_an_unpublished_file_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for named in [false, true] {
        let path = dir.path().join("a");
        let make = if named { NewFile::create_named } else { NewFile::create };
        let mut file = make(&path).unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn i04_a_taken_name_is_never_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let early = NewFile::create(&path).unwrap();
    let early_named = NewFile::create_named(&path).unwrap();
    write_new(&path, b"first").unwrap();
    assert!(matches!(write_new(&path, b"second"), Err(Error::AlreadyExists(_))));
    assert!(matches!(early.publish_new(), Err(Error::AlreadyExists(_))));
    assert!(matches!(early_named.publish_new(), Err(Error::AlreadyExists(_))));
    assert_eq!(std::fs::read(&path).unwrap(), b"first");
}

#[test]
fn replace_puts_the_new_file_over_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    replace(&path, b"first").unwrap();
    replace(&path, b"second").unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"second");
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn i23_directories_are_private_all_the_way() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/c");
    create_private_dir(&path).unwrap();
    create_private_dir(&path).unwrap();
    for made in ["a", "a/b", "a/b/c"] {
        assert_eq!(mode(&dir.path().join(made)), 0o700);
    }
    write_new(&dir.path().join("file"), b"").unwrap();
    assert!(create_private_dir(&dir.path().join("file/x")).is_err());
}

#[test]
fn a_scratch_file_has_no_name() {
    let dir = tempfile::tempdir().unwrap();
    for make in [scratch_file, named_scratch_in] {
        let mut file = make(dir.path()).unwrap();
        file.write_all(b"secret").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

#[test]
fn i04_a_directory_gets_a_free_name_an_empty_place_or_another_ones() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| dir.path().join(name));
    new_dir(&a).unwrap();
    let mut file = new_file(&a.join("file")).unwrap();
    file.write_all(b"bytes").unwrap();
    sync_file(&file, &a.join("file")).unwrap();
    sync_tree(&a).unwrap();
    assert_eq!((mode(&a), mode(&a.join("file"))), (0o700, 0o600));
    assert!(matches!(new_dir(&a), Err(Error::AlreadyExists(_))));
    assert!(matches!(new_file(&a.join("file")), Err(Error::AlreadyExists(_))));

    rename_new(&a, &b).unwrap();
    new_dir(&a).unwrap();
    assert!(matches!(rename_new(&b, &a), Err(Error::AlreadyExists(_))), "even an empty one");
    rename_over_empty_dir(&b, &a).unwrap();
    new_dir(&b).unwrap();
    assert!(matches!(rename_over_empty_dir(&b, &a), Err(Error::AlreadyExists(_))));
    assert!(exchange(&a, &b).unwrap());
    assert!(b.join("file").exists() && !a.join("file").exists());
    assert!(exchange(&a, &c).is_err());

    write_new(&c, b"new").unwrap();
    rename_over_file(&c, &b.join("file")).unwrap();
    assert_eq!(std::fs::read(b.join("file")).unwrap(), b"new");
    assert!(matches!(remove_empty_dir(&b), Err(Error::Io { .. })));
    std::os::unix::fs::symlink(&b, a.join("link")).unwrap();
    remove_tree(&a).unwrap();
    assert!(b.join("file").exists(), "a link is not followed");
    remove_tree(&b).unwrap();
    remove_tree(&b).unwrap();
    remove_empty_dir(&b).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn f09_a_full_disk_is_named() {
    let full = Path::new("/dev/full");
    let error = File::options().write(true).open(full).unwrap().write_all(b"x").unwrap_err();
    assert!(matches!(Error::new("write", full, error), Error::NoSpace { .. }));
}

#[test]
fn f12_a_file_in_the_way_is_no_directory() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    write_new(&file, b"").unwrap();
    for path in [file.clone(), file.join("below")] {
        // Not "exists already": there is nothing that was left as it is.
        assert!(matches!(create_private_dir(&path), Err(Error::Io { .. })), "{}", path.display());
    }
}
