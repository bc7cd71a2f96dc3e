//! The manifest: what one backup is, and its commit record. A backup without one does not exist.
//!
//! It is made of what the receipts say, is written last and create-only, and is the same, byte
//! for byte, in every destination. `docs/manifest.md` describes the JSON. Readers accept fields
//! that they do not know; a version that they do not know they refuse. Where somebody is to be
//! trusted (`trust`), nothing in a manifest is looked at before its signature was found to hold.

use crate::name::{BackupName, ObjectName};
use contract::facts::{CaptureFacts, EncryptFacts, Signature, VerifyFacts};
use contract::{Digest, Exit, JsonError, Plan, Previous, Receipt, brief, read_json};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use trust::{Distrust, SecretKey, Signed, Trust};

/// The version of the format that this program writes, and the newest that it reads.
const VERSION: u32 = 1;
/// A manifest has some kilobytes, a hundred for a cluster with a thousand kinds of resources; more than this
/// is not one.
pub const MANIFEST_BYTES_MAX: u64 = 2 << 20;

/// The description of one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub version: u32,
    /// The backup's name.
    pub backup: BackupName,
    /// The cluster's name, as in `pipeline.toml`.
    pub cluster: String,
    /// The retention class.
    pub tier: String,
    /// The run that made it.
    pub run: String,
    /// When the run was planned: the time of the backup.
    pub taken_at: Timestamp,
    /// Program and version that wrote the manifest.
    pub tool: String,
    /// What `capture` saw of the live cluster; where `adopted` is there, nobody saw it.
    pub etcd: CaptureFacts,
    /// What `verify` proved about the bytes.
    pub snapshot: VerifyFacts,
    /// By which rule of which etcdutl the two key counts of `snapshot` were made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub key_count_rules: BTreeMap<String, String>,
    /// The steps between the live cluster and the artifact, with the bytes after each.
    pub steps: Vec<ManifestStep>,
    /// Public recipients, each able to open the artifact alone; empty if it is not encrypted.
    #[serde(default)]
    pub recipients: Vec<String>,
    /// The object beside the manifest.
    pub artifact: Artifact,
    /// The backup before this one, as far as the run could see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Where copies were to go, as it was when the backup was committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
    /// Of all that is above but `tool` and `placed`, where a key signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

/// Where a backup's copies were to go. Whoever finds one copy learns from it where to look for the
/// others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// How many proved copies the commit asked for.
    pub required: usize,
    /// Each destination of the run, by its name.
    pub destinations: BTreeMap<String, Place>,
}

/// One destination of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Where it is, without credentials.
    pub location: String,
    /// Whether it held a proved copy of the artifact at the commit. One that did not may have got
    /// it later.
    pub proved: bool,
}

/// One step that the bytes went through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestStep {
    /// The stage's name.
    pub stage: String,
    /// Program and version.
    pub tool: String,
    /// The bytes after it.
    pub output: Digest,
}

/// The object that holds the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its file name, in the same folder as the manifest.
    pub file: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
}

/// Why a manifest cannot be made or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// A receipt that every backup needs is missing.
    #[error("the run has no receipt of stage {0:?}")]
    NoReceipt(&'static str),
    /// A receipt's facts have another shape.
    #[error("the receipt of stage {stage:?} cannot be understood: {problem}")]
    Facts {
        /// The stage.
        stage: String,
        /// What is wrong.
        problem: String,
    },
    /// The bytes are not a manifest.
    #[error("it is not a manifest: {0}")]
    Malformed(String),
    /// It was written by a newer version.
    #[error("it has format version {found}; this program knows up to {VERSION}")]
    Newer {
        /// The version in it.
        found: u64,
    },
    /// It describes another backup than its name says.
    #[error("it says {field} {found:?}, but its name says {expected:?}")]
    Misnamed {
        /// Which field.
        field: &'static str,
        /// What its name says.
        expected: String,
        /// What it says.
        found: String,
    },
    /// Nobody who is trusted signed it as it is.
    #[error("it is forged: {0}")]
    Forged(#[from] Distrust),
    /// Somebody who is trusted signed it, for another place.
    #[error(
        "it is forged: signed for another place, it says {field} {found:?}, but its name says \
         {expected:?}"
    )]
    Replayed {
        /// Which field.
        field: &'static str,
        /// What its name says.
        expected: String,
        /// What it says.
        found: String,
    },
}

