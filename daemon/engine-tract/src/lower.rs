//! From an `Architecture` to a tract model made of our operators. Tensors are read one at a time, packed into the form
//! the kernels want and dropped, so that every weight is held once.

use mednerd_model::{
    Activation, Architecture, Attention, Checkpoint, Embeddings, FeedForward, Layer, Linear, ModelError,
    Norm, NormPlacement, Positions, Table, Weights,
};
use tract_onnx::tract_core::internal::*;

use crate::error::EngineError;
use crate::kernels::attention::Heads;
use crate::kernels::gemm::Packed;
use crate::kernels::norm::Affine;
use crate::ops::{AddNorm, Attend, Embed, EmbedWeights, Normalize, Product, ProductWeights, Shared};

/// A model ready to be planned, and the bytes of weights that its operators hold.
pub(crate) struct Lowered {
    pub(crate) model: TypedModel,
    pub(crate) bytes: usize,
}

/// Why lowering stopped: a tensor, or tract itself.
pub(crate) enum LowerError {
    Tensor(ModelError),
    Graph(TractError),
}

impl From<ModelError> for LowerError {
    fn from(error: ModelError) -> Self {
        Self::Tensor(error)
    }
}

impl From<TractError> for LowerError {
    fn from(error: TractError) -> Self {
        Self::Graph(error)
    }
}

/// Lowers a checkpoint's safetensors: input `[S]` of u32 token ids, output `[S, labels]` of f32 logits.
pub(crate) fn lower(checkpoint: &Checkpoint) -> Result<Lowered, EngineError> {
    let mut lowering = Lowering {
        weights: checkpoint.weights(),
        model: TypedModel::default(),
        bytes: 0,
    };
    lowering
        .whole(checkpoint.architecture())
        .map_err(|error| match error {
            LowerError::Tensor(error) => EngineError::Model(error),
            LowerError::Graph(error) => EngineError::Internal {
                path: checkpoint.dir().to_owned(),
                step: "building the plan",
                problem: format!("{error:#}"),
            },
        })?;
    Ok(Lowered {
        model: lowering.model,
        bytes: lowering.bytes,
    })
}

struct Lowering<'a> {
    weights: &'a Weights,
    model: TypedModel,
    bytes: usize,
}

