//! Faults drawn from a seed.
//!
//! Invariant: the fate of a call depends on the seed, the operation, the key and the how-manieth of
//! those it is, and never on what runs at the same time: the same seed plays the same again.

use super::rules::{Effect, Fault, Refusal};
use crate::Operation;
use std::time::Duration;

/// A pause that is noticed, and harmless.
const PAUSE: Duration = Duration::from_millis(20);

/// The fate of the `number`th call of its kind.
pub(super) fn draw(
    seed: u64,
    probability: f64,
    operation: Operation,
    key: &str,
    number: u64,
) -> Option<Fault> {
    let place = key.bytes().fold(mix(seed), |state, byte| mix(state ^ u64::from(byte)));
    let mut state = mix(mix(place ^ ((operation as u64) << 32)) ^ number);
    // 53 bits are a fraction that a double holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let fraction = (state >> 11) as f64 / (1_u64 << 53) as f64;
    if fraction >= probability {
        return None;
    }
    state = mix(state);
    let menu = menu(operation, mix(state) % 5_000);
    let choice = usize::try_from(state % menu.len() as u64).unwrap_or(0);
    menu.into_iter().nth(choice)
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What may go wrong with an operation, at the byte `at` where it is about bytes.
fn menu(operation: Operation, at: u64) -> Vec<Fault> {
    use Effect::{After, Before};
    use Refusal::{
        Absent, Conflict, Denied, Expired, Reset, Taken, Throttled, Unavailable, Untrusted,
    };
    let mut menu: Vec<Fault> = [Unavailable, Throttled, Reset, Denied, Expired]
        .map(|refusal| Fault::Refuse(refusal, Before))
        .into();
    menu.extend([Unavailable, Reset].map(|refusal| Fault::Refuse(refusal, After)));
    menu.push(Fault::Late(PAUSE));
    // Whoever gives up waits for longer than anybody who waits for thousands of seeds.
    if operation != Operation::Abort {
        menu.extend([Fault::Silence(Before), Fault::Silence(After)]);
    }
    match operation {
        Operation::Put | Operation::Complete => {
            menu.extend([Conflict, Taken].map(|refusal| Fault::Refuse(refusal, Before)));
            menu.extend([Conflict, Taken].map(|refusal| Fault::Refuse(refusal, After)));
            menu.extend([Fault::Lost, Fault::Short(at), Fault::Altered(at)]);
        }
        Operation::Write => menu.extend([Fault::Short(at), Fault::Altered(at)]),
        Operation::Head => menu.extend([Fault::Stale, Fault::Refuse(Absent, Before)]),
        Operation::Read => {
            menu.extend([Fault::Stale, Fault::Short(at), Fault::Less(at), Fault::Altered(at)]);
        }
        Operation::List => {
            menu.extend([Fault::Stale, Fault::Cut, Fault::Refuse(Untrusted, Before)]);
        }
        Operation::Delete => menu.push(Fault::Lost),
        _ => {}
    }
    menu
}
