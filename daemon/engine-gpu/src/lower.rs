//! From an `Architecture` to weights on a device. A trunk is everything but the head; adapters that replace none of its
//! tensors share it, and what an adapter does not replace it shares with its base, tensor by tensor.

use std::collections::HashMap;
use std::sync::Arc;

use mednerd_model::{
    Activation, Adapter, Architecture, Attention, AttentionPositions, Checkpoint, Convolution, Disentangled,
    FeedForward, Head, Layer, Linear, ModelError, Norm, NormKind, NormPlacement, Positions, Projection,
};

use crate::changes::Alone;
use crate::device::{Arg, Device, DeviceError, Kind, Launch, ROWS_AT_ONCE, Values};
use crate::pack::{Packed, QUERIES, Rows, TENSOR_QUERIES};
use crate::scaled::{self, Scaled, elements_alone};

/// Threads of a block for kernels that work on a row.
pub(crate) const ROW_BLOCK: usize = 128;

/// Why a model is not lowered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LowerError {
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The files.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// What the kernels cannot compute.
    #[error("{0}")]
    Unsupported(String),
}

/// Linear layers that share their input, side by side.
pub(crate) struct Matrix<B> {
    /// `[outputs, inputs]`
    pub(crate) weight: Arc<B>,
    /// Where the weight is in 8 bits, the scale of each output.
    pub(crate) scales: Option<Arc<B>>,
    pub(crate) bias: Option<Arc<B>>,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// What it was made of.
    pub(crate) parts: Vec<Linear>,
}

/// A norm; `kind` as the kernels number it.
pub(crate) struct NormWeights<B> {
    pub(crate) weight: Arc<B>,
    pub(crate) bias: Option<Arc<B>>,
    pub(crate) kind: usize,
    pub(crate) eps: f32,
}

pub(crate) struct EmbeddingWeights<B> {
    pub(crate) words: Arc<B>,
    pub(crate) rows: Option<Arc<B>>,
    pub(crate) rule: Rows,
    pub(crate) width: usize,
    pub(crate) norm: Option<NormWeights<B>>,
    /// And whether it stands before the norm.
    pub(crate) projection: Option<(Matrix<B>, bool)>,
}

/// Tables of cosines and sines, a row of half a head for each place.
pub(crate) struct Turns<B> {
    pub(crate) cosines: B,
    pub(crate) sines: B,
}

/// The projected tables of one layer's relative places: keys where content meets places, queries where places meet content.
pub(crate) struct PlaceTables<B> {
    pub(crate) keys: Option<Arc<B>>,
    pub(crate) queries: Option<Arc<B>>,
}

impl<B> Clone for PlaceTables<B> {
    fn clone(&self) -> Self {
        Self {
            keys: self.keys.clone(),
            queries: self.queries.clone(),
        }
    }
}

/// Relative places of one layer.
pub(crate) struct Relative<B> {
    /// The row of each distance, from `1 - context` on.
    pub(crate) columns: Arc<B>,
    pub(crate) tables: PlaceTables<B>,
    pub(crate) places: Disentangled,
}

pub(crate) struct AttentionWeights<B> {
    pub(crate) qkv: Matrix<B>,
    pub(crate) output: Matrix<B>,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) width: usize,
    pub(crate) scale: f32,
    pub(crate) reach: Option<usize>,
    pub(crate) turns: Option<Arc<Turns<B>>>,
    pub(crate) relative: Option<Relative<B>>,
    /// Keys that a block of the kernel has at once.
    pub(crate) key_tile: usize,
    /// The kernel on tensor cores that computes it, where there is one.
    pub(crate) tensor: Option<[TensorKernel; 2]>,
}

pub(crate) struct FeedForwardWeights<B> {
    pub(crate) up: Matrix<B>,
    pub(crate) gated: bool,
    pub(crate) activation: usize,
    pub(crate) down: Matrix<B>,
}

pub(crate) struct ConvolutionWeights<B> {
    pub(crate) matrix: Matrix<B>,
    pub(crate) kernel: usize,
    pub(crate) width: usize,
    pub(crate) activation: usize,
    pub(crate) norm: NormWeights<B>,
}

