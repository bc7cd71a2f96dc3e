//! JSON as Go's `encoding/json` writes it: the bytes are part of the WAL, whose CRCs etcd checks and
//! whose bytes the tests compare.
//!
//! Does not: read JSON.

use std::fmt::Write;

/// A string with its quotes. `<`, `>`, `&` and the two line separators of Unicode are escaped, as in
/// Go.
pub(crate) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // Writing into a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// An array of strings.
pub(crate) fn strings(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| string(text)).collect();
    format!("[{}]", quoted.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(string("a\"b\\c"), r#""a\"b\\c""#);
        assert_eq!(
            string("<&>\u{2028}\u{1}\n\u{7f}ä"),
            "\"\\u003c\\u0026\\u003e\\u2028\\u0001\\n\u{7f}ä\""
        );
        assert_eq!(strings(&["x".to_owned(), "y".to_owned()]), r#"["x","y"]"#);
        let back: String =
            serde_json::from_str(&string("<&>\u{2028}\u{1}\n\t\u{8}\u{c}\"")).unwrap();
        assert_eq!(back, "<&>\u{2028}\u{1}\n\t\u{8}\u{c}\"");
    }
}
