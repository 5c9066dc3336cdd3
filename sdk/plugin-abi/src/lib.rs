//! ABI major 1: the layout of everything that crosses the border between a host and a compiled plugin.
//!
//! **Frozen.** A field, a parameter or a type that changes here makes every plugin that was ever built
//! unloadable: `tests/golden/abi-1.txt` and the binary fixture in `tests/fixtures/plugin` catch it. What is
//! new becomes a new ability (`mednerd.something/1`, `mednerd.normalizer/2`) with a table of its own, asked for
//! through [`RootModule::ability`]; what is in force stays. `sdk/plugin/ABI.md` has the rules.
//!
//! Neither vendors nor the daemon use this crate; `mednerd-plugin` wraps both sides of it in safe Rust.
//!
//! # Rules for every function
//! - *Thread*: any thread, and several at once on the same instance, `open` and `close` of it excepted.
//! - *Ownership*: arguments belong to the caller and live until the function returns; results belong to the
//!   caller, who frees them by dropping them (each carries its own destructor). [`HostTable`] lives for ever.
//! - *Panics*: none crosses the border; a shim turns it into [`Failure`] of kind [`kind::PANIC`].
//! - *Units*: offsets are UTF-8 bytes from the start of the text, on character boundaries; times are
//!   nanoseconds; scores are probabilities, 0 to 1.

// A table spells out what its functions take and give.
#![allow(clippy::type_complexity)]

use abi_stable::StableAbi;
use abi_stable::library::RootModule as SabiRootModule;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{ROption, RResult, RSlice, RStr, RString, RVec};
use abi_stable::type_layout::TypeLayout;

#[doc(hidden)]
pub use abi_stable;

/// The ABI's major version.
pub const MAJOR: u32 = 1;

/// Ids of the abilities of this major.
pub mod ability {
    /// Mentions to concepts; [`NormalizerTable`](crate::NormalizerTable).
    pub const NORMALIZER: &str = "mednerd.normalizer/1";
    /// A NER task on a base model; [`AdapterTable`](crate::AdapterTable).
    pub const ADAPTER: &str = "mednerd.adapter/1";
    /// A document format; [`DocumentTable`](crate::DocumentTable).
    pub const DOCUMENT: &str = "mednerd.document/1";
}

/// Values of [`Failure::kind`].
pub mod kind {
    /// The settings are wrong; only from `open`.
    pub const SETTINGS: u8 = 1;
    /// Something that is needed is not there.
    pub const UNAVAILABLE: u8 = 2;
    /// The input is not what it says it is.
    pub const INPUT: u8 = 3;
    /// Stopped because nobody waits any more.
    pub const CANCELLED: u8 = 4;
    /// A defect of the plugin.
    pub const INTERNAL: u8 = 5;
    /// A panic in the plugin.
    pub const PANIC: u8 = 6;
}

/// What a plugin's library exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = RootModuleRef)))]
#[sabi(missing_field(panic))]
pub struct RootModule {
    /// Says what the plugin is. Cheap; may be called before anything else and more than once.
    pub about: unsafe extern "C" fn() -> RResult<About, Failure>,
    /// The table of an ability, or nothing where the plugin has none of that id.
    #[sabi(last_prefix_field)]
    pub ability: unsafe extern "C" fn(id: RStr<'_>) -> ROption<Ability>,
}

impl SabiRootModule for RootModuleRef {
    abi_stable::declare_root_module_statics! {RootModuleRef}
    const BASE_NAME: &'static str = "mednerd_plugin";
    const NAME: &'static str = "mednerd_plugin";
    const VERSION_STRINGS: VersionStrings = abi_stable::package_version_strings!();
}

/// What a plugin is.
#[repr(C)]
#[derive(StableAbi)]
pub struct About {
    /// As in its manifest.
    pub id: RString,
    /// As in its manifest.
    pub version: RString,
    /// Ids of its abilities.
    pub abilities: RVec<RString>,
}

/// An ability: a table of functions and the layout that the plugin was built with. The host compares that
/// layout with its own before it reads the table.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Ability {
    /// Of the table's type.
    pub layout: &'static TypeLayout,
    /// The table; lives for ever.
    pub table: *const (),
}

