//! Weights looked at and not kept: `sdlab check` tells everything that loading them would stumble over, not the first.
//!
//! Heads of safetensors are read here by hand (eight bytes of length, then JSON, then the numbers:
//! <https://huggingface.co/docs/safetensors>) and numbers a tensor at a time, so a model that does not fit into memory
//! can be looked at too.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::tensors::{
    self, CONFIG, INDEX, MODEL, NOT_FINITE, absent, belongs, misshapen, missing, packed, stranger, twice,
};
use crate::engine::candle::layout::Names;

/// What is in the files of a model.
#[derive(Debug, Default)]
pub struct Found {
    pub files: usize,
    pub tensors: usize,
    pub bytes: u64,
    /// Tensors by their type.
    pub kinds: BTreeMap<String, usize>,
    /// What keeps them from being used, each a sentence that names the file.
    pub problems: Vec<String>,
}

impl Found {
    /// Counts a tensor.
    pub fn add(&mut self, kind: &str) {
        self.tensors += 1;
        *self.kinds.entry(kind.to_lowercase()).or_default() += 1;
    }

    /// Both together.
    pub fn and(mut self, other: Found) -> Self {
        self.files += other.files;
        self.tensors += other.tensors;
        self.bytes += other.bytes;
        other.kinds.into_iter().for_each(|(kind, count)| *self.kinds.entry(kind).or_default() += count);
        self.problems.extend(other.problems);
        self
    }
}

/// Looks at a folder: one file, or the shards of its index.
pub fn folder(folder: &Path, names: Option<&Names>) -> Result<Found> {
    let (whole, index) = (folder.join(MODEL), folder.join(INDEX));
    let mut look = Look::new(names, CONFIG);
    if whole.exists() {
        look.file(&whole);
        return Ok(look.done(&whole));
    }
    ensure!(index.exists(), "{}", tensors::nothing(folder));
    let mut lost = vec![];
    for (file, holds) in tensors::read_index(&index)? {
        let path = folder.join(file);
        if !path.exists() {
            look.told(&holds);
            look.found.problems.push(missing(&path, &holds));
            continue;
        }
        match look.file(&path) {
            Some(there) => {
                lost.extend(holds.into_iter().filter(|name| !there.contains(name)).map(|name| (path.clone(), name)));
            }
            None => look.told(&holds),
        }
    }
    // in another shard it would be found
    lost.retain(|(_, name)| look.needs(name) && !look.seen.contains(name));
    for (path, lost) in lost {
        look.found.problems.push(format!(
            "{}: tensor `{lost}` is missing, which `{INDEX}` says is in it; download the file again",
            path.display()
        ));
        look.told(&[lost]);
    }
    Ok(look.done(&index))
}

/// Looks at the file of adapters, which must hold these tensors and no others.
pub fn file(path: &Path, names: &Names) -> Result<Found> {
    let mut look = Look { alone: true, ..Look::new(Some(names), "adapter_config.json") };
    look.file(path);
    Ok(look.done(path))
}

/// A tensor in the head of a file.
#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    /// First byte and the one behind the last, from where the numbers begin.
    data_offsets: [u64; 2],
}

struct Look<'a> {
    found: Found,
    /// Shapes by names, where they are known.
    asked: Option<HashMap<&'a str, &'a [usize]>>,
    /// What asks for them.
    config: &'static str,
    /// Whether nothing else may be there.
    alone: bool,
    /// Tensors that are there.
    seen: HashSet<String>,
    /// Tensors whose absence has been told.
    told: HashSet<String>,
}

impl<'a> Look<'a> {
    fn new(names: Option<&'a Names>, config: &'static str) -> Self {
        let asked = names.map(|names| names.iter().map(|(name, shape)| (name.as_str(), shape.as_slice())).collect());
        let (seen, told) = Default::default();
        Self { found: Found::default(), asked, config, alone: false, seen, told }
    }

    fn told(&mut self, tensors: &[String]) {
        self.told.extend(tensors.iter().cloned());
    }

