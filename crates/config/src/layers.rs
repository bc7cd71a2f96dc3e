//! Loading: the file, then `LIFEBOAT__…` variables over it.
//!
//! The file is parsed by the `toml` crate alone, whose errors carry line and column; figment merges
//! the layers. It is given the parsed table and never the text: its own parser knows an older TOML,
//! and would blame the environment for what it does not know.

use crate::check::{Problem, check};
use crate::{Error, Pipeline};
use contract::brief;
use figment::Figment;
use figment::providers::{Env, Serialized};
use std::io::Read;
use std::path::Path;

/// A configuration is a few kilobytes; more than this is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// What the names of overriding variables begin with. `__` separates the levels.
const ENV_PREFIX: &str = "LIFEBOAT__";

impl Pipeline {
    /// Loads and checks the configuration. Without a file only defaults and variables count.
    ///
    /// # Errors
    /// Every mistake is an [`Error`] that says where it is.
    pub fn load(path: Option<&Path>) -> Result<Pipeline, Error> {
        let env = Env::prefixed(ENV_PREFIX).split("__");
        match path {
            Some(path) => Self::parse(&path.display().to_string(), &read(path)?, env),
            // One stage alone, as a filter: there is no pipeline whose rules could be broken.
            None => Self::merge("defaults", "", env),
        }
    }

    pub(crate) fn parse(name: &str, text: &str, env: Env) -> Result<Pipeline, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let pipeline = Self::merge(name, text, env)?;
        match check(&pipeline) {
            None => Ok(pipeline),
            Some(problem) => Err(located(name, text, problem)),
        }
    }

    fn merge(name: &str, text: &str, env: Env) -> Result<Pipeline, Error> {
        if let Err(e) = toml::from_str::<Pipeline>(text) {
            let origin = e.span().map_or_else(|| name.to_owned(), |s| at(name, text, s.start));
            return Err(wrong(origin, e.message()));
        }
        let table: toml::Table =
            toml::from_str(text).map_err(|e| wrong(name.to_owned(), e.message()))?;
        let figment = Figment::from(Serialized::defaults(table)).merge(env);
        figment.extract().map_err(|e| {
            let key = e.path.iter().map(|p| p.to_uppercase()).collect::<Vec<_>>().join("__");
            wrong(
                format!("environment variable {ENV_PREFIX}{key}"),
                &e.kind.to_string().replace("``", "`"),
            )
        })
    }
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut text = String::new();
    let bytes = file.metadata().map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let bytes_max = FILE_BYTES_MAX;
        return Err(Error::TooLarge { path: path.to_path_buf(), bytes, bytes_max });
    }
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// `FILE:LINE:COLUMN` of a byte offset.
fn at(name: &str, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{name}:{line}:{column}")
}

fn located(name: &str, text: &str, problem: Problem) -> Error {
    let origin = offset_of(text, &problem.key).map_or_else(
        || format!("{name}: {}", brief(&problem.key)),
        |offset| at(name, text, offset),
    );
    let hint = problem.hint.map(|hint| brief(&hint));
    Error::Wrong { origin, problem: brief(&problem.text), hint }
}

/// Where the deepest part of a dotted key that the file has begins.
fn offset_of(text: &str, key: &str) -> Option<usize> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    for part in key.split('.') {
        let (name, value) = table.iter().find(|(name, _)| name.get_ref().as_ref() == part)?;
        found = Some(name.span().start);
        match value.get_ref() {
            toml::de::DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    found
}

/// An error of serde, with a suggestion when a key is unknown.
fn wrong(origin: String, message: &str) -> Error {
    let message = message.trim().replace('\n', " ");
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let hint = match (unknown, quoted.next()) {
        (true, Some(found)) => nearest(found, quoted).map(|key| format!("did you mean {key:?}?")),
        _ => None,
    };
    Error::Wrong { origin, problem: brief(&message), hint: hint.map(|hint| brief(&hint)) }
}

/// The candidate that `found` is most likely a misspelling of.
pub(crate) fn nearest<'a>(
    found: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    const ALIKE_MIN: f64 = 0.75;
    candidates
        .map(|candidate| (strsim::jaro_winkler(found, candidate), candidate))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
