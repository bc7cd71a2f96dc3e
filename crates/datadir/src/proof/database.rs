//! The database: verified as a snapshot is, and compared with what it has to be.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use bbolt::Database;
use snapshot::{Alteration, Expectations, Options, Report, ServerView, Trailer, Verifier};

use crate::facts::{
    CLUSTER, CONF_STATE, CONSISTENT_INDEX, DOWNGRADE, MEMBERS, MEMBERS_REMOVED, META, TERM,
};
use crate::limits::{FACT_BYTES_MAX, MEMBERS_MAX, PROOF_MEMORY_BYTES_MAX};
use crate::membership::Membership;
use crate::proof::tree::{db_path, io_error};
use crate::proof::{Expected, ExpectedFile, ProofError, Proved};
use crate::wal;

const BUFFER_BYTES: usize = 1 << 20;
/// Read, or being looked at, at one time.
const BUFFERS: usize = 4;

/// Verifies the database and compares it.
pub(super) fn check(member_dir: &Path, expected: &Expected) -> Result<Proved, ProofError> {
    let path = db_path(member_dir);
    let mut file = File::open(&path).map_err(io_error("open", &path))?;
    let options = Options {
        memory_bytes_max: PROOF_MEMORY_BYTES_MAX,
        // The CRC-32C of the whole file is known.
        trailer: if expected.file.is_some() { Trailer::Unhashed } else { Trailer::Absent },
        scratch_dir: Some(member_dir.to_path_buf()),
    };
    let damaged = |source| ProofError::Database { path: path.clone(), source };
    let mut verifier = Verifier::new(options);
    let (bytes, crc32c) =
        each_block(&mut file, &path, |block| verifier.update(block).map_err(damaged))?;
    let (report, view) = verifier
        .finish_altered(&Expectations::default(), &Alteration::default())
        .map_err(damaged)?;
    let same = Same { path: &path };
    if let Some(file) = &expected.file {
        same.file(file, bytes, crc32c)?;
        same.show("the status hash", &file.status_hash, &report.status.hash)?;
        same.debug("the number of rows", &file.rows, &report.buckets)?;
    }
    let view = same.view(expected, view)?;
    same.debug("the list of missing buckets", &Vec::new(), &report.missing_buckets)?;
    check_membership(&file, bytes, &same, expected, &report)?;
    Ok(Proved { report, view, crc32c })
}

/// Compares a copy.
pub(super) fn check_copy(member_dir: &Path, expected: &ExpectedFile) -> Result<(), ProofError> {
    let path = db_path(member_dir);
    let mut file = File::open(&path).map_err(io_error("open", &path))?;
    let (bytes, crc32c) = each_block(&mut file, &path, |_| Ok(()))?;
    Same { path: &path }.file(expected, bytes, crc32c)
}

/// Shows the whole file block by block; gives its length and CRC-32C. A thread of its own reads ahead
/// and takes the CRC while the caller looks.
fn each_block(
    file: &mut File,
    path: &Path,
    mut show: impl FnMut(&[u8]) -> Result<(), ProofError>,
) -> Result<(u64, u32), ProofError> {
    std::thread::scope(|scope| {
        let (full, to_show) = channel::<Vec<u8>>();
        let (empty, shown) = channel::<Vec<u8>>();
        for _ in 0..BUFFERS {
            // The other end is below.
            let _ = empty.send(Vec::with_capacity(BUFFER_BYTES));
        }
        let reader = scope.spawn(move || read_ahead(file, &shown, &full));
        for block in to_show {
            show(&block)?;
            // Nobody waits for it once the file has ended.
            let _ = empty.send(block);
        }
        let read = reader.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        read.map_err(io_error("read", path))
    })
}

/// Fills each buffer that comes back, until the file ends or nobody looks any more.
fn read_ahead(
    file: &mut File,
    shown: &Receiver<Vec<u8>>,
    full: &Sender<Vec<u8>>,
) -> io::Result<(u64, u32)> {
    let (mut bytes, mut crc) = (0, 0);
    for mut buffer in shown {
        buffer.clear();
        let count = file.by_ref().take(BUFFER_BYTES as u64).read_to_end(&mut buffer)?;
        crc = crc32c::crc32c_append(crc, &buffer);
        bytes += count as u64;
        if count == 0 || full.send(buffer).is_err() {
            break;
        }
    }
    Ok((bytes, crc))
}

/// Comparisons about one file.
struct Same<'a> {
    path: &'a Path,
}

