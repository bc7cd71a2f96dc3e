//! Whether an XML document came to its end.
//!
//! Readers of the SDKs may take a document that breaks off for one that is done, so that a listing
//! cut by a proxy would be a shorter listing.

/// Whether the last tag is `</root>`, perhaps with a prefix of a namespace.
pub(crate) fn closes(document: &[u8], root: &str) -> bool {
    let end = document.trim_ascii_end();
    let begin = end.iter().rposition(|byte| *byte == b'<').unwrap_or(0);
    let Some(tag) = end[begin..].strip_prefix(b"</").and_then(|tag| tag.strip_suffix(b">")) else {
        return false;
    };
    let tag = tag.trim_ascii_end();
    tag.strip_suffix(root.as_bytes()).is_some_and(|prefix| matches!(prefix, [] | [.., b':']))
}

#[cfg(test)]
mod tests {
    use super::closes;

    #[test]
    fn f34_only_the_end_tag_of_the_root_is_an_end() {
        for whole in ["<A></A>", "<A><B/></A>\r\n", "<x:A></x:A >", "<A>></A>"] {
            assert!(closes(whole.as_bytes(), "A"), "{whole}");
        }
        for cut in ["", "<A>", "<A><B></B>", "<A><B>text", "<A></A", "<A></BA>", "</A>text", "<A/>"]
        {
            assert!(!closes(cut.as_bytes(), "A"), "{cut}");
        }
    }
}
