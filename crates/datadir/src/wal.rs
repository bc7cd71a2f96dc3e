//! The write-ahead log of a restored member: one segment, byte for byte that of `etcdutl` 3.5 and 3.6.
//! (3.4 leaves the voters out of the last record, 3.7 leaves out two fields that are zero; every
//! version reads all three.)
//!
//! A record is a frame: a length (u64 little-endian: the low 56 bits count the record, the top byte
//! is 0x80 plus the count of zero bytes that pad the frame to eight), then the message {1 type, 2 crc,
//! 3 data}. The CRC-32C runs over the data of all records so far. A restored log says: metadata, an
//! empty snapshot, one configuration change for each member, hard state, the snapshot that is the
//! database; all in term 1.
//!
//! Reading is strict: a record has one encoding, its CRC must continue the chain, and what follows
//! the last record must be zeros. Does not: read logs that a server has written to.

use crate::membership::{Member, Membership};
use crate::protobuf::{Reader, put_bytes, put_number};

/// Name of the only segment of a restored log: sequence 0, first index 0.
pub const WAL_FILE_NAME: &str = "0000000000000000-0000000000000000.wal";

/// Length of a segment in bytes, as etcd preallocates it; zeros follow the records.
pub const WAL_SEGMENT_BYTES: u64 = 64_000_000;

/// Longest part of a segment in which records are looked for, in bytes: 64 members with long names
/// take a fraction of it.
pub const WAL_RECORDS_BYTES_MAX: usize = 1 << 20;

/// The raft term of everything in a restored log.
pub(crate) const TERM: u64 = 1;

const FRAME_BYTES: usize = 8;
const PADDED: u64 = 0x80;

const METADATA: u64 = 1;
const ENTRY: u64 = 2;
const STATE: u64 = 3;
const CRC: u64 = 4;
const SNAPSHOT: u64 = 5;

const ENTRY_CONF_CHANGE: u64 = 1;

/// What stands in the marker, for whoever looks into it.
const MARKER_TEXT: &[u8] =
    b"lifeboat: this restore is not finished; etcd must not start from it. Run the \
    restore again.";

/// The records of a member's log. A file of it is padded with zeros to [`WAL_SEGMENT_BYTES`].
#[must_use]
pub fn wal_file(membership: &Membership, member: &Member) -> Vec<u8> {
    let mut log = Log::default();
    log.push_crc();
    log.push(METADATA, &metadata(member.id, membership.cluster_id()));
    log.push(SNAPSHOT, &snapshot(0, 0, None));
    for (index, one) in (1..).zip(membership.members()) {
        log.push(ENTRY, &conf_entry(index, one));
    }
    let vote = membership.members().first().map_or(0, |first| first.id);
    log.push(STATE, &hard_state(vote, membership.last_index()));
    let conf = conf_state(membership);
    log.push(SNAPSHOT, &snapshot(membership.last_index(), TERM, Some(&conf)));
    log.bytes
}

/// A log that every etcd refuses to start from, and that says so to a reader.
///
/// It begins as a log does; the CRC of its second record is wrong. etcd repairs the torn end of a
/// log, which is what a crash leaves, but not a record that is whole and wrong.
#[must_use]
pub fn marker_wal() -> Vec<u8> {
    let mut log = Log::default();
    log.push_crc();
    log.crc = !crc32c::crc32c_append(log.crc, MARKER_TEXT);
    log.push_frame(METADATA, Some(MARKER_TEXT));
    log.bytes
}

/// Whether these are the bytes of [`marker_wal`], with zeros behind them or not.
#[must_use]
pub fn is_marker_wal(bytes: &[u8]) -> bool {
    bytes.strip_prefix(&*marker_wal()).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

/// A log under construction.
#[derive(Debug, Default)]
struct Log {
    bytes: Vec<u8>,
    crc: u32,
}

// === impl Log ===

impl Log {
    fn push_crc(&mut self) {
        self.push_frame(CRC, None);
    }

    fn push(&mut self, kind: u64, data: &[u8]) {
        self.crc = crc32c::crc32c_append(self.crc, data);
        self.push_frame(kind, Some(data));
    }

    fn push_frame(&mut self, kind: u64, data: Option<&[u8]>) {
        let mut record = Vec::new();
        put_number(&mut record, 1, kind);
        put_number(&mut record, 2, u64::from(self.crc));
        if let Some(data) = data {
            put_bytes(&mut record, 3, data);
        }
        let padding = padding_of(record.len());
        let mark = if padding == 0 { 0 } else { PADDED | padding as u64 };
        let length = record.len() as u64 | mark << 56;
        self.bytes.extend_from_slice(&length.to_le_bytes());
        record.resize(record.len() + padding, 0);
        self.bytes.extend_from_slice(&record);
    }
}

fn padding_of(record_bytes: usize) -> usize {
    record_bytes.next_multiple_of(FRAME_BYTES) - record_bytes
}

fn metadata(member: u64, cluster: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, 1, member);
    put_number(&mut out, 2, cluster);
    out
}

