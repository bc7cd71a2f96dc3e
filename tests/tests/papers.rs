//! What every program says of itself to a shell and to `man`: scripts that load and complete,
//! pages that render and name every option.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use lifeboat_tests::run;
use lifeboat_tests::site::{Ran, Site};
use lifeboat_tests::skips::skip;
use std::process::Command;

const STAGES: [&str; 12] = [
    "adopt",
    "capture",
    "verify",
    "compress",
    "encrypt",
    "replicate",
    "prune",
    "fetch",
    "restore",
    "doctor",
    "catalogue",
    "notify",
];

fn is_there(test: &str, tool: &str) -> bool {
    let found = run(Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool])).is_ok();
    if !found {
        skip(test, &format!("there is no {tool}"));
    }
    found
}

/// The long options in a text.
fn options(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let long = words.filter(|w| w.starts_with("--") && w.len() > 2);
    let mut all: Vec<String> = long.map(str::to_owned).collect();
    all.sort();
    all.dedup();
    all
}

#[test]
fn every_program_has_a_man_page_that_names_its_options() {
    let site = Site::without_cluster().unwrap();
    let _ = site.lifeboat(&["man", "pages"]).code(0);
    let mut pages: Vec<String> = std::fs::read_dir(site.path("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for stage in STAGES {
        assert!(pages.contains(&format!("lifeboat-{stage}.8")), "{pages:?}");
    }
    for verb in ["lifeboat", "lifeboat-run", "lifeboat-fetch", "lifeboat-status", "lifeboat-man"] {
        assert!(pages.contains(&format!("{verb}.1")), "{pages:?}");
    }
    let can_render = is_there("man_pages", "groff");
    for page in &pages {
        let roff = std::fs::read_to_string(site.path("pages").join(page)).unwrap();
        assert!(roff.contains(".TH lifeboat") && roff.contains(".SH NAME"), "{page}: {roff}");
        let (name, section) = page.rsplit_once('.').unwrap();
        let help = help_of(&site, name, section);
        let text = if can_render { rendered(&site, page) } else { roff.replace("\\-", "-") };
        let missing: Vec<String> =
            options(&help).into_iter().filter(|option| !text.contains(option.as_str())).collect();
        assert!(missing.is_empty(), "{page} does not tell of {missing:?}\n{text}");
    }
}

/// The help of the program, or of the verb, that a page is about.
fn help_of(site: &Site, name: &str, section: &str) -> String {
    let ran = match (section, name.strip_prefix("lifeboat-")) {
        ("8", _) => site.program(name, &["--help"]),
        (_, None) => site.lifeboat(&["--help"]),
        (_, Some(verb)) => site.lifeboat(&[verb, "--help"]),
    };
    let help = ran.code(0).stdout;
    // What stands below are examples, of other programs too.
    let end = ["\nExamples:", "\nBegin with:"].iter().filter_map(|word| help.find(word)).min();
    help[..end.unwrap_or(help.len())].to_owned()
}

/// Without a word of complaint.
fn rendered(site: &Site, page: &str) -> String {
    // Hyphenation and line breaks would tear options apart.
    let arguments = ["-man", "-Kutf8", "-Tutf8", "-P-cbou", "-rLL=400n", "-rHY=0", "-ww", page];
    let mut groff = Command::new("groff");
    let ran = Ran::of(&groff.args(arguments).current_dir(site.path("pages")).output().unwrap());
    assert_eq!(ran.stderr, "", "{page}");
    ran.code(0).stdout.replace(['\u{2010}', '\u{2212}'], "-")
}

/// What bash would offer after these words.
fn completed(site: &Site, words: &[&str]) -> Vec<String> {
    let script = r#". ./completions.bash
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); last=${!#}
        with=$(complete -p lifeboat | sed -E 's/.*-F ([^ ]+).*/\1/')
        "$with" "$1" "$last" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", script, "bash"]).args(words).current_dir(site.path(""));
    let ran = Ran::of(&bash.output().unwrap()).code(0);
    assert_eq!(ran.stderr, "");
    ran.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_stages_and_their_options() {
    if !is_there("bash_completions", "bash") {
        return;
    }
    let site = Site::without_cluster().unwrap();
    let script = site.lifeboat(&["completions", "bash"]).code(0).stdout;
    site.write("completions.bash", script.as_bytes());
    let _ = run(Command::new("bash").arg("-n").arg(site.path("completions.bash"))).unwrap();
    assert_eq!(completed(&site, &["lifeboat", "stat"]), ["status"]);
    assert_eq!(completed(&site, &["lifeboat", "fetch", "--ra"]), ["--raw"]);
    // Programs of the stages, as verbs and by their own names.
    assert_eq!(completed(&site, &["lifeboat", "capt"]), ["capture"]);
    assert_eq!(completed(&site, &["lifeboat", "capture", "--endp"]), ["--endpoints"]);
    assert_eq!(completed(&site, &["lifeboat", "prune", "--allow"]), ["--allow-large-removal"]);
    for stage in STAGES {
        let registered = format!(" lifeboat-{stage}\n");
        assert!(script.contains(&registered), "{stage} is not completed by its own name");
    }
}

#[test]
fn the_other_shells_have_their_scripts_too() {
    let site = Site::without_cluster().unwrap();
    for shell in ["zsh", "fish"] {
        let script = site.lifeboat(&["completions", shell]).code(0).stdout;
        for word in ["status", "lifeboat-capture", "endpoints", "keygen"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        for stage in STAGES {
            let own = site.program(&format!("lifeboat-{stage}"), &["--generate", shell]).code(0);
            assert!(script.contains(&own.stdout), "{shell}: {stage}");
        }
    }
    let _ = site.lifeboat(&["completions", "csh"]).code(2);
}
