//! Why a checkpoint directory was refused. Each message names the file, what was expected, and what to do next.

use std::io;
use std::path::PathBuf;

/// Why a checkpoint directory could not be opened or one of its tensors not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The operating system refused a file.
    #[error("{}: cannot be read: {source}. Check that it exists and that the daemon's user may read it", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file that every checkpoint needs is not there.
    #[error("{}: {wanted} is missing. {advice}", dir.display())]
    MissingFile {
        /// The checkpoint directory.
        dir: PathBuf,
        /// The file or files that would do.
        wanted: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// The weights are there only as a Python pickle, which runs code when it is read.
    #[error(
        "{}: Python pickles are not read, because reading one runs code. Convert it once, on any machine with Python: \
         python -c \"from {library} as M; \
         M.from_pretrained('DIR').save_pretrained('DIR', safe_serialization=True)\", then copy model.safetensors here",
        path.display()
    )]
    Pickle {
        /// The pickle.
        path: PathBuf,
        /// Module and class that write the weights anew.
        library: &'static str,
    },
    /// The tokenizer of a GLiNER's label encoder is not there; the reference fetches it from the network.
    #[error(
        "{}: the label encoder's tokenizer is missing. Copy tokenizer.json and tokenizer_config.json of \"{name}\" \
         into this folder",
        dir.display()
    )]
    LabelTokenizer {
        /// The folder where it belongs.
        dir: PathBuf,
        /// The label encoder, as the configuration names it.
        name: String,
    },
    /// Something that should be a regular file is a directory, a pipe or a device.
    #[error("{}: not a regular file. Replace it with the file from the original checkpoint", path.display())]
    NotAFile {
        /// What was found.
        path: PathBuf,
    },
    /// A file is larger than anything sensible of its kind.
    #[error("{}: {found} bytes, at most {limit} are read. This is not a file of this kind; copy it again", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The largest size accepted, in bytes.
        limit: u64,
    },
    /// A JSON file does not parse, is nested too deeply or names a key twice.
    #[error("{}: not valid JSON: {problem}. Copy the file again from the original checkpoint", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What the parser met, with line and column.
        problem: String,
    },
    /// A value in a JSON file is missing, of the wrong type or out of range.
    #[error("{}: \"{key}\": expected {expected}, found {found}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, dotted where nested.
        key: String,
        /// What would be accepted.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A model family that is not supported.
    #[error("{}: \"model_type\" is \"{found}\"; the families mednerd runs are {known}", path.display())]
    UnknownFamily {
        /// The configuration file.
        path: PathBuf,
        /// The family it names.
        found: String,
        /// The families there are, comma-separated.
        known: String,
    },
    /// The checkpoint is not a token classifier.
    #[error(
        "{}: not a token classifier: \"architectures\" is {architectures} and there is no tensor \"{tensor}\". \
         Fine-tune it for token classification first, or use a checkpoint that is",
        path.display()
    )]
    NoHead {
        /// The configuration file.
        path: PathBuf,
        /// What `architectures` says.
        architectures: String,
        /// The tensor that a head would have.
        tensor: String,
    },
    /// The label map cannot be used.
    #[error("{}: \"id2label\": {problem}", path.display())]
    Labels {
        /// The configuration file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The header of a safetensors file contradicts itself or the file.
    #[error("{}: the safetensors header is wrong: {problem}. The file is damaged or incomplete; copy it again", path.display())]
    Header {
        /// The weight file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The entry of one tensor in a safetensors header is wrong.
    #[error("{}: tensor \"{tensor}\": {problem}. The file is damaged or was made by another tool; copy it again", path.display())]
    TensorEntry {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A tensor that the architecture needs is not in the files.
    #[error(
        "{}: tensor \"{tensor}\" of shape {shape:?} is missing; the model's configuration asks for it. \
         The weights belong to another configuration or are incomplete",
        path.display()
    )]
    MissingTensor {
        /// The weight file, its index, or the directory.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape it should have.
        shape: Vec<usize>,
    },
    /// A tensor has another shape than the configuration asks for.
    #[error("{}: tensor \"{tensor}\" has shape {found:?}; the model's configuration asks for {expected:?}", path.display())]
    Shape {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor belongs to a part of a model that mednerd does not compute.
    #[error(
        "{}: nothing that mednerd computes reads tensor \"{tensor}\", so its answers would not be the model's. \
         Use a GLiNER of spans or tokens as the gliner package saves it, without parts of its own",
        path.display()
    )]
    UnreadTensor {
        /// The weight file, its index, or the directory.
        path: PathBuf,
        /// The tensor.
        tensor: String,
    },
    /// A tensor is not of a floating-point type that can be read.
    #[error("{}: tensor \"{tensor}\" is {found}; F32, F16 or BF16 is expected", path.display())]
    DataType {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its type as the file writes it.
        found: String,
    },
    /// A tensor holds NaN or an infinity: the training diverged or the file is damaged.
    #[error(
        "{}: tensor \"{tensor}\" holds {value} at element {index}; every weight must be finite. \
         The training diverged or the file is damaged: use another copy of this checkpoint",
        path.display()
    )]
    NotFinite {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// The value, as text.
        value: String,
        /// The flat, row-major index of the first such element.
        index: usize,
    },
    /// There is not enough memory to hold one tensor.
    #[error("{}: not enough memory to read tensor \"{tensor}\" ({bytes} bytes)", path.display())]
    Memory {
        /// The weight file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// The index of a sharded checkpoint is wrong.
    #[error("{}: {problem}", path.display())]
    Index {
        /// The index file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A task adapter cannot be used.
    #[error("{}: {problem}", path.display())]
    Adapter {
        /// The adapter's file or directory.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The tokenizer's files cannot be used.
    #[error("{}: {problem}", path.display())]
    Tokenizer {
        /// The tokenizer file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// The tokenizer can give an id that the embedding table has no row for.
    #[error(
        "{}: token {token:?} has id {id}, but the word embedding has {rows} rows (ids 0 to {}). \
         The tokenizer belongs to another model; copy both from the same checkpoint",
        path.display(), rows.saturating_sub(1)
    )]
    Vocabulary {
        /// The tokenizer file.
        path: PathBuf,
        /// The token with the largest id.
        token: String,
        /// That id.
        id: u32,
        /// Rows of the word embedding.
        rows: usize,
    },
}
