//! The JSON of the socket API as Rust types. Every field of an answer is always present in the
//! JSON; in a request only `text` must be. A request with an unknown field is refused; in an answer one
//! is ignored, so that an older client reads a newer daemon. Nothing here talks to a socket.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The unit in which `begin` and `end` count from the start of the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OffsetUnit {
    /// Unicode code points: what Python's `str` counts.
    #[default]
    UnicodeCodePoint,
    /// UTF-16 code units: what Java, JavaScript and C# strings count.
    #[serde(rename = "utf16_code_unit")]
    Utf16CodeUnit,
    /// Bytes of the UTF-8 text: what Rust and Go count.
    #[serde(rename = "utf8_byte")]
    Utf8Byte,
    /// Bytes of a document that was sent in base64, which has no other unit.
    Byte,
}

impl OffsetUnit {
    /// The names a request for a text may use.
    pub const NAMES: [&'static str; 3] = ["unicode_code_point", "utf16_code_unit", "utf8_byte"];
}

/// How `text` holds a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As it is.
    #[default]
    Plain,
    /// Its bytes in base64 (RFC 4648, section 4, with padding), for documents in another encoding than UTF-8.
    Base64,
}

/// How word pieces become entities, as the Hugging Face token classification pipeline defines
/// the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Adjacent pieces of one label.
    #[default]
    Simple,
    /// A word takes the label of its first piece.
    First,
    /// A word takes the label with the highest mean over its pieces.
    Average,
    /// A word takes the label of its most certain piece.
    Max,
}

impl Aggregation {
    /// The names a request may use.
    pub const NAMES: [&'static str; 4] = ["simple", "first", "average", "max"];
}

/// Whether and how entities are linked to concepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Link {
    /// With every vocabulary, or not at all.
    All(bool),
    /// With a choice of how many concepts, from which vocabularies, with which codes.
    #[serde(deserialize_with = "object")]
    Choice(LinkChoice),
}

/// The details of a linking request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
pub struct LinkChoice {
    /// At most this many concepts for each entity.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 100)))]
    pub top_k: Option<u32>,
    /// Only concepts of these vocabularies, as `/v1/plugins` names them: `UMLS` for instance.
    pub vocabularies: Option<Vec<String>>,
    /// Only codes of these systems in the concepts' `codings`, by FHIR URI (`http://snomed.info/sct`) or name
    /// (`SNOMEDCT`, `ICD-10-CM`, `RxNorm`, `LOINC`, `MeSH`, `NCIt`, `HPO`, `UMLS` and others); all where empty. Which
    /// concepts are found does not depend on it.
    pub code_systems: Option<Vec<String>>,
}

/// What a zero-shot model shall look for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Label {
    /// In these words.
    Name(String),
    /// In these words and others.
    #[serde(deserialize_with = "object")]
    Group(LabelGroup),
}

/// An object and nothing else: a derived struct reads an array of its fields as well.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Object(PhantomData))
}

/// A label and other words for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LabelGroup {
    /// Asked for, and the label of all that is found.
    pub name: String,
    /// Asked for beside it.
    #[serde(default)]
    pub synonyms: Vec<String>,
}

