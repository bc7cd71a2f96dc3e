//! Exactly one zstd frame in, its content out, and nothing that the frame's own checksum does
//! not cover.
//!
//! Invariants: never more than `bytes_max` bytes are written; the end is reached only if
//! libzstd found the content checksum right and the input ends with the frame.

use crate::encode::{BUFFER_BYTES, read_some};
use crate::error::{Error, Stopped};
use crate::frame;
use std::io::{self, Read, Write};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// Unpacks the one frame that `from` is.
///
/// # Errors
/// [`Stopped`] says which end failed, or what is wrong with the frame. What was written by then
/// must not be used.
pub(crate) fn decode(
    from: &mut impl Read,
    to: &mut impl Write,
    bytes_max: u64,
) -> Result<(), Stopped> {
    let mut input = Input::new(from);
    input.fill(frame::HEADER_BYTES_MAX)?;
    frame::check(input.unread(), bytes_max)?;
    unpack(&mut input, to, bytes_max)?;
    input.fill(frame::MAGIC.len())?;
    if input.unread().is_empty() {
        return Ok(());
    }
    let found = frame::describe_trailing(input.unread());
    Err(Error::Trailing { found }.into())
}

/// Unpacks up to the end of the frame and leaves what comes after it unread.
fn unpack<R: Read>(
    input: &mut Input<'_, R>,
    to: &mut impl Write,
    bytes_max: u64,
) -> Result<(), Stopped> {
    let mut decoder = decoder().map_err(|source| Error::Codec { verb: "decompress", source })?;
    let mut output = vec![0; BUFFER_BYTES];
    let mut written: u64 = 0;
    loop {
        let at_end = input.fill(1)? == 0;
        let mut block = InBuffer::around(input.unread());
        let mut room = OutBuffer::around(&mut output[..]);
        let result = decoder.run(&mut block, &mut room);
        let taken = block.pos();
        let bytes = input.total;
        let remaining = result.map_err(|e| Error::Damaged { problem: e.to_string(), bytes })?;
        input.consume(taken);
        let unpacked = room.as_slice();
        written += unpacked.len() as u64;
        if written > bytes_max {
            return Err(Error::TooLarge { bytes_max }.into());
        }
        to.write_all(unpacked).map_err(Stopped::Write)?;
        if remaining == 0 {
            return Ok(());
        }
        // At the end of the input the decoder may still hold output; only silence means "cut".
        if at_end && unpacked.is_empty() {
            return Err(Error::Truncated { bytes }.into());
        }
    }
}

fn decoder() -> io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(frame::WINDOW_LOG_MAX))?;
    Ok(decoder)
}

/// A buffer before the input, so that its beginning can be looked at before it is used.
struct Input<'a, R> {
    from: &'a mut R,
    buffer: Vec<u8>,
    begin: usize,
    end: usize,
    /// Bytes read so far.
    total: u64,
}

impl<'a, R: Read> Input<'a, R> {
    fn new(from: &'a mut R) -> Self {
        Input { from, buffer: vec![0; BUFFER_BYTES], begin: 0, end: 0, total: 0 }
    }

