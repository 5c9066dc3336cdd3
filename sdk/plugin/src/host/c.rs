//! Plugins in C: the structures of `include/mednerd_plugin.h` and what turns them into the host's own.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_void};
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::rust::hear;
use super::{
    AdapterBackend, Caller, DocumentBackend, Failure, Linked, Listener, LoadError, NormalizerBackend, Told,
    error_kind, message, with_sources,
};
use crate::contract::Breach;
use crate::types::{
    ABI_MAJOR, About, AdapterFiles, Coding, Concept, Decoded, Document, Error, NormalizeOptions, Piece, Span,
    Task, Vocabulary, ability,
};

// The header's structures, field by field. A function that is NULL is `None`.

#[repr(C)]
#[derive(Clone, Copy)]
struct Str {
    data: *const c_char,
    size: usize,
}

#[repr(C)]
struct CFailure {
    code: i32,
    message: [c_char; 256],
}

/// `mednerd_host`
#[repr(C)]
pub(super) struct Host {
    state: *const c_void,
    log: unsafe extern "C" fn(*const c_void, u8, Str, *const f64, usize),
    metric: unsafe extern "C" fn(*const c_void, Str, f64),
}

// SAFETY: the state is a `&'static Listener`, which is `Sync`.
unsafe impl Sync for Host {}
// SAFETY: as for `Sync`.
unsafe impl Send for Host {}

#[repr(C)]
struct Call {
    state: *const c_void,
    cancelled: unsafe extern "C" fn(*const c_void) -> bool,
    remaining_ns: unsafe extern "C" fn(*const c_void) -> u64,
}

#[repr(C)]
struct CMention {
    begin: u64,
    end: u64,
    label: Str,
    score: f32,
    section: Str,
}

#[repr(C)]
struct CDocument {
    text: Str,
    mentions: *const CMention,
    mention_count: usize,
}

#[repr(C)]
struct COptions {
    top_k: u32,
    vocabularies: *const Str,
    vocabulary_count: usize,
}

#[repr(C)]
struct CCoding {
    system: Str,
    code: Str,
    display: Str,
}

#[repr(C)]
struct CConcept {
    id: Str,
    vocabulary: Str,
    name: Str,
    semantic_types: *const Str,
    semantic_type_count: usize,
    score: f32,
    match_kind: Str,
    codings: *const CCoding,
    coding_count: usize,
}

#[repr(C)]
struct CConcepts {
    state: *mut c_void,
    add: unsafe extern "C" fn(*mut c_void, usize, usize, *const CConcept),
    fail: unsafe extern "C" fn(*mut c_void, usize, u8, i32),
}

type Open = unsafe extern "C" fn(Str, *const Host, *mut *mut c_void, *mut CFailure) -> u8;
type Close = unsafe extern "C" fn(*mut c_void);
type AddPair = unsafe extern "C" fn(*mut c_void, Str, Str);
type AddStr = unsafe extern "C" fn(*mut c_void, Str);
type GiveTask = unsafe extern "C" fn(*mut c_void, *const CTask);
type GiveFiles = unsafe extern "C" fn(*mut c_void, *const u8, usize, *const u8, usize);
type AddSpan = unsafe extern "C" fn(*mut c_void, *const CSpan);
type GiveText = unsafe extern "C" fn(*mut c_void, Str, *const CPiece, usize);

#[repr(C)]
struct NormalizerTable {
    size: u32,
    open: Option<Open>,
    vocabularies: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, AddPair) -> u8>,
    normalize: Option<
        unsafe extern "C" fn(
            *mut c_void,
            *const CDocument,
            usize,
            *const COptions,
            *const Call,
            *const CConcepts,
            *mut CFailure,
        ) -> u8,
    >,
    close: Option<Close>,
}

#[repr(C)]
struct CTask {
    name: Str,
    base: Str,
    labels: *const Str,
    label_count: usize,
    /// The header's `bool`, which C can give any value.
    refines: u8,
}

#[repr(C)]
struct CSpan {
    begin: u64,
    end: u64,
    label: Str,
    score: f32,
}

