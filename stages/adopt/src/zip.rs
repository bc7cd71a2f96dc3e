//! The one file in a zip file, read as a stream: no seeking, no trust in what comes first.
//!
//! The layout is that of PKWARE's APPNOTE 6.3.10, sections 4.3 and 4.4. k3s and RKE2 write such files
//! with Go's `archive/zip`: one deflated entry whose lengths and CRC-32 stand behind it. So lengths
//! and CRC are counted here and compared with every place that states them: the header before, the
//! descriptor behind, the directory at the end.
//!
//! Invariants: exactly one file, folders aside; the end of the directory is the end of the input.
//! Does not: use the name of the entry for anything.

use crate::error::Error;
use crate::layers::Wrap;
use crate::peek::Peek;
use flate2::{Crc, Decompress, FlushDecompress, Status};
use jiff::Timestamp;
use std::io::{self, BufRead, Read};

const LOCAL: &[u8] = b"PK\x03\x04";
const DESCRIPTOR: &[u8] = b"PK\x07\x08";
const CENTRAL: &[u8] = b"PK\x01\x02";
const END_64: &[u8] = b"PK\x06\x06";
const LOCATOR_64: &[u8] = b"PK\x06\x07";
const END: &[u8] = b"PK\x05\x06";

const LOCAL_BYTES: usize = 30;
const CENTRAL_BYTES: usize = 46;
const END_64_BYTES: usize = 12;
const LOCATOR_64_BYTES: u64 = 20;
const END_BYTES: usize = 22;
/// A record at the end is some dozen bytes; more than this is not one.
const END_64_BYTES_MAX: u64 = 64 << 10;

const ENCRYPTED: u16 = 1 | 1 << 6 | 1 << 13;
const LENGTHS_BEHIND: u16 = 1 << 3;
const STORED: u16 = 0;
const DEFLATED: u16 = 8;
/// A length that stands in a field of 64 bits elsewhere.
const ELSEWHERE: u32 = u32::MAX;
const EXTRA_ZIP64: u16 = 1;
const EXTRA_TIME: u16 = 0x5455;
const TIME_MODIFIED: u8 = 1;

/// Folders that may come before the file.
const FOLDERS_MAX: u64 = 16;

/// CRC-32 of an entry's content, and its length packed and unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lengths {
    crc32: u32,
    packed: u64,
    unpacked: u64,
}

/// What stands before an entry.
#[derive(Debug)]
struct Header {
    method: u16,
    lengths_behind: bool,
    lengths: Lengths,
    is_folder: bool,
    modified: Option<Timestamp>,
}

/// The content of the one file.
pub(crate) struct ZipEntry<'a> {
    input: Peek<'a>,
    header: Header,
    /// Entries so far, the file and the folders before it.
    entries: u64,
    inflate: Decompress,
    crc: Crc,
    packed: u64,
    unpacked: u64,
    has_ended: bool,
}

/// When the file that begins here says that it was last changed, if it says so in UTC. The time that
/// every entry has is in a zone that nobody knows.
///
/// # Errors
/// Those of reading, and of a file that is none.
pub(crate) fn time_of_entry(input: Peek<'_>) -> io::Result<Option<Timestamp>> {
    Ok(ZipEntry::open(input)?.header.modified)
}

impl<'a> ZipEntry<'a> {
    /// Reads up to the first byte of the file.
    pub(crate) fn open(mut input: Peek<'a>) -> io::Result<Self> {
        let mut entries = 1;
        let mut header = read_header(&mut input)?;
        while header.is_folder {
            if header.lengths_behind || header.lengths.packed > 0 || entries > FOLDERS_MAX {
                return Err(not_one("folders that hold something, or too many of them"));
            }
            header = read_header(&mut input)?;
            entries += 1;
        }
        match header.method {
            DEFLATED => {}
            STORED if !header.lengths_behind => {}
            STORED => return Err(unsupported("its length stands behind it, and it is not packed")),
            other => return Err(unsupported(&format!("method {other}"))),
        }
        let (inflate, crc) = (Decompress::new(false), Crc::new());
        let (packed, unpacked, has_ended) = (0, 0, false);
        Ok(ZipEntry { input, header, entries, inflate, crc, packed, unpacked, has_ended })
    }

