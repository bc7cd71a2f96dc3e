//! Writes bbolt files with everything that bbolt may leave in them.
//!
//! Multi-level trees, overflow pages, inline buckets, stored freelists, branch keys below the first
//! key of their child, and free pages full of stale runs that claim live pages.

use bbolt::fnv1a64;

use super::Rng;

pub(crate) const BRANCH: u16 = 1;
pub(crate) const LEAF: u16 = 2;
const META: u16 = 4;
const FREELIST: u16 = 16;

/// How a file is laid out.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) page_bytes: usize,
    /// A page is closed after this many elements at the latest.
    pub(crate) elements_max: usize,
    /// Free pages to strew in, at most this many in one place.
    pub(crate) free_run_max: usize,
    pub(crate) stores_freelist: bool,
    pub(crate) inlines: bool,
}

impl Layout {
    pub(crate) fn plain(page_bytes: usize) -> Self {
        let elements_max = usize::MAX;
        Self { page_bytes, elements_max, free_run_max: 0, stores_freelist: false, inlines: true }
    }

    pub(crate) fn random(rng: &mut Rng) -> Self {
        Self {
            page_bytes: [1_024, 4_096, 4_096, 16_384, 65_536][rng.below(5)],
            elements_max: [2, 3, 10, usize::MAX][rng.below(4)],
            free_run_max: [0, 3, 9][rng.below(3)],
            stores_freelist: rng.one_in(3),
            inlines: !rng.one_in(3),
        }
    }
}

pub(crate) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// A bucket's name and rows, ascending.
pub(crate) type Bucket = (Vec<u8>, Rows);

struct Element {
    flags: u32,
    key: Vec<u8>,
    value: Vec<u8>,
    /// The greatest key below a child of a branch.
    last: Vec<u8>,
}

impl Element {
    fn leaf(flags: u32, key: &[u8], value: &[u8]) -> Self {
        Self { flags, key: key.to_vec(), value: value.to_vec(), last: key.to_vec() }
    }
}

/// The file under construction. Pages are put anywhere; what is left over is free.
pub(crate) struct Writer {
    layout: Layout,
    rng: Rng,
    file: Vec<u8>,
    free: Vec<u64>,
}

/// Writes a database with these buckets.
pub(crate) fn write(layout: &Layout, rng: &mut Rng, buckets: &[Bucket]) -> Vec<u8> {
    let file = vec![0; 2 * layout.page_bytes];
    let mut writer =
        Writer { layout: layout.clone(), rng: Rng(rng.next()), file, free: Vec::new() };
    let mut entries = Vec::new();
    for (name, rows) in buckets {
        let value = writer.bucket(rows);
        entries.push(Element::leaf(1, name, &value));
    }
    let root = writer.tree(entries);
    writer.finish(root)
}

// === impl Writer ===

impl Writer {
    fn bucket(&mut self, rows: &Rows) -> Vec<u8> {
        let bytes: usize = 16 + rows.iter().map(|(k, v)| 16 + k.len() + v.len()).sum::<usize>();
        let elements: Vec<Element> =
            rows.iter().map(|(key, value)| Element::leaf(0, key, value)).collect();
        if self.layout.inlines && bytes <= self.layout.page_bytes / 4 {
            return [&[0; 16][..], &page(0, LEAF, &elements, 0)].concat();
        }
        let root = self.tree(elements);
        [root.to_le_bytes(), [0; 8]].concat()
    }

    /// Writes the leaves of a tree and the branches above them, and gives the root.
    fn tree(&mut self, elements: Vec<Element>) -> u64 {
        let mut level = self.level(LEAF, elements);
        while level.len() > 1 {
            let mut previous: Option<Vec<u8>> = None;
            let mut children = Vec::new();
            for (first, last, pgid) in level {
                // After deletions bbolt leaves a key that is below the first one of the child.
                let low =
                    previous.filter(|_| self.rng.one_in(4)).map(|last| [&last[..], b"\0"].concat());
                let key = low.unwrap_or(first);
                let value = pgid.to_le_bytes().to_vec();
                children.push(Element { flags: 0, key, value, last: last.clone() });
                previous = Some(last);
            }
            level = self.level(BRANCH, children);
        }
        level[0].2
    }

    /// Packs one level into pages: first key, last key and number of each.
    fn level(&mut self, flags: u16, elements: Vec<Element>) -> Vec<(Vec<u8>, Vec<u8>, u64)> {
        let mut packed: Vec<Vec<Element>> = vec![Vec::new()];
        let mut taken = 16;
        for element in elements {
            let value_bytes = if flags == LEAF { element.value.len() } else { 0 };
            let bytes = 16 + element.key.len() + value_bytes;
            let open = packed.last().unwrap().len();
            let is_full = taken + bytes > self.layout.page_bytes * 9 / 10;
            if open >= 2 && (is_full || open >= self.layout.elements_max) {
                packed.push(Vec::new());
                taken = 16;
            }
            taken += bytes;
            packed.last_mut().unwrap().push(element);
        }
        packed
            .into_iter()
            .map(|elements| {
                let first = elements.first().map(|one| one.key.clone()).unwrap_or_default();
                let last = elements.last().map(|one| one.last.clone()).unwrap_or_default();
                (first, last, self.emit(flags, &elements))
            })
            .collect()
    }

