//! What a role may do, by the policies that `docs/destinations.md` prints, and what each request
//! needs.
//!
//! Owns: reading the policies out of that page, and the table from requests to permissions of each
//! cloud, as the clouds' own references have it. A front that enforces one answers 403, in the
//! cloud's words, to whatever it does not grant.
//!
//! Invariant: a request whose permission is not known is refused, so that nothing passes because
//! nobody thought of it.
//! Does not: evaluate conditions beyond the prefix of a bucket's policy; the clouds do.

use crate::fault_front::{Call, Operation, Protocol};
use crate::wire::Head;
use serde_json::Value;
use std::collections::BTreeSet;

/// The four roles.
pub const ROLES: [&str; 4] = ["writer", "pruner", "restorer", "auditor"];

/// One request to a store.
#[derive(Debug)]
pub(crate) struct Requested<'a> {
    pub(crate) call: &'a Call,
    pub(crate) head: &'a Head,
    /// Whether the object is there already.
    pub(crate) exists: bool,
}

/// On which condition Amazon's policies grant something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    None,
    /// The request has `If-None-Match`.
    CreateOnly,
    /// The request makes no object: it begins an upload or brings a part.
    NoCreation,
}

impl Requested<'_> {
    fn has(&self, header: &str) -> bool {
        self.head.get(header).is_some()
    }

    /// Whether it asks not to be carried out where an object is.
    fn is_create_only(&self) -> bool {
        let (_, query) = self.head.target();
        let generation = query.split('&').any(|pair| pair == "ifGenerationMatch=0");
        generation || self.has("if-none-match")
    }

    /// Whether it would put another object in the place of one.
    fn overwrites(&self) -> bool {
        use Operation::{Begin, Complete, Copy, Put};
        let makes = matches!(self.call.operation, Put | Begin | Complete | Copy);
        // The condition of an upload in a session was given when it began.
        let is_session = self.head.get("content-range").is_some();
        makes && self.exists && !self.is_create_only() && !is_session
    }

    fn fits(&self, condition: Condition) -> bool {
        use Operation::{Begin, Part};
        match condition {
            Condition::None => true,
            Condition::CreateOnly => self.is_create_only(),
            Condition::NoCreation => matches!(self.call.operation, Begin | Part),
        }
    }
}

/// What one role may do on one cloud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    protocol: Protocol,
    /// Actions, permissions or data actions, in the cloud's words, each on its condition.
    granted: Vec<(String, Condition)>,
    /// Below which key in the bucket; empty for all of it.
    prefix: String,
    /// Letters of a shared access signature that grants the same.
    pub sas: String,
    /// The policy as it stands in the page.
    pub text: Value,
}

impl Policy {
    /// The policy of `role`, out of the page: the JSON after `<!-- policy: CLOUD ROLE -->`.
    ///
    /// # Panics
    /// When there is none, or it is no policy.
    #[must_use]
    pub fn of(page: &str, protocol: Protocol, role: &str) -> Self {
        let cloud = match protocol {
            Protocol::S3 => "s3",
            Protocol::Gcs => "gcs",
            Protocol::Azure => "azure",
        };
        let mark = format!("<!-- policy: {cloud} {role} -->");
        let (_, rest) = page.split_once(&mark).unwrap_or_else(|| panic!("no {mark}"));
        let (_, rest) = rest.split_once("```json\n").unwrap_or_else(|| panic!("{mark}: no JSON"));
        let (text, rest) = rest.split_once("\n```").unwrap_or_else(|| panic!("{mark}: no end"));
        let text: Value = serde_json::from_str(text).unwrap_or_else(|e| panic!("{mark}: {e}"));
        let after = rest.split("<!-- policy:").next().unwrap_or_default();
        let sas = after.split_once("`sp=").and_then(|(_, rest)| rest.split_once('`'));
        let sas = sas.map(|(letters, _)| letters.to_owned()).unwrap_or_default();
        Policy { sas, ..Policy::read(protocol, text) }
    }

