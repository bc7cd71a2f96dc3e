//! The pump against scripted streams: every way in which one can be cut short or lie.

use super::*;
use crate::order::DIGEST_BYTES;
use contract::{Digest, Exit, StreamError};
use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;

const BLOCK_BYTES: usize = 32 << 10;
const LIMITS: Limits = Limits { stall: Duration::from_secs(30), whole: Duration::from_secs(1800) };

/// What a scripted etcd does after its last message.
#[derive(Clone, Copy)]
enum Then {
    End,
    Break,
    Hang,
    /// Sends the same message for ever.
    Repeat,
}

struct Script {
    messages: VecDeque<Message>,
    then: Then,
}

impl Messages for Script {
    async fn next(&mut self) -> Result<Option<Message>, Trouble> {
        if let Some(message) = self.messages.pop_front() {
            if matches!(self.then, Then::Repeat) && self.messages.is_empty() {
                self.messages.push_back(message.clone());
            }
            return Ok(Some(message));
        }
        match self.then {
            Then::Break => Err(Trouble::Lost("reset".into())),
            Then::Hang => std::future::pending().await,
            Then::End | Then::Repeat => Ok(None),
        }
    }
}

fn database(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
}

/// The stream of a sound etcd.
fn sound(database: &[u8]) -> Vec<Message> {
    let mut left = database.len();
    let mut messages: Vec<Message> = Vec::new();
    for block in database.chunks(BLOCK_BYTES) {
        left -= block.len();
        messages.push(message(left, block));
    }
    messages.push(message(0, &hex::decode(Digest::of(database).sha256).unwrap()));
    messages
}

fn message(remaining: usize, blob: &[u8]) -> Message {
    Message { remaining_bytes: remaining as u64, blob: blob.to_vec(), version: "3.6.0".into() }
}

struct Outcome {
    result: Result<Pumped, Broken>,
    /// Whether bytes were handed out.
    is_begun: bool,
    has_flowed: bool,
}

impl Outcome {
    fn broken(self) -> Broken {
        self.result.unwrap_err()
    }
}

async fn pump_into(sink: Sink, messages: Vec<Message>, then: Then) -> Outcome {
    let mut sink = Some(sink);
    let mut has_flowed = false;
    let script = Script { messages: messages.into(), then };
    let result = Pump::new(script, LIMITS, &mut sink).run(|| has_flowed = true).await;
    Outcome { result, is_begun: sink.is_none(), has_flowed }
}

async fn pump(messages: Vec<Message>, then: Then) -> Outcome {
    pump_into(Sink::empty(), messages, then).await
}

#[tokio::test]
async fn a_sound_stream_comes_out_byte_for_byte() {
    for bytes in [512, BLOCK_BYTES, 3 * BLOCK_BYTES, 40 * BLOCK_BYTES + 4096] {
        let database = database(bytes);
        let outcome = pump(sound(&database), Then::End).await;
        assert!(outcome.has_flowed && outcome.is_begun);
        let pumped = outcome.result.unwrap();
        let mut whole = database.clone();
        whole.extend(hex::decode(Digest::of(&database).sha256).unwrap());
        assert_eq!(pumped.sink.digest(), Some(Digest::of(&whole)));
        assert_eq!(whole.len() % 512, DIGEST_BYTES);
        assert_eq!(pumped.storage_version.as_deref(), Some("3.6.0"));
    }
}

#[tokio::test]
async fn f15_i05_a_stream_that_ends_early_is_corrupt_wherever_it_ends() {
    let messages = sound(&database(20 * BLOCK_BYTES));
    for count in 0..messages.len() {
        let outcome = pump(messages[..count].to_vec(), Then::End).await;
        assert_eq!(outcome.has_flowed, count > 0);
        let flaw = outcome.broken().flaw;
        let left = ((20 - count) * BLOCK_BYTES) as u64;
        match flaw {
            Flaw::NoDigest => assert!(count == 20 || count == 0),
            Flaw::Short(bytes) => assert_eq!(bytes, left),
            other => panic!("after {count} messages: {other}"),
        }
        assert_eq!(flaw.exit(), Exit::Corrupt);
    }
}

