//! The wish to end, heard at every step.

use crate::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::FanoutBreaker;
use tokio::sync::watch;

/// Clones share one wish.
#[derive(Clone)]
pub struct Halt {
    wish: Arc<watch::Sender<bool>>,
    breaker: Arc<Mutex<Option<FanoutBreaker>>>,
}

impl Default for Halt {
    fn default() -> Self {
        Halt { wish: Arc::new(watch::Sender::new(false)), breaker: Arc::default() }
    }
}

impl Halt {
    /// Nothing new is begun; what is under way is broken off, and its uploads are aborted.
    pub fn stop(&self) {
        self.wish.send_replace(true);
        if let Some(breaker) = &*self.breaker.lock().unwrap_or_else(PoisonError::into_inner) {
            breaker.break_off();
        }
    }

    /// The same after so long, whatever is under way then. Only within a runtime.
    pub fn stop_after(&self, limit: Duration) {
        let halt = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(limit).await;
            tracing::warn!("{} s have passed: what is under way is given up", limit.as_secs());
            halt.stop();
        });
    }

    /// Whether somebody asked for it.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.wish.borrow()
    }

    /// The copy that is under way from now on.
    pub(crate) fn watch(&self, breaker: FanoutBreaker) {
        let mut current = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_stopped() {
            breaker.break_off();
        }
        *current = Some(breaker);
    }

    /// Does what can be dropped at any moment, a read for example, unless that is not wanted any
    /// more.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        let mut wish = self.wish.subscribe();
        tokio::select! {
            biased;
            // The sending half is held here.
            _ = wish.wait_for(|wished| *wished) => Err(Error::Stopped),
            done = work => Ok(done),
        }
    }
}