    fn read(protocol: Protocol, text: Value) -> Self {
        let words = |value: &Value| -> Vec<String> {
            let one = value.as_str().map(str::to_owned).into_iter();
            let many = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            one.chain(many.map(str::to_owned)).collect()
        };
        let (mut granted, mut prefix) = (Vec::new(), String::new());
        let plain = |word: String| (word, Condition::None);
        match protocol {
            Protocol::S3 => {
                for statement in text["Statement"].as_array().into_iter().flatten() {
                    assert_eq!(statement["Effect"], "Allow", "{statement}");
                    let condition = condition(&statement["Condition"]);
                    granted.extend(words(&statement["Action"]).into_iter().map(|w| (w, condition)));
                    for resource in words(&statement["Resource"]) {
                        let below = resource.split_once('/').map(|(_, key)| key);
                        if let Some(key) = below {
                            prefix = key.trim_end_matches('*').to_owned();
                        }
                    }
                }
            }
            Protocol::Gcs => {
                granted.extend(words(&text["includedPermissions"]).into_iter().map(plain));
            }
            Protocol::Azure => {
                let both = [&text["DataActions"], &text["Actions"]].map(words).concat();
                granted.extend(both.into_iter().map(plain));
            }
        }
        assert!(!granted.is_empty(), "{text} grants nothing");
        Policy { protocol, granted, prefix, sas: String::new(), text }
    }

    /// The same without one permission.
    #[must_use]
    pub fn without(&self, permission: &str) -> Self {
        let mut less = self.clone();
        less.granted.retain(|(word, _)| word != permission);
        less
    }

    /// The same and what `more` grants.
    #[must_use]
    pub fn and(&self, more: &Policy) -> Self {
        let mut both = self.clone();
        both.granted.extend(more.granted.iter().cloned());
        both
    }

    /// Headers that an answer is given without, because this policy does not grant to see them.
    pub(crate) fn hidden(&self) -> impl Iterator<Item = &'static str> {
        let hidden = move |(permission, _): &&(&str, &[&'static str])| {
            self.protocol == Protocol::S3 && self.granted.iter().all(|(word, _)| word != permission)
        };
        SHOWN_BY.iter().filter(hidden).flat_map(|(_, headers)| headers.iter().copied())
    }

    /// What it grants, in the cloud's words.
    #[must_use]
    pub fn permissions(&self) -> BTreeSet<String> {
        self.granted.iter().map(|(word, _)| word.clone()).collect()
    }

    /// The permission that a request needs and this policy does not grant.
    pub(crate) fn lacks(&self, requested: &Requested<'_>) -> Option<String> {
        let needed = match self.protocol {
            Protocol::S3 => amazon(requested),
            Protocol::Gcs => google(requested),
            Protocol::Azure => microsoft(requested),
        };
        let grants =
            |one: &str| self.granted.iter().any(|(word, on)| word == one && requested.fits(*on));
        let granted = |any: &Vec<&str>| any.iter().any(|one| grants(one));
        if let Some(missing) = needed.iter().find(|any| !granted(any)) {
            return Some(missing.first().map_or("an unknown permission", |one| one).to_owned());
        }
        let key = &requested.call.key;
        let outside = !self.prefix.is_empty() && !key.starts_with(&self.prefix);
        outside.then(|| format!("anything outside {}", self.prefix))
    }
}

fn condition(text: &Value) -> Condition {
    if text.is_null() {
        return Condition::None;
    }
    if *text == serde_json::json!({ "Null": { "s3:if-none-match": "false" } }) {
        return Condition::CreateOnly;
    }
    if *text == serde_json::json!({ "Bool": { "s3:ObjectCreationOperation": "false" } }) {
        return Condition::NoCreation;
    }
    let listing = &text["StringLike"]["s3:prefix"];
    assert!(listing.is_string() || listing.is_array(), "nobody knows the condition {text}");
    Condition::None
}

/// What Amazon shows of an object only to who may ask for it by name.
const SHOWN_BY: [(&str, &[&str]); 2] = [
    ("s3:GetObjectRetention", &["x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date"]),
    ("s3:GetObjectLegalHold", &["x-amz-object-lock-legal-hold"]),
];

/// Every one of these is needed; of each, any of the alternatives.
type Needed = Vec<Vec<&'static str>>;

