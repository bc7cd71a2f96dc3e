//! What a comparison goes by, besides the catalogues.

use config::{Location, Pipeline};
use retention::Policy;
use std::collections::BTreeSet;

/// What every destination should hold.
#[derive(Debug, Clone, Default)]
pub struct Aim {
    /// What each keeps; without a policy every destination is to have everything.
    pub policy: Option<Policy>,
    /// The names of the destinations in the order in which a copy is best taken from them.
    pub order: Vec<String>,
    /// Those that take nothing that nobody encrypted.
    pub sealed: BTreeSet<String>,
    /// What is lacking of the time before a destination's own history.
    pub past: Past,
}

/// What is lacking of the time before a destination's own history, where no policy says what it
/// keeps. Then a rule of the bucket may remove what is old, and nobody here knows that rule: what
/// it removed would come back with every run, for ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Past {
    /// All of it: a person asks for it.
    #[default]
    Whole,
    /// Nothing that is older than the oldest backup of its tier there; all of it where a destination
    /// holds nothing at all.
    OfNewcomers,
    /// Nothing that is older than the oldest backup of its tier there; where there is none of a tier,
    /// only the newest one of it is lacking.
    None,
}

impl Aim {
    /// As the configuration wants it: the order is that of distance, with directories first, and what
    /// nobody encrypted leaves this machine only where that is allowed.
    #[must_use]
    pub fn new(pipeline: &Pipeline, policy: Option<Policy>) -> Self {
        let is_far = |name: &&String| {
            !matches!(pipeline.destinations[*name].location(), Ok(Location::Directory(_)))
        };
        let mut names: Vec<&String> = pipeline.destinations.keys().collect();
        names.sort_by_key(is_far);
        let sealed = names.iter().filter(|name| is_far(name));
        let sealed = match pipeline.replicate.allow_plaintext {
            true => BTreeSet::new(),
            false => sealed.map(|name| (*name).clone()).collect(),
        };
        let order = names.into_iter().cloned().collect();
        Aim { policy, order, sealed, past: Past::Whole }
    }

    /// The same with another past.
    #[must_use]
    pub fn with_past(self, past: Past) -> Self {
        Aim { past, ..self }
    }
}
