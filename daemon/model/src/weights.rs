//! Safetensors files, single or sharded: headers parsed and checked whole when the checkpoint is opened, tensors read
//! one at a time by positioned reads and given as f32. Nothing is mapped, and nothing is held but the headers.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use half::{bf16, f16};
use serde_json::Value;

use crate::digest::Hasher;
use crate::error::ModelError;
use crate::files::{self, VOCABULARY_LIMIT, io_error};
use crate::json::{Object, describe};

/// Largest header of one file, in bytes. A large encoder's has some 100 KB.
const HEADER_LIMIT: u64 = 16 << 20;
/// Most files in one checkpoint; each is kept open.
const SHARD_LIMIT: usize = 256;
/// Bytes converted at a time. A multiple of every element size.
const BLOCK: usize = 256 << 10;

/// The floating-point types that weights are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a single.
    Bf16,
}

impl Dtype {
    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    fn from_header(name: &str) -> Option<Self> {
        match name {
            "F32" => Some(Self::F32),
            "F16" => Some(Self::F16),
            "BF16" => Some(Self::Bf16),
            _ => None,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "fp32",
            Self::F16 => "fp16",
            Self::Bf16 => "bf16",
        })
    }
}

/// The tensors of a checkpoint, by name. `Send + Sync`; reads do not disturb each other.
#[derive(Debug, Default)]
pub struct Weights {
    /// Named in messages about tensors that are not there.
    path: PathBuf,
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Entry>,
}

#[derive(Debug)]
struct Shard {
    name: String,
    path: PathBuf,
    content: Content,
    size: u64,
}

/// Where the bytes of a safetensors file are.
enum Content {
    File(File),
    /// Handed over by a plugin.
    Memory(Vec<u8>),
}

