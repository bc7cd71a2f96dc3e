//! Keys of every kind, in a folder that goes away.

use crate::common::{Ended, foreign, program, stage};
use age::secrecy::SecretString;
use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder for keys and files.
pub(crate) struct Keys {
    root: tempfile::TempDir,
}

/// An identity file and its public half.
pub(crate) struct Key {
    pub(crate) file: String,
    pub(crate) recipient: String,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Keys { root: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The path as an argument.
    pub(crate) fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a private file and gives its path as an argument.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::File::options();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(self.path(name))
            .unwrap();
        file.write_all(content.as_ref()).unwrap();
        self.arg(name)
    }

    /// A new X25519 key, made by the program itself.
    pub(crate) fn x25519(&self, name: &str) -> Key {
        let file = self.arg(name);
        let ended = stage(&["--keygen", &file], b"").expect(0);
        let recipient = String::from_utf8(ended.stdout).unwrap().trim_end().to_owned();
        Key { file, recipient }
    }

    /// A new SSH key; nothing if there is no `ssh-keygen`.
    pub(crate) fn ssh(&self, name: &str, kind: &str, passphrase: &str, test: &str) -> Option<Key> {
        let keygen = program("ssh-keygen", test)?;
        let file = self.arg(name);
        let comment = "somebody@example.org";
        let args = ["-q", "-t", kind, "-N", passphrase, "-C", comment, "-f", &file];
        foreign(&keygen, &args, b"");
        let recipient =
            std::fs::read_to_string(format!("{file}.pub")).unwrap().trim_end().to_owned();
        Some(Key { file, recipient })
    }

    /// An identity file that a passphrase protects, as `age -p` makes it.
    pub(crate) fn protected(
        &self,
        name: &str,
        key: &Key,
        passphrase: &str,
        armored: bool,
    ) -> String {
        let content = std::fs::read(&key.file).unwrap();
        self.write(name, seal_with_passphrase(&content, passphrase, armored))
    }

    /// Names of what is in the folder.
    pub(crate) fn names(&self) -> Vec<String> {
        names(self.root.path())
    }
}

/// Names of what is in a folder, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Encrypts to a passphrase, with little work so that tests are quick.
pub(crate) fn seal_with_passphrase(content: &[u8], passphrase: &str, armored: bool) -> Vec<u8> {
    use age::armor::{ArmoredWriter, Format};
    let mut recipient = age::scrypt::Recipient::new(SecretString::from(passphrase));
    recipient.set_work_factor(4);
    let encryptor =
        age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            .unwrap();
    let format = if armored { Format::AsciiArmor } else { Format::Binary };
    let mut sealed = Vec::new();
    let output = ArmoredWriter::wrap_output(&mut sealed, format).unwrap();
    let mut writer = encryptor.wrap_output(output).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().finish().unwrap();
    sealed
}

/// Encrypts to these recipients.
pub(crate) fn encrypt(recipients: &[&str], content: &[u8]) -> Vec<u8> {
    let args: Vec<&str> = recipients.iter().flat_map(|r| ["-r", r]).collect();
    stage(&args, content).expect(0).stdout
}

/// Decrypts with these identity files.
pub(crate) fn decrypt(identities: &[&str], sealed: &[u8]) -> Ended {
    let mut args = vec!["-d"];
    args.extend(identities.iter().flat_map(|file| ["--identity", file]));
    stage(&args, sealed)
}
