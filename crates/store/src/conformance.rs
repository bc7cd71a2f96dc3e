//! What every destination must do, as a suite that each backend is run against.
//!
//! Works below a prefix that has to be empty, and leaves it empty. Each check says what it
//! expected and what it found; the first one that fails ends the suite.
//!
//! Does not: test what needs a fault (lost answers, storms); that is done with scripted servers.

use crate::{
    Acknowledged, Destination, ErrorKind, Keeping, Proof, ReadBackMode, ReadBackOptions, Result,
    StoreError, Summary, read_back, read_small,
};
use bytes::Bytes;
use futures::StreamExt;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// How much to write.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Length of the large object: more than two parts, where a backend has parts.
    pub large_bytes: usize,
    /// Number of small objects in one listing: more than a page has, to test paging.
    pub many: usize,
    /// Whether the server can list unfinished uploads; without that they cannot be removed.
    pub lists_uploads: bool,
}

/// A check that did not hold.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The destination did the wrong thing.
    #[error("{check}: expected {expected}, found {found}")]
    Wrong {
        /// Which check.
        check: &'static str,
        /// What had to happen.
        expected: String,
        /// What happened.
        found: String,
    },
    /// The destination refused what it must do.
    #[error(transparent)]
    Store(#[from] StoreError),
}

type Checked = std::result::Result<(), Failure>;

/// Runs the whole suite.
///
/// # Errors
/// The first check that does not hold.
pub async fn run(destination: &dyn Destination, prefix: &str, extent: Extent) -> Checked {
    let suite = Suite { destination, prefix: prefix.trim_end_matches('/'), extent };
    suite.absent().await?;
    suite.small().await?;
    suite.ranges().await?;
    suite.large().await?;
    suite.odd_blocks().await?;
    suite.empty().await?;
    suite.wrong_summary().await?;
    suite.taken_early().await?;
    suite.taken_late().await?;
    suite.aborted().await?;
    suite.prefixes().await?;
    suite.many().await?;
    suite.bad_keys().await?;
    suite.cleaned_up().await
}

/// Nothing but the store's own standard.
static PLAIN: Keeping = Keeping { storage_class: None, lock: None, tags: BTreeMap::new() };

/// Length of a piece of [`noise`]: prime, so that pieces never fall in step with parts.
const PIECE_BYTES: usize = 4_099;

/// Bytes of which no two pieces are alike; the same for one length.
#[must_use]
pub fn noise(bytes: usize) -> Bytes {
    let mut piece = Vec::with_capacity(PIECE_BYTES + 8);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes as u64;
    while piece.len() < PIECE_BYTES {
        // xorshift64 (Marsaglia 2003).
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        piece.extend_from_slice(&state.to_le_bytes());
    }
    piece.truncate(PIECE_BYTES);
    let mut noise = Vec::with_capacity(bytes + PIECE_BYTES);
    while noise.len() < bytes {
        let position = noise.len() as u64;
        piece[..8].copy_from_slice(&(position ^ state).to_le_bytes());
        noise.extend_from_slice(&piece);
    }
    noise.truncate(bytes);
    noise.into()
}

struct Suite<'a> {
    destination: &'a dyn Destination,
    prefix: &'a str,
    extent: Extent,
}

fn equal<T: PartialEq + std::fmt::Debug>(check: &'static str, expected: &T, found: &T) -> Checked {
    if expected == found {
        return Ok(());
    }
    let short = |value: &T| format!("{value:?}").chars().take(200).collect();
    Err(Failure::Wrong { check, expected: short(expected), found: short(found) })
}

fn fails<T>(
    check: &'static str,
    expected: &str,
    fits: impl Fn(&ErrorKind) -> bool,
    found: Result<T>,
) -> Checked {
    let found = match found {
        Err(e) if fits(e.kind()) => return Ok(()),
        Err(e) => e.to_string(),
        Ok(_) => "success".to_owned(),
    };
    Err(Failure::Wrong { check, expected: expected.to_owned(), found })
}

