//! A Hugging Face token-classification checkpoint, opened and checked: its [`Architecture`], its tensors, its labels
//! and its tokenizer. No backend lives here; engines lower the `Architecture` without knowing the model family.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adapter;
mod architecture;
mod card;
mod checkpoint;
mod digest;
mod error;
mod families;
mod files;
mod gliner;
mod json;
mod labels;
mod tokenizer;
mod weights;

pub use adapter::{Adapter, LowRank};
pub use architecture::{
    Activation, Architecture, Attention, AttentionPositions, Convolution, Disentangled, Embeddings,
    FeedForward, Head, HeadDense, Layer, Linear, Norm, NormKind, NormPlacement, Positions, Projection, Table,
    TensorSpec,
};
pub use checkpoint::Checkpoint;
pub use error::ModelError;
pub use families::known as known_families;
pub use gliner::{Bilstm, Gliner, GlinerHead, LabelEncoder, Lstm, Mlp, Prompt, SpanOutput};
pub use weights::{Dtype, Weights};

/// The tokenizer type that [`Checkpoint::tokenizer`] gives.
pub use tokenizers::Tokenizer;