impl Content {
    fn read_exact_at(&self, part: &mut [u8], at: u64) -> io::Result<()> {
        let bytes = match self {
            Self::File(file) => return file.read_exact_at(part, at),
            Self::Memory(bytes) => bytes,
        };
        let begin = usize::try_from(at).unwrap_or(usize::MAX);
        let found = bytes.get(begin..begin.saturating_add(part.len()));
        part.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => file.fmt(f),
            Self::Memory(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

#[derive(Debug)]
struct Entry {
    shard: usize,
    dtype: String,
    shape: Vec<usize>,
    elements: usize,
    /// Bytes from the start of the file.
    begin: u64,
    bytes: u64,
}

impl Weights {
    /// Opens `model.safetensors` or the shards that its index names. `None` where neither is there.
    pub(crate) fn open(dir: &Path) -> Result<Option<Self>, ModelError> {
        if let Some(weights) = Self::single(dir, "model.safetensors")? {
            return Ok(Some(weights));
        }
        let Some(index) = files::read(dir, "model.safetensors.index.json", VOCABULARY_LIMIT)? else {
            return Ok(None);
        };
        Self::sharded(dir, &Object::parse(&index.path, &index.bytes)?).map(Some)
    }

    /// Opens the one file `dir/name`. `None` where it is not there.
    pub(crate) fn single(dir: &Path, name: &str) -> Result<Option<Self>, ModelError> {
        let path = dir.join(name);
        let Some((file, size)) = files::open(&path)? else {
            return Ok(None);
        };
        let mut weights = Self {
            path: path.clone(),
            ..Self::default()
        };
        weights.add(name, path, Content::File(file), size)?;
        Ok(Some(weights))
    }

    /// One file's content; `path` is what messages call it.
    pub(crate) fn from_memory(path: &Path, name: &str, bytes: Vec<u8>) -> Result<Self, ModelError> {
        let path = path.join(name);
        let mut weights = Self {
            path: path.clone(),
            ..Self::default()
        };
        let size = bytes.len() as u64;
        weights.add(name, path, Content::Memory(bytes), size)?;
        Ok(weights)
    }

    /// No tensors at all, for a checkpoint whose weights are elsewhere (`model.onnx`).
    pub(crate) fn none(dir: &Path) -> Self {
        Self {
            path: dir.to_owned(),
            ..Self::default()
        }
    }

    /// Whether there are no tensors, because the checkpoint came as ONNX only.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Whether there is a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The names of all tensors, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// The shape of a tensor; `None` where there is none of this name.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.get(name).map(|entry| entry.shape.as_slice())
    }

    /// The file, its index or the directory, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the weight files together.
    pub fn file_bytes(&self) -> u64 {
        self.shards
            .iter()
            .map(|shard| shard.size)
            .fold(0, u64::saturating_add)
    }

    /// The type in which the files hold a tensor; `None` where there is none of this name or it is no readable float.
    pub fn dtype(&self, name: &str) -> Option<Dtype> {
        Dtype::from_header(&self.tensors.get(name)?.dtype)
    }

    /// Reads a tensor of the given shape as f32, row-major.
    ///
    /// # Errors
    /// The tensor is missing, of another shape, not F32, F16 or BF16, or holds NaN or an infinity; the file cannot be
    /// read any more; there is not enough memory.
    pub fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let (entry, shard, dtype) = self.check(name, shape)?;
        let mut values = Vec::new();
        values
            .try_reserve_exact(entry.elements)
            .map_err(|_| ModelError::Memory {
                path: shard.path.clone(),
                tensor: name.to_owned(),
                bytes: entry.elements.saturating_mul(size_of::<f32>()),
            })?;
        let mut block = vec![0_u8; BLOCK];
        let mut done = 0_u64;
        while done < entry.bytes {
            let wanted = usize::try_from(entry.bytes.saturating_sub(done))
                .unwrap_or(BLOCK)
                .min(BLOCK);
            let part = block.get_mut(..wanted).unwrap_or_default();
            shard
                .content
                .read_exact_at(part, entry.begin.saturating_add(done))
                .map_err(|e| io_error(&shard.path, e))?;
            let first = values.len();
            convert(part, dtype, &mut values);
            let fresh = values.get(first..).unwrap_or_default();
            if let Some((offset, value)) = not_finite(fresh) {
                return Err(ModelError::NotFinite {
                    path: shard.path.clone(),
                    tensor: name.to_owned(),
                    value: value.to_string(),
                    index: first.saturating_add(offset),
                });
            }
            done = done.saturating_add(wanted as u64);
        }
        Ok(values)
    }

    /// Checks by the headers alone that a tensor is there, has this shape and can be read.
    pub(crate) fn expect(&self, name: &str, shape: &[usize]) -> Result<(), ModelError> {
        self.check(name, shape).map(|_| ())
    }

    /// Adds the files' contents to a digest: the shards in the order of their names.
    pub(crate) fn digest(&self, hasher: &mut Hasher) -> Result<(), ModelError> {
        self.shards.iter().try_for_each(|shard| match &shard.content {
            Content::File(file) => hasher.file(&shard.name, &shard.path, file, shard.size),
            Content::Memory(bytes) => {
                hasher.bytes(&shard.name, bytes);
                Ok(())
            }
        })
    }

    fn check(&self, name: &str, shape: &[usize]) -> Result<(&Entry, &Shard, Dtype), ModelError> {
        let missing = || ModelError::MissingTensor {
            path: self.path.clone(),
            tensor: name.to_owned(),
            shape: shape.to_owned(),
        };
        let entry = self.tensors.get(name).ok_or_else(missing)?;
        let shard = self.shards.get(entry.shard).ok_or_else(missing)?;
        if entry.shape != shape {
            return Err(ModelError::Shape {
                path: shard.path.clone(),
                tensor: name.to_owned(),
                expected: shape.to_owned(),
                found: entry.shape.clone(),
            });
        }
        let dtype = Dtype::from_header(&entry.dtype).ok_or_else(|| ModelError::DataType {
            path: shard.path.clone(),
            tensor: name.to_owned(),
            found: entry.dtype.clone(),
        })?;
        Ok((entry, shard, dtype))
    }

    fn sharded(dir: &Path, index: &Object) -> Result<Self, ModelError> {
        let fault = |problem: String| ModelError::Index {
            path: index.path().to_owned(),
            problem,
        };
        let map = index
            .get("weight_map")
            .and_then(Value::as_object)
            .ok_or_else(|| {
                fault("\"weight_map\", an object from tensor to file name, is missing".to_owned())
            })?;
        let mut owners: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (tensor, file) in map {
            let name = file.as_str().ok_or_else(|| {
                fault(format!(
                    "tensor \"{tensor}\": expected a file name, found {}",
                    describe(file)
                ))
            })?;
            if !plain_name(name) {
                return Err(fault(format!(
                    "tensor \"{tensor}\": \"{name}\" is not a plain .safetensors file name; shards lie in the \
                     checkpoint directory itself"
                )));
            }
            owners.entry(name).or_default().push(tensor);
        }
        if owners.is_empty() || owners.len() > SHARD_LIMIT {
            return Err(fault(format!(
                "names {} shards, 1 to {SHARD_LIMIT} are read",
                owners.len()
            )));
        }
        let mut weights = Self {
            path: index.path().to_owned(),
            ..Self::default()
        };
        for (name, tensors) in owners {
            let path = dir.join(name);
            let (file, size) = files::open(&path)?.ok_or_else(|| {
                fault(format!(
                    "names the shard \"{name}\", which is not in the directory; copy it there"
                ))
            })?;
            weights.add(name, path, Content::File(file), size)?;
            if let Some(lost) = tensors.iter().find(|t| !weights.tensors.contains_key(**t)) {
                return Err(fault(format!(
                    "says that tensor \"{lost}\" is in \"{name}\", but it is not"
                )));
            }
        }
        Ok(weights)
    }

    /// Parses the header of one file and takes its tensors in.
    fn add(&mut self, name: &str, path: PathBuf, content: Content, size: u64) -> Result<(), ModelError> {
        let shard = self.shards.len();
        for (tensor, entry) in header(&path, &content, size, shard)? {
            if self.tensors.contains_key(&tensor) {
                return Err(ModelError::TensorEntry {
                    path,
                    tensor,
                    problem: "is in two shards; each tensor is expected once".to_owned(),
                });
            }
            self.tensors.insert(tensor, entry);
        }
        self.shards.push(Shard {
            name: name.to_owned(),
            path,
            content,
            size,
        });
        Ok(())
    }
}

/// A file name without any directory part.
fn plain_name(name: &str) -> bool {
    let mut parts = Path::new(name).components();
    let plain =
        matches!(parts.next(), Some(Component::Normal(part)) if part.as_encoded_bytes() == name.as_bytes());
    plain && parts.next().is_none() && name.ends_with(".safetensors")
}

/// Reads and checks a header: 8 bytes of length, that many bytes of JSON, then the tensors, which must fill the rest of
/// the file without gap or overlap (<https://github.com/huggingface/safetensors#format>).
fn header(path: &Path, file: &Content, size: u64, shard: usize) -> Result<Vec<(String, Entry)>, ModelError> {
    let fault = |problem: String| ModelError::Header {
        path: path.to_owned(),
        problem,
    };
    if size < 8 {
        return Err(fault(format!(
            "the file has {size} bytes, at least 8 are expected"
        )));
    }
    let mut length = [0; 8];
    file.read_exact_at(&mut length, 0)
        .map_err(|e| io_error(path, e))?;
    // How a pointer begins (<https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md>).
    if &length == b"version " {
        return Err(fault(
            "it is a pointer of Git LFS and not the weights, which `git lfs pull` fetches".to_owned(),
        ));
    }
    let length = u64::from_le_bytes(length);
    let rest = size.saturating_sub(8);
    if length > HEADER_LIMIT || length > rest {
        return Err(fault(format!(
            "it claims {length} bytes; the file has {rest} after the length, and at most {HEADER_LIMIT} are read"
        )));
    }
    let mut text = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut text, 8).map_err(|e| io_error(path, e))?;
    let start = length.saturating_add(8);
    let mut entries = Vec::new();
    for (name, value) in Object::parse(path, &text)?
        .iter()
        .filter(|(n, _)| *n != "__metadata__")
    {
        let entry = entry(value, shard, start).map_err(|problem| ModelError::TensorEntry {
            path: path.to_owned(),
            tensor: name.to_owned(),
            problem,
        })?;
        entries.push((name.to_owned(), entry));
    }
    contiguous(path, &mut entries, start, size)?;
    Ok(entries)
}