pub(crate) struct LayerWeights<B> {
    pub(crate) attention: AttentionWeights<B>,
    pub(crate) attention_norm: Option<NormWeights<B>>,
    pub(crate) feed_forward: FeedForwardWeights<B>,
    pub(crate) feed_forward_norm: NormWeights<B>,
    pub(crate) placement: NormPlacement,
    pub(crate) convolution: Option<ConvolutionWeights<B>>,
}

/// Everything but the head.
pub(crate) struct TrunkWeights<B> {
    pub(crate) embeddings: EmbeddingWeights<B>,
    pub(crate) layers: Vec<LayerWeights<B>>,
    pub(crate) hidden: usize,
    pub(crate) context: usize,
    /// Queries of a block of the attention kernel.
    pub(crate) queries: usize,
    /// Bytes of activations that a token needs at once in a layer, and in a head: about.
    pub(crate) activations: (usize, usize),
    /// Products have whole multiples of so many rows.
    rows: usize,
}

/// Matrices of a layer that an adapter can change.
pub(crate) const LAYER_MATRICES: usize = 4;

impl<B> TrunkWeights<B> {
    /// The number of a layer's first matrix among [`matrices`](Self::matrices).
    pub(crate) fn first_matrix(&self, layer: usize) -> usize {
        usize::from(self.embeddings.projection.is_some()) + LAYER_MATRICES * layer
    }

    /// The layer of the matrix with this number; the first for what stands before the layers.
    pub(crate) fn layer_of(&self, matrix: usize) -> usize {
        matrix.saturating_sub(self.first_matrix(0)) / LAYER_MATRICES
    }

    /// Device memory that a batch needs at once, about: the largest of its stages.
    pub(crate) fn bytes(&self, packed: &Packed) -> u64 {
        let stages = packed.stages.iter().map(|stage| {
            let (layer, head) = self.activations;
            let each = if stage.layer < self.layers.len() {
                layer
            } else {
                head
            };
            let rows = stage.tokens.next_multiple_of(self.rows);
            (rows as u64).saturating_mul(each as u64)
        });
        stages
            .max()
            .unwrap_or(0)
            .saturating_add(4 * packed.values.len() as u64)
    }

    /// The matrices that an adapter can change, in an order of their own.
    pub(crate) fn matrices(&self) -> Vec<&Matrix<B>> {
        let mut all: Vec<&Matrix<B>> = self
            .embeddings
            .projection
            .iter()
            .map(|(matrix, _)| matrix)
            .collect();
        for layer in &self.layers {
            let (attention, feed_forward) = (&layer.attention, &layer.feed_forward);
            let own: [_; LAYER_MATRICES] = [
                &attention.qkv,
                &attention.output,
                &feed_forward.up,
                &feed_forward.down,
            ];
            all.extend(own);
        }
        all
    }
}

/// From the last hidden states to logits.
pub(crate) struct HeadWeights<B> {
    pub(crate) final_norm: Option<NormWeights<B>>,
    pub(crate) dense: Option<Dense<B>>,
    pub(crate) classifier: Matrix<B>,
    /// What an adapter changes of the classifier, 0, and of the dense layer, 1.
    pub(crate) changes: Option<Alone<B>>,
}

pub(crate) struct Dense<B> {
    pub(crate) matrix: Matrix<B>,
    pub(crate) activation: usize,
    pub(crate) norm: NormWeights<B>,
}

/// How the kernels number activations.
pub(crate) fn activation_number(activation: Activation) -> usize {
    match activation {
        Activation::Gelu => 1,
        Activation::GeluTanh => 2,
        Activation::QuickGelu => 3,
        Activation::Relu => 4,
        Activation::Silu => 5,
        Activation::Tanh => 6,
    }
}

/// Floats of shared memory that the attention kernel takes.
pub(crate) fn attention_shared(width: usize, key_tile: usize, relative: bool) -> usize {
    let row = width + if width.is_multiple_of(4) { 4 } else { 1 };
    let tables = if relative {
        2 * (QUERIES + key_tile - 1) * row
    } else {
        0
    };
    2 * QUERIES * row + 2 * key_tile * row + QUERIES * key_tile + 3 * QUERIES + tables
}

