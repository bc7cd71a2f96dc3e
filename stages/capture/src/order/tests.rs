//! Any sequence of messages: verified, or a named flaw, and never without an end.

use super::*;
use proptest::prelude::*;

const BLOCK_BYTES: usize = 512;

/// One change to a sound stream.
#[derive(Debug, Clone)]
enum Change {
    Drop(prop::sample::Index),
    Double(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Empty(prop::sample::Index, u64),
    Remaining(prop::sample::Index, u64),
    Cut(prop::sample::Index, prop::sample::Index),
    Split(prop::sample::Index, prop::sample::Index),
    Append(Vec<u8>, u64),
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        Just(32),
        1..5_000_u64,
        Just(u64::MAX),
        Just(u64::MAX - 511),
        Just(1 << 63),
        any::<u64>(),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    use Change::*;
    let at = any::<prop::sample::Index>;
    prop_oneof![
        at().prop_map(Drop),
        at().prop_map(Double),
        (at(), at()).prop_map(|(a, b)| Swap(a, b)),
        (at(), number()).prop_map(|(a, n)| Empty(a, n)),
        (at(), number()).prop_map(|(a, n)| Remaining(a, n)),
        (at(), at()).prop_map(|(a, b)| Cut(a, b)),
        (at(), at()).prop_map(|(a, b)| Split(a, b)),
        (prop::collection::vec(any::<u8>(), 0..70), number()).prop_map(|(b, n)| Append(b, n)),
    ]
}

fn message(remaining_bytes: u64, blob: &[u8]) -> Message {
    Message { remaining_bytes, blob: blob.to_vec(), version: String::new() }
}

fn sound(blocks: usize) -> Vec<Message> {
    let left = |at: usize| ((blocks - at - 1) * BLOCK_BYTES) as u64;
    let mut messages: Vec<_> = (0..blocks).map(|at| message(left(at), &[7; BLOCK_BYTES])).collect();
    messages.push(message(0, &[9; DIGEST_BYTES]));
    messages
}

fn apply(messages: &mut Vec<Message>, change: Change) {
    if messages.is_empty() {
        return;
    }
    let length = messages.len();
    match change {
        Change::Drop(at) => drop(messages.remove(at.index(length))),
        Change::Double(at) => messages.insert(at.index(length), messages[at.index(length)].clone()),
        Change::Swap(a, b) => messages.swap(a.index(length), b.index(length)),
        Change::Empty(at, n) => messages.insert(at.index(length), message(n, &[])),
        Change::Remaining(at, n) => messages[at.index(length)].remaining_bytes = n,
        Change::Cut(at, to) => {
            let blob = &mut messages[at.index(length)].blob;
            blob.truncate(to.index(blob.len() + 1));
        }
        Change::Split(at, to) => {
            let one = messages[at.index(length)].clone();
            let (head, tail) = one.blob.split_at(to.index(one.blob.len() + 1));
            let at = at.index(length);
            let before = one.remaining_bytes.saturating_add(tail.len() as u64);
            messages[at] = message(before, head);
            messages.insert(at + 1, message(one.remaining_bytes, tail));
        }
        Change::Append(blob, n) => messages.push(message(n, &blob)),
    }
}

/// What the rules at the head of `order.rs` say, as a sentence about the whole sequence.
fn is_whole(messages: &[Message]) -> bool {
    let runs = messages.split(|message| !message.blob.is_empty());
    let few_empty = runs.into_iter().all(|run| run.len() <= EMPTY_BLOBS_MAX as usize);
    let full: Vec<&Message> = messages.iter().filter(|m| !m.blob.is_empty()).collect();
    let ends_with_digest = messages.last().is_some_and(|m| !m.blob.is_empty());
    let Some((digest, blocks)) = full.split_last() else { return false };
    let total: u128 = blocks.iter().map(|m| m.blob.len() as u128).sum();
    let mut left = total;
    let counts_down = blocks.iter().all(|m| {
        left -= m.blob.len() as u128;
        u128::from(m.remaining_bytes) == left
    });
    few_empty
        && ends_with_digest
        && total > 0
        && total.is_multiple_of(u128::from(SECTOR_BYTES))
        && counts_down
        && digest.blob.len() == DIGEST_BYTES
        && digest.remaining_bytes == 0
}

fn judge(messages: &[Message]) -> Result<Order, Flaw> {
    let mut order = Order::default();
    for message in messages {
        let before = order.received();
        let part = order.accept(message)?;
        let grown = if part == Part::Database { message.blob.len() as u64 } else { 0 };
        assert_eq!(order.received(), before + grown);
        assert!(order.total().is_none_or(|total| order.received() <= total));
    }
    order.end()?;
    Ok(order)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3_000,
        rng_seed: prop::test_runner::RngSeed::Fixed(20_261_120),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn f14_f15_f16_a_stream_is_whole_or_has_a_named_flaw(
        blocks in 1..6_usize, changes in prop::collection::vec(change(), 0..4),
    ) {
        let mut messages = sound(blocks);
        changes.into_iter().for_each(|change| apply(&mut messages, change));
        let judged = judge(&messages);
        prop_assert_eq!(judged.is_ok(), is_whole(&messages), "{:?}", judged);
        if let Err(flaw) = judged {
            prop_assert!(flaw.to_string().len() < 200);
            prop_assert!(matches!(flaw.exit(), contract::Exit::Corrupt | contract::Exit::Transient));
        }
    }

    /// A server that repeats itself is given up, whatever it repeats and after whatever it began.
    #[test]
    fn f14_no_message_can_be_repeated_for_ever(
        begun in 0..5_usize, n in number(), blob in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let mut order = Order::default();
        for message in &sound(4)[..begun] {
            prop_assert!(order.accept(message).is_ok());
        }
        let again = message(n, &blob);
        let repeats = 0..EMPTY_BLOBS_MAX + 2;
        prop_assert!(repeats.into_iter().any(|_| order.accept(&again).is_err()));
    }
}
