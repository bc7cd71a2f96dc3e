//! Asked to end: what is under way is broken off in the stores too, as far as a moment allows.

use crate::Halt;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How long uploads may take to be aborted after a signal: less than the 30 seconds that Kubernetes
/// and systemd give.
const GRACE: Duration = Duration::from_secs(15);

/// Does `work`, which hears `halt`. Gives its result; or, when a signal asked for the end, the
/// number of that signal, after `work` has ended or a moment has passed.
///
/// # Errors
/// When signals cannot be listened to.
pub async fn until_stopped<T>(
    halt: &Halt,
    work: impl Future<Output = T>,
) -> std::io::Result<Result<T, u8>> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut work = std::pin::pin!(work);
    let stopped_by = tokio::select! {
        done = &mut work => return Ok(Ok(done)),
        _ = terminate.recv() => SignalKind::terminate(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    };
    halt.stop();
    if tokio::time::timeout(GRACE, work).await.is_err() {
        tracing::warn!("some uploads could not be aborted in time; a later run will");
    }
    Ok(Err(u8::try_from(stopped_by.as_raw_value()).unwrap_or(0)))
}
