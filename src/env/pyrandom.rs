//! Draws of Python's `random` module, bit for bit, for tasks that others drew with it.

use super::sokoban::twister::Python;

/// Python's `random.Random(seed)`.
pub struct PyRandom(Python);

impl PyRandom {
    /// As `random.Random(seed)` for an integer seed >= 0.
    pub fn new(seed: u64) -> PyRandom {
        PyRandom(Python::new(seed))
    }

    /// `uniform(low, high)`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.0.unit()
    }

    /// `shuffle(items)`, at most 2^32 items.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = self.0.below(i as u32 + 1);
            items.swap(i, j);
        }
    }

    /// `sample(items, count)` as Python does it for up to 21 items; all of them if there are fewer than `count`.
    pub fn sample<T: Copy>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut pool = items.to_vec();
        let draw = |i: usize| {
            let last = items.len() - i - 1;
            let j = self.0.below(last as u32 + 1);
            let drawn = pool[j];
            pool[j] = pool[last];
            drawn
        };
        (0..count.min(items.len())).map(draw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::PyRandom;

    /// Numbers printed by CPython 3.11: `r = random.Random(seed)`, then the calls below in order.
    #[test]
    fn agrees_with_python() {
        let mut r = PyRandom::new(0);
        assert_eq!(r.uniform(0.0, 1.0), 0.8444218515250481);
        assert_eq!(r.uniform(2.0, 10.0), 8.06363522352242);
        assert_eq!(r.sample(&[10, 20, 30, 40], 2), [40, 10]);
        let mut items: Vec<u32> = (0..10).collect();
        r.shuffle(&mut items);
        assert_eq!(items, [1, 0, 9, 5, 6, 2, 3, 7, 8, 4]);
        let mut r = PyRandom::new(1099511640121);
        assert_eq!((r.uniform(0.0, 1.0), r.sample(&[1, 2, 3], 1)[0]), (0.31036222241287226, 1));
    }
}
