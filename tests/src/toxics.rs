//! A small TCP proxy between a program of ours and a server, which can spoil the line.
//!
//! Invariants: it listens on 127.0.0.1 only; every connection is counted until both of its ends
//! are closed, so that a test can wait until a server has nothing left to do; when the handle is
//! dropped nobody is let in any more and every connection is closed.
//! Does not: understand what it carries; `fault_front` does, and stands behind one of these.

use crate::Error;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const BLOCK_BYTES: usize = 64 << 10;
/// How long a black hole sleeps before it looks whether it is still one.
const NAP: Duration = Duration::from_millis(10);

/// What the line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Everything passes.
    Sound,
    /// Every block takes so long.
    Slow {
        /// In milliseconds.
        each_ms: u64,
    },
    /// So much passes, in both directions together.
    Narrow {
        /// Bytes per second, at least 1.
        bytes_per_second: u64,
    },
    /// After so many bytes, counted over all connections, each connection is closed, and new ones
    /// too; whoever was still sending sees it reset.
    Cut {
        /// In both directions together.
        after_bytes: u64,
    },
    /// After so many bytes nothing arrives any more, and nobody is told.
    BlackHole {
        /// In both directions together.
        after_bytes: u64,
    },
}

/// The proxy.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    target: SocketAddr,
    line: Mutex<Line>,
    /// Bytes carried since the line was last set.
    carried: AtomicU64,
    open: AtomicUsize,
    closing: AtomicBool,
    /// When the next block may pass a narrow line.
    free_at: Mutex<Option<Instant>>,
}