/// The body of `POST /v1/annotate`, and each line of `POST /v1/annotate/batch`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AnnotateRequest {
    /// The note or, with `format`, the document as it was received.
    pub text: String,
    /// The format of the document, such as `hl7v2`, for the plugin that decodes it; plain text where absent. Offsets and
    /// lengths in the answer are those of the document as received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Default `plain`. `base64` needs a `format`; offsets and lengths in the answer then count bytes of the document, and the
    /// `text` of an entity is as models read it, as `decoded`, since JSON could not hold those bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Comes back in the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_id: Option<String>,
    /// Names of models and of lists of names; the configuration's default ones where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub models: Option<Vec<String>>,
    /// Entities with a lower score are left out; 0 to 1. Default 0, but for what a model finds beside a list of names of the same label:
    /// there the configuration says. Those of a zero-shot model must exceed it; default 0.5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1)))]
    pub threshold: Option<f32>,
    /// Default `simple`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<Aggregation>,
    /// What the zero-shot models among `models` shall look for, at most 1,000 with their synonyms; the configuration's
    /// labels of each model where absent. A score is the probability of its label alone. Where labels stand before the text
    /// in the model's context, they are divided evenly among several runs if they are too many for one, and a score
    /// depends a little on the labels beside its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(length(min = 1)))]
    pub labels: Option<Vec<Label>>,
    /// Whether an entity of a zero-shot model may lie within another of the same model; default `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nested: Option<bool>,
    /// Whether the same words may have several labels from one zero-shot model; default `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multi_label: Option<bool>,
    /// Default `unicode_code_point`; for a document in base64 `byte`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_unit: Option<OffsetUnit>,
    /// Default `false`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// Milliseconds from the arrival of the request, at least 1 and at most the configuration's
    /// `max_deadline_ms`, which holds where more is asked for; its default where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1)))]
    pub deadline_ms: Option<u64>,
    /// Any JSON; comes back as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Value>,
}

impl AnnotateRequest {
    /// A request for one text with every setting at its default.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }
}

/// Whether an answer is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every stage ran.
    Ok,
    /// Stages named in `degraded` did not run; what is there is right.
    Partial,
    /// There is no answer; `error` says why. Only in batch lines.
    Failed,
}

/// Which engine computed the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// A GPU worker.
    Cuda,
    /// The CPU.
    Tract,
}

/// The answer to one document.
// `C` is how `context` is held: parsed, or, in the daemon, to the letter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct AnnotateResponse<C = Value> {
    /// As in the request.
    pub document_id: Option<String>,
    /// Whether the answer is whole.
    pub status: Status,
    /// Names of the stages that did not run, such as `normalizer:umls`; and `engine:cuda` where the CPU computed what a GPU
    /// should have, which makes the answer late but no less whole.
    pub degraded: Vec<String>,
    /// The unit of every `begin` and `end` here.
    pub offset_unit: OffsetUnit,
    /// SHA-256 of the document as received, of a text its UTF-8 bytes, in hexadecimal; empty where `status` is `failed`.
    pub text_sha256: String,
    /// The length of the text in every unit, so that a client can check its own count; 0 where
    /// `status` is `failed`.
    pub text_length: TextLength,
    /// By `begin`, then longer first. Entities of different tasks may overlap and nest.
    pub entities: Vec<Entity>,
    /// What made this answer.
    pub versions: Versions,
    /// Which engine computed it, the CPU where it had any part in it; `null` where none ran.
    pub engine: Option<Engine>,
    /// Where the time went.
    pub timing_ms: Timing,
    /// As in the request; `null` where it had none.
    pub context: C,
    /// Why there is no answer; `null` unless `status` is `failed`.
    pub error: Option<ErrorDetail>,
}

/// One line of the answer to `POST /v1/annotate/batch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct BatchLine<C = Value> {
    /// The line of the request that this answers, from 0, blank lines counted. Lines come as they finish. `null` where `error` is about
    /// the batch and no line of it: what came before is answered, and nothing more is read.
    pub index: Option<u64>,
    /// The answer.
    #[serde(flatten)]
    pub response: AnnotateResponse<C>,
}

/// The length of a text; of a document in base64 its bytes, in each unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TextLength {
    /// In UTF-8 bytes.
    pub utf8_byte: u64,
    /// In UTF-16 code units.
    pub utf16_code_unit: u64,
    /// In Unicode code points.
    pub unicode_code_point: u64,
}