/// An opened ability, as the plugin knows it. Given back to `close` once.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct Instance(pub *const ());

/// Why a function has no result.
#[repr(C)]
#[derive(StableAbi)]
pub struct Failure {
    /// One of [`kind`].
    pub kind: u8,
    /// The vendor's own number.
    pub code: i32,
    /// For the administrator. The host keeps it from `open` alone: later it could hold note text.
    pub message: RString,
}

/// What the host offers. Nothing here takes free text: events and metrics are names that the manifest
/// declares, values are numbers.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostTable {
    /// Passed back to each function.
    pub state: *const (),
    /// Logs an event. `level`: 1 error, 2 warning, 3 information, 4 debugging. At most 8 values.
    pub log: unsafe extern "C" fn(state: *const (), level: u8, event: RStr<'_>, values: RSlice<'_, f64>),
    /// Adds to a counter.
    pub metric: unsafe extern "C" fn(state: *const (), name: RStr<'_>, add: f64),
}

/// A call's deadline, to be polled at least every few milliseconds of work.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Call {
    /// Passed back to each function.
    pub state: *const (),
    /// Whether nobody waits any more; then the plugin returns [`kind::CANCELLED`] at once.
    pub cancelled: unsafe extern "C" fn(state: *const ()) -> bool,
    /// Nanoseconds until the deadline; 0 where it has passed.
    pub remaining: unsafe extern "C" fn(state: *const ()) -> u64,
}

/// `mednerd.normalizer/1`
#[repr(C)]
#[derive(StableAbi)]
pub struct NormalizerTable {
    /// Opens it. `settings` is a JSON object: the plugin's table in the configuration.
    pub open:
        unsafe extern "C" fn(settings: RStr<'_>, host: &'static HostTable) -> RResult<Instance, Failure>,
    /// The vocabularies it links to. The same as long as the instance lives.
    pub vocabularies: unsafe extern "C" fn(instance: Instance) -> RResult<RVec<Vocabulary>, Failure>,
    /// Links the mentions of a batch: for each document its own result, for each mention in order its
    /// candidates, best first, at most `top_k`.
    pub normalize: unsafe extern "C" fn(
        instance: Instance,
        batch: RSlice<'_, Document<'_>>,
        options: &NormalizeOptions<'_>,
        call: &Call,
    ) -> RResult<RVec<Linked>, Failure>,
    /// Closes it; no call is under way.
    pub close: unsafe extern "C" fn(instance: Instance),
}

/// What came of one document: for each of its mentions the candidates, best first.
pub type Linked = RResult<RVec<RVec<Concept>>, Failure>;

/// A vocabulary.
#[repr(C)]
#[derive(StableAbi)]
pub struct Vocabulary {
    /// Such as `UMLS`.
    pub name: RString,
    /// Such as `2026AA`.
    pub version: RString,
}

/// A note with the mentions found in it.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Document<'a> {
    /// All of it.
    pub text: RStr<'a>,
    /// In the order of the text; they may overlap and nest.
    pub mentions: RSlice<'a, Mention<'a>>,
}

/// A mention.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Mention<'a> {
    /// First byte.
    pub begin: u64,
    /// One past the last byte.
    pub end: u64,
    /// The entity type, as the model names it.
    pub label: RStr<'a>,
    /// The model's probability.
    pub score: f32,
    /// The section it stands in, where known.
    pub section: ROption<RStr<'a>>,
}

/// What is wanted of the candidates.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct NormalizeOptions<'a> {
    /// At most so many for each mention; at least 1.
    pub top_k: u32,
    /// Only of these vocabularies; all where empty.
    pub vocabularies: RSlice<'a, RStr<'a>>,
}

/// A candidate.
#[repr(C)]
#[derive(StableAbi)]
pub struct Concept {
    /// Within the vocabulary.
    pub id: RString,
    /// The vocabulary's name, as declared.
    pub vocabulary: RString,
    /// The preferred name.
    pub name: RString,
    /// Such as `T047`.
    pub semantic_types: RVec<RString>,
    /// Confidence.
    pub score: f32,
    /// Such as `exact`: a name of 1 to 64 ASCII letters, digits, `.`, `_`, `-` and `/`.
    pub match_kind: RString,
    /// The same concept in other code systems.
    pub codings: RVec<Coding>,
}