/// The entry of one tensor. `Err` is what is wrong with it.
fn entry(value: &Value, shard: usize, start: u64) -> Result<Entry, String> {
    let dtype = value
        .get("dtype")
        .and_then(Value::as_str)
        .ok_or("\"dtype\" is missing or no string")?;
    let shape = value
        .get("shape")
        .and_then(integers)
        .ok_or("\"shape\" is missing or no list of sizes")?;
    let offsets = value
        .get("data_offsets")
        .and_then(integers)
        .ok_or("\"data_offsets\" is missing or no list of two offsets")?;
    let [from, to] = offsets[..] else {
        return Err(format!("{} data offsets, 2 are expected", offsets.len()));
    };
    let elements = shape
        .iter()
        .try_fold(1_u64, |n, d| n.checked_mul(*d))
        .ok_or("the shape overflows")?;
    let bits = bits(dtype).ok_or_else(|| format!("unknown data type \"{dtype}\""))?;
    let bytes = elements.checked_mul(bits).ok_or("the shape overflows")? / 8;
    if to.checked_sub(from) != Some(bytes) {
        return Err(format!(
            "data offsets {from} to {to}, but {dtype} of shape {shape:?} takes {bytes} bytes"
        ));
    }
    let begin = start.checked_add(from).ok_or("the data offsets overflow")?;
    begin.checked_add(bytes).ok_or("the data offsets overflow")?;
    let narrow = |n: u64| usize::try_from(n).map_err(|_| "the shape overflows".to_owned());
    Ok(Entry {
        shard,
        dtype: dtype.to_owned(),
        elements: narrow(elements)?,
        shape: shape.into_iter().map(narrow).collect::<Result<_, _>>()?,
        begin,
        bytes,
    })
}

