//! Whether the XML of an answer came to its end.
//!
//! The SDK's reader takes a document that breaks off for one that is done, so that a listing cut
//! by a proxy would be a shorter listing: where the store says that this is the last page before
//! it names the objects, as many do, nothing else would show it.

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

/// Whether the last tag is `</root>`, perhaps with a prefix of a namespace.
fn closes(document: &[u8], root: &str) -> bool {
    let end = document.trim_ascii_end();
    let begin = end.iter().rposition(|byte| *byte == b'<').unwrap_or(0);
    let Some(tag) = end[begin..].strip_prefix(b"</").and_then(|tag| tag.strip_suffix(b">")) else {
        return false;
    };
    let tag = tag.trim_ascii_end();
    tag.strip_suffix(root.as_bytes()).is_some_and(|prefix| matches!(prefix, [] | [.., b':']))
}

#[cfg(test)]
mod tests {
    use super::closes;

    #[test]
    fn f34_only_the_end_tag_of_the_root_is_an_end() {
        for whole in ["<A></A>", "<A><B/></A>\r\n", "<x:A></x:A >", "<A>></A>"] {
            assert!(closes(whole.as_bytes(), "A"), "{whole}");
        }
        for cut in ["", "<A>", "<A><B></B>", "<A><B>text", "<A></A", "<A></BA>", "</A>text", "<A/>"]
        {
            assert!(!closes(cut.as_bytes(), "A"), "{cut}");
        }
    }
}