/// By "Actions, resources, and condition keys for Amazon S3".
fn amazon(requested: &Requested<'_>) -> Needed {
    use Operation as O;
    let mut needed = match requested.call.operation {
        O::Put | O::Begin | O::Part | O::Complete | O::Copy => vec![vec!["s3:PutObject"]],
        O::Abort => vec![vec!["s3:AbortMultipartUpload"]],
        // Who may not list is not told that there is nothing.
        O::Head | O::Get if !requested.exists => vec![vec!["s3:GetObject"], vec!["s3:ListBucket"]],
        O::Head | O::Get => vec![vec!["s3:GetObject"]],
        O::Delete => vec![vec!["s3:DeleteObject"]],
        O::List => vec![vec!["s3:ListBucket"]],
        O::ListUploads => vec![vec!["s3:ListBucketMultipartUploads"]],
        O::Other => vec![beside(requested.head)],
    };
    if requested.has("x-amz-tagging") {
        needed.push(vec!["s3:PutObjectTagging"]);
    }
    if requested.has("x-amz-object-lock-mode") {
        needed.push(vec!["s3:PutObjectRetention"]);
    }
    needed
}

/// What is asked of an object beside its bytes, or of the bucket.
fn beside(head: &Head) -> Vec<&'static str> {
    let (_, query) = head.target();
    let asked = |name: &str| query.split(['&', '=']).any(|word| word == name);
    let reads = head.method() == "GET";
    vec![match () {
        () if asked("retention") && reads => "s3:GetObjectRetention",
        () if asked("retention") => "s3:PutObjectRetention",
        () if asked("tagging") && reads && asked("versionId") => "s3:GetObjectVersionTagging",
        () if asked("tagging") && reads => "s3:GetObjectTagging",
        () if asked("tagging") => "s3:PutObjectTagging",
        () if asked("object-lock") => "s3:GetBucketObjectLockConfiguration",
        () if asked("versioning") => "s3:GetBucketVersioning",
        () => return Vec::new(),
    }]
}

/// By "IAM permissions for JSON methods". An object that is there is only replaced by who may also
/// delete it, which no create-only write asks for.
fn google(requested: &Requested<'_>) -> Needed {
    use Operation as O;
    let mut needed = match requested.call.operation {
        O::Put | O::Begin | O::Part | O::Complete | O::Abort => {
            vec![vec!["storage.objects.create"]]
        }
        // The front sees the target only; where it comes from has to be read too.
        O::Copy => vec![vec!["storage.objects.create"], vec!["storage.objects.get"]],
        O::Head | O::Get if !requested.exists => {
            vec![vec!["storage.objects.get"], vec!["storage.objects.list"]]
        }
        O::Head | O::Get => vec![vec!["storage.objects.get"]],
        O::Delete => vec![vec!["storage.objects.delete"]],
        O::List | O::ListUploads => vec![vec!["storage.objects.list"]],
        // How far an upload has come.
        O::Other if !requested.call.key.is_empty() => vec![vec!["storage.objects.create"]],
        O::Other => vec![Vec::new()],
    };
    if requested.overwrites() {
        needed.push(vec!["storage.objects.delete"]);
    }
    needed
}

const BLOBS: [&str; 6] = [
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/read",
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/tags/write",
];

/// By "Authorize with Microsoft Entra ID: permissions for calling data operations". `add` makes a new
/// blob; replacing one takes `write`.
fn microsoft(requested: &Requested<'_>) -> Needed {
    use Operation as O;
    let [read, write, add, delete, read_tags, write_tags] = BLOBS;
    let (_, query) = requested.head.target();
    let mut needed = match requested.call.operation {
        O::Put | O::Part | O::Complete | O::Copy if requested.overwrites() => vec![vec![write]],
        O::Put | O::Part | O::Complete | O::Copy => vec![vec![write, add]],
        O::Head | O::Get | O::List | O::ListUploads => vec![vec![read]],
        O::Delete => vec![vec![delete]],
        O::Other if query.split('&').any(|pair| pair == "comp=tags") => vec![vec![read_tags]],
        O::Begin | O::Abort | O::Other => vec![Vec::new()],
    };
    if requested.has("x-ms-tags") {
        needed.push(vec![write_tags]);
    }
    needed
}
