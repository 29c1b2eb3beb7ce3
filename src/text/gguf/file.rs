//! The head of a GGUF file: its metadata, and where each tensor stands.
//!
//! Read here and not by candle, so that whatever is wrong is told by the tensor or the setting it is wrong with, and no
//! number in a damaged file is believed before it is looked at. Format:
//! <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Shape;
use candle_core::quantized::GgmlDType;
use candle_core::quantized::gguf_file::{Content, DEFAULT_ALIGNMENT, TensorInfo, Value, VersionedMagic};

/// Reads the head of a file; the reader reads tensors.
///
/// # Errors
/// It is no GGUF file, of another version, one of several parts, cut off, or damaged, or packed in a way that cannot be
/// unpacked. The sentence does not name the file.
pub fn open(path: &Path) -> Result<(Content, BufReader<File>)> {
    let file = File::open(path).context("cannot be opened")?;
    ensure!(file.metadata()?.is_file(), "not a file");
    let size = file.metadata()?.len();
    let mut head = Head { reader: BufReader::new(file), size, at: 0, wide: true };
    let content = head.content()?;
    Ok((content, head.reader))
}

/// Deepest lists in lists.
const DEPTH: usize = 8;
/// Longest list: vocabularies have some 100,000 entries.
const MOST: u64 = 1 << 24;
/// Most dimensions of a tensor.
const DIMENSIONS: u32 = 4;

struct Head {
    reader: BufReader<File>,
    /// Bytes in the file.
    size: u64,
    /// Bytes read.
    at: u64,
    /// Whether lengths have eight bytes; four in version 1.
    wide: bool,
}

impl Head {
    fn content(&mut self) -> Result<Content> {
        ensure!(self.size > 0, "empty; download or copy it again");
        let magic = self.magic()?;
        let (tensors, settings) = (self.length()?, self.length()?);
        let mut metadata = HashMap::new();
        for _ in 0..settings {
            let key = self.text().context("a setting has no name")?;
            let kind = self.u32()?;
            let value = self.value(kind, 0).with_context(|| format!("`{}`", key.escape_debug()))?;
            metadata.insert(key, value);
        }
        let parts = metadata.get("split.count").map_or(1, |n| number(n).unwrap_or(0));
        ensure!(
            parts <= 1,
            "one of {parts} parts of a model; make one file of them with `llama-gguf-split --merge FIRST WHOLE`"
        );
        let mut tensor_infos = HashMap::new();
        for _ in 0..tensors {
            let name = self.text().context("a tensor has no name")?;
            let info = self.tensor().with_context(|| format!("tensor `{}`", name.escape_debug()))?;
            ensure!(tensor_infos.insert(name.clone(), info).is_none(), "tensor `{name}` is there twice");
        }
        let alignment = metadata.get("general.alignment").map_or(Some(DEFAULT_ALIGNMENT), number);
        let Some(alignment) = alignment.filter(|a| (1..=1 << 20).contains(a)) else {
            bail!("`general.alignment` is no size that tensors can be aligned to; the file is damaged")
        };
        let content =
            Content { magic, metadata, tensor_infos, tensor_data_offset: self.at.next_multiple_of(alignment) };
        self.holds_all(&content)?;
        Ok(content)
    }

    fn magic(&mut self) -> Result<VersionedMagic> {
        ensure!(
            &self.take::<4>()? == b"GGUF",
            "not a GGUF file: it does not begin with `GGUF`; download or copy it again"
        );
        let version = self.u32()?;
        self.wide = version > 1;
        Ok(match version {
            1 => VersionedMagic::GgufV1,
            2 => VersionedMagic::GgufV2,
            3 => VersionedMagic::GgufV3,
            other if (1..=3).contains(&other.swap_bytes()) => {
                bail!("its bytes are in big-endian order, supported is little-endian")
            }
            other => bail!("GGUF of version {other}, supported are 1, 2 and 3; convert the model again"),
        })
    }

    fn tensor(&mut self) -> Result<TensorInfo> {
        let count = self.u32()?;
        ensure!(count <= DIMENSIONS, "{count} dimensions; the file is damaged");
        let mut dims = vec![];
        for _ in 0..count {
            dims.insert(0, usize::try_from(self.length()?)?);
        }
        let elements = dims.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        ensure!(elements.is_some_and(|n| n < 1 << 48), "of the impossible shape {dims:?}; the file is damaged");
        let ggml_dtype = dtype(self.u32()?)?;
        let offset = u64::from_le_bytes(self.take()?);
        let block = ggml_dtype.block_size();
        ensure!(
            dims.last().is_none_or(|n| n.is_multiple_of(block)),
            "of rows of {} numbers, which cannot be packed in blocks of {block}; the file is damaged",
            dims.last().copied().unwrap_or(0)
        );
        Ok(TensorInfo { ggml_dtype, shape: Shape::from(dims), offset })
    }

