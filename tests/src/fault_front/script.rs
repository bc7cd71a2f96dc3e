//! What goes wrong, and when: rules by operation, object and number, and a seeded mode.
//!
//! Invariants: the first rule that fits decides; a rule counts the requests that fit it. In the
//! seeded mode a request's fate depends on the seed, the operation, the kind of object and the
//! how-manieth of those it is, and never on what runs at the same time.
//! Does not: touch a connection.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a request asks for, in whatever language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A whole object in one request.
    Put,
    /// A large object is announced; Azure has no such request.
    Begin,
    /// A piece of it: a part, a chunk, a block.
    Part,
    /// The pieces become an object: with Google's stores the last chunk does that.
    Complete,
    /// The pieces are thrown away; Azure has no such request.
    Abort,
    /// What the store says of an object.
    Head,
    /// Its bytes.
    Get,
    /// The object goes away.
    Delete,
    /// The objects under a prefix.
    List,
    /// The uploads that were begun and not ended.
    ListUploads,
    /// The store makes an object out of another one.
    Copy,
    /// Anything else.
    Other,
}

/// Every operation that may be scripted.
pub const OPERATIONS: [Operation; 11] = [
    Operation::Put,
    Operation::Begin,
    Operation::Part,
    Operation::Complete,
    Operation::Abort,
    Operation::Head,
    Operation::Get,
    Operation::Delete,
    Operation::List,
    Operation::ListUploads,
    Operation::Copy,
];

/// What a store may say instead of the truth; each has its own words for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    /// It cannot answer just now.
    Unavailable,
    /// So many requests are too many.
    Throttled {
        /// `Retry-After`, in seconds; 0 leaves it out.
        retry_after: u64,
    },
    /// Something inside went wrong.
    Internal,
    /// The credentials do not permit it.
    Denied,
    /// They were good once.
    Expired,
    /// The store does not know them.
    Unknown,
    /// The clocks differ too much; Google's stores have no such answer.
    Skewed,
    /// Another writer is at work on the same key.
    Conflict,
    /// The key is taken.
    Taken,
    /// The object is kept, against everybody; Amazon's stores say it only when they are asked.
    Kept,
    /// There is no such object.
    Absent,
    /// There is no such bucket.
    NoBucket,
}

/// What the key of a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The record of a backup (`….json`).
    Manifest,
    /// The bytes of a backup.
    Artifact,
    /// No object: a listing, a bucket.
    None,
}

/// Whether the store does what it is asked for before the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The request never reaches the store.
    Before,
    /// The store has acted; only its answer is replaced.
    After,
}

/// An answer of the front's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers beyond length and date.
    pub headers: Vec<(String, String)>,
    /// The body, empty in an answer to HEAD.
    pub body: String,
}

impl Reply {
    /// An error as S3 words it.
    #[must_use]
    pub fn error(status: u16, code: &str) -> Self {
        Reply::error_with(status, code, "")
    }

    /// The same with more elements in it.
    #[must_use]
    pub fn error_with(status: u16, code: &str, more: &str) -> Self {
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
             <Message>a scripted {code}</Message>{more}<RequestId>REQ1</RequestId></Error>"
        );
        let headers = vec![("content-type".to_owned(), "application/xml".to_owned())];
        Reply { status, headers, body }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a captive portal says.
    #[must_use]
    pub fn web_page() -> Self {
        let body = "<!DOCTYPE html><html><body>Please log in</body></html>".to_owned();
        Reply { status: 200, headers: vec![("content-type".into(), "text/html".into())], body }
    }
}

/// How a listing is falsified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tamper {
    /// The objects of the newest backup are not in it yet.
    Stale,
    /// The second half is missing, and it does not say whether it is whole.
    Cut,
    /// It says that it goes on, and goes on with the same page and token.
    Loop,
    /// The first object is in it twice.
    Twice,
    /// The XML ends in the middle.
    Torn,
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Another answer than the store's, in its own words.
    Say(Saying, Effect),
    /// Another answer than the store's, in these words.
    Answer(Reply, Effect),
    /// 200, and an error inside: only Amazon's stores do that, to Complete; an error from others.
    ErrorInside,
    /// The connection is closed without an answer.
    Close(Effect),
    /// The connection stays open, and nothing ever comes.
    Silence(Effect),
    /// The connection is reset after so many bytes of the request's body.
    CutUpload(usize),
    /// The true answer, after a pause.
    Late(Duration),
    /// The true answer; its body announced in full, and broken off after so many bytes.
    Short(usize),
    /// The true answer, with only so many bytes of its body, and honestly announced so.
    Less(usize),
    /// The true answer, with so many bytes of its beginning once more at its end.
    Longer(usize),
    /// The true answer with one bit of the byte at this place of its body flipped.
    Altered(usize),
    /// The true answer with the `Date` shifted by so many seconds.
    Date(i64),
    /// A listing that is not what the store said.
    Listing(Tamper),
    /// A write is acknowledged and never done.
    Lost,
    /// A write is done, acknowledged, and so many bytes of it stay; zeros follow where it had fewer.
    Truncated(u64),
    /// A write is done, acknowledged, and a bit of the byte at this place is flipped.
    Damaged(u64),
}

