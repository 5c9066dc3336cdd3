//! Longformer (Beltagy et al. 2020), as `transformers.LongformerForTokenClassification` saves it: RoBERTa with a window in
//! every layer.
//!
//! Global attention has no part in a token classifier: the reference gives it only to tokens that its caller names in
//! `global_attention_mask`, and neither its pipeline nor its trainer names any. So the `query_global`, `key_global` and
//! `value_global` that the files have are not read. The reference fills a text up to whole windows, but the filling is
//! masked, so no token sees it.

use serde_json::Value;

use super::post_norm::BERT_KEYS;
use super::{Family, Source, WIDTH_LIMIT, roberta};
use crate::architecture::Architecture;
use crate::error::ModelError;
use crate::tokenizer;

pub(super) const FAMILY: Family = Family {
    name: "longformer",
    prefix: "longformer.",
    describe,
    tokenizer: &tokenizer::ROBERTA,
    class: Some("RobertaTokenizer"),
    idle: &["query_global", "key_global", "value_global"],
};

fn describe(source: &Source<'_>) -> Result<Architecture, ModelError> {
    let mut architecture = roberta::describe(source, &BERT_KEYS, FAMILY.prefix)?;
    let windows = windows(source, architecture.layers.len())?;
    for (layer, window) in architecture.layers.iter_mut().zip(windows) {
        layer.attention.reach = Some(window / 2);
    }
    Ok(architecture)
}

/// The width of each layer's window, to both sides together: `attention_window`, a number or one for each layer.
fn windows(source: &Source<'_>, layers: usize) -> Result<Vec<usize>, ModelError> {
    let Some(value) = source.config.get("attention_window") else {
        return Ok(vec![512; layers]);
    };
    let window = |value: &Value| {
        let window = value.as_u64().and_then(|n| usize::try_from(n).ok())?;
        ((2..=WIDTH_LIMIT).contains(&window) && window % 2 == 0).then_some(window)
    };
    let list = match value {
        Value::Array(list) if list.len() == layers => list.iter().map(window).collect(),
        Value::Array(_) => None,
        one => window(one).map(|window| vec![window; layers]),
    };
    list.ok_or_else(|| {
        let expected = format!(
            "an even number from 2 to {WIDTH_LIMIT}, or one for each of the {layers} layers of \"num_hidden_layers\""
        );
        source.config.wrong("attention_window", expected, value)
    })
}
