//! Bytes read as choices. When they are used up every further choice is 0, so that any input
//! means something and a shorter one means something simpler.

/// Input that begins with this byte is a list of choices. No text begins with it.
pub const STRUCTURED: u8 = 0xFF;

/// Numbers that are wrong in interesting ways.
const ODD: [u64; 20] = [
    0,
    1,
    2,
    15,
    16,
    17,
    0xFF,
    0x3FF,
    0x400,
    0xFFF,
    0x1000,
    0x7FFF,
    0xFFFF,
    1 << 31,
    0xFFFF_FFFF,
    1 << 32,
    1 << 53,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

#[derive(Debug)]
pub(crate) struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Choices { rest }
    }

    /// The choices of a structured input; `None` when it is to be taken as it is.
    pub(crate) fn of(input: &'a [u8]) -> Option<Self> {
        Some(Choices { rest: input.strip_prefix(&[STRUCTURED])? })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    pub(crate) fn wide(&mut self) -> u64 {
        u64::from_le_bytes([(); 8].map(|()| self.byte()))
    }

    /// A number below `end` (which is at least 1); takes as few bytes as `end` needs.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let mut number = usize::from(self.byte());
        if end > 1 << 8 {
            number = number << 8 | usize::from(self.byte());
        }
        if end > 1 << 16 {
            number = number << 8 | usize::from(self.byte());
        }
        number % end.max(1)
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }

    pub(crate) fn of_slice<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub(crate) fn odd_number(&mut self) -> u64 {
        match self.byte() % 4 {
            0 => u64::from(self.byte()),
            1 => self.wide(),
            _ => self.of_slice(&ODD),
        }
    }

    /// At most `max` bytes, as many as are chosen and as are left.
    pub(crate) fn bytes(&mut self, max: usize) -> &'a [u8] {
        let wanted = self.below(max + 1).min(self.rest.len());
        let (taken, rest) = self.rest.split_at(wanted);
        self.rest = rest;
        taken
    }
}