/// An attention kernel on tensor cores, and how it is launched for each tile of 64 queries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TensorKernel {
    pub(crate) name: &'static str,
    /// Threads of a block.
    pub(crate) block: usize,
    /// Floats of shared memory: keys and values of two bytes, and with relative places a table's rows as well, products with them,
    /// and where the rows begin. See there.
    pub(crate) shared: usize,
    /// Where products are made by warpgroups, how many a block has, each for a tile of its own. Such kernels are told how many tiles there are.
    pub(crate) warpgroups: Option<usize>,
}

impl TensorKernel {
    /// Of so many tiles.
    pub(crate) fn launch(&self, tiles: usize, heads: usize) -> Launch {
        Launch {
            grid: (tiles.div_ceil(self.warpgroups.unwrap_or(1)), heads),
            block: self.block,
            shared: self.shared,
        }
    }
}

/// Those for heads of `width`: the one whose warps, or blocks where `warpgroups` multiply, have more queries, for launches that fill the GPU, and
/// the one that has fewer, for others. Both compute the same to the last bit.
pub(crate) fn tensor_kernels(width: usize, relative: bool, warpgroups: bool) -> Option<[TensorKernel; 2]> {
    if warpgroups && !relative {
        // Keys and values of two tiles.
        let kernel = |name, warpgroups| TensorKernel {
            name,
            block: 128 * warpgroups,
            shared: 2 * 64 * width,
            warpgroups: Some(warpgroups),
        };
        match width {
            64 => return Some([kernel("attend_groups_64", 2), kernel("attend_groups_few_64", 1)]),
            128 => return Some([kernel("attend_groups_few_128", 1); 2]),
            _ => {}
        }
    }
    let content = 64 * (width + 8);
    // 128 places, and the products of 64 rows; see `PLACES_GROUP` there.
    let of_places = if relative {
        content + 2 * (15 * 72 + 80) + 128
    } else {
        0
    };
    let kernel = |name, block| TensorKernel {
        name,
        block,
        shared: content + of_places,
        warpgroups: None,
    };
    Some(match (width, relative) {
        (32, false) => [kernel("attend_32", 64), kernel("attend_few_32", 128)],
        (64, false) => [kernel("attend_64", 64), kernel("attend_few_64", 128)],
        (128, false) => [kernel("attend_few_128", 128); 2],
        (32, true) => [
            kernel("attend_places_32", 64),
            kernel("attend_places_few_32", 128),
        ],
        (64, true) => [
            kernel("attend_places_64", 64),
            kernel("attend_places_few_64", 128),
        ],
        _ => return None,
    })
}

/// Buffers by the names of the tensors that they were made of.
pub(crate) type Cache<B> = HashMap<String, Arc<B>>;

/// Lowers one checkpoint, or an adapter over one.
pub(crate) struct Lowering<'a, D: Device> {
    pub(crate) device: &'a D,
    pub(crate) checkpoint: &'a Checkpoint,
    pub(crate) adapter: Option<&'a Adapter>,
    /// What the base has on the device.
    pub(crate) base: &'a Cache<D::Buffer>,
    /// What this lowering has put there.
    pub(crate) own: Cache<D::Buffer>,
    pub(crate) turns: HashMap<(u32, usize), Arc<Turns<D::Buffer>>>,
    /// Bytes that it has put there.
    pub(crate) bytes: u64,
}

pub(crate) type Lowered<T> = Result<T, LowerError>;

impl<'a, D: Device> Lowering<'a, D> {
    pub(crate) fn new(
        device: &'a D,
        checkpoint: &'a Checkpoint,
        adapter: Option<&'a Adapter>,
        base: &'a Cache<D::Buffer>,
    ) -> Self {
        Self {
            device,
            checkpoint,
            adapter,
            base,
            own: Cache::new(),
            turns: HashMap::new(),
            bytes: 0,
        }
    }

