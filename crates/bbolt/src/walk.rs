//! Walks one tree from its root page, in key order, and checks its shape.
//!
//! The walk sees only [`Node`]s: what the caller kept of each run as it passed. The order of keys
//! inside a page was checked then; here come the order between pages, the depth, and that no page
//! is used twice.

use crate::limits::DEPTH_MAX;
use crate::page_set::PageSet;
use crate::problem::{BboltError, Problem};

/// What is kept of a run for the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A leaf page.
    Leaf(LeafNode),
    /// A branch page.
    Branch(BranchNode),
    /// The stored freelist.
    Freelist {
        /// Number of overflow pages.
        overflow: u32,
        /// The free pages, ascending, unique, within the file.
        ids: Vec<u64>,
    },
    /// The page starts no run, or its content is damaged.
    Unsound(Problem),
}

/// What is kept of a leaf page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeafNode {
    /// Number of overflow pages.
    pub overflow: u32,
    /// Number of elements.
    pub count: u32,
    /// First key; empty when there is no element.
    pub first: Vec<u8>,
    /// Last key; empty when there is no element.
    pub last: Vec<u8>,
    /// The elements that are buckets.
    pub buckets: Vec<BucketEntry>,
}

/// A bucket as its parent's leaf page describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketEntry {
    /// The bucket's name.
    pub name: Vec<u8>,
    /// Where its content is.
    pub root: BucketRoot,
}

/// Where a bucket starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketRoot {
    /// At the root page of a tree.
    Page(u64),
    /// In the value of the element itself.
    Inline,
}

/// What is kept of a branch page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BranchNode {
    /// Number of overflow pages.
    pub overflow: u32,
    /// Key and page of each child, in order.
    pub children: Vec<(Vec<u8>, u64)>,
}

/// Gives what was kept of each page.
pub trait Pages {
    /// Why a node cannot be had; a failed check is converted into it.
    type Error: From<BboltError>;

    /// The node of the run that starts at `pgid`, which is within the file.
    ///
    /// # Errors
    /// The implementation's own, for example a scratch file that cannot be read.
    fn node(&self, pgid: u64) -> Result<Node, Self::Error>;
}

/// Page numbers that are in use so far, and the end of the file.
#[derive(Debug)]
pub(crate) struct Reached {
    pages: PageSet,
    high_water: u64,
}

impl Reached {
    /// Only the meta pages are in use.
    pub(crate) fn new(high_water: u64) -> Self {
        let mut pages = PageSet::new(high_water);
        pages.insert(0);
        pages.insert(1);
        Self { pages, high_water }
    }

    /// Marks a page as in use before it is looked at.
    fn enter(&mut self, page: u64) -> Result<(), BboltError> {
        let refused = |problem| Err(BboltError::Structure { page, problem });
        if page >= self.high_water {
            return refused(Problem::PageBeyondFile { high_water: self.high_water });
        }
        if !self.pages.insert(page) {
            return refused(Problem::ReferencedTwice);
        }
        Ok(())
    }

    /// Marks the overflow pages of a run as in use.
    pub(crate) fn enter_overflow(&mut self, page: u64, overflow: u32) -> Result<(), BboltError> {
        (1..=u64::from(overflow)).try_for_each(|further| self.enter(page + further))
    }

    /// Marks a page, fetches its node, and marks its overflow.
    pub(crate) fn visit<P: Pages>(&mut self, page: u64, pages: &P) -> Result<Node, P::Error> {
        self.enter(page)?;
        let node = pages.node(page)?;
        let overflow = match &node {
            Node::Leaf(leaf) => leaf.overflow,
            Node::Branch(branch) => branch.overflow,
            Node::Freelist { overflow, .. } => *overflow,
            Node::Unsound(problem) => {
                return Err(BboltError::Structure { page, problem: *problem }.into());
            }
        };
        self.enter_overflow(page, overflow)?;
        Ok(node)
    }

    pub(crate) fn contains(&self, page: u64) -> bool {
        self.pages.contains(page)
    }

