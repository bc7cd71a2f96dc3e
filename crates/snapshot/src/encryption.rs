//! Which keys of Kubernetes' encryption at rest are in use.
//!
//! The API server begins an encrypted value with `k8s:enc:<provider>:<version>:<key name>:`. Without
//! that provider and that key the value is lost, however well etcd is restored. Each row carries the
//! number of its key, as it does that of its resource.

use std::collections::BTreeMap;

use crate::limits::{ENCRYPTION_NAME_BYTES_MAX, ENCRYPTION_NAMES_MAX};

const PREFIX: &[u8] = b"k8s:enc:";

/// How many numbers there are: one for plain values, one for keys that are not counted by name.
pub(crate) const NUMBERS: usize = ENCRYPTION_NAMES_MAX + 2;

/// Number of a value that is not encrypted.
const NONE: u8 = 0;
/// What keys beyond the limits are counted as, and prefixes that have another form.
const OTHER_NAME: &str = "other";

/// The encryption keys met so far. The number of a key is its place, counted from 1.
#[derive(Debug, Default)]
pub(crate) struct EncryptionNames {
    names: Vec<String>,
}

impl EncryptionNames {
    /// The number of the key that encrypted a value.
    pub(crate) fn of(&mut self, value: &[u8]) -> u8 {
        let Some(rest) = value.strip_prefix(PREFIX) else { return NONE };
        let other = number(ENCRYPTION_NAMES_MAX);
        let Some(name) = name(rest) else { return other };
        if let Some(at) = self.names.iter().position(|known| known == name) {
            return number(at);
        }
        if self.names.len() == ENCRYPTION_NAMES_MAX {
            return other;
        }
        self.names.push(name.to_owned());
        number(self.names.len() - 1)
    }

    /// The counts by name, without those that are 0. `counts` is indexed by number.
    pub(crate) fn name_counts(&self, counts: &[u64]) -> BTreeMap<String, u64> {
        let named = self.names.iter().map(String::as_str).enumerate();
        let all = named.chain([(ENCRYPTION_NAMES_MAX, OTHER_NAME)]);
        let counted = all.filter_map(|(at, name)| {
            let count = counts.get(usize::from(number(at))).copied().unwrap_or(0);
            (count > 0).then(|| (name.to_owned(), count))
        });
        counted.collect()
    }
}

fn number(at: usize) -> u8 {
    u8::try_from(at + 1).unwrap_or(u8::MAX)
}

/// `aescbc:v1:key1` of `aescbc:v1:key1:…`.
fn name(rest: &[u8]) -> Option<&str> {
    let head = rest.get(..rest.len().min(ENCRYPTION_NAME_BYTES_MAX))?;
    let colons = head.iter().enumerate().filter(|(_, byte)| **byte == b':');
    let (end, _) = colons.clone().nth(2)?;
    let name = std::str::from_utf8(head.get(..end)?).ok()?;
    name.bytes().all(|byte| byte.is_ascii_graphic()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_and_key_names_are_told() {
        let mut encryptions = EncryptionNames::default();
        let numbers: Vec<u8> = [
            &b"k8s:enc:aescbc:v1:key1:\x00\xff:"[..],
            b"k8s:enc:kms:v2:vault:x",
            b"k8s\0plain",
            b"k8s:enc:aescbc:v1:key1:other",
            b"k8s:enc:odd",
            b"k8s:enc:aescbc:v1:\x01:",
            b"",
        ]
        .map(|value| encryptions.of(value))
        .to_vec();
        assert_eq!(numbers, [1, 2, 0, 1, 31, 31, 0]);
        let mut counts = vec![0; NUMBERS];
        for number in numbers {
            counts[usize::from(number)] += 1;
        }
        let named = encryptions.name_counts(&counts);
        let expected = [("aescbc:v1:key1", 2), ("kms:v2:vault", 1), ("other", 2)];
        assert_eq!(named, expected.map(|(name, count)| (name.to_owned(), count)).into());
    }

    #[test]
    fn too_many_keys_are_counted_together() {
        let mut encryptions = EncryptionNames::default();
        let of = |i: usize| format!("k8s:enc:aesgcm:v1:k{i}:").into_bytes();
        let numbers: Vec<u8> = (0..40).map(|i| encryptions.of(&of(i))).collect();
        assert_eq!(numbers[29], 30);
        assert!(numbers[30..].iter().all(|number| *number == 31));
    }
}
