//! The command line of `lifeboat-encrypt`, and its help.

use crate::file::is_secret;
use clap::Parser;
use contract::{Exit, StageArgs};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

const ABOUT: &str = "Encrypts to age recipients, or back.";

const LONG_ABOUT: &str = "\
Encrypts its input to one or more age recipients, each of which can open it alone, or with -d \
decrypts it again.

Recipients are public: age1… (X25519), ssh-ed25519 and ssh-rsa keys, and those of plugins \
(age1NAME1…, with age-plugin-NAME on the PATH). The machine that makes backups needs no secret. \
Give two at least, one of them kept offline: a backup that nobody can open is not a backup. \
Passphrases are not supported as recipients: a pipeline has nobody to type one.

age tells what was changed, not who wrote it: recipients are public. With `[encrypt] signing_key_file` \
this stage signs the manifest of its run, and whoever has `[trust] signers` believes no other \
(exit 22). The key lies with this stage alone, and no store is reached from here.

Decryption takes identity files: of age, of SSH, of plugins, or an age file that a passphrase \
protects. Plain `age -d` opens what this stage wrote.";

const AFTER_HELP: &str = "\
Examples:
  lifeboat-encrypt --keygen backup.key            makes an identity, prints its recipient
  lifeboat-encrypt --keygen-signing signing.pem   makes a signing key, prints its public key
  lifeboat-encrypt -r age1… -r age1… < b.db.zst > b.db.zst.age
  lifeboat-encrypt -R recipients.txt -i b.db.zst -o b.db.zst.age
  lifeboat-encrypt -d --identity backup.key < b.db.zst.age | lifeboat-compress -d -o b.db
  lifeboat-encrypt --check -c pipeline.toml       who can open the next backup?

Decrypted bytes are published only after the last of them was authenticated: an --output file
gets its name then, and for a pipe they wait in a private unlinked file (--scratch). Only within
a run, before a stage that itself waits for the receipt, do they flow at once.

Exit codes: 0 done, 2 usage, 3 recipients, signing key or configuration, 10 the neighbour went
away, 20 the input is damaged or not an age file, 21 no identity opens it, 30 the disk, 60 a newer
format.";

/// What was typed.
#[derive(Debug, Parser)]
#[command(
    name = "lifeboat-encrypt",
    version,
    max_term_width = 100,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_long_help = AFTER_HELP
)]
pub(crate) struct Args {
    /// What every stage has.
    #[command(flatten)]
    pub(crate) stage: StageArgs,

    /// Encrypt to this public recipient; may be given many times. One recipient or file of
    /// recipients here replaces all of `[encrypt]`.
    #[arg(long, short = 'r', value_name = "RECIPIENT", conflicts_with = "decrypt")]
    pub(crate) recipient: Vec<String>,

    /// Encrypt to every recipient in this file: one a line, `#` begins a comment.
    #[arg(long, short = 'R', value_name = "FILE", conflicts_with = "decrypt")]
    pub(crate) recipients_file: Vec<PathBuf>,

    /// Decrypt. In a run this is the stage `decrypt`.
    #[arg(long, short = 'd')]
    pub(crate) decrypt: bool,

    /// Decrypt with the identities in this file; may be given many times. Replaces
    /// `[decrypt] identities_files`.
    #[arg(long, value_name = "FILE", requires = "decrypt")]
    pub(crate) identity: Vec<PathBuf>,

    /// Take the passphrase of protected identities from the first line of this file, instead of
    /// asking on the terminal.
    #[arg(long, value_name = "FILE", env = "LIFEBOAT_PASSPHRASE_FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// Where decrypted bytes wait, unlinked, until the last was authenticated. The run directory
    /// or TMPDIR if not given.
    #[arg(long, value_name = "DIR", requires = "decrypt")]
    pub(crate) scratch: Option<PathBuf>,

    /// Write a new X25519 identity to this new file, private to its owner, and print its public
    /// recipient.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["decrypt", "check", "recipient"])]
    pub(crate) keygen: Option<PathBuf>,

    /// Write a new Ed25519 key that signs manifests to this new file, private to its owner, and print
    /// its public key, for `[trust] signers`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["decrypt", "check", "recipient", "keygen"])]
    pub(crate) keygen_signing: Option<PathBuf>,

    /// Say on standard output, as JSON, whether recipients (with -d: identities) are good; read
    /// nothing.
    #[arg(long)]
    pub(crate) check: bool,
}

impl Args {
    /// The name that the stage has in a plan, in this direction.
    pub(crate) fn stage_name(&self) -> &'static str {
        if self.decrypt { "decrypt" } else { "encrypt" }
    }
}

/// Parses the command line, or says what is wrong with it.
///
/// # Errors
/// The exit code: 0 after help was shown, 2 after a mistake.
pub(crate) fn from_command_line() -> Result<Args, ExitCode> {
    Args::try_parse().map_err(|e| {
        // clap quotes what it cannot place, and that may be a key.
        if e.use_stderr() && std::env::args().any(|arg| is_secret(&arg)) {
            let text: &[u8] = b"error: a secret identity stands on the command line, where others \
                can see it; put it in a file and give --identity FILE\n";
            // Nobody is left to tell when standard error is closed.
            let _ = std::io::stderr().write_all(text);
            return Exit::Usage.into();
        }
        let _ = e.print();
        if e.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() }
    })
}
