//! Folders of models of which one file is another.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use mednerd_model::{Architecture, Weights};
use mednerd_pipeline::TextTokenizer;

use crate::{Dice, Input, folder, slice, tree};

/// A model's folder in the repository, and a file of it that is read.
struct Place {
    folder: PathBuf,
    file: PathBuf,
}

/// Every file of some folders that is read, weights by their headers.
pub struct Models(Vec<Place>);

impl Models {
    /// Those of these folders of the repository.
    pub fn of(folders: &[&str]) -> Self {
        let mut all = Vec::new();
        for folder in folders {
            let folder = tree(folder);
            for inner in ["", "labels_encoder"] {
                let Ok(entries) = fs::read_dir(folder.join(inner)) else {
                    continue;
                };
                let mut names: Vec<String> = entries
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                names.retain(|name| {
                    !name.starts_with("golden") && !name.starts_with("vectors") && name != "labels_encoder"
                });
                names.sort();
                all.extend(names.iter().map(|name| Place {
                    folder: folder.clone(),
                    file: Path::new(inner).join(name),
                }));
            }
        }
        Self(all)
    }

    /// Each file as it is.
    pub fn seeds(&self) -> impl Iterator<Item = Vec<u8>> {
        self.0.iter().zip(0_u16..).map(|(place, number)| {
            let bytes = fs::read(place.folder.join(&place.file)).unwrap();
            let own = if is_weights(&place.file) {
                [&[0; 8], header(&bytes)].concat()
            } else {
                bytes
            };
            [&number.to_le_bytes(), &*own].concat()
        })
    }

    /// A folder with all files of a model, one of them as the input has it.
    pub fn changed(&self, input: &mut Input<'_>) -> PathBuf {
        let Place { folder: from, file } = &self.0[input.below(self.0.len())];
        let to = folder().join("model");
        let _ = fs::remove_dir_all(&to);
        for inner in ["", "labels_encoder"] {
            let Ok(entries) = fs::read_dir(from.join(inner)) else {
                continue;
            };
            fs::create_dir_all(to.join(inner)).unwrap();
            for entry in entries
                .map(Result::unwrap)
                .filter(|entry| entry.file_type().unwrap().is_file())
            {
                symlink(
                    entry.path().canonicalize().unwrap(),
                    to.join(inner).join(entry.file_name()),
                )
                .unwrap();
            }
        }
        let bytes = if is_weights(file) {
            let own = fs::read(from.join(file)).unwrap();
            let wrong = u64::from_le_bytes(input.take());
            let length = (input.0.len() as u64 ^ wrong).to_le_bytes();
            [&length, input.0, &own[8 + header(&own).len()..]].concat()
        } else {
            input.0.to_vec()
        };
        fs::remove_file(to.join(file)).unwrap();
        fs::write(to.join(file), bytes).unwrap();
        to
    }
}

fn is_weights(file: &Path) -> bool {
    file.extension().is_some_and(|ending| ending == "safetensors")
}

/// The header of weights, behind its length.
fn header(bytes: &[u8]) -> &[u8] {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    &bytes[8..8 + length]
}

/// Every tensor that a model was checked to have is read in its shape, or is said not to be a number.
pub fn weights(architecture: &Architecture, weights: &Weights) {
    for tensor in architecture.tensors() {
        if let Ok(values) = weights.read(&tensor.name, &tensor.shape) {
            assert_eq!(values.len(), tensor.shape.iter().product::<usize>());
            assert!(values.iter().all(|value| value.is_finite()));
        }
    }
}

const TEXT: &str = "Pt. with DM2,\tna\u{ef}ve cafe\u{301} [MASK] </s>\u{200b}\u{1F9B4}\r\n\u{4e2d}\u{6587} \u{fb01}brosis \u{130}stanbul \u{1112}\u{1161}\u{11ab} x\u{0}y";

/// What any tokenizer makes of a text lies in the text, and is no more than an embedding of so many rows has.
pub fn tokenizer(own: &mednerd_model::Tokenizer, rows: usize) {
    let Ok(tokenizer) = TextTokenizer::new(own.clone()) else {
        return;
    };
    assert!(tokenizer.id_bound() <= rows);
    let bound = |ids: &[u32]| {
        assert!(
            ids.iter().all(|id| (*id as usize) < rows),
            "an id beyond the embedding"
        )
    };
    let mut dice = Dice::of(TEXT.as_bytes());
    for _ in 0..3 {
        let begin = TEXT.floor_char_boundary(dice.below(20));
        let text = &TEXT[begin..TEXT.floor_char_boundary(begin + 10 + dice.below(80))];
        if let Ok(tokens) = tokenizer.tokenise(text) {
            bound(&tokenizer.sequence(tokens.ids()).ids);
            for span in tokens.spans() {
                slice(text, span.range());
            }
        }
        let words: Vec<&str> = text.split(' ').collect();
        if let Ok(pieces) = tokenizer.encode_words(&words) {
            assert_eq!(pieces.len(), words.len());
            (0..words.len()).for_each(|word| bound(pieces.word(word)));
        }
    }
}
