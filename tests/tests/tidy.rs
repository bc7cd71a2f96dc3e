//! The rules of the house that no compiler keeps: every file says what it owns, files and
//! functions stay readable, and nothing of one machine gets into the tree.

#![allow(clippy::unwrap_used, reason = "functions that tests share are not seen as tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of one file without its tests. A longer one holds more than one thing.
const FILE_LINES_MAX: usize = 600;
/// Lines of one function: what fits on a screen.
const FUNCTION_LINES_MAX: usize = 70;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file that git knows or would add.
fn files() -> Vec<PathBuf> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(list).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files failed");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| root().join(line)).filter(|path| path.is_file()).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let is_source = |path: &PathBuf| path.extension().is_some_and(|e| e == "rs");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    let all: Vec<_> = files().into_iter().filter(is_source).map(read).collect();
    assert!(all.len() > 50, "the sources were not found");
    all
}

fn is_test(path: &Path) -> bool {
    path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests")
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

#[test]
fn every_file_begins_with_what_it_owns() {
    let begins = |text: &str| text.starts_with("//! ");
    let without = sources().into_iter().filter(|(path, text)| !begins(text) && !is_test(path));
    let problems: Vec<String> =
        without.map(|(path, _)| format!("{} does not begin with //!", path.display())).collect();
    complain(&problems);
}

#[test]
fn files_and_functions_stay_readable() {
    let mut problems = Vec::new();
    for (path, text) in sources() {
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let lines = code.lines().count();
        if lines > FILE_LINES_MAX && !is_test(&path) {
            problems.push(format!("{} has {lines} lines", path.display()));
        }
        for (name, length) in functions(code) {
            if length > FUNCTION_LINES_MAX {
                problems.push(format!("{}: {name} has {length} lines", path.display()));
            }
        }
    }
    complain(&problems);
}

/// Name and length of each function, told by indentation: rustfmt makes that reliable.
fn functions(code: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut open: Vec<(usize, String, usize)> = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start();
        let is_function =
            ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(crate) fn ", "pub(super) fn "]
                .iter()
                .any(|start| words.starts_with(start));
        if is_function && !words.ends_with(';') {
            open.push((indent, words.chars().take(60).collect(), number));
        } else if words.starts_with('}')
            && let Some((_, name, start)) = open.pop_if(|(at, _, _)| *at == indent)
        {
            found.push((name, number - start + 1));
        }
    }
    found
}

/// Put together here, so that this file does not hold them itself.
#[test]
fn nothing_of_one_machine_gets_in() {
    let forbidden =
        [["/work", "/main"].concat(), ["/root", "/."].concat(), ["/home", "/user"].concat()];
    let mut problems = Vec::new();
    for path in files() {
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for word in forbidden.iter().filter(|word| text.contains(*word)) {
            problems.push(format!("{} contains {word}", path.display()));
        }
    }
    complain(&problems);
}

#[test]
fn every_dependency_says_why() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("[workspace.dependencies]").nth(1).unwrap();
    let section = section.split("\n[").next().unwrap();
    let mut explained = false;
    let mut problems = Vec::new();
    for line in section.lines() {
        match line {
            "" => explained = false,
            line if line.starts_with('#') => explained = true,
            line if !explained => problems.push(format!("no reason above: {line}")),
            _ => {}
        }
    }
    complain(&problems);
}

#[test]
fn links_in_the_documents_lead_somewhere() {
    let is_document = |path: &PathBuf| path.extension().is_some_and(|e| e == "md");
    let mut problems = Vec::new();
    for path in files().into_iter().filter(is_document) {
        let text = std::fs::read_to_string(&path).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            let is_local = !target.is_empty() && !target.contains("://");
            if is_local && !path.parent().unwrap().join(target).exists() {
                problems.push(format!("{}: {link} leads nowhere", path.display()));
            }
        }
    }
    complain(&problems);
}

/// Invariants and faults, as docs/guarantees.md and docs/faults.md number them.
const INVARIANTS: usize = 25;
const FAULTS: usize = 60;

/// The ids at the beginning of a test's name, such as `F13` and `F25` of `f13_f25_an_etcd_dies`.
fn ids_of(name: &str) -> Vec<String> {
    let words = name.split('_');
    let is_id = |word: &&str| {
        word.len() == 3
            && word.starts_with(['i', 'f'])
            && word[1..].bytes().all(|byte| byte.is_ascii_digit())
    };
    words.take_while(is_id).map(str::to_uppercase).collect()
}

/// Every function of the tree, by name.
fn all_functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in sources() {
        let after = text.split("fn ").skip(1);
        let name = |rest: &str| {
            rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap().to_owned()
        };
        names.extend(after.map(name));
    }
    names
}

/// The rows of a page: id, and the last column.
fn rows(page: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(root().join("docs").join(page)).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let is_row = cells.len() > 4 && !ids_of(&cells[1].to_lowercase()).is_empty();
        is_row.then(|| (cells[1].to_owned(), cells[cells.len() - 2].to_owned()))
    };
    let found: Vec<_> = text.lines().filter_map(row).collect();
    let map: BTreeMap<String, String> = found.iter().cloned().collect();
    assert_eq!(found.len(), map.len(), "an id stands twice in {page}");
    map
}

fn quoted_tests(cell: &str) -> Vec<&str> {
    let is_test = |word: &&str| !ids_of(word).is_empty();
    cell.split('`').skip(1).step_by(2).filter(is_test).collect()
}

#[test]
fn every_guarantee_and_every_fault_has_its_tests_or_says_what_it_waits_for() {
    let functions = all_functions();
    let tested: BTreeSet<String> = functions.iter().flat_map(|name| ids_of(name)).collect();
    let mut problems = Vec::new();
    let pages = [("guarantees.md", 'I', INVARIANTS), ("faults.md", 'F', FAULTS)];
    for (page, letter, count) in pages {
        let rows = rows(page);
        let expected: BTreeSet<String> = (1..=count).map(|n| format!("{letter}{n:02}")).collect();
        let listed: BTreeSet<String> = rows.keys().cloned().collect();
        for id in expected.symmetric_difference(&listed) {
            problems.push(format!("{page}: {id} is missing, or no id that there is"));
        }
        for (id, cell) in &rows {
            let named = quoted_tests(cell);
            for name in &named {
                if !functions.contains(*name) || !ids_of(name).contains(id) {
                    problems.push(format!("{page}: {id} names {name}, which is no test of it"));
                }
            }
            if named.is_empty() && tested.contains(id) {
                problems.push(format!("{page}: {id} has tests and does not name one"));
            }
            if named.is_empty() && !cell.contains("wait") && cell.len() < 20 {
                problems.push(format!("{page}: {id} has neither a test nor a reason"));
            }
        }
    }
    let known = |id: &String| {
        let (letter, number) = id.split_at(1);
        let number: usize = number.parse().unwrap();
        (1..=if letter == "I" { INVARIANTS } else { FAULTS }).contains(&number)
    };
    let strange = functions.iter().filter(|name| !ids_of(name).iter().all(known));
    problems.extend(strange.map(|name| format!("{name} is of no id that there is")));
    complain(&problems);
}

#[test]
fn the_pages_of_guarantees_and_faults_are_read_as_they_are_meant() {
    assert_eq!(ids_of("f13_i02_a_stream_f14_x"), ["F13", "I02"]);
    assert_eq!(ids_of("fetch_f13"), Vec::<String>::new());
    assert_eq!(quoted_tests("`f01_x`, `read_back` and `i02_y`; waits"), ["f01_x", "i02_y"]);
}
