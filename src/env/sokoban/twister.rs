//! The generators whose draws the original level generator used: MT19937 as CPython's `random` and numpy's legacy
//! `RandomState` seed and read it (Matsumoto and Nishimura, 1998; the outputs are those of the reference code).

const N: usize = 624;

/// MT19937.
struct Twister {
    state: [u32; N],
    at: usize,
}

impl Twister {
    /// Seeds from one number.
    fn new(seed: u32) -> Twister {
        let mut state = [0; N];
        state[0] = seed;
        for i in 1..N {
            let last: u32 = state[i - 1];
            state[i] = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(i as u32);
        }
        Twister { state, at: N }
    }

    /// Seeds from several numbers; `key` is not empty.
    fn from_key(key: &[u32]) -> Twister {
        let mut new = Twister::new(19_650_218);
        let mix = |state: &[u32; N], i: usize, factor: u32| {
            let last = state[i - 1];
            state[i] ^ (last ^ (last >> 30)).wrapping_mul(factor)
        };
        let mut i = 1;
        for k in 0..N.max(key.len()) {
            let j = k % key.len();
            new.state[i] = mix(&new.state, i, 1_664_525).wrapping_add(key[j]).wrapping_add(j as u32);
            i = new.advance(i);
        }
        for _ in 0..N - 1 {
            new.state[i] = mix(&new.state, i, 1_566_083_941).wrapping_sub(i as u32);
            i = new.advance(i);
        }
        new.state[0] = 0x8000_0000;
        new
    }

    fn advance(&mut self, i: usize) -> usize {
        if i + 1 < N {
            return i + 1;
        }
        self.state[0] = self.state[N - 1];
        1
    }

    fn next(&mut self) -> u32 {
        if self.at >= N {
            self.refill();
        }
        let mut y = self.state[self.at];
        self.at += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn refill(&mut self) {
        for k in 0..N {
            let y = (self.state[k] & 0x8000_0000) | (self.state[(k + 1) % N] & 0x7fff_ffff);
            let twist = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[k] = self.state[(k + 397) % N] ^ (y >> 1) ^ twist;
        }
        self.at = 0;
    }
}

/// CPython's `random.Random(seed)`.
pub struct Python(Twister);

impl Python {
    pub fn new(seed: u64) -> Python {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        Python(if high == 0 { Twister::from_key(&[low]) } else { Twister::from_key(&[low, high]) })
    }

    /// `random.random()`: in [0, 1).
    pub fn unit(&mut self) -> f64 {
        let (a, b) = (self.0.next() >> 5, self.0.next() >> 6);
        (f64::from(a) * 67_108_864.0 + f64::from(b)) / 9_007_199_254_740_992.0
    }

    /// The index `random.choice` takes from `n` things; `n` >= 1.
    pub fn below(&mut self, n: u32) -> usize {
        let bits = u32::BITS - n.leading_zeros();
        loop {
            let draw = self.0.next() >> (32 - bits);
            if draw < n {
                return draw as usize;
            }
        }
    }
}

/// numpy's `RandomState(seed)`.
pub struct Numpy(Twister);

impl Numpy {
    pub fn new(seed: u32) -> Numpy {
        Numpy(Twister::new(seed))
    }

    /// `randint(n)`; `n` >= 1.
    pub fn below(&mut self, n: u32) -> usize {
        let most = n - 1;
        if most == 0 {
            return 0;
        }
        let mask = u32::MAX >> most.leading_zeros();
        loop {
            let draw = self.0.next() & mask;
            if draw <= most {
                return draw as usize;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Outputs of the reference programs `mt19937ar` and CPython 3.11.
    #[test]
    fn outputs_are_those_of_the_reference() {
        let mut plain = Twister::new(5489);
        assert_eq!(plain.next(), 3_499_211_612);
        let mut keyed = Twister::from_key(&[0x123, 0x234, 0x345, 0x456]);
        assert_eq!([keyed.next(), keyed.next()], [1_067_595_299, 955_945_823]);
        let mut python = Python::new(42);
        assert_eq!(python.unit(), 0.639_426_798_457_883_7);
        let mut large = Python::new(1 << 40);
        assert_eq!(large.unit(), 0.1036394562812375);
    }
}