    fn needs(&self, name: &str) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.contains_key(name))
    }

    /// Looks at one file; gives the names of its tensors if it could be read.
    fn file(&mut self, path: &Path) -> Option<Vec<String>> {
        let looked = self.tensors(path);
        looked.map_err(|error| self.found.problems.push(format!("{}: {error:#}", path.display()))).ok()
    }

    fn tensors(&mut self, path: &Path) -> Result<Vec<String>> {
        let mut file = File::open(path).context("cannot be read")?;
        let (entries, begin) = head(&mut file)?;
        self.found.files += 1;
        for (name, entry) in &entries {
            self.found.add(&entry.dtype);
            self.found.bytes += entry.data_offsets[1].saturating_sub(entry.data_offsets[0]);
            let trouble = match self.seen.insert(name.clone()) {
                false => Some(twice(name)),
                true => self.trouble(name, entry, &mut file, begin)?,
            };
            self.found.problems.extend(trouble.map(|trouble| format!("{}: {trouble}", path.display())));
        }
        Ok(entries.into_keys().collect())
    }

    /// What is wrong with a tensor.
    fn trouble(&self, name: &str, entry: &Entry, file: &mut File, begin: u64) -> Result<Option<String>> {
        let Some(asked) = &self.asked else { return Ok(None) };
        let Some(asked) = asked.get(name) else {
            return Ok((self.alone || belongs(name)).then(|| stranger(name, self.config)));
        };
        if entry.shape != *asked {
            return Ok(Some(misshapen(name, &entry.shape, asked, self.config)));
        }
        let Some((width, broken)) = number(&entry.dtype) else { return Ok(Some(packed(name, &entry.dtype))) };
        let [from, to] = entry.data_offsets;
        let count = entry.shape.iter().try_fold(width as u64, |n, d| n.checked_mul(*d as u64));
        if count != to.checked_sub(from) {
            return Ok(Some(format!(
                "tensor `{name}` has another number of bytes than its shape; the file is damaged"
            )));
        }
        file.seek(SeekFrom::Start(begin + from))?;
        let mut left = (to - from) as usize;
        let mut part = vec![0; PART.min(left)];
        while left > 0 {
            let now = &mut part[..PART.min(left)];
            file.read_exact(now)?;
            if now.chunks_exact(width).any(broken) {
                return Ok(Some(format!("tensor `{name}` {NOT_FINITE}")));
            }
            left -= now.len();
        }
        Ok(None)
    }

    /// Tells what no file has. `place` is the file that should have said where it is.
    fn done(mut self, place: &Path) -> Found {
        // a file that could not be read has been told, and what it holds is not known
        let all_read = self.found.files > 0 || self.found.problems.is_empty();
        let mut lost: Vec<&str> = self.asked.iter().flatten().map(|(name, _)| *name).collect();
        lost.retain(|name| all_read && !self.seen.contains(*name) && !self.told.contains(*name));
        lost.sort_unstable();
        self.found
            .problems
            .extend(lost.iter().map(|name| format!("{}: {}", place.display(), absent(name, self.config))));
        self.found
    }
}

/// Bytes that are read at once; a multiple of the width of every number.
const PART: usize = 1 << 22;

/// The tensors of a file by name, and where its numbers begin.
fn head(file: &mut File) -> Result<(BTreeMap<String, Entry>, u64)> {
    const DAMAGED: &str = "not safetensors, or damaged; download or copy it again";
    ensure!(file.metadata()?.is_file(), "not a file");
    let have = file.metadata()?.len();
    ensure!(have > 0, "empty (0 bytes are there); download or copy it again");
    let mut length = [0; 8];
    ensure!(file.read_exact(&mut length).is_ok(), DAMAGED);
    let length = u64::from_le_bytes(length);
    ensure!(length <= have - 8, DAMAGED);
    let mut bytes = vec![];
    file.take(length).read_to_end(&mut bytes)?;
    let mut entries: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&bytes).context(DAMAGED)?;
    entries.remove("__metadata__");
    let read = |(name, entry)| {
        let entry: Entry = serde_json::from_value(entry).with_context(|| format!("tensor `{name}`: {DAMAGED}"))?;
        Ok((name, entry))
    };
    let entries = entries.into_iter().map(read).collect::<Result<BTreeMap<String, Entry>>>()?;
    let end = entries.values().map(|entry| entry.data_offsets[1]).max().unwrap_or(0);
    let lacks = end.saturating_add(8 + length).saturating_sub(have);
    ensure!(lacks == 0, "cut off, {lacks} bytes are missing; download or copy it again");
    let mut places: Vec<[u64; 2]> = entries.values().map(|entry| entry.data_offsets).collect();
    places.sort_unstable();
    let adjoin =
        places.first().is_none_or(|first| first[0] == 0) && places.windows(2).all(|pair| pair[0][1] == pair[1][0]);
    ensure!(adjoin && end + 8 + length == have, DAMAGED);
    Ok((entries, 8 + length))
}

/// Bytes of a number, and whether such bytes are infinite or no number: every bit of the exponent is set.
type Broken = fn(&[u8]) -> bool;

fn number(dtype: &str) -> Option<(usize, Broken)> {
    Some(match dtype {
        "F32" => (4, |b| b[3] & 0x7f == 0x7f && b[2] & 0x80 == 0x80),
        "BF16" => (2, |b| b[1] & 0x7f == 0x7f && b[0] & 0x80 == 0x80),
        "F16" => (2, |b| b[1] & 0x7c == 0x7c),
        "F64" => (8, |b| b[7] & 0x7f == 0x7f && b[6] & 0xf0 == 0xf0),
        _ => return None,
    })
}
