//! A leaf or branch page that is still being filled.
//!
//! The position of a key counts from its element to the byte, so the table can be made only when
//! the number of elements is known; until then keys and values lie in a body of their own.

use crate::leaf::ELEMENT_BYTES;
use crate::limits::PAGE_BYTES_MAX;
use crate::page::{PAGE_HEADER_BYTES, PageHeader, PageKind};

// bbolt counts elements in 16 bits and keeps the last value for other things. A draft takes two
// elements of any size and then as many as fit the rest of a page, each with a key of a byte.
const _: () = assert!(PAGE_BYTES_MAX as usize / (ELEMENT_BYTES + 1) + 2 < 0xFFFF);

/// What stands behind a key.
#[derive(Debug, Clone, Copy)]
enum Tail {
    /// A leaf's element: its flags, and the length of its value, which follows the key.
    Value { flags: u32, bytes: u32 },
    /// A branch's element: the page of the child.
    Child { page: u64 },
}

#[derive(Debug, Clone, Copy)]
struct Element {
    /// Where the key starts in the body.
    at: usize,
    key_bytes: usize,
    tail: Tail,
}

/// The elements of one page, in key order.
#[derive(Debug)]
pub(super) struct Draft {
    kind: PageKind,
    elements: Vec<Element>,
    body: Vec<u8>,
}

// === impl Draft ===

impl Draft {
    pub(super) fn new(kind: PageKind) -> Self {
        Self { kind, elements: Vec::new(), body: Vec::new() }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.elements.len()
    }

    /// Length of the page as it stands, header included, in bytes.
    pub(super) fn bytes(&self) -> usize {
        PAGE_HEADER_BYTES + self.elements.len() * ELEMENT_BYTES + self.body.len()
    }

    /// Whether an element with `content` bytes of key and value still fits `limit` bytes.
    pub(super) fn has_room(&self, content: usize, limit: usize) -> bool {
        self.bytes() + ELEMENT_BYTES + content <= limit
    }

    pub(super) fn push_row(&mut self, flags: u32, key: &[u8], value: &[u8]) {
        let bytes = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.push(key, Tail::Value { flags, bytes });
        self.body.extend_from_slice(value);
    }

    pub(super) fn push_child(&mut self, key: &[u8], page: u64) {
        self.push(key, Tail::Child { page });
    }

    fn push(&mut self, key: &[u8], tail: Tail) {
        self.elements.push(Element { at: self.body.len(), key_bytes: key.len(), tail });
        self.body.extend_from_slice(key);
    }

    /// Takes back the last child of a branch.
    pub(super) fn pop_child(&mut self) -> Option<(Vec<u8>, u64)> {
        let Tail::Child { page } = self.elements.last()?.tail else { return None };
        let key = self.body.split_off(self.elements.pop()?.at);
        Some((key, page))
    }

    /// Forgets the elements and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.elements.clear();
        self.body.clear();
    }

    /// Empty when there is no element.
    pub(super) fn first_key(&self) -> &[u8] {
        self.elements.first().map(|element| self.key(element)).unwrap_or_default()
    }

    /// Empty when there is no element.
    pub(super) fn last_key(&self) -> &[u8] {
        self.elements.last().map(|element| self.key(element)).unwrap_or_default()
    }

    fn key(&self, element: &Element) -> &[u8] {
        let end = element.at + element.key_bytes;
        self.body.get(element.at..end).unwrap_or_default()
    }

    /// Appends page header and element table to `out`.
    pub(super) fn put_head(&self, pgid: u64, overflow: u32, out: &mut Vec<u8>) {
        let count = u16::try_from(self.elements.len()).unwrap_or(u16::MAX);
        let header = PageHeader { id: pgid, flags: self.kind.flag(), count, overflow };
        out.extend_from_slice(&header.to_bytes());
        for (index, element) in self.elements.iter().enumerate() {
            let position = (self.elements.len() - index) * ELEMENT_BYTES + element.at;
            let (position, key_bytes) = (le32(position), le32(element.key_bytes));
            match element.tail {
                Tail::Value { flags, bytes } => {
                    let row = [flags.to_le_bytes(), position, key_bytes, bytes.to_le_bytes()];
                    out.extend_from_slice(row.as_flattened());
                }
                Tail::Child { page } => {
                    out.extend_from_slice([position, key_bytes].as_flattened());
                    out.extend_from_slice(&page.to_le_bytes());
                }
            }
        }
    }

    /// Keys and values, which follow the table.
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// A size within a run, which is far below 4 GiB.
fn le32(size: usize) -> [u8; 4] {
    u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes()
}
