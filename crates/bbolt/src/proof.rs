//! Proves that a file's pages form sound trees.
//!
//! At least as strict as bbolt's own `Check`: every page is used exactly once, overflow pages
//! included; keys ascend within and across pages and stay within the bounds of the parent; all
//! leaves of a tree have one depth; with a stored freelist every page is either in use or free.
//! Stricter than bbolt: the root bucket holds only buckets, those hold none, and pages carry their
//! own number.

use crate::limits::BUCKETS_MAX;
use crate::meta::Meta;
use crate::problem::{BboltError, Problem};
use crate::walk::{BucketRoot, Node, Pages, Reached, walk_tree};

/// A file that is sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Pages in the file: the high-water mark.
    pub pages_total: u64,
    /// Pages in use, the two meta pages and a stored freelist included.
    pub pages_reachable: u64,
    /// Pages not in use.
    pub pages_free: u64,
    /// The buckets in the byte order of their names.
    pub buckets: Vec<BucketTree>,
}

/// One bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketTree {
    /// The bucket's name.
    pub name: Vec<u8>,
    /// Where its rows are.
    pub content: BucketContent,
}

/// Where the rows of a bucket are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketContent {
    /// In these leaf pages, in key order.
    Leaves(Vec<u64>),
    /// In a value of this leaf page of the root bucket.
    Inline {
        /// The leaf page.
        page: u64,
        /// Which of the page's buckets it is, counted from 0.
        entry: usize,
    },
}

/// Walks all trees of a file, whose meta page [`crate::PageRuns::finish`] gave (it bounds the number
/// of pages, and so the memory).
///
/// # Errors
/// The first check that fails as [`BboltError::Structure`], or what `pages` returns.
pub fn prove<P: Pages>(meta: &Meta, pages: &P) -> Result<Proof, P::Error> {
    let mut reached = Reached::new(meta.high_water);
    let free = match meta.freelist {
        Some(page) => Some(read_freelist(page, pages, &mut reached)?),
        None => None,
    };
    let mut buckets = Vec::new();
    for root in root_entries(meta, pages, &mut reached)? {
        let content = match root.root {
            BucketRoot::Inline => root.inline,
            BucketRoot::Page(page) => bucket_leaves(page, pages, &mut reached)?,
        };
        buckets.push(BucketTree { name: root.name, content });
    }
    if let Some(free) = free {
        check_freelist(&free, &reached, meta.high_water)?;
    }
    Ok(Proof {
        pages_total: meta.high_water,
        pages_reachable: reached.len(),
        pages_free: meta.high_water - reached.len(),
        buckets,
    })
}

/// A bucket as the root bucket lists it.
struct RootEntry {
    name: Vec<u8>,
    root: BucketRoot,
    inline: BucketContent,
}

/// All buckets of the root bucket; anything else in it is refused.
fn root_entries<P: Pages>(
    meta: &Meta,
    pages: &P,
    reached: &mut Reached,
) -> Result<Vec<RootEntry>, P::Error> {
    let mut entries = Vec::new();
    walk_tree(meta.root, pages, reached, |page, leaf| {
        let refused = |problem| Err(BboltError::Structure { page, problem }.into());
        if leaf.buckets.len() != leaf.count as usize {
            return refused(Problem::RootElement);
        }
        if entries.len() + leaf.buckets.len() > BUCKETS_MAX {
            return refused(Problem::TooManyBuckets);
        }
        let listed = leaf.buckets.into_iter().enumerate().map(|(entry, bucket)| RootEntry {
            name: bucket.name,
            root: bucket.root,
            inline: BucketContent::Inline { page, entry },
        });
        entries.extend(listed);
        Ok(())
    })?;
    Ok(entries)
}

fn bucket_leaves<P: Pages>(
    root: u64,
    pages: &P,
    reached: &mut Reached,
) -> Result<BucketContent, P::Error> {
    let mut leaves = Vec::new();
    walk_tree(root, pages, reached, |page, leaf| {
        if !leaf.buckets.is_empty() {
            let problem = Problem::NestedBucket;
            return Err(BboltError::Structure { page, problem }.into());
        }
        leaves.push(page);
        Ok(())
    })?;
    Ok(BucketContent::Leaves(leaves))
}

fn read_freelist<P: Pages>(
    page: u64,
    pages: &P,
    reached: &mut Reached,
) -> Result<Vec<u64>, P::Error> {
    match reached.visit(page, pages)? {
        Node::Freelist { ids, .. } => Ok(ids),
        _ => Err(BboltError::Structure { page, problem: Problem::WrongType }.into()),
    }
}

/// Every page is in use or free, and none is both.
fn check_freelist(free: &[u64], reached: &Reached, high_water: u64) -> Result<(), BboltError> {
    if let Some(page) = free.iter().copied().find(|page| reached.contains(*page)) {
        return Err(BboltError::Structure { page, problem: Problem::FreeAndInUse });
    }
    // The list ascends strictly and shares nothing with the pages in use, so counting would be
    // enough; the search is for the message.
    let mut free = free.iter().copied().peekable();
    for page in 0..high_water {
        let is_free = free.next_if_eq(&page).is_some();
        if !is_free && !reached.contains(page) {
            return Err(BboltError::Structure { page, problem: Problem::Lost });
        }
    }
    Ok(())
}
