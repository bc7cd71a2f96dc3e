//! The snapshot, read twice: once to prove it, once to build from it.
//!
//! A regular file is read where it is. Anything else is kept, as it arrives, in a file that has no name,
//! on the file system of the target: it is gone with this process, whatever ends it.

use crate::error::Error;
use contract::{Progress, Source, StreamError};
use snapshot::Verifier;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

const BLOCK_BYTES: usize = 512 << 10;
/// Blocks that are read, verified or written at one time.
const BLOCKS: usize = 4;

/// Where the bytes are for the second time.
#[derive(Debug)]
pub(crate) enum Kept {
    /// In the file that the user has.
    InPlace(File),
    /// In a file without a name.
    Spooled { file: File, dir: PathBuf },
}

impl Kept {
    /// Decides where the bytes will be.
    pub(crate) fn open(input: Option<&Path>, scratch_dir: &Path) -> Result<Self, Error> {
        if let Some(file) = regular(input) {
            return Ok(Kept::InPlace(file));
        }
        if input.is_none() && io::stdin().is_terminal() {
            return Err(Error::NoInput);
        }
        let file = durable::scratch_file(scratch_dir).map_err(Error::NoSpool)?;
        Ok(Kept::Spooled { file, dir: scratch_dir.to_path_buf() })
    }

    /// How long it will be, where that is known before it is read.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self {
            Kept::InPlace(file) => file.metadata().ok().map(|meta| meta.len()),
            Kept::Spooled { .. } => None,
        }
    }

    pub(crate) fn file(&self) -> &File {
        match self {
            Kept::InPlace(file) | Kept::Spooled { file, .. } => file,
        }
    }

    /// Reads to the end, past the verifier. What is kept is written by a thread of its own, so that
    /// the next block is verified meanwhile.
    pub(crate) fn read(&self, source: &mut Source, verifier: &mut Verifier) -> Result<(), Error> {
        let mut progress = Progress::new("restore", self.bytes());
        let spooled = match self {
            Kept::InPlace(_) => {
                let mut block = vec![0; BLOCK_BYTES];
                each_block(source, verifier, &mut progress, &mut block, |_, _| true)
            }
            Kept::Spooled { file, dir } => std::thread::scope(|scope| {
                let (full, to_write) = channel::<(Vec<u8>, usize)>();
                let (empty, written) = channel::<Vec<u8>>();
                let writer = scope.spawn(move || spool(file, &to_write, &empty));
                let read = pass_on(source, verifier, &mut progress, &full, &written);
                drop(full);
                // Whatever it panics of, nothing was kept.
                let kept = writer.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()));
                kept.map_err(|source| Error::Spool { path: dir.clone(), source }).and(read)
            }),
        };
        progress.end(source.bytes_read());
        spooled
    }
}

/// Writes blocks as they come, and gives each back.
fn spool(
    mut file: &File,
    to_write: &Receiver<(Vec<u8>, usize)>,
    empty: &Sender<Vec<u8>>,
) -> io::Result<()> {
    for (block, count) in to_write {
        file.write_all(&block[..count])?;
        // Nobody waits for it once the input has ended.
        let _ = empty.send(block);
    }
    Ok(())
}

/// Hands each block to the writer. Ends early when the writer has, which tells why.
fn pass_on(
    source: &mut Source,
    verifier: &mut Verifier,
    progress: &mut Progress,
    full: &Sender<(Vec<u8>, usize)>,
    written: &Receiver<Vec<u8>>,
) -> Result<(), Error> {
    let mut made = 1;
    let mut block = vec![0; BLOCK_BYTES];
    each_block(source, verifier, progress, &mut block, |block, count| {
        let next = match made < BLOCKS {
            true => {
                made += 1;
                vec![0; BLOCK_BYTES]
            }
            false => match written.recv() {
                Ok(free) => free,
                Err(_) => return false,
            },
        };
        full.send((std::mem::replace(block, next), count)).is_ok()
    })
}

/// Reads and verifies block by block; `keep` takes each, and says whether to go on.
fn each_block(
    source: &mut Source,
    verifier: &mut Verifier,
    progress: &mut Progress,
    block: &mut Vec<u8>,
    mut keep: impl FnMut(&mut Vec<u8>, usize) -> bool,
) -> Result<(), Error> {
    loop {
        let count = fill(source, block)?;
        if count == 0 {
            return Ok(());
        }
        verifier.update(&block[..count])?;
        if !keep(block, count) {
            return Ok(());
        }
        progress.at(source.bytes_read());
    }
}

/// The input as a file that can be read again from its beginning.
fn regular(input: Option<&Path>) -> Option<File> {
    let file = match input.filter(|path| path.as_os_str() != "-") {
        // A FIFO must not be opened a second time: its writer would see two readers.
        Some(path) if !path.metadata().ok()?.is_file() => return None,
        Some(path) => File::open(path).ok()?,
        None => File::from(rustix::stdio::stdin().try_clone_to_owned().ok()?),
    };
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    // Somebody may have read the beginning of standard input.
    let position = io::Seek::stream_position(&mut &file).ok()?;
    (position == 0).then_some(file)
}

/// Fills the block; 0 is the end. Whole blocks begin where pages begin, which spares the verifier
/// from gluing pages together.
fn fill(source: &mut Source, block: &mut [u8]) -> Result<usize, Error> {
    let mut filled = 0;
    while filled < block.len() {
        match source.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(contract::Error::Stream(StreamError::Read(e)).into()),
        }
    }
    Ok(filled)
}
