//! The `.snap` file: raft's snapshot, which etcd up to 3.7 wants beside the database.
//!
//! `snappb.snapshot` {1 CRC-32C of 2, 2 data}; data is `raftpb.Snapshot` {1 store, 2 metadata {1
//! conf_state, 2 index, 3 term}}. The store is JSON of etcd's version 2 tree; of that, only the
//! members' peer URLs are read (by 3.4 and 3.5), so only they are written. It is the same for all
//! members.
//!
//! Does not: write the tree in full, as `etcdutl` does.

use serde_json::Value;

use crate::json;
use crate::membership::Membership;
use crate::protobuf::{Reader, put_bytes, put_number};
use crate::wal::{TERM, conf_state, read_voters};

/// Longest `.snap` file that is read, in bytes: 64 members take some 30 KiB.
pub const SNAP_BYTES_MAX: u64 = 1 << 20;

const NO_TIME: &str = "0001-01-01T00:00:00Z";

/// Name and content of the `.snap` file. It belongs into `member/snap`.
#[must_use]
pub fn snap_file(membership: &Membership) -> (String, Vec<u8>) {
    let index = membership.last_index();
    let mut metadata = Vec::new();
    put_bytes(&mut metadata, 1, &conf_state(membership));
    put_number(&mut metadata, 2, index);
    put_number(&mut metadata, 3, TERM);
    let mut data = Vec::new();
    put_bytes(&mut data, 1, store(membership).as_bytes());
    put_bytes(&mut data, 2, &metadata);
    let mut file = Vec::new();
    put_number(&mut file, 1, u64::from(crc32c::crc32c(&data)));
    put_bytes(&mut file, 2, &data);
    (snap_file_name(membership), file)
}

/// Its name: term and index.
pub(crate) fn snap_file_name(membership: &Membership) -> String {
    format!("{TERM:016x}-{:016x}.snap", membership.last_index())
}

fn store(membership: &Membership) -> String {
    let members: Vec<String> = (1..)
        .zip(membership.members())
        .map(|(index, member)| {
            let path = format!("/0/members/{}", member.id_hex());
            let value = format!("{{\"peerURLs\":{}}}", json::strings(&member.peer_urls));
            let attributes = node(&format!("{path}/raftAttributes"), index, &value, None);
            let children = format!("\"raftAttributes\":{attributes}");
            format!("\"{}\":{}", member.id_hex(), node(&path, index, "", Some(&children)))
        })
        .collect();
    let members = node("/0/members", 1, "", Some(&members.join(",")));
    let zero = node("/0", 0, "", Some(&format!("\"members\":{members}")));
    let one = node("/1", 0, "", Some(""));
    let root = node("/", 0, "", Some(&format!("\"0\":{zero},\"1\":{one}")));
    let index = membership.last_index();
    format!("{{\"Root\":{root},\"CurrentIndex\":{index},\"CurrentVersion\":2}}")
}

/// A node of the tree. `children` are those of a directory; a value has none.
fn node(path: &str, index: u64, value: &str, children: Option<&str>) -> String {
    let (path, value) = (json::string(path), json::string(value));
    let children = children.map_or("null".to_owned(), |children| format!("{{{children}}}"));
    format!(
        "{{\"Path\":{path},\"CreatedIndex\":{index},\"ModifiedIndex\":{index},\
         \"ExpireTime\":\"{NO_TIME}\",\"Value\":{value},\"Children\":{children}}}"
    )
}

/// What is wrong with a `.snap` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapProblem {
    /// Not the message that it has to be.
    #[error("it does not decode")]
    Undecodable,
    /// The CRC is not that of the data.
    #[error("its CRC is {found:08x}, expected {expected:08x}")]
    Crc {
        /// That of the data.
        expected: u32,
        /// That in the file.
        found: u32,
    },
    /// Another index or term than that of the log.
    #[error("it is not the snapshot that the log names")]
    Position,
    /// Other voters than the members.
    #[error("its voters are not the members")]
    Voters,
    /// The tree has other members, or they have other peer URLs.
    #[error("the members in its tree are not those of the cluster")]
    Members,
    /// Right in meaning, but not the bytes that were written.
    #[error("its bytes are not those that were written")]
    Bytes,
}

