//! Maps and sets by 64-bit states, with a quick hash: the keys are made here and by nobody who would attack it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

pub type KeyMap<T> = HashMap<u64, T, BuildHasherDefault<Mix>>;
pub type KeySet = HashSet<u64, BuildHasherDefault<Mix>>;

/// A multiplication and a shift.
#[derive(Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&b| self.write_u64(b.into()));
    }

    fn write_u64(&mut self, key: u64) {
        let mixed = (self.0 ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 29);
    }
}
