//! HEAD, and what it must report.

use super::customer::CustomerKey;
use super::{Bucket, keep};
use crate::{Checksum, ErrorKind, Keeping, ObjectInfo, Operation, Result, S3Settings, Sse};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumMode, ObjectLockLegalHoldStatus, ServerSideEncryption};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;

/// What S3 calls the class that it does not report.
const STANDARD_CLASS: &str = "STANDARD";
/// Without `s3:ListBucket`, a missing object is answered with 403.
const LOOK_VERB: &str = "s3:GetObject (or s3:ListBucket: without it an absent key is refused)";

impl Bucket {
    /// The store's description of an object, `None` if there is none.
    pub(super) async fn look(&self, operation: Operation, key: &str) -> Result<Option<ObjectInfo>> {
        let name = self.name_of(operation, key)?;
        let mode = (self.settings.checksum != Checksum::None).then_some(ChecksumMode::Enabled);
        let request = self.client.head_object().bucket(&self.settings.bucket).key(name);
        let request = request.set_checksum_mode(mode).customize().config_override(self.limits(0));
        match request.send().await {
            Ok(head) => {
                let info = describe(key, &head, self.customer_key.as_ref());
                info.map(Some).map_err(|kind| self.error(operation, key, kind))
            }
            Err(e) => match self.kind(&e, LOOK_VERB) {
                ErrorKind::NotFound => Ok(None),
                kind => {
                    let kind = self.reason(key, &kind).await.unwrap_or(kind);
                    Err(self.error(operation, key, kind))
                }
            },
        }
    }

    /// Why a HEAD was refused. Its answer has no body, so a wrong signature, an expired token and
    /// a missing permission all look alike; a GET of one byte is told the difference.
    async fn reason(&self, key: &str, refused: &ErrorKind) -> Option<ErrorKind> {
        let (ErrorKind::Denied { answer, .. } | ErrorKind::Rejected { answer }) = refused else {
            return None;
        };
        if answer.code.is_some() {
            return None;
        }
        let name = self.name_of(Operation::Head, key).ok()?;
        let request = self.client.get_object().bucket(&self.settings.bucket).key(name);
        let request = request.range("bytes=0-0").customize().config_override(self.limits(0));
        let refused = request.send().await.err()?;
        match self.kind(&refused, LOOK_VERB) {
            kind @ (ErrorKind::Denied { .. }
            | ErrorKind::Credentials { .. }
            | ErrorKind::BucketMissing { .. }
            | ErrorKind::Config { .. }) => Some(kind),
            _ => None,
        }
    }
}

fn describe(
    key: &str,
    head: &HeadObjectOutput,
    customer: Option<&CustomerKey>,
) -> std::result::Result<ObjectInfo, ErrorKind> {
    let class = head.storage_class().map(|c| c.as_str().to_owned());
    Ok(ObjectInfo {
        key: key.to_owned(),
        bytes: length(head.content_length())?,
        modified: head.last_modified().and_then(timestamp),
        crc64nvme: head.checksum_crc64_nvme().and_then(decode_crc),
        crc32c: None,
        storage_class: class.filter(|c| c != STANDARD_CLASS),
        sse: encryption(customer, head),
        etag: head.e_tag().map(str::to_owned),
        version_id: head.version_id().map(str::to_owned),
        locked_until: head.object_lock_retain_until_date().and_then(timestamp),
        lock_mode: head.object_lock_mode().and_then(keep::read_mode),
        is_held: head.object_lock_legal_hold_status() == Some(&ObjectLockLegalHoldStatus::On),
    })
}

/// A length as the SDK gives it.
pub(super) fn length(bytes: Option<i64>) -> std::result::Result<u64, ErrorKind> {
    bytes.and_then(|b| u64::try_from(b).ok()).ok_or_else(|| ErrorKind::Transient {
        said: "the store did not tell the object's length".into(),
    })
}

pub(super) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    let nanoseconds = i32::try_from(time.subsec_nanos()).ok()?;
    Timestamp::new(time.secs(), nanoseconds).ok()
}

/// S3 writes a CRC-64 as base64 of its eight bytes, the highest first.
pub(super) fn encode_crc(crc: u64) -> String {
    BASE64.encode(crc.to_be_bytes())
}

/// Composite checksums (`…-3`) and malformed ones count as none.
pub(super) fn decode_crc(text: &str) -> Option<u64> {
    let bytes = BASE64.decode(text).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn encryption(customer: Option<&CustomerKey>, head: &HeadObjectOutput) -> Option<Sse> {
    if let Some(md5) = head.sse_customer_key_md5() {
        let ours = customer.filter(|key| key.has_md5(md5));
        return Some(ours.map_or_else(
            || Sse::Other("another key of the customer's own".to_owned()),
            CustomerKey::sse,
        ));
    }
    head.server_side_encryption().map(|sse| read_sse(sse, head.ssekms_key_id()))
}

fn read_sse(sse: &ServerSideEncryption, key_id: Option<&str>) -> Sse {
    match sse {
        ServerSideEncryption::Aes256 => Sse::S3,
        ServerSideEncryption::AwsKms => Sse::Kms { key_id: key_id.map(str::to_owned) },
        other => Sse::Other(other.as_str().to_owned()),
    }
}

/// The storage class that was asked for must be the reported one.
pub(super) fn check_class(
    keeping: &Keeping,
    info: &ObjectInfo,
) -> std::result::Result<(), ErrorKind> {
    let Some(asked) = &keeping.storage_class else {
        return Ok(());
    };
    let found = info.storage_class.as_deref().unwrap_or(STANDARD_CLASS);
    if asked == found {
        return Ok(());
    }
    let (asked, found) = (asked.clone(), found.to_owned());
    Err(ErrorKind::SilentDowngrade { setting: "storage_class", asked, found })
}

/// The same for encryption at rest.
pub(super) fn check_sse(
    settings: &S3Settings,
    info: &ObjectInfo,
) -> std::result::Result<(), ErrorKind> {
    let Some(asked) = &settings.sse else {
        return Ok(());
    };
    let fits = match (asked, &info.sse) {
        (Sse::S3, Some(Sse::S3)) => true,
        (Sse::Kms { key_id: None }, Some(Sse::Kms { .. })) => true,
        (Sse::Customer { .. }, Some(Sse::Customer { .. })) => true,
        (Sse::Kms { key_id: Some(asked) }, Some(Sse::Kms { key_id })) => {
            is_same_key(asked, key_id.as_deref())
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let found = info.sse.as_ref().map_or_else(|| "none".to_owned(), Sse::to_string);
    Err(ErrorKind::SilentDowngrade { setting: "sse", asked: asked.to_string(), found })
}

/// The store reports the key's ARN, whichever way it was named. An alias says nothing of the
/// key behind it, so there only the kind of encryption can be compared.
fn is_same_key(asked: &str, found: Option<&str>) -> bool {
    if asked.contains("alias/") {
        return true;
    }
    let id = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    found.is_some_and(|found| id(asked) == id(found))
}
