//! The rows of a restored database, read from its file while no etcd runs on it.
//!
//! What etcd does not tell its clients is compared here: `confState`, a pending downgrade, the
//! membership as it lies in the file. Our own reader reads both sides; what clients see is
//! compared through etcd (`facts`).
//!
//! Does not: check the file; that is `bbolt::prove`.

use crate::Error;
use bbolt::{Database, ReadError};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// Rows by bucket.
pub type Tables = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// All buckets of the database of the member whose data lie in `data_dir`.
///
/// # Errors
/// [`Error::Io`]; [`Error::Answer`] with the check that failed.
pub fn of(data_dir: &Path) -> Result<Tables, Error> {
    let path = data_dir.join("member/snap/db");
    let file = File::open(&path).map_err(Error::io("open", &path))?;
    let bytes = file.metadata().map_err(Error::io("look at", &path))?.len();
    read(file, bytes).map_err(|e| Error::Answer {
        what: path.display().to_string(),
        why: e.to_string(),
        answer: String::new(),
    })
}

fn read(file: File, bytes: u64) -> Result<Tables, ReadError> {
    let database = Database::open(file, bytes)?;
    let mut tables = Tables::new();
    for name in database.bucket_names()? {
        let mut table = BTreeMap::new();
        if let Some(mut rows) = database.rows(&name)? {
            while let Some((key, value)) = rows.next_row()? {
                table.insert(key.to_vec(), value.to_vec());
            }
        }
        tables.insert(String::from_utf8_lossy(&name).into_owned(), table);
    }
    Ok(tables)
}

/// `BUCKET/KEY` of each row that is not the same on both sides.
#[must_use]
pub fn differences(ours: &Tables, theirs: &Tables) -> Vec<String> {
    let empty = BTreeMap::new();
    let mut found = Vec::new();
    let mut buckets: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    buckets.sort();
    buckets.dedup();
    for bucket in buckets {
        let (our, their) =
            (ours.get(bucket).unwrap_or(&empty), theirs.get(bucket).unwrap_or(&empty));
        let mut keys: Vec<&Vec<u8>> = our.keys().chain(their.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys.into_iter().filter(|key| our.get(*key) != their.get(*key)) {
            found.push(format!("{bucket}/{}", String::from_utf8_lossy(key)));
        }
    }
    found
}