#[repr(C)]
struct AdapterTable {
    size: u32,
    open: Option<Open>,
    task: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, GiveTask) -> u8>,
    files:
        Option<unsafe extern "C" fn(*mut c_void, *const Call, *mut c_void, GiveFiles, *mut CFailure) -> u8>,
    refine: Option<
        unsafe extern "C" fn(
            *mut c_void,
            Str,
            *const CSpan,
            usize,
            *const Call,
            *mut c_void,
            AddSpan,
            *mut CFailure,
        ) -> u8,
    >,
    close: Option<Close>,
}

#[repr(C)]
struct CPiece {
    text_begin: u64,
    text_end: u64,
    source_begin: u64,
    source_end: u64,
}

#[repr(C)]
struct DocumentTable {
    size: u32,
    open: Option<Open>,
    formats: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, AddStr) -> u8>,
    decode: Option<
        unsafe extern "C" fn(
            *mut c_void,
            Str,
            *const u8,
            usize,
            *const Call,
            *mut c_void,
            GiveText,
            *mut CFailure,
        ) -> u8,
    >,
    close: Option<Close>,
}

#[repr(C)]
struct CPlugin {
    abi: u32,
    size: u32,
    id: Str,
    version: Str,
    abilities: *const Str,
    ability_count: usize,
    ability: Option<unsafe extern "C" fn(Str) -> *const c_void>,
}

impl Str {
    const NONE: Self = Self {
        data: std::ptr::null(),
        size: 0,
    };

    fn of(text: &str) -> Self {
        Self {
            data: text.as_ptr().cast(),
            size: text.len(),
        }
    }

    /// The text it points to.
    ///
    /// # Safety
    /// It points to `size` bytes that live for the call, or is empty.
    unsafe fn text(self, what: &'static str) -> Result<String, Breach> {
        // SAFETY: as the caller says.
        let bytes = unsafe { slice(what, self.data.cast::<u8>(), self.size) }?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Breach::Utf8(what))
    }
}

/// A slice from C, where an empty one may be NULL. More than there can be is refused before it is looked at.
///
/// # Safety
/// `data` points to `count` values that live for `'a`, or `count` is 0 or more than there can be.
unsafe fn slice<'a, T>(what: &'static str, data: *const T, count: usize) -> Result<&'a [T], Breach> {
    let limit = isize::MAX.unsigned_abs() / size_of::<T>().max(1);
    if count > limit {
        let found = count;
        return Err(Breach::TooMany { what, found, limit });
    }
    match data.is_null() || count == 0 {
        true => Ok(&[]),
        // SAFETY: as the caller says, and no larger than a slice may be.
        false => Ok(unsafe { std::slice::from_raw_parts(data, count) }),
    }
}

/// A checked library.
pub(super) struct Root(&'static CPlugin);

/// Loads a library and looks for the C entry point; `None` where it has none.
pub(super) fn load(path: &Path) -> Result<Option<(Root, About)>, Failure> {
    let open_error = |error: libloading::Error| LoadError::Library(message(&with_sources(&error)));
    // SAFETY: running a library's constructors is what this process is for.
    let library = unsafe { libloading::Library::new(path) }.map_err(open_error)?;
    // Never unloaded: threads and tables of it may be anywhere.
    let library: &'static libloading::Library = Box::leak(Box::new(library));
    // SAFETY: the header gives the symbol this type.
    let entry = unsafe { library.get::<unsafe extern "C" fn() -> *const CPlugin>(b"mednerd_plugin_v1\0") };
    let Ok(entry) = entry else { return Ok(None) };
    // SAFETY: the header gives the function no conditions.
    let plugin = unsafe { entry() };
    // SAFETY: the header promises a structure that lives for ever, or NULL.
    let plugin = unsafe { plugin.as_ref() }
        .ok_or_else(|| LoadError::Root("mednerd_plugin_v1 gave NULL".to_owned()))?;
    if plugin.abi != ABI_MAJOR || plugin.size as usize != size_of::<CPlugin>() {
        let (abi, size) = (plugin.abi, plugin.size);
        let reason = format!("its structure is of major {abi} with {size} bytes");
        return Err(LoadError::Layout { reason }.into());
    }
    // SAFETY: size and major are those of the header, so the fields are as it says.
    let abilities = unsafe { slice("ability", plugin.abilities, plugin.ability_count.min(64)) }?;
    // SAFETY: as above.
    let text = |what, text: Str| unsafe { text.text(what) };
    let about = About {
        id: text("plugin id", plugin.id)?,
        version: text("plugin version", plugin.version)?,
        abilities: abilities
            .iter()
            .map(|id| text("ability", *id))
            .collect::<Result<_, _>>()?,
    };
    Ok(Some((Root(plugin), about)))
}

/// A table that begins with its size.
trait Table: 'static {
    fn open(&self) -> Option<Open>;
    fn close(&self) -> Option<Close>;
}

