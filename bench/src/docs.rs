//! Tables in a document, between two markers.

use crate::Error;
use std::path::Path;

const BEGIN: &str = "<!-- tables: begin -->\n";
const END: &str = "<!-- tables: end -->";

/// Replaces what stands between the markers of `document`.
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
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{tables}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let text = format!("a\n{BEGIN}old\n{END}\nb\n");
        let new = replaced(&text, "\nnew\n").unwrap();
        assert_eq!(new, format!("a\n{BEGIN}\nnew\n\n{END}\nb\n"));
        assert_eq!(replaced(&new, "\nnew\n").unwrap(), new);
        assert_eq!(replaced("no markers", "new"), None);
    }
}
