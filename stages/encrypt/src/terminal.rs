//! Asking the person at the terminal.
//!
//! Somebody is asked only if standard error is a terminal: a job's log is nobody to ask. The
//! question and the answer go through `/dev/tty`, because standard input carries the artifact.

use age::Callbacks;
use age::secrecy::SecretString;
use age::secrecy::zeroize::Zeroizing;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};

/// No passphrase is longer.
const LINE_BYTES_MAX: u64 = 4096;

/// Asks for a secret, without showing it; nothing if there is nobody to ask.
pub(crate) fn ask_secret(question: &str) -> Option<SecretString> {
    let terminal = open()?;
    let before = tcgetattr(&terminal).ok()?;
    let quiet = Quiet { terminal: &terminal, before: before.clone() };
    let mut silent = before;
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent).ok()?;
    let answer = ask_on(&terminal, question);
    drop(quiet);
    // The end of the line was not echoed either.
    let _ = (&terminal).write_all(b"\n");
    let answer = answer.ok().filter(|text| !text.is_empty())?;
    Some(SecretString::from(answer.as_str()))
}

/// Asks for something that may be seen.
fn ask(question: &str) -> Option<String> {
    let answer = ask_on(&open()?, question).ok()?;
    (!answer.is_empty()).then(|| answer.to_string())
}

fn open() -> Option<File> {
    if !io::stderr().is_terminal() {
        return None;
    }
    File::options().read(true).write(true).open("/dev/tty").ok()
}

fn ask_on(mut terminal: &File, question: &str) -> io::Result<Zeroizing<String>> {
    write!(terminal, "{question}: ")?;
    let mut line = Zeroizing::new(String::with_capacity(4096));
    BufReader::new(terminal).take(LINE_BYTES_MAX).read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

/// Makes the terminal show again what is typed, however the question ended.
struct Quiet<'a> {
    terminal: &'a File,
    before: Termios,
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// What plugins may ask for. They never get the passphrase file: it is for identity files, and
/// a wrong PIN locks a hardware key after a few tries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prompts;

impl Callbacks for Prompts {
    fn display_message(&self, message: &str) {
        tracing::info!("{message}");
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let no = no.unwrap_or("no");
        let answer = ask(&format!("{message} (y = {yes}, n = {no})"))?;
        match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" => Some(true),
            "n" | "no" => Some(false),
            _ => None,
        }
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        ask(description)
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        ask_secret(description)
    }
}