    /// What comes after the zip file, once its content was read to the end.
    pub(crate) fn rest(&mut self) -> &mut Peek<'a> {
        &mut self.input
    }

    fn copy(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.header.lengths.packed - self.packed;
        let room = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = self.input.read(&mut buffer[..room])?;
        if count == 0 && left > 0 {
            return Err(truncated());
        }
        self.packed += count as u64;
        self.has_ended = self.packed == self.header.lengths.packed;
        Ok(count)
    }

    fn inflate(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.input.fill_buf()?;
            let is_all = input.is_empty();
            let before = (self.inflate.total_in(), self.inflate.total_out());
            let status = self.inflate.decompress(input, buffer, FlushDecompress::None);
            let taken = self.inflate.total_in() - before.0;
            let made = self.inflate.total_out() - before.1;
            let status = status.map_err(|e| damaged(&e.to_string()))?;
            self.packed += taken;
            // Neither is more than the length of a slice.
            self.input.consume(usize::try_from(taken).unwrap_or(usize::MAX));
            self.has_ended = status == Status::StreamEnd;
            if made > 0 || self.has_ended {
                return Ok(usize::try_from(made).unwrap_or(usize::MAX));
            }
            if is_all {
                return Err(truncated());
            }
        }
    }

    /// What stands behind the content says the same as what was counted, and there is no other file.
    fn end(&mut self) -> io::Result<()> {
        let (packed, unpacked) = (self.packed, self.unpacked);
        let counted = Lengths { crc32: self.crc.sum(), packed, unpacked };
        let stated = match self.header.lengths_behind {
            true => take_descriptor(&mut self.input, counted)?,
            false => self.header.lengths,
        };
        if stated != counted {
            return Err(damaged("its CRC-32 or its lengths are not those of its content"));
        }
        self.directory(counted)
    }

    fn directory(&mut self, counted: Lengths) -> io::Result<()> {
        for entry in 0..self.entries {
            let lengths = self.central()?;
            let is_file = entry + 1 == self.entries;
            if is_file && !fits(lengths, counted) {
                return Err(damaged("its directory tells of other content"));
            }
        }
        let input = &mut self.input;
        if input.begin(4)?.starts_with(CENTRAL) {
            return Err(not_one("a directory of more files than there are"));
        }
        if input.begin(4)?.starts_with(END_64) {
            let record: [u8; END_64_BYTES] = input.take_array()?.ok_or_else(truncated)?;
            let bytes = u64::from_le_bytes(at(&record, 4));
            if bytes > END_64_BYTES_MAX {
                return Err(damaged("the record at its end is too long"));
            }
            skip(input, bytes)?;
            must_begin(input, LOCATOR_64)?;
            skip(input, LOCATOR_64_BYTES)?;
        }
        must_begin(input, END)?;
        let record: [u8; END_BYTES] = input.take_array()?.ok_or_else(truncated)?;
        skip(input, u16::from_le_bytes(at(&record, 20)).into())
    }

    fn central(&mut self) -> io::Result<Lengths> {
        let input = &mut self.input;
        if input.begin(4)?.starts_with(LOCAL) {
            return Err(not_one("several files"));
        }
        must_begin(input, CENTRAL)?;
        let record: [u8; CENTRAL_BYTES] = input.take_array()?.ok_or_else(truncated)?;
        let number = |from| u32::from_le_bytes(at(&record, from));
        let behind = [28, 30, 32].map(|from| u64::from(u16::from_le_bytes(at(&record, from))));
        skip(input, behind.iter().sum())?;
        let (packed, unpacked) = (number(20).into(), number(24).into());
        Ok(Lengths { crc32: number(16), packed, unpacked })
    }
}

impl Read for ZipEntry<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let is_known_to_end = self.has_ended;
        let count = match (is_known_to_end, self.header.method) {
            (true, _) => 0,
            (false, STORED) => self.copy(buffer)?,
            (false, _) => self.inflate(buffer)?,
        };
        self.crc.update(&buffer[..count]);
        self.unpacked += count as u64;
        if count == 0 {
            self.has_ended = true;
            self.end()?;
        }
        Ok(count)
    }
}

fn read_header(input: &mut Peek<'_>) -> io::Result<Header> {
    match input.begin(4)? {
        begin if begin.starts_with(LOCAL) => {}
        begin if begin.starts_with(CENTRAL) => return Err(not_one("no file")),
        begin if begin.len() < 4 => return Err(truncated()),
        _ => return Err(damaged("there is no entry where one should begin")),
    }
    let record: [u8; LOCAL_BYTES] = input.take_array()?.ok_or_else(truncated)?;
    let short = |from| u16::from_le_bytes(at(&record, from));
    let long = |from| u32::from_le_bytes(at(&record, from));
    let (flags, method) = (short(6), short(8));
    if flags & ENCRYPTED != 0 {
        return Err(unsupported("it is encrypted"));
    }
    let (name, extra) = (usize::from(short(26)), usize::from(short(28)));
    let behind = input.begin(name + extra)?.get(..name + extra).ok_or_else(truncated)?;
    let (name, extra) = behind.split_at(name);
    let is_folder = name.ends_with(b"/");
    let (packed, unpacked) = lengths(long(18), long(22), extra);
    let lengths = Lengths { crc32: long(14), packed, unpacked };
    let modified = modified(extra);
    let behind = behind.len();
    input.consume(behind);
    let lengths_behind = flags & LENGTHS_BEHIND != 0;
    Ok(Header { method, lengths_behind, lengths, is_folder, modified })
}

