//! A death at each failpoint of a program, one run after the other.
//!
//! A first, undisturbed run tells which failpoints the program passes; then there is one run for
//! each that is wanted, in which the program dies there. Counting goes on until a run passes fewer.

use super::world::World;
use crate::objects::random::Random;
use crate::site::Ran;
use std::collections::BTreeSet;

/// More failpoints than any program passes here; beyond that something counts wrongly.
const POINTS_MAX: u64 = 1_000;

/// One death.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The program, without `lifeboat-`.
    pub program: String,
    /// Which failpoint, counted from 1.
    pub number: u64,
}

/// Which failpoints a test wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// Every one, until the program lives to its end.
    All,
    /// The first of every name, and so many others.
    Sample {
        /// How many others.
        others: usize,
        /// From which they are drawn.
        seed: u64,
    },
}

impl World {
    /// Carries out `lifeboat ARGUMENTS` with a trace; gives the failpoints that `program` passed,
    /// in order.
    ///
    /// # Panics
    /// When the run fails.
    #[must_use]
    pub fn points(&mut self, program: &str, arguments: &[&str]) -> Vec<String> {
        let (ran, mut points) = self.traced(program, arguments, None);
        assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
        points.sort_by_key(|(number, _)| *number);
        points.into_iter().map(|(_, place)| place).collect()
    }

    /// Carries out `lifeboat ARGUMENTS`, in which the program dies. None when it lived.
    #[must_use]
    pub fn die(&mut self, death: &Death, arguments: &[&str]) -> (Ran, Option<String>) {
        let (ran, points) = self.traced(&death.program, arguments, Some(death));
        // Threads pass points at the same time: one may be killed before its line is written, so
        // that the lines cannot be counted.
        let place = points.into_iter().find(|(number, _)| *number == death.number);
        (ran, place.map(|(_, place)| place))
    }

    fn traced(
        &mut self,
        program: &str,
        arguments: &[&str],
        death: Option<&Death>,
    ) -> (Ran, Vec<(u64, String)>) {
        let trace = self.site.path("trace");
        // There is none before the first run.
        let _ = std::fs::remove_file(&trace);
        let mut command = self.site.command("lifeboat");
        command.args(arguments).env(failpoint::TRACE, &trace);
        if let Some(Death { program, number }) = death {
            command.env(failpoint::FAIL_AT, format!("{program}:{number}"));
        }
        let output = command.output().unwrap_or_else(|e| panic!("lifeboat: {e}"));
        self.rest();
        let text = std::fs::read_to_string(&trace).unwrap_or_default();
        let own = |line: &str| {
            let mut words = line.split(' ');
            if words.next() != Some(program) {
                return None;
            }
            let number = words.next()?.parse().ok()?;
            Some((number, words.next()?.to_owned()))
        };
        (Ran::of(&output), text.lines().filter_map(own).collect())
    }
}

impl Choice {
    /// The numbers to die at, of `points`; [`Choice::All`] goes on for as long as there are some.
    #[must_use]
    pub fn of(self, points: &[String]) -> Vec<u64> {
        let Choice::Sample { others, seed } = self else { return (1..=POINTS_MAX).collect() };
        let mut names = BTreeSet::new();
        let mut numbers: BTreeSet<u64> = BTreeSet::new();
        for (number, name) in (1..).zip(points) {
            if names.insert(name) {
                numbers.insert(number);
            }
        }
        let mut random = Random::new(seed);
        let more = (0..others).filter_map(|_| random.below(points.len()));
        numbers.extend(more.map(|at| at as u64 + 1).collect::<Vec<_>>());
        numbers.into_iter().collect()
    }
}
