//! Google's own client, which reads whole objects and checks their CRC-32C.
//!
//! It takes neither a proxy nor a certificate authority of our choosing, and does not tell whether a
//! server kept to the range that was asked for; so it is not used for destinations that set either,
//! nor for ranges. It is made when it is first needed, because that may ask for credentials.
//!
//! Does not: retry or resume; both are done by us, within our limits.

use super::Bucket;
use super::attempts::Refusal;
use super::request::in_time;
use google_cloud_auth::credentials::anonymous;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_storage::client::Storage;
use google_cloud_storage::model_ext::KeyAes256;
use google_cloud_storage::read_object::ReadObjectResponse;
use google_cloud_storage::read_resume_policy::NeverResume;
use tokio::sync::Mutex;

/// The client, with the reading of the credentials that it was made with.
#[derive(Default)]
pub(super) struct Reader(Mutex<Option<(Storage, u64)>>);

impl Bucket {
    /// Whether whole objects may be read by Google's own client.
    pub(super) fn reads_by_sdk(&self) -> bool {
        self.settings.ca_file.is_none() && self.settings.proxy.is_none()
    }

    async fn storage(&self) -> Result<Storage, Refusal> {
        let (credentials, reading) = match self.identity.current().map_err(Refusal::of)? {
            Some(current) => current,
            None => (anonymous::Builder::new().build(), 0),
        };
        let mut kept = self.reader.0.lock().await;
        if let Some((storage, of)) = &*kept
            && *of == reading
        {
            return Ok(storage.clone());
        }
        let built = Storage::builder()
            .with_endpoint(self.base.as_str().trim_end_matches('/'))
            .with_credentials(credentials)
            .with_retry_policy(NeverRetry)
            .with_read_resume_policy(NeverResume)
            .build()
            .await;
        let storage = built.map_err(|e| Refusal::of(super::error::credentials(&e)))?;
        *kept = Some((storage.clone(), reading));
        Ok(storage)
    }

    /// Begins to read a whole object.
    pub(super) async fn open_whole(
        &self,
        verb: &'static str,
        name: &str,
    ) -> Result<ReadObjectResponse, Refusal> {
        let exchange = async {
            let storage = self.storage().await?;
            let bucket = format!("projects/_/buckets/{}", self.settings.bucket);
            let mut request = storage.read_object(bucket, name);
            if let Some(key) = &self.key {
                let key =
                    KeyAes256::new(key.bytes()).map_err(|e| Refusal::passing(e.to_string()))?;
                request = request.set_key(key);
            }
            failpoint::pass("store.object.reading");
            let answer = request.send().await;
            failpoint::pass("store.answered");
            answer.map_err(|e| self.refused_sdk(verb, &e))
        };
        in_time(self.limit(0), exchange).await
    }
}
