//! Tampering with a snapshot, message by message: what comes in is etcd's, what goes out is the
//! script's.
//!
//! Does not: send anything. It gives [`Event`]s, and `proxy` makes HTTP/2 of them.

use super::wire::{Fields, Value};
use super::{Ending, Tamper};
use sha2::{Digest, Sha256};

/// Fields of `etcdserverpb.SnapshotResponse`.
const REMAINING_BYTES: u32 = 2;
const BLOB: u32 = 3;
/// SHA-256.
const DIGEST_BYTES: usize = 32;

/// What is sent next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A message.
    Message(Vec<u8>),
    /// The first bytes of a message, and then the end of the stream.
    Half(Vec<u8>),
    /// This message for ever.
    ForEver(Vec<u8>),
    /// The end before its time.
    End(Ending),
}

/// One lie at work on one stream.
pub(super) struct Tampering {
    tamper: Tamper,
    /// Messages that came so far, the digest included.
    count: usize,
    /// Bytes of the database so far.
    bytes: u64,
    /// Bytes of the database, as the first message gives them.
    total: Option<u64>,
    has_ended: bool,
    /// For what can only be sent once the whole is known.
    held: Vec<Fields>,
}

/// One message as it came.
struct Message {
    fields: Fields,
    number: usize,
    /// Its first byte in the database.
    at: u64,
    bytes: u64,
    is_digest: bool,
}

impl Tampering {
    pub(super) fn new(tamper: Tamper) -> Self {
        Tampering { tamper, count: 0, bytes: 0, total: None, has_ended: false, held: Vec::new() }
    }

