//! Tables and verdicts, made of the results.
//!
//! Tables are Markdown, aligned so that they read well on a terminal too. A verdict is hard when it
//! does not depend on how busy the machine is: a hard one that fails, fails the benchmark.
//!
//! Does not: measure.

use crate::contestants::Contestant;
use crate::measure::Measured;
use crate::profile::{StageUse, capture_seconds};
use crate::results::{Compare, Memory, Results, Setting, SlowLink, Staged};
use crate::statistics::Spread;
use crate::table::{Table, gb, mb, mib, number, spread, times};
use std::collections::BTreeMap;

/// What the whole tree of processes may have resident.
const MEMORY_BYTES_MAX: u64 = 256 << 20;
/// A run with everything, against `etcdctl snapshot save` alone.
const WALL_RATIO_MAX: f64 = 1.2;
/// The script with gzip against a run with everything.
const GZIP_RATIO_MIN: f64 = 3.0;
/// Receipts and other small files of the stages that see plaintext. A snapshot is far larger.
const SMALL_FILES_BYTES_MAX: u64 = 1 << 20;
/// Those stages, but `verify`, which may spill summaries of pages, and no value.
const SEE_PLAINTEXT: [&str; 3] = ["capture", "compress", "encrypt"];
/// Longer by this much would be the link's fault. Runs differ by less among themselves.
const HELD_RATIO_MAX: f64 = 1.25;

/// Something that was to be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reached: bool,
    pub(crate) hard: bool,
    pub(crate) text: String,
}

/// The tables of all scenes that there are numbers of.
pub(crate) fn tables(results: &Results) -> String {
    let mut text = String::new();
    if let Some(compare) = &results.compare {
        text += &compare_tables(compare);
    }
    if !results.memory.is_empty() {
        text += &memory_table(&results.memory);
    }
    if let Some(scene) = &results.slow_link {
        text += &link_table(scene);
    }
    text
}

/// What was to be reached, and whether it was.
pub(crate) fn verdicts(results: &Results) -> Vec<Verdict> {
    let mut all = Vec::new();
    if let Some(compare) = &results.compare {
        all.extend(speed(compare));
    }
    all.extend(results.memory.iter().flat_map(|(mb, memory)| thrift(*mb, memory)));
    all.extend(results.slow_link.as_ref().map(patience));
    all
}

fn wall(measured: &Measured) -> f64 {
    measured.wall_seconds
}

fn speed(compare: &Compare) -> [Verdict; 2] {
    let ours = compare.values(Contestant::Lifeboat, wall);
    let alone = Spread::of_ratios(&ours, &compare.values(Contestant::Etcdctl, wall));
    let gzip = Spread::of_ratios(&compare.values(Contestant::GzipScript, wall), &ours);
    [
        Verdict {
            reached: alone.median <= WALL_RATIO_MAX,
            hard: false,
            text: format!("{} of etcdctl alone (at most {WALL_RATIO_MAX})", times(alone)),
        },
        Verdict {
            reached: gzip.median >= GZIP_RATIO_MIN,
            hard: false,
            text: format!(
                "{} faster than the gzip script (at least {GZIP_RATIO_MIN})",
                times(gzip)
            ),
        },
    ]
}

fn thrift(mb: usize, memory: &Memory) -> [Verdict; 2] {
    let peak = memory.runs.iter().map(|run| run.measured.peak_rss_bound_bytes).max();
    let peak = peak.unwrap_or_default();
    let plain = memory.runs.iter().map(plaintext_side_bytes).max().unwrap_or_default();
    [
        Verdict {
            reached: peak <= MEMORY_BYTES_MAX,
            hard: true,
            text: format!("{} MiB of memory at {mb} MB (at most 256)", mib(peak)),
        },
        Verdict {
            reached: plain <= SMALL_FILES_BYTES_MAX,
            hard: true,
            text: format!("{} KiB written by stages that see plaintext at {mb} MB", plain >> 10),
        },
    ]
}

fn plaintext_side_bytes(run: &Staged) -> u64 {
    let sees = |stage: &&StageUse| SEE_PLAINTEXT.contains(&stage.stage.as_str());
    run.stages.iter().filter(sees).map(|stage| stage.written_bytes).sum()
}

fn patience(scene: &SlowLink) -> Verdict {
    let held = |run: &Staged| run.measured.held_seconds;
    let [slow, fast] = [&scene.slow, &scene.fast].map(|runs| Spread::of(runs.iter().map(held)));
    let ratio = slow.median / fast.median;
    Verdict {
        reached: ratio <= HELD_RATIO_MAX,
        hard: false,
        text: format!(
            "a slow link holds etcd's transaction {ratio:.2} times as long as a fast one"
        ),
    }
}

fn heading(title: &str, setting: &Setting) -> String {
    format!(
        "\n### {title}\n\nLifeboat {}, etcd {}, database of {} MB ({} records); {} × {}, {} GB of memory, \
         Linux {}; {}.\n\n",
        setting.lifeboat,
        setting.etcd,
        mb(setting.content.database_bytes),
        setting.content.records,
        setting.cores,
        setting.cpu,
        gb(setting.memory_bytes),
        setting.kernel,
        setting.at.strftime("%Y-%m-%d")
    )
}

