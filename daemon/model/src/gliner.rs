//! GLiNER (Zaratiana et al. 2024, arXiv 2311.08526) and GLiNER-biomed (arXiv 2504.00676): entities of types that are
//! named in words with the request. What is computed after the encoder, read from `gliner_config.json`, as plain data.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer};

use crate::architecture::{Architecture, AttentionPositions, Linear, Positions, TensorSpec, Tensors};
use crate::error::ModelError;
use crate::families::{self, Family, ROW_LIMIT, Source, WIDTH_LIMIT};
use crate::files::{self, JSON_LIMIT, Small};
use crate::json::Object;
use crate::tokenizer::TokenizerFiles;
use crate::weights::Weights;

/// The file's name, and the folder with what belongs to a label encoder.
const CONFIG: &str = "gliner_config.json";
const LABELS: &str = "labels_encoder";

/// Kinds of model that mednerd computes. Most checkpoints name none.
const MODEL_TYPES: [&str; 5] = [
    "gliner",
    "gliner_uni_encoder_span",
    "gliner_uni_encoder_token",
    "gliner_bi_encoder_span",
    "gliner_bi_encoder_token",
];

/// Parts whose tensors have no effect where mednerd does not read them: what an encoder has beside its layers (poolers,
/// heads it was trained with, saved positions) and the parts that the reference makes or leaves out by the configuration's
/// word, whatever the file holds.
const HARMLESS: [&str; 7] = [
    "token_rep_layer.bert_layer.model.",
    "token_rep_layer.labels_encoder.model.",
    "token_rep_layer.projection.",
    "token_rep_layer.labels_projection.",
    "rnn.",
    "cross_fuser.",
    "prompt_rep_layer.",
];

const LSTM_LIMIT: usize = 8;
const SPAN_LIMIT: usize = 1 << 10;
/// Words that are read at once, whatever the configuration allows. A longer text is read in windows all the same.
const WORD_LIMIT: usize = 1 << 14;

/// Positions that are relative alone have no end. This many times what the encoder was trained on, all distances share
/// the last bucket.
const STRETCH: usize = 4;

/// What a GLiNER computes with the states of its text encoder, which is the checkpoint's
/// [`Architecture`](crate::Checkpoint::architecture) without a head.
#[derive(Debug, Clone, PartialEq)]
pub struct Gliner {
    /// Width of the vectors of words and labels.
    pub hidden: usize,
    /// From the encoder's width to that, where they differ.
    pub projection: Option<Linear>,
    /// Where the vectors of the labels come from.
    pub labels: LabelEncoder,
    /// LSTM layers over the words of a text, first to last; none beside a label encoder. A word's vector is that of its first
    /// token.
    pub recurrent: Vec<Bilstm>,
    /// From words and labels to scores.
    pub head: GlinerHead,
    /// Words that a text may have at once.
    pub max_words: usize,
}

/// Where the vectors of the labels come from.
#[derive(Debug, Clone, PartialEq)]
pub enum LabelEncoder {
    /// The labels stand before the text: for each `token` and the label, and at the end `separator`.
    Prompt(Prompt),
    /// An encoder of their own: the mean over a label's tokens, special ones included, after `projection`.
    Tower {
        /// The encoder; it has no head.
        encoder: Box<Architecture>,
        /// From its width to `hidden`, where they differ.
        projection: Option<Linear>,
    },
}

/// How labels are put before a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Stands before each label.
    pub token: String,
    /// Its id.
    pub token_id: u32,
    /// Stands after the last label.
    pub separator: String,
    /// Whether a label's vector is that of the token after `token` and not that of `token`.
    pub after: bool,
}

/// One layer that reads the words from both ends: its output is both states side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bilstm {
    /// From the first word to the last.
    pub forward: Lstm,
    /// From the last word to the first.
    pub backward: Lstm,
}