    pub(crate) fn trunk(&mut self, architecture: &Architecture) -> Lowered<TrunkWeights<D::Buffer>> {
        let embeddings = self.embeddings(architecture)?;
        let layers: Lowered<Vec<_>> = architecture
            .layers
            .iter()
            .map(|layer| self.layer(layer))
            .collect();
        let layers = layers?;
        let hidden = architecture.hidden;
        let widest = layers.iter().map(|layer| {
            let (attention, feed_forward) = (&layer.attention, &layer.feed_forward);
            let unfolded = layer
                .convolution
                .as_ref()
                .map_or(0, |c| c.matrix.inputs + 2 * c.width);
            let attending = attention.qkv.outputs + attention.output.inputs;
            attending.max(2 * feed_forward.up.outputs) + unfolded
        });
        let scaled = layers.iter().map(|layer| {
            let (attention, feed_forward) = (&layer.attention, &layer.feed_forward);
            let read = [
                &attention.qkv,
                &attention.output,
                &feed_forward.up,
                &feed_forward.down,
            ];
            let read = read.into_iter().filter(|matrix| matrix.scales.is_some());
            read.map(|matrix| matrix.inputs).sum::<usize>()
        });
        let in_8_bits = scaled.max().unwrap_or(0);
        let columns = widest.max().unwrap_or(0) + 5 * hidden + 2 * embeddings.width;
        let bytes =
            |columns: usize| columns * usize::try_from(self.device.precision().bytes()).unwrap_or(4) + 64;
        Ok(TrunkWeights {
            activations: (bytes(columns) + in_8_bits, bytes(5 * hidden)),
            rows: if in_8_bits > 0 { ROWS_AT_ONCE } else { 1 },
            embeddings,
            // Layers are alike in what this depends on.
            queries: match layers.iter().all(|layer| layer.attention.tensor.is_some()) {
                true => TENSOR_QUERIES,
                false => QUERIES,
            },
            layers,
            hidden,
            context: self.checkpoint.context(),
        })
    }

    fn embeddings(&mut self, architecture: &Architecture) -> Lowered<EmbeddingWeights<D::Buffer>> {
        let embeddings = &architecture.embeddings;
        let width = embeddings.words.width;
        let words = self.elements(&embeddings.words.weight, &[embeddings.words.rows, width])?;
        let types = embeddings.token_types.as_ref();
        let place = match &embeddings.positions {
            Positions::None => None,
            Positions::Absolute { table, .. } => Some(table),
        };
        let names = place
            .iter()
            .map(|table| &table.weight)
            .chain(types.map(|table| &table.weight));
        let names: Vec<String> = names.cloned().collect();
        let rows = match names.is_empty() {
            true => None,
            false => Some(self.cached(&names, |this| this.place_rows(architecture))?),
        };
        let projection = match &embeddings.projection {
            Some(Projection::AfterNorm(linear)) => Some((self.matrix(&[linear])?, false)),
            Some(Projection::BeforeNorm(linear)) => Some((self.matrix(&[linear])?, true)),
            None => None,
        };
        let norm = embeddings.norm.as_ref();
        Ok(EmbeddingWeights {
            words,
            rows,
            rule: Rows::of(&embeddings.positions),
            width,
            norm: norm.map(|norm| self.norm(norm)).transpose()?,
            projection,
        })
    }

    /// The rows of places with the row of the one token type added, in the order in which tokens count them.
    fn place_rows(&mut self, architecture: &Architecture) -> Lowered<Vec<f32>> {
        let embeddings = &architecture.embeddings;
        let width = embeddings.words.width;
        let mut rows = match &embeddings.positions {
            Positions::None => vec![0.0; width],
            Positions::Absolute {
                table,
                first,
                padding,
            } => {
                let mut rows = self.tensor(&table.weight, &[table.rows, width])?;
                // With a padding token the row before the first place is its own.
                let before = first.saturating_sub(usize::from(padding.is_some()));
                rows.drain(..(before * width).min(rows.len()));
                rows
            }
        };
        if let Some(table) = &embeddings.token_types {
            let types = self.tensor(&table.weight, &[table.rows, width])?;
            for row in rows.chunks_exact_mut(width) {
                row.iter_mut().zip(&types).for_each(|(x, add)| *x += *add);
            }
        }
        Ok(rows)
    }