macro_rules! tables {
    ($($table:ty),*) => {$(
        impl Table for $table {
            fn open(&self) -> Option<Open> {
                self.open
            }
            fn close(&self) -> Option<Close> {
                self.close
            }
        }
    )*};
}
tables!(NormalizerTable, AdapterTable, DocumentTable);

struct Opened<T: Table> {
    table: &'static T,
    instance: *mut c_void,
}

// SAFETY: the header demands of every plugin that any thread may call it, and several at once.
unsafe impl<T: Table> Send for Opened<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Table> Sync for Opened<T> {}

impl<T: Table> Drop for Opened<T> {
    fn drop(&mut self) {
        if let Some(close) = self.table.close() {
            // SAFETY: the instance came from this table's `open`, and this is its last use.
            unsafe { close(self.instance) }
        }
    }
}

impl Root {
    fn open<T: Table>(&self, id: &str, settings: &str, host: &'static Host) -> Result<Opened<T>, Failure> {
        let refused = |reason: &str| LoadError::Ability {
            ability: id.to_owned(),
            reason: reason.to_owned(),
        };
        let ability = self.0.ability.ok_or_else(|| refused("no function gives it"))?;
        // SAFETY: the function is of the type that the header gives it.
        let table = unsafe { ability(Str::of(id)) };
        if table.is_null() {
            return Err(LoadError::Missing(id.to_owned()).into());
        }
        // SAFETY: every table begins with its size and lives for ever.
        let size = unsafe { *table.cast::<u32>() };
        if size as usize != size_of::<T>() {
            return Err(refused(&format!("its table has {size} bytes")).into());
        }
        // SAFETY: the size is that of the header's structure.
        let table = unsafe { &*table.cast::<T>() };
        let open = table.open().ok_or_else(|| refused("it cannot be opened"))?;
        let (mut instance, mut failure) = (std::ptr::null_mut(), CFailure::new());
        // SAFETY: the arguments live for the call, the host for ever.
        let kind = unsafe { open(Str::of(settings), host, &raw mut instance, &raw mut failure) };
        failure.result(kind)?;
        Ok(Opened { table, instance })
    }

    pub(super) fn normalizer(
        &self,
        settings: &str,
        host: &'static Host,
    ) -> Result<impl NormalizerBackend + use<>, Failure> {
        self.open::<NormalizerTable>(ability::NORMALIZER, settings, host)
    }

    pub(super) fn adapter(
        &self,
        settings: &str,
        host: &'static Host,
    ) -> Result<impl AdapterBackend + use<>, Failure> {
        self.open::<AdapterTable>(ability::ADAPTER, settings, host)
    }

    pub(super) fn document(
        &self,
        settings: &str,
        host: &'static Host,
    ) -> Result<impl DocumentBackend + use<>, Failure> {
        self.open::<DocumentTable>(ability::DOCUMENT, settings, host)
    }
}

impl CFailure {
    fn new() -> Self {
        Self {
            code: 0,
            message: [0; 256],
        }
    }

    fn result(&self, kind: u8) -> Result<(), Failure> {
        if kind == 0 {
            return Ok(());
        }
        let bytes: Vec<u8> = self
            .message
            .iter()
            .map(|c| c.cast_unsigned())
            .take_while(|byte| *byte != 0)
            .collect();
        Err(Failure::Plugin(Error {
            kind: error_kind(kind),
            code: self.code,
            message: message(&String::from_utf8_lossy(&bytes)),
        }))
    }
}

fn absent(what: &str) -> Failure {
    Failure::Load(LoadError::Ability {
        ability: what.to_owned(),
        reason: "a function of its table is NULL".to_owned(),
    })
}

