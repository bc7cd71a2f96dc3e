//! The 16-byte header that starts every page.
//!
//! Layout: id u64, flags u16, element count u16, overflow u32, all little-endian.

use crate::bytes::{u16_at, u32_at, u64_at};

/// Length of the header, in bytes.
pub const PAGE_HEADER_BYTES: usize = 16;

/// What a page holds. The flags field carries exactly one of these bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageKind {
    /// Keys and the pages below them (0x01).
    Branch,
    /// Keys and values (0x02).
    Leaf,
    /// Meta page 0 or 1 (0x04).
    Meta,
    /// The list of free pages (0x10).
    Freelist,
}

/// A page header as it stands in the file, unchecked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageHeader {
    /// The page's own number; its offset divided by the page size.
    pub id: u64,
    /// One bit per [`PageKind`].
    pub flags: u16,
    /// Number of elements.
    pub count: u16,
    /// Number of pages that follow and belong to this one.
    pub overflow: u32,
}

impl PageHeader {
    /// Reads the header at the start of `bytes`; `None` when there are fewer than 16.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            id: u64_at(bytes, 0)?,
            flags: u16_at(bytes, 8)?,
            count: u16_at(bytes, 10)?,
            overflow: u32_at(bytes, 12)?,
        })
    }

    /// The kind, when exactly one known bit is set.
    pub fn kind(&self) -> Option<PageKind> {
        match self.flags {
            0x01 => Some(PageKind::Branch),
            0x02 => Some(PageKind::Leaf),
            0x04 => Some(PageKind::Meta),
            0x10 => Some(PageKind::Freelist),
            _ => None,
        }
    }

    /// Pages in the run: this one and its overflow.
    pub fn run_pages(&self) -> u64 {
        u64::from(self.overflow) + 1
    }
}
