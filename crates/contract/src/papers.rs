//! Shell completions and man pages, made from the command line that a program really has.
//!
//! Owns: the hidden `PROGRAM --generate KIND` that every program of ours answers, so that
//! `lifeboat` can gather the papers of all of them without linking any. The answer is text on
//! standard output; nothing else is read or touched.
//!
//! Does not: decide where the papers go (`lifeboat completions` and `lifeboat man` do).

use clap::{Command, CommandFactory};
use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

/// The hidden option.
pub const GENERATE: &str = "--generate";
/// The programs of the stages are machinery for administrators.
pub const SECTION_OF_STAGES: &str = "8";

/// What can be made of a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

impl Shell {
    /// The word for it on a command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }

    /// The completion script of a command.
    #[must_use]
    pub fn script(self, mut command: Command) -> Vec<u8> {
        let name = command.get_name().to_owned();
        let shell = match self {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        };
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut command, name, &mut text);
        text
    }
}

/// The man page of a command, in roff.
///
/// # Errors
/// Never in practice: the page is made in memory.
pub fn man_page(command: Command, section: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).section(section).render(&mut text)?;
    Ok(text)
}

/// Answers `PROGRAM --generate man|bash|zsh|fish` if just that was typed; otherwise the command
/// line is an ordinary one.
#[must_use]
pub fn generated<C: CommandFactory>() -> Option<ExitCode> {
    let text = paper::<C>(&std::env::args_os().skip(1).collect::<Vec<_>>())?;
    let printed = text.and_then(crate::print);
    Some(if printed.is_ok() { ExitCode::SUCCESS } else { crate::Exit::LocalDisk.into() })
}

fn paper<C: CommandFactory>(words: &[OsString]) -> Option<io::Result<Vec<u8>>> {
    let [option, kind] = words else { return None };
    if option != GENERATE {
        return None;
    }
    let kind = kind.to_str()?;
    if kind == "man" {
        return Some(man_page(C::command(), SECTION_OF_STAGES));
    }
    let shells = [Shell::Bash, Shell::Zsh, Shell::Fish];
    shells
        .into_iter()
        .find(|shell| shell.word() == kind)
        .map(|shell| Ok(shell.script(C::command())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    #[command(name = "lifeboat-sample", about = "A sample.")]
    struct Sample {
        /// A flag of its own.
        #[arg(long)]
        flagged: bool,
    }

    fn asked(words: &[&str]) -> Option<String> {
        let words: Vec<OsString> = words.iter().map(Into::into).collect();
        paper::<Sample>(&words).map(|text| String::from_utf8(text.unwrap()).unwrap())
    }

    #[test]
    fn every_kind_tells_of_the_options() {
        for kind in ["man", "bash", "zsh", "fish"] {
            let text = asked(&[GENERATE, kind]).unwrap();
            assert!(text.contains("flagged"), "{kind}: {text}");
        }
        assert!(asked(&[GENERATE, "man"]).unwrap().contains(".TH lifeboat-sample 8"));
    }

    #[test]
    fn anything_else_is_an_ordinary_command_line() {
        for words in [&[][..], &["--flagged"], &[GENERATE], &[GENERATE, "csh"], &["man", GENERATE]]
        {
            assert_eq!(asked(words), None, "{words:?}");
        }
    }
}
