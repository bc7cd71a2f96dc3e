//! A failpoint before and after the effect of every request to a bucket, whoever sends it.
//!
//! One interceptor sees all of them, so that no new request can be forgotten. Debug builds only.

use aws_sdk_s3::config::interceptors::{
    BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// Passes the failpoints.
#[derive(Debug)]
pub(super) struct Failpoints;

impl Intercept for Failpoints {
    fn name(&self) -> &'static str {
        "failpoints"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        failpoint::pass(place(request.method(), request.uri()));
        Ok(())
    }

    /// The store has acted, and nobody here knows yet.
    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        failpoint::pass("store.answered");
        Ok(())
    }
}

/// What a request that is about to be sent is called.
fn place(method: &str, uri: &str) -> &'static str {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let asks = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match method {
        "PUT" if asks("partNumber") => "store.part.sending",
        "PUT" => "store.object.sending",
        "POST" if asks("uploads") => "store.upload.beginning",
        "POST" => "store.upload.completing",
        "DELETE" if asks("uploadId") => "store.upload.aborting",
        "DELETE" => "store.object.deleting",
        "HEAD" => "store.object.looking",
        _ if asks("list-type") => "store.listing.asking",
        _ if asks("uploads") => "store.uploads.asking",
        _ => "store.object.reading",
    }
}