    fn layer(&mut self, layer: &Layer) -> Lowered<LayerWeights<D::Buffer>> {
        let attention = self.attention(&layer.attention)?;
        let feed_forward = match &layer.feed_forward {
            FeedForward::Mlp { up, activation, down } => FeedForwardWeights {
                up: self.large_matrix(&[up])?,
                gated: false,
                activation: activation_number(*activation),
                down: self.large_matrix(&[down])?,
            },
            FeedForward::Gated { up, activation, down } => FeedForwardWeights {
                up: self.large_matrix(&up.iter().collect::<Vec<_>>())?,
                gated: true,
                activation: activation_number(*activation),
                down: self.large_matrix(&[down])?,
            },
        };
        let attention_norm = layer.attention_norm.as_ref();
        let convolution = layer.convolution.as_ref();
        Ok(LayerWeights {
            attention,
            attention_norm: attention_norm.map(|norm| self.norm(norm)).transpose()?,
            feed_forward,
            feed_forward_norm: self.norm(&layer.feed_forward_norm)?,
            placement: layer.placement,
            convolution: convolution.map(|one| self.convolution(one)).transpose()?,
        })
    }

    fn attention(&mut self, attention: &Attention) -> Lowered<AttentionWeights<D::Buffer>> {
        let width = attention.head_dim;
        let mut relative = None;
        let mut turns = None;
        match &attention.positions {
            AttentionPositions::None => {}
            AttentionPositions::Rotary { theta } => turns = Some(self.turns(*theta, width)?),
            AttentionPositions::Disentangled(places) => {
                if attention.heads != attention.key_value_heads {
                    let why = "relative places need as many heads of keys as of queries";
                    return Err(LowerError::Unsupported(why.to_owned()));
                }
                relative = Some(self.relative(places)?);
            }
        }
        let limit = self.device.shared_limit();
        let fits = |tile: &usize| 4 * attention_shared(width, *tile, relative.is_some()) <= limit;
        let key_tile = [32, 16, 8].into_iter().find(fits).ok_or_else(|| {
            LowerError::Unsupported(format!(
                "heads of width {width} need more shared memory than this GPU has"
            ))
        })?;
        Ok(AttentionWeights {
            qkv: self.large_matrix(&attention.qkv.iter().collect::<Vec<_>>())?,
            output: self.large_matrix(&[&attention.output])?,
            heads: attention.heads,
            kv_heads: attention.key_value_heads,
            width,
            scale: attention.scale,
            reach: attention.reach,
            turns,
            key_tile,
            // They take the largest product for the largest score.
            tensor: tensor_kernels(width, relative.is_some(), self.device.warpgroups())
                .filter(|_| self.device.tensor_cores() && attention.scale > 0.0),
            relative,
        })
    }