#[tokio::test]
async fn f13_a_stream_that_breaks_may_be_tried_again_wherever_it_breaks() {
    let messages = sound(&database(20 * BLOCK_BYTES));
    for count in 0..=messages.len() {
        let outcome = pump(messages[..count].to_vec(), Then::Break).await;
        // 256 KiB are eight blocks: until then nothing leaves, and another member may be asked.
        assert_eq!(outcome.is_begun, count >= 8, "after {count} messages");
        let broken = outcome.broken();
        assert_eq!(broken.received, (count.min(20) * BLOCK_BYTES) as u64);
        assert!(matches!(broken.flaw, Flaw::Trouble(Trouble::Lost(_))));
        assert_eq!(broken.flaw.exit(), Exit::Transient);
    }
}

#[tokio::test(start_paused = true)]
async fn f25_i24_a_stream_that_stands_still_is_given_up_wherever_it_stands() {
    let messages = sound(&database(20 * BLOCK_BYTES));
    for count in 0..=messages.len() {
        let broken = pump(messages[..count].to_vec(), Then::Hang).await.broken();
        assert!(matches!(broken.flaw, Flaw::Stalled { .. }), "after {count} messages");
        assert_eq!(broken.flaw.exit(), Exit::Transient);
    }
}

#[tokio::test]
async fn f16_i05_every_flipped_bit_of_the_digest_is_found() {
    let database = database(BLOCK_BYTES);
    for bit in 0..8 * DIGEST_BYTES {
        let mut messages = sound(&database);
        messages[1].blob[bit / 8] ^= 1 << (bit % 8);
        let flaw = pump(messages, Then::End).await.broken().flaw;
        assert!(matches!(flaw, Flaw::OtherDigest { .. }), "bit {bit}: {flaw}");
        assert_eq!(flaw.exit(), Exit::Corrupt);
    }
}

#[tokio::test]
async fn f16_i05_a_changed_or_swapped_block_is_found() {
    let mut changed = sound(&database(4 * BLOCK_BYTES));
    changed[2].blob[77] ^= 1;
    let mut swapped = sound(&database(4 * BLOCK_BYTES));
    let first = swapped[0].blob.clone();
    swapped[0].blob = std::mem::replace(&mut swapped[1].blob, first);
    for messages in [changed, swapped] {
        let flaw = pump(messages, Then::End).await.broken().flaw;
        assert!(matches!(flaw, Flaw::OtherDigest { .. }), "{flaw}");
    }
}

#[tokio::test]
async fn f16_a_digest_of_the_wrong_length_is_none() {
    let whole = sound(&database(BLOCK_BYTES));
    for bytes in [1, 31, 33, 512] {
        let messages = vec![whole[0].clone(), message(0, &vec![0; bytes])];
        let flaw = pump(messages, Then::End).await.broken().flaw;
        assert!(matches!(flaw, Flaw::NotADigest(found) if found == bytes), "{flaw}");
    }
}

#[tokio::test]
async fn f16_nothing_may_follow_the_digest() {
    for extra in [message(0, &[0; DIGEST_BYTES]), message(0, &[]), message(512, &[1; 512])] {
        let mut messages = sound(&database(2 * BLOCK_BYTES));
        messages.push(extra);
        let flaw = pump(messages, Then::End).await.broken().flaw;
        assert!(matches!(flaw, Flaw::AfterDigest), "{flaw}");
    }
}

/// The last block of a database can look like a digest: 32 bytes, nothing remaining. It cannot be
/// one while the count says that it belongs to the database.
#[tokio::test]
async fn f15_a_last_block_of_32_bytes_is_no_digest() {
    let database = database(512);
    let mut messages = sound(&database);
    let digest = messages.pop().unwrap();
    let cut = vec![message(32, &database[..480]), message(0, &database[480..])];
    let flaw = pump(cut.clone(), Then::End).await.broken().flaw;
    assert!(matches!(flaw, Flaw::NoDigest), "{flaw}");
    let whole = [cut, vec![digest]].concat();
    assert!(pump(whole, Then::End).await.result.is_ok());
}

