//! The HTTP client under the SDK: where every request leaves and every answer arrives.
//!
//! Owns what is true of all of them: the store's clock hears each answer, failpoints stand before
//! and after, and an error never holds an address, because its query may hold a signature.

use super::error::Trouble;
use crate::clock::StoreClock;
use crate::error::causes;
use crate::{Endpoint, ErrorKind};
use azure_core::http::headers::HeaderName;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use futures::TryStreamExt as _;

const DATE: HeaderName = HeaderName::from_static("date");
const AGE: HeaderName = HeaderName::from_static("age");

/// One destination's client.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) client: reqwest::Client,
    pub(super) clock: StoreClock,
    pub(super) proxy: Option<Endpoint>,
}

#[async_trait::async_trait]
impl HttpClient for Wire {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        #[cfg(debug_assertions)]
        failpoint::pass(super::failpoints::place(request.method(), request.url()));
        let answer = self
            .client
            .execute_request(request)
            .await
            .map_err(|e| trouble(&e, self.proxy.as_ref()))?;
        // The store has acted, and nobody here knows yet.
        #[cfg(debug_assertions)]
        failpoint::pass("store.answered");
        let headers = answer.headers();
        self.clock.hear(headers.get_optional_str(&DATE), headers.get_optional_str(&AGE));
        let (status, headers, body) = answer.deconstruct();
        let body = body.map_err(|e| trouble(&e, None));
        Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
    }
}

/// What happened, without the address at which it did: the client's own words name it, those of
/// what lies beneath do not.
fn trouble(e: &azure_core::Error, proxy: Option<&Endpoint>) -> azure_core::Error {
    let http = causes(e).find_map(|cause| cause.downcast_ref::<reqwest::Error>());
    let explained = http.filter(|http| std::error::Error::source(http).is_some());
    let trouble = match explained.map(|http| crate::http::failure(http, proxy)) {
        Some(ErrorKind::Config { said, hint }) => Trouble::Config { said, hint },
        Some(kind) => Trouble::Wire(kind.to_string()),
        None => Trouble::Wire("the exchange broke off".to_owned()),
    };
    trouble.into_sdk()
}