    /// Puts a page run at the end of the file, perhaps behind some free pages.
    fn emit(&mut self, flags: u16, elements: &[Element]) -> u64 {
        for _ in 0..self.rng.below(self.layout.free_run_max + 1) {
            self.stale_page();
        }
        let pgid = (self.file.len() / self.layout.page_bytes) as u64;
        let run = page(pgid, flags, elements, self.layout.page_bytes);
        self.file.extend_from_slice(&run);
        pgid
    }

    /// A free page: zeros, noise, a header that claims pages behind it, or an old page with another
    /// page's content.
    fn stale_page(&mut self) {
        let page_bytes = self.layout.page_bytes;
        let pgid = (self.file.len() / page_bytes) as u64;
        self.free.push(pgid);
        let overflow = [0, 0, 1, 3, 20][self.rng.below(5)];
        let header = [
            &pgid.to_le_bytes()[..],
            &[BRANCH, LEAF, FREELIST, META, 3][self.rng.below(5)].to_le_bytes(),
            &[0_u16, 1, 5, 900, u16::MAX][self.rng.below(5)].to_le_bytes(),
            &(overflow as u32).to_le_bytes(),
        ]
        .concat();
        let mut content = match self.rng.below(4) {
            0 => vec![0; page_bytes],
            1 => self.rng.bytes(page_bytes),
            _ => {
                let older = self.rng.below(self.file.len() / page_bytes) * page_bytes;
                self.file[older..older + page_bytes].to_vec()
            }
        };
        match self.rng.below(3) {
            0 => {}
            1 => content[..16].copy_from_slice(&header),
            _ => content[..8].copy_from_slice(&pgid.to_le_bytes()),
        }
        self.file.extend_from_slice(&content);
    }

    fn finish(mut self, root: u64) -> Vec<u8> {
        let page_bytes = self.layout.page_bytes;
        let mut freelist = u64::MAX;
        if self.layout.stores_freelist {
            freelist = (self.file.len() / page_bytes) as u64;
            let ids: Vec<u8> = self.free.iter().flat_map(|id| id.to_le_bytes()).collect();
            let overflow = (16 + ids.len()).div_ceil(page_bytes) - 1;
            let count = self.free.len() as u16;
            let mut run = [&header(freelist, FREELIST, count, overflow)[..], &ids].concat();
            run.resize((overflow + 1) * page_bytes, 0);
            self.file.extend_from_slice(&run);
        }
        let high_water = (self.file.len() / page_bytes) as u64;
        for (at, txid) in [(0_u64, 8), (1, 7)] {
            let meta = meta_page(at, page_bytes as u32, root, freelist, high_water, txid);
            let start = at as usize * page_bytes;
            self.file[start..start + meta.len()].copy_from_slice(&meta);
        }
        self.file
    }
}

fn header(pgid: u64, flags: u16, count: u16, overflow: usize) -> [u8; 16] {
    let mut header = [0; 16];
    header[..8].copy_from_slice(&pgid.to_le_bytes());
    header[8..10].copy_from_slice(&flags.to_le_bytes());
    header[10..12].copy_from_slice(&count.to_le_bytes());
    header[12..].copy_from_slice(&(overflow as u32).to_le_bytes());
    header
}

/// A leaf or branch run, padded to whole pages (`page_bytes` 0: an inline page, not padded).
fn page(pgid: u64, flags: u16, elements: &[Element], page_bytes: usize) -> Vec<u8> {
    let (mut table, mut content) = (Vec::new(), Vec::new());
    for (index, element) in elements.iter().enumerate() {
        let position = (16 * (elements.len() - index) + content.len()) as u32;
        let key_bytes = (element.key.len() as u32).to_le_bytes();
        content.extend_from_slice(&element.key);
        if flags == LEAF {
            table.extend_from_slice(&element.flags.to_le_bytes());
            table.extend_from_slice(&position.to_le_bytes());
            table.extend_from_slice(&key_bytes);
            table.extend_from_slice(&(element.value.len() as u32).to_le_bytes());
            content.extend_from_slice(&element.value);
        } else {
            table.extend_from_slice(&position.to_le_bytes());
            table.extend_from_slice(&key_bytes);
            table.extend_from_slice(&element.value);
        }
    }
    let bytes = 16 + table.len() + content.len();
    let pages = if page_bytes == 0 { 1 } else { bytes.div_ceil(page_bytes) };
    let header = header(pgid, flags, elements.len() as u16, pages - 1);
    let mut run = [&header[..], &table, &content].concat();
    run.resize(bytes.max(pages * page_bytes), 0);
    run
}

/// Page 0 or 1, as far as it is used.
pub(crate) fn meta_page(
    pgid: u64,
    page_bytes: u32,
    root: u64,
    freelist: u64,
    high_water: u64,
    txid: u64,
) -> Vec<u8> {
    let narrow = [0xED0C_DAED, 2, page_bytes, 0].map(u32::to_le_bytes).concat();
    let wide = [root, 0, freelist, high_water, txid].map(u64::to_le_bytes).concat();
    let checked = [narrow, wide].concat();
    let checksum = fnv1a64(&checked).to_le_bytes();
    [&header(pgid, META, 0, 0)[..], &checked, &checksum].concat()
}