impl Same<'_> {
    fn show<T: PartialEq + Display>(
        &self,
        what: &str,
        expected: &T,
        found: &T,
    ) -> Result<(), ProofError> {
        if expected == found {
            return Ok(());
        }
        Err(self.differs(what, expected.to_string(), found.to_string()))
    }

    fn debug<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        expected: &T,
        found: &T,
    ) -> Result<(), ProofError> {
        if expected == found {
            return Ok(());
        }
        Err(self.differs(what, format!("{expected:?}"), format!("{found:?}")))
    }

    fn differs(&self, what: &str, expected: String, found: String) -> ProofError {
        let (path, what) = (self.path.to_path_buf(), what.to_owned());
        ProofError::Differs { path, what, expected, found }
    }

    fn file(&self, expected: &ExpectedFile, bytes: u64, crc32c: u32) -> Result<(), ProofError> {
        self.show("the length", &expected.bytes, &bytes)?;
        self.show("the CRC-32C", &expected.crc32c, &crc32c)
    }

    /// The history: what a server answers.
    fn view(
        &self,
        expected: &Expected,
        view: Option<ServerView>,
    ) -> Result<ServerView, ProofError> {
        let none = || self.differs("the history", "one".to_owned(), "none".to_owned());
        let view = view.ok_or_else(none)?;
        self.show("the revision", &expected.revision, &view.revision)?;
        let compact = (&expected.compact_revision, &view.compact_revision);
        self.debug("the compact revision", compact.0, compact.1)?;
        self.show("the number of live keys", &expected.keys_live, &view.keys_live)?;
        self.debug("HashKV", &expected.hashkv, &view.hashkv)?;
        Ok(view)
    }

    fn text(
        &self,
        what: &str,
        expected: Option<&[u8]>,
        found: Option<&Vec<u8>>,
    ) -> Result<(), ProofError> {
        if found.map(Vec::as_slice) == expected {
            return Ok(());
        }
        let show = |bytes: Option<&[u8]>| {
            bytes.map_or("none".to_owned(), |bytes| bytes.escape_ascii().to_string())
        };
        Err(self.differs(what, show(expected), show(found.map(Vec::as_slice))))
    }
}

/// The membership and the raft position, read by page and not by the verifier.
fn check_membership(
    file: &File,
    bytes: u64,
    same: &Same<'_>,
    expected: &Expected,
    report: &Report,
) -> Result<(), ProofError> {
    let membership: &Membership = &expected.membership;
    let read_error = |source| ProofError::Read { path: same.path.to_path_buf(), source };
    let database = Database::open(file, bytes).map_err(read_error)?;
    let rows = |bucket: &[u8], max: usize| small_rows(&database, bucket, max, same);

    let members = rows(MEMBERS, MEMBERS_MAX)?;
    let wanted: BTreeMap<Vec<u8>, Vec<u8>> = membership
        .members()
        .iter()
        .map(|m| (m.id_hex().into_bytes(), m.json().into_bytes()))
        .collect();
    for (id, member) in &wanted {
        let what = format!("member {}", id.escape_ascii());
        same.text(&what, Some(member), members.get(id))?;
    }
    same.show("the number of members", &wanted.len(), &members.len())?;
    same.show("the number of removed members", &0, &rows(MEMBERS_REMOVED, 0)?.len())?;

    let meta = rows(META, FACTS_MAX)?;
    let index = membership.last_index();
    same.text("the consistent index", Some(&index.to_be_bytes()), meta.get(CONSISTENT_INDEX))?;
    same.text("the term", Some(&wal::TERM.to_be_bytes()), meta.get(TERM))?;
    let conf_state = membership.conf_state();
    same.text("confState", Some(conf_state.as_bytes()), meta.get(CONF_STATE))?;
    same.text("the downgrade", None, rows(CLUSTER, FACTS_MAX)?.get(DOWNGRADE))?;
    same.debug("the verifier's consistent index", &Some(index), &report.consistent_index)
}

/// Most rows of `meta` and of `cluster`. etcd has six and two.
const FACTS_MAX: usize = 256;

/// The rows of a small bucket.
fn small_rows(
    database: &Database<&File>,
    bucket: &[u8],
    max: usize,
    same: &Same<'_>,
) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, ProofError> {
    let read_error = |source| ProofError::Read { path: same.path.to_path_buf(), source };
    let name = || format!("the size of bucket {}", bucket.escape_ascii());
    let mut found = BTreeMap::new();
    let Some(mut rows) = database.rows(bucket).map_err(read_error)? else { return Ok(found) };
    while let Some((key, value)) = rows.next_row().map_err(read_error)? {
        if found.len() >= max || value.len() > FACT_BYTES_MAX {
            return Err(same.differs(&name(), format!("at most {max} rows"), "more".to_owned()));
        }
        found.insert(key.to_vec(), value.to_vec());
    }
    Ok(found)
}