impl Fault {
    /// A refusal in Amazon's words; the store has not acted.
    #[must_use]
    pub fn refuse(status: u16, code: &str) -> Self {
        Fault::Answer(Reply::error(status, code), Effect::Before)
    }

    /// A refusal although the store has acted.
    #[must_use]
    pub fn refuse_after(status: u16, code: &str) -> Self {
        Fault::Answer(Reply::error(status, code), Effect::After)
    }

    /// What the store says, in its own words, without having acted.
    #[must_use]
    pub fn says(saying: Saying) -> Self {
        Fault::Say(saying, Effect::Before)
    }

    /// A wish for patience.
    #[must_use]
    pub fn slow_down(retry_after: u64) -> Self {
        Fault::says(Saying::Throttled { retry_after })
    }
}

/// One line of a script.
#[derive(Debug, Clone)]
pub struct Rule {
    operation: Operation,
    kind: Option<Kind>,
    part: String,
    skip: u32,
    times: u32,
    seen: u32,
    fault: Fault,
}

impl Rule {
    /// Whenever `operation` is asked for.
    #[must_use]
    pub fn on(operation: Operation, fault: Fault) -> Self {
        Rule {
            operation,
            kind: None,
            part: String::new(),
            skip: 0,
            times: u32::MAX,
            seen: 0,
            fault,
        }
    }

    /// Whatever is asked for.
    #[must_use]
    pub fn all(fault: &Fault) -> Vec<Self> {
        OPERATIONS.map(|operation| Rule::on(operation, fault.clone())).to_vec()
    }

    /// Only for manifests.
    #[must_use]
    pub fn manifests(mut self) -> Self {
        self.kind = Some(Kind::Manifest);
        self
    }

    /// Only for artifacts.
    #[must_use]
    pub fn artifacts(mut self) -> Self {
        self.kind = Some(Kind::Artifact);
        self
    }

    /// Only for keys (prefixes, of a listing) with this in them.
    #[must_use]
    pub fn named(mut self, part: &str) -> Self {
        self.part = part.to_owned();
        self
    }

    /// Not for the first `count` that fit.
    #[must_use]
    pub fn after(mut self, count: u32) -> Self {
        self.skip = count;
        self
    }

    /// At most so many times.
    #[must_use]
    pub fn times(mut self, count: u32) -> Self {
        self.times = count;
        self
    }

    /// Once.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    fn fits(&self, call: &Call) -> bool {
        self.operation == call.operation
            && self.kind.is_none_or(|kind| kind == call.kind)
            && call.key.contains(&self.part)
    }

    fn strike(&mut self, call: &Call) -> Option<Fault> {
        if !self.fits(call) {
            return None;
        }
        self.seen = self.seen.saturating_add(1);
        let due = self.seen > self.skip && self.times > 0;
        due.then(|| {
            self.times -= 1;
            self.fault.clone()
        })
    }
}

/// One request, as the script sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// What it asks for.
    pub operation: Operation,
    /// About what.
    pub kind: Kind,
    /// The object's name in the bucket, or the prefix of a listing.
    pub key: String,
    /// The number of the part, 0 if it has none.
    pub part: u32,
}

/// Called with each request and what goes wrong with it, before anything happens.
pub(super) type Watch = Box<dyn Fn(&Call, Option<&Fault>) + Send>;

/// Everything that has been asked for, and what will go wrong.
#[derive(Default)]
pub(super) struct Script {
    pub(super) watch: Option<Watch>,
    rules: Vec<Rule>,
    random: Option<(u64, f64)>,
    counts: BTreeMap<(Operation, Kind, u32), u64>,
    pub(super) seen: Vec<(Call, Option<Fault>)>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("rules", &self.rules).finish_non_exhaustive()
    }
}

impl Script {
    pub(super) fn set(&mut self, rules: Vec<Rule>, random: Option<(u64, f64)>) {
        self.rules = rules;
        self.random = random;
        self.counts.clear();
        self.watch = None;
        self.seen.clear();
    }