/// One direction (Hochreiter & Schmidhuber 1997). The outputs of both linear layers are added; they are the input,
/// forget, cell and output gate side by side, as in `torch.nn.LSTM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lstm {
    /// From a word.
    pub input: Linear,
    /// From the state before it.
    pub state: Linear,
}

/// From words and labels to scores; a score's sigmoid is a probability of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // A model has one.
pub enum GlinerHead {
    /// One score for each stretch of words and label: `label(l) · out(relu([start(first); end(last)]))`.
    Span {
        /// Words that a stretch may have.
        max_width: usize,
        /// Of its first word.
        start: Mlp,
        /// Of its last word.
        end: Mlp,
        /// Of both side by side.
        out: SpanOutput,
        /// Of a label.
        label: Mlp,
    },
    /// Three scores for each word and label, that it begins, ends and is inside an entity: `out([w1; l1; w2 * l2])` with
    /// the halves of `word(w)` and `label(l)`.
    Token {
        /// Gives two vectors.
        word: Linear,
        /// Gives two vectors.
        label: Linear,
        /// From three vectors to three scores.
        out: Mlp,
    },
}

/// The last part of a stretch's vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanOutput {
    /// `"marker"`.
    Linear(Linear),
    /// `"markerV0"`.
    Mlp(Mlp),
}

/// `down(relu(up(x)))`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mlp {
    /// The first layer.
    pub up: Linear,
    /// The second.
    pub down: Linear,
}

impl Gliner {
    /// Every tensor beside those of the text encoder.
    pub(crate) fn tensors(&self) -> Vec<TensorSpec> {
        let mut list = Tensors::default();
        self.projection.iter().for_each(|linear| list.linear(linear));
        let mut tower = Vec::new();
        if let LabelEncoder::Tower { encoder, projection } = &self.labels {
            tower = encoder.trunk_tensors();
            projection.iter().for_each(|linear| list.linear(linear));
        }
        for Bilstm { forward, backward } in &self.recurrent {
            for lstm in [forward, backward] {
                list.linear(&lstm.input);
                list.linear(&lstm.state);
            }
        }
        let mlp = |list: &mut Tensors, mlp: &Mlp| {
            list.linear(&mlp.up);
            list.linear(&mlp.down);
        };
        match &self.head {
            GlinerHead::Span {
                start,
                end,
                out,
                label,
                ..
            } => {
                mlp(&mut list, start);
                mlp(&mut list, end);
                match out {
                    SpanOutput::Linear(linear) => list.linear(linear),
                    SpanOutput::Mlp(out) => mlp(&mut list, out),
                }
                mlp(&mut list, label);
            }
            GlinerHead::Token { word, label, out } => {
                list.linear(word);
                list.linear(label);
                mlp(&mut list, out);
            }
        }
        tower.extend(list.specs);
        tower
    }
}

/// The configuration of a GLiNER directory and what lies beside it.
pub(crate) struct Files {
    pub(crate) config: Small,
    /// `config.json`, where `gliner_config.json` leaves the encoder to it.
    pub(crate) encoder: Option<Small>,
    /// The same for the label encoder.
    pub(crate) tower: Option<Small>,
}

impl Files {
    /// The files of a GLiNER; `None` where the directory holds another model.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, ModelError> {
        let beside = files::read(dir, "config.json", JSON_LIMIT)?;
        if let Some(config) = files::read(dir, CONFIG, JSON_LIMIT)? {
            return Ok(Some(Self {
                config,
                encoder: beside,
                tower: files::read(&dir.join(LABELS), "config.json", JSON_LIMIT)?,
            }));
        }
        // Before version 0.1 of the reference the file had the name that all models' have.
        let Some(config) = beside else { return Ok(None) };
        let named = Object::parse(&config.path, &config.bytes)?;
        Ok(named.get("span_mode").is_some().then_some(Self {
            config,
            encoder: None,
            tower: files::read(&dir.join(LABELS), "config.json", JSON_LIMIT)?,
        }))
    }
}

