//! What people see while a chain runs: a bar for the bytes, a line for each destination that
//! lags, and what the stages have to say. On anything but a terminal only the last.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;

const BAR: &str =
    "{prefix:>10} {bar:32} {bytes:>11} of {total_bytes:<11} {bytes_per_sec:>13} {msg}";
const COUNT: &str = "{prefix:>10} {spinner} {bytes:>11} {bytes_per_sec:>13} {msg}";

/// Draws, or only tells.
pub(crate) struct Drawing {
    human: bool,
    bars: Option<Bars>,
}

struct Bars {
    all: MultiProgress,
    each: RefCell<BTreeMap<String, ProgressBar>>,
}

impl Drawing {
    /// `human` logs for people; `bars` where the terminal can move its cursor.
    pub(crate) fn new(human: bool, bars: bool) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(8);
        let bars = (bars && !target.is_hidden()).then(|| Bars {
            all: MultiProgress::with_draw_target(target),
            each: RefCell::default(),
        });
        Drawing { human, bars }
    }

    /// How far a stage or a destination is.
    pub(super) fn progress(&self, what: &str, bytes: u64, total: u64) {
        let Some(bars) = &self.bars else { return };
        let mut each = bars.each.borrow_mut();
        let bar = each.entry(what.to_owned()).or_insert_with(|| bars.all.add(bar(what, total)));
        bar.set_position(bytes);
    }

    /// Something that a stage said.
    pub(super) fn line(&self, stage: &str, line: &Map<String, Value>) {
        let text = match self.human {
            true => contract::human_line(stage, line),
            false => format!("{}\n", Value::Object(line.clone())),
        };
        match &self.bars {
            Some(bars) => drop(bars.all.println(text.trim_end())),
            // A log that cannot be written is dropped; it must not fail the run.
            None => drop(std::io::stderr().write_all(text.as_bytes())),
        }
    }

    /// Takes the bars away.
    pub(super) fn finish(&self) {
        if let Some(bars) = &self.bars {
            drop(bars.all.clear());
            bars.each.borrow_mut().clear();
        }
    }
}

fn bar(what: &str, total: u64) -> ProgressBar {
    let (bar, template) = match total {
        0 => (ProgressBar::no_length(), COUNT),
        total => (ProgressBar::new(total), BAR),
    };
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(what.to_owned())
}