    /// Reads until at least `wanted` bytes are unread, or the input ends; says how many are.
    fn fill(&mut self, wanted: usize) -> Result<usize, Stopped> {
        while self.end - self.begin < wanted {
            self.buffer.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
            let room = &mut self.buffer[self.end..];
            let length = read_some(self.from, room).map_err(Stopped::Read)?;
            if length == 0 {
                break;
            }
            self.end += length;
            self.total += length as u64;
        }
        Ok(self.end - self.begin)
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.begin..self.end]
    }

    fn consume(&mut self, length: usize) {
        self.begin += length;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "the other decoder reads what was just bounded")]

    use super::*;
    use crate::encode::{Settings, encode};
    use contract::{Exit, Failure};
    use proptest::prelude::*;

    fn frame(content: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        encode(&mut &*content, &mut packed, Settings { level: 3, threads: 0 }).unwrap();
        packed
    }

    fn unpack_all(frame: &[u8]) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        match decode(&mut &*frame, &mut content, 1 << 20) {
            Ok(()) => Ok(content),
            Err(Stopped::Failed(e)) => Err(e),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn i16_f45_no_flipped_bit_ever_gives_other_bytes() {
        let content: Vec<u8> = (0..400_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let whole = frame(&content);
        let mut noticed = 0;
        for bit in 0..whole.len() * 8 {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            match unpack_all(&damaged) {
                Ok(bytes) => assert_eq!(bytes, content, "bit {bit}"),
                Err(e) => {
                    let exit = e.exit();
                    assert!(matches!(exit, Exit::Corrupt | Exit::Unsupported), "bit {bit}: {e}");
                    noticed += 1;
                }
            }
        }
        // Almost all of them matter; if not, this test would prove nothing.
        assert!(noticed > whole.len() * 8 * 9 / 10, "{noticed} of {}", whole.len() * 8);
    }

    #[test]
    fn a_reader_that_gives_single_bytes_changes_nothing() {
        struct Drip<'a>(&'a [u8]);
        impl Read for Drip<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let length = buffer.len().min(1);
                self.0.read(&mut buffer[..length])
            }
        }
        let content = b"drip, drop".repeat(500);
        let packed = frame(&content);
        let mut unpacked = Vec::new();
        decode(&mut Drip(&packed), &mut unpacked, 5000).unwrap();
        assert_eq!(unpacked, content);
        let two = [packed.clone(), packed].concat();
        let error = decode(&mut Drip(&two), &mut Vec::new(), 5000).unwrap_err();
        assert!(matches!(error, Stopped::Failed(Error::Trailing { .. })), "{error:?}");
    }

    /// What stands in one input, one behind the other.
    #[derive(Debug, Clone)]
    enum Piece {
        Frame {
            content: Vec<u8>,
            has_checksum: bool,
        },
        Skippable(Vec<u8>),
        Other(Vec<u8>),
        /// A header made up of these fields, and something behind it.
        Header {
            descriptor: u8,
            fields: Vec<u8>,
            rest: Vec<u8>,
        },
    }

    impl Piece {
        fn bytes(&self) -> Vec<u8> {
            match self {
                Piece::Frame { content, has_checksum } => {
                    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
                    encoder.include_checksum(*has_checksum).unwrap();
                    encoder.write_all(content).unwrap();
                    encoder.finish().unwrap()
                }
                Piece::Skippable(content) => {
                    let length = u32::try_from(content.len()).unwrap().to_le_bytes();
                    [&[0x57, 0x2a, 0x4d, 0x18], &length[..], content].concat()
                }
                Piece::Other(bytes) => bytes.clone(),
                Piece::Header { descriptor, fields, rest } => {
                    [&frame::MAGIC[..], &[*descriptor], fields, rest].concat()
                }
            }
        }
    }

    fn piece() -> impl Strategy<Value = Piece> {
        let bytes = |max: usize| prop::collection::vec(any::<u8>(), 0..max);
        // Long runs of one byte pack well: small inputs with large contents.
        let content = prop_oneof![
            bytes(300),
            (any::<u8>(), 0..200_000_usize).prop_map(|(byte, length)| vec![byte; length])
        ];
        let whole = (content, prop::bool::weighted(0.8))
            .prop_map(|(content, has_checksum)| Piece::Frame { content, has_checksum });
        let made_up = (any::<u8>(), bytes(14), bytes(30))
            .prop_map(|(descriptor, fields, rest)| Piece::Header { descriptor, fields, rest });
        prop_oneof![
            5 => whole,
            1 => bytes(20).prop_map(Piece::Skippable),
            1 => bytes(20).prop_map(Piece::Other),
            2 => made_up,
        ]
    }

    /// Takes no more than it may get.
    struct Limited(Vec<u8>, usize);

    impl Write for Limited {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.extend_from_slice(bytes);
            assert!(self.0.len() <= self.1, "{} bytes of at most {}", self.0.len(), self.1);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 400,
            rng_seed: prop::test_runner::RngSeed::Fixed(20_261_120),
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn f46_f50_i16_any_input_is_one_whole_frame_or_refused(
            pieces in prop::collection::vec(piece(), 1..3),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 0..3),
            bytes_max in prop_oneof![Just(1_000_usize), Just(150_000), Just(1 << 20)],
        ) {
            let mut input: Vec<u8> = pieces.iter().flat_map(Piece::bytes).collect();
            for (place, bit) in flips.iter().filter(|_| !input.is_empty()).cloned().collect::<Vec<_>>() {
                let place = place.index(input.len());
                input[place] ^= 1 << bit;
            }
            let mut output = Limited(Vec::new(), bytes_max);
            match decode(&mut &*input, &mut output, bytes_max as u64) {
                Ok(()) => {
                    let one = zstd::zstd_safe::find_frame_compressed_size(&input);
                    prop_assert_eq!(one, Ok(input.len()), "more than one frame");
                    prop_assert!(input[4] & 4 != 0, "no checksum");
                    prop_assert_eq!(zstd::decode_all(&*input).unwrap(), output.0);
                }
                Err(Stopped::Failed(e)) => {
                    prop_assert!(matches!(e.exit(), Exit::Corrupt | Exit::Unsupported), "{}", e);
                    // What is whole, alone and small enough is never refused.
                    let is_plain = matches!(&pieces[..], [Piece::Frame { content, has_checksum: true }]
                        if flips.is_empty() && content.len() <= bytes_max);
                    prop_assert!(!is_plain, "{}", e);
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}
