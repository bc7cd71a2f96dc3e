//! Files for the readers that take a path. One folder for each thread, gone when it ends.

use std::cell::OnceCell;
use std::path::PathBuf;
use tempfile::TempDir;

thread_local! {
    static DIR: OnceCell<TempDir> = const { OnceCell::new() };
}

/// A file with these bytes, in place of what it held before.
#[allow(clippy::disallowed_methods, reason = "a scratch file needs no durability")]
pub(crate) fn file(relative: &str, bytes: &[u8]) -> PathBuf {
    DIR.with(|dir| {
        let dir = dir.get_or_init(|| {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join("receipts")).unwrap();
            dir
        });
        let path = dir.path().join(relative);
        std::fs::write(&path, bytes).unwrap();
        path
    })
}