impl Proxy {
    /// A sound line to `target`, such as `http://127.0.0.1:2379`.
    ///
    /// # Errors
    /// [`Error::Io`] when no port is free.
    pub fn to(target: &str) -> Result<Self, Error> {
        let address = target.rsplit("//").next().unwrap_or(target);
        let failed = |source| Error::io("make a proxy to", Path::new(target))(source);
        let target =
            address.parse().map_err(|_| failed(std::io::ErrorKind::InvalidInput.into()))?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let shared = Arc::new(Shared {
            target,
            line: Mutex::new(Line::Sound),
            carried: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
            free_at: Mutex::default(),
        });
        let serving = shared.clone();
        std::thread::spawn(move || serving.serve(&listener));
        Ok(Proxy { port, shared })
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on the line is like this; its count of bytes begins anew.
    pub fn set(&self, line: Line) {
        self.shared.carried.store(0, Ordering::SeqCst);
        *self.shared.free_at.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.shared.line.lock().unwrap_or_else(PoisonError::into_inner) = line;
    }

    /// Whether no connection is open.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.shared.open.load(Ordering::SeqCst) == 0
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for the next connection.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Shared {
    fn serve(self: &Arc<Self>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            let Ok(client) = client else { continue };
            let shared = self.clone();
            shared.open.fetch_add(1, Ordering::SeqCst);
            std::thread::spawn(move || {
                shared.join(&client);
                shared.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    }

    /// Carries both directions until both have ended.
    fn join(&self, client: &TcpStream) {
        if matches!(self.line(), Line::Cut { .. }) && self.is_over() {
            return;
        }
        let Ok(server) = TcpStream::connect(self.target) else { return };
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        std::thread::scope(|scope| {
            scope.spawn(|| self.carry(client, &server));
            self.carry(&server, client);
        });
    }

    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let mut block = vec![0; BLOCK_BYTES];
        // A short wait only, so that a line that changes meanwhile is noticed.
        let _ = from.set_read_timeout(Some(NAP));
        loop {
            let count = match from.read(&mut block) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if is_wait(&e) && !self.must_end() => continue,
                Err(_) => break,
            };
            self.carried.fetch_add(count as u64, Ordering::SeqCst);
            match self.line() {
                Line::Sound => {}
                Line::Slow { each_ms } => std::thread::sleep(Duration::from_millis(each_ms)),
                Line::Narrow { bytes_per_second } => self.squeeze(count, bytes_per_second),
                Line::Cut { .. } if self.is_over() => {
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                    return;
                }
                Line::BlackHole { .. } if self.is_over() => {
                    self.swallow(from, &mut block);
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                    return;
                }
                Line::Cut { .. } | Line::BlackHole { .. } => {}
            }
            if to.write_all(&block[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        let _ = from.shutdown(Shutdown::Read);
    }

    /// Takes what comes and passes nothing on, until that ends or the line is another one: bytes
    /// are missing in this connection, which is of no use any more.
    fn swallow(&self, mut from: &TcpStream, block: &mut [u8]) {
        while matches!(self.line(), Line::BlackHole { .. }) && !self.must_end() {
            match from.read(block) {
                Ok(0) => return,
                Ok(_) => {}
                Err(e) if is_wait(&e) => {}
                Err(_) => return,
            }
        }
    }

    /// Waits for the turn of a block.
    fn squeeze(&self, bytes: usize, bytes_per_second: u64) {
        #[expect(clippy::cast_precision_loss, reason = "a block is small")]
        let takes = Duration::from_secs_f64(bytes as f64 / bytes_per_second.max(1) as f64);
        let turn = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let turn = free_at.filter(|free| *free > now).unwrap_or(now) + takes;
            *free_at = Some(turn);
            turn
        };
        // A line that is another one meanwhile, or ends, is not waited for.
        while let Some(rest) = turn.checked_duration_since(Instant::now()).filter(|r| !r.is_zero())
            && matches!(self.line(), Line::Narrow { .. })
            && !self.must_end()
        {
            std::thread::sleep(rest.min(NAP));
        }
    }

    fn line(&self) -> Line {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        let limit = match self.line() {
            Line::Cut { after_bytes } | Line::BlackHole { after_bytes } => after_bytes,
            Line::Sound | Line::Slow { .. } | Line::Narrow { .. } => u64::MAX,
        };
        self.carried.load(Ordering::SeqCst) > limit
    }

    fn must_end(&self) -> bool {
        let cut = matches!(self.line(), Line::Cut { .. }) && self.is_over();
        cut || self.closing.load(Ordering::SeqCst)
    }
}

fn is_wait(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(e.kind(), Interrupted | TimedOut | WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that sends back what it gets.
    fn echo() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut writer = &stream;
                    drop(std::io::copy(&mut &stream, &mut writer));
                });
            }
        });
        format!("http://127.0.0.1:{port}")
    }

    fn through(proxy: &Proxy, bytes: usize) -> std::io::Result<usize> {
        let address = proxy.endpoint().rsplit("//").next().unwrap().to_owned();
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_millis(400)))?;
        let mut found = vec![0; bytes];
        stream.write_all(&vec![7; bytes])?;
        stream.read_exact(&mut found)?;
        Ok(found.len())
    }

    #[test]
    fn each_line_does_what_it_is_called() {
        let proxy = Proxy::to(&echo()).unwrap();
        assert_eq!(through(&proxy, 1_000).unwrap(), 1_000);
        proxy.set(Line::Cut { after_bytes: 500 });
        assert!(through(&proxy, 1_000).is_err());
        proxy.set(Line::BlackHole { after_bytes: 500 });
        assert!(is_wait(&through(&proxy, 1_000).unwrap_err()));
        for (line, at_least) in [
            (Line::Narrow { bytes_per_second: 20_000 }, Duration::from_millis(90)),
            (Line::Slow { each_ms: 30 }, Duration::from_millis(55)),
        ] {
            proxy.set(line);
            let begun = Instant::now();
            assert_eq!(through(&proxy, 1_000).unwrap(), 1_000);
            assert!(begun.elapsed() >= at_least, "{line:?}: {:?}", begun.elapsed());
        }
    }
}
