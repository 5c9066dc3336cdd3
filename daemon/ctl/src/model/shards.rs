//! Splits a safetensors file into shards with an index, as `transformers` writes them: for file systems, media and
//! transfers that take no large file. Tensors are copied byte for byte.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde_json::{Map, Value, json};

use super::error::{ModelError, at};
use super::record::{INDEX, WEIGHTS};

/// Largest header that is read.
const HEADER: u64 = 16 << 20;

struct Tensor {
    name: String,
    description: Value,
    begin: u64,
    end: u64,
}

/// Splits `model.safetensors` in `dir` where it has more than `most` bytes; whether it did. A tensor is never split, so a
/// shard may be larger.
///
/// # Errors
/// [`ModelError`]; then `dir` holds a part of the shards.
pub fn split(dir: &Path, most: u64) -> Result<bool, ModelError> {
    let path = dir.join(WEIGHTS);
    let Ok(size) = fs::metadata(&path).map(|found| found.len()) else {
        return Ok(false);
    };
    if size <= most {
        return Ok(false);
    }
    let mut file = File::open(&path).map_err(at(&path))?;
    let (tensors, metadata, start) = header(&mut file, &path, size)?;
    let mut shards: Vec<Vec<&Tensor>> = vec![Vec::new()];
    let mut filled = 0;
    for tensor in &tensors {
        let bytes = tensor.end - tensor.begin;
        match shards.last_mut() {
            Some(last) if last.is_empty() || filled + bytes <= most => {
                last.push(tensor);
                filled += bytes;
            }
            _ => {
                shards.push(vec![tensor]);
                filled = bytes;
            }
        }
    }
    let count = shards.len();
    let mut map = Map::new();
    for (number, shard) in (1..).zip(&shards) {
        let name = format!("model-{number:05}-of-{count:05}.safetensors");
        write(&mut file, start, shard, metadata.as_ref(), &dir.join(&name)).map_err(at(&dir.join(&name)))?;
        map.extend(shard.iter().map(|tensor| (tensor.name.clone(), json!(name))));
    }
    let total: u64 = tensors.iter().map(|tensor| tensor.end - tensor.begin).sum();
    let index = json!({"metadata": {"total_size": total}, "weight_map": map});
    let target = dir.join(INDEX);
    let written = File::create_new(&target).and_then(|mut file| {
        file.write_all(format!("{index:#}\n").as_bytes())?;
        file.sync_all()
    });
    written.map_err(at(&target))?;
    fs::remove_file(&path).map_err(at(&path))?;
    Ok(true)
}

/// The tensors in the order of their places, the metadata, and where the data begins.
fn header(file: &mut File, path: &Path, size: u64) -> Result<(Vec<Tensor>, Option<Value>, u64), ModelError> {
    let fault = |problem: &str| ModelError::Weights {
        path: path.to_owned(),
        problem: problem.to_owned(),
    };
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(at(path))?;
    let length = u64::from_le_bytes(length);
    if length > HEADER || length + 8 > size {
        return Err(fault("the header does not fit the file"));
    }
    let mut text = Vec::new();
    file.take(length).read_to_end(&mut text).map_err(at(path))?;
    let parsed: Value = serde_json::from_slice(&text).map_err(|error| fault(&error.to_string()))?;
    let Value::Object(mut entries) = parsed else {
        return Err(fault("the header is no object"));
    };
    let metadata = entries.remove("__metadata__");
    let start = length + 8;
    let mut tensors = Vec::new();
    for (name, description) in entries {
        let place = description.get("data_offsets").and_then(Value::as_array);
        let place: Vec<u64> = place.into_iter().flatten().filter_map(Value::as_u64).collect();
        match place[..] {
            [begin, end] if begin <= end && end <= size - start => tensors.push(Tensor {
                name,
                description,
                begin,
                end,
            }),
            _ => return Err(fault("a tensor lies outside of the file")),
        }
    }
    tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
    Ok((tensors, metadata, start))
}

