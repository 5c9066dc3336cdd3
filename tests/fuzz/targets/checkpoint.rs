//! A model's folder of which one file is not as it was saved: configuration, tokenizer, vocabulary, header of the weights. What is taken has the
//! tensors that it is said to have, and a tokenizer whose tokens lie in the text and in the embedding.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::models::{Models, tokenizer, weights};
use mednerd_fuzz::{Input, seeds};
use mednerd_model::{Checkpoint, LabelEncoder};

static MODELS: LazyLock<Models> = LazyLock::new(|| {
    Models::of(
        &[
            "bert/fp32",
            "bert/fp16-sharded",
            "bert/vocab-only",
            "electra/vocab-only",
            "roberta/fp32",
            "roberta/bf16-vocab-only",
            "camembert/fp32",
            "xlm-roberta/bf16-vocab-only",
            "distilbert/vocab-only",
            "deberta-v2/v3-fp32",
            "deberta-v2/c2p-only",
            "modernbert/fp32",
            "eurobert/fp32",
            "longformer/fp32",
            "gliner/span-rnn",
            "gliner/token",
            "gliner/bi-span",
            "gliner/older",
        ]
        .map(|folder| format!("tests/fixtures/{folder}"))
        .each_ref()
        .map(|folder| &**folder),
    )
});

fuzz_target!(
    init: {
        mednerd_fuzz::panics_are_caught();
        seeds(MODELS.seeds());
    },
    |bytes: &[u8]| {
        let folder = MODELS.changed(&mut Input(bytes));
        for checkpoint in [Checkpoint::open(&folder), Checkpoint::open_base(&folder)] {
            let checkpoint = match checkpoint {
                Ok(checkpoint) => checkpoint,
                Err(error) => {
                    assert!(!error.to_string().is_empty());
                    continue;
                }
            };
            let architecture = checkpoint.architecture();
            assert!(checkpoint.context() > 0 && checkpoint.context() <= architecture.context.max(1 << 20));
            weights(architecture, checkpoint.weights());
            tokenizer(checkpoint.tokenizer(), architecture.embeddings.words.rows);
            let _ = (checkpoint.parameters(), checkpoint.weight_bytes(), checkpoint.digest());
            if let Some(gliner) = checkpoint.gliner()
                && let LabelEncoder::Tower { encoder, .. } = &gliner.labels
            {
                weights(encoder, checkpoint.weights());
                let (own, _) = checkpoint.label_tokenizer().unwrap();
                tokenizer(own, encoder.embeddings.words.rows);
            }
        }
    }
);