/// A mention found in the text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Entity {
    /// Unique within the answer.
    pub id: String,
    /// First unit of the mention.
    pub begin: u64,
    /// One past the last unit of the mention.
    pub end: u64,
    /// The text between `begin` and `end`, exactly.
    pub text: String,
    /// The same as the document's format spells it, without escapes and markup; `null` where the request named no format.
    pub decoded: Option<String>,
    /// The entity type as the model names it.
    pub label: String,
    /// The model's probability, 0 to 1.
    pub score: f32,
    /// The name of the model that found it.
    pub model: String,
    /// What the note says of the mention beside naming it, one of each kind at most; empty where it says nothing but that it is there.
    #[serde(default)]
    pub assertions: Vec<Assertion>,
    /// Best first; empty where linking was not asked for or found nothing.
    pub concepts: Vec<Concept>,
}

/// What a note says of a mention, found by words beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Assertion {
    /// What is said.
    pub kind: AssertionKind,
    /// By which words, as the daemon's list has them; or by which section.
    pub cue: String,
}

/// What can be said of a mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AssertionKind {
    /// It is absent: "no chest pain".
    Negated,
    /// It is possible, suspected, or one of several explanations: "?pneumonia".
    Uncertain,
    /// It is feared, prevented, screened for, or a condition: "return if fever".
    Hypothetical,
    /// It is past: "s/p MI", or what stands under a past history.
    Historical,
    /// It is somebody else's: "mother had breast cancer".
    Family,
}

/// As answers have it: `negated`.
impl fmt::Display for AssertionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// A concept that a mention was linked to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Concept {
    /// Identifier within the vocabulary, such as a UMLS CUI.
    pub id: String,
    /// The vocabulary's name.
    pub vocabulary: String,
    /// The preferred name.
    pub name: String,
    /// Semantic types, such as `T047`.
    pub semantic_types: Vec<String>,
    /// The linker's confidence, 0 to 1.
    pub score: f32,
    /// How it was found, such as `exact`.
    #[serde(rename = "match")]
    pub match_kind: String,
    /// Codes of the concept in other code systems.
    pub codings: Vec<Coding>,
    /// Ids of the plugins that found it, the one first whose score and codes these are.
    #[serde(default)]
    pub plugins: Vec<String>,
}

/// A code, as FHIR's `Coding`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Coding {
    /// URI of the code system.
    pub system: String,
    /// The code.
    pub code: String,
    /// What the code system calls it.
    pub display: String,
}

/// What made an answer; enough to make it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Versions {
    /// The daemon's version, that of its packages: another one may answer otherwise.
    pub mednerd: String,
    /// A digest of the settings that bear on answers: where it differs, so may the answer.
    #[serde(default)]
    pub settings: String,
    /// Model name to the digest of its files; the bases of adapters are among them, and as `linking.rerank` the encoder
    /// that concepts were ranked by.
    pub models: BTreeMap<String, String>,
    /// Model name to the precision that it was computed in: `fp32` or `int8` on the CPU, that of the configuration on a GPU. Both, as in
    /// `bf16+fp32`, where a GPU computed a part of it and the CPU the rest.
    pub precisions: BTreeMap<String, String>,
    /// Plugin id to version.
    pub plugins: BTreeMap<String, String>,
    /// Vocabulary name to version; where several plugins have one vocabulary, that of the first of the configuration.
    pub vocabularies: BTreeMap<String, String>,
    /// Plugin id to its vocabularies, each with its version.
    #[serde(default)]
    pub plugin_vocabularies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Milliseconds spent in each stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Timing {
    /// In the plugin that decodes the document's format.
    pub decoding: f64,
    /// Until a worker began.
    pub queue: f64,
    /// In tokeniser, model and decoder, summed over the windows of the note.
    pub inference: f64,
    /// In the plugins of adapters that post-process what was found.
    pub refining: f64,
    /// In normalisers.
    pub linking: f64,
    /// From arrival until the answer was ready.
    pub total: f64,
}

/// The body of every error answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

