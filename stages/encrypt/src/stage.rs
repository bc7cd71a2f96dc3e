//! The stage: what was asked for, and the way out: bytes in, an age file out, then the receipt.

use crate::args::Args;
use crate::error::{Error, Stopped};
use crate::recipients::Recipients;
use crate::{check, decrypt, keygen, signing};
use contract::facts::EncryptFacts;
use contract::{Clock, Exit, Job, Sink, StreamError};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{self, Read, Write};

const TOOL: &str = concat!("lifeboat-encrypt ", env!("CARGO_PKG_VERSION"));
/// Size of the blocks that are read.
const BUFFER_BYTES: usize = 512 << 10;

/// Does what the command line asks for.
pub(crate) fn run(args: &Args) -> Result<Exit, Error> {
    forbid_core_dumps();
    match (&args.keygen, &args.keygen_signing) {
        (Some(path), _) => keygen::identity(path, Clock::system()),
        (None, Some(path)) => keygen::signing_key(path),
        _ if args.check => check::run(args),
        _ if args.decrypt => decrypt::run(args),
        _ => encrypt(args),
    }
}

/// The recipients: from the command line, else from the configuration.
///
/// # Errors
/// When there are none, or one is wrong.
pub(crate) fn recipients(args: &Args) -> Result<Recipients, Error> {
    if !args.recipient.is_empty() || !args.recipients_file.is_empty() {
        return Recipients::read("--recipient", &args.recipient, &args.recipients_file);
    }
    let configured = config::Pipeline::load(args.stage.config.as_deref())?.encrypt;
    let what = "[encrypt] recipient";
    Recipients::read(what, &configured.recipients, &configured.recipients_files)
}

/// Finds the stage's place in the run.
///
/// # Errors
/// As [`Job::open`].
pub(crate) fn open(args: &Args) -> Result<Job, Error> {
    let job = Job::open(args.stage_name(), &args.stage.streams, Clock::system())?;
    Ok(job.of_tool(TOOL.to_owned()))
}

/// The error of a copy into the stage's own output.
pub(crate) fn failed(stopped: Stopped, sink: &Sink) -> Error {
    match stopped {
        Stopped::Read(e) => StreamError::Read(e).into(),
        Stopped::Write(e) => sink.write_error(e).into(),
        Stopped::Failed(e) => e,
    }
}

fn encrypt(args: &Args) -> Result<Exit, Error> {
    let recipients = recipients(args)?;
    let mut facts =
        EncryptFacts { format: "age".into(), recipients: recipients.names(), signature: None };
    if facts.recipients.len() == 1 {
        tracing::warn!(
            recipient = facts.recipients[0],
            "there is only one recipient: if its identity is lost, every backup is; \
             add a second one that is kept offline"
        );
    }
    let encryptor = recipients.encryptor()?;
    let job = open(args)?;
    let key = signing::key_of_run(args.stage.config.as_deref(), job.plan(), job.step())?;
    let mut source = job.input()?;
    let mut sink = job.output()?;
    let result = seal(&mut source, &mut sink, encryptor);
    result.map_err(|stopped| failed(stopped, &sink))?;
    let mut receipts = job.confirm(&source)?;
    receipts.extend(job.receipt(Some(&source), &sink, &facts)?);
    if let (Some(key), Some(plan)) = (key, job.plan()) {
        facts.signature = Some(signing::sign(&key, plan, &receipts)?);
    }
    job.finish(Some(&source), sink, &facts)?;
    Ok(Exit::Ok)
}

/// Encrypts all of `from` into `to`.
///
/// # Errors
/// [`Stopped`] says which end failed.
fn seal(
    from: &mut impl Read,
    to: &mut impl Write,
    encryptor: age::Encryptor,
) -> Result<(), Stopped> {
    let mut sealed = encryptor.wrap_output(to).map_err(Stopped::Write)?;
    let mut block = vec![0; BUFFER_BYTES];
    loop {
        let length = match from.read(&mut block) {
            Ok(0) => break,
            Ok(length) => length,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Stopped::Read(e)),
        };
        sealed.write_all(&block[..length]).map_err(Stopped::Write)?;
    }
    sealed.finish().map(drop).map_err(Stopped::Write)
}

/// A core file would hold keys and snapshot. Where the limit cannot be set there is nothing to
/// be done about it, and the work goes on.
fn forbid_core_dumps() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let _ = setrlimit(Resource::Core, none);
}
