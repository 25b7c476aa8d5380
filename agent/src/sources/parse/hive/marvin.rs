//! Marvin32, the hash of log entries, with the seed that Windows uses for them.

use crate::sources::parse::paged::le32;

const SEED: (u32, u32) = (0x7a4e_55c5, 0x82ef_4d88);

/// The hash of bytes that come in pieces. All pieces but the last have a multiple of four bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marvin(u32, u32);

impl Marvin {
    pub(super) const fn new() -> Self {
        Self(SEED.0, SEED.1)
    }

    fn word(&mut self, word: u32) {
        self.0 = self.0.wrapping_add(word);
        self.1 ^= self.0;
        self.0 = self.0.rotate_left(20).wrapping_add(self.1);
        self.1 = self.1.rotate_left(9) ^ self.0;
        self.0 = self.0.rotate_left(27).wrapping_add(self.1);
        self.1 = self.1.rotate_left(19);
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        (0..bytes.len() / 4).for_each(|at| self.word(le32(bytes, at * 4)));
    }

    /// The hash in the byte order in which it is stored.
    pub(super) fn finish(mut self) -> u64 {
        // The bytes of a log entry are always a multiple of four, so only the mark of the end is left.
        self.word(0x80);
        self.word(0);
        u64::from(self.1) << 32 | u64::from(self.0)
    }
}

/// The hash of bytes.
pub(super) fn of(bytes: &[u8]) -> u64 {
    let mut hash = Marvin::new();
    hash.add(bytes);
    hash.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_one_that_windows_uses() {
        // From the tests of .NET, which has the same function with other seeds.
        for (bytes, hash) in [(&[][..], 0x30ed_35c1_00cd_3c7d), (&[0x86, 0x42, 0xdc, 0x59], 0x7008_f2e8_7e9c_f556)] {
            let mut marvin = Marvin(0x001b_dbcc, 0x004f_b61a);
            marvin.add(bytes);
            assert_eq!(marvin.finish(), hash, "{bytes:x?}");
        }
    }
}
