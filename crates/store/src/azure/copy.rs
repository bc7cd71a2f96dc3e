//! A copy between two containers of one endpoint, whose bytes the store moves by itself: Put Block
//! From URL, range by range, and then the same commit as that of an upload.
//!
//! So nothing is visible before all of it is there, and the copy is kept as its own destination
//! asks. The store reads the source with the source's signature, with one made for this object from
//! the source's account key, or with a token of the source.
//!
//! Does not: prove the copy. Its caller reads it back like any other.

use super::commit::Staged;
use super::customer_key::CustomerKey;
use super::error::{READ, WRITE};
use super::parts::{BLOCKS_MAX, BlockIds};
use super::retry::Moves;
use super::sign::{Signer, add_sas};
use super::{AzureDestination, Container};
use crate::{ErrorKind, Keeping, Operation, Result, Stored};
use azure_core::Error;
use azure_core::credentials::TokenCredential;
use azure_core::error::ErrorKind as SdkKind;
use azure_core::http::{ClientMethodOptions, Context, Etag};
use azure_storage_blob::models::{
    BlockBlobClientStageBlockFromUrlOptions, EncryptionAlgorithmType, HttpRange,
};
use std::ops::Range;

/// What the store moves in one request.
const PIECE_BYTES: u64 = 256 << 20;
/// What a token for the source must be good for.
const SCOPE: &str = "https://storage.azure.com/.default";

/// Where the store reads, and by what right.
struct Source<'a> {
    container: &'a Container,
    url: String,
    authorization: Option<String>,
    /// All pieces are of this version.
    etag: Etag,
}

pub(super) async fn copy(
    destination: &AzureDestination,
    from: &AzureDestination,
    key: &str,
    bytes: u64,
    keeping: &Keeping,
) -> Result<Option<Stored>> {
    let container = &*destination.0;
    let fail = |kind| container.error(Operation::Create, key, kind);
    if !are_neighbours(container, &from.0) || bytes > PIECE_BYTES * u64::from(BLOCKS_MAX) {
        return Ok(None);
    }
    let name = container.name_of(Operation::Create, key)?;
    if container.look(Operation::Create, key).await?.is_some() {
        return Err(fail(ErrorKind::AlreadyExists));
    }
    let source = Source::of(&from.0, key, bytes).await?;
    let ids = BlockIds::new();
    let mut blocks = 0;
    for piece in pieces(bytes) {
        blocks += 1;
        match source.stage(container, &name, &ids.id(blocks), piece).await {
            Ok(()) => {}
            Err(Refusal::Lacking) => return Ok(None),
            Err(Refusal::Kind(kind)) => return Err(fail(*kind)),
        }
    }
    let staged = Staged { destination, key, name: &name, ids, blocks, keeping };
    match staged.commit(bytes).await {
        Ok(stored) => Ok(Some(stored)),
        Err(kind) => resolve(container, key, bytes, kind).await.map(Some),
    }
}

/// After a failure the object may be there: the answer was lost, or another writer was quicker.
/// What is of the right length counts as written; the read-back tells whether it is the same.
async fn resolve(container: &Container, key: &str, bytes: u64, kind: ErrorKind) -> Result<Stored> {
    let failure = container.error(Operation::Complete, key, kind);
    match container.look(Operation::Complete, key).await {
        Ok(Some(info)) if info.bytes == bytes => Ok(Stored::found(&info)),
        Ok(Some(_)) => Err(container.error(Operation::Complete, key, ErrorKind::AlreadyExists)),
        Ok(None) => Err(failure),
        Err(look) => {
            let what = format!("possibly the whole object ({})", look.kind());
            Err(failure.leaving_behind(what))
        }
    }
}

/// Whether one endpoint serves both.
fn are_neighbours(one: &Container, other: &Container) -> bool {
    let (one, other) = (&one.settings, &other.settings);
    one.account == other.account && one.endpoint_url == other.endpoint_url
}

fn pieces(bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let count = bytes.div_ceil(PIECE_BYTES);
    (0..count).map(move |n| n * PIECE_BYTES..((n + 1) * PIECE_BYTES).min(bytes))
}