/// A column of the comparison: its title, its unit turned into text, and its value.
type Column = (&'static str, fn(f64) -> String, fn(&Measured) -> f64);

#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
const COLUMNS: [Column; 7] = [
    ("wall, s", number, wall),
    ("CPU, s", number, |m| m.cpu_seconds),
    ("etcd's CPU, s", number, |m| m.etcd_cpu_seconds),
    ("etcd held, s", number, |m| m.held_seconds),
    ("memory, MiB", |v| format!("{v:.0}"), |m| m.peak_rss_bytes as f64 / 1_048_576.0),
    ("written, MB", |v| format!("{v:.0}"), |m| m.written_bytes as f64 / 1e6),
    ("not in a destination, MB", |v| format!("{v:.0}"), |m| m.elsewhere_bytes() as f64 / 1e6),
];
/// Those of them of which ratios are worth looking at.
const RATIOS: [usize; 4] = [0, 1, 4, 5];

fn compare_tables(compare: &Compare) -> String {
    let title = format!("Side by side, {} rounds", compare.rounds);
    let mut text = heading(&title, &compare.setting);
    text += &absolute(compare).text();
    for reference in [Contestant::Etcdctl, Contestant::GzipScript] {
        text += &format!("\nAs multiples of {}:\n\n", reference.title());
        text += &ratios(compare, reference).text();
    }
    let runs = compare.runs.iter().filter(|run| run.contestant == Contestant::Lifeboat);
    let stages: Vec<&[StageUse]> = runs.map(|run| &*run.stages).collect();
    text + "\nWhere the time of `lifeboat run` goes (medians):\n\n" + &stage_table(&stages).text()
}

fn absolute(compare: &Compare) -> Table {
    let titles = COLUMNS.iter().map(|(title, ..)| (*title).to_owned());
    let mut table = Table::new([String::new()].into_iter().chain(titles));
    for contestant in Contestant::ALL {
        let cell = |(_, unit, value): &Column| {
            spread(Spread::of(compare.values(contestant, *value)), *unit)
        };
        table.row([contestant.title().to_owned()].into_iter().chain(COLUMNS.iter().map(cell)));
    }
    table
}

fn ratios(compare: &Compare, reference: Contestant) -> Table {
    let columns = RATIOS.map(|index| COLUMNS[index]);
    let name = |(title, ..): &Column| title.split(',').next().unwrap_or_default().to_owned();
    let mut table = Table::new([String::new()].into_iter().chain(columns.iter().map(name)));
    for contestant in Contestant::ALL.into_iter().filter(|c| *c != reference) {
        let cell = |(_, _, value): &Column| {
            let references = compare.values(reference, *value);
            times(Spread::of_ratios(&compare.values(contestant, *value), &references))
        };
        table.row([contestant.title().to_owned()].into_iter().chain(columns.iter().map(cell)));
    }
    table
}

fn stage_table(runs: &[&[StageUse]]) -> Table {
    let titles = ["", "wall, s", "CPU, s", "waited for input, s", "for output, s", "memory, MiB"];
    let mut table = Table::new(titles.into_iter().chain(["written, KiB"]).map(str::to_owned));
    let Some(first) = runs.first() else { return table };
    for (index, stage) in first.iter().enumerate() {
        let median = |value: fn(&StageUse) -> f64| {
            Spread::of(runs.iter().filter_map(|stages| stages.get(index)).map(value)).median
        };
        #[expect(clippy::cast_precision_loss, reason = "shown without fractions")]
        table.row([
            stage.stage.clone(),
            number(median(|s| s.wall_seconds)),
            number(median(|s| s.cpu_seconds)),
            number(median(|s| s.waited_input_seconds)),
            number(median(|s| s.waited_output_seconds)),
            format!("{:.0}", median(|s| s.peak_rss_bytes as f64) / 1_048_576.0),
            format!("{:.0}", median(|s| s.written_bytes as f64) / 1024.0),
        ]);
    }
    table
}

fn memory_table(sizes: &BTreeMap<usize, Memory>) -> String {
    let Some(largest) = sizes.values().next_back() else { return String::new() };
    let title = "`lifeboat run` on databases of several sizes (the setting is that of the largest)";
    let titles = [
        "database, MB",
        "wall, s",
        "memory, MiB",
        "never above, MiB",
        "not in a destination, KiB",
        "of these `verify`, KiB",
    ];
    let mut table = Table::new(titles.map(str::to_owned));
    for memory in sizes.values() {
        let most = |value: &dyn Fn(&Staged) -> u64| memory.runs.iter().map(value).max();
        let kib = |bytes: Option<u64>| (bytes.unwrap_or_default() >> 10).to_string();
        let walls = memory.runs.iter().map(|run| run.measured.wall_seconds);
        table.row([
            mb(memory.setting.content.database_bytes),
            spread(Spread::of(walls), number),
            mib(most(&|run| run.measured.peak_rss_bytes).unwrap_or_default()),
            mib(most(&|run| run.measured.peak_rss_bound_bytes).unwrap_or_default()),
            kib(most(&|run| run.measured.elsewhere_bytes())),
            kib(most(&|run| {
                let verify = run.stages.iter().filter(|s| s.stage == "verify");
                verify.map(|s| s.written_bytes).sum()
            })),
        ]);
    }
    heading(title, &largest.setting) + &table.text()
}

fn link_table(scene: &SlowLink) -> String {
    let rate = scene.bytes_per_second / 1e6;
    let mut table = Table::new(
        ["second destination", "wall, s", "capture, s", "etcd held, s", "spooled, MB"]
            .map(str::to_owned),
    );
    let slow = format!("behind {rate} MB/s");
    for (name, runs) in [("not slowed", &scene.fast), (&slow, &scene.slow)] {
        let of = |value: fn(&Staged) -> f64| spread(Spread::of(runs.iter().map(value)), number);
        #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
        table.row([
            name.to_owned(),
            of(|run| run.measured.wall_seconds),
            of(|run| capture_seconds(&run.stages).unwrap_or_default()),
            of(|run| run.measured.held_seconds),
            of(|run| run.measured.elsewhere_bytes() as f64 / 1e6),
        ]);
    }
    let title = "A slow destination: one local, one an object store behind a link";
    heading(title, &scene.setting) + &table.text()
}
