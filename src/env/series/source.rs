//! Where series come from: generated families, or the columns of a CSV file.

use std::f64::consts::TAU;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::core::Split;
use crate::core::rng::stream;
use crate::env::data::text;

/// A series cut in two.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Family, or column.
    pub name: String,
    pub past: Vec<f64>,
    pub future: Vec<f64>,
    /// Length of its season, if one is known.
    pub period: Option<usize>,
}

/// A supply of series.
pub enum Source {
    Generated {
        seed: u64,
    },
    /// Columns of a file: names and values.
    Columns {
        seed: u64,
        columns: Vec<(String, Vec<f64>)>,
    },
}

impl Source {
    /// Reads a CSV file: a first line of names, then numbers. Columns that hold other things, e.g. dates, are left out.
    /// Fails on a number that is missing or out of line, naming line and column, and if no column is long enough.
    pub fn load(path: &Path, seed: u64, needed: usize) -> Result<Source> {
        let text = text(path)?;
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let place = path.display();
        let (_, head) = lines.next().with_context(|| format!("`{place}`: the file is empty"))?;
        // tables made by other programs begin with a byte order mark, and put names in quotes
        let head = head.trim_start_matches('\u{feff}');
        let names: Vec<&str> = head.split(',').map(|name| name.trim().trim_matches('"')).collect();
        let mut columns: Vec<Option<Vec<f64>>> = vec![Some(Vec::new()); names.len()];
        for (row, (number, line)) in lines.enumerate() {
            let cells: Vec<&str> = line.split(',').map(str::trim).collect();
            let line = number + 1;
            ensure!(
                cells.len() == names.len(),
                "`{place}`, line {line}: {} values for {} columns",
                cells.len(),
                names.len()
            );
            for ((column, cell), name) in columns.iter_mut().zip(cells).zip(&names) {
                let value = cell.parse::<f64>().ok().filter(|x| x.is_finite() && x.abs() < 1e12);
                match (value, column.as_mut()) {
                    (Some(value), Some(values)) => values.push(value),
                    // a column is one of numbers if its first value is a number
                    (None, Some(_)) if row == 0 => *column = None,
                    (None, Some(_)) => {
                        let cell: String = cell.chars().take(40).collect();
                        bail!("`{place}`, line {line}, column `{name}`: expected a number, found {cell:?}")
                    }
                    (_, None) => {}
                }
            }
        }
        let named = names.iter().zip(columns).filter_map(|(name, column)| Some(((*name).to_owned(), column?)));
        let columns: Vec<_> = named.filter(|(_, values)| values.len() >= needed).collect();
        ensure!(!columns.is_empty(), "`{place}`: no column holds {needed} numbers, which `history` and `horizon` need");
        Ok(Source::Columns { seed, columns })
    }

    /// Number of series of a split.
    pub fn size(&self, split: Split) -> u64 {
        match (self, split) {
            (_, Split::Train) => u64::MAX,
            (Source::Columns { columns, .. }, Split::ValidUnseen) if columns.len() < HELD_OUT => 0,
            _ => VALID_TASKS,
        }
    }

    /// The `index`-th series of a split.
    pub fn series(&self, split: Split, index: u64, history: usize, horizon: usize) -> Series {
        let length = history + horizon;
        let (name, mut values, period) = match self {
            Source::Generated { seed } => {
                let mut rng = stream(*seed, "series", &[split as u64, index]);
                let families: Vec<&Family> =
                    FAMILIES.iter().filter(|family| family.held_out == (split == Split::ValidUnseen)).collect();
                let family = families[index as usize % families.len()];
                let period = family.season.then(|| [4, 6, 7, 12][rng.random_range(0..4)]);
                ((family.name).to_owned(), (family.make)(&mut rng, length, period.unwrap_or(1)), period)
            }
            Source::Columns { seed, columns } => window(columns, *seed, split, index, length),
        };
        let future = values.split_off(history);
        Series { name, past: values, future, period }
    }
}