    /// Takes note of a request and says what goes wrong with it.
    pub(super) fn next(&mut self, call: Call) -> Option<Fault> {
        let number = self.counts.entry((call.operation, call.kind, call.part)).or_default();
        *number += 1;
        let number = *number;
        let scripted = self.rules.iter_mut().find_map(|rule| rule.strike(&call));
        let drawn = || self.random.and_then(|(seed, p)| draw(seed, p, &call, number));
        let fault = scripted.or_else(drawn);
        if let Some(watch) = &self.watch {
            watch(&call, fault.as_ref());
        }
        self.seen.push((call, fault.clone()));
        fault
    }
}

/// The fate of the `number`th request of its kind.
fn draw(seed: u64, probability: f64, call: &Call, number: u64) -> Option<Fault> {
    let place = (call.operation as u64) << 48 | (call.kind as u64) << 40 | u64::from(call.part);
    let mut state = mix(mix(seed ^ place) ^ number);
    // 53 bits are a fraction that a double holds exactly.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let fraction = (state >> 11) as f64 / (1u64 << 53) as f64;
    if fraction >= probability {
        return None;
    }
    state = mix(state);
    let menu = menu(call.operation);
    let choice = usize::try_from(state % menu.len() as u64).unwrap_or(0);
    menu.into_iter().nth(choice)
}

/// One step of SplitMix64.
fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// What may go wrong with an operation at random. Nothing in it takes longer than the moment.
fn menu(operation: Operation) -> Vec<Fault> {
    use Operation::{Complete, Copy, Get, Head, List, Part, Put};
    let says = Fault::says;
    let mut menu = vec![
        says(Saying::Internal),
        says(Saying::Unavailable),
        Fault::Close(Effect::Before),
        Fault::Close(Effect::After),
        says(Saying::Denied),
    ];
    let writes = [
        Fault::Say(Saying::Internal, Effect::After),
        says(Saying::Conflict),
        says(Saying::Taken),
        Fault::Lost,
        Fault::Truncated(40),
        Fault::Damaged(30),
    ];
    match operation {
        Put | Copy => menu.extend(writes),
        Complete => {
            menu.extend(writes);
            menu.push(Fault::ErrorInside);
        }
        Part => menu.push(Fault::CutUpload(100_000)),
        Head => menu.push(says(Saying::Absent)),
        Get => menu.extend([
            Fault::Short(20),
            Fault::Less(20),
            Fault::Altered(20),
            says(Saying::Absent),
        ]),
        List => {
            let all = [Tamper::Stale, Tamper::Cut, Tamper::Loop, Tamper::Twice, Tamper::Torn];
            menu.extend(all.map(Fault::Listing));
            menu.push(Fault::Answer(Reply::web_page(), Effect::Before));
        }
        _ => {}
    }
    menu
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(operation: Operation, key: &str) -> Call {
        let kind = if key.ends_with(".json") { Kind::Manifest } else { Kind::Artifact };
        Call { operation, kind, key: key.to_owned(), part: 0 }
    }

    #[test]
    fn a_rule_strikes_by_operation_object_and_number() {
        let mut script = Script::default();
        let fault = Fault::refuse(500, "InternalError");
        let rule = Rule::on(Operation::Put, fault.clone()).manifests().after(1).once();
        script.set(vec![rule], None);
        let put = |key: &str| call(Operation::Put, key);
        assert_eq!(script.next(put("a.json")), None);
        assert_eq!(script.next(put("b.age")), None);
        assert_eq!(script.next(call(Operation::Head, "b.json")), None);
        assert_eq!(script.next(put("b.json")), Some(fault));
        assert_eq!(script.next(put("c.json")), None);
        assert_eq!(script.seen.len(), 5);
    }

    #[test]
    fn a_seed_decides_whatever_the_order() {
        let fates = |order: &[Operation]| {
            let mut script = Script::default();
            script.set(Vec::new(), Some((7, 0.5)));
            let mut all: Vec<_> =
                order.iter().map(|o| (*o, script.next(call(*o, "x.age")))).collect();
            all.sort_by_key(|(operation, _)| *operation);
            all
        };
        let once = OPERATIONS.repeat(9);
        let mut turned = once.clone();
        turned.sort();
        assert_eq!(fates(&once), fates(&turned));
        let struck = fates(&once).iter().filter(|(_, fault)| fault.is_some()).count();
        assert!((20..70).contains(&struck), "{struck} of 90");
        let mut calm = Script::default();
        calm.set(Vec::new(), Some((7, 0.0)));
        assert!(once.iter().all(|o| calm.next(call(*o, "x.age")).is_none()));
    }
}
