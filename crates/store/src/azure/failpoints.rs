//! What a request is called that is about to be sent: a failpoint stands before each. Debug builds
//! only.

use azure_core::http::{Method, Url};

pub(super) fn place(method: Method, url: &Url) -> &'static str {
    let asks =
        |wanted: &str| url.query_pairs().any(|(name, value)| name == "comp" && value == wanted);
    match method {
        Method::Put if asks("block") => "store.part.sending",
        Method::Put if asks("blocklist") => "store.upload.completing",
        Method::Put => "store.object.sending",
        Method::Delete => "store.object.deleting",
        Method::Head => "store.object.looking",
        _ if asks("list") => "store.listing.asking",
        _ => "store.object.reading",
    }
}
