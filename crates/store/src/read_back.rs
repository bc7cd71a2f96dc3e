//! Proves that a copy in a store is the one that was sent: no copy counts before.
//!
//! Full mode reads every byte and compares SHA-256. Checksum mode compares the checksum
//! that the store itself keeps of the whole object, and reads everything if it keeps none.
//! Either way the length, the storage class, the lock and the encryption must be as asked for.
//!
//! Does not: repair or delete a bad copy; it stays, without a manifest, as garbage.

use crate::{
    Blocks, Destination, ErrorKind, Keeping, ObjectInfo, Operation, Result, StoreError, Summary,
    Summer,
};
use futures::StreamExt;
use std::future::Future;
use std::time::Duration;

/// How often a store may deny an object that it has just accepted.
const LOOKS_MAX: u32 = 4;
/// The pause before the second look; it doubles from look to look.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How thorough to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadBackMode {
    /// Read every byte and compare SHA-256.
    #[default]
    Full,
    /// Compare the checksum that the store keeps; read every byte only if it keeps none.
    Checksum,
}

/// How to read back.
#[derive(Debug, Clone)]
pub struct ReadBackOptions {
    /// How thorough to be.
    pub mode: ReadBackMode,
    /// How long the store may take for its next answer or block.
    pub stall_timeout: Duration,
    /// How the store was asked to keep it.
    pub keeping: Keeping,
}

impl Default for ReadBackOptions {
    fn default() -> Self {
        let (mode, keeping) = (ReadBackMode::Full, Keeping::default());
        ReadBackOptions { mode, stall_timeout: Duration::from_secs(300), keeping }
    }
}

/// What proved the copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// Every byte was read and hashed.
    Sha256,
    /// The store's own checksum of the whole object.
    Crc64Nvme,
    /// The same, where the store keeps a CRC-32C.
    Crc32c,
}

/// A copy that is what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBack {
    /// What proved it.
    pub proof: Proof,
    /// The store's description, for the record.
    pub info: ObjectInfo,
}

/// Proves that the object under `key` is what `expected` describes.
///
/// # Errors
/// [`ErrorKind::NotFound`] when the store does not have it even after some looks,
/// [`ErrorKind::Corrupt`] when it has something else, [`ErrorKind::SilentDowngrade`] when it
/// ignored a setting, [`ErrorKind::Stalled`], or any refusal to be read.
pub async fn read_back(
    destination: &dyn Destination,
    key: &str,
    expected: &Summary,
    options: &ReadBackOptions,
) -> Result<ReadBack> {
    let check = Check { destination, key, stall_timeout: options.stall_timeout };
    let info = check.look().await?;
    check.same("length", &expected.bytes.to_string(), &info.bytes.to_string())?;
    let info = check.in_time(destination.confirm(info, &options.keeping)).await??;
    if options.mode == ReadBackMode::Checksum
        && let Some(proof) = check.kept_checksum(&info, expected)?
    {
        return Ok(ReadBack { proof, info });
    }
    let found = check.summarize().await?;
    check.same("length", &expected.bytes.to_string(), &found.bytes.to_string())?;
    check.same("SHA-256", &expected.sha256_hex(), &found.sha256_hex())?;
    Ok(ReadBack { proof: Proof::Sha256, info })
}

/// The same, where no more is known than length and SHA-256 (in hex), as a manifest says them: every
/// byte is read, whatever checksum the store keeps.
///
/// # Errors
/// As [`read_back`].
pub async fn read_back_digest(
    destination: &dyn Destination,
    key: &str,
    (bytes, sha256): (u64, &str),
    options: &ReadBackOptions,
) -> Result<ReadBack> {
    let check = Check { destination, key, stall_timeout: options.stall_timeout };
    let info = check.look().await?;
    check.same("length", &bytes.to_string(), &info.bytes.to_string())?;
    let info = check.in_time(destination.confirm(info, &options.keeping)).await??;
    let found = check.summarize().await?;
    check.same("length", &bytes.to_string(), &found.bytes.to_string())?;
    check.same("SHA-256", sha256, &found.sha256_hex())?;
    Ok(ReadBack { proof: Proof::Sha256, info })
}

