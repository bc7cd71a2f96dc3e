//! Meta pages 0 and 1: where the trees start and how long the file is.
//!
//! The 64 bytes stand behind the page header: magic u32, version u32, page size u32, flags u32,
//! root page u64, root sequence u64, freelist page u64, high-water mark u64, transaction id u64,
//! checksum u64. The checksum is FNV-1a 64 over the 56 bytes before it.

use crate::bytes::{u32_at, u64_at};
use crate::freelist::NO_FREELIST;
use crate::limits::{PAGE_BYTES_MAX, PAGE_BYTES_MIN};
use crate::page::{PAGE_HEADER_BYTES, PageHeader, PageKind};
use crate::problem::Problem;

/// Length of a meta record behind its page header, in bytes.
pub const META_BYTES: usize = 64;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
const CHECKED_BYTES: usize = 56;

/// A meta page whose magic number, version, checksum and page size are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Page size in bytes, a power of two.
    pub page_bytes: u32,
    /// Root page of the root bucket.
    pub root: u64,
    /// Page of the stored freelist, if one is stored.
    pub freelist: Option<u64>,
    /// First page number that was never used: the file's length in pages.
    pub high_water: u64,
    /// Transaction that wrote this page.
    pub txid: u64,
}

impl Meta {
    /// Reads the meta record of a page (header included).
    ///
    /// # Errors
    /// The first check that fails: length, magic number, checksum, version, page size.
    pub fn parse(page: &[u8]) -> Result<Self, Problem> {
        let record = page.get(PAGE_HEADER_BYTES..).ok_or(Problem::Short)?;
        let field = |at| u32_at(record, at).ok_or(Problem::Short);
        let wide = |at| u64_at(record, at).ok_or(Problem::Short);

        let checked = record.get(..CHECKED_BYTES).ok_or(Problem::Short)?;
        let (magic, version, page_bytes) = (field(0)?, field(4)?, field(8)?);
        let (found, computed) = (wide(CHECKED_BYTES)?, fnv1a64(checked));
        if magic != MAGIC {
            return Err(Problem::MetaMagic { found: magic });
        }
        if found != computed {
            return Err(Problem::MetaChecksum { found, computed });
        }
        // Under a checksum that holds it is no damage: a newer bbolt wrote it.
        if version != VERSION {
            return Err(Problem::MetaVersion { found: version });
        }
        if !page_bytes.is_power_of_two() || !(PAGE_BYTES_MIN..=PAGE_BYTES_MAX).contains(&page_bytes)
        {
            return Err(Problem::MetaPageSize { found: page_bytes });
        }
        let freelist = wide(32)?;
        Ok(Self {
            page_bytes,
            root: wide(16)?,
            freelist: (freelist != NO_FREELIST).then_some(freelist),
            high_water: wide(40)?,
            txid: wide(48)?,
        })
    }

    /// Reads the meta record, and checks the header of the page around it.
    ///
    /// # Errors
    /// As [`Meta::parse`], and [`Problem::MetaHeader`].
    pub(crate) fn parse_page(page: &[u8], pgid: u64) -> Result<Self, Problem> {
        let meta = Self::parse(page)?;
        let header = PageHeader::parse(page).ok_or(Problem::Short)?;
        if header.id != pgid || header.kind() != Some(PageKind::Meta) || header.overflow != 0 {
            return Err(Problem::MetaHeader);
        }
        Ok(meta)
    }

    /// The page as it stands in the file, as far as it is used.
    pub(crate) fn to_page(self, pgid: u64) -> Vec<u8> {
        let freelist = self.freelist.unwrap_or(NO_FREELIST);
        let narrow = [MAGIC, VERSION, self.page_bytes, 0].map(u32::to_le_bytes).concat();
        let wide = [self.root, 0, freelist, self.high_water, self.txid].map(u64::to_le_bytes);
        let checked = [narrow, wide.concat()].concat();
        let checksum = fnv1a64(&checked).to_le_bytes();
        let flags = PageKind::Meta.flag();
        let header = PageHeader { id: pgid, flags, count: 0, overflow: 0 };
        [&header.to_bytes()[..], &checked, &checksum].concat()
    }

    /// Length of the database in bytes: high-water mark times page size.
    pub fn file_bytes(&self) -> u64 {
        self.high_water.saturating_mul(u64::from(self.page_bytes))
    }

    /// The pages that the meta page names must be in the file.
    pub(crate) fn check_pointers(&self) -> Result<(), Problem> {
        let high_water = self.high_water;
        for pgid in [Some(self.root), self.freelist].into_iter().flatten() {
            if !(2..high_water).contains(&pgid) {
                return Err(Problem::MetaPointer { pgid, high_water });
            }
        }
        Ok(())
    }
}

/// FNV-1a, 64 bits: the checksum of a meta page.
pub fn fnv1a64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3)
    })
}
