//! Why a model could not be loaded or a sequence not be run. Messages never hold text of a note.

use std::path::PathBuf;

use mednerd_model::ModelError;

/// Why a model could not be loaded or a sequence not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A tensor could not be read from the checkpoint.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The CPU cannot compute in 8 bits.
    #[error(
        "precision \"int8\" needs a CPU with AVX-512 VNNI, which this one has not; set precision = \"auto\" or \"fp32\" in [engine]"
    )]
    Precision,
    /// 8 bits were asked for and the model came as ONNX.
    #[error(
        "{}: precision \"int8\" needs model.safetensors, and only model.onnx is here; add it, or set precision = \"auto\" in [engine]",
        path.display()
    )]
    OnnxPrecision {
        /// The checkpoint directory.
        path: PathBuf,
    },
    /// The ONNX file cannot be run.
    #[error("{}: {problem}", path.display())]
    Onnx {
        /// The ONNX file.
        path: PathBuf,
        /// What is wrong and what was expected.
        problem: String,
    },
    /// A task adapter over a base that came as ONNX.
    #[error(
        "{}: the base {} came as model.onnx, whose layers cannot be adapted; copy its model.safetensors beside it",
        adapter.display(), base.display()
    )]
    OnnxBase {
        /// The adapter's directory.
        adapter: PathBuf,
        /// The base's.
        base: PathBuf,
    },
    /// A base without a classification head was asked for logits.
    #[error("{} has no classification head; only adapters over it can be run", path.display())]
    Headless {
        /// The checkpoint directory.
        path: PathBuf,
    },
    /// A model was asked for hidden states and has none to give.
    #[error(
        "{}: the hidden states of an ONNX export, or of an encoder that ends with a norm of its own, cannot be had; use \
         a BERT, RoBERTa or ELECTRA checkpoint in safetensors",
        path.display()
    )]
    Hidden {
        /// The checkpoint directory.
        path: PathBuf,
    },
    /// tract refused the plan or failed while running it: a fault of ours, not of the checkpoint or the note.
    #[error("{}: the CPU engine failed while {step}: {problem}. Please report this", path.display())]
    Internal {
        /// The checkpoint directory.
        path: PathBuf,
        /// What was being done.
        step: &'static str,
        /// What tract said.
        problem: String,
    },
    /// A sequence without tokens.
    #[error("the sequence has no tokens; at least 1 is expected")]
    Empty,
    /// A sequence longer than the model can take.
    #[error("the sequence has {length} tokens; the model takes at most {context}")]
    TooLong {
        /// Tokens in the sequence, special ones included.
        length: usize,
        /// The model's context.
        context: usize,
    },
    /// A token id that the word embedding has no row for.
    #[error("the token at position {position} has an id outside the vocabulary; ids from 0 to {} are expected", rows.saturating_sub(1))]
    Token {
        /// Position in the sequence.
        position: usize,
        /// Rows of the word embedding.
        rows: usize,
    },
    /// A word or label that is said to be where the sequence has no token.
    #[error("position {position} is outside the sequence of {length} tokens")]
    Position {
        /// Where it is said to be.
        position: usize,
        /// Tokens in the sequence.
        length: usize,
    },
    /// Hidden states from elsewhere that are not as many as are read.
    #[error("{expected} values of hidden states are expected, found {found}")]
    States {
        /// Values that are read.
        expected: usize,
        /// Values that there are.
        found: usize,
    },
    /// Labels that are given in the sequence to a model that encodes them apart, or the other way round.
    #[error("labels are given {found}; this model takes them {expected}")]
    Labels {
        /// How the model takes them.
        expected: &'static str,
        /// How they came.
        found: &'static str,
    },
    /// The logits hold NaN or an infinity, so the answer cannot be used.
    #[error(
        "what the model gives for the token at position {position} is not finite; the checkpoint overflows in fp32"
    )]
    NotFinite {
        /// Position in the sequence.
        position: usize,
    },
}