/// A GLiNER's parts as its files describe them.
pub(crate) struct Described {
    pub(crate) family: &'static Family,
    pub(crate) encoder: Architecture,
    /// What the names of the encoder's tensors begin with.
    pub(crate) root: String,
    pub(crate) gliner: Gliner,
    pub(crate) tokenizer: Tokenizer,
    /// The tokenizer of the label encoder, with its files and its longest sequence.
    pub(crate) labels: Option<(Tokenizer, TokenizerFiles, usize)>,
}

struct Reader<'a> {
    dir: &'a Path,
    config: Object,
    weights: &'a Weights,
    /// Before the names of all tensors.
    outer: &'static str,
    hidden: usize,
}

/// An encoder, of texts or of labels.
struct Encoder {
    family: &'static Family,
    /// What it was described from.
    config: Object,
    architecture: Architecture,
    /// What the names of its tensors begin with.
    root: String,
}

/// Describes the GLiNER in `dir`.
pub(crate) fn describe(
    dir: &Path,
    files: &Files,
    tokenizer_files: &TokenizerFiles,
    weights: &Weights,
) -> Result<Described, ModelError> {
    let config = Object::parse(&files.config.path, &files.config.bytes)?;
    refuse_variants(&config)?;
    let whole = weights
        .names()
        .any(|name| name.starts_with("model.token_rep_layer."));
    let reader = Reader {
        dir,
        hidden: config.count("hidden_size", 512, WIDTH_LIMIT)?,
        config,
        weights,
        outer: if whole { "model." } else { "" },
    };
    let config = &reader.config;
    let Encoder {
        family,
        config: encoder_config,
        architecture: encoder,
        root,
    } = reader.encoder("encoder_config", files.encoder.as_ref(), "bert_layer")?;
    // Where the model has no tokenizer_config.json the reference takes its encoder's tokenizer.
    let beside = match (tokenizer_files.configured(), &files.encoder) {
        (true, Some(file)) => Some(Object::parse(&file.path, &file.bytes)?),
        (true, None) => None,
        (false, _) => Some(encoder_config),
    };
    let mut tokenizer = tokenizer_files.tokenizer(family, beside.as_ref(), usize::MAX)?;
    let mut labels = None;
    let label_encoder = if config.string("labels_encoder")?.is_some() {
        let of_labels = reader.encoder("labels_encoder_config", files.tower.as_ref(), LABELS)?;
        let files = reader.label_tokenizer()?;
        let tower = of_labels.architecture;
        let rows = tower.embeddings.words.rows;
        let tokenizer = files.tokenizer(of_labels.family, Some(&of_labels.config), rows)?;
        let context = crate::checkpoint::context(tower.context, &files, &tokenizer)?;
        labels = Some((tokenizer, files, context));
        LabelEncoder::Tower {
            projection: reader.projection("labels_projection", tower.hidden),
            encoder: Box::new(tower),
        }
    } else {
        LabelEncoder::Prompt(reader.prompt(&mut tokenizer)?)
    };
    tokenizer_files.check_rows(&tokenizer, encoder.embeddings.words.rows)?;
    let gliner = Gliner {
        hidden: reader.hidden,
        projection: reader.projection("projection", encoder.hidden),
        labels: label_encoder,
        // The reference makes the layers beside a label encoder, too, and leaves them out of the computation.
        recurrent: match labels {
            Some(_) => Vec::new(),
            None => reader.recurrent()?,
        },
        head: reader.head()?,
        max_words: config.count("max_len", 384, usize::MAX)?.min(WORD_LIMIT),
    };
    reader.check_tensors(&gliner)?;
    Ok(Described {
        family,
        encoder,
        root,
        gliner,
        tokenizer,
        labels,
    })
}

