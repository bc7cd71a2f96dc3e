//! Markdown tables with aligned columns, and numbers as they stand in them.

use crate::statistics::Spread;
use std::fmt::Write;

/// Rows of text; the first one is the heading.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(titles: impl IntoIterator<Item = String>) -> Self {
        Table { rows: vec![titles.into_iter().collect()] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The first column is of words, to the left; the others are of numbers, to the right.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default().max(3)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // Writing to a string cannot fail.
                let _ = match column {
                    0 => write!(text, "| {cell:<width$} "),
                    _ => write!(text, "| {cell:>width$} "),
                };
            }
            text.push_str("|\n");
            if number == 0 {
                text.push_str(&rule(&widths));
            }
        }
        text
    }
}

fn rule(widths: &[usize]) -> String {
    let dashes = |(column, width): (usize, &usize)| match column {
        0 => format!("|{}", "-".repeat(width + 2)),
        _ => format!("|{}:", "-".repeat(width + 1)),
    };
    widths.iter().enumerate().map(dashes).collect::<String>() + "|\n"
}

/// Three digits, so that small numbers and large ones say alike much.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `median (min–max)`; without the range when it is a point.
pub(crate) fn spread(of: Spread, unit: impl Fn(f64) -> String) -> String {
    let [median, min, max] = [of.median, of.min, of.max].map(unit);
    if min == max { median } else { format!("{median} ({min}–{max})") }
}

/// A quotient with its range.
pub(crate) fn times(of: Spread) -> String {
    spread(of, |value| format!("{}×", number(value)))
}

/// Bytes in MB, as disks are sold.
pub(crate) fn mb(bytes: u64) -> String {
    (bytes / 1_000_000).to_string()
}

/// Bytes in GB, rounded.
pub(crate) fn gb(bytes: u64) -> String {
    ((bytes + 500_000_000) / 1_000_000_000).to_string()
}

/// Bytes in MiB, as memory is, rounded up.
pub(crate) fn mib(bytes: u64) -> String {
    bytes.div_ceil(1 << 20).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(["", "s"].map(str::to_owned));
        table.row(["a×".to_owned(), "1.25".to_owned()]);
        assert_eq!(table.text(), "|     |    s |\n|-----|-----:|\n| a×  | 1.25 |\n");
    }

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!([0.126, 12.34, 123.4].map(number), ["0.13", "12.3", "123"]);
        let of = Spread { median: 1.0, min: 0.96, max: 1.204 };
        assert_eq!(times(of), "1.00× (0.96×–1.20×)");
        assert_eq!(spread(Spread { median: 1.0, min: 1.0, max: 1.0 }, number), "1.00");
    }
}
