//! A body that is compressed while it is sent, piece by piece: no thread is held for as long as a large list takes, and a
//! client that does not read lets nothing be compressed.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Pieces;

/// How much goes into one piece.
const PIECE: usize = 64 * 1024;

/// Bytes that are still to be compressed; no `Debug`, since they may be secrets.
pub(super) struct Gzip {
    rest: Pieces,
    /// `None` once the end is written.
    encoder: Option<GzEncoder<Vec<u8>>>,
}

/// The bytes in pieces that are compressed one at a time.
pub(super) fn pieces_of(mut bytes: Bytes) -> Pieces {
    Box::new(std::iter::from_fn(move || (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(PIECE)))))
}

impl Gzip {
    pub(super) fn new(rest: Pieces) -> Self {
        // The fastest level, as upstream: the network is rarely slower than the next one.
        Self { rest, encoder: Some(GzEncoder::new(Vec::with_capacity(PIECE / 2), Compression::fast())) }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        const IN_MEMORY: &str = "a vector takes every byte";
        for piece in self.rest.by_ref() {
            let encoder = self.encoder.as_mut()?;
            encoder.write_all(&piece).expect(IN_MEMORY);
            let compressed = std::mem::replace(encoder.get_mut(), Vec::with_capacity(PIECE / 2));
            if !compressed.is_empty() {
                return Some(compressed.into());
            }
        }
        Some(self.encoder.take()?.finish().expect(IN_MEMORY).into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        // Unoptimized, compressing takes its time.
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn what_is_compressed_comes_back(seed: u8, length in 0_usize..200_000, dull: bool) {
            let step = if dull { 0 } else { 2_654_435_761_usize };
            let bytes: Vec<u8> = (0..length).map(|at| seed ^ (at.wrapping_mul(step) >> 16) as u8).collect();
            let mut gzip = Gzip::new(pieces_of(bytes.clone().into()));
            let pieces: Vec<Bytes> = std::iter::from_fn(|| gzip.next()).collect();
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty()), "an empty piece would end the body");
            let mut read = Vec::new();
            GzDecoder::new(&*pieces.concat()).read_to_end(&mut read).unwrap();
            prop_assert!(read == bytes);
        }
    }
}