impl NormalizerBackend for Opened<NormalizerTable> {
    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Failure> {
        unsafe extern "C" fn add(state: *mut c_void, name: Str, version: Str) {
            guarded(|| {
                // SAFETY: the host passed its list as the state, the plugin strings that live for the call.
                let (list, name, version) = unsafe {
                    let list = &mut *state.cast::<Collected<Vocabulary>>();
                    (
                        list,
                        name.text("name of a vocabulary"),
                        version.text("version of a vocabulary"),
                    )
                };
                list.add(name.and_then(|name| version.map(|version| Vocabulary { name, version })));
            });
        }
        let vocabularies = self.table.vocabularies.ok_or_else(|| absent("vocabularies"))?;
        let mut list = Collected::default();
        // SAFETY: an open instance; the state is what `add` expects.
        let kind = unsafe { vocabularies(self.instance, (&raw mut list).cast(), add) };
        CFailure::new().result(kind)?;
        Ok(list.done()?)
    }

    fn normalize(
        &self,
        batch: &[Document<'_>],
        options: &NormalizeOptions,
        caller: &dyn Caller,
    ) -> Result<Vec<Result<Linked, Failure>>, Failure> {
        let normalize = self.table.normalize.ok_or_else(|| absent("normalize"))?;
        let mentions: Vec<Vec<CMention>> = batch.iter().map(mentions_out).collect();
        let documents: Vec<CDocument> = batch
            .iter()
            .zip(&mentions)
            .map(|(document, mentions)| CDocument {
                text: Str::of(document.text),
                mentions: mentions.as_ptr(),
                mention_count: mentions.len(),
            })
            .collect();
        let vocabularies: Vec<Str> = options.vocabularies.iter().map(|name| Str::of(name)).collect();
        let wanted = COptions {
            top_k: u32::try_from(options.top_k).unwrap_or(u32::MAX),
            vocabularies: vocabularies.as_ptr(),
            vocabulary_count: vocabularies.len(),
        };
        let mut sink = Sink {
            top_k: options.top_k,
            documents: batch
                .iter()
                .map(|document| Ok(vec![Vec::new(); document.mentions.len()]))
                .collect(),
        };
        let out = CConcepts {
            state: (&raw mut sink).cast(),
            add: add_concept,
            fail: fail_document,
        };
        let mut failure = CFailure::new();
        let kind = with_call(caller, |call| {
            // SAFETY: an open instance, and arguments that outlive the call.
            unsafe {
                normalize(
                    self.instance,
                    documents.as_ptr(),
                    documents.len(),
                    &raw const wanted,
                    call,
                    &raw const out,
                    &raw mut failure,
                )
            }
        });
        failure.result(kind)?;
        Ok(sink.documents)
    }
}

fn mentions_out(document: &Document<'_>) -> Vec<CMention> {
    let mentions = document.mentions.iter().map(|mention| CMention {
        begin: mention.begin as u64,
        end: mention.end as u64,
        label: Str::of(mention.label),
        score: mention.score,
        section: mention.section.map_or(Str::NONE, Str::of),
    });
    mentions.collect()
}

/// Where candidates go.
struct Sink {
    top_k: usize,
    documents: Vec<Result<Linked, Failure>>,
}

unsafe extern "C" fn add_concept(
    state: *mut c_void,
    document: usize,
    mention: usize,
    concept: *const CConcept,
) {
    guarded(|| {
        // SAFETY: the host passed its sink as the state, and the plugin a concept that lives for the call.
        let (sink, concept) = unsafe { (&mut *state.cast::<Sink>(), concept.as_ref()) };
        let Some(result) = sink.documents.get_mut(document) else {
            return;
        };
        let Ok(linked) = result else { return };
        let breach = match (linked.get_mut(mention), concept) {
            (Some(candidates), Some(_)) if candidates.len() >= sink.top_k => Breach::TooMany {
                what: "concepts for a mention",
                found: candidates.len() + 1,
                limit: sink.top_k,
            },
            // SAFETY: as above.
            (Some(candidates), Some(concept)) => match unsafe { concept_in(concept) } {
                Ok(concept) => return candidates.push(concept),
                Err(breach) => breach,
            },
            _ => Breach::Count {
                what: "mentions",
                found: mention.saturating_add(1),
                expected: linked.len(),
            },
        };
        *result = Err(breach.into());
    });
}

unsafe extern "C" fn fail_document(state: *mut c_void, document: usize, kind: u8, code: i32) {
    guarded(|| {
        // SAFETY: the host passed its sink as the state.
        let sink = unsafe { &mut *state.cast::<Sink>() };
        if let Some(result) = sink.documents.get_mut(document) {
            *result = Err(Failure::Plugin(Error {
                kind: error_kind(kind),
                code,
                message: String::new(),
            }));
        }
    });
}

/// A concept from C.
///
/// # Safety
/// All it points to lives for the call.
unsafe fn concept_in(concept: &CConcept) -> Result<Concept, Breach> {
    // SAFETY: as the caller says.
    let text = |what, text: Str| unsafe { text.text(what) };
    // SAFETY: as the caller says.
    let (types, codings) = unsafe {
        (
            slice(
                "semantic types",
                concept.semantic_types,
                concept.semantic_type_count,
            )?,
            slice("codings", concept.codings, concept.coding_count)?,
        )
    };
    let codings = codings.iter().map(|coding| {
        Ok::<_, Breach>(Coding {
            system: text("code system", coding.system)?,
            code: text("code", coding.code)?,
            display: text("display", coding.display)?,
        })
    });
    Ok(Concept {
        id: text("concept id", concept.id)?,
        vocabulary: text("name of a vocabulary", concept.vocabulary)?,
        name: text("concept name", concept.name)?,
        semantic_types: types
            .iter()
            .map(|semantic_type| text("semantic type", *semantic_type))
            .collect::<Result<_, _>>()?,
        score: concept.score,
        match_kind: text("match kind", concept.match_kind)?,
        codings: codings.collect::<Result<_, _>>()?,
    })
}

impl AdapterBackend for Opened<AdapterTable> {
    fn task(&self) -> Result<Task, Failure> {
        unsafe extern "C" fn give(state: *mut c_void, task: *const CTask) {
            guarded(|| {
                // SAFETY: the host passed its list as the state, and the plugin a task that lives for the call.
                unsafe {
                    let list = &mut *state.cast::<Collected<Task>>();
                    if let Some(task) = task.as_ref() {
                        list.add(task_in(task));
                    }
                }
            });
        }
        let task = self.table.task.ok_or_else(|| absent("task"))?;
        let mut given = Collected::default();
        // SAFETY: an open instance; the state is what `give` expects.
        let kind = unsafe { task(self.instance, (&raw mut given).cast(), give) };
        CFailure::new().result(kind)?;
        Ok(given.one("tasks")?)
    }

