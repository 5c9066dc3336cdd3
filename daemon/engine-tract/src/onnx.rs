//! A `model.onnx` run as it is, where there are no safetensors: tract's own reader and optimiser, one sequence at a
//! time with full attention.

use std::panic::catch_unwind;
use std::path::Path;

use tract_onnx::prelude::*;
use tract_onnx::tract_core::internal::*;

use crate::error::EngineError;

/// What is fed to one input of the graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feed {
    /// The token ids.
    Ids,
    /// 1 for every token.
    Mask,
    /// 0 for every token.
    TokenTypes,
}

impl Feed {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "input_ids" => Some(Self::Ids),
            "attention_mask" => Some(Self::Mask),
            "token_type_ids" => Some(Self::TokenTypes),
            _ => None,
        }
    }

    /// The value for a sequence, as `[1, length]` of i64.
    pub(crate) fn tensor(self, ids: &[u32]) -> TractResult<TValue> {
        let values: Vec<i64> = match self {
            Self::Ids => ids.iter().map(|id| i64::from(*id)).collect(),
            Self::Mask => vec![1; ids.len()],
            Self::TokenTypes => vec![0; ids.len()],
        };
        Ok(Tensor::from_shape(&[1, ids.len()], &values)?.into_tvalue())
    }
}

/// An optimised graph and what its inputs want, in their order.
pub(crate) struct Graph {
    pub(crate) model: TypedModel,
    pub(crate) feeds: Vec<Feed>,
}

/// Reads and optimises an ONNX file that must give logits of `labels` columns. tract's reader panics on some graphs
/// that are no graphs; that too is an error that names the file.
pub(crate) fn load(path: &Path, labels: usize) -> Result<Graph, EngineError> {
    catch_unwind(|| read(path, labels)).unwrap_or_else(|_| {
        Err(EngineError::Onnx {
            path: path.to_owned(),
            problem: "not an ONNX graph that tract can run: its reader gave up. \
                      Put model.safetensors beside it instead"
                .to_owned(),
        })
    })
}

fn read(path: &Path, labels: usize) -> Result<Graph, EngineError> {
    let fault = |problem: String| EngineError::Onnx {
        path: path.to_owned(),
        problem,
    };
    let unreadable = |error: TractError| {
        fault(format!(
            "not an ONNX graph that tract can run: {error:#}. Put model.safetensors beside it instead"
        ))
    };
    let mut model = onnx().model_for_path(path).map_err(unreadable)?;
    let mut feeds = Vec::new();
    let length = model.symbols.sym("S");
    let inputs = model.input_outlets().map_err(unreadable)?.to_vec();
    for (index, outlet) in inputs.into_iter().enumerate() {
        let name = model.node(outlet.node).name.clone();
        feeds.push(Feed::from_name(&name).ok_or_else(|| {
            fault(format!(
                "the input \"{name}\" is not known; input_ids, attention_mask and token_type_ids are"
            ))
        })?);
        let fact = InferenceFact::dt_shape(i64::datum_type(), tvec!(1.to_dim(), length.to_dim()));
        model.set_input_fact(index, fact).map_err(unreadable)?;
    }
    if !feeds.contains(&Feed::Ids) {
        return Err(fault("the graph has no input \"input_ids\"".to_owned()));
    }
    select_logits(&mut model).map_err(unreadable)?;
    let model = model.into_optimized().map_err(unreadable)?;
    let fact = model.output_fact(0).map_err(unreadable)?;
    let fits = fact.datum_type == f32::datum_type()
        && fact.rank() == 3
        && fact.shape.get(2).is_some_and(|d| *d == labels.to_dim());
    if !fits {
        return Err(fault(format!(
            "the output is {fact:?}; f32 logits of shape [1, S, {labels}] are expected, one column per label of config.json"
        )));
    }
    Ok(Graph { model, feeds })
}

/// Keeps the output `logits`, or the only one there is.
fn select_logits(model: &mut InferenceModel) -> TractResult<()> {
    let outlets = model.output_outlets()?.to_vec();
    let named = outlets
        .iter()
        .find(|outlet| {
            model.outlet_label(**outlet) == Some("logits") || model.node(outlet.node).name == "logits"
        })
        .or(match outlets.as_slice() {
            [only] => Some(only),
            _ => None,
        })
        .copied()
        .context("there is no output \"logits\"")?;
    model.select_output_outlets(&[named])
}