impl ManifestError {
    /// The exit code that belongs to it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            ManifestError::Newer { .. } => Exit::Unsupported,
            ManifestError::Forged(_) | ManifestError::Replayed { .. } => Exit::Forged,
            ManifestError::NoReceipt(_)
            | ManifestError::Facts { .. }
            | ManifestError::Malformed(_)
            | ManifestError::Misnamed { .. } => Exit::Corrupt,
        }
    }

    /// What to do next, where there is more to do than to take another copy.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            ManifestError::Newer { .. } => {
                Some("upgrade Lifeboat to the version that made it, or a later one")
            }
            ManifestError::Forged(Distrust::Unsigned) => Some(
                "if it is from before you signed, say so with [trust] unsigned_until; if not, somebody \
                 else put it there",
            ),
            ManifestError::Forged(Distrust::UnknownKey { .. }) => Some(
                "if the key is yours, add it to [trust] signers; if not, somebody else put it there",
            ),
            ManifestError::Forged(_) | ManifestError::Replayed { .. } => Some(
                "somebody who can write to the destination changed it: find out who, and use another \
                 copy",
            ),
            _ => None,
        }
    }

    /// Whether somebody may have brought it who is not trusted.
    #[must_use]
    pub fn is_of_trust(&self) -> bool {
        self.exit() == Exit::Forged
    }
}

impl Manifest {
    /// Made of a run's plan and of the receipts of the steps before `replicate`.
    ///
    /// # Errors
    /// When a receipt is missing or cannot be understood.
    pub fn from_receipts(
        plan: &Plan,
        receipts: &[Receipt],
        tool: String,
    ) -> Result<Self, ManifestError> {
        let last = receipts.last().ok_or(ManifestError::NoReceipt("capture"))?;
        let written = last.output.digest().ok_or_else(|| unhashed(last))?;
        let encrypted: Option<EncryptFacts> = facts(receipts, "encrypt")?;
        let backup = BackupName::new(plan.started_at, &plan.run);
        let suffix = artifact_suffix(plan);
        Ok(Manifest {
            version: VERSION,
            cluster: plan.cluster.clone(),
            tier: plan.tier.clone(),
            run: plan.run.to_string(),
            taken_at: plan.started_at,
            tool,
            etcd: origin(receipts)?,
            snapshot: facts(receipts, "verify")?.ok_or(ManifestError::NoReceipt("verify"))?,
            key_count_rules: key_count_rules(),
            steps: steps(receipts)?,
            signature: encrypted.as_ref().and_then(|facts| facts.signature.clone()),
            recipients: encrypted.map(|facts| facts.recipients).unwrap_or_default(),
            artifact: Artifact {
                file: format!("{backup}{suffix}"),
                bytes: written.bytes,
                sha256: written.sha256,
            },
            previous: plan.previous.clone(),
            placed: None,
            backup,
        })
    }

    /// The name of the artifact that a run is going to write.
    #[must_use]
    pub fn artifact_name(plan: &Plan) -> ObjectName {
        ObjectName::Artifact {
            tier: plan.tier.clone(),
            backup: BackupName::new(plan.started_at, &plan.run),
            suffix: artifact_suffix(plan),
        }
    }

    /// The name that this manifest is stored under.
    #[must_use]
    pub fn object_name(&self) -> ObjectName {
        ObjectName::Manifest {
            tier: self.tier.clone(),
            backup: self.backup.clone(),
            revision: self.snapshot.revision,
        }
    }