fn is_taken(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::AlreadyExists)
}

impl Suite<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        let listed = self.destination.list(&self.key(prefix)).await?;
        Ok(listed.into_iter().map(|o| o.key).collect())
    }

    async fn bytes(&self, key: &str) -> Result<Bytes> {
        read_small(self.destination, key, self.extent.large_bytes + 1).await
    }

    /// Uploads in blocks of the given size and returns the summary.
    async fn upload(&self, key: &str, bytes: &Bytes, block_bytes: usize) -> Result<Summary> {
        let acknowledged = Acknowledged::default();
        let mut upload = self.destination.create(key, &PLAIN, acknowledged).await?;
        let mut rest = bytes.clone();
        while !rest.is_empty() {
            upload.write(rest.split_to(block_bytes.min(rest.len()))).await?;
        }
        let summary = Summary::of(bytes);
        upload.complete(&summary).await?;
        Ok(summary)
    }

    async fn absent(&self) -> Checked {
        let key = self.key("absent");
        equal("head of an absent object", &None, &self.destination.head(&key).await?)?;
        let read = self.destination.read(&key, None).await;
        let is_absent = |kind: &ErrorKind| matches!(kind, ErrorKind::NotFound);
        fails("read of an absent object", "NotFound", is_absent, read)?;
        equal("list of nothing", &Vec::<String>::new(), &self.keys("").await?)?;
        Ok(self.destination.delete(&key).await?)
    }

    async fn small(&self) -> Checked {
        let (key, bytes) = (self.key("small.json"), Bytes::from_static(b"{\"small\":1}"));
        let stored = self.destination.put_new(&key, bytes.clone(), &PLAIN).await?;
        equal("existed, of a new object", &false, &stored.existed)?;
        equal("bytes stored", &(bytes.len() as u64), &stored.bytes)?;
        equal("bytes of a small object", &bytes, &self.bytes(&key).await?)?;
        equal("list of one", &vec![key.clone()], &self.keys("").await?)?;
        let again = self.destination.put_new(&key, bytes.clone(), &PLAIN).await?;
        equal("existed, of the same bytes again", &true, &again.existed)?;
        for other in ["{\"small\":2}", "{\"small\":10}", ""] {
            let put =
                self.destination.put_new(&key, Bytes::from_static(other.as_bytes()), &PLAIN).await;
            fails("put over another object", "AlreadyExists", is_taken, put)?;
        }
        equal("bytes after refused writes", &bytes, &self.bytes(&key).await?)?;
        self.destination.delete(&key).await?;
        equal("head after delete", &None, &self.destination.head(&key).await?)
    }

    async fn ranges(&self) -> Checked {
        let (key, bytes) = (self.key("ranges"), noise(1_000));
        self.destination.put_new(&key, bytes.clone(), &PLAIN).await?;
        for range in [0..1_000, 0..1, 999..1_000, 17..450, 5..5] {
            let mut blocks = self.destination.read(&key, Some(range.clone())).await?;
            let mut found = Vec::new();
            while let Some(block) = blocks.next().await {
                found.extend_from_slice(&block?);
            }
            let wanted = bytes.slice(
                usize::try_from(range.start).unwrap_or(0)..usize::try_from(range.end).unwrap_or(0),
            );
            equal("bytes of a range", &wanted, &Bytes::from(found))?;
        }
        for range in [0..1_001, 1_000..1_001, 2_000..3_000] {
            let read = self.destination.read(&key, Some(range)).await;
            let is_outside = |kind: &ErrorKind| matches!(kind, ErrorKind::Corrupt { .. });
            fails("range outside the object", "Corrupt", is_outside, read)?;
        }
        Ok(self.destination.delete(&key).await?)
    }

    async fn large(&self) -> Checked {
        let (key, bytes) = (self.key("large"), noise(self.extent.large_bytes));
        let acknowledged = Acknowledged::default();
        let mut upload = self.destination.create(&key, &PLAIN, acknowledged.clone()).await?;
        let (first, rest) = bytes.split_at(bytes.len() * 3 / 4);
        upload.write(Bytes::copy_from_slice(first)).await?;
        equal("head before completion", &None, &self.destination.head(&key).await?)?;
        equal("list before completion", &Vec::<String>::new(), &self.keys("").await?)?;
        upload.write(Bytes::copy_from_slice(rest)).await?;
        let summary = Summary::of(&bytes);
        let stored = upload.complete(&summary).await?;
        equal("bytes of a large object", &summary.bytes, &stored.bytes)?;
        equal("bytes acknowledged", &summary.bytes, &acknowledged.bytes())?;
        equal("list after completion", &vec![key.clone()], &self.keys("").await?)?;
        let full = ReadBackOptions::default();
        let proof = read_back(self.destination, &key, &summary, &full).await?.proof;
        equal("proof of a full read-back", &Proof::Sha256, &proof)?;
        let checksum = ReadBackOptions { mode: ReadBackMode::Checksum, ..full.clone() };
        read_back(self.destination, &key, &summary, &checksum).await?;
        let mut wrong = summary;
        wrong.sha256[0] ^= 1;
        wrong.crc64nvme ^= 1;
        wrong.crc32c ^= 1;
        for options in [&full, &checksum] {
            let found = read_back(self.destination, &key, &wrong, options).await;
            let is_corrupt = |kind: &ErrorKind| matches!(kind, ErrorKind::Corrupt { .. });
            fails("read-back against another digest", "Corrupt", is_corrupt, found)?;
        }
        Ok(self.destination.delete(&key).await?)
    }

    async fn odd_blocks(&self) -> Checked {
        let (key, bytes) = (self.key("odd"), noise(self.extent.large_bytes));
        self.upload(&key, &bytes, 700_001).await?;
        let found = self.bytes(&key).await?;
        equal("bytes written in odd blocks", &Summary::of(&bytes), &Summary::of(&found))?;
        Ok(self.destination.delete(&key).await?)
    }

    async fn empty(&self) -> Checked {
        let key = self.key("empty");
        self.upload(&key, &Bytes::new(), 1).await?;
        equal("bytes of an empty object", &Bytes::new(), &self.bytes(&key).await?)?;
        Ok(self.destination.delete(&key).await?)
    }

    async fn wrong_summary(&self) -> Checked {
        for length in [1_000, self.extent.large_bytes] {
            let (key, bytes) = (self.key("wrong"), noise(length));
            let shorter = Summary::of(&bytes[1..]);
            let other = Summary { crc64nvme: 1, ..Summary::of(&bytes) };
            for summary in [shorter, other] {
                let mut upload =
                    self.destination.create(&key, &PLAIN, Acknowledged::default()).await?;
                upload.write(bytes.clone()).await?;
                let completed = upload.complete(&summary).await;
                let is_corrupt = |kind: &ErrorKind| matches!(kind, ErrorKind::Corrupt { .. });
                fails("completion with a wrong summary", "Corrupt", is_corrupt, completed)?;
                equal("head after it", &None, &self.destination.head(&key).await?)?;
            }
        }
        Ok(())
    }

    async fn taken_early(&self) -> Checked {
        let key = self.key("taken");
        self.destination.put_new(&key, Bytes::from_static(b"first"), &PLAIN).await?;
        let created = self.destination.create(&key, &PLAIN, Acknowledged::default()).await;
        fails("upload to a taken key", "AlreadyExists", is_taken, created)?;
        Ok(self.destination.delete(&key).await?)
    }

    /// The key is taken between the first byte and the last.
    async fn taken_late(&self) -> Checked {
        for length in [1_000, self.extent.large_bytes] {
            let (key, bytes) = (self.key("race"), noise(length));
            let mut upload = self.destination.create(&key, &PLAIN, Acknowledged::default()).await?;
            upload.write(bytes.clone()).await?;
            let winner = Bytes::from_static(b"winner");
            self.destination.put_new(&key, winner.clone(), &PLAIN).await?;
            let completed = upload.complete(&Summary::of(&bytes)).await;
            fails("completion after the key was taken", "AlreadyExists", is_taken, completed)?;
            equal("bytes of the winner", &winner, &self.bytes(&key).await?)?;
            self.destination.delete(&key).await?;
        }
        Ok(())
    }

    async fn aborted(&self) -> Checked {
        let key = self.key("aborted");
        let mut upload = self.destination.create(&key, &PLAIN, Acknowledged::default()).await?;
        upload.write(noise(self.extent.large_bytes)).await?;
        upload.abort().await?;
        equal("head after abort", &None, &self.destination.head(&key).await?)?;
        equal("list after abort", &Vec::<String>::new(), &self.keys("").await?)
    }

    async fn prefixes(&self) -> Checked {
        let keys = ["a-1", "a/1", "a/1/x", "a/10", "b/ü 1+2&%.json"].map(|k| self.key(k));
        // A directory cannot be a file as well, so `a/1` and `a/1/x` exclude each other there.
        let keys: Vec<String> = keys.into_iter().filter(|k| !k.ends_with("a/1/x")).collect();
        for key in &keys {
            self.destination.put_new(key, Bytes::from_static(b"x"), &PLAIN).await?;
        }
        for (prefix, wanted) in [("", &keys[..]), ("a/", &keys[1..3]), ("a", &keys[..3])] {
            equal("list under a prefix", &wanted.to_vec(), &self.keys(prefix).await?)?;
        }
        equal("list under a whole key", &keys[1..3].to_vec(), &self.keys("a/1").await?)?;
        for key in &keys {
            equal("bytes under an odd key", &Bytes::from_static(b"x"), &self.bytes(key).await?)?;
            self.destination.delete(key).await?;
        }
        Ok(())
    }

    async fn many(&self) -> Checked {
        let keys = (0..self.extent.many).map(|n| self.key(&format!("many/{n:06}")));
        let keys: Vec<String> = keys.collect();
        for key in &keys {
            self.destination.put_new(key, Bytes::from_static(b"x"), &PLAIN).await?;
        }
        equal("list of many pages", &keys, &self.keys("many/").await?)?;
        for key in &keys {
            self.destination.delete(key).await?;
        }
        Ok(())
    }

    async fn bad_keys(&self) -> Checked {
        let is_bad = |kind: &ErrorKind| matches!(kind, ErrorKind::BadKey(_));
        for key in ["", "/etc/passwd", "../up", "a/../b", "a//b", "a/", "a\0b", ".hidden"] {
            let put = self.destination.put_new(key, Bytes::new(), &PLAIN).await;
            fails("put under a bad key", "BadKey", is_bad, put)?;
            let created = self.destination.create(key, &PLAIN, Acknowledged::default()).await;
            fails("upload to a bad key", "BadKey", is_bad, created)?;
            fails("read of a bad key", "BadKey", is_bad, self.destination.read(key, None).await)?;
            fails("delete of a bad key", "BadKey", is_bad, self.destination.delete(key).await)?;
        }
        fails("list of a bad prefix", "BadKey", is_bad, self.destination.list("../").await)
    }

    async fn cleaned_up(&self) -> Checked {
        if self.extent.lists_uploads {
            let everything = self.key("");
            let abort = self.destination.abort_stale_uploads(&everything, Timestamp::MAX);
            equal("uploads left by this suite", &Vec::<String>::new(), &abort.await?)?;
        }
        equal("objects left by this suite", &Vec::<String>::new(), &self.keys("").await?)
    }
}
