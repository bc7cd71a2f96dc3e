//! Standard output for people and scripts, where it is not the data.

use std::io::{self, Write};

/// Prints a whole answer. A reader that went away (`| head`) has seen enough: that is no error.
///
/// # Errors
/// When standard output cannot be written for any other reason.
pub fn print(text: impl AsRef<[u8]>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
