//! The generator of Python's `random` module, bit for bit, for tasks that others drew with it: the Mersenne Twister
//! MT19937 (Matsumoto and Nishimura, 1998) seeded by an integer, and the draws built on it.

/// Python's `random.Random(seed)`.
#[derive(Clone, Debug)]
pub struct PyRandom {
    state: [u32; N],
    at: usize,
}

const N: usize = 624;
const M: usize = 397;

impl PyRandom {
    /// As `random.Random(seed)` for an integer seed >= 0.
    pub fn new(seed: u64) -> PyRandom {
        let mut key = vec![seed as u32];
        if seed >> 32 != 0 {
            key.push((seed >> 32) as u32);
        }
        let mut random = PyRandom { state: linear(19_650_218), at: N };
        random.mix(&key);
        random
    }

    /// numpy's legacy `RandomState(seed)`: the same generator, seeded more simply. Draw from it with
    /// [`PyRandom::masked`].
    pub fn numpy(seed: u32) -> PyRandom {
        PyRandom { state: linear(seed), at: N }
    }

    /// numpy's `randint(below)`, for `below` from 1 to 2^32; drawn otherwise than Python's.
    pub fn masked(&mut self, below: usize) -> usize {
        let most = (below - 1) as u32;
        if most == 0 {
            return 0; // takes nothing from the generator
        }
        loop {
            let drawn = self.word() & (u32::MAX >> most.leading_zeros());
            if drawn <= most {
                return drawn as usize;
            }
        }
    }

    /// `getrandbits(bits)` for 1 to 32 bits.
    pub fn bits(&mut self, bits: u32) -> u32 {
        self.word() >> (32 - bits)
    }

    /// `random()`: in [0, 1) with 53 random bits.
    pub fn unit(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// `uniform(low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// `randrange(below)`, for `below` from 1 to 2^31.
    pub fn below(&mut self, below: usize) -> usize {
        let bits = usize::BITS - below.leading_zeros();
        loop {
            let drawn = self.bits(bits) as usize;
            if drawn < below {
                return drawn;
            }
        }
    }

    /// `shuffle(items)`.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.below(i + 1);
            items.swap(i, j);
        }
    }

    /// `sample(items, count)` as Python does it for up to 21 items; `count` is at most the number of items.
    pub fn sample<T: Copy>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut pool = items.to_vec();
        let draw = |i: usize| {
            let last = items.len() - i - 1;
            let j = self.below(last + 1);
            let drawn = pool[j];
            pool[j] = pool[last];
            drawn
        };
        (0..count.min(items.len())).map(draw).collect()
    }

    fn word(&mut self) -> u32 {
        if self.at == N {
            self.twist();
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.at = 0;
    }

    /// The seeding by an array of the authors of the generator.
    fn mix(&mut self, key: &[u32]) {
        let (mut i, mut j) = (1, 0);
        for step in 0..N.max(key.len()) + N - 1 {
            let before = self.state[i - 1] ^ (self.state[i - 1] >> 30);
            let first_pass = step < N.max(key.len());
            let (factor, added) = match first_pass {
                true => (1_664_525, key[j].wrapping_add(j as u32)),
                false => (1_566_083_941, (i as u32).wrapping_neg()),
            };
            self.state[i] = (self.state[i] ^ before.wrapping_mul(factor)).wrapping_add(added);
            i += 1;
            j = (j + 1) % key.len();
            if i == N {
                self.state[0] = self.state[N - 1];
                i = 1;
            }
        }
        self.state[0] = 0x8000_0000;
    }
}

/// The seeding by one number of the authors of the generator.
fn linear(seed: u32) -> [u32; N] {
    let mut state = [seed; N];
    for i in 1..N {
        let before = state[i - 1] ^ (state[i - 1] >> 30);
        state[i] = before.wrapping_mul(1_812_433_253).wrapping_add(i as u32);
    }
    state
}

#[cfg(test)]
mod tests {
    use super::PyRandom;

    /// Numbers printed by CPython 3.11: `r = random.Random(seed)`, then the calls below in order.
    #[test]
    fn agrees_with_python() {
        let mut r = PyRandom::new(0);
        assert_eq!(r.unit(), 0.8444218515250481);
        assert_eq!(r.uniform(2.0, 10.0), 8.06363522352242);
        assert_eq!(r.sample(&[10, 20, 30, 40], 2), [40, 10]);
        let mut items: Vec<u32> = (0..10).collect();
        r.shuffle(&mut items);
        assert_eq!(items, [1, 0, 9, 5, 6, 2, 3, 7, 8, 4]);
        let mut r = PyRandom::new(1099511640121);
        assert_eq!((r.unit(), r.below(1000)), (0.31036222241287226, 117));
    }
}