    fn files(&self, caller: &dyn Caller) -> Result<AdapterFiles, Failure> {
        unsafe extern "C" fn give(
            state: *mut c_void,
            config: *const u8,
            size: usize,
            tensors: *const u8,
            more: usize,
        ) {
            guarded(|| {
                // SAFETY: the host passed its list as the state, and the plugin bytes that live for the call.
                let (list, config, tensors) = unsafe {
                    (
                        &mut *state.cast::<Collected<AdapterFiles>>(),
                        slice("sets of files", config, size),
                        slice("sets of files", tensors, more),
                    )
                };
                list.add(config.and_then(|config| {
                    Ok(AdapterFiles {
                        config: config.to_vec(),
                        tensors: tensors?.to_vec(),
                    })
                }));
            });
        }
        let files = self.table.files.ok_or_else(|| absent("files"))?;
        let (mut given, mut failure) = (Collected::default(), CFailure::new());
        let kind = with_call(caller, |call| {
            // SAFETY: an open instance; the state is what `give` expects.
            unsafe {
                files(
                    self.instance,
                    call,
                    (&raw mut given).cast(),
                    give,
                    &raw mut failure,
                )
            }
        });
        failure.result(kind)?;
        Ok(given.one("sets of files")?)
    }

    fn refine(&self, text: &str, spans: &[Span], caller: &dyn Caller) -> Result<Vec<Span>, Failure> {
        unsafe extern "C" fn add(state: *mut c_void, span: *const CSpan) {
            guarded(|| {
                // SAFETY: the host passed its list as the state, and the plugin a span that lives for the call.
                unsafe {
                    let list = &mut *state.cast::<Collected<Span>>();
                    if let Some(span) = span.as_ref() {
                        list.add(span.label.text("label").map(|label| Span {
                            begin: whole(span.begin),
                            end: whole(span.end),
                            label,
                            score: span.score,
                        }));
                    }
                }
            });
        }
        let refine = self.table.refine.ok_or_else(|| absent("refine"))?;
        let spans: Vec<CSpan> = spans
            .iter()
            .map(|span| CSpan {
                begin: span.begin as u64,
                end: span.end as u64,
                label: Str::of(&span.label),
                score: span.score,
            })
            .collect();
        let (mut list, mut failure) = (Collected::default(), CFailure::new());
        let kind = with_call(caller, |call| {
            // SAFETY: an open instance; the state is what `add` expects; the rest outlives the call.
            unsafe {
                refine(
                    self.instance,
                    Str::of(text),
                    spans.as_ptr(),
                    spans.len(),
                    call,
                    (&raw mut list).cast(),
                    add,
                    &raw mut failure,
                )
            }
        });
        failure.result(kind)?;
        Ok(list.done()?)
    }
}

/// A task from C.
///
/// # Safety
/// All it points to lives for the call.
unsafe fn task_in(task: &CTask) -> Result<Task, Breach> {
    // SAFETY: as the caller says.
    let text = |what, text: Str| unsafe { text.text(what) };
    // SAFETY: as the caller says.
    let labels = unsafe { slice("labels", task.labels, task.label_count) }?;
    Ok(Task {
        name: text("task name", task.name)?,
        base: text("digest", task.base)?,
        labels: labels
            .iter()
            .map(|label| text("label", *label))
            .collect::<Result<_, _>>()?,
        refines: task.refines != 0,
    })
}

impl DocumentBackend for Opened<DocumentTable> {
    fn formats(&self) -> Result<Vec<String>, Failure> {
        unsafe extern "C" fn add(state: *mut c_void, format: Str) {
            // SAFETY: the host passed its list as the state, and the plugin a string that lives for the call.
            guarded(|| unsafe { (*state.cast::<Collected<String>>()).add(format.text("format")) });
        }
        let formats = self.table.formats.ok_or_else(|| absent("formats"))?;
        let mut list = Collected::default();
        // SAFETY: an open instance; the state is what `add` expects.
        let kind = unsafe { formats(self.instance, (&raw mut list).cast(), add) };
        CFailure::new().result(kind)?;
        Ok(list.done()?)
    }