    /// In single precision where the reference computes in it: the frequencies, and their products with the place.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    fn turns(&mut self, theta: f32, width: usize) -> Lowered<Arc<Turns<D::Buffer>>> {
        let key = (theta.to_bits(), width);
        if let Some(held) = self.turns.get(&key) {
            return Ok(Arc::clone(held));
        }
        let half = width / 2;
        let frequency = |d: usize| {
            let exponent = (2 * d) as f32 / width as f32;
            1.0 / f64::from(theta).powf(f64::from(exponent)) as f32
        };
        let frequencies: Vec<f32> = (0..half).map(frequency).collect();
        let places = 0..self.checkpoint.context();
        let angles: Vec<f32> = places
            .flat_map(|place| frequencies.iter().map(move |f| place as f32 * f))
            .collect();
        let mut upload = |function: fn(f32) -> f32| {
            let values: Vec<f32> = angles.iter().map(|angle| function(*angle)).collect();
            self.bytes += 4 * values.len() as u64;
            self.device.upload(Values::Floats(&values))
        };
        let turns = Arc::new(Turns {
            cosines: upload(f32::cos)?,
            sines: upload(f32::sin)?,
        });
        self.turns.insert(key, Arc::clone(&turns));
        Ok(turns)
    }

    fn relative(&mut self, places: &Disentangled) -> Lowered<Relative<D::Buffer>> {
        let context = i64::try_from(self.checkpoint.context()).unwrap_or(i64::MAX);
        let key = format!("columns of {}", places.table.weight);
        let held = self.own.get(&key).or_else(|| self.base.get(&key)).cloned();
        let columns = match held {
            Some(held) => held,
            None => {
                let distances = 1 - context..context;
                let columns: Vec<u32> = distances
                    .map(|distance| u32::try_from(places.row(distance)).unwrap_or(0))
                    .collect();
                self.bytes += 4 * columns.len() as u64;
                let columns = Arc::new(self.device.upload(Values::Indices(&columns))?);
                self.own.insert(key, Arc::clone(&columns));
                columns
            }
        };
        Ok(Relative {
            columns,
            tables: PlaceTables {
                keys: self.place_table(places, places.content_to_position.as_ref(), false)?,
                queries: self.place_table(places, places.position_to_content.as_ref(), false)?,
            },
            places: places.clone(),
        })
    }

    /// The table of relative places as a layer projects it, `changed` by the adapter's low-rank change; made once, for every
    /// batch.
    pub(crate) fn place_table(
        &mut self,
        places: &Disentangled,
        linear: Option<&Linear>,
        changed: bool,
    ) -> Lowered<Option<Arc<D::Buffer>>> {
        let Some(linear) = linear else { return Ok(None) };
        let table = &places.table;
        let norm = places.norm.as_ref();
        let mut names = vec![table.weight.clone(), linear.weight.clone()];
        names.extend(linear.bias.clone());
        names.extend(norm.map(|norm| norm.weight.clone()));
        names.extend(norm.and_then(|norm| norm.bias.clone()));
        let key = names.join("\n");
        if !changed && let Some(held) = self.held(&names, &key) {
            return Ok(Some(held));
        }
        let mut rows = Arc::new(self.device.upload(Values::Elements(
            &self.tensor(&table.weight, &[table.rows, table.width])?,
        ))?);
        if let Some(norm) = norm {
            let norm = self.norm(norm)?;
            rows = Arc::new(norm.normal(self.device, (&rows, 0), table.rows, table.width)?);
        }
        // Not through the cache: the layer has this weight beside others.
        let weight = self.tensor(&linear.weight, &[linear.outputs, linear.inputs])?;
        let matrix = Matrix {
            weight: Arc::new(self.device.upload(Values::Elements(&weight))?),
            scales: None,
            bias: match &linear.bias {
                Some(name) => Some(self.elements(name, &[linear.outputs])?),
                None => None,
            },
            inputs: linear.inputs,
            outputs: linear.outputs,
            parts: vec![linear.clone()],
        };
        let adapter = self.adapter.filter(|_| changed);
        let adapter = adapter.map(|adapter| (self.checkpoint, adapter));
        let alone = Alone::new(self.device, adapter, &[&matrix])?;
        let changing = alone.as_ref().and_then(|alone| alone.changed(0));
        let (projected, _) = matrix.apply(self.device, &*rows, 0..table.rows, changing, Some(0))?;
        self.bytes += self.device.precision().bytes() * (table.rows * linear.outputs) as u64;
        let projected = Arc::new(projected);
        if !changed {
            self.own.insert(key, Arc::clone(&projected));
        }
        Ok(Some(projected))
    }

    fn convolution(&mut self, convolution: &Convolution) -> Lowered<ConvolutionWeights<D::Buffer>> {
        let Convolution {
            width,
            kernel,
            groups,
            ..
        } = *convolution;
        let name = convolution.weight.clone();
        let weight = self.cached(&[name], |this| {
            let channels = width / groups.max(1);
            let weight = this.tensor(&convolution.weight, &[width, channels, kernel])?;
            // From the channels under the kernel, token by token; those of other groups have no part.
            let mut turned = vec![0.0; width * kernel * width];
            for (output, row) in weight.chunks_exact(channels * kernel).enumerate() {
                let first = output / channels * channels;
                for (channel, taps) in row.chunks_exact(kernel).enumerate() {
                    for (tap, value) in taps.iter().enumerate() {
                        turned[(output * kernel + tap) * width + first + channel] = *value;
                    }
                }
            }
            Ok(turned)
        })?;
        Ok(ConvolutionWeights {
            matrix: Matrix {
                weight,
                scales: None,
                bias: Some(self.elements(&convolution.bias, &[width])?),
                inputs: kernel * width,
                outputs: width,
                parts: Vec::new(),
            },
            kernel,
            width,
            activation: activation_number(convolution.activation),
            norm: self.norm(&convolution.norm)?,
        })
    }

    pub(crate) fn head(&mut self, final_norm: Option<&Norm>, head: &Head) -> Lowered<HeadWeights<D::Buffer>> {
        let dense = match &head.dense {
            Some(dense) => {
                let matrix = self.matrix(&[&dense.linear])?;
                Some(Dense {
                    matrix,
                    activation: activation_number(dense.activation),
                    norm: self.norm(&dense.norm)?,
                })
            }
            None => None,
        };
        let classifier = self.matrix(&[&head.classifier])?;
        let mut matrices = vec![&classifier];
        matrices.extend(dense.as_ref().map(|dense: &Dense<_>| &dense.matrix));
        let adapter = self.adapter.map(|adapter| (self.checkpoint, adapter));
        let changes = Alone::new(self.device, adapter, &matrices)?;
        self.bytes += changes.as_ref().map_or(0, |alone| alone.own.bytes);
        Ok(HeadWeights {
            final_norm: final_norm.map(|norm| self.norm(norm)).transpose()?,
            changes,
            dense,
            classifier,
        })
    }

    /// Linear layers that share their input, side by side.
    pub(crate) fn matrix(&mut self, parts: &[&Linear]) -> Lowered<Matrix<D::Buffer>> {
        self.matrix_in(parts, false)
    }

    /// As [`Self::matrix`], in 8 bits where the device multiplies so.
    fn large_matrix(&mut self, parts: &[&Linear]) -> Lowered<Matrix<D::Buffer>> {
        let inputs = parts.first().map_or(0, |part| part.inputs);
        let outputs = parts.iter().map(|part| part.outputs).sum();
        let fits = 4 * scaled::shared(inputs) <= self.device.shared_limit();
        let scaled = fits && self.device.scales(inputs, outputs)?;
        let matrix = self.matrix_in(parts, scaled)?;
        if !scaled {
            self.device.try_products(&matrix.weight, inputs, outputs)?;
        }
        Ok(matrix)
    }

    fn matrix_in(&mut self, parts: &[&Linear], scaled: bool) -> Lowered<Matrix<D::Buffer>> {
        let names: Vec<String> = parts.iter().map(|part| part.weight.clone()).collect();
        let make = |this: &mut Self| {
            let mut rows = Vec::new();
            for part in parts {
                rows.append(&mut this.tensor(&part.weight, &[part.outputs, part.inputs])?);
            }
            Ok(rows)
        };
        let (weight, scales) = match scaled {
            false => (self.cached(&names, make)?, None),
            true => {
                let [weight, scales] =
                    self.scaled(&names, parts.first().map_or(0, |part| part.inputs), make)?;
                (weight, Some(scales))
            }
        };
        let biases: Vec<String> = parts.iter().filter_map(|part| part.bias.clone()).collect();
        let bias = match biases.is_empty() {
            true => None,
            false => Some(self.cached(&biases, |this| {
                let mut values = Vec::new();
                for part in parts {
                    match &part.bias {
                        Some(name) => values.append(&mut this.tensor(name, &[part.outputs])?),
                        None => values.resize(values.len() + part.outputs, 0.0),
                    }
                }
                Ok(values)
            })?),
        };
        Ok(Matrix {
            weight,
            scales,
            bias,
            inputs: parts.first().map_or(0, |part| part.inputs),
            outputs: parts.iter().map(|part| part.outputs).sum(),
            parts: parts.iter().map(|part| (*part).clone()).collect(),
        })
    }

    pub(crate) fn norm(&mut self, norm: &Norm) -> Lowered<NormWeights<D::Buffer>> {
        let bias = norm.bias.as_ref();
        Ok(NormWeights {
            weight: self.elements(&norm.weight, &[norm.size])?,
            bias: bias.map(|name| self.elements(name, &[norm.size])).transpose()?,
            kind: match norm.kind {
                NormKind::Layer => 1,
                NormKind::Rms => 2,
            },
            eps: norm.eps,
        })
    }

    /// A tensor as it is in the file.
    fn elements(&mut self, name: &str, shape: &[usize]) -> Lowered<Arc<D::Buffer>> {
        self.cached(&[name.to_owned()], |this| this.tensor(name, shape))
    }

    /// What these tensors make, from the device where it is there already.
    fn cached(
        &mut self,
        names: &[String],
        make: impl FnOnce(&mut Self) -> Lowered<Vec<f32>>,
    ) -> Lowered<Arc<D::Buffer>> {
        let key = names.join("\n");
        if let Some(held) = self.held(names, &key) {
            return Ok(held);
        }
        let values = make(self)?;
        let buffer = Arc::new(self.device.upload(Values::Elements(&values))?);
        self.bytes += self.device.precision().bytes() * values.len() as u64;
        self.own.insert(key, Arc::clone(&buffer));
        Ok(buffer)
    }

    /// As [`Self::cached`], rows of `width` in 8 bits, and their scales.
    fn scaled(
        &mut self,
        names: &[String],
        width: usize,
        make: impl FnOnce(&mut Self) -> Lowered<Vec<f32>>,
    ) -> Lowered<[Arc<D::Buffer>; 2]> {
        let keys = ["values of", "scales of"].map(|what| format!("{what} {}", names.join("\n")));
        if let [Some(values), Some(scales)] = keys.each_ref().map(|key| self.held(names, key)) {
            return Ok([values, scales]);
        }
        let values = make(self)?;
        let rows = values.len() / width.max(1);
        let elements = self.device.upload(Values::Elements(&values))?;
        let scaled = Scaled::of(self.device, (&elements, 0), rows, width)?;
        self.bytes += values.len() as u64 + 4 * rows as u64;
        let made = [Arc::new(scaled.values), Arc::new(scaled.scales)];
        self.own.extend(keys.into_iter().zip(made.clone()));
        Ok(made)
    }

    fn held(&self, names: &[String], key: &str) -> Option<Arc<D::Buffer>> {
        let replaced = names.iter().any(|name| self.replaces(name));
        let base = || if replaced { None } else { self.base.get(key) };
        self.own.get(key).or_else(base).cloned()
    }

    /// Whether the adapter brings this tensor itself.
    pub(crate) fn replaces(&self, name: &str) -> bool {
        self.adapter.is_some_and(|adapter| adapter.replaces(name))
    }

    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Lowered<Vec<f32>> {
        Ok(match self.adapter {
            Some(adapter) if adapter.replaces(name) => adapter.read(name, shape)?,
            _ => self.checkpoint.weights().read(name, shape)?,
        })
    }
}