/// The longest sequence of a GLiNER's text encoder.
pub(crate) fn context(encoder: &Architecture) -> usize {
    let relative = |positions: &AttentionPositions| matches!(positions, AttentionPositions::Disentangled(_));
    let endless = encoder.embeddings.positions == Positions::None
        && encoder
            .layers
            .iter()
            .all(|layer| relative(&layer.attention.positions));
    if endless {
        encoder.context.saturating_mul(STRETCH)
    } else {
        encoder.context
    }
}

/// Refuses what shares the name but computes something else.
fn refuse_variants(config: &Object) -> Result<(), ModelError> {
    let refused = [
        (
            "labels_decoder",
            "absent (models that write the labels are not supported)",
        ),
        (
            "relations_layer",
            "absent (models of relations are not supported)",
        ),
        (
            "span_encoder_config",
            "absent (layers between the encoder and the spans are not supported)",
        ),
    ];
    for (key, expected) in refused {
        if let Some(found) = config.get(key) {
            return Err(config.wrong(key, expected, found));
        }
    }
    let off = [
        (
            "fuse_layers",
            "false (a mean of the encoder's layers is not supported)",
        ),
        (
            "represent_spans",
            "false (stretches that a token head finds are not scored a second time)",
        ),
        (
            "precomputed_prompts_mode",
            "false (labels that were encoded beforehand are not supported; use the model it was made from)",
        ),
    ];
    for (key, expected) in off {
        if config.flag(key)? == Some(true) {
            return Err(config.wrong(key, expected, &Value::from(true)));
        }
    }
    if let Some(found) = config.string("model_type")?
        && !MODEL_TYPES.contains(&found)
    {
        let expected = format!("absent or one of {}", MODEL_TYPES.join(", "));
        return Err(config.wrong("model_type", expected, &Value::from(found)));
    }
    let only = [
        (
            "subtoken_pooling",
            "first",
            "\"first\" (a word is its first token)",
        ),
        (
            "words_splitter_type",
            "whitespace",
            "\"whitespace\" (words of other languages are not told apart)",
        ),
    ];
    for (key, right, expected) in only {
        if let Some(found) = config.string(key)?
            && found != right
        {
            return Err(config.wrong(key, expected, &Value::from(found)));
        }
    }
    // Without a label encoder the reference makes the layers and leaves them out of the computation.
    let fusion = config.string("post_fusion_schema")?.unwrap_or_default();
    if !fusion.is_empty() && config.string("labels_encoder")?.is_some() {
        let expected = "empty (attention between labels and text is not supported)";
        return Err(config.wrong("post_fusion_schema", expected, &Value::from(fusion)));
    }
    Ok(())
}