/// The two lengths of a local header; those above 4 GiB stand in a field of their own.
fn lengths(packed: u32, unpacked: u32, extra: &[u8]) -> (u64, u64) {
    let mut wide = field(extra, EXTRA_ZIP64).unwrap_or_default();
    let mut length = |short: u32| match wide.split_first_chunk::<8>() {
        Some((long, rest)) if short == ELSEWHERE => {
            wide = rest;
            u64::from_le_bytes(*long)
        }
        _ => short.into(),
    };
    // In the field the unpacked length comes first.
    let unpacked = length(unpacked);
    (length(packed), unpacked)
}

/// The time of modification in seconds since 1970, as Info-ZIP and Go write it.
fn modified(extra: &[u8]) -> Option<Timestamp> {
    let (flags, times) = field(extra, EXTRA_TIME)?.split_first()?;
    let seconds = i32::from_le_bytes(*times.first_chunk::<4>()?);
    (flags & TIME_MODIFIED != 0).then(|| Timestamp::from_second(seconds.into()).ok())?
}

/// The extra field with this number.
fn field(mut extra: &[u8], wanted: u16) -> Option<&[u8]> {
    while let Some((head, rest)) = extra.split_first_chunk::<4>() {
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (found, rest) = rest.split_at_checked(length)?;
        if u16::from_le_bytes([head[0], head[1]]) == wanted {
            return Some(found);
        }
        extra = rest;
    }
    None
}

/// The descriptor behind an entry has a signature or none, and lengths of 32 or 64 bits. Which one it
/// is, is told by what was counted.
fn take_descriptor(input: &mut Peek<'_>, counted: Lengths) -> io::Result<Lengths> {
    let Lengths { crc32, packed, unpacked } = counted;
    let crc32 = crc32.to_le_bytes();
    let wide = [&crc32[..], &packed.to_le_bytes(), &unpacked.to_le_bytes()].concat();
    let narrow = [&crc32[..], &wide[4..8], &wide[12..16]].concat();
    for lengths in [&wide, &narrow] {
        for signature in [DESCRIPTOR, b""] {
            let descriptor = [signature, lengths].concat();
            let after = input.begin(descriptor.len() + 4)?.strip_prefix(&descriptor[..]);
            if after.is_some_and(|after| after.starts_with(b"PK")) {
                let length = descriptor.len();
                input.consume(length);
                return Ok(counted);
            }
        }
    }
    match input.begin(DESCRIPTOR.len() + wide.len())?.len() {
        left if left < narrow.len() => Err(truncated()),
        _ => Err(damaged("its CRC-32 or its lengths are not those of its content")),
    }
}

/// What the directory says; lengths above 4 GiB stand elsewhere, and are not looked for.
fn fits(stated: Lengths, counted: Lengths) -> bool {
    let same = |stated: u64, counted| stated == counted || stated == u64::from(ELSEWHERE);
    stated.crc32 == counted.crc32
        && same(stated.packed, counted.packed)
        && same(stated.unpacked, counted.unpacked)
}

fn must_begin(input: &mut Peek<'_>, signature: &[u8]) -> io::Result<()> {
    match input.begin(signature.len())? {
        begin if begin.starts_with(signature) => Ok(()),
        begin if begin.len() < signature.len() => Err(truncated()),
        _ => Err(damaged("its directory is not where it should be")),
    }
}

fn skip(input: &mut Peek<'_>, count: u64) -> io::Result<()> {
    if input.skip(count)? { Ok(()) } else { Err(truncated()) }
}

/// `N` bytes of a record; a record is longer than any field in it.
fn at<const N: usize>(record: &[u8], from: usize) -> [u8; N] {
    let field = record.get(from..).and_then(|rest| rest.first_chunk::<N>());
    field.copied().unwrap_or([0; N])
}

fn truncated() -> io::Error {
    Error::Truncated { wrap: Wrap::Zip }.into()
}

fn damaged(problem: &str) -> io::Error {
    Error::Damaged { wrap: Wrap::Zip, problem: problem.to_owned() }.into()
}

fn unsupported(what: &str) -> io::Error {
    Error::Unsupported { wrap: Wrap::Zip, what: what.to_owned() }.into()
}

fn not_one(found: &'static str) -> io::Error {
    Error::NotOneFile { found }.into()
}