fn snapshot(index: u64, term: u64, conf_state: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, 1, index);
    put_number(&mut out, 2, term);
    if let Some(conf_state) = conf_state {
        put_bytes(&mut out, 3, conf_state);
    }
    out
}

fn conf_entry(index: u64, member: &Member) -> Vec<u8> {
    let mut change = Vec::new();
    put_number(&mut change, 1, 0);
    put_number(&mut change, 2, 0);
    put_number(&mut change, 3, member.id);
    put_bytes(&mut change, 4, member.json().as_bytes());
    let mut out = Vec::new();
    put_number(&mut out, 1, ENTRY_CONF_CHANGE);
    put_number(&mut out, 2, TERM);
    put_number(&mut out, 3, index);
    put_bytes(&mut out, 4, &change);
    out
}

fn hard_state(vote: u64, commit: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_number(&mut out, 1, TERM);
    put_number(&mut out, 2, vote);
    put_number(&mut out, 3, commit);
    out
}

/// `raftpb.ConfState` of the members: all of them vote.
pub(crate) fn conf_state(membership: &Membership) -> Vec<u8> {
    let mut out = Vec::new();
    for member in membership.members() {
        put_number(&mut out, 1, member.id);
    }
    put_number(&mut out, 5, 0);
    out
}

/// Reads a `raftpb.ConfState` in which nobody is anything but a voter.
pub(crate) fn read_voters(message: &[u8]) -> Option<Vec<u64>> {
    let mut reader = Reader::new(message);
    let mut voters = Vec::new();
    while reader.is_next(1) {
        voters.push(reader.number(1)?);
    }
    (reader.number(5)? == 0 && reader.is_at_end()).then_some(voters)
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WalProblem {
    /// The file has neither the length of a segment nor that of its records.
    #[error("it is {found} bytes long, expected {WAL_SEGMENT_BYTES}")]
    Length {
        /// Its length.
        found: u64,
    },
    /// Bytes that are no record, where one begins.
    #[error("the bytes at offset {offset} are no record")]
    NoRecord {
        /// Where.
        offset: usize,
    },
    /// A record whose CRC does not continue the chain.
    #[error("the record at offset {offset} has CRC {found:08x}, expected {expected:08x}")]
    Crc {
        /// Where.
        offset: usize,
        /// The CRC of the chain.
        expected: u32,
        /// The CRC in the record.
        found: u32,
    },
    /// A record that does not say what it has to, or one too few or too many.
    #[error("record {number} is not {expected}")]
    Record {
        /// Counted from 0.
        number: usize,
        /// What had to come.
        expected: String,
    },
    /// A byte behind the last record is not 0.
    #[error("a byte behind the last record, at offset {offset}, is not zero")]
    Tail {
        /// Where.
        offset: u64,
    },
}

/// One record as it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record<'a> {
    kind: u64,
    data: Option<&'a [u8]>,
}

/// Checks the records of a member's log: `head` holds the first bytes of the file, as many as
/// [`WAL_RECORDS_BYTES_MAX`] or all. Gives the length of the records.
pub(crate) fn check_records(
    head: &[u8],
    membership: &Membership,
    member: &Member,
) -> Result<usize, WalProblem> {
    let (records, end) = read_records(head)?;
    let mut records = records.into_iter().enumerate();
    let mut number = 0;
    let mut next = |expected: String, is_it: &dyn Fn(&Record<'_>) -> bool| match records.next() {
        Some((_, record)) if is_it(&record) => {
            number += 1;
            Ok(())
        }
        _ => Err(WalProblem::Record { number, expected }),
    };
    next("the start of a log".to_owned(), &|r| *r == Record { kind: CRC, data: None })?;
    let ids = (member.id, membership.cluster_id());
    next(format!("metadata of member {:x} of cluster {:x}", ids.0, ids.1), &|r| {
        r.kind == METADATA && r.data.and_then(read_metadata) == Some(ids)
    })?;
    next("the empty snapshot".to_owned(), &|r| {
        r.kind == SNAPSHOT && r.data.and_then(read_snapshot) == Some((0, 0, None))
    })?;
    for (index, one) in (1_u64..).zip(membership.members()) {
        next(format!("entry {index}, which adds member {}", one.name), &|r| {
            r.kind == ENTRY && r.data.and_then(read_conf_entry) == Some((index, one.id, one.json()))
        })?;
    }
    let (last, first_id) =
        (membership.last_index(), membership.members().first().map_or(0, |first| first.id));
    next(format!("the hard state with commit {last}"), &|r| {
        r.kind == STATE && r.data.and_then(read_hard_state) == Some((TERM, first_id, last))
    })?;
    let voters: Vec<u64> = membership.members().iter().map(|m| m.id).collect();
    next(format!("the snapshot at index {last} with all members as voters"), &|r| {
        r.kind == SNAPSHOT
            && r.data.and_then(read_snapshot) == Some((last, TERM, Some(voters.clone())))
    })?;
    match records.next() {
        Some((number, _)) => {
            Err(WalProblem::Record { number, expected: "the end of the log".to_owned() })
        }
        None => Ok(end),
    }
}

