//! Whether the XML of an answer came to its end.
//!
//! The SDK's reader takes a document that breaks off for one that is done, so that a listing cut
//! by a proxy would be a shorter listing: where the store says that this is the last page before
//! it names the objects, as many do, nothing else would show it.

use crate::xml_end::closes;
use aws_sdk_s3::config::interceptors::AfterDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Remembers whether the last answer to one request ended with this tag.
#[derive(Debug, Clone)]
pub(super) struct Ending {
    root: &'static str,
    is_whole: Arc<AtomicBool>,
}

impl Ending {
    /// For documents with this root element.
    pub(super) fn of(root: &'static str) -> Self {
        Ending { root, is_whole: Arc::default() }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole.load(Ordering::Relaxed)
    }
}

impl Intercept for Ending {
    fn name(&self) -> &'static str {
        "ending"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_whole = context.response().body().bytes().is_some_and(|b| closes(b, self.root));
        self.is_whole.store(is_whole, Ordering::Relaxed);
        Ok(())
    }
}