    fn decode(&self, format: &str, bytes: &[u8], caller: &dyn Caller) -> Result<Decoded, Failure> {
        unsafe extern "C" fn give(state: *mut c_void, text: Str, pieces: *const CPiece, count: usize) {
            guarded(|| {
                // SAFETY: the host passed its list as the state, and the plugin what lives for the call.
                let (list, pieces) = unsafe {
                    let list = &mut *state.cast::<Collected<Decoded>>();
                    // Each piece has a byte of text at least: more of them are not even copied to be refused.
                    if count > text.size {
                        let (what, found, limit) = ("pieces", count, text.size);
                        return list.add(Err(Breach::TooMany { what, found, limit }));
                    }
                    (list, slice("pieces", pieces, count))
                };
                // SAFETY: as above.
                let text = unsafe { text.text("text") };
                list.add(text.and_then(|text| {
                    let pieces = pieces?.iter().map(|piece| Piece {
                        text_begin: whole(piece.text_begin),
                        text_end: whole(piece.text_end),
                        source_begin: whole(piece.source_begin),
                        source_end: whole(piece.source_end),
                    });
                    Ok(Decoded {
                        text,
                        pieces: pieces.collect(),
                    })
                }));
            });
        }
        let decode = self.table.decode.ok_or_else(|| absent("decode"))?;
        let (mut given, mut failure) = (Collected::default(), CFailure::new());
        let kind = with_call(caller, |call| {
            // SAFETY: an open instance; the state is what `give` expects; the rest outlives the call.
            unsafe {
                decode(
                    self.instance,
                    Str::of(format),
                    bytes.as_ptr(),
                    bytes.len(),
                    call,
                    (&raw mut given).cast(),
                    give,
                    &raw mut failure,
                )
            }
        });
        failure.result(kind)?;
        Ok(given.one("texts")?)
    }
}

/// What a callback was given, and the first breach.
struct Collected<T>(Vec<T>, Option<Breach>);

impl<T> Default for Collected<T> {
    fn default() -> Self {
        Self(Vec::new(), None)
    }
}

impl<T> Collected<T> {
    fn add(&mut self, item: Result<T, Breach>) {
        match item {
            Ok(item) => self.0.push(item),
            Err(breach) => self.1 = self.1.take().or(Some(breach)),
        }
    }