    /// Whether no tensor stands behind the end of the file.
    fn holds_all(&self, content: &Content) -> Result<()> {
        let end = |info: &TensorInfo| {
            let bytes = info.shape.elem_count() / info.ggml_dtype.block_size() * info.ggml_dtype.type_size();
            content.tensor_data_offset.saturating_add(info.offset).saturating_add(bytes as u64)
        };
        let ends = content.tensor_infos.iter().map(|(name, info)| (end(info), name));
        if let Some((end, name)) = ends.max().filter(|(end, _)| *end > self.size) {
            bail!("cut off: tensor `{name}` ends at byte {end}, the file has {}; download or copy it again", self.size)
        }
        Ok(())
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value> {
        Ok(match kind {
            0 => Value::U8(u8::from_le_bytes(self.take()?)),
            1 => Value::I8(i8::from_le_bytes(self.take()?)),
            2 => Value::U16(u16::from_le_bytes(self.take()?)),
            3 => Value::I16(i16::from_le_bytes(self.take()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.take()?)),
            6 => Value::F32(f32::from_le_bytes(self.take()?)),
            7 => Value::Bool(self.take::<1>()? != [0]),
            8 => Value::String(self.text()?),
            9 => self.list(depth)?,
            10 => Value::U64(u64::from_le_bytes(self.take()?)),
            11 => Value::I64(i64::from_le_bytes(self.take()?)),
            12 => Value::F64(f64::from_le_bytes(self.take()?)),
            other => bail!("of type {other}, which GGUF does not have; the file is damaged"),
        })
    }

    fn list(&mut self, depth: usize) -> Result<Value> {
        ensure!(depth < DEPTH, "lists in lists in lists; the file is damaged");
        let (kind, length) = (self.u32()?, self.length()?);
        // every item has a byte, and takes 32 in memory
        ensure!(length <= MOST.min(self.size - self.at), "a list of {length}; {}", self.cut());
        (0..length).map(|_| self.value(kind, depth + 1)).collect::<Result<_>>().map(Value::Array)
    }

    fn text(&mut self) -> Result<String> {
        let length = self.length()?;
        ensure!(length <= self.size - self.at, "{}", self.cut());
        let mut bytes = vec![];
        (&mut self.reader).take(length).read_to_end(&mut bytes)?;
        self.at += bytes.len() as u64;
        // some writers end texts with zeros
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn length(&mut self) -> Result<u64> {
        Ok(if self.wide { u64::from_le_bytes(self.take()?) } else { u64::from(self.u32()?) })
    }

    fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        ensure!(self.size - self.at >= N as u64, "{}", self.cut());
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    fn cut(&self) -> String {
        format!("cut off within its head (the file has {} bytes), or damaged; download or copy it again", self.size)
    }
}

/// A whole number of any width that is not negative.
pub fn number(value: &Value) -> Option<u64> {
    match value {
        Value::I8(n) => u64::try_from(*n).ok(),
        Value::I16(n) => u64::try_from(*n).ok(),
        Value::I32(n) => u64::try_from(*n).ok(),
        Value::I64(n) => u64::try_from(*n).ok(),
        value => value.to_u64().ok(),
    }
}

/// What can be unpacked. Q8_1 and Q8_K only ever stand for activations.
fn dtype(id: u32) -> Result<GgmlDType> {
    use GgmlDType::*;
    let known = [
        (0, F32),
        (1, F16),
        (2, Q4_0),
        (3, Q4_1),
        (6, Q5_0),
        (7, Q5_1),
        (8, Q8_0),
        (10, Q2K),
        (11, Q3K),
        (12, Q4K),
        (13, Q5K),
        (14, Q6K),
        (30, BF16),
    ];
    if let Some((_, dtype)) = known.into_iter().find(|(known, _)| *known == id) {
        return Ok(dtype);
    }
    let other = OTHERS
        .iter()
        .find(|(other, _)| *other == id)
        .map_or_else(|| format!("type {id}"), |(_, name)| format!("{name} (type {id})"));
    bail!(
        "packed as {other}, supported are F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0 and Q2_K to Q6_K; choose a \
         file with one of those, the larger the better for training"
    )
}

const OTHERS: [(u32, &str); 18] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (26, "I32"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];