/// A stretch of a column. Training takes those that end in its first four fifths, `valid-seen` those that end later;
/// every fifth column is only in `valid-unseen`.
fn window(
    columns: &[(String, Vec<f64>)],
    seed: u64,
    split: Split,
    index: u64,
    length: usize,
) -> (String, Vec<f64>, Option<usize>) {
    let mut rng = stream(seed, "series window", &[split as u64, index]);
    let held = |n: usize| columns.len() >= HELD_OUT && n % HELD_OUT == HELD_OUT - 1;
    let own: Vec<_> = columns.iter().enumerate().filter(|(n, _)| held(*n) == (split == Split::ValidUnseen)).collect();
    let (_, (name, values)) = own[rng.random_range(0..own.len())];
    let last = values.len() - length;
    let border = (values.len() * 4 / 5).saturating_sub(length).min(last);
    let start = match split {
        Split::Train => rng.random_range(0..=border),
        Split::ValidSeen => rng.random_range((border + 1).min(last)..=last),
        Split::ValidUnseen => rng.random_range(0..=last),
    };
    (name.clone(), values[start..start + length].to_vec(), None)
}

struct Family {
    name: &'static str,
    season: bool,
    held_out: bool,
    make: fn(&mut ChaCha8Rng, usize, usize) -> Vec<f64>,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "trend",
        season: false,
        held_out: false,
        make: |rng, n, _| {
            let (start, slope, noise) =
                (rng.random_range(10.0..90.0), rng.random_range(-2.0..2.0), rng.random_range(0.2..2.0));
            points(n, |t| start + slope * t + noise * wobble(rng))
        },
    },
    Family {
        name: "season",
        season: true,
        held_out: false,
        make: |rng, n, period| {
            let (level, swing, noise) =
                (rng.random_range(30.0..80.0), rng.random_range(4.0..20.0), rng.random_range(0.2..3.0));
            let phase = rng.random_range(0.0..TAU);
            points(n, |t| level + swing * (TAU * t / period as f64 + phase).sin() + noise * wobble(rng))
        },
    },
    Family {
        name: "trend-season",
        season: true,
        held_out: false,
        make: |rng, n, period| {
            let (slope, swing, noise) =
                (rng.random_range(-1.5..1.5), rng.random_range(4.0..15.0), rng.random_range(0.2..2.0));
            let shape: Vec<f64> = (0..period).map(|_| swing * wobble(rng)).collect();
            points(n, |t| 50.0 + slope * t + shape[t as usize % period] + noise * wobble(rng))
        },
    },
    Family {
        name: "walk",
        season: false,
        held_out: false,
        make: |rng, n, _| {
            let mut level = 50.0;
            points(n, |_| {
                level += 2.0 * wobble(rng);
                level
            })
        },
    },
    Family {
        name: "pulled-back",
        season: false,
        held_out: false,
        make: |rng, n, _| {
            let (home, pull) = (rng.random_range(20.0..80.0), rng.random_range(0.2..0.7));
            let mut level = home;
            points(n, |_| {
                level += pull * (home - level) + 4.0 * wobble(rng);
                level
            })
        },
    },
    Family {
        name: "level-shift",
        season: false,
        held_out: true,
        make: |rng, n, _| {
            let (before, after) = (rng.random_range(20.0..50.0), rng.random_range(50.0..90.0));
            let shift = rng.random_range(0.4..0.7) * n as f64;
            points(n, |t| if t < shift { before } else { after } + 1.5 * wobble(rng))
        },
    },
    Family {
        name: "growing-season",
        season: true,
        held_out: true,
        make: |rng, n, period| {
            let (slope, phase) = (rng.random_range(0.3..1.2), rng.random_range(0.0..TAU));
            points(n, |t| {
                let level = 20.0 + slope * t;
                level * (1.0 + 0.25 * (TAU * t / period as f64 + phase).sin()) + wobble(rng)
            })
        },
    },
];

fn points(length: usize, value: impl FnMut(f64) -> f64) -> Vec<f64> {
    (0..length).map(|t| t as f64).map(value).map(|x| (x * 100.0).round() / 100.0).collect()
}

/// Noise of mean 0 and variance 1: twelve uniform draws.
fn wobble(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

const VALID_TASKS: u64 = 512;
/// One in this many columns is held out.
const HELD_OUT: usize = 5;
