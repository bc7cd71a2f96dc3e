//! Counts keys by Kubernetes resource.
//!
//! The API server keeps an object at `/registry/<resource>/…`, and a custom one at
//! `/registry/<group>/<resource>/…`, where the group contains a dot. Names are only seen while the
//! snapshot streams by, so each row carries the number of its resource.

use std::collections::{BTreeMap, HashMap};

use crate::limits::{RESOURCE_GROUPS_MAX, RESOURCE_NAME_BYTES_MAX};

const PREFIX: &[u8] = b"/registry/";

/// Number of a key outside `/registry/`.
const NONE: u16 = 0;
/// Number of a key whose resource is not counted by name.
const OTHER: u16 = 1;
/// Number of the first resource that is counted by name.
const FIRST_NAMED: u16 = 2;

/// What resources beyond the limits are counted as.
const OTHER_NAME: &str = "other";

/// The resources met so far.
#[derive(Debug, Default)]
pub(crate) struct ResourceGroups {
    numbers: HashMap<Box<[u8]>, u16>,
    /// The resource of the key before. Keys of one resource come in rows.
    last: (Box<[u8]>, u16),
}

impl ResourceGroups {
    /// The number of a key's resource.
    pub(crate) fn of(&mut self, key: &[u8]) -> u16 {
        let Some(name) = resource_name(key) else {
            return NONE;
        };
        if *name == *self.last.0 {
            return self.last.1;
        }
        let number = self.number(name);
        self.last = (name.into(), number);
        number
    }

    fn number(&mut self, name: &[u8]) -> u16 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let known = self.numbers.len();
        if known >= RESOURCE_GROUPS_MAX || name.len() > RESOURCE_NAME_BYTES_MAX {
            return OTHER;
        }
        let number = u16::try_from(known).map_or(OTHER, |known| known + FIRST_NAMED);
        self.numbers.insert(name.into(), number);
        number
    }

    /// How many numbers there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.len() + usize::from(FIRST_NAMED)
    }

    /// The counts by name, without those that are 0. `counts` is indexed by number.
    pub(crate) fn name_counts(&self, counts: &[u64]) -> BTreeMap<String, u64> {
        let count = |number: u16| counts.get(usize::from(number)).copied().unwrap_or(0);
        let named = self.numbers.iter();
        let mut by_name: BTreeMap<String, u64> = named
            .map(|(name, number)| (name.escape_ascii().to_string(), count(*number)))
            .filter(|(_, count)| *count > 0)
            .collect();
        if count(OTHER) > 0 {
            *by_name.entry(OTHER_NAME.to_owned()).or_default() += count(OTHER);
        }
        by_name
    }
}

/// The resource in a key: one segment behind the prefix, or two when the first has a dot.
fn resource_name(key: &[u8]) -> Option<&[u8]> {
    let path = key.strip_prefix(PREFIX)?;
    let slash = |from: usize| {
        let rest = path.get(from..)?;
        Some(from + rest.iter().position(|byte| *byte == b'/')?)
    };
    let first_end = slash(0).unwrap_or(path.len());
    let first = path.get(..first_end)?;
    if !first.contains(&b'.') {
        return Some(first);
    }
    path.get(..slash(first_end + 1).unwrap_or(path.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_one_segment_or_two() {
        for (key, name) in [
            ("/registry/pods/default/web-0", Some("pods")),
            ("/registry/namespaces/kube-system", Some("namespaces")),
            ("/registry/example.com/foos/ns/a", Some("example.com/foos")),
            ("/registry/example.com/foos", Some("example.com/foos")),
            ("/registry/example.com", Some("example.com")),
            ("/registry/pods", Some("pods")),
            ("/registry/", Some("")),
            ("/registry", None),
            ("compact_rev_key", None),
            ("", None),
        ] {
            assert_eq!(resource_name(key.as_bytes()), name.map(str::as_bytes), "{key}");
        }
    }

    #[test]
    fn too_many_resources_are_counted_together() {
        let mut groups = ResourceGroups::default();
        let numbers: Vec<u16> =
            (0..2_000).map(|i| groups.of(format!("/registry/r{i}/x").as_bytes())).collect();
        assert_eq!(groups.len(), RESOURCE_GROUPS_MAX + 2);
        let mut counts = vec![0; groups.len()];
        for number in numbers {
            counts[usize::from(number)] += 1;
        }
        let by_name = groups.name_counts(&counts);
        assert_eq!(by_name["other"], 2_000 - RESOURCE_GROUPS_MAX as u64);
        assert_eq!(by_name["r7"], 1);
        assert_eq!(groups.of(b"/registry/r7/y"), groups.of(b"/registry/r7/z"));
    }
}
