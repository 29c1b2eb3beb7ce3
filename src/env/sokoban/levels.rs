//! Where levels come from: a generator, or files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::board::Level;
use super::{Generator, Settings, exact, fast};
use crate::core::Split;
use crate::core::rng;
use crate::env::data;

/// A numbered supply of levels.
pub enum Levels {
    /// Made from numbers.
    Made { generator: Generator, shape: exact::Shape, moves: usize },
    /// Read from files, by split.
    Read { train: Vec<Level>, seen: Vec<Level>, unseen: Vec<Level> },
}

impl Levels {
    /// # Errors
    /// The settings name a file that cannot be read.
    pub fn new(settings: &Settings) -> Result<Levels> {
        if !settings.levels.is_empty() {
            return read(&data::expand(&settings.levels)?);
        }
        let Settings { height, width, boxes, search_depth: depth, .. } = *settings;
        let shape = exact::Shape { height, width, boxes, depth };
        Ok(Levels::Made { generator: settings.generator, shape, moves: settings.max_moves })
    }

    /// Number of levels of a split.
    pub fn size(&self, split: Split) -> u64 {
        match (self, split) {
            (Levels::Read { .. }, _) => self.list(split).len() as u64,
            (Levels::Made { generator: Generator::Exact, .. }, Split::Train) => VALID_SEED,
            (Levels::Made { .. }, Split::Train) => u64::MAX,
            (Levels::Made { .. }, _) => VALID_LEVELS,
        }
    }

    /// The level `index` of a split; `index` is below [`Levels::size`].
    ///
    /// # Errors
    /// The generator gives no level of this shape.
    pub fn level(&self, split: Split, index: u64) -> Result<Level> {
        let Levels::Made { generator, shape, moves } = *self else {
            return self.list(split).get(index as usize).cloned().context("there is no such level");
        };
        let found = match generator {
            Generator::Exact => {
                let seed = index + [0, VALID_SEED, 2 * VALID_SEED][split as usize];
                let next = |n: u64| if n == 0 { seed } else { rng::seed(seed, "sokoban", &[n]) };
                (0..ATTEMPTS).find_map(|n| exact::generate(next(n) as u32, shape))
            }
            Generator::Fast => (0..ATTEMPTS).find_map(|n| {
                fast::generate(shape, moves, &mut rng::stream(SEED, "sokoban", &[split as u64, index, n]))
            }),
        };
        found.context("no level of this size comes out; use a larger room, fewer boxes or more moves")
    }

    fn list(&self, split: Split) -> &[Level] {
        match (self, split) {
            (Levels::Made { .. }, _) => &[],
            (Levels::Read { train, .. }, Split::Train) => train,
            (Levels::Read { seen, .. }, Split::ValidSeen) => seen,
            (Levels::Read { unseen, .. }, Split::ValidUnseen) => unseen,
        }
    }
}

/// Reads a file of levels, which then serve every split, or a folder of such files, which are told apart by the words
/// `train`, `valid` and `test` in their paths.
fn read(path: &Path) -> Result<Levels> {
    if path.is_file() {
        let levels = parse(path)?;
        return Ok(Levels::Read { train: levels.clone(), seen: levels.clone(), unseen: levels });
    }
    let files = data::files(path, |name| name.ends_with(".txt") || name.ends_with(".txt.gz"))?;
    let of = |word: &str| -> Result<Vec<Level>> {
        let inside = |file: &&PathBuf| file.strip_prefix(path).is_ok_and(|p| p.to_string_lossy().contains(word));
        let lists: Result<Vec<Vec<Level>>> = files.iter().filter(inside).map(|file| parse(file)).collect();
        Ok(lists?.concat())
    };
    let levels = Levels::Read { train: of("train")?, seen: of("valid")?, unseen: of("test")? };
    let all: u64 = [Split::Train, Split::ValidSeen, Split::ValidUnseen].into_iter().map(|s| levels.size(s)).sum();
    ensure!(all > 0, "{}: no file with `train`, `valid` or `test` in its name has levels", path.display());
    Ok(levels)
}

/// Reads levels in Boxoban's form: a line `; NUMBER` before each.
fn parse(path: &Path) -> Result<Vec<Level>> {
    let text = data::text(path)?;
    let mut levels = Vec::new();
    let lines: Vec<&str> = text.lines().collect();
    let is_level = |line: &str| !line.trim().is_empty() && !line.starts_with(';');
    let mut at = 0;
    while at < lines.len() {
        let end = at + lines[at..].iter().take_while(|line| is_level(line)).count();
        if end > at {
            let name = at.checked_sub(1).map_or("", |before| lines[before].trim());
            let level = Level::parse(&lines[at..end]);
            levels.push(level.with_context(|| format!("{}:{}: level `{name}`", path.display(), at + 1))?);
        }
        at = end + 1;
    }
    ensure!(!levels.is_empty(), "{}: there is no level in it", path.display());
    Ok(levels)
}

/// Seeds below are for training, in the papers too.
const VALID_SEED: u64 = 1 << 16;
/// Levels of each held-out split.
const VALID_LEVELS: u64 = 1024;
const ATTEMPTS: u64 = 100;
/// All fast levels derive from this.
const SEED: u64 = 0x73_6f6b;