/// Checks a `.snap` file.
pub(crate) fn check(file: &[u8], membership: &Membership) -> Result<(), SnapProblem> {
    let (found, data) = read_outer(file).ok_or(SnapProblem::Undecodable)?;
    let expected = crc32c::crc32c(data);
    if expected != found {
        return Err(SnapProblem::Crc { expected, found });
    }
    let (store, voters, index, term) = read_inner(data).ok_or(SnapProblem::Undecodable)?;
    if (index, term) != (membership.last_index(), TERM) {
        return Err(SnapProblem::Position);
    }
    if !voters.iter().eq(membership.members().iter().map(|member| &member.id)) {
        return Err(SnapProblem::Voters);
    }
    let store: Value = serde_json::from_slice(store).map_err(|_| SnapProblem::Undecodable)?;
    if !has_members(&store, membership) {
        return Err(SnapProblem::Members);
    }
    if file == snap_file(membership).1 { Ok(()) } else { Err(SnapProblem::Bytes) }
}

fn read_outer(file: &[u8]) -> Option<(u32, &[u8])> {
    let mut reader = Reader::new(file);
    let crc = u32::try_from(reader.number(1)?).ok()?;
    let data = reader.bytes(2)?;
    reader.is_at_end().then_some((crc, data))
}

fn read_inner(data: &[u8]) -> Option<(&[u8], Vec<u64>, u64, u64)> {
    let mut reader = Reader::new(data);
    let store = reader.bytes(1)?;
    let mut metadata = Reader::new(reader.bytes(2)?);
    let voters = read_voters(metadata.bytes(1)?)?;
    let (index, term) = (metadata.number(2)?, metadata.number(3)?);
    (reader.is_at_end() && metadata.is_at_end()).then_some((store, voters, index, term))
}

fn has_members(store: &Value, membership: &Membership) -> bool {
    let listed = store.pointer("/Root/Children/0/Children/members/Children");
    let Some(listed) = listed.and_then(Value::as_object) else { return false };
    let has = |id: &str, urls: &[String]| {
        let attributes = listed.get(id)?.pointer("/Children/raftAttributes/Value")?.as_str()?;
        let attributes: Value = serde_json::from_str(attributes).ok()?;
        let found = attributes.get("peerURLs")?.as_array()?;
        Some(found.iter().map(Value::as_str).eq(urls.iter().map(|url| Some(url.as_str()))))
    };
    listed.len() == membership.members().len()
        && membership.members().iter().all(|m| has(&m.id_hex(), &m.peer_urls) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Membership {
        Membership::parse("a=http://h:1,b=http://h:2,b=http://h:3,c<=http://h:4", "t").unwrap()
    }

    #[test]
    fn what_is_written_passes() {
        let (name, file) = snap_file(&three());
        assert_eq!(name, "0000000000000001-0000000000000003.snap");
        check(&file, &three()).unwrap();
        let other = Membership::parse("a=http://h:1,b=http://h:2,c=http://h:4", "t").unwrap();
        assert!(check(&file, &other).is_err());
    }

    #[test]
    fn f56_a_flipped_bit_anywhere_is_found() {
        let (_, file) = snap_file(&three());
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                assert!(check(&damaged, &three()).is_err(), "byte {at}, bit {bit}");
            }
        }
        for length in 0..file.len() {
            assert!(check(&file[..length], &three()).is_err(), "cut at {length}");
        }
        assert!(check(&[&file[..], b"\0"].concat(), &three()).is_err());
    }

    #[test]
    fn a_resealed_lie_is_found() {
        let (_, file) = snap_file(&three());
        let (_, data) = read_outer(&file).unwrap();
        let lie = |from: &[u8], to: &[u8]| {
            let at = data.windows(from.len()).position(|window| window == from).unwrap();
            let mut data = data.to_vec();
            data[at..at + to.len()].copy_from_slice(to);
            let mut file = Vec::new();
            put_number(&mut file, 1, u64::from(crc32c::crc32c(&data)));
            put_bytes(&mut file, 2, &data);
            check(&file, &three()).unwrap_err()
        };
        assert_eq!(lie(b"http://h:2", b"http://h:9"), SnapProblem::Members);
        let voters = conf_state(&three());
        let mut others = voters.clone();
        others[1] ^= 1;
        assert_eq!(lie(&voters, &others), SnapProblem::Voters);
        let mut flipped = file.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert!(matches!(check(&flipped, &three()), Err(SnapProblem::Crc { .. })));
        assert_eq!(lie(b"\x10\x03\x18\x01", b"\x10\x02\x18\x01"), SnapProblem::Position);
        assert_eq!(lie(b"\"CurrentVersion\":2", b"\"CurrentVersion\":3"), SnapProblem::Bytes);
    }
}
