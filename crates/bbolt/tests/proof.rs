//! The structural proof on hand-made nodes: what it accepts, and the problem it names otherwise.

use std::collections::HashMap;

use lifeboat_bbolt::limits::{BUCKETS_MAX, DEPTH_MAX};
use lifeboat_bbolt::{
    BboltError, BranchNode, BucketContent, BucketEntry, BucketRoot, LeafNode, Meta, Node, Pages,
    Problem, Proof, prove,
};

struct Fixture {
    nodes: HashMap<u64, Node>,
    meta: Meta,
}

impl Pages for Fixture {
    type Error = BboltError;

    fn node(&self, pgid: u64) -> Result<Node, BboltError> {
        Ok(self.nodes.get(&pgid).cloned().unwrap_or(Node::Unsound(Problem::WrongId)))
    }
}

impl Fixture {
    /// A root bucket on page 2 with one bucket `b` on page 3, of `pages` pages in all.
    fn new(pages: u64, nodes: impl IntoIterator<Item = (u64, Node)>) -> Self {
        let meta = Meta { page_bytes: 4_096, root: 2, freelist: None, high_water: pages, txid: 9 };
        let mut fixture = Self { nodes: HashMap::new(), meta };
        fixture.nodes.insert(2, buckets(&[("b", BucketRoot::Page(3))]));
        fixture.nodes.extend(nodes);
        fixture
    }

    fn prove(&self) -> Result<Proof, BboltError> {
        prove(&self.meta, self)
    }

    fn refuses(&self, page: u64, problem: Problem) {
        assert_eq!(self.prove(), Err(BboltError::Structure { page, problem }));
    }
}

fn leaf(first: &str, last: &str) -> Node {
    let (first, last) = (first.as_bytes().to_vec(), last.as_bytes().to_vec());
    Node::Leaf(LeafNode { count: 2, first, last, ..LeafNode::default() })
}

fn branch(children: &[(&str, u64)]) -> Node {
    let children = children.iter().map(|(key, page)| (key.as_bytes().to_vec(), *page)).collect();
    Node::Branch(BranchNode { overflow: 0, children })
}

fn buckets(entries: &[(&str, BucketRoot)]) -> Node {
    let name = |name: &str| name.as_bytes().to_vec();
    let buckets: Vec<BucketEntry> =
        entries.iter().map(|(key, root)| BucketEntry { name: name(key), root: *root }).collect();
    Node::Leaf(LeafNode {
        overflow: 0,
        count: (0..).zip(&buckets).map(|(index, _)| index + 1).last().unwrap_or(0),
        first: entries.first().map(|(key, _)| name(key)).unwrap_or_default(),
        last: entries.last().map(|(key, _)| name(key)).unwrap_or_default(),
        buckets,
    })
}

#[test]
fn a_sound_file_is_proved() {
    let mut fixture = Fixture::new(
        9,
        [
            (3, branch(&[("a", 5), ("m", 4)])),
            (4, leaf("n", "z")),
            (5, leaf("a", "lzzz")),
            (6, leaf("stale", "page")),
        ],
    );
    let entries = [("b", BucketRoot::Page(3)), ("c", BucketRoot::Inline)];
    fixture.nodes.insert(2, buckets(&entries));
    let proof = fixture.prove().unwrap();
    assert_eq!((proof.pages_total, proof.pages_reachable, proof.pages_free), (9, 6, 3));
    let contents: Vec<_> = proof.buckets.iter().map(|bucket| &bucket.content).collect();
    let inline = BucketContent::Inline { page: 2, entry: 1 };
    assert_eq!(contents, [&BucketContent::Leaves(vec![5, 4]), &inline]);
}

#[test]
fn an_empty_leaf_has_no_bounds_to_break() {
    let empty = Node::Leaf(LeafNode::default());
    Fixture::new(4, [(3, empty.clone())]).prove().unwrap();
    let nodes = [(3, branch(&[("a", 4), ("m", 5)])), (4, empty), (5, leaf("m", "z"))];
    Fixture::new(6, nodes).prove().unwrap();
}

#[test]
fn bounds_come_from_every_level() {
    let tree = |left: Node, right: Node| {
        let nodes = [
            (3, branch(&[("b", 4), ("m", 5)])),
            (4, branch(&[("b", 6), ("f", 7)])),
            (5, branch(&[("m", 8)])),
            (6, left),
            (7, right),
            (8, leaf("m", "z")),
        ];
        Fixture::new(9, nodes)
    };
    tree(leaf("b", "e"), leaf("f", "l")).prove().unwrap();
    tree(leaf("b", "f"), leaf("f", "l")).refuses(6, Problem::OutsideParentRange);
    tree(leaf("a", "e"), leaf("f", "l")).refuses(6, Problem::OutsideParentRange);
    tree(leaf("b", "e"), leaf("e", "l")).refuses(7, Problem::OutsideParentRange);
    tree(leaf("b", "e"), leaf("f", "m")).refuses(7, Problem::OutsideParentRange);
}