impl<B> NormWeights<B> {
    /// `norm(x)`, row by row, `x` from an element on.
    pub(crate) fn normal<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: (&B, usize),
        rows: usize,
        width: usize,
    ) -> Result<B, DeviceError> {
        let out = device.allocate(Kind::Elements, rows * width)?;
        self.launch(device, x, None, None, None, elements_alone(&out), rows, width)?;
        Ok(out)
    }

    /// `sum = x + shift + residual`, `out = norm(sum)` in the forms that `out` has, row by row, `x` from an element on.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn launch<D: Device<Buffer = B>>(
        &self,
        device: &D,
        x: (&B, usize),
        shift: Option<&B>,
        residual: Option<&B>,
        sum: Option<&B>,
        [out, values, scales]: [Arg<'_, B>; 3],
        rows: usize,
        width: usize,
    ) -> Result<(), DeviceError> {
        let launch = Launch {
            grid: (rows, 1),
            block: ROW_BLOCK,
            shared: 32 + width,
        };
        let arguments = [
            Arg::At(x.0, x.1),
            Arg::Buffer(shift),
            Arg::Buffer(residual),
            Arg::Buffer(Some(&self.weight)),
            Arg::Buffer(self.bias.as_deref()),
            Arg::Buffer(sum),
            out,
            values,
            scales,
            Arg::Int(width),
            Arg::Float(self.eps),
            Arg::Int(self.kind),
        ];
        device.launch("add_norm", launch, &arguments)
    }
}