/// Every `code` of an [`ErrorDetail`], sorted.
pub const ERROR_CODES: &[&str] = &[
    "audit_unavailable",
    "batch_idle",
    "body_incomplete",
    "body_timeout",
    "body_too_large",
    "busy",
    "content_encoding",
    "deadline_passed",
    "decoder_unavailable",
    "decoding_failed",
    "duplicate_field",
    "empty_body",
    "inference_failed",
    "internal",
    "invalid_field",
    "invalid_host",
    "invalid_utf8",
    "malformed_json",
    "method_not_allowed",
    "missing_field",
    "model_rejected",
    "no_default_model",
    "not_an_object",
    "not_ready",
    "peer_not_allowed",
    "reload_rejected",
    "route_not_found",
    "stopping",
    "text_too_long",
    "unknown_code_system",
    "unknown_field",
    "unknown_format",
    "unknown_model",
    "unknown_vocabulary",
    "unusable_field",
    "user_busy",
    "wrong_format",
];

/// What went wrong. Never holds note text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ErrorDetail {
    /// For programs; stable.
    #[cfg_attr(feature = "schema", schemars(extend("enum" = ERROR_CODES)))]
    pub code: String,
    /// For people.
    pub message: String,
    /// Figures that belong to the code, such as a limit.
    pub details: serde_json::Map<String, Value>,
}

/// The body of `GET /v1/models`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelsResponse {
    /// In the order of the configuration.
    pub models: Vec<ModelInfo>,
}

/// A loaded model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelInfo {
    /// The name that requests use.
    pub name: String,
    /// Whether requests that name no model get this one.
    pub default: bool,
    /// The encoder family, such as `bert`; `terms` for a list of names.
    pub family: String,
    /// The engine that runs it.
    pub engine: Engine,
    /// The precision it runs in; `none` for a list of names.
    pub precision: String,
    /// Entity types it finds; for a zero-shot model, those it looks for where a request names none. None for a base that
    /// has no head and is there for its adapters alone.
    pub labels: Vec<String>,
    /// Whether a request may name other labels.
    #[serde(default)]
    pub zero_shot: bool,
    /// Tokens in a window, special tokens included; 0 for a list of names.
    pub context_tokens: u64,
    /// Number of parameters; for an adapter, its own; for a list of names, how many there are.
    pub parameters: u64,
    /// Languages, where the model card names them.
    pub languages: Vec<String>,
    /// Licence, where the model card names one.
    pub license: Option<String>,
    /// SHA-256 over the model's files.
    pub digest: String,
    /// Memory that its weights take; for an adapter, on top of its base's.
    pub memory_bytes: u64,
    /// When it was loaded, RFC 3339.
    pub loaded_at: String,
    /// Names of the task adapters over it.
    pub adapters: Vec<String>,
    /// The base that it is an adapter over; `null` for a model of its own.
    pub base: Option<String>,
    /// The plugin that brings it; `null` for one of the configuration's own.
    pub plugin: Option<String>,
}

/// The body of `POST /v1/models`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct LoadRequest {
    /// What requests shall call it.
    pub name: String,
    /// Absolute path of its directory: a Hugging Face checkpoint or, with `base`, a PEFT adapter.
    pub path: String,
    /// The loaded model that it is an adapter over.
    #[serde(default)]
    pub base: Option<String>,
    /// Whether requests that name no model get it.
    #[serde(default)]
    pub default: bool,
    /// What a zero-shot model looks for where a request does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
}

/// The body of `GET /v1/plugins`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PluginsResponse {
    /// In the order of the configuration.
    pub plugins: Vec<PluginInfo>,
}