#[test]
fn branches_stay_in_their_bounds() {
    let tree = |inner: Node| {
        let nodes = [
            (3, branch(&[("b", 4), ("m", 5)])),
            (4, inner),
            (5, branch(&[("m", 8)])),
            (6, leaf("b", "e")),
            (7, leaf("f", "l")),
            (8, leaf("m", "z")),
        ];
        Fixture::new(9, nodes)
    };
    tree(branch(&[("a", 6), ("f", 7)])).refuses(4, Problem::OutsideParentRange);
    tree(branch(&[("b", 6), ("m", 7)])).refuses(4, Problem::OutsideParentRange);
    tree(branch(&[])).refuses(4, Problem::EmptyBranch);
}

#[test]
fn a_page_is_used_once() {
    let twice = [(3, branch(&[("a", 4), ("m", 4)])), (4, leaf("a", "b"))];
    Fixture::new(5, twice).refuses(4, Problem::ReferencedTwice);
    Fixture::new(5, [(3, branch(&[("a", 3)]))]).refuses(3, Problem::ReferencedTwice);
    Fixture::new(5, [(3, branch(&[("a", 2)]))]).refuses(2, Problem::ReferencedTwice);
    Fixture::new(5, [(3, branch(&[("a", 0)]))]).refuses(0, Problem::ReferencedTwice);
    let two_buckets = [("a", BucketRoot::Page(3)), ("b", BucketRoot::Page(3))];
    let nodes = [(2, buckets(&two_buckets)), (3, leaf("a", "b"))];
    Fixture::new(5, nodes).refuses(3, Problem::ReferencedTwice);
    let mut wide = LeafNode { overflow: 1, ..LeafNode::default() };
    let nodes = [(3, branch(&[("a", 4), ("m", 5)])), (4, Node::Leaf(wide.clone()))];
    Fixture::new(6, nodes).refuses(5, Problem::ReferencedTwice);
    wide.overflow = 9;
    let beyond = Problem::PageBeyondFile { high_water: 6 };
    Fixture::new(6, [(3, Node::Leaf(wide))]).refuses(6, beyond);
}

#[test]
fn leaves_have_one_depth() {
    let nodes = [
        (3, branch(&[("a", 4), ("m", 5)])),
        (4, leaf("a", "b")),
        (5, branch(&[("m", 6)])),
        (6, leaf("m", "n")),
    ];
    Fixture::new(7, nodes).refuses(6, Problem::UnequalDepth { expected: 1, found: 2 });
}

#[test]
fn trees_have_a_greatest_depth() {
    let chain = |levels: u64| {
        let branches = (3..3 + levels).map(|page| (page, branch(&[("a", page + 1)])));
        let nodes: Vec<_> = branches.chain([(3 + levels, leaf("a", "b"))]).collect();
        Fixture::new(4 + levels, nodes)
    };
    let deepest = DEPTH_MAX as u64;
    chain(deepest).prove().unwrap();
    chain(deepest + 1).refuses(3 + deepest, Problem::TooDeep);
    chain(100_000).refuses(3 + deepest, Problem::TooDeep);
}

#[test]
fn the_root_bucket_holds_buckets_only() {
    Fixture::new(4, [(2, leaf("a", "b"))]).refuses(2, Problem::RootElement);
    let nested = buckets(&[("x", BucketRoot::Inline)]);
    Fixture::new(4, [(3, nested)]).refuses(3, Problem::NestedBucket);
    let freelist = Node::Freelist { overflow: 0, ids: Vec::new() };
    Fixture::new(4, [(3, freelist)]).refuses(3, Problem::WrongType);
    Fixture::new(4, []).refuses(3, Problem::WrongId);
}

#[test]
fn the_number_of_buckets_is_limited() {
    let with = |count: usize| {
        let names: Vec<String> = (0..count).map(|i| format!("{i:06}")).collect();
        let entries: Vec<_> = names.iter().map(|name| (&**name, BucketRoot::Inline)).collect();
        Fixture::new(3, [(2, buckets(&entries))])
    };
    assert_eq!(with(BUCKETS_MAX).prove().unwrap().buckets.len(), BUCKETS_MAX);
    with(BUCKETS_MAX + 1).refuses(2, Problem::TooManyBuckets);
}

#[test]
fn a_stored_freelist_accounts_for_every_page() {
    let with = |ids: &[u64]| {
        let list = Node::Freelist { overflow: 1, ids: ids.to_vec() };
        let mut fixture = Fixture::new(9, [(3, leaf("a", "b")), (4, list)]);
        fixture.meta.freelist = Some(4);
        fixture
    };
    let proof = with(&[6, 7, 8]).prove().unwrap();
    assert_eq!((proof.pages_reachable, proof.pages_free), (6, 3));
    with(&[6, 8]).refuses(7, Problem::Lost);
    with(&[]).refuses(6, Problem::Lost);
    with(&[3, 6, 7, 8]).refuses(3, Problem::FreeAndInUse);
    with(&[5, 6, 7, 8]).refuses(5, Problem::FreeAndInUse);
    let mut leaf_as_list = with(&[6, 7, 8]);
    leaf_as_list.meta.freelist = Some(3);
    leaf_as_list.refuses(3, Problem::WrongType);
}

#[test]
fn limits_are_told_from_damage() {
    assert_eq!(Problem::TooDeep.limit(), Some("DEPTH_MAX"));
    assert_eq!(Problem::RunTooLong.limit(), Some("RUN_BYTES_MAX"));
    assert_eq!(Problem::ReferencedTwice.limit(), None);
}