fn integers(value: &Value) -> Option<Vec<u64>> {
    value.as_array()?.iter().map(Value::as_u64).collect()
}

/// Bits of one element, for every type of the format. Only some are read as weights; the others may be lying around.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// Checks that the tensors fill the file from `start` to `size`, and leaves them in the order of their offsets.
fn contiguous(path: &Path, entries: &mut [(String, Entry)], start: u64, size: u64) -> Result<(), ModelError> {
    let fault = |tensor: &str, problem: String| ModelError::TensorEntry {
        path: path.to_owned(),
        tensor: tensor.to_owned(),
        problem,
    };
    let end = |entry: &Entry| entry.begin.saturating_add(entry.bytes);
    if let Some((name, entry)) = entries.iter().find(|(_, entry)| end(entry) > size) {
        let end = end(entry);
        return Err(fault(
            name,
            format!("ends at byte {end}, the file has {size} bytes: it is truncated"),
        ));
    }
    entries.sort_by_key(|(_, entry)| (entry.begin, entry.bytes));
    let mut at = start;
    for (name, entry) in entries.iter() {
        if entry.begin != at {
            let begin = entry.begin;
            let what = if begin < at {
                "overlaps the tensor"
            } else {
                "leaves a gap"
            };
            return Err(fault(
                name,
                format!("starts at byte {begin}, {at} is expected: it {what} before it"),
            ));
        }
        at = end(entry);
    }
    if at != size {
        return Err(ModelError::Header {
            path: path.to_owned(),
            problem: format!("the tensors end at byte {at}, the file has {size} bytes"),
        });
    }
    Ok(())
}

/// Appends the elements in `bytes` as f32. Both half types convert exactly.
fn convert(bytes: &[u8], dtype: Dtype, values: &mut Vec<f32>) {
    match dtype {
        Dtype::F32 => {
            let (chunks, _) = bytes.as_chunks::<4>();
            values.extend(chunks.iter().map(|b| f32::from_le_bytes(*b)));
        }
        Dtype::F16 => {
            let (chunks, _) = bytes.as_chunks::<2>();
            values.extend(chunks.iter().map(|b| f16::from_le_bytes(*b).to_f32()));
        }
        Dtype::Bf16 => {
            let (chunks, _) = bytes.as_chunks::<2>();
            values.extend(chunks.iter().map(|b| bf16::from_le_bytes(*b).to_f32()));
        }
    }
}

/// The first NaN or infinity and its index.
fn not_finite(values: &[f32]) -> Option<(usize, f32)> {
    // Without the early exit of a search the usual case, all finite, is one pass of wide instructions.
    if values.iter().fold(true, |fine, v| fine & v.is_finite()) {
        return None;
    }
    values.iter().copied().enumerate().find(|(_, v)| !v.is_finite())
}