impl Reader<'_> {
    /// The encoder that `key` describes, or else the `config.json` that lies in its place.
    fn encoder(&self, key: &str, beside: Option<&Small>, part: &str) -> Result<Encoder, ModelError> {
        let own = self.config.child(key)?;
        let beside = || {
            beside
                .map(|file| Object::parse(&file.path, &file.bytes))
                .transpose()
        };
        let mut config = match own {
            Some(own) => own,
            None => beside()?.ok_or_else(|| {
                let (name, place) = match part {
                    LABELS => ("labels_encoder", "labels_encoder/config.json"),
                    _ => ("model_name", "config.json"),
                };
                let name = self.config.string(name).ok().flatten().unwrap_or("the encoder");
                let expected =
                    format!("the encoder's configuration; copy config.json of \"{name}\" to {place} here");
                self.config.wrong(key, expected, &Value::Null)
            })?,
        };
        if config.get("model_type").is_none() {
            config.set("model_type", "deberta-v2".into());
        }
        let root = format!("{}token_rep_layer.{part}.model.", self.outer);
        if part != LABELS
            && let Some(rows) = self.rows(&root)?
        {
            config.set("vocab_size", rows.into());
        }
        let family = families::find(&config)?;
        let architecture = (family.describe)(&Source {
            config: &config,
            weights: Some(self.weights),
            labels: 0,
            head_needed: false,
            root: Some(&root),
        })?;
        for tensor in architecture.trunk_tensors() {
            self.weights.expect(&tensor.name, &tensor.shape)?;
        }
        Ok(Encoder {
            family,
            config,
            architecture,
            root,
        })
    }

    /// Rows of the word table, to which tokens were added in training: as `vocab_size` says or, where that is -1, as
    /// they are in the file.
    fn rows(&self, root: &str) -> Result<Option<usize>, ModelError> {
        if let Some(rows) = self.config.size("vocab_size", ROW_LIMIT)? {
            return Ok(Some(rows));
        }
        let tables = [
            "embeddings.word_embeddings.weight",
            "embeddings.tok_embeddings.weight",
        ];
        let found = tables
            .iter()
            .find_map(|table| self.weights.shape(&format!("{root}{table}")));
        Ok(found.and_then(|shape| shape.first().copied()))
    }

    fn label_tokenizer(&self) -> Result<TokenizerFiles, ModelError> {
        let folder = self.dir.join(LABELS);
        let files = TokenizerFiles::read(&folder)?;
        if files.all().next().is_none() {
            return Err(ModelError::LabelTokenizer {
                dir: folder,
                name: self
                    .config
                    .string("labels_encoder")?
                    .unwrap_or_default()
                    .to_owned(),
            });
        }
        Ok(files)
    }

    /// How labels are put before the text. Its tokens are added to the tokenizer where it does not have them.
    fn prompt(&self, tokenizer: &mut Tokenizer) -> Result<Prompt, ModelError> {
        let config = &self.config;
        let text = |key: &str, default: &str| -> Result<String, ModelError> {
            Ok(config.string(key)?.unwrap_or(default).to_owned())
        };
        let (token, separator) = (text("ent_token", "<<ENT>>")?, text("sep_token", "<<SEP>>")?);
        let index = config
            .get("class_token_index")
            .filter(|index| index.as_i64() != Some(-1));
        if tokenizer.token_to_id(&token).is_none() && index.is_none() {
            // As the reference does, in its order.
            let added = ["[FLERT]", &token, &separator].map(|name| AddedToken::from(name, true));
            let added = tokenizer.add_special_tokens(added);
            added.map_err(|error| {
                config.wrong("ent_token", error.to_string(), &Value::from(token.as_str()))
            })?;
        }
        let id = |name: &str| {
            let alone = tokenizer.encode(name, false).ok();
            alone.and_then(|found| match found.get_ids() {
                [id] => Some(*id),
                _ => None,
            })
        };
        let missing = |key: &str, name: &str| {
            let expected =
                "a special token of tokenizer.json; copy the tokenizer's files that belong to this model";
            config.wrong(key, expected, &Value::from(name))
        };
        let token_id = id(&token).ok_or_else(|| missing("ent_token", &token))?;
        id(&separator).ok_or_else(|| missing("sep_token", &separator))?;
        if let Some(index) = index
            && index.as_u64() != Some(u64::from(token_id))
        {
            let expected = format!("{token_id}, the id of \"{token}\" in the tokenizer");
            return Err(config.wrong("class_token_index", expected, index));
        }
        Ok(Prompt {
            token,
            token_id,
            separator,
            after: config.flag("embed_ent_token")? == Some(false),
        })
    }

    fn projection(&self, name: &str, width: usize) -> Option<Linear> {
        (width != self.hidden).then(|| self.linear(&format!("token_rep_layer.{name}"), width, self.hidden))
    }

    fn recurrent(&self) -> Result<Vec<Bilstm>, ModelError> {
        let default = usize::from(self.config.flag("has_rnn")? != Some(false));
        let layers = match self.config.get("num_rnn_layers") {
            Some(_) => self.config.size("num_rnn_layers", LSTM_LIMIT)?.unwrap_or(0),
            None => default,
        };
        let (width, half) = (self.hidden, self.hidden / 2);
        if layers > 0 && half * 2 != width {
            let expected = "an even number, because an LSTM reads the words from both ends";
            return Err(self.config.wrong("hidden_size", expected, &Value::from(width)));
        }
        let lstm = |layer: usize, end: &str| {
            let linear = |kind: &str, inputs: usize| Linear {
                weight: format!("{}rnn.lstm.weight_{kind}_l{layer}{end}", self.outer),
                bias: Some(format!("{}rnn.lstm.bias_{kind}_l{layer}{end}", self.outer)),
                inputs,
                outputs: 4 * half,
            };
            Lstm {
                input: linear("ih", width),
                state: linear("hh", half),
            }
        };
        let layer = |layer| Bilstm {
            forward: lstm(layer, ""),
            backward: lstm(layer, "_reverse"),
        };
        Ok((0..layers).map(layer).collect())
    }

    fn head(&self) -> Result<GlinerHead, ModelError> {
        let width = self.hidden;
        let mode = self.config.string("span_mode")?.unwrap_or("markerV0");
        let span = |part: &str| format!("span_rep_layer.span_rep_layer.{part}");
        let (inner, out) = match mode {
            "token_level" | "token-level" => {
                return Ok(GlinerHead::Token {
                    word: self.linear("scorer.proj_token", width, 2 * width),
                    label: self.linear("scorer.proj_label", width, 2 * width),
                    out: self.mlp("scorer.out_mlp", [3 * width, 4 * width, 3]),
                });
            }
            "marker" => {
                let out = self.linear(&span("out_project"), 2 * width, width);
                (2 * width, SpanOutput::Linear(out))
            }
            "markerV0" => {
                let out = self.mlp(&span("out_project"), [2 * width, 4 * width, width]);
                (4 * width, SpanOutput::Mlp(out))
            }
            other => {
                let expected = "\"markerV0\", \"marker\" or \"token_level\" (other heads are not supported)";
                return Err(self.config.wrong("span_mode", expected, &Value::from(other)));
            }
        };
        Ok(GlinerHead::Span {
            max_width: self.config.count("max_width", 12, SPAN_LIMIT)?,
            start: self.mlp(&span("project_start"), [width, inner, width]),
            end: self.mlp(&span("project_end"), [width, inner, width]),
            out,
            label: self.mlp("prompt_rep_layer", [width, 4 * width, width]),
        })
    }

    /// Two layers of a `torch.nn.Sequential` with an activation and a dropout between them.
    fn mlp(&self, name: &str, [inputs, inner, outputs]: [usize; 3]) -> Mlp {
        Mlp {
            up: self.linear(&format!("{name}.0"), inputs, inner),
            down: self.linear(&format!("{name}.3"), inner, outputs),
        }
    }

    /// Checks that every tensor is there, and refuses weights with a part that is not computed here, whatever key of the
    /// configuration asks for it.
    fn check_tensors(&self, gliner: &Gliner) -> Result<(), ModelError> {
        let mut read = BTreeSet::new();
        for tensor in gliner.tensors() {
            self.weights.expect(&tensor.name, &tensor.shape)?;
            read.insert(tensor.name);
        }
        let unread = self.weights.names().find(|name| {
            let part = name.strip_prefix(self.outer).unwrap_or(name);
            !read.contains(*name) && !HARMLESS.iter().any(|harmless| part.starts_with(harmless))
        });
        match unread {
            Some(tensor) => Err(ModelError::UnreadTensor {
                path: self.weights.path().to_owned(),
                tensor: tensor.to_owned(),
            }),
            None => Ok(()),
        }
    }

    fn linear(&self, name: &str, inputs: usize, outputs: usize) -> Linear {
        Linear {
            weight: format!("{}{name}.weight", self.outer),
            bias: Some(format!("{}{name}.bias", self.outer)),
            inputs,
            outputs,
        }
    }
}
