//! The log between the source and the destinations: append-only, one cursor per destination.
//!
//! Invariants: `ram` holds `[ram_start, head)` without gaps; the spool holds
//! `[slowest cursor, ram_start)` if that is not empty; a byte is let go when the slowest
//! cursor has passed it. Memory is at most `ram_bytes_max` and one block; the spooled range
//! is at most `spool_limit`.
//!
//! When both are full, somebody has to give way. If the fastest destination is in the younger
//! half of the log, the slowest one is the cause and is cut off. If even the fastest is in the
//! older half, the source is faster than everybody, and waits.

use super::{Cut, FanoutOptions, Lag, reader::Reader, spool::Spool};
use crate::{ErrorKind, Summary};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How much is read from the spool at once, at most.
const SPOOL_READ_BYTES_MAX: u64 = 1 << 20;
/// And no more than this share of it: a cursor that leaps makes the others look slow.
const SPOOL_READ_SHARE: u64 = 8;

pub(super) struct Log {
    state: Mutex<State>,
    /// Wakes readers: its value only counts changes.
    changes: watch::Sender<u64>,
    /// Wakes the source.
    room: Condvar,
    options: FanoutOptions,
}

pub(super) struct State {
    ram: VecDeque<Block>,
    ram_bytes: u64,
    ram_start: u64,
    head: u64,
    end: End,
    cursors: Vec<Cursor>,
    spool: Option<Arc<Spool>>,
    /// Whether the file may hold bytes that are needed.
    spool_used: bool,
    /// Whether the source is writing to the file, outside the lock.
    spool_busy: bool,
    spool_bytes_max: u64,
    /// Shrinks to what is in use when the disk refuses more.
    spool_limit: u64,
    spool_error: Option<String>,
}

struct Block {
    start: u64,
    bytes: Bytes,
}

#[derive(Clone, Copy)]
enum End {
    Open,
    Broken,
    Finished(Summary),
}

struct Cursor {
    position: u64,
    alive: bool,
    /// Why it was cut off; taken by its reader.
    cut: Option<ErrorKind>,
    lag: Lag,
}

/// What appending has to do next; the file is written without the lock.
enum Step {
    Done,
    NobodyLeft,
    Spool(u64, Bytes),
    CutOff(usize),
    Wait,
}

impl Log {
    pub(super) fn new(readers: usize, options: FanoutOptions) -> Arc<Self> {
        let new = || Cursor { position: 0, alive: true, cut: None, lag: Lag::default() };
        let state = State {
            ram: VecDeque::new(),
            ram_bytes: 0,
            ram_start: 0,
            head: 0,
            end: End::Open,
            cursors: (0..readers).map(|_| new()).collect(),
            spool: None,
            spool_used: false,
            spool_busy: false,
            spool_bytes_max: options.spool_bytes_max,
            spool_limit: options.spool_bytes_max,
            spool_error: None,
        };
        let (changes, _) = watch::channel(0);
        Arc::new(Log { state: Mutex::new(state), changes, room: Condvar::new(), options })
    }

    pub(super) fn readers(self: &Arc<Self>) -> Vec<Reader> {
        let count = self.lock().cursors.len();
        (0..count).map(|index| Reader::new(self.clone(), index, self.changes.subscribe())).collect()
    }

