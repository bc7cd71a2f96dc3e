//! The one screen: a line for what is well, one for each thing that is not, and at the end what to
//! do next.

use super::{Answer, matrix, subject};
use crate::error::Error;
use contract::{Capability, CheckReport, Finding, Level};
use rustix::termios::tcgetwinsize;
use std::io::IsTerminal;

/// Without a terminal to ask.
const COLUMNS_DEFAULT: usize = 100;
const COLUMNS_MIN: usize = 60;
/// Mark, blank, the name of a part, blank.
const INDENT: usize = 12;

pub(super) fn show(answer: &Answer) -> Result<(), Error> {
    let stdout = std::io::stdout();
    let is_terminal = stdout.is_terminal();
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    let asked = tcgetwinsize(&stdout).ok().map(|size| usize::from(size.ws_col));
    let columns = asked.filter(|n| *n > 0).or(columns).unwrap_or(COLUMNS_DEFAULT);
    let screen = Screen {
        columns: columns.max(COLUMNS_MIN),
        has_colors: is_terminal && !is_dumb && !no_color,
    };
    contract::print(screen.of(answer)).map_err(Error::Output)
}

struct Screen {
    columns: usize,
    has_colors: bool,
}

impl Screen {
    fn of(&self, answer: &Answer) -> String {
        let mut text = String::new();
        for part in &answer.parts {
            let mut name = part.stage.as_str();
            for (level, words) in lines(part) {
                self.line(&mut text, Some(level), name, &words);
                name = "";
            }
        }
        for part in &answer.parts {
            self.capabilities(&mut text, &part.capabilities);
        }
        for (position, words) in answer.would.lines().iter().enumerate() {
            self.line(&mut text, None, if position == 0 { "would" } else { "" }, words);
        }
        match answer.level {
            Level::Ok => text += "all good: lifeboat run\n",
            Level::Warning => text += "good to go: lifeboat run; but see to this:\n",
            Level::Failed => text += "not ready. Mend this, then: lifeboat check\n",
        }
        for (level, step) in &answer.next {
            self.line(&mut text, Some(*level), "next", step);
        }
        text
    }

    /// The matrix, or sentences where it does not fit.
    fn capabilities(&self, text: &mut String, capabilities: &[Capability]) {
        let indent = " ".repeat(INDENT);
        match matrix::table(capabilities, self.columns.saturating_sub(INDENT)) {
            Some(table) => {
                for (position, line) in table.iter().enumerate() {
                    let name =
                        if position == 0 { format!("  {:<10}", "can") } else { indent.clone() };
                    *text += &format!("{name}{}\n", contract::visible(line));
                }
            }
            None => {
                for (position, words) in matrix::sentences(capabilities).iter().enumerate() {
                    self.line(text, None, if position == 0 { "can" } else { "" }, words);
                }
            }
        }
    }

    /// One line, wrapped between words, with its mark.
    fn line(&self, text: &mut String, level: Option<Level>, name: &str, words: &str) {
        let indent = " ".repeat(INDENT);
        let mut rest = format!("{name:<width$}", width = INDENT - 2);
        let mut length = INDENT;
        for (position, word) in contract::visible(words).split_whitespace().enumerate() {
            let width = word.chars().count() + usize::from(position > 0);
            if position > 0 && length + width > self.columns {
                rest += &format!("\n{indent}{word}");
                length = INDENT + width;
                continue;
            }
            if position > 0 {
                rest.push(' ');
            }
            rest += word;
            length += width;
        }
        *text += &format!("{} {}\n", self.mark(level), rest.trim_end());
    }

    fn mark(&self, level: Option<Level>) -> String {
        let (mark, color) = match level {
            None => return " ".to_owned(),
            Some(Level::Ok) => ("✓", "32"),
            Some(Level::Warning) => ("!", "33"),
            Some(Level::Failed) => ("✗", "31"),
        };
        match self.has_colors {
            true => format!("\u{1b}[{color}m{mark}\u{1b}[0m"),
            false => mark.to_owned(),
        }
    }
}

/// What is well about one thing goes into one line, where the first of it stands.
fn lines(part: &CheckReport) -> Vec<(Level, String)> {
    let mut lines: Vec<(Level, String, &str)> = Vec::new();
    for finding in &part.checks {
        let about = finding.about.as_str();
        let is_same = |line: &&mut (Level, String, &str)| line.0 == Level::Ok && line.2 == about;
        match lines.iter_mut().find(is_same).filter(|_| finding.level == Level::Ok) {
            Some((_, words, _)) => *words += &format!("; {}", finding.detail),
            None => lines.push((finding.level, told(part, finding), about)),
        }
    }
    lines.into_iter().map(|(level, words, _)| (level, words)).collect()
}

/// With what it is about, unless the words begin with it, or with the part's own name.
fn told(part: &CheckReport, finding: &Finding) -> String {
    let about = subject(part, finding);
    match about == part.stage || finding.detail.starts_with(about) {
        true => finding.detail.clone(),
        false => format!("{about}: {}", finding.detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_about_one_thing_is_one_line() {
        let mut part = CheckReport::new("replicate");
        part.add(Finding::good("probe", "written, deleted").about("region_a"));
        part.add(Finding::warning("room", "little room", "make room").about("region_a"));
        part.add(Finding::good("clock", "same clock").about("region_a"));
        part.add(Finding::good("probe", "written").about("region_b"));
        let expected = [
            (Level::Ok, "region_a: written, deleted; same clock".to_owned()),
            (Level::Warning, "region_a: little room".to_owned()),
            (Level::Ok, "region_b: written".to_owned()),
        ];
        assert_eq!(lines(&part), expected);
    }

    #[test]
    fn a_long_line_is_wrapped_and_nothing_in_it_acts() {
        let screen = Screen { columns: 60, has_colors: false };
        let mut text = String::new();
        screen.line(&mut text, Some(Level::Failed), "capture", &"word ".repeat(30));
        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.starts_with("✗ capture   word"), "{text}");
        let mut text = String::new();
        screen.line(&mut text, None, "", "a\u{1b}[2Jb");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        let colorful = Screen { columns: 60, has_colors: true };
        assert_eq!(colorful.mark(Some(Level::Ok)), "\u{1b}[32m✓\u{1b}[0m");
    }
}
