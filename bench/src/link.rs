//! A slow link: a TCP proxy on loopback that passes so many bytes a second each way.
//!
//! Invariant: all connections together stay within the rate; pacing is by reservation, so that a
//! sleep that takes too long is made up for by the next ones.
//! Does not: add latency or lose anything.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What is passed on at once: small enough that 20 MB/s flow evenly.
const CHUNK_BYTES: usize = 32 << 10;

/// The proxy. Connections that are open stay when it is dropped; there are no new ones.
#[derive(Debug)]
pub(crate) struct Link {
    port: u16,
    closed: Arc<AtomicBool>,
}

impl Link {
    /// To `127.0.0.1:port`, with `bytes_per_second` each way, or as fast as it goes.
    pub(crate) fn open(port: u16, bytes_per_second: Option<f64>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let link = Link { port: listener.local_addr()?.port(), closed: Arc::default() };
        let closed = Arc::clone(&link.closed);
        let paces = [Pace::new(bytes_per_second), Pace::new(bytes_per_second)];
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if closed.load(Ordering::Relaxed) {
                    return;
                }
                // A connection that fails is the client's to notice.
                let _ = join(client, port, &paces);
            }
        });
        Ok(link)
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

fn join(client: TcpStream, port: u16, [up, down]: &[Pace; 2]) -> io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    // Else small messages wait for acknowledgements, which no link does.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let (up, down) = (up.clone(), down.clone());
    thread::spawn(move || carry(from, to, &up));
    thread::spawn(move || carry(server, client, &down));
    Ok(())
}

fn carry(mut from: TcpStream, mut to: TcpStream, pace: &Pace) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(count) = from.read(&mut chunk)
        && count > 0
    {
        pace.wait_for(count);
        if to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    // The other way goes on until its own end.
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// When the next bytes may pass, shared by all connections of one direction.
#[derive(Debug, Clone)]
struct Pace {
    seconds_per_byte: Option<f64>,
    free_at: Arc<Mutex<Instant>>,
}

impl Pace {
    fn new(bytes_per_second: Option<f64>) -> Self {
        let seconds_per_byte = bytes_per_second.map(f64::recip);
        Pace { seconds_per_byte, free_at: Arc::new(Mutex::new(Instant::now())) }
    }

    fn wait_for(&self, bytes: usize) {
        let Some(seconds_per_byte) = self.seconds_per_byte else { return };
        #[expect(clippy::cast_precision_loss, reason = "a chunk is small")]
        let lasts = Duration::from_secs_f64(bytes as f64 * seconds_per_byte);
        let until = {
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            *free_at = (*free_at).max(Instant::now()) + lasts;
            *free_at
        };
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_pass_unchanged_and_not_faster_than_the_rate() {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        let echo = thread::spawn(move || {
            let (mut stream, _) = server.accept().unwrap();
            let mut all = Vec::new();
            stream.read_to_end(&mut all).unwrap();
            stream.write_all(&all).unwrap();
        });
        let sent: Vec<u8> = (0..200_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let link = Link::open(port, Some(2_000_000.0)).unwrap();
        let started = Instant::now();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port)).unwrap();
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut back = Vec::new();
        stream.read_to_end(&mut back).unwrap();
        echo.join().unwrap();
        assert_eq!(back, sent);
        // A tenth of a second each way; no upper bound, the machine may be busy.
        assert!(started.elapsed() >= Duration::from_millis(200));
    }
}
