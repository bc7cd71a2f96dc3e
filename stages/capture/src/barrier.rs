//! The revision that the snapshot must reach.
//!
//! A linearizable read makes the member that is asked wait until it has applied everything that
//! the cluster had committed when the question arrived. Asked of the very member that then gives
//! the snapshot, it proves two things: every write up to its revision is in the snapshot, and the
//! member is not cut off from the others.

use crate::survey::Sighting;
use etcd::Trouble;

/// Reads the cluster's revision through one member.
///
/// # Errors
/// [`Trouble::NoQuorum`] or a time-out without a leader; [`Trouble::OtherMember`] when a load
/// balancer stands between.
pub(crate) async fn read(sighting: &Sighting) -> Result<i64, Trouble> {
    let (revision, member_id) = sighting.connection.linearizable_revision().await?;
    if member_id == sighting.status.member_id {
        return Ok(revision);
    }
    Err(Trouble::OtherMember { expected: sighting.status.member_id, found: member_id })
}
