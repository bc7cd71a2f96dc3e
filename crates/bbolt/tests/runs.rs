//! Cutting a stream into page runs: the same runs for every chunking, and stale runs beside live
//! ones.

use lifeboat_bbolt::{
    BboltError, FreelistIds, LeafElements, Meta, NO_FREELIST, PageRuns, Problem, Run, RunSink,
    fnv1a64,
};
use proptest::prelude::*;

const PAGE: usize = 1_024;

/// Writes down what it is given.
#[derive(Debug, Default, PartialEq, Eq)]
struct Notes {
    meta: Option<Meta>,
    runs: Vec<(u64, Vec<u8>)>,
    others: Vec<(u64, Problem)>,
}

impl RunSink for Notes {
    type Error = BboltError;

    fn meta(&mut self, meta: &Meta) -> Result<(), BboltError> {
        assert_eq!(self.meta.replace(*meta), None);
        Ok(())
    }

    fn run(&mut self, run: Run<'_>) -> Result<(), BboltError> {
        self.runs.push((run.pgid, run.bytes.to_vec()));
        Ok(())
    }

    fn no_run(&mut self, pgid: u64, problem: Problem) -> Result<(), BboltError> {
        self.others.push((pgid, problem));
        Ok(())
    }
}

fn page(id: u64, flags: u16, overflow: u32, fill: u8) -> Vec<u8> {
    let mut page = vec![fill; PAGE];
    page[..8].copy_from_slice(&id.to_le_bytes());
    page[8..10].copy_from_slice(&flags.to_le_bytes());
    page[12..16].copy_from_slice(&overflow.to_le_bytes());
    page
}

fn meta(id: u64, high_water: u64, txid: u64) -> Vec<u8> {
    let narrow = [0xED0C_DAED, 2, 1_024, 0_u32].map(u32::to_le_bytes).concat();
    let wide = [2, 0, NO_FREELIST, high_water, txid].map(u64::to_le_bytes).concat();
    let checked = [narrow, wide].concat();
    let checksum = fnv1a64(&checked).to_le_bytes();
    let mut page = page(id, 4, 0, 0);
    page[16..80].copy_from_slice(&[checked, checksum.to_vec()].concat());
    page
}

/// Pages behind the two meta pages, of which both say so.
fn file(pages: &[Vec<u8>]) -> Vec<u8> {
    let high_water = 2 + pages.len() as u64;
    [meta(0, high_water, 4), meta(1, high_water, 3), pages.concat()].concat()
}

fn cut(file: &[u8], chunk: usize) -> Result<Notes, BboltError> {
    let mut notes = Notes::default();
    let mut runs = PageRuns::new();
    for piece in file.chunks(chunk) {
        runs.push(piece, &mut notes)?;
    }
    let meta = runs.finish(&mut notes)?;
    assert_eq!(notes.meta, Some(meta));
    Ok(notes)
}

/// Runs beside runs, inside runs, over the end of others and over the end of the file.
fn mixed_pages() -> Vec<Vec<u8>> {
    vec![
        page(2, 2, 0, 1),
        page(3, 2, 3, 2),
        page(4, 1, 0, 3),
        page(5, 2, 4, 4),
        page(99, 2, 0, 5),
        page(7, 16, 0, 6),
        page(8, 3, 0, 7),
        page(9, 4, 0, 8),
        page(10, 2, 9, 9),
        page(11, 2, 1, 10),
        page(12, 2, 0, 11),
    ]
}

#[test]
fn every_page_is_a_run_or_not() {
    let file = file(&mixed_pages());
    let notes = cut(&file, file.len()).unwrap();
    let runs: Vec<_> = notes.runs.iter().map(|(id, bytes)| (*id, bytes.len() / PAGE)).collect();
    assert_eq!(runs, [(2, 1), (4, 1), (3, 4), (7, 1), (5, 5), (12, 1), (11, 2)]);
    let others = [
        (6, Problem::WrongId),
        (8, Problem::UnknownType),
        (9, Problem::WrongType),
        (10, Problem::RunBeyondFile),
    ];
    assert_eq!(notes.others, others);
    for (id, bytes) in &notes.runs {
        let start = usize::try_from(*id).unwrap() * PAGE;
        assert_eq!(bytes, &file[start..start + bytes.len()]);
    }
}

#[test]
fn bytes_behind_the_file_are_ignored() {
    let file = file(&mixed_pages());
    let longer = [file.clone(), vec![0xAB; 3_000]].concat();
    assert_eq!(cut(&file, 100).unwrap(), cut(&longer, 100).unwrap());
}

#[test]
fn a_short_file_is_truncated() {
    let file = file(&mixed_pages());
    for length in 0..file.len() {
        let cut_off = cut(&file[..length], 700).unwrap_err();
        assert!(matches!(cut_off, BboltError::Truncated { found, .. } if found == length as u64));
    }
}

#[test]
fn the_newer_meta_page_counts() {
    let mut file = file(&mixed_pages());
    assert_eq!(cut(&file, 512).unwrap().meta.unwrap().txid, 4);
    let newer = meta(1, 10, 5);
    file[PAGE..2 * PAGE].copy_from_slice(&newer);
    let meta = cut(&file, 512).unwrap().meta.unwrap();
    assert_eq!((meta.txid, meta.high_water, meta.file_bytes()), (5, 10, 10 * 1_024));
}

#[test]
fn page_sizes_are_powers_of_two_in_range() {
    for (wrong, is_refused) in [(512_u32, true), (1_000, true), (131_072, true), (65_536, false)] {
        let mut page = meta(0, 9, 4);
        page[24..28].copy_from_slice(&wrong.to_le_bytes());
        let checksum = fnv1a64(&page[16..72]).to_le_bytes();
        page[72..80].copy_from_slice(&checksum);
        let parsed = Meta::parse(&page);
        assert_eq!(parsed.is_err(), is_refused, "{parsed:?}");
    }
}

#[test]
fn a_freelist_may_count_in_its_first_entry() {
    let mut run = page(2, 16, 0, 0);
    run[10..12].copy_from_slice(&u16::MAX.to_le_bytes());
    for (at, number) in [3_u64, 4, 7, 9].into_iter().enumerate() {
        run[16 + 8 * at..24 + 8 * at].copy_from_slice(&number.to_le_bytes());
    }
    let ids: Vec<_> = FreelistIds::new(&run, 10).unwrap().map(Result::unwrap).collect();
    assert_eq!(ids, [4, 7, 9]);
    let last = FreelistIds::new(&run, 9).unwrap().last().unwrap();
    assert_eq!(last, Err(Problem::FreelistEntry { index: 2 }));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn chunks_do_not_matter(
        headers in prop::collection::vec((0..3_u64, 0..6_u16, 0..9_u32), 0..40),
        chunk in 1..3_000_usize,
    ) {
        let pages: Vec<_> = (2..)
            .zip(headers)
            .map(|(id, (shift, flags, overflow))| page(id + shift / 2, flags, overflow, 0))
            .collect();
        let file = file(&pages);
        prop_assert!(pages.is_empty() || cut(&file, chunk).unwrap() == cut(&file, file.len()).unwrap());
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        count in 0..12_u16,
    ) {
        let mut run = bytes;
        if let Some(field) = run.get_mut(10..12) {
            field.copy_from_slice(&count.to_le_bytes());
        }
        let read: usize = LeafElements::new(&run)
            .into_iter()
            .flatten()
            .flatten()
            .map(|element| element.both.len())
            .sum();
        prop_assert!(read <= run.len());
    }
}