    pub(crate) fn len(&self) -> u64 {
        self.pages.len()
    }
}

/// One branch page on the way from the root to the page at hand.
struct Level {
    children: Vec<(Vec<u8>, u64)>,
    next: usize,
    /// Keys below this page must be less; `None` at the right edge of the tree.
    upper: Option<Vec<u8>>,
}

/// The range that a parent gives a child: at least `lower`, less than `upper`.
#[derive(Default)]
struct Bounds {
    lower: Option<Vec<u8>>,
    upper: Option<Vec<u8>>,
}

impl Bounds {
    fn admit(&self, first: &[u8], last: &[u8]) -> bool {
        self.lower.as_deref().is_none_or(|lower| lower <= first)
            && self.upper.as_deref().is_none_or(|upper| last < upper)
    }
}

/// A walk under way.
struct Walk {
    levels: Vec<Level>,
    leaf_depth: Option<usize>,
}

/// Visits every leaf below `root` in key order.
///
/// # Errors
/// The first check that fails, with the page it fails on, or what `pages` or `on_leaf` returns.
pub(crate) fn walk_tree<P: Pages>(
    root: u64,
    pages: &P,
    reached: &mut Reached,
    mut on_leaf: impl FnMut(u64, LeafNode) -> Result<(), P::Error>,
) -> Result<(), P::Error> {
    let mut walk = Walk { levels: Vec::new(), leaf_depth: None };
    let mut next = Some((root, Bounds::default()));
    while let Some((page, bounds)) = next {
        match reached.visit(page, pages)? {
            Node::Leaf(leaf) => {
                walk.check_leaf(page, &leaf, &bounds)?;
                on_leaf(page, leaf)?;
            }
            Node::Branch(branch) => walk.descend(page, branch, bounds)?,
            Node::Freelist { .. } | Node::Unsound(_) => {
                return Err(BboltError::Structure { page, problem: Problem::WrongType }.into());
            }
        }
        next = walk.advance();
    }
    Ok(())
}

impl Walk {
    fn check_leaf(
        &mut self,
        page: u64,
        leaf: &LeafNode,
        bounds: &Bounds,
    ) -> Result<(), BboltError> {
        let refused = |problem| Err(BboltError::Structure { page, problem });
        let depth = self.levels.len();
        let expected = *self.leaf_depth.get_or_insert(depth);
        if depth != expected {
            let (expected, found) = (count_u32(expected), count_u32(depth));
            return refused(Problem::UnequalDepth { expected, found });
        }
        if leaf.count > 0 && !bounds.admit(&leaf.first, &leaf.last) {
            return refused(Problem::OutsideParentRange);
        }
        Ok(())
    }

    fn descend(&mut self, page: u64, branch: BranchNode, bounds: Bounds) -> Result<(), BboltError> {
        let refused = |problem| Err(BboltError::Structure { page, problem });
        let (Some((first, _)), Some((last, _))) = (branch.children.first(), branch.children.last())
        else {
            return refused(Problem::EmptyBranch);
        };
        if !bounds.admit(first, last) {
            return refused(Problem::OutsideParentRange);
        }
        if self.levels.len() >= DEPTH_MAX {
            return refused(Problem::TooDeep);
        }
        self.levels.push(Level { children: branch.children, next: 0, upper: bounds.upper });
        Ok(())
    }

    /// The next page in key order, with its bounds; drops levels that are done.
    fn advance(&mut self) -> Option<(u64, Bounds)> {
        loop {
            let level = self.levels.last_mut()?;
            if let Some((lower, page)) = level.children.get_mut(level.next) {
                let (lower, page) = (std::mem::take(lower), *page);
                level.next += 1;
                let sibling = level.children.get(level.next).map(|(key, _)| key.clone());
                let upper = sibling.or_else(|| level.upper.clone());
                return Some((page, Bounds { lower: Some(lower), upper }));
            }
            self.levels.pop();
        }
    }
}

pub(crate) fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
