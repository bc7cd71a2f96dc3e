//! Bytes in, exactly one zstd frame with a content checksum out.

use crate::error::{Error, Stopped};
use std::io::{self, Read, Write};
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// Levels that are accepted. Above 19 libzstd needs windows that other programs refuse to read.
pub(crate) const LEVELS: std::ops::RangeInclusive<i32> = 1..=19;
/// More workers than any machine of a control plane has cores.
pub(crate) const THREADS_MAX: u32 = 64;
/// Size of the blocks that are read, and of those that are written.
pub(crate) const BUFFER_BYTES: usize = 512 << 10;
/// What one worker compresses at a time. zstd's own choice, four windows, takes 53 MiB of memory at
/// level 3 and hundreds at 19; this takes 19, and the result is as small.
const JOB_BYTES: u32 = 2 << 20;

/// How to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    /// zstd's level, one of [`LEVELS`].
    pub(crate) level: i32,
    /// Workers beside the thread that reads and writes; 0 for none.
    pub(crate) threads: u32,
}

/// Compresses all of `from` into one frame.
///
/// # Errors
/// [`Stopped`] says which end failed, or that libzstd did.
pub(crate) fn encode(
    from: &mut impl Read,
    to: &mut impl Write,
    settings: Settings,
) -> Result<(), Stopped> {
    let mut encoder = encoder(settings).map_err(codec)?;
    let mut input = vec![0; BUFFER_BYTES];
    let mut output = vec![0; BUFFER_BYTES];
    loop {
        let length = read_some(from, &mut input).map_err(Stopped::Read)?;
        if length == 0 {
            break;
        }
        let mut block = InBuffer::around(&input[..length]);
        while block.pos() < length {
            let mut room = OutBuffer::around(&mut output[..]);
            encoder.run(&mut block, &mut room).map_err(codec)?;
            to.write_all(room.as_slice()).map_err(Stopped::Write)?;
        }
    }
    loop {
        let mut room = OutBuffer::around(&mut output[..]);
        let remaining = encoder.finish(&mut room, true).map_err(codec)?;
        to.write_all(room.as_slice()).map_err(Stopped::Write)?;
        if remaining == 0 {
            return Ok(());
        }
    }
}

/// Reads what there is, at most a buffer full; 0 is the end.
pub(crate) fn read_some(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

fn encoder(settings: Settings) -> io::Result<Encoder<'static>> {
    let mut encoder = Encoder::new(settings.level)?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    encoder.set_parameter(CParameter::NbWorkers(settings.threads))?;
    if settings.threads > 0 {
        encoder.set_parameter(CParameter::JobSize(JOB_BYTES))?;
    }
    Ok(encoder)
}

fn codec(source: io::Error) -> Stopped {
    Stopped::Failed(Error::Codec { verb: "compress", source })
}