    /// Appends a block; blocks the thread while everybody is slower than the source. False
    /// when nobody is left to read it.
    pub(super) fn append(&self, block: &Bytes) -> bool {
        let mut state = self.lock();
        loop {
            match state.next_step(block, &self.options) {
                Step::Done => {
                    drop(state);
                    self.changed();
                    return true;
                }
                Step::NobodyLeft => return false,
                Step::Wait => {
                    state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
                Step::CutOff(index) => {
                    state.cut_off(index, &self.options);
                    self.changed();
                }
                Step::Spool(start, bytes) => {
                    let spool = state.spool.clone();
                    state.spool_busy = true;
                    drop(state);
                    let written = self.spool(spool, start, &bytes);
                    state = self.lock();
                    state.spooled(start, &bytes, written);
                }
            }
        }
    }

    fn spool(
        &self,
        spool: Option<Arc<Spool>>,
        start: u64,
        bytes: &Bytes,
    ) -> Result<Arc<Spool>, String> {
        let FanoutOptions { scratch_dir, spool_bytes_max, .. } = &self.options;
        let spool = match spool {
            Some(spool) => spool,
            None => Spool::create(scratch_dir, *spool_bytes_max)
                .map(Arc::new)
                .map_err(|e| e.to_string())?,
        };
        spool.write(start, bytes).map_err(|e| e.to_string())?;
        Ok(spool)
    }

    /// Marks the end. Without a summary, or with one of another length, the source broke off.
    pub(super) fn end(&self, summary: Option<Summary>) -> bool {
        let mut state = self.lock();
        let finished = match (state.end, summary) {
            (End::Open, Some(summary)) if summary.bytes == state.head => {
                state.end = End::Finished(summary);
                true
            }
            (End::Open, _) => {
                state.end = End::Broken;
                false
            }
            (End::Broken | End::Finished(_), _) => false,
        };
        drop(state);
        self.changed();
        finished
    }

    pub(super) fn head(&self) -> u64 {
        self.lock().head
    }

    pub(super) fn has_readers(&self) -> bool {
        self.lock().cursors.iter().any(|c| c.alive)
    }

    /// Lets the log go on without a cursor.
    pub(super) fn leave(&self, index: usize) {
        let mut state = self.lock();
        state.cursors[index].alive = false;
        state.let_go();
        drop(state);
        self.room.notify_all();
    }

    /// Cuts every living cursor off.
    pub(super) fn give_up_all(&self, after: Duration) {
        for cursor in self.lock().cursors.iter_mut().filter(|c| c.alive) {
            cursor.cut = Some(ErrorKind::GivenUp { after });
        }
        self.changed();
    }

    /// Moves a cursor past what it took.
    pub(super) fn advance(&self, index: usize, bytes: usize, spooled: bool) {
        self.lock().advance(index, bytes as u64, spooled);
        self.room.notify_all();
    }

    pub(super) fn lag(&self, index: usize) -> Lag {
        self.lock().cursors[index].lag
    }

    fn changed(&self) {
        self.changes.send_modify(|n| *n = n.wrapping_add(1));
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere cannot leave the state half changed: nothing in here panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_step(&mut self, block: &Bytes, options: &FanoutOptions) -> Step {
        let Some((slowest, fastest)) = self.extremes() else {
            return Step::NobodyLeft;
        };
        self.let_go();
        let length = block.len() as u64;
        let fits = self.ram_bytes + length <= options.ram_bytes_max;
        let front = match self.ram.front() {
            Some(front) if !fits => front,
            _ => {
                self.push(block);
                return Step::Done;
            }
        };
        let front_end = front.start + front.bytes.len() as u64;
        let slowest_position = self.cursors[slowest].position;
        if front_end - slowest_position <= self.spool_limit {
            return Step::Spool(front.start, front.bytes.clone());
        }
        let half = (options.ram_bytes_max + self.spool_limit) / 2;
        let others = self.cursors.iter().filter(|c| c.alive).count() > 1;
        if others && self.head - self.cursors[fastest].position <= half {
            Step::CutOff(slowest)
        } else {
            Step::Wait
        }
    }

    /// The indices of the slowest and the fastest living cursor.
    fn extremes(&self) -> Option<(usize, usize)> {
        let alive = || self.cursors.iter().enumerate().filter(|(_, c)| c.alive);
        let slowest = alive().min_by_key(|(_, c)| c.position)?.0;
        let fastest = alive().max_by_key(|(_, c)| c.position)?.0;
        Some((slowest, fastest))
    }

    fn push(&mut self, block: &Bytes) {
        let length = block.len() as u64;
        self.ram.push_back(Block { start: self.head, bytes: block.clone() });
        self.ram_bytes += length;
        self.head += length;
        let head = self.head;
        for cursor in self.cursors.iter_mut().filter(|c| c.alive) {
            let behind = head - cursor.position;
            cursor.lag.behind_bytes_max = cursor.lag.behind_bytes_max.max(behind);
        }
    }

    /// Forgets what every living cursor has passed.
    fn let_go(&mut self) {
        let slowest = self.extremes().map_or(self.head, |(s, _)| self.cursors[s].position);
        while let Some(front) = self.ram.front() {
            let length = front.bytes.len() as u64;
            if front.start + length > slowest {
                break;
            }
            self.pop_front(length);
        }
        if self.spool_used && !self.spool_busy && slowest >= self.ram_start {
            self.spool_used = false;
            // Space that cannot be given back is only used again later.
            let _ = self.spool.as_ref().map(|spool| spool.clear());
        }
    }

    fn pop_front(&mut self, length: u64) {
        self.ram.pop_front();
        self.ram_bytes -= length;
        self.ram_start += length;
    }

    /// Takes note of what became of a block on its way to the spool. Meanwhile the readers
    /// may have passed it, and then it is gone from memory already.
    fn spooled(&mut self, start: u64, bytes: &Bytes, written: Result<Arc<Spool>, String>) {
        self.spool_busy = false;
        match written {
            Ok(spool) => {
                self.spool = Some(spool);
                self.spool_used = true;
                if self.ram_start == start {
                    self.pop_front(bytes.len() as u64);
                }
            }
            Err(e) => {
                let slowest = self.extremes().map_or(start, |(s, _)| self.cursors[s].position);
                self.spool_limit = self.ram_start.saturating_sub(slowest);
                self.spool_error = Some(e);
            }
        }
    }

    fn cut_off(&mut self, index: usize, options: &FanoutOptions) {
        let behind_bytes = self.head - self.cursors[index].position;
        let cut = ErrorKind::Lagging {
            behind_bytes,
            buffer_bytes_max: options.ram_bytes_max + self.spool_limit,
            spool_error: self.spool_error.clone(),
        };
        let cursor = &mut self.cursors[index];
        cursor.alive = false;
        cursor.cut = Some(cut);
    }

    /// What the cursor gets next, if there is anything yet.
    pub(super) fn peek(&mut self, index: usize) -> Peek {
        if let Some(cut) = self.cut_of(index) {
            return Peek::Cut(cut);
        }
        let position = self.cursors[index].position;
        if position < self.ram_start {
            let most = (self.spool_bytes_max / SPOOL_READ_SHARE).clamp(1, SPOOL_READ_BYTES_MAX);
            let length = (self.ram_start - position).min(most);
            return match self.spool.clone() {
                Some(spool) => Peek::Spool(spool, position, length),
                None => Peek::Cut(Cut::Spool(std::io::Error::other("there is none"))),
            };
        }
        if let (true, End::Finished(summary)) = (position == self.head, self.end) {
            return Peek::End(summary);
        }
        let after = self.ram.partition_point(|b| b.start <= position);
        match after.checked_sub(1).map(|at| &self.ram[at]) {
            Some(block) if position < self.head => {
                let skip = usize::try_from(position - block.start).unwrap_or(usize::MAX);
                Peek::Block(block.bytes.slice(skip..))
            }
            _ => Peek::Nothing,
        }
    }

    pub(super) fn cut_of(&mut self, index: usize) -> Option<Cut> {
        if let End::Broken = self.end {
            return Some(Cut::Broken);
        }
        self.cursors[index].cut.take().map(Cut::Off)
    }

    pub(super) fn advance(&mut self, index: usize, bytes: u64, spooled: bool) {
        let cursor = &mut self.cursors[index];
        cursor.position += bytes;
        cursor.lag.spooled_bytes += if spooled { bytes } else { 0 };
        self.let_go();
    }
}

/// What a cursor finds.
pub(super) enum Peek {
    Nothing,
    Block(Bytes),
    Spool(Arc<Spool>, u64, u64),
    End(Summary),
    Cut(Cut),
}

#[cfg(test)]
mod tests;
