//! A directory as a destination.
//!
//! A key is a path below the directory. Files are private and appear whole (`durable`);
//! an unfinished upload has no name, or a hidden one that no listing shows. Symbolic links
//! and whatever else is no regular file or no valid key is not listed.

mod io;
mod upload;

use crate::error::local;
use crate::key::{check_key, check_prefix};
use crate::{
    Acknowledged, Blocks, Destination, ErrorKind, FileSettings, Keeping, ObjectInfo, Operation,
    Result, StoreError, Stored, Summary, Upload,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::fs::File;
use std::io::ErrorKind as IoKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory, local or mounted.
#[derive(Debug, Clone)]
pub struct FileDestination {
    name: Arc<str>,
    root: Arc<Path>,
}

impl FileDestination {
    /// Opens the directory, making it (private) if it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a relative path; [`ErrorKind::Local`].
    pub fn open(settings: FileSettings) -> Result<Self> {
        let FileSettings { name, path } = settings;
        let fail = |kind| StoreError::new(&name, Operation::Open, "", kind);
        if !path.is_absolute() {
            let said = format!("the path {} is not absolute", path.display());
            let hint = "write the path from / on: stages run in other directories";
            return Err(fail(ErrorKind::Config { said, hint }));
        }
        durable::create_private_dir(&path).map_err(|e| fail(ErrorKind::Local(e)))?;
        // The place itself, so that two names of one directory are seen to be one.
        let root = path.canonicalize().map_err(|e| fail(local("look at", &path, e)))?;
        Ok(FileDestination { name: name.into(), root: root.into() })
    }

    /// The same on a thread that may block: a mounted directory may be away, and hang.
    pub(crate) async fn open_blocking(settings: FileSettings) -> Result<Self> {
        let name = settings.name.clone();
        let opened = io::blocking(move || Ok(FileDestination::open(settings))).await;
        opened.map_err(|kind| StoreError::new(&name, Operation::Open, "", kind))?
    }

    fn error(&self, operation: Operation, key: &str, kind: impl Into<ErrorKind>) -> StoreError {
        StoreError::new(&self.name, operation, key, kind)
    }

    fn path_of(&self, operation: Operation, key: &str) -> Result<PathBuf> {
        check_key(key).map_err(|e| self.error(operation, key, e))?;
        Ok(self.root.join(key))
    }

    /// Runs blocking work on a thread that may block, and names the place of its failure.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: Operation,
        key: &str,
        work: impl FnOnce() -> std::result::Result<T, ErrorKind> + Send + 'static,
    ) -> Result<T> {
        io::blocking(work).await.map_err(|kind| self.error(operation, key, kind))
    }

    async fn look(&self, operation: Operation, key: &str) -> Result<Option<ObjectInfo>> {
        let (path, name) = (self.path_of(operation, key)?, key.to_owned());
        self.blocking(operation, key, move || io::look(&path, &name)).await
    }

    /// What a taken key means for `put_new`.
    async fn same_or_taken(&self, key: &str, wanted: &Bytes) -> Result<Stored> {
        let taken = || self.error(Operation::Put, key, ErrorKind::AlreadyExists);
        let info = self.look(Operation::Put, key).await?.ok_or_else(taken)?;
        if info.bytes != wanted.len() as u64 {
            return Err(taken());
        }
        let found = crate::read_small(self, key, wanted.len()).await?;
        if found == *wanted { Ok(Stored::found(&info)) } else { Err(taken()) }
    }
}

#[async_trait]
impl Destination for FileDestination {
    fn name(&self) -> &str {
        &self.name
    }

    fn location(&self) -> String {
        format!("file://{}", self.root.display())
    }

    async fn create(
        &self,
        key: &str,
        _: &Keeping,
        acknowledged: Acknowledged,
    ) -> Result<Box<dyn Upload>> {
        self.path_of(Operation::Create, key)?;
        let (root, name) = (self.root.clone(), key.to_owned());
        let begun = self.blocking(Operation::Create, key, move || io::begin(&root, &name));
        let file = begun.await?;
        Ok(Box::new(upload::FileUpload::new(self.clone(), key, file, acknowledged)))
    }

    async fn put_new(&self, key: &str, bytes: Bytes, _: &Keeping) -> Result<Stored> {
        let path = self.path_of(Operation::Put, key)?;
        let length = bytes.len() as u64;
        let (root, name, body) = (self.root.clone(), key.to_owned(), bytes.clone());
        let written = self
            .blocking(Operation::Put, key, move || {
                let mut file = io::begin(&root, &name)?;
                std::io::Write::write_all(&mut file, &body)
                    .map_err(|e| local("write", &path, e))?;
                file.publish_new().map_err(io::taken_or_local)
            })
            .await;
        match written {
            Ok(()) => Ok(Stored { bytes: length, etag: None, version_id: None, existed: false }),
            Err(e) if matches!(e.kind(), ErrorKind::AlreadyExists) => {
                self.same_or_taken(key, &bytes).await
            }
            Err(e) => Err(e),
        }
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>> {
        self.look(Operation::Head, key).await
    }

    async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Blocks> {
        let path = self.path_of(Operation::Read, key)?;
        let opened = path.clone();
        let (file, bytes) = self
            .blocking(Operation::Read, key, move || {
                let file = File::open(&opened).map_err(|e| match e.kind() {
                    IoKind::NotFound | IoKind::NotADirectory => ErrorKind::NotFound,
                    _ => local("open", &opened, e),
                })?;
                let meta = file.metadata().map_err(|e| local("look at", &opened, e))?;
                if !meta.is_file() {
                    return Err(ErrorKind::NotFound);
                }
                Ok((file, meta.len()))
            })
            .await?;
        let range = range.unwrap_or(0..bytes);
        if range.start > range.end || range.end > bytes {
            let (expected, found) = (format!("inside 0..{bytes}"), format!("{range:?}"));
            let check = "range of the object";
            let kind = ErrorKind::Corrupt { check, expected, found };
            return Err(self.error(Operation::Read, key, kind));
        }
        Ok(io::blocks(self.clone(), key.to_owned(), path, file, range))
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        let fail = |kind: ErrorKind| self.error(Operation::List, prefix, kind);
        check_prefix(prefix).map_err(|e| fail(e.into()))?;
        let (root, wanted) = (self.root.clone(), prefix.to_owned());
        let walked = io::blocking(move || io::walk(&root, &wanted)).await.map_err(fail)?;
        Ok(walked.objects)
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let path = self.path_of(Operation::Delete, key)?;
        self.blocking(Operation::Delete, key, move || io::remove(&path)).await
    }

    async fn abort_stale_uploads(
        &self,
        prefix: &str,
        begun_before: jiff::Timestamp,
    ) -> Result<Vec<String>> {
        let fail = |kind: ErrorKind| self.error(Operation::CleanUp, prefix, kind);
        check_prefix(prefix).map_err(|e| fail(e.into()))?;
        let (root, wanted) = (self.root.clone(), prefix.to_owned());
        io::blocking(move || {
            let stale = io::walk(&root, &wanted)?.unfinished;
            let stale = stale.into_iter().filter(|u| u.touched < begun_before);
            stale.map(|u| io::remove(&u.path).map(|()| u.key)).collect()
        })
        .await
        .map_err(fail)
    }
}

/// The summary of what lies under a key, for the upload to compare with.
async fn summary_of(destination: &FileDestination, key: &str) -> Result<Summary> {
    let blocks = destination.read(key, None).await?;
    crate::read_back::summarize(blocks).await
}

#[cfg(test)]
mod tests;
