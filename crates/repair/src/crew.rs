//! What all copies of one invocation have in common: open destinations, limits, and who of them has
//! failed too often to be asked again.

use crate::{Error, Halt};
use bytes::Bytes;
use catalogue::Catalogue;
use config::Pipeline;
use contract::{Clock, RunId};
use destinations::Opened;
use std::collections::BTreeMap;
use std::time::Duration;
use store::{
    ErrorKind, FanoutOptions, Keeping, Operation, ReadBackMode, ReadBackOptions, StoreError,
    Summary,
};

/// So many failures in a row, whatever they are, and a destination is not asked again; after one
/// that made no progress at all it is not asked a second time.
const FAILURES_MAX: u32 = 3;

/// Whoever copies.
pub struct Crew {
    pub(crate) cluster: String,
    pub(crate) opened: BTreeMap<String, Opened>,
    pub(crate) fanout: FanoutOptions,
    pub(crate) clock: Clock,
    pub(crate) tool: String,
    pub(crate) halt: Halt,
    /// Whether what is found is recorded beside the manifests.
    pub(crate) records: bool,
    /// Whether destinations on the network take what nobody encrypted.
    pub(crate) allow_plaintext: bool,
    failures: BTreeMap<String, (u32, String)>,
    aside: BTreeMap<String, String>,
}

impl Crew {
    /// Opens every destination of the configuration, and reads what it holds, giving each so long.
    pub async fn gather(
        pipeline: &Pipeline,
        tool: &str,
        clock: Clock,
        halt: Halt,
        limit: Duration,
    ) -> (Self, Catalogue) {
        let opened = destinations::open_all(pipeline).await;
        let catalogue = destinations::read_opened(&opened, &pipeline.cluster, clock, limit).await;
        let opened = opened.into_iter().filter_map(|(name, opened)| Some((name, opened.ok()?)));
        let crew = Crew {
            cluster: pipeline.cluster.clone(),
            opened: opened.collect(),
            fanout: fanout_options(pipeline),
            clock,
            tool: format!("lifeboat-{tool} {}", env!("CARGO_PKG_VERSION")),
            halt,
            records: true,
            allow_plaintext: pipeline.replicate.allow_plaintext,
            failures: BTreeMap::new(),
            aside: BTreeMap::new(),
        };
        (crew, catalogue)
    }

    /// Over destinations that a test has made.
    #[cfg(test)]
    pub(crate) fn of(cluster: &str, opened: Vec<Opened>, scratch: &std::path::Path) -> Self {
        let named = opened.into_iter().map(|opened| (opened.store.name().to_owned(), opened));
        Crew {
            cluster: cluster.to_owned(),
            opened: named.collect(),
            fanout: FanoutOptions::new(scratch),
            clock: Clock::system(),
            tool: "lifeboat-test 0".to_owned(),
            halt: Halt::default(),
            records: true,
            allow_plaintext: false,
            failures: BTreeMap::new(),
            aside: BTreeMap::new(),
        }
    }

    /// From now on nothing is recorded beside the manifests, whatever is found or repaired.
    pub fn keep_no_records(&mut self) {
        self.records = false;
    }

    /// One of the destinations.
    ///
    /// # Errors
    /// [`Error::SetAside`] when it has failed too often; any other when it could not be opened.
    pub fn destination(&self, name: &str) -> Result<&Opened, Error> {
        match self.aside.get(name) {
            Some(why) => {
                let (destination, why) = (name.to_owned(), why.clone());
                Err(Error::SetAside { destination, why })
            }
            None => self
                .opened
                .get(name)
                .ok_or_else(|| destinations::Error::Unknown(name.to_owned()).into()),
        }
    }

    /// Takes in how a copy went.
    pub(crate) fn hear(&mut self, destination: &str, failure: Option<&Error>) {
        let Some(failure) = failure else {
            self.failures.remove(destination);
            return;
        };
        if !failure.is_of_destination() {
            return;
        }
        let (count, _) = self.failures.entry(destination.to_owned()).or_default();
        *count += 1;
        if *count >= FAILURES_MAX || failure.is_stall() {
            tracing::warn!("{destination} is set aside: {failure}");
            self.aside.insert(destination.to_owned(), failure.told());
        }
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// The wish to end, which all work here hears.
    #[must_use]
    pub fn halt(&self) -> &Halt {
        &self.halt
    }

    /// An id of its own for each record, so that they sort in the order in which they were made.
    pub(crate) fn new_run(&self) -> RunId {
        RunId::new(self.clock.now(), ulid::Ulid::generate().random())
    }
}

/// The limits of `replicate`: what a slower destination lacks waits in memory, then on disk.
fn fanout_options(pipeline: &Pipeline) -> FanoutOptions {
    let settings = &pipeline.replicate;
    let own = || {
        let directory = pipeline.run.state_dir.join(&pipeline.cluster);
        durable::create_private_dir(&directory).is_ok().then_some(directory)
    };
    let scratch = settings.spool_dir.clone().or_else(own).unwrap_or_else(std::env::temp_dir);
    let mut options = FanoutOptions::new(scratch);
    options.ram_bytes_max = destinations::log_bytes_max(pipeline);
    options.spool_bytes_max = settings.spool_bytes_max;
    options
}

/// A call to a store that is given up when it takes longer than the destination's patience.
pub(crate) async fn in_time<T>(
    opened: &Opened,
    operation: Operation,
    key: &str,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let stalled = ErrorKind::Stalled { after: opened.timeout };
    match tokio::time::timeout(opened.timeout, call).await {
        Ok(answer) => answer,
        Err(_) => Err(StoreError::new(opened.store.name(), operation, key, stalled)),
    }
}

/// Writes a small object, and reads it back. One that was made just now, and is something else or not
/// kept as it has to be, is taken back where that is permitted.
pub(crate) async fn put(
    opened: &Opened,
    key: &str,
    bytes: &Bytes,
    keeping: Keeping,
) -> Result<(), StoreError> {
    let writing = opened.store.put_new(key, bytes.clone(), &keeping);
    let stored = in_time(opened, Operation::Put, key, writing).await?;
    let (mode, stall_timeout) = (ReadBackMode::Full, opened.timeout);
    let options = ReadBackOptions { mode, stall_timeout, keeping };
    let read = store::read_back(&*opened.store, key, &Summary::of(bytes), &options).await;
    if let Err(e) = &read
        && !stored.existed
        && matches!(e.kind(), ErrorKind::SilentDowngrade { .. } | ErrorKind::Corrupt { .. })
    {
        let removing = opened.store.delete(key);
        if let Err(e) = in_time(opened, Operation::Delete, key, removing).await {
            tracing::warn!("{e}; it stays, though it is not as it has to be");
        }
    }
    read.map(drop)
}