impl Lowering<'_> {
    fn whole(&mut self, architecture: &Architecture) -> Result<(), LowerError> {
        let length = self.model.symbols.sym("S");
        let ids = self.model.add_source("ids", u32::fact([length.to_dim()]))?;
        let mut x = self.embeddings(&architecture.embeddings, architecture.context, ids)?;
        for (index, layer) in architecture.layers.iter().enumerate() {
            x = self.layer(layer, &format!("layer.{index}"), x)?;
        }
        if let Some(norm) = &architecture.final_norm {
            x = self.normalize("final_norm", norm, x)?;
        }
        let logits = self.product("logits", &[&architecture.head.classifier], None, x)?;
        self.model.select_output_outlets(&[logits])?;
        Ok(())
    }

    fn embeddings(
        &mut self,
        embeddings: &Embeddings,
        context: usize,
        ids: OutletId,
    ) -> Result<OutletId, LowerError> {
        let width = embeddings.words.width;
        let mut places = match &embeddings.positions {
            Positions::Absolute { table, first } => {
                let mut rows = self.table(table)?;
                rows.drain(..(first * width).min(rows.len()));
                rows.truncate(context * width);
                rows
            }
        };
        if let Some(types) = &embeddings.token_types {
            // A note is one segment, so every token gets row 0.
            let types = self.table(types)?;
            for place in places.chunks_exact_mut(width) {
                place.iter_mut().zip(&types).for_each(|(x, t)| *x += *t);
            }
        }
        places.shrink_to_fit();
        let words = self.table(&embeddings.words)?;
        self.bytes += (words.capacity() + places.capacity()) * size_of::<f32>();
        let weights = Shared::new(EmbedWeights { words, places, width });
        let mut x = self.wire("embeddings", Embed { weights }, &[ids])?;
        if let Some(norm) = &embeddings.norm {
            x = self.normalize("embeddings.norm", norm, x)?;
        }
        if let Some(projection) = &embeddings.projection {
            x = self.product("embeddings.projection", &[projection], None, x)?;
        }
        Ok(x)
    }

    fn layer(&mut self, layer: &Layer, name: &str, x: OutletId) -> Result<OutletId, LowerError> {
        let NormPlacement::Post = layer.placement;
        let attended = self.attention(&layer.attention, name, x)?;
        let x = self.add_norm(
            &format!("{name}.attention.norm"),
            &layer.attention_norm,
            attended,
            x,
        )?;
        let fed = self.feed_forward(&layer.feed_forward, name, x)?;
        self.add_norm(
            &format!("{name}.feed_forward.norm"),
            &layer.feed_forward_norm,
            fed,
            x,
        )
    }

    fn attention(&mut self, attention: &Attention, name: &str, x: OutletId) -> Result<OutletId, LowerError> {
        let Attention::Full {
            query,
            key,
            value,
            output,
            heads,
            head_dim,
            scale,
        } = attention;
        let qkv = self.product(&format!("{name}.qkv"), &[query, key, value], None, x)?;
        let heads = Heads {
            count: *heads,
            width: *head_dim,
            scale: *scale,
        };
        let attended = self.wire(&format!("{name}.attention"), Attend { heads }, &[qkv])?;
        self.product(&format!("{name}.attention.output"), &[output], None, attended)
    }

    fn feed_forward(
        &mut self,
        feed_forward: &FeedForward,
        name: &str,
        x: OutletId,
    ) -> Result<OutletId, LowerError> {
        let FeedForward::Mlp { up, activation, down } = feed_forward;
        let x = self.product(&format!("{name}.up"), &[up], Some(*activation), x)?;
        self.product(&format!("{name}.down"), &[down], None, x)
    }

    /// One product for linear layers that share their input: their outputs side by side.
    fn product(
        &mut self,
        name: &str,
        parts: &[&Linear],
        activation: Option<Activation>,
        x: OutletId,
    ) -> Result<OutletId, LowerError> {
        let inputs = parts.first().map_or(0, |part| part.inputs);
        let outputs: usize = parts.iter().map(|part| part.outputs).sum();
        let mut matrix = Packed::zeros(inputs, outputs);
        let mut bias = vec![0.0; outputs];
        let mut first = 0;
        for part in parts {
            let rows = self.weights.read(&part.weight, &[part.outputs, part.inputs])?;
            matrix.fill_transposed(first, &rows, inputs);
            if let Some(name) = &part.bias {
                let values = self.weights.read(name, &[part.outputs])?;
                bias[first..][..part.outputs].copy_from_slice(&values);
            }
            first += part.outputs;
        }
        let bias = parts.iter().any(|part| part.bias.is_some()).then_some(bias);
        self.bytes += matrix.bytes() + bias.as_ref().map_or(0, Vec::capacity) * size_of::<f32>();
        let weights = Shared::new(ProductWeights { matrix, bias });
        let product = Product { weights, activation };
        self.wire(name, product, &[x])
    }

    fn normalize(&mut self, name: &str, norm: &Norm, x: OutletId) -> Result<OutletId, LowerError> {
        let affine = self.affine(norm)?;
        self.wire(name, Normalize { affine }, &[x])
    }

    fn add_norm(
        &mut self,
        name: &str,
        norm: &Norm,
        x: OutletId,
        residual: OutletId,
    ) -> Result<OutletId, LowerError> {
        let affine = self.affine(norm)?;
        self.wire(name, AddNorm { affine }, &[x, residual])
    }

    fn affine(&mut self, norm: &Norm) -> Result<Shared<Affine>, LowerError> {
        let weight = self.weights.read(&norm.weight, &[norm.size])?;
        let bias = match &norm.bias {
            Some(name) => self.weights.read(name, &[norm.size])?,
            None => vec![0.0; norm.size],
        };
        self.bytes += 2 * norm.size * size_of::<f32>();
        let eps = norm.eps;
        Ok(Shared::new(Affine { weight, bias, eps }))
    }

    fn table(&self, table: &Table) -> Result<Vec<f32>, LowerError> {
        Ok(self.weights.read(&table.weight, &[table.rows, table.width])?)
    }

    fn wire(
        &mut self,
        name: &str,
        op: impl Into<Box<dyn TypedOp>>,
        inputs: &[OutletId],
    ) -> Result<OutletId, LowerError> {
        let outlets = self.model.wire_node(name, op, inputs)?;
        outlets
            .first()
            .copied()
            .ok_or_else(|| LowerError::Graph(format_err!("{name} has no output")))
    }
}