    /// etcd's own id of the cluster, in hex; none for a snapshot that another tool had made.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        Some(self.etcd.cluster_id.as_str()).filter(|id| !id.is_empty())
    }

    /// The key of the artifact.
    #[must_use]
    pub fn artifact_key(&self) -> String {
        format!("{}/{}/{}", self.cluster, self.tier, self.artifact.file)
    }

    /// The bytes that are stored: indented JSON with a line end.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings, numbers and lists only: they always serialise.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The signature that belongs to it, of this key.
    #[must_use]
    pub fn signed_by(&self, key: &SecretKey) -> Signature {
        // As readers see it, and not as it is in memory.
        let document = serde_json::from_slice(&self.to_bytes()).unwrap_or_default();
        key.sign(document)
    }

    /// Whether those who list backups will find this one, understand it and believe it: asked before
    /// the commit, because a backup that nobody lists must not be claimed.
    ///
    /// # Errors
    /// What a reader would say about it.
    pub fn must_be_readable(&self, trust: &Trust) -> Result<(), ManifestError> {
        let bytes = self.to_bytes();
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            let text = format!("it has {} bytes; the limit is {MANIFEST_BYTES_MAX}", bytes.len());
            return Err(ManifestError::Malformed(text));
        }
        for key in [self.artifact_key(), self.object_name().key(&self.cluster)] {
            if ObjectName::parse(&self.cluster, &key).is_none() {
                return Err(ManifestError::Malformed(format!("{key:?} is no name of an object")));
            }
        }
        Manifest::from_bytes(&self.cluster, &self.object_name(), &bytes, trust).map(drop)
    }

    /// Whether a step encrypted the bytes before they were stored.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.steps.iter().any(|step| step.stage == "encrypt")
    }

    /// Reads a manifest that is stored under `name` in the folder of `cluster`, and checks that
    /// it is believed and describes just that backup.
    ///
    /// # Errors
    /// [`ManifestError`]; a manifest that fails a check is never used.
    pub fn from_bytes(
        cluster: &str,
        name: &ObjectName,
        bytes: &[u8],
        trust: &Trust,
    ) -> Result<Self, ManifestError> {
        Manifest::read(cluster, name, bytes, trust).map(|(manifest, _)| manifest)
    }

    /// The same, and whose signature it is believed for.
    ///
    /// # Errors
    /// As [`Manifest::from_bytes`].
    pub fn read(
        cluster: &str,
        name: &ObjectName,
        bytes: &[u8],
        trust: &Trust,
    ) -> Result<(Self, Option<Signed>), ManifestError> {
        if bytes.is_empty() {
            return Err(ManifestError::Malformed("it is empty, or could not be read whole".into()));
        }
        // Of any version: what a newer program signed can be told from what it did not.
        let signed = match trust.is_wanted() {
            true => trust.judge(read_json(bytes, u32::MAX).map_err(unreadable)?)?,
            false => None,
        };
        let manifest: Manifest = read_json(bytes, VERSION).map_err(unreadable)?;
        match manifest.must_be(cluster, name) {
            Err(ManifestError::Misnamed { field, expected, found }) if signed.is_some() => {
                Err(ManifestError::Replayed { field, expected, found })
            }
            checked => checked.map(|()| (manifest, signed)),
        }
    }

    fn must_be(&self, cluster: &str, name: &ObjectName) -> Result<(), ManifestError> {
        let same = |field, expected: &str, found: &str| {
            if expected == found {
                return Ok(());
            }
            let (expected, found) = (brief(expected), brief(found));
            Err(ManifestError::Misnamed { field, expected, found })
        };
        same("cluster", cluster, &self.cluster)?;
        same("name", &name.key(cluster), &self.object_name().key(&self.cluster))?;
        // What is pruned goes by the time inside, what is listed by the name: they are one.
        let run = self.run.parse();
        let made_of = run.map(|run| BackupName::new(self.taken_at, &run)).ok();
        let found = || format!("taken at {} by run {}", self.taken_at, self.run);
        same(
            "time and run",
            self.backup.as_str(),
            &made_of.as_ref().map_or_else(found, BackupName::to_string),
        )?;
        // The name becomes part of keys, and of commands that people copy into a shell.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let rest = self.artifact.file.strip_prefix(self.backup.as_str()).unwrap_or_default();
        let fits = rest.starts_with('.') && rest.chars().all(is_plain);
        same(
            "artifact",
            self.backup.as_str(),
            if fits { self.backup.as_str() } else { &self.artifact.file },
        )
    }
}

fn unreadable(error: JsonError) -> ManifestError {
    match error {
        JsonError::Newer { found } => ManifestError::Newer { found },
        JsonError::Malformed(problem) => ManifestError::Malformed(problem),
    }
}

/// The tools changed their rule between 3.5 and 3.6; a reader must not have to know that.
fn key_count_rules() -> BTreeMap<String, String> {
    let rule = |field: &str, tools: &str| (field.to_owned(), tools.to_owned());
    BTreeMap::from([
        rule("total_key_records", "etcdctl 3.4, etcdutl 3.5: records of all buckets"),
        rule("total_key_live", "etcdutl 3.6 and later: live keys"),
    ])
}

/// A snapshot is a `.db`; every step appends what it made of it.
fn artifact_suffix(plan: &Plan) -> String {
    format!(".db{}", plan.suffixes_before(plan.steps.len()))
}

/// The steps, each with the digest of what it wrote. One that left the SHA-256 to a later step, as
/// `capture` leaves it to `verify`, has that of the next step that wrote the same bytes.
fn steps(receipts: &[Receipt]) -> Result<Vec<ManifestStep>, ManifestError> {
    let step = |(at, receipt): (usize, &Receipt)| {
        let same = |later: &&Receipt| later.output.tally() == receipt.output.tally();
        let hashed = receipts[at..].iter().take_while(same).find_map(|r| r.output.digest());
        Ok(ManifestStep {
            stage: receipt.stage.clone(),
            tool: receipt.tool.clone(),
            output: hashed.ok_or_else(|| unhashed(receipt))?,
        })
    };
    receipts.iter().enumerate().map(step).collect()
}

/// What is known of the cluster: as `capture` saw it, or nothing where `adopt` read a file.
fn origin(receipts: &[Receipt]) -> Result<CaptureFacts, ManifestError> {
    let found = match facts(receipts, "capture")? {
        None => facts(receipts, "adopt")?,
        captured => captured,
    };
    found.ok_or(ManifestError::NoReceipt("capture"))
}

fn unhashed(receipt: &Receipt) -> ManifestError {
    let problem = "neither it nor a later step has the SHA-256 of what it wrote".to_owned();
    ManifestError::Facts { stage: receipt.stage.clone(), problem }
}

fn facts<T: DeserializeOwned>(
    receipts: &[Receipt],
    stage: &str,
) -> Result<Option<T>, ManifestError> {
    let Some(receipt) = receipts.iter().find(|receipt| receipt.stage == stage) else {
        return Ok(None);
    };
    T::deserialize(&receipt.facts)
        .map(Some)
        .map_err(|e| ManifestError::Facts { stage: stage.to_owned(), problem: e.to_string() })
}