#[tokio::test]
async fn f14_i05_a_count_that_does_not_go_down_by_what_was_sent_is_a_lie() {
    let sound = sound(&database(4 * BLOCK_BYTES));
    for position in 1..sound.len() {
        for lie in [1, BLOCK_BYTES as u64, u64::MAX] {
            let mut messages = sound.clone();
            let told = messages[position].remaining_bytes;
            messages[position].remaining_bytes = told.wrapping_add(lie);
            let flaw = pump(messages, Then::End).await.broken().flaw;
            assert!(matches!(flaw, Flaw::Remaining { .. }), "{position} {lie}: {flaw}");
        }
    }
    let mut first = sound;
    first[0].remaining_bytes = u64::MAX;
    let flaw = pump(first, Then::End).await.broken().flaw;
    assert!(matches!(flaw, Flaw::OddLength(u64::MAX)), "{flaw}");
}

#[tokio::test]
async fn f14_a_block_larger_than_what_remains_is_a_lie() {
    let database = database(2 * BLOCK_BYTES);
    let mut messages = sound(&database);
    messages[1].blob.extend([0; 512]);
    let flaw = pump(messages, Then::End).await.broken().flaw;
    assert!(matches!(flaw, Flaw::Remaining { expected: 0, .. }), "{flaw}");
}

#[tokio::test]
async fn a_database_is_a_whole_number_of_sectors() {
    let flaw = pump(sound(&database(BLOCK_BYTES + 1)), Then::End).await.broken().flaw;
    assert!(matches!(flaw, Flaw::OddLength(_)), "{flaw}");
}

#[tokio::test]
async fn f14_i24_empty_messages_for_ever_are_given_up() {
    let sound = sound(&database(4 * BLOCK_BYTES));
    for count in 0..4 {
        let mut messages = sound[..count].to_vec();
        messages.push(message((4 - count) * BLOCK_BYTES, &[]));
        let broken = pump(messages, Then::Repeat).await.broken();
        assert!(matches!(broken.flaw, Flaw::EmptyForEver), "{}", broken.flaw);
        assert_eq!(broken.flaw.exit(), Exit::Transient);
    }
}

#[tokio::test]
async fn a_few_empty_messages_are_no_harm() {
    let mut messages = sound(&database(4 * BLOCK_BYTES));
    for _ in 0..8 {
        messages.insert(2, message(2 * BLOCK_BYTES, &[]));
    }
    assert!(pump(messages, Then::End).await.result.is_ok());
}

/// A FIFO that is open for reading, but that nobody reads from.
fn stuck(path: &Path) -> (Sink, File) {
    rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .unwrap();
    let reader = File::options().read(true).write(true).open(path).unwrap();
    (Sink::open(Some(path)).unwrap(), reader)
}

/// The clock stands still but for waiting, so all of the waiting is for the next stage.
#[tokio::test(start_paused = true)]
async fn i24_a_next_stage_that_takes_nothing_is_named_as_the_cause() {
    let dir = tempfile::tempdir().unwrap();
    let (sink, _reader) = stuck(&dir.path().join("fifo"));
    let messages = sound(&database(1000 * BLOCK_BYTES));
    let flaw = pump_into(sink, messages, Then::End).await.broken().flaw;
    let Flaw::TooSlow { etcd, next_stage, limit } = &flaw else { panic!("{flaw}") };
    assert_eq!(etcd, &Duration::ZERO);
    assert!(next_stage >= limit);
    assert_eq!(flaw.blame(), contract::Blame::Downstream);
}

#[tokio::test]
async fn a_next_stage_that_went_away_is_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .unwrap();
    let reader = File::options().read(true).write(true).open(&path).unwrap();
    let only_writes = File::options().write(true).open(&path).unwrap();
    let sink = Sink::open(Some(&path)).unwrap();
    drop((reader, only_writes));
    let messages = sound(&database(1000 * BLOCK_BYTES));
    let flaw = pump_into(sink, messages, Then::End).await.broken().flaw;
    assert!(matches!(flaw, Flaw::Output(StreamError::NotTaken { .. })), "{flaw}");
    assert_eq!(flaw.blame(), contract::Blame::Downstream);
}