    /// How many bytes a second may go out, if that is limited.
    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        match self.tamper {
            Tamper::Slow(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Takes the next message of etcd.
    pub(super) fn take(&mut self, fields: Fields) -> Vec<Event> {
        if self.has_ended {
            return Vec::new();
        }
        let bytes = fields.bytes(BLOB).len() as u64;
        let total = *self.total.get_or_insert(bytes + fields.number(REMAINING_BYTES));
        let is_digest = self.bytes == total;
        let message = Message { fields, number: self.count, at: self.bytes, bytes, is_digest };
        self.count += 1;
        if !is_digest {
            self.bytes += bytes;
        }
        let events = self.answer(message, total);
        let is_last = |event: &Event| !matches!(event, Event::Message(_));
        self.has_ended = events.iter().any(is_last);
        events
    }

    /// etcd's stream has ended.
    pub(super) fn end(&mut self) -> Vec<Event> {
        let held = std::mem::take(&mut self.held);
        match &self.tamper {
            Tamper::Twice => held.iter().map(plain).collect(),
            Tamper::Rewrite(change, sizes) => {
                let digest = held.len().saturating_sub(1);
                let blobs = held[..digest].iter().flat_map(|m| m.bytes(BLOB).iter().copied());
                cut(&change(blobs.collect()), sizes, &held[0])
            }
            _ => Vec::new(),
        }
    }

    fn answer(&mut self, mut message: Message, total: u64) -> Vec<Event> {
        let whole = plain(&message.fields);
        match &self.tamper {
            Tamper::After(count, ending) if message.number >= *count => {
                vec![Event::End(*ending)]
            }
            Tamper::EmptyForEver(count) if message.number >= *count => {
                vec![Event::ForEver(with(&message.fields, total - message.at, &[]).encode())]
            }
            Tamper::CutInside(number) if message.number == *number => {
                let mut bytes = message.fields.encode();
                bytes.truncate(bytes.len() / 2);
                vec![Event::Half(bytes)]
            }
            Tamper::CutAt(at) => cut_at(&message, *at),
            Tamper::CutBeforeFalseDigest(at) => cut_before_false_digest(&message, *at),
            Tamper::Flip(at) => {
                if !message.is_digest && (message.at..message.at + message.bytes).contains(at) {
                    message.flip(*at - message.at);
                }
                vec![plain(&message.fields)]
            }
            Tamper::Empties(count) => {
                let left = total - message.at;
                let empty = Event::Message(with(&message.fields, left, &[]).encode());
                let mut events = vec![empty; *count];
                events.push(whole);
                events
            }
            Tamper::Remaining(lie) => {
                let told = lie(message.number, message.fields.number(REMAINING_BYTES));
                message.fields.set_number(REMAINING_BYTES, told);
                vec![plain(&message.fields)]
            }
            Tamper::Rewrite(..) => {
                self.held.push(message.fields);
                Vec::new()
            }
            Tamper::Twice => {
                self.held.push(message.fields);
                vec![whole]
            }
            tamper if message.is_digest => false_digest(tamper, message, whole),
            _ => vec![whole],
        }
    }
}

impl Message {
    fn flip(&mut self, at: u64) {
        let mut blob = self.fields.bytes(BLOB).to_vec();
        blob[usize::try_from(at).unwrap_or(0)] ^= 1;
        self.fields.set(BLOB, Value::Bytes(blob));
    }
}

fn false_digest(tamper: &Tamper, mut message: Message, whole: Event) -> Vec<Event> {
    match tamper {
        Tamper::NoDigest => vec![Event::End(Ending::Clean)],
        Tamper::WrongDigest => {
            message.flip(0);
            vec![plain(&message.fields)]
        }
        Tamper::TwoDigests => vec![whole.clone(), whole],
        Tamper::SplitDigest => {
            let (one, two) = message.fields.bytes(BLOB).split_at(DIGEST_BYTES / 2);
            let half = |blob| Event::Message(with(&message.fields, 0, blob).encode());
            vec![half(one), half(two)]
        }
        _ => vec![whole],
    }
}

/// The database as if it had only `end` bytes; no digest.
fn cut_at(message: &Message, end: u64) -> Vec<Event> {
    let upto = usize::try_from(end.saturating_sub(message.at)).unwrap_or(usize::MAX);
    let blob = message.fields.bytes(BLOB);
    if message.is_digest || upto == 0 {
        return vec![Event::End(Ending::Clean)];
    }
    let blob = &blob[..upto.min(blob.len())];
    let left = end.saturating_sub(message.at + blob.len() as u64);
    vec![Event::Message(with(&message.fields, left, blob).encode())]
}

/// As [`cut_at`], with 32 bytes more, which look like the digest.
fn cut_before_false_digest(message: &Message, end: u64) -> Vec<Event> {
    let mut events = cut_at(message, end);
    let from = usize::try_from(end.saturating_sub(message.at)).unwrap_or(usize::MAX);
    let blob = message.fields.bytes(BLOB);
    if let Some(rest) = blob.get(from..from + DIGEST_BYTES).filter(|_| !message.is_digest) {
        events.retain(|event| matches!(event, Event::Message(_)));
        events.push(Event::Message(with(&message.fields, 0, rest).encode()));
        events.push(Event::End(Ending::Clean));
    }
    events
}

/// A database and its digest, in messages of these sizes.
fn cut(database: &[u8], sizes: &[usize], like: &Fields) -> Vec<Event> {
    let mut events = Vec::new();
    let mut rest = database;
    for size in sizes.iter().cycle() {
        let (blob, left) = rest.split_at(rest.len().min(*size.max(&1)));
        if blob.is_empty() {
            break;
        }
        rest = left;
        events.push(Event::Message(with(like, rest.len() as u64, blob).encode()));
    }
    let digest = Sha256::digest(database);
    events.push(Event::Message(with(like, 0, &digest).encode()));
    events
}

fn plain(fields: &Fields) -> Event {
    Event::Message(fields.encode())
}

/// The same message with another count and another blob.
fn with(fields: &Fields, remaining: u64, blob: &[u8]) -> Fields {
    let mut fields = fields.clone();
    fields.set_number(REMAINING_BYTES, remaining);
    fields.set(BLOB, Value::Bytes(blob.to_vec()));
    fields
}
