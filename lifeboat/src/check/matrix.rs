//! What every destination can do, as a table: a row for each, as wide as it has to be.

use contract::{Capability, Has};

/// The lines of the table; none when it does not fit into so many columns.
pub(super) fn table(capabilities: &[Capability], columns: usize) -> Option<Vec<String>> {
    let rows: Vec<&[Capability]> = capabilities.chunk_by(|a, b| a.about == b.about).collect();
    let first = rows.first()?;
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| length(&word(cell)));
        cells.chain([length(&first[column].name)]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..first.len()).map(width).collect();
    let names = rows.iter().filter_map(|row| row.first()).map(|cell| length(&cell.about)).max()?;
    let line = |name: &str, cells: Vec<String>| {
        let mut line = format!("{name:<names$}");
        for (cell, width) in cells.iter().zip(&widths) {
            line += &format!(" {cell:<width$}");
        }
        line.trim_end().to_owned()
    };
    if names + widths.iter().map(|width| width + 1).sum::<usize>() > columns {
        return None;
    }
    let header = line("", first.iter().map(|cell| cell.name.clone()).collect());
    let body = rows.iter().map(|row| line(&row[0].about, row.iter().map(word).collect()));
    Some([header].into_iter().chain(body).collect())
}

/// The same as a sentence for each destination.
pub(super) fn sentences(capabilities: &[Capability]) -> Vec<String> {
    let sentence = |row: &[Capability]| {
        let cells: Vec<String> =
            row.iter().map(|cell| format!("{} {}", cell.name, word(cell))).collect();
        format!("{}: {}", row[0].about, cells.join(", "))
    };
    capabilities.chunk_by(|a, b| a.about == b.about).map(sentence).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

fn word(cell: &Capability) -> String {
    match (cell.has, &cell.detail) {
        (Has::Yes, Some(detail)) => detail.clone(),
        (Has::Yes, None) => "yes".to_owned(),
        (Has::No, _) => "no".to_owned(),
        (Has::Unknown, _) => "?".to_owned(),
        (Has::Unused, _) => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(about: &str, name: &str, has: Has, detail: Option<&str>) -> Capability {
        let (about, name) = (about.to_owned(), name.to_owned());
        Capability { about, name, has, detail: detail.map(str::to_owned) }
    }

    #[test]
    fn a_table_is_as_wide_as_its_words() {
        let all = [
            cell("a", "create-only", Has::Yes, None),
            cell("a", "lock", Has::Unused, None),
            cell("a", "clock", Has::Yes, Some("+123 s")),
            cell("region_b", "create-only", Has::No, None),
            cell("region_b", "lock", Has::Unknown, None),
            cell("region_b", "clock", Has::Unknown, None),
        ];
        let expected = [
            "         create-only lock clock",
            "a        yes         -    +123 s",
            "region_b no          ?    ?",
        ];
        assert_eq!(table(&all, 32).unwrap(), expected);
        assert_eq!(table(&all, 31), None);
        assert_eq!(table(&[], 100), None);
        assert_eq!(sentences(&all)[1], "region_b: create-only no, lock ?, clock ?");
    }
}
