//! Numbers as people read them.

/// `1.5 MiB`; exact below 1 KiB.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut value = count as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    match unit {
        0 => format!("{count} B"),
        _ => format!("{value:.1} {}", UNITS[unit]),
    }
}

/// `3 days`, `2 hours`, `1 minute`, `5 seconds`: the largest unit that fits.
pub(crate) fn age(seconds: i64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (size, name) =
        units.into_iter().find(|(size, _)| seconds.abs() >= *size).unwrap_or((1, "second"));
    plural(seconds / size, name)
}

/// `copies`, `days`, `keys`: the words used here need no more than this.
pub(crate) fn plural(count: i64, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{count} {stem}ies"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(8 << 30), "8.0 GiB");
        assert_eq!(age(0), "0 seconds");
        assert_eq!(age(61), "1 minute");
        assert_eq!(age(2 * 86_400), "2 days");
        assert_eq!(plural(2, "copy"), "2 copies");
        assert_eq!(plural(2, "live key"), "2 live keys");
    }
}
