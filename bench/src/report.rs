//! Tables and verdicts, made of the results.
//!
//! Tables are Markdown, aligned so that they read well on a terminal too. A verdict is hard when it
//! does not depend on how busy the machine is: a hard one that fails, fails the benchmark.
//!
//! Does not: measure.

use crate::contestants::Contestant;
use crate::destinations;
use crate::download;
use crate::profile::{StageUse, capture_seconds};
use crate::restore;
use crate::results::{Compare, Memory, Results, Setting, SlowLink, Staged};
use crate::statistics::Spread;
use crate::summary::{Metric, Summary};
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
    text += &restore::table(&results.restore);
    if let Some(scene) = &results.destinations {
        text += &destinations::table(scene);
    }
    if let Some(scene) = &results.download {
        text += &download::table(scene);
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
    all.extend(results.slow_link.iter().flat_map(patience));
    all.extend(results.destinations.iter().flat_map(destinations::verdicts));
    all.extend(results.download.iter().map(download::verdict));
    all.extend(results.restore.iter().flat_map(|(mb, scene)| restore::verdicts(*mb, scene)));
    all
}

fn speed(compare: &Compare) -> [Verdict; 2] {
    let wall = |of, reference| compare.summary.multiple(of, reference, Metric::WallSeconds);
    let alone = wall(Contestant::Lifeboat, Contestant::Etcdctl);
    let gzip = wall(Contestant::GzipScript, Contestant::Lifeboat);
    [
        Verdict {
            reached: alone.median <= WALL_RATIO_MAX,
            hard: false,
            text: format!("{} the time of etcdctl alone (at most {WALL_RATIO_MAX})", times(alone)),
        },
        Verdict {
            reached: gzip.median >= GZIP_RATIO_MIN,
            hard: false,
            text: format!("{} as fast as the gzip script (at least {GZIP_RATIO_MIN})", times(gzip)),
        },
    ]
}

fn thrift(mb: usize, memory: &Memory) -> [Verdict; 2] {
    let peak = memory.runs.iter().map(|run| run.measured.peak_rss_bound_bytes).max();
    let peak = peak.unwrap_or_default();
    let plain = memory.runs.iter().map(plaintext_side_bytes).max().unwrap_or_default();
    [
        within_memory(peak, &format!("at {mb} MB")),
        Verdict {
            reached: plain <= SMALL_FILES_BYTES_MAX,
            hard: true,
            text: format!("{} KiB written by stages that see plaintext at {mb} MB", plain >> 10),
        },
    ]
}

fn plaintext_side_bytes(run: &Staged) -> u64 {
    let sees = |stage: &&StageUse| SEE_PLAINTEXT.contains(&stage.stage.as_str());
    run.stages.iter().filter(sees).map(|stage| stage.handed_bytes).sum()
}

fn patience(scene: &SlowLink) -> [Verdict; 2] {
    let held = |run: &Staged| run.measured.held_seconds;
    let [slow, fast] = [&scene.slow, &scene.fast].map(|runs| Spread::of(runs.iter().map(held)));
    let ratio = number(slow.median / fast.median);
    let peak = scene.slow.iter().map(|run| run.measured.peak_rss_bound_bytes).max();
    [
        Verdict {
            reached: slow.median <= fast.median * HELD_RATIO_MAX,
            hard: false,
            text: format!("a slow link holds etcd's transaction {ratio}× as long as a fast one"),
        },
        within_memory(peak.unwrap_or_default(), "with a slow link"),
    ]
}

pub(crate) fn within_memory(peak: u64, when: &str) -> Verdict {
    let (has, may) = (mib(peak), mib(MEMORY_BYTES_MAX));
    Verdict {
        reached: peak <= MEMORY_BYTES_MAX,
        hard: true,
        text: format!("{has} MiB of memory {when} (at most {may})"),
    }
}

pub(crate) fn heading(title: &str, setting: &Setting) -> String {
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

/// A column: its metric, its title, and how many of the metric's units make one of its own.
type Column = (Metric, &'static str, f64);

const COLUMNS: [Column; 7] = [
    (Metric::WallSeconds, "wall, s", 1.0),
    (Metric::CpuSeconds, "CPU, s", 1.0),
    (Metric::EtcdCpuSeconds, "etcd's CPU, s", 1.0),
    (Metric::HeldSeconds, "etcd held, s", 1.0),
    (Metric::PeakRssBytes, "memory, MiB", 1_048_576.0),
    (Metric::WrittenBytes, "written, MB", 1e6),
    (Metric::ElsewhereBytes, "not in a destination, MB", 1e6),
];

fn compare_tables(compare: &Compare) -> String {
    let title = format!("Side by side, {} rounds", compare.rounds);
    let mut text = heading(&title, &compare.setting);
    text += &absolute(&compare.summary).text();
    for reference in [Contestant::Etcdctl, Contestant::GzipScript] {
        text += &format!("\nAs multiples of {}:\n\n", reference.title());
        text += &multiples(&compare.summary, reference).text();
    }
    let runs = compare.runs.iter().filter(|run| run.contestant == Contestant::Lifeboat);
    let stages: Vec<&[StageUse]> = runs.map(|run| &*run.stages).collect();
    text + "\nWhere the time of `lifeboat run` goes (medians):\n\n" + &stage_table(&stages).text()
}

fn absolute(summary: &Summary) -> Table {
    let titles = COLUMNS.iter().map(|(_, title, _)| *title);
    let mut table = Table::new([""].into_iter().chain(titles).map(str::to_owned));
    for (contestant, spreads) in &summary.absolute {
        let cell = |(metric, _, unit): &Column| {
            let of = spreads.get(metric).copied().unwrap_or_default();
            spread(of, |value| number(value / unit))
        };
        table.row([contestant.title().to_owned()].into_iter().chain(COLUMNS.iter().map(cell)));
    }
    table
}

fn multiples(summary: &Summary, reference: Contestant) -> Table {
    let titles = ["", "wall", "CPU", "memory", "written"];
    let mut table = Table::new(titles.map(str::to_owned));
    for of in Contestant::ALL.into_iter().filter(|of| *of != reference) {
        let cells =
            Metric::WITH_RATIOS.map(|metric| times(summary.multiple(of, reference, metric)));
        table.row([of.title().to_owned()].into_iter().chain(cells));
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
            format!("{:.0}", median(|s| s.handed_bytes as f64) / 1024.0),
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
                verify.map(|s| s.handed_bytes).sum()
            })),
        ]);
    }
    let stages: Vec<&[StageUse]> = largest.runs.iter().map(|run| &*run.stages).collect();
    let each = "\nThe stages, on the largest one (medians):\n\n";
    heading(title, &largest.setting) + &table.text() + each + &stage_table(&stages).text()
}

fn link_table(scene: &SlowLink) -> String {
    let rate = scene.bytes_per_second / 1e6;
    let mut table = Table::new(
        [
            "second destination",
            "wall, s",
            "capture, s",
            "etcd held, s",
            "memory, MiB",
            "spooled, MB",
        ]
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
            of(|run| run.measured.peak_rss_bytes as f64 / 1_048_576.0),
            of(|run| run.measured.elsewhere_bytes() as f64 / 1e6),
        ]);
    }
    let title = "A slow destination: one local, one an object store behind a link";
    heading(title, &scene.setting) + &table.text()
}
