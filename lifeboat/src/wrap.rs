//! `lifeboat wrap NAME`: a program that is not ours as a step of a run.
//!
//! The program reads standard input and writes standard output; its exit status decides. This
//! counts and hashes both sides and writes the receipt that the program cannot write itself.

use crate::cli::{Common, WrapArgs};
use crate::error::Error;
use contract::facts::ProgramFacts;
use contract::{Clock, Exit, Job, Sink, Source};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

const BLOCK_BYTES: usize = 256 << 10;

pub(crate) fn wrap(common: &Common, args: &WrapArgs) -> Result<Exit, Error> {
    let pipeline = common.pipeline()?;
    let name = &args.name;
    let program = pipeline.programs.get(name).ok_or_else(|| Error::UnknownProgram(name.clone()))?;
    let tool = program.command.first().cloned().unwrap_or_default();
    let job = Job::open(name, &args.streams, Clock::system())?.of_tool(tool);
    let mut source = job.input()?.with_sha256();
    let mut sink = job.output()?;
    let mut child = start(name, &program.command)?;
    pass(name, &mut child, &mut source, &mut sink)?;
    must_succeed(name, child.wait().map_err(|source| start_error(name, source))?)?;
    job.confirm(&source)?;
    must_be_as_promised(name, &program.suffix, &source, &sink)?;
    job.finish(Some(&source), sink, &ProgramFacts { program: program.command.clone() })?;
    Ok(Exit::Ok)
}

fn start(name: &str, command: &[String]) -> Result<Child, Error> {
    Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|source| start_error(name, source))
}

fn start_error(name: &str, source: io::Error) -> Error {
    Error::Start { program: name.to_owned(), source }
}

/// Feeds the program in a thread of its own while its output is taken here: a program may hold
/// back its output until it has read everything, or the other way round.
fn pass(name: &str, child: &mut Child, source: &mut Source, sink: &mut Sink) -> Result<(), Error> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (fed, taken) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(stdin, source));
        let taken = stdout.map_or(Ok(()), |mut out| take(&mut out, sink));
        (feeder.join().unwrap_or_else(|_| Err(io::Error::other("the feeder panicked"))), taken)
    });
    taken.map_err(|e| contract::Error::Stream(sink.write_error(e)))?;
    match fed {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => {
            // If the program failed, its own exit status says more than the broken pipe.
            must_succeed(name, child.wait().map_err(|source| start_error(name, source))?)?;
            Err(Error::NotRead { name: name.to_owned(), bytes: source.bytes_read() })
        }
        Err(e) => Err(contract::Error::Stream(contract::StreamError::Read(e)).into()),
    }
}

fn feed(stdin: Option<ChildStdin>, source: &mut Source) -> io::Result<()> {
    let Some(mut stdin) = stdin else {
        return Ok(());
    };
    take(source, &mut stdin)
}

fn take(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        match from.read(&mut block)? {
            0 => return to.flush(),
            count => to.write_all(&block[..count])?,
        }
    }
}

/// Without a suffix the program promised to change nothing, and the way back relies on it. With
/// one it may do what it likes, but an empty artifact is no backup.
fn must_be_as_promised(
    name: &str,
    suffix: &str,
    source: &Source,
    sink: &Sink,
) -> Result<(), Error> {
    let (read, wrote) = (source.tally(), sink.written().tally());
    let is_same = read == wrote && source.digest() == sink.digest();
    let is_empty = wrote.bytes == 0 && read.bytes > 0;
    if is_empty || (suffix.is_empty() && !is_same) {
        return Err(Error::Changed { name: name.to_owned(), read, wrote });
    }
    Ok(())
}

fn must_succeed(name: &str, status: ExitStatus) -> Result<(), Error> {
    if status.success() {
        return Ok(());
    }
    let (text, code) = match (status.code(), status.signal()) {
        (Some(code), _) => (format!("exit code {code}"), code),
        (None, signal) => (format!("signal {}", signal.unwrap_or_default()), 0),
    };
    // A program that knows our table is taken at its word.
    let exit = Exit::from_code(code).filter(|exit| *exit != Exit::Ok).unwrap_or(Exit::Bug);
    Err(Error::OwnProgram { name: name.to_owned(), status: text, exit })
}
