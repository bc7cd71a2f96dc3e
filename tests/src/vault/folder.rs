//! A folder, in which each object is a file: a directory destination, or a bucket of s3s-fs.

use super::Vault;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder. It need not exist.
#[derive(Debug, Clone)]
pub struct FolderVault {
    /// Where it is.
    pub folder: PathBuf,
}

impl FolderVault {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

#[allow(clippy::disallowed_methods, reason = "damage is done without care")]
impl Vault for FolderVault {
    fn objects(&self, prefix: &str) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        walk(&self.folder, &self.folder, &mut found);
        found.retain(|name, _| name.starts_with(prefix));
        found
    }

    fn get(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path(name)).ok()
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        std::fs::write(&path, bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }

    fn remove(&self, name: &str) {
        // What is not there cannot be removed.
        let _ = std::fs::remove_file(self.path(name));
    }
}

/// Every file that is an object: s3s-fs keeps its own notes in hidden ones.
fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, hidden) = (entry.path(), entry.file_name().to_string_lossy().starts_with('.'));
        if path.is_dir() {
            walk(root, &path, found);
        } else if !hidden && let (Ok(name), Ok(meta)) = (path.strip_prefix(root), path.metadata()) {
            let tag = format!("{} {:?}", meta.len(), meta.modified().ok());
            found.insert(name.to_string_lossy().into_owned(), tag);
        }
    }
}