/// A plugin in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PluginInfo {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Who made it.
    pub vendor: String,
    /// Its directory.
    pub path: String,
    /// What it can do, such as `mednerd.normalizer/1`.
    pub abilities: Vec<String>,
    /// What it links to.
    pub vocabularies: Vec<VocabularyInfo>,
    /// The document formats it decodes.
    pub formats: Vec<String>,
    /// The name of the NER task it brings.
    pub task: Option<String>,
    /// The key that signed it, as minisign prints it; `null` for an unsigned one in development.
    pub signed_by: Option<String>,
    /// SHA-256 of its library.
    pub sha256: String,
    /// What its host is doing.
    pub state: PluginState,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// Process id of its host.
    pub pid: Option<u32>,
    /// Since when its host is ready, RFC 3339.
    pub ready_since: Option<String>,
    /// Milliseconds that the last start of its host took.
    pub start_ms: f64,
    /// Hosts started.
    pub starts: u64,
    /// Hosts that died.
    pub deaths: u64,
    /// The last of them.
    pub last_death: Option<PluginEvent>,
    /// The last call that failed.
    pub last_failure: Option<PluginEvent>,
    /// What became of its calls.
    pub calls: PluginCalls,
    /// What confines its host, beside resource limits.
    pub sandbox: PluginSandbox,
}

/// A vocabulary that a plugin links to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct VocabularyInfo {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// What a plugin's host is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PluginState {
    /// It is being started.
    Starting,
    /// It takes calls.
    Ready,
    /// It died and is started again soon.
    BackingOff,
    /// It died too often and is tried again after a rest.
    OutOfService,
    /// It was stopped.
    Stopped,
}

/// Something that happened to a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PluginEvent {
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub cause: String,
}

/// What became of a plugin's calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PluginCalls {
    /// Answered.
    pub answered: u64,
    /// Failed, for whatever reason.
    pub failed: u64,
    /// Not done in time.
    pub overruns: u64,
}

/// What confines a plugin's host: `full`, `partial` or `none`, as far as the kernel can.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PluginSandbox {
    /// Files and network.
    pub landlock: String,
    /// System calls.
    pub seccomp: String,
    /// Whether that keeps it from all files but its own, from network and from other processes.
    pub enough: bool,
}

/// A plugin in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PluginStatus {
    /// Its id.
    pub id: String,
    /// What its host is doing.
    pub state: PluginState,
    /// Why it is not ready.
    pub reason: Option<String>,
    /// Hosts that died.
    pub deaths: u64,
    /// Of what the last one died.
    pub last_death: Option<String>,
    /// Calls that failed.
    pub failed: u64,
    /// Why the last one did.
    pub last_failure: Option<String>,
    /// The key that signed it; `null` for an unsigned one in development.
    pub signed_by: Option<String>,
    /// What confines its host, beside resource limits.
    pub sandbox: PluginSandbox,
}

/// What the daemon is doing as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It answers.
    Ready,
    /// It answers, but its self-check failed; the journal says why.
    Unhealthy,
    /// It finishes what it has and takes nothing new.
    Stopping,
}

/// The body of `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StatusResponse {
    /// The daemon's version.
    pub version: String,
    /// What it is doing.
    pub state: ServiceState,
    /// Process id.
    pub pid: u32,
    /// When it was started, RFC 3339.
    pub started_at: String,
    /// Seconds since then.
    pub uptime_s: u64,
    /// The engine in use.
    pub engine: EngineStatus,
    /// How busy it is.
    pub queue: QueueStatus,
    /// What it takes.
    #[serde(default)]
    pub limits: Limits,
    /// Counts since the start.
    pub requests: RequestCounts,
    /// Resident memory of the daemon.
    pub resident_bytes: u64,
    /// Names of the models.
    pub models: Vec<String>,
    /// The plugins.
    pub plugins: Vec<PluginStatus>,
    /// Which configuration is in force.
    pub configuration: ConfigurationStatus,
}

/// The engine in use and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EngineStatus {
    /// Which one.
    pub name: Engine,
    /// Why this one, in a sentence.
    pub reason: String,
    /// Number of worker threads.
    pub threads: u64,
    /// The precision.
    pub precision: String,
    /// The GPUs that the configuration names, where there is a worker for them.
    #[serde(default)]
    pub gpus: Vec<GpuStatus>,
}