/// Every record up to the zeros, and where the zeros begin.
fn read_records(head: &[u8]) -> Result<(Vec<Record<'_>>, usize), WalProblem> {
    let mut records = Vec::new();
    let (mut offset, mut crc) = (0, 0);
    while let Some((frame, record_bytes)) = read_frame(head, offset)? {
        let no_record = WalProblem::NoRecord { offset };
        let Some((record, found)) = read_record(record_bytes) else { return Err(no_record) };
        crc = crc32c::crc32c_append(crc, record.data.unwrap_or_default());
        if crc != found {
            return Err(WalProblem::Crc { offset, expected: crc, found });
        }
        records.push(record);
        offset += frame;
    }
    Ok((records, offset))
}

/// Length of the frame at `offset`, and its record without the padding. `None` where zeros begin.
fn read_frame(head: &[u8], offset: usize) -> Result<Option<(usize, &[u8])>, WalProblem> {
    let no_record = WalProblem::NoRecord { offset };
    let rest = head.get(offset..).unwrap_or_default();
    let Some((length, rest)) = rest.split_first_chunk::<FRAME_BYTES>() else {
        return if rest.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(no_record) };
    };
    let length = u64::from_le_bytes(*length);
    if length == 0 {
        return Ok(None);
    }
    let record_bytes = usize::try_from(length & (u64::MAX >> 8)).unwrap_or(usize::MAX);
    if record_bytes > rest.len() {
        return Err(no_record);
    }
    let padding = padding_of(record_bytes);
    let mark = if padding == 0 { 0 } else { PADDED | padding as u64 };
    let (record, pad) = (rest.get(..record_bytes), rest.get(record_bytes..record_bytes + padding));
    match (record, pad) {
        (Some(record), Some(pad)) if length >> 56 == mark && pad.iter().all(|byte| *byte == 0) => {
            Ok(Some((FRAME_BYTES + record_bytes + padding, record)))
        }
        _ => Err(no_record),
    }
}

fn read_record(bytes: &[u8]) -> Option<(Record<'_>, u32)> {
    let mut reader = Reader::new(bytes);
    let kind = reader.number(1)?;
    let crc = u32::try_from(reader.number(2)?).ok()?;
    let data = if reader.is_at_end() { None } else { Some(reader.bytes(3)?) };
    reader.is_at_end().then_some((Record { kind, data }, crc))
}

fn read_metadata(data: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader::new(data);
    let ids = (reader.number(1)?, reader.number(2)?);
    reader.is_at_end().then_some(ids)
}

fn read_snapshot(data: &[u8]) -> Option<(u64, u64, Option<Vec<u64>>)> {
    let mut reader = Reader::new(data);
    let (index, term) = (reader.number(1)?, reader.number(2)?);
    let voters = if reader.is_at_end() { None } else { Some(read_voters(reader.bytes(3)?)?) };
    reader.is_at_end().then_some((index, term, voters))
}

/// Index, id and context of an entry that adds a member.
fn read_conf_entry(data: &[u8]) -> Option<(u64, u64, String)> {
    let mut entry = Reader::new(data);
    (entry.number(1)? == ENTRY_CONF_CHANGE && entry.number(2)? == TERM).then_some(())?;
    let (index, mut change) = (entry.number(3)?, Reader::new(entry.bytes(4)?));
    (change.number(1)? == 0 && change.number(2)? == 0).then_some(())?;
    let (id, context) = (change.number(3)?, change.bytes(4)?);
    let context = String::from_utf8(context.to_vec()).ok()?;
    (entry.is_at_end() && change.is_at_end()).then_some((index, id, context))
}

fn read_hard_state(data: &[u8]) -> Option<(u64, u64, u64)> {
    let mut reader = Reader::new(data);
    let state = (reader.number(1)?, reader.number(2)?, reader.number(3)?);
    reader.is_at_end().then_some(state)
}

#[cfg(test)]
mod tests;
