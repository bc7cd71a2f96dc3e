//! What a file is wrapped in, told by how it begins, and taken away layer by layer.
//!
//! Invariants: what comes out of a layer is at most `bytes_max`; a layer has ended well only if its
//! own checksum was right and nothing comes after it. A name never decides anything.
//! Does not: look at the database inside, beyond its magic number.

use crate::error::Error;
use crate::peek::Peek;
use crate::zip::ZipEntry;
use flate2::bufread::GzDecoder;
use std::fmt;
use std::io::{self, Read};

/// How often a file may be wrapped. One is usual, two happens (`.db.gz` in a zip file).
pub(crate) const LAYERS_MAX: usize = 4;
/// The largest zstd window, as a power of two: what `zstd` itself unpacks without being told to.
const WINDOW_LOG_MAX: u32 = 27;
/// Enough to tell a tar archive, whose mark stands furthest behind.
const HEAD_BYTES: usize = 512;
/// The magic number of a bbolt meta page, behind the page's own header.
const DATABASE_MAGIC: [u8; 4] = [0xed, 0xda, 0x0c, 0xed];

/// One way to wrap a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrap {
    Gzip,
    Zip,
    Zstd,
}

impl Wrap {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Wrap::Gzip => "gzip",
            Wrap::Zip => "zip",
            Wrap::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What something is, by how it begins.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Database,
    Wrapped(Wrap),
    Age,
    Other { found: String, next: &'static str },
}

const OTHERS: [(&[u8], &str, &str); 5] = [
    (b"PK\x05\x06", "an empty zip file", "look for another copy of the file"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it with `unxz` first"),
    (b"BZh", "a bzip2 file", "unpack it with `bunzip2` first"),
    (b"\x04\x22\x4d\x18", "an lz4 file", "unpack it with `unlz4` first"),
    (b"\x1f\x9d", "a file of compress", "unpack it with `uncompress` first"),
];
const NO_SNAPSHOT: &str = "name a snapshot, or a copied member/snap/db";

/// What begins with `head`.
pub(crate) fn recognise(head: &[u8]) -> Kind {
    if head.get(16..20) == Some(&DATABASE_MAGIC) && head.starts_with(&[0; 8]) {
        return Kind::Database;
    }
    let begins = |magic: &[u8]| head.starts_with(magic);
    if begins(b"\x1f\x8b") {
        return Kind::Wrapped(Wrap::Gzip);
    }
    if begins(b"PK\x03\x04") {
        return Kind::Wrapped(Wrap::Zip);
    }
    if begins(b"\x28\xb5\x2f\xfd") {
        return Kind::Wrapped(Wrap::Zstd);
    }
    if begins(b"age-encryption.org/") || begins(b"-----BEGIN AGE ENCRYPTED FILE") {
        return Kind::Age;
    }
    let other = |found: String, next| Kind::Other { found, next };
    if head.get(257..262) == Some(b"ustar") {
        return other("a tar archive".into(), "take the snapshot out with `tar -xf` first");
    }
    if let Some((_, found, next)) = OTHERS.iter().find(|(magic, ..)| begins(magic)) {
        return other((*found).into(), next);
    }
    other(shown(head), NO_SNAPSHOT)
}

/// Some bytes that are nothing known.
fn shown(bytes: &[u8]) -> String {
    const SHOWN: usize = 8;
    match bytes {
        [] => "empty".into(),
        bytes if bytes.iter().all(|byte| *byte == 0) => "nothing but zeros".into(),
        bytes => {
            format!("something that begins with {}", hex::encode(&bytes[..SHOWN.min(bytes.len())]))
        }
    }
}

/// A database, unwrapped, and what it was wrapped in: the outermost first.
pub(crate) struct Opened<'a> {
    pub(crate) content: Peek<'a>,
    pub(crate) wrapped: Vec<Wrap>,
}

/// Takes the layers away until a database begins.
///
/// # Errors
/// An [`io::Error`] with an [`Error`] inside; one of `from` as it is.
pub(crate) fn open(from: Box<dyn Read + '_>, bytes_max: u64) -> io::Result<Opened<'_>> {
    let mut content = Peek::new(from);
    let mut wrapped = Vec::new();
    loop {
        match recognise(content.begin(HEAD_BYTES)?) {
            Kind::Database => return Ok(Opened { content, wrapped }),
            Kind::Wrapped(_) if wrapped.len() >= LAYERS_MAX => return Err(Error::TooDeep.into()),
            Kind::Wrapped(wrap) => {
                wrapped.push(wrap);
                content = Peek::new(Box::new(Layer::new(wrap, content, bytes_max)?));
            }
            Kind::Age => return Err(age(&wrapped).into()),
            Kind::Other { found, next } => return Err(Error::SomethingElse { found, next }.into()),
        }
    }
}

fn age(wrapped: &[Wrap]) -> Error {
    let next = match wrapped {
        [] => "decrypt it with `lifeboat-encrypt -d` first, as `lifeboat adopt` does by itself",
        _ => "unpack it by hand first, so that the age file is outermost",
    };
    Error::SomethingElse { found: "an encrypted age file".into(), next }
}

enum Unpacker<'a> {
    Gzip(Box<GzDecoder<Peek<'a>>>),
    Zip(Box<ZipEntry<'a>>),
    Zstd(zstd::stream::read::Decoder<'static, Peek<'a>>),
}

/// What comes out of one layer.
struct Layer<'a> {
    wrap: Wrap,
    unpacker: Unpacker<'a>,
    bytes: u64,
    bytes_max: u64,
    has_ended: bool,
}

impl<'a> Layer<'a> {
    fn new(wrap: Wrap, input: Peek<'a>, bytes_max: u64) -> io::Result<Self> {
        let unpacker = match wrap {
            Wrap::Gzip => Unpacker::Gzip(Box::new(GzDecoder::new(input))),
            Wrap::Zip => Unpacker::Zip(Box::new(ZipEntry::open(input)?)),
            Wrap::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?.single_frame();
                decoder.window_log_max(WINDOW_LOG_MAX)?;
                Unpacker::Zstd(decoder)
            }
        };
        Ok(Layer { wrap, unpacker, bytes: 0, bytes_max, has_ended: false })
    }

    fn must_end_here(&mut self) -> io::Result<()> {
        let rest = match &mut self.unpacker {
            Unpacker::Gzip(decoder) => decoder.get_mut(),
            Unpacker::Zip(entry) => entry.rest(),
            Unpacker::Zstd(decoder) => decoder.get_mut(),
        };
        let found = match recognise(rest.begin(HEAD_BYTES)?) {
            Kind::Other { found, .. } if found == "empty" => return Ok(()),
            Kind::Database => "a database".to_owned(),
            Kind::Wrapped(wrap) => format!("more {wrap} data"),
            Kind::Age => "an encrypted age file".to_owned(),
            Kind::Other { found, .. } => found,
        };
        Err(Error::Trailing { wrap: self.wrap, found }.into())
    }

    /// What an unpacker says in its own words. An error of what it reads from, which has ours
    /// inside, passes as it is.
    fn failed(&self, error: io::Error) -> io::Error {
        let wrap = self.wrap;
        if matches!(error.get_ref(), Some(inner) if inner.is::<Error>()) {
            return error;
        }
        let problem = error.to_string();
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Truncated { wrap },
            _ if problem.contains("too much memory") => {
                Error::Window { bytes_max: 1 << WINDOW_LOG_MAX }
            }
            _ if problem.contains("ictionary") => {
                Error::Unsupported { wrap, what: "it needs a dictionary".into() }
            }
            _ => Error::Damaged { wrap, problem },
        }
        .into()
    }
}

impl Read for Layer<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_ended || buffer.is_empty() {
            return Ok(0);
        }
        let read = match &mut self.unpacker {
            Unpacker::Gzip(decoder) => decoder.read(buffer),
            Unpacker::Zip(entry) => entry.read(buffer),
            Unpacker::Zstd(decoder) => decoder.read(buffer),
        };
        let count = read.map_err(|e| self.failed(e))?;
        if count == 0 {
            self.must_end_here()?;
            self.has_ended = true;
        }
        self.bytes += count as u64;
        if self.bytes > self.bytes_max {
            let (wrap, bytes_max) = (self.wrap, self.bytes_max);
            return Err(Error::TooLarge { wrap, bytes_max }.into());
        }
        Ok(count)
    }
}

#[cfg(test)]
pub(crate) mod tests;
