use super::*;

fn numbers(n: usize, salt: f32) -> Vec<f32> {
    (0..n).map(|i| (i as f32 * 0.37 + salt).sin()).collect()
}

type Kernel = (&'static str, fn(&Block));

/// Every kernel this machine can run.
fn kernels() -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = vec![("plain", all::<Plain, 2>)];
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: each only after its features were found.
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            kernels.push(("avx2", |b| unsafe { x86::block256(b) }));
        }
        if is_x86_feature_detected!("avx512f") {
            kernels.push(("avx512", |b| unsafe { x86::block512(b) }));
        }
    }
    kernels
}

fn run(kernel: fn(&Block), x: &[f32], w: &[f32], k: usize) -> Vec<f32> {
    let w = Panels::of(w, k);
    let mut y = vec![f32::NAN; x.len() / k * w.m];
    let rows: Vec<Row> = x.chunks(k).zip(y.chunks_mut(w.m)).map(|(x, y)| Row { x, y: Out::of(y) }).collect();
    kernel(&Block { rows: &rows, w: &w, panels: [0, w.m.div_ceil(WIDTH)] });
    y
}

#[test]
fn kernels_equal_sums_in_double_precision_and_each_other() {
    let shapes = [(1, 1, 1), (1, 300, 40), (3, 5, 7), (4, 32, 16), (13, 33, 31), (7, 100, 257), (270, 65, 1000)];
    for (n, m, k) in shapes {
        let (x, w) = (numbers(n * k, 0.1), numbers(m * k, 0.7));
        let all: Vec<_> = kernels().into_iter().map(|(name, f)| (name, run(f, &x, &w, k))).collect();
        for (name, y) in &all {
            for (i, y) in y.iter().enumerate() {
                let (x, w) = (&x[i / m * k..][..k], &w[i % m * k..][..k]);
                let terms = || x.iter().zip(w).map(|(x, w)| *x as f64 * *w as f64);
                let (want, size): (f64, f64) = (terms().sum(), terms().map(f64::abs).sum());
                assert!((*y as f64 - want).abs() < 1e-6 * size, "{name} {n}x{m}x{k}: {y}, not {want}");
            }
        }
        let fused: Vec<_> = all.iter().filter(|(name, _)| *name != "plain").collect();
        assert!(fused.windows(2).all(|pair| pair[0].1 == pair[1].1), "AVX2 and AVX-512 differ at {n}x{m}x{k}");
    }
}

#[test]
fn a_row_is_the_same_in_every_batch() {
    for (m, k) in [(37, 50), (96, 192), (1031, 300)] {
        let (x, w) = (numbers(300 * k, 0.3), Panels::of(&numbers(m * k, 0.9), k));
        let whole = w.product(&x);
        for n in (1..=40).chain([255, 256, 257, 300]) {
            assert!(w.product(&x[(300 - n) * k..]) == whole[(300 - n) * m..], "{n} rows of {m} x {k}");
        }
    }
}

#[test]
fn panels_take_another_matrix() {
    let (m, k) = (45, 33);
    let (old, new) = (numbers(m * k, 0.2), numbers(m * k, 0.5));
    let mut panels = Panels::of(&old, k);
    panels.fill(&new);
    let x = numbers(3 * k, 0.8);
    assert_eq!(panels.product(&x), Panels::of(&new, k).product(&x));
}