    fn done(self) -> Result<Vec<T>, Breach> {
        self.1.map_or(Ok(self.0), Err)
    }

    fn one(self, what: &'static str) -> Result<T, Breach> {
        let mut items = self.done()?;
        let found = items.len();
        items.pop().filter(|_| found == 1).ok_or(Breach::Count {
            what,
            found,
            expected: 1,
        })
    }
}

/// A panic of the host's must not unwind into C.
fn guarded(code: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(code)).is_err() {
        std::process::abort();
    }
}

fn whole(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn with_call<T>(caller: &dyn Caller, code: impl FnOnce(*const Call) -> T) -> T {
    let call = Call {
        state: std::ptr::from_ref(&caller).cast(),
        cancelled,
        remaining_ns,
    };
    code(&raw const call)
}

unsafe extern "C" fn cancelled(state: *const c_void) -> bool {
    // SAFETY: `with_call` made the state of a reference that outlives the call.
    let caller = unsafe { &*state.cast::<&dyn Caller>() };
    caller.cancelled()
}

unsafe extern "C" fn remaining_ns(state: *const c_void) -> u64 {
    // SAFETY: as in `cancelled`.
    let caller = unsafe { &*state.cast::<&dyn Caller>() };
    u64::try_from(caller.remaining().as_nanos()).unwrap_or(u64::MAX)
}

/// The host's callbacks.
pub(super) fn host(listener: &'static Listener) -> Host {
    Host {
        state: std::ptr::from_ref(listener).cast(),
        log,
        metric,
    }
}

unsafe extern "C" fn log(state: *const c_void, level: u8, event: Str, values: *const f64, count: usize) {
    // SAFETY: `host` made the state; the plugin passes what lives for the call.
    let (listener, event, values) = unsafe {
        (
            &*state.cast::<Listener>(),
            slice("thing", event.data.cast::<u8>(), event.size),
            slice("thing", values, count),
        )
    };
    if let (Ok(event), Ok(values)) = (event, values) {
        hear(listener, event, |event| Told::Log { level, event, values });
    }
}

unsafe extern "C" fn metric(state: *const c_void, name: Str, add: f64) {
    // SAFETY: as in `log`.
    let (listener, name) = unsafe {
        (
            &*state.cast::<Listener>(),
            slice("thing", name.data.cast::<u8>(), name.size),
        )
    };
    if let Ok(name) = name {
        hear(listener, name, |name| Told::Metric { name, add });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_c_gives_for_a_bool_is_looked_at_as_a_number() {
        assert_eq!(size_of::<CTask>(), 2 * size_of::<Str>() + 3 * size_of::<usize>());
        let labels = [Str::of("DRUG")];
        for (refines, expected) in [(0, false), (1, true), (2, true), (255, true)] {
            let task = CTask {
                name: Str::of("drugs"),
                base: Str::of("0"),
                labels: labels.as_ptr(),
                label_count: labels.len(),
                refines,
            };
            // SAFETY: all that it points to lives as long as this test.
            let task = unsafe { task_in(&task) }.unwrap();
            assert_eq!((task.refines, task.labels), (expected, vec!["DRUG".to_owned()]));
        }
    }

    #[test]
    fn more_than_there_can_be_is_refused_unseen() {
        let there = [1_u64, 2];
        let limit = isize::MAX.unsigned_abs() / 8;
        for count in [limit + 1, usize::MAX / 8, usize::MAX] {
            // SAFETY: it is more than there can be.
            let found = unsafe { slice("pieces", there.as_ptr(), count) };
            let refused = Breach::TooMany {
                what: "pieces",
                found: count,
                limit,
            };
            assert_eq!(found, Err(refused));
        }
        // SAFETY: there are two.
        assert_eq!(unsafe { slice("pieces", there.as_ptr(), 2) }, Ok(&there[..]));
        // SAFETY: nothing is looked at.
        let nothing = unsafe { slice::<u64>("pieces", std::ptr::null(), 2) };
        assert_eq!(nothing, Ok(&[][..]));
        let text = Str {
            size: usize::MAX,
            ..Str::of("x")
        };
        // SAFETY: it is more than there can be.
        let text = unsafe { text.text("label") };
        assert!(matches!(text, Err(Breach::TooMany { .. })));
    }
}
