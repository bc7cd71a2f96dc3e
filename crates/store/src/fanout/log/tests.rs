use super::*;

fn log(readers: usize, ram: u64, spool: u64, dir: &std::path::Path) -> Arc<Log> {
    let options =
        FanoutOptions { ram_bytes_max: ram, spool_bytes_max: spool, ..FanoutOptions::new(dir) };
    Log::new(readers, options)
}

fn taken(log: &Log, index: usize) -> Option<Vec<u8>> {
    let peek = log.lock().peek(index);
    let (bytes, spooled) = match peek {
        Peek::Block(block) => (block, false),
        Peek::Spool(spool, at, length) => {
            (spool.read(at, usize::try_from(length).unwrap()).unwrap(), true)
        }
        _ => return None,
    };
    log.advance(index, bytes.len(), spooled);
    Some(bytes.to_vec())
}

#[test]
fn memory_and_spool_stay_within_their_limits() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(2, 30, 100, dir.path());
    for n in 0..12u8 {
        assert!(log.append(&Bytes::from(vec![n; 10])));
        assert_eq!(taken(&log, 0).unwrap(), vec![n; 10]);
        let state = log.lock();
        assert!(state.ram_bytes <= 30);
        assert_eq!(state.ram_start + state.ram_bytes, state.head);
    }
    assert_eq!(log.lag(1).behind_bytes_max, 120);
    let mut found = Vec::new();
    while let Some(bytes) = taken(&log, 1) {
        found.extend(bytes);
    }
    let wanted: Vec<u8> = (0..12u8).flat_map(|n| vec![n; 10]).collect();
    assert_eq!(found, wanted);
    assert_eq!(log.lag(1).spooled_bytes, 90);
    assert_eq!(log.lock().ram_bytes, 0);
    assert!(!log.lock().spool_used);
}

#[test]
fn the_ring_wraps_and_is_used_again_after_it_drained() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(2, 20, 35, dir.path());
    let (mut sent, mut found) = (Vec::new(), Vec::new());
    for round in 0..40u8 {
        for n in 0..7u8 {
            let block = vec![round.wrapping_mul(7) ^ n; 7];
            sent.extend_from_slice(&block);
            assert!(log.append(&Bytes::from(block)));
            taken(&log, 0).unwrap();
        }
        while let Some(bytes) = taken(&log, 1) {
            found.extend(bytes);
        }
    }
    assert_eq!(found, sent);
    assert!(log.lag(1).spooled_bytes > 0);
}

#[test]
fn the_slowest_is_cut_off_only_for_the_sake_of_a_faster_one() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(2, 20, 20, dir.path());
    for _ in 0..4 {
        assert!(log.append(&Bytes::from_static(b"0123456789")));
    }
    while taken(&log, 0).is_some() {}
    assert!(log.append(&Bytes::from_static(b"0123456789")));
    assert!(matches!(log.lock().cut_of(1), Some(Cut::Off(_))));
    assert!(log.lock().cut_of(0).is_none());
}

#[test]
fn an_end_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(1, 20, 20, dir.path());
    assert!(log.append(&Bytes::from_static(b"abc")));
    assert!(log.end(Some(Summary::of(b"abc"))));
    assert!(!log.end(None));
    taken(&log, 0).unwrap();
    assert!(matches!(log.lock().peek(0), Peek::End(_)));
}

/// The source writes to the file outside the lock. A reader that drains it meanwhile must not
/// cut the file off under the block that is just being written.
#[test]
fn the_file_is_not_cleared_while_the_source_writes_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = log(2, 20, 100, dir.path());
    for _ in 0..3 {
        assert!(log.append(&Bytes::from_static(b"0123456789")));
        taken(&log, 0).unwrap();
    }
    assert_eq!(log.lock().ram_start, 10);
    log.lock().spool_busy = true;
    taken(&log, 1).unwrap();
    assert!(log.lock().spool_used);
    log.lock().spool_busy = false;
    log.lock().let_go();
    assert!(!log.lock().spool_used);
}
