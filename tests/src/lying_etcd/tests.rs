//! The proxy by itself: what no lie is about passes, and each lie does what it says.

use super::snapshot::{Event, Tampering};
use super::*;

/// A stream as etcd sends it: 100 bytes in blocks of 40, and a digest.
fn stream() -> Vec<Fields> {
    let blocks = [(60, 40, 1_u8), (20, 40, 2), (0, 20, 3), (0, 32, 9)];
    let message = |(remaining, bytes, fill): (u64, usize, u8)| {
        let mut fields = Fields::default();
        fields.set_number(2, remaining);
        fields.set(3, Value::Bytes(vec![fill; bytes]));
        fields
    };
    blocks.into_iter().map(message).collect()
}

/// What comes out: count and blob of each message, and whatever else happens.
fn tampered(tamper: Tamper) -> (Vec<(u64, Vec<u8>)>, Vec<Event>) {
    let mut tampering = Tampering::new(tamper);
    let mut events: Vec<Event> =
        stream().into_iter().flat_map(|fields| tampering.take(fields)).collect();
    events.extend(tampering.end());
    let (messages, others): (Vec<Event>, Vec<Event>) =
        events.into_iter().partition(|event| matches!(event, Event::Message(_)));
    let read = |event| {
        let Event::Message(bytes) = event else { unreachable!() };
        let fields = Fields::parse(&bytes).unwrap();
        (fields.number(2), fields.bytes(3).to_vec())
    };
    (messages.into_iter().map(read).collect(), others)
}

fn lengths(tamper: Tamper) -> Vec<(u64, usize)> {
    tampered(tamper).0.into_iter().map(|(remaining, blob)| (remaining, blob.len())).collect()
}

const SOUND: [(u64, usize); 4] = [(60, 40), (20, 40), (0, 20), (0, 32)];

#[test]
fn each_lie_does_what_it_says_and_no_more() {
    assert_eq!(lengths(Tamper::Slow(1)), SOUND);
    assert_eq!(lengths(Tamper::After(4, Ending::Drop)), SOUND);
    assert_eq!(tampered(Tamper::After(2, Ending::Stall)).1, [Event::End(Ending::Stall)]);
    assert_eq!(lengths(Tamper::After(2, Ending::Stall)), SOUND[..2]);
    assert_eq!(lengths(Tamper::CutAt(50)), [(10, 40), (0, 10)]);
    assert_eq!(lengths(Tamper::CutBeforeFalseDigest(44)), [(4, 40), (0, 4), (0, 32)]);
    assert_eq!(lengths(Tamper::NoDigest), SOUND[..3]);
    assert_eq!(lengths(Tamper::TwoDigests)[3..], [(0, 32), (0, 32)]);
    assert_eq!(lengths(Tamper::SplitDigest)[3..], [(0, 16), (0, 16)]);
    assert_eq!(lengths(Tamper::Twice), [SOUND, SOUND].concat());
    assert_eq!(lengths(Tamper::Remaining(|_, told| told + 1))[0], (61, 40));
    assert_eq!(lengths(Tamper::Empties(2))[..3], [(100, 0), (100, 0), (60, 40)]);
    let flipped = tampered(Tamper::Flip(45)).0;
    assert_eq!(flipped[1].1[5], 3);
    assert_eq!(flipped.iter().flat_map(|(_, blob)| blob).filter(|b| **b == 3).count(), 21);
    let digest = tampered(Tamper::WrongDigest).0.remove(3).1;
    assert_eq!(digest, [&[8_u8][..], &[9; 31]].concat());
}

#[test]
fn a_rewritten_database_has_a_digest_that_fits() {
    use sha2::{Digest as _, Sha256};
    let rewrite: Rewrite = Arc::new(|database| {
        assert_eq!(database.len(), 100);
        b"another database".to_vec()
    });
    let (messages, _) = tampered(Tamper::Rewrite(rewrite, vec![10, 1]));
    let digest = Sha256::digest(b"another database").to_vec();
    let expected = [(6, &b"another da"[..]), (5, b"t"), (0, b"abase"), (0, &digest)];
    let found: Vec<(u64, &[u8])> = messages.iter().map(|(left, blob)| (*left, &blob[..])).collect();
    assert_eq!(found, expected);
}

#[test]
fn an_edited_message_keeps_what_nobody_edited() {
    let bytes = [0x0a, 0x02, 0x08, 0x2a, 0x12, 0x01, b'x', 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x20, 5];
    let mut fields = Fields::parse(&bytes).unwrap();
    assert_eq!(fields.encode(), bytes);
    fields.each(1, |header| header.set_number(1, 300));
    fields.remove(4);
    let expected = [0x0a, 0x03, 0x08, 0xac, 0x02, 0x12, 0x01, b'x', 0x19, 1, 2, 3, 4, 5, 6, 7, 8];
    assert_eq!(fields.encode(), expected);
    assert_eq!(Fields::parse(&[0x0a, 0x7f]), None);
}