/// A code, as FHIR's `Coding`.
#[repr(C)]
#[derive(StableAbi)]
pub struct Coding {
    /// URI of the code system.
    pub system: RString,
    /// The code.
    pub code: RString,
    /// What the code system calls it.
    pub display: RString,
}

/// `mednerd.adapter/1`
#[repr(C)]
#[derive(StableAbi)]
pub struct AdapterTable {
    /// As [`NormalizerTable::open`].
    pub open:
        unsafe extern "C" fn(settings: RStr<'_>, host: &'static HostTable) -> RResult<Instance, Failure>,
    /// The task. The same as long as the instance lives.
    pub task: unsafe extern "C" fn(instance: Instance) -> RResult<Task, Failure>,
    /// The files of a PEFT directory: LoRA tensors and classification head.
    pub files: unsafe extern "C" fn(instance: Instance, call: &Call) -> RResult<AdapterFiles, Failure>,
    /// Changes what the model found: drops, cuts, relabels. Only asked where [`Task::refines`].
    pub refine: unsafe extern "C" fn(
        instance: Instance,
        text: RStr<'_>,
        spans: RSlice<'_, Span<'_>>,
        call: &Call,
    ) -> RResult<RVec<RefinedSpan>, Failure>,
    /// As [`NormalizerTable::close`].
    pub close: unsafe extern "C" fn(instance: Instance),
}

/// A NER task.
#[repr(C)]
#[derive(StableAbi)]
pub struct Task {
    /// What requests call it: a name as [`Concept::match_kind`] is.
    pub name: RString,
    /// SHA-256 over the base model's files, as `GET /v1/models` tells it.
    pub base: RString,
    /// Entity types, without `B-` and `I-`.
    pub labels: RVec<RString>,
    /// Whether `refine` shall be asked.
    pub refines: bool,
}

/// A PEFT directory.
#[repr(C)]
#[derive(StableAbi)]
pub struct AdapterFiles {
    /// `adapter_config.json`
    pub config: RVec<u8>,
    /// `adapter_model.safetensors`
    pub tensors: RVec<u8>,
}

/// A span that the model found.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Span<'a> {
    /// First byte.
    pub begin: u64,
    /// One past the last byte.
    pub end: u64,
    /// The entity type.
    pub label: RStr<'a>,
    /// Probability.
    pub score: f32,
}

/// A span as the adapter wants it.
#[repr(C)]
#[derive(StableAbi)]
pub struct RefinedSpan {
    /// First byte.
    pub begin: u64,
    /// One past the last byte.
    pub end: u64,
    /// One of [`Task::labels`].
    pub label: RString,
    /// Probability.
    pub score: f32,
}

/// `mednerd.document/1`
#[repr(C)]
#[derive(StableAbi)]
pub struct DocumentTable {
    /// As [`NormalizerTable::open`].
    pub open:
        unsafe extern "C" fn(settings: RStr<'_>, host: &'static HostTable) -> RResult<Instance, Failure>,
    /// Names of the formats it decodes, such as `hl7v2`. The same as long as the instance lives.
    pub formats: unsafe extern "C" fn(instance: Instance) -> RResult<RVec<RString>, Failure>,
    /// Decodes one document.
    pub decode: unsafe extern "C" fn(
        instance: Instance,
        format: RStr<'_>,
        bytes: RSlice<'_, u8>,
        call: &Call,
    ) -> RResult<Decoded, Failure>,
    /// As [`NormalizerTable::close`].
    pub close: unsafe extern "C" fn(instance: Instance),
}

/// A document's text and where each part of it comes from.
#[repr(C)]
#[derive(StableAbi)]
pub struct Decoded {
    /// What models read.
    pub text: RString,
    /// Cover the text without gaps, in order, and go forward in the source.
    pub pieces: RVec<Piece>,
}

/// A part of the text and the bytes it was made of. Where both are equal byte by byte, a word in it has a place of its own;
/// else the piece is indivisible, also where both are equally long.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct Piece {
    /// First byte in the text.
    pub text_begin: u64,
    /// One past the last byte in the text.
    pub text_end: u64,
    /// First byte in the source.
    pub source_begin: u64,
    /// One past the last byte in the source.
    pub source_end: u64,
}