fn write(
    from: &mut File,
    start: u64,
    shard: &[&Tensor],
    metadata: Option<&Value>,
    path: &Path,
) -> std::io::Result<()> {
    let mut entries = Map::new();
    entries.extend(metadata.map(|found| ("__metadata__".to_owned(), found.clone())));
    let mut at = 0;
    for tensor in shard {
        let end = at + (tensor.end - tensor.begin);
        let mut description = tensor.description.clone();
        if let Some(fields) = description.as_object_mut() {
            fields.insert("data_offsets".to_owned(), json!([at, end]));
        }
        entries.insert(tensor.name.clone(), description);
        at = end;
    }
    let mut header = Value::Object(entries).to_string();
    // The data of safetensors begins at a multiple of 8.
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut to = BufWriter::new(File::create_new(path)?);
    to.write_all(&(header.len() as u64).to_le_bytes())?;
    to.write_all(header.as_bytes())?;
    for tensor in shard {
        from.seek(SeekFrom::Start(start + tensor.begin))?;
        let wanted = tensor.end - tensor.begin;
        if std::io::copy(&mut Read::by_ref(from).take(wanted), &mut to)? != wanted {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    to.into_inner()?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safetensors(tensors: &[(&str, &[u8])]) -> Vec<u8> {
        let mut entries = Map::new();
        let (mut at, mut data) = (0, Vec::new());
        for (name, bytes) in tensors {
            let end = at + bytes.len();
            entries.insert(
                (*name).to_owned(),
                json!({"dtype": "U8", "shape": [bytes.len()], "data_offsets": [at, end]}),
            );
            data.extend_from_slice(bytes);
            at = end;
        }
        let header = Value::Object(entries).to_string();
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
    }

    #[test]
    fn every_tensor_is_in_one_shard_byte_for_byte() {
        let folder = tempfile::tempdir().unwrap();
        let tensors = [
            ("a", &[1; 600][..]),
            ("b", &[2; 600]),
            ("c", &[3; 3000]),
            ("d", &[4; 10]),
            ("e", &[]),
        ];
        fs::write(folder.path().join(WEIGHTS), safetensors(&tensors)).unwrap();
        assert!(!split(folder.path(), 1 << 20).unwrap());
        assert!(split(folder.path(), 1300).unwrap());
        assert!(!folder.path().join(WEIGHTS).exists());
        let index = fs::read(folder.path().join(INDEX)).unwrap();
        let index: Value = serde_json::from_slice(&index).unwrap();
        assert_eq!(index["metadata"]["total_size"], 4210);
        for (name, bytes) in tensors {
            let shard = folder.path().join(index["weight_map"][name].as_str().unwrap());
            let mut file = File::open(&shard).unwrap();
            let size = file.metadata().unwrap().len();
            let (found, _, start) = header(&mut file, &shard, size).unwrap();
            assert_eq!(start % 8, 0);
            let tensor = found.iter().find(|tensor| tensor.name == name).unwrap();
            let whole = fs::read(&shard).unwrap();
            let [begin, end] = [tensor.begin, tensor.end].map(|at| (start + at) as usize);
            assert_eq!(&whole[begin..end], bytes, "{name}");
        }
        let shards = fs::read_dir(folder.path()).unwrap().count() - 1;
        assert_eq!(shards, 3);
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(WEIGHTS);
        let long = safetensors(&[("a", &[1; 600])]);
        let mut huge = u64::MAX.to_le_bytes().to_vec();
        huge.extend([0; 100]);
        for bytes in [long[..300].to_vec(), huge, b"{}".repeat(50)] {
            fs::write(&path, bytes).unwrap();
            let error = split(folder.path(), 10).unwrap_err();
            assert!(matches!(error, ModelError::Weights { .. }), "{error}");
        }
    }
}
