//! Destinations: directories and object stores behind one non-generic interface.
//!
//! The one library crate that links cloud SDKs. Nothing generic crosses its border, so that
//! the stages above stay thin and link fast.
//!
//! Invariants: an object is written once, under a key that was free, and appears whole or not
//! at all; a write whose answer was lost is resolved by looking; a copy counts only after it
//! was read back ([`read_back()`]); no error, name or `Debug` output contains a credential.
//!
//! Does not: know what a backup or a manifest is, write manifests, decide what to delete,
//! create buckets, or read any configuration file of ours.

mod azure;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod create_only;
mod destination;
mod error;
mod fanout;
#[cfg(feature = "conformance")]
pub mod faults;
mod file;
mod gcs;
mod http;
mod keeping;
mod key;
mod object;
mod pace;
mod patience;
mod probe;
mod read_back;
mod s3;
mod settings;
mod summary;
mod throttle;
mod xml_end;

pub use azure::AzureDestination;
pub use destination::{Blocks, Destination, Upload, open, read_small};
pub use error::{Answer, CredentialsProblem, ErrorKind, Operation, Result, StoreError};
pub use fanout::{
    AllFailed, FanoutBreaker, FanoutOptions, FanoutRun, FanoutSender, Kept, Lag, Outcome, Outcomes,
    Target, fanout,
};
pub use file::FileDestination;
pub use gcs::GcsDestination;
pub use keeping::{Keeping, Lock, LockMode};
pub use key::{KEY_BYTES_MAX, KeyProblem, check_key};
pub use object::{ObjectInfo, Stored};
pub use probe::{Examine, Probe, Protection, Trial, Verdict, probe};
pub use read_back::{
    Proof, ReadBack, ReadBackMode, ReadBackOptions, read_back, read_back_digest, weigh,
};
pub use s3::S3Destination;
pub use settings::{
    AzureCredentials, AzureSettings, COPY_BYTES_MAX, Checksum, DestinationSettings, Endpoint,
    EndpointProblem, FileSettings, GcsSettings, PART_BYTES_DEFAULT, PART_BYTES_MAX, PART_BYTES_MIN,
    PARTS_IN_FLIGHT_MAX, S3Settings, Secret, Sse, StaticCredentials,
};
pub use summary::{Acknowledged, Summary, Summer};
pub use throttle::Throttled;
