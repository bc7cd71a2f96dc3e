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

impl PageKind {
    /// The kind's bit in the flags field.
    pub(crate) fn flag(self) -> u16 {
        match self {
            Self::Branch => 0x01,
            Self::Leaf => 0x02,
            Self::Meta => 0x04,
            Self::Freelist => 0x10,
        }
    }
}

impl PageHeader {
    /// The header as it stands in the file.
    pub(crate) fn to_bytes(self) -> [u8; PAGE_HEADER_BYTES] {
        let mut bytes = [0; PAGE_HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.id.to_le_bytes());
        bytes[8..10].copy_from_slice(&self.flags.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.count.to_le_bytes());
        bytes[12..].copy_from_slice(&self.overflow.to_le_bytes());
        bytes
    }

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
        let kinds = [PageKind::Branch, PageKind::Leaf, PageKind::Meta, PageKind::Freelist];
        kinds.into_iter().find(|kind| kind.flag() == self.flags)
    }

    /// Pages in the run: this one and its overflow.
    pub fn run_pages(&self) -> u64 {
        u64::from(self.overflow) + 1
    }
}