/// Why a piece was not moved.
enum Refusal {
    /// The server does not know how to.
    Lacking,
    Kind(Box<ErrorKind>),
}

impl<'a> Source<'a> {
    async fn of(container: &'a Container, key: &str, bytes: u64) -> Result<Self> {
        let (name, operation) = (container.name_of(Operation::Read, key)?, Operation::Read);
        let fail = |kind| container.error(operation, key, kind);
        let info = container.look(operation, key).await?;
        let info = info.ok_or_else(|| fail(ErrorKind::NotFound))?;
        if info.bytes != bytes {
            let (expected, found) = (bytes.to_string(), info.bytes.to_string());
            let check = "length of the object to copy";
            return Err(fail(ErrorKind::Corrupt { check, expected, found }));
        }
        let Some(etag) = info.etag.map(Etag::from) else {
            let said = "the store names no version of the object to copy".to_owned();
            return Err(fail(ErrorKind::Transient { said }));
        };
        let mut url = container.client.blob_client(&name).url().clone();
        let path = url.path().replace("%2F", "/");
        url.set_path(&path);
        let refused = |e: Error| fail(container.kind(&e, READ));
        let signature = container.signer.to_read(&container.settings.container, &name);
        if let Some(sas) = signature.map_err(refused)? {
            add_sas(&mut url, &sas);
        }
        let authorization = match &*container.signer {
            Signer::Entra(chain) => {
                let token = chain.get_token(&[SCOPE], None).await.map_err(refused)?;
                Some(format!("Bearer {}", token.token.secret()))
            }
            Signer::Sas(_) | Signer::Key { .. } => None,
        };
        Ok(Source { container, url: url.into(), authorization, etag })
    }

    async fn stage(
        &self,
        into: &Container,
        name: &str,
        id: &[u8],
        piece: Range<u64>,
    ) -> std::result::Result<(), Refusal> {
        let key = self.container.customer_key.as_ref();
        let moves = piece.end - piece.start;
        let options = BlockBlobClientStageBlockFromUrlOptions {
            copy_source_authorization: self.authorization.clone(),
            encryption_scope: into.settings.encryption_scope.clone(),
            method_options: ClientMethodOptions {
                context: Context::new().with_value(Moves(moves)),
            },
            source_encryption_algorithm: key.map(|_| EncryptionAlgorithmType::Aes256),
            source_encryption_key: key.map(CustomerKey::key),
            source_encryption_key_sha256: key.map(|key| key.sha256.clone()),
            source_if_match: Some(self.etag.clone()),
            source_range: Some(HttpRange::from(piece)),
            ..BlockBlobClientStageBlockFromUrlOptions::default()
        };
        let client = into.client.blob_client(name).block_blob_client();
        let moved = client.stage_block_from_url(id, 0, self.url.clone(), Some(options)).await;
        moved.map(drop).map_err(|e| match e.kind() {
            SdkKind::HttpResponse { status, .. } if u16::from(*status) == 501 => Refusal::Lacking,
            _ => Refusal::Kind(Box::new(not_moved(into, &e))),
        })
    }
}

/// A refusal of the source's is told by the destination, with codes of its own.
fn not_moved(into: &Container, e: &Error) -> ErrorKind {
    match into.kind(e, WRITE) {
        // `CannotVerifyCopySource`, with the status of the source's refusal.
        ErrorKind::Denied { answer, .. } | ErrorKind::Rejected { answer }
            if is_of_source(&answer) =>
        {
            ErrorKind::Denied { verb: READ, answer }
        }
        ErrorKind::AlreadyExists => ErrorKind::Corrupt {
            check: "object while it was copied",
            expected: "the version that was looked at".into(),
            found: "another one".into(),
        },
        kind => kind,
    }
}

fn is_of_source(answer: &crate::Answer) -> bool {
    answer.code.as_deref() == Some("CannotVerifyCopySource")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_an_object_and_nothing_more() {
        assert_eq!(pieces(0).count(), 0);
        assert!(pieces(5).eq(std::iter::once(0..5)));
        let two = [0..PIECE_BYTES, PIECE_BYTES..PIECE_BYTES + 1];
        assert_eq!(pieces(PIECE_BYTES + 1).collect::<Vec<_>>(), two);
    }
}