/// Reads an object that has long been there to its end, and tells what it amounts to.
///
/// # Errors
/// [`ErrorKind::Stalled`] when the store does not go on for `stall_timeout`; whatever
/// [`Destination::read`] answers.
pub async fn weigh(
    destination: &dyn Destination,
    key: &str,
    stall_timeout: Duration,
) -> Result<Summary> {
    let check = Check { destination, key, stall_timeout };
    let mut blocks = check.in_time(destination.read(key, None)).await??;
    let mut summer = Summer::default();
    while let Some(block) = check.in_time(blocks.next()).await? {
        summer.update(&block?);
    }
    Ok(summer.summary())
}

/// What a stream of blocks amounts to.
pub(crate) async fn summarize(mut blocks: Blocks) -> Result<Summary> {
    let mut summer = Summer::default();
    while let Some(block) = blocks.next().await {
        summer.update(&block?);
    }
    Ok(summer.summary())
}

struct Check<'a> {
    destination: &'a dyn Destination,
    key: &'a str,
    stall_timeout: Duration,
}

impl Check<'_> {
    fn error(&self, kind: ErrorKind) -> StoreError {
        StoreError::new(self.destination.name(), Operation::ReadBack, self.key, kind)
    }

    fn same(&self, check: &'static str, expected: &str, found: &str) -> Result<()> {
        if expected == found {
            return Ok(());
        }
        let (expected, found) = (expected.to_owned(), found.to_owned());
        Err(self.error(ErrorKind::Corrupt { check, expected, found }))
    }

    /// Compares the checksum that the store keeps of the whole object, if it keeps one.
    fn kept_checksum(&self, info: &ObjectInfo, expected: &Summary) -> Result<Option<Proof>> {
        if let Some(found) = info.crc64nvme {
            let expected = format!("{:016x}", expected.crc64nvme);
            self.same("CRC-64/NVME kept by the store", &expected, &format!("{found:016x}"))?;
            return Ok(Some(Proof::Crc64Nvme));
        }
        let Some(found) = info.crc32c else { return Ok(None) };
        let expected = format!("{:08x}", expected.crc32c);
        self.same("CRC-32C kept by the store", &expected, &format!("{found:08x}"))?;
        Ok(Some(Proof::Crc32c))
    }

    async fn in_time<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        let stalled = ErrorKind::Stalled { after: self.stall_timeout };
        let answer = tokio::time::timeout(self.stall_timeout, answer).await;
        answer.map_err(|_| self.error(stalled))
    }

    async fn look(&self) -> Result<ObjectInfo> {
        let mut looks = Looks::default();
        loop {
            if let Some(info) = self.in_time(self.destination.head(self.key)).await?? {
                return Ok(info);
            }
            if !looks.again().await {
                return Err(self.error(ErrorKind::NotFound));
            }
        }
    }

    async fn summarize(&self) -> Result<Summary> {
        let opening = open_new(self.destination, self.key, self.stall_timeout);
        let mut blocks = opening.await?;
        let mut summer = Summer::default();
        while let Some(block) = self.in_time(blocks.next()).await? {
            summer.update(&block?);
        }
        Ok(summer.summary())
    }
}

/// Some stores need a moment until a new object is visible everywhere, and one answer to be there
/// is no promise for the next one.
struct Looks {
    left: u32,
    pause: Duration,
}

impl Default for Looks {
    fn default() -> Self {
        Looks { left: LOOKS_MAX - 1, pause: FIRST_PAUSE }
    }
}

impl Looks {
    /// Waits for the next look, if there is to be one.
    async fn again(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.left -= 1;
        self.pause *= 2;
        true
    }
}

/// Begins to read an object that was written a moment ago.
async fn open_new(destination: &dyn Destination, key: &str, limit: Duration) -> Result<Blocks> {
    let mut looks = Looks::default();
    loop {
        match tokio::time::timeout(limit, destination.read(key, None)).await {
            Ok(Err(e)) if matches!(e.kind(), ErrorKind::NotFound) && looks.again().await => {}
            Ok(opened) => return opened,
            Err(_) => {
                let kind = ErrorKind::Stalled { after: limit };
                return Err(StoreError::new(destination.name(), Operation::ReadBack, key, kind));
            }
        }
    }
}