/// What a GPU's worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GpuState {
    /// It looks for its GPU.
    Starting,
    /// It has it, and serves no model yet.
    Loading,
    /// It serves models.
    Ready,
    /// It computes nothing: `detail` says why.
    Down,
}

/// A GPU and its worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct GpuStatus {
    /// Which, by its number in `nvidia-smi`.
    pub gpu: u64,
    /// What its worker is doing.
    pub state: GpuState,
    /// Why it is down; empty otherwise.
    pub detail: String,
    /// What it is called; empty before its worker was ready.
    pub name: String,
    /// The driver's version.
    pub driver: String,
    /// Compute capability.
    pub compute: String,
    /// The precision.
    pub precision: String,
    /// Memory that its worker may use.
    pub memory_bytes: u64,
    /// Memory that its worker uses, as last asked.
    pub memory_used_bytes: u64,
    /// The models that it serves.
    pub models: Vec<String>,
    /// Workers that died.
    pub deaths: u64,
    /// The last of them.
    pub last_death: Option<PluginEvent>,
}

/// How busy the daemon is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct QueueStatus {
    /// Documents admitted and not yet answered.
    pub documents: u64,
    /// At most so many are admitted.
    pub capacity: u64,
    /// Bytes of request bodies held.
    pub bytes: u64,
    /// At most so many are held.
    pub bytes_capacity: u64,
    /// Open connections.
    pub connections: u64,
}

/// What the daemon takes, as configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Limits {
    /// Bytes of a text in UTF-8, or of a document before base64.
    pub max_text_bytes: u64,
    /// Bytes of a request's body, or of a line of a batch.
    pub max_body_bytes: u64,
    /// The deadline of a request that names none.
    pub default_deadline_ms: u64,
    /// The longest deadline; a longer one is cut to it.
    pub max_deadline_ms: u64,
    /// How long a connection may be idle, a batch may wait for its next document, and a small body may take.
    pub idle_timeout_ms: u64,
    /// How long a client may pause in a body, in a line of a batch, or in reading an answer.
    pub stall_timeout_ms: u64,
    /// Batches of one user at once.
    pub batches: u64,
}

/// Documents by outcome since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RequestCounts {
    /// Answered in full.
    pub ok: u64,
    /// Answered in part.
    pub partial: u64,
    /// Not tried: the request was of no use as it was, or there was no room for it.
    #[serde(default)]
    pub refused: u64,
    /// Tried in vain, or not in time.
    pub failed: u64,
    /// Dropped because the client had gone.
    pub abandoned: u64,
}

/// Which configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfigurationStatus {
    /// The files it was read from.
    pub files: Vec<String>,
    /// When it was put in force, RFC 3339.
    pub loaded_at: String,
    /// The digest of the settings that bear on answers, as in their `versions`.
    #[serde(default)]
    pub settings: String,
    /// Problems of the last reload that was refused; empty where the last one was taken.
    pub rejected: Vec<String>,
    /// Whether plugins that nobody has signed are loaded.
    pub plugin_development: bool,
}

/// The body of `POST /v1/reload`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ReloadResponse {
    /// Models read from disk.
    pub loaded: Vec<String>,
    /// Models that were there and did not change.
    pub kept: Vec<String>,
    /// Models that are gone.
    pub unloaded: Vec<String>,
    /// What was done with plugins.
    #[serde(default)]
    pub plugins: PluginChanges,
}

/// What a reload has done with plugins, each by its id and version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct PluginChanges {
    /// Started, for the first time or anew.
    pub started: Vec<String>,
    /// Not changed; their hosts serve on.
    pub kept: Vec<String>,
    /// Gone.
    pub stopped: Vec<String>,
}

/// The body of `GET /healthz` and `GET /readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HealthResponse {
    /// `ok`.
    pub status: String,
    /// `/readyz`: plugins without which documents are answered at the moment, such as `plugin:umls`.
    #[serde(default)]
    pub degraded: Vec<String>,
}
