//! Tables in a document, between two markers.

use crate::Error;
use std::path::Path;

const BEGIN: &str = "<!-- tables: begin -->\n";
const END: &str = "<!-- tables: end -->";

/// Replaces the tables between the markers of `document`; those of scenes that were not measured here
/// stay as they are.
pub(crate) fn update(document: &Path, tables: &str) -> Result<(), Error> {
    let text = std::fs::read_to_string(document).map_err(Error::io("read", document))?;
    let text = replaced(&text, tables).ok_or_else(|| Error::Unreadable {
        path: document.to_path_buf(),
        why: format!("it lacks the markers {} and {END}", BEGIN.trim_end()),
    })?;
    Ok(durable::replace(document, text.as_bytes())?)
}

fn replaced(text: &str, tables: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (old, after) = rest.split_once(END)?;
    let mut merged: Vec<&str> = sections(old);
    for new in sections(tables) {
        match merged.iter_mut().find(|old| title(old) == title(new)) {
            Some(old) => *old = new,
            None => merged.push(new),
        }
    }
    Some(format!("{before}{BEGIN}\n{}\n\n{END}{after}", merged.join("\n\n")))
}

/// Each with its heading.
fn sections(tables: &str) -> Vec<&str> {
    let begins = tables.match_indices("### ").filter(|(at, _)| tables[..*at].ends_with('\n'));
    let begins: Vec<usize> = begins.map(|(at, _)| at).collect();
    let ends = begins.iter().skip(1).copied().chain([tables.len()]);
    begins.iter().zip(ends).map(|(begin, end)| tables[*begin..end].trim_end()).collect()
}

/// The heading without what depends on the settings, such as the number of rounds.
fn title(section: &str) -> &str {
    let line = section.lines().next().unwrap_or_default();
    line.split([',', '(']).next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_is_replaced_and_everything_else_stays() {
        let text = format!("a\n{BEGIN}\n### One, 3 rounds\n\nold\n\n### Two\n\nkept\n\n{END}\nb\n");
        let measured = "\n### One, 5 rounds\n\nnew\n\n### Three\n\nadded\n";
        let new = replaced(&text, measured).unwrap();
        let expected = format!(
            "a\n{BEGIN}\n### One, 5 rounds\n\nnew\n\n### Two\n\nkept\n\n### Three\n\nadded\n\n{END}\nb\n"
        );
        assert_eq!(new, expected);
        assert_eq!(replaced(&new, measured).unwrap(), new);
        assert_eq!(replaced("no markers", "new"), None);
    }
}
