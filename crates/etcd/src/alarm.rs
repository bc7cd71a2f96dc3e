//! Alarms, as a member tells them with its status.
//!
//! Each member keeps the list of the whole cluster. The request made for it would go through the
//! raft log, and `etcd_client` has no place for an alarm that is newer than itself.

use crate::connection::hex_id;
use contract::facts::Alarm;

/// Reads one of a status's errors, such as `memberID:10276657743932975437 alarm:NOSPACE `. Later
/// versions vary the spaces. `None` if it tells of no alarm.
#[must_use]
pub fn alarm_of(error: &str) -> Option<Alarm> {
    let value = |key: &str| error.split_once(key)?.1.split_whitespace().next();
    let alarm = value("alarm:")?.to_owned();
    let id = value("memberID:").and_then(|id| id.parse().ok()).unwrap_or(0);
    Some(Alarm { member_id: hex_id(id), alarm })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f19_an_alarm_is_read_from_a_status() {
        let alarm = alarm_of("memberID:10276657743932975437  alarm:NOSPACE ").unwrap();
        assert_eq!(alarm.member_id, "8e9e05c52164694d");
        assert_eq!(alarm.alarm, "NOSPACE");
        assert_eq!(alarm_of("etcdserver: no leader"), None);
    }
}
