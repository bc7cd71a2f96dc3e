//! bbolt pages by themselves, and the cutting of a stream into page runs.
//!
//! Held to: what is handed out lies within the page, in order, without overlap; a stream is cut
//! into the same runs however it arrives, and no page starts two.

use crate::choices::Choices;
use crate::model::writer;
use bbolt::{
    BboltError, BranchElements, BucketValue, FreelistIds, LeafElements, Meta, NO_FREELIST,
    PAGE_HEADER_BYTES, PageHeader, PageRuns, Problem, Run, RunSink,
};

const ELEMENT_BYTES: usize = 16;
const PAGES_MAX: usize = 24;
const PAGE_BYTES: usize = 1024;

/// Any bytes as a page of each kind; choices as a file of pages.
pub fn bbolt_pages(input: &[u8]) {
    if let Some(choices) = Choices::of(input) {
        return runs(choices);
    }
    leaf(input);
    branch(input);
    freelist(input);
    if let Ok(meta) = Meta::parse(input) {
        assert!(meta.page_bytes.is_power_of_two());
        assert!(meta.freelist != Some(NO_FREELIST));
        let _ = meta.file_bytes();
    }
}

fn leaf(page: &[u8]) {
    let Ok(elements) = LeafElements::new(page) else { return };
    let (mut previous, mut taken, mut failed): (&[u8], _, _) = (&[], PAGE_HEADER_BYTES, false);
    for element in elements {
        assert!(!failed, "an element comes after an error");
        let Ok(element) = element else {
            failed = true;
            continue;
        };
        assert!(element.key > previous, "keys are out of order");
        assert_eq!([element.key, element.value].concat(), element.both);
        previous = element.key;
        taken += ELEMENT_BYTES + element.both.len();
        if element.is_bucket
            && let Ok(BucketValue::Inline(inline)) = BucketValue::parse(element.value, 0)
        {
            assert!(inline.len() < element.value.len());
            leaf(inline);
        }
    }
    assert!(taken <= page.len(), "elements overlap");
}

fn branch(page: &[u8]) {
    let Ok(elements) = BranchElements::new(page) else { return };
    let sound: Vec<_> = elements.filter_map(Result::ok).collect();
    assert!(sound.is_sorted_by(|a, b| a.0 < b.0));
    let taken: usize = sound.iter().map(|(key, _)| ELEMENT_BYTES + key.len()).sum();
    assert!(PAGE_HEADER_BYTES + taken <= page.len(), "elements overlap");
}

fn freelist(page: &[u8]) {
    for high_water in [0, 3, 1 << 20] {
        let Ok(ids) = FreelistIds::new(page, high_water) else { continue };
        let sound: Vec<u64> = ids.filter_map(Result::ok).collect();
        assert!(sound.is_sorted_by(|a, b| a < b));
        assert!(sound.iter().all(|id| (2..high_water).contains(id)));
        assert!(sound.len() * 8 <= page.len());
    }
}

/// A file with sound meta pages and pages whose headers are chosen.
fn runs(mut choices: Choices<'_>) {
    let count = 1 + choices.below(PAGES_MAX);
    let claimed = if choices.one_in(8) { choices.odd_number() } else { 2 + count as u64 };
    let freelist = if choices.one_in(4) { choices.odd_number() } else { NO_FREELIST };
    let mut file = Vec::new();
    for pgid in 0..2 {
        let meta = writer::meta_page(pgid, PAGE_BYTES as u32, 2, freelist, claimed, 8 - pgid);
        file.extend_from_slice(&meta);
        file.resize(PAGE_BYTES * (pgid as usize + 1), 0);
    }
    for pgid in (2_u64..).take(count) {
        let id = if choices.one_in(8) { choices.odd_number() } else { pgid };
        let flags = choices.of_slice(&[1_u16, 2, 2, 2, 4, 16, 3, 0, 0x8000]);
        let overflow = choices.of_slice(&[0_u32, 0, 1, 2, 3, 9, u32::MAX]);
        file.extend_from_slice(&id.to_le_bytes());
        file.extend_from_slice(&flags.to_le_bytes());
        file.extend_from_slice(&(choices.byte() as u16).to_le_bytes());
        file.extend_from_slice(&overflow.to_le_bytes());
        file.extend_from_slice(choices.bytes(64));
        file.resize(PAGE_BYTES * (pgid as usize + 1), 0);
    }
    let cut_bytes = choices.below(3 * PAGE_BYTES);
    file.truncate(file.len() - cut_bytes);
    let chunk = 1 + choices.below(5 * PAGE_BYTES);
    let whole = cut(&file, file.len().max(1));
    assert_eq!(whole, cut(&file, chunk), "chunks of {chunk}");
    let Ok(notes) = whole else { return };
    for (pgid, bytes) in &notes.runs {
        let header = PageHeader::parse(bytes).unwrap();
        assert_eq!(header.id, *pgid);
        assert_eq!(bytes.len() as u64, header.run_pages() * PAGE_BYTES as u64);
        let start = *pgid as usize * PAGE_BYTES;
        assert_eq!(bytes, &file[start..start + bytes.len()]);
    }
    let mut seen: Vec<u64> = notes.runs.iter().map(|(pgid, _)| *pgid).collect();
    seen.extend(notes.others.iter().map(|(pgid, _)| *pgid));
    seen.sort_unstable();
    assert!(seen.is_sorted_by(|a, b| a < b), "a page came twice");
    assert_eq!(seen.len() as u64 + 2, notes.meta.unwrap().high_water);
}

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

fn cut(file: &[u8], chunk: usize) -> Result<Notes, BboltError> {
    let mut notes = Notes::default();
    let mut runs = PageRuns::new();
    for piece in file.chunks(chunk) {
        runs.push(piece, &mut notes)?;
    }
    runs.finish(&mut notes)?;
    Ok(notes)
}
