//! Plugins built with the export macro: abi_stable's checks and the tables.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use abi::abi_stable::StableAbi;
use abi::abi_stable::abi_stability::abi_checking::check_layout_compatibility;
use abi::abi_stable::library::{LibraryError, lib_header_from_path};
use abi::abi_stable::std_types::{RResult, RSlice, RStr, RString, RVec};
use mednerd_plugin_abi as abi;

use super::{
    AdapterBackend, Caller, DocumentBackend, Failure, Linked, Listener, LoadError, NormalizerBackend, Offer,
    Told, c, error_kind, message, with_sources,
};
use crate::contract::Breach;
use crate::types::{
    About, AdapterFiles, Coding, Concept, Decoded, Document, Error, NormalizeOptions, Piece, Span, Task,
    Vocabulary, ability,
};

/// A checked root module.
pub(super) struct Root(abi::RootModuleRef);

/// Loads a library and checks its root module.
pub(super) fn load(path: &Path) -> Result<(Root, About), Failure> {
    // Each path by itself: `RootModule::load_from` would give the first library again for ever.
    let header = lib_header_from_path(path).map_err(load_error)?;
    let root = header
        .init_root_module::<abi::RootModuleRef>()
        .map_err(load_error)?;
    // SAFETY: the layout of the root module has been compared with ours.
    let about = plain(unsafe { root.about()() })?;
    let texts = about.abilities.into_iter().map(|id| text("ability", id));
    let about = About {
        id: text("plugin id", about.id)?,
        version: text("plugin version", about.version)?,
        abilities: texts.collect::<Result<_, _>>()?,
    };
    Ok((Root(root), about))
}

fn load_error(error: LibraryError) -> LoadError {
    let short = |text: String| message(text.trim());
    match error {
        LibraryError::OpenError { err, .. } => LoadError::Library(short(with_sources(&err))),
        LibraryError::GetSymbolError { .. } => LoadError::NotAPlugin,
        LibraryError::RootModule { err, .. } => LoadError::Root(short(err.to_string())),
        other => LoadError::Layout {
            reason: short(other.to_string()),
        },
    }
}

impl Root {
    /// The table of an ability, after its layout was compared with ours.
    fn table<T: StableAbi>(&self, id: &str) -> Result<&'static T, LoadError> {
        // SAFETY: the layout of the root module has been compared with ours.
        let found = unsafe { self.0.ability()(RStr::from_str(id)) };
        let found = found
            .into_option()
            .ok_or_else(|| LoadError::Missing(id.to_owned()))?;
        let refused = |reason: String| LoadError::Ability {
            ability: id.to_owned(),
            reason,
        };
        check_layout_compatibility(T::LAYOUT, found.layout)
            .map_err(|errors| refused(message(errors.to_string().trim())))?;
        if found.table.is_null() || !found.table.cast::<T>().is_aligned() {
            return Err(refused("its table is missing".to_owned()));
        }
        // SAFETY: not null, aligned, of the type whose layout was just compared, and alive for ever, as
        // libraries are never unloaded.
        Ok(unsafe { &*found.table.cast::<T>() })
    }

    pub(super) fn normalizer(
        &self,
        settings: &str,
        host: &'static abi::HostTable,
    ) -> Result<impl NormalizerBackend + use<>, Failure> {
        let table = self.table::<abi::NormalizerTable>(ability::NORMALIZER)?;
        // SAFETY: `open` of a checked table, with arguments that live long enough.
        let instance = plain(unsafe { (table.open)(settings.into(), host) })?;
        Ok(Opened { table, instance })
    }

    pub(super) fn adapter(
        &self,
        settings: &str,
        host: &'static abi::HostTable,
    ) -> Result<impl AdapterBackend + use<>, Failure> {
        let table = self.table::<abi::AdapterTable>(ability::ADAPTER)?;
        // SAFETY: as for the normaliser.
        let instance = plain(unsafe { (table.open)(settings.into(), host) })?;
        Ok(Opened { table, instance })
    }

    pub(super) fn document(
        &self,
        settings: &str,
        host: &'static abi::HostTable,
    ) -> Result<impl DocumentBackend + use<>, Failure> {
        let table = self.table::<abi::DocumentTable>(ability::DOCUMENT)?;
        // SAFETY: as for the normaliser.
        let instance = plain(unsafe { (table.open)(settings.into(), host) })?;
        Ok(Opened { table, instance })
    }
}

/// A table whose instance is closed in the end.
trait Table: 'static {
    fn close(&self) -> unsafe extern "C" fn(abi::Instance);
}

impl Table for abi::NormalizerTable {
    fn close(&self) -> unsafe extern "C" fn(abi::Instance) {
        self.close
    }
}

impl Table for abi::AdapterTable {
    fn close(&self) -> unsafe extern "C" fn(abi::Instance) {
        self.close
    }
}

impl Table for abi::DocumentTable {
    fn close(&self) -> unsafe extern "C" fn(abi::Instance) {
        self.close
    }
}

struct Opened<T: Table> {
    table: &'static T,
    instance: abi::Instance,
}

// SAFETY: the ABI demands of every plugin that any thread may call it, and several at once.
unsafe impl<T: Table> Send for Opened<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Table> Sync for Opened<T> {}

impl<T: Table> Drop for Opened<T> {
    fn drop(&mut self) {
        // SAFETY: the instance came from this table's `open`, and this is its last use.
        unsafe { self.table.close()(self.instance) }
    }
}

impl NormalizerBackend for Opened<abi::NormalizerTable> {
    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Failure> {
        // SAFETY: an open instance of this table.
        let found = plain(unsafe { (self.table.vocabularies)(self.instance) })?;
        let vocabularies = found.into_iter().map(|vocabulary| {
            Ok(Vocabulary {
                name: text("name of a vocabulary", vocabulary.name)?,
                version: text("version of a vocabulary", vocabulary.version)?,
            })
        });
        vocabularies.collect()
    }

    fn normalize(
        &self,
        batch: &[Document<'_>],
        options: &NormalizeOptions,
        caller: &dyn Caller,
    ) -> Result<Vec<Result<Linked, Failure>>, Failure> {
        let mentions: Vec<Vec<abi::Mention<'_>>> = batch.iter().map(mentions_out).collect();
        let documents: Vec<abi::Document<'_>> = batch
            .iter()
            .zip(&mentions)
            .map(|(document, mentions)| abi::Document {
                text: document.text.into(),
                mentions: RSlice::from_slice(mentions),
            })
            .collect();
        let vocabularies: Vec<RStr<'_>> = options.vocabularies.iter().map(|name| (&**name).into()).collect();
        let wanted = abi::NormalizeOptions {
            top_k: u32::try_from(options.top_k).unwrap_or(u32::MAX),
            vocabularies: RSlice::from_slice(&vocabularies),
        };
        let found = with_call(caller, |call| {
            // SAFETY: an open instance of this table, and arguments that outlive the call.
            unsafe { (self.table.normalize)(self.instance, RSlice::from_slice(&documents), &wanted, call) }
        });
        let found = plain(found)?;
        let results = found.into_iter().map(|result| {
            let mentions = plain(result)?;
            mentions
                .into_iter()
                .map(|candidates| concepts_in(candidates, options.top_k))
                .collect()
        });
        Ok(results.collect())
    }
}

fn mentions_out<'a>(document: &Document<'a>) -> Vec<abi::Mention<'a>> {
    let mentions = document.mentions.iter().map(|mention| abi::Mention {
        begin: mention.begin as u64,
        end: mention.end as u64,
        label: mention.label.into(),
        score: mention.score,
        section: mention.section.map(Into::into).into(),
    });
    mentions.collect()
}

fn concepts_in(candidates: RVec<abi::Concept>, top_k: usize) -> Result<Vec<Concept>, Failure> {
    if candidates.len() > top_k {
        // A million of them are not copied to be refused.
        return Err(Failure::Breach(Breach::TooMany {
            what: "concepts for a mention",
            found: candidates.len(),
            limit: top_k,
        }));
    }
    let concepts = candidates.into_iter().map(|concept| {
        let semantic_types = concept.semantic_types.into_iter();
        let codings = concept.codings.into_iter().map(|coding| {
            Ok(Coding {
                system: text("code system", coding.system)?,
                code: text("code", coding.code)?,
                display: text("display", coding.display)?,
            })
        });
        Ok(Concept {
            id: text("concept id", concept.id)?,
            vocabulary: text("name of a vocabulary", concept.vocabulary)?,
            name: text("concept name", concept.name)?,
            semantic_types: semantic_types
                .map(|semantic_type| text("semantic type", semantic_type))
                .collect::<Result<_, _>>()?,
            score: concept.score,
            match_kind: text("match kind", concept.match_kind)?,
            codings: codings.collect::<Result<_, Breach>>()?,
        })
    });
    concepts.collect()
}

impl AdapterBackend for Opened<abi::AdapterTable> {
    fn task(&self) -> Result<Task, Failure> {
        // SAFETY: an open instance of this table.
        let task = plain(unsafe { (self.table.task)(self.instance) })?;
        let labels = task.labels.into_iter().map(|label| text("label", label));
        Ok(Task {
            name: text("task name", task.name)?,
            base: text("digest", task.base)?,
            labels: labels.collect::<Result<_, _>>()?,
            refines: task.refines,
        })
    }

    fn files(&self, caller: &dyn Caller) -> Result<AdapterFiles, Failure> {
        // SAFETY: an open instance of this table, and a call that outlives it.
        let files = with_call(caller, |call| unsafe { (self.table.files)(self.instance, call) });
        let files = plain(files)?;
        Ok(AdapterFiles {
            config: files.config.into(),
            tensors: files.tensors.into(),
        })
    }

    fn refine(&self, text: &str, spans: &[Span], caller: &dyn Caller) -> Result<Vec<Span>, Failure> {
        let spans: Vec<abi::Span<'_>> = spans
            .iter()
            .map(|span| abi::Span {
                begin: span.begin as u64,
                end: span.end as u64,
                label: (&*span.label).into(),
                score: span.score,
            })
            .collect();
        let refined = with_call(caller, |call| {
            // SAFETY: an open instance of this table, and arguments that outlive the call.
            unsafe { (self.table.refine)(self.instance, text.into(), RSlice::from_slice(&spans), call) }
        });
        let refined = plain(refined)?.into_iter().map(|span| {
            Ok(Span {
                begin: whole(span.begin),
                end: whole(span.end),
                label: self::text("label", span.label)?,
                score: span.score,
            })
        });
        refined.collect()
    }
}

impl DocumentBackend for Opened<abi::DocumentTable> {
    fn formats(&self) -> Result<Vec<String>, Failure> {
        // SAFETY: an open instance of this table.
        let formats = plain(unsafe { (self.table.formats)(self.instance) })?;
        let formats = formats.into_iter().map(|format| Ok(text("format", format)?));
        formats.collect()
    }

    fn decode(&self, format: &str, bytes: &[u8], caller: &dyn Caller) -> Result<Decoded, Failure> {
        let decoded = with_call(caller, |call| {
            // SAFETY: an open instance of this table, and arguments that outlive the call.
            unsafe { (self.table.decode)(self.instance, format.into(), RSlice::from_slice(bytes), call) }
        });
        let decoded = plain(decoded)?;
        if decoded.pieces.len() > decoded.text.len() {
            // Each has a byte of text at least: more of them are not even copied to be refused.
            return Err(Failure::Breach(Breach::TooMany {
                what: "pieces",
                found: decoded.pieces.len(),
                limit: decoded.text.len(),
            }));
        }
        let pieces = decoded.pieces.into_iter().map(|piece| Piece {
            text_begin: whole(piece.text_begin),
            text_end: whole(piece.text_end),
            source_begin: whole(piece.source_begin),
            source_end: whole(piece.source_end),
        });
        Ok(Decoded {
            text: text("text", decoded.text)?,
            pieces: pieces.collect(),
        })
    }
}

fn whole(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// A string of the plugin's, which says that it is UTF-8.
fn text(what: &'static str, text: RString) -> Result<String, Breach> {
    let bytes: Vec<u8> = text.into_bytes().into();
    String::from_utf8(bytes).map_err(|_| Breach::Utf8(what))
}

/// A plugin's result.
fn plain<T>(result: RResult<T, abi::Failure>) -> Result<T, Failure> {
    result.into_result().map_err(|failure| {
        let bytes = failure.message.into_bytes();
        Failure::Plugin(Error {
            kind: error_kind(failure.kind),
            code: failure.code,
            message: message(&String::from_utf8_lossy(&bytes)),
        })
    })
}

/// Runs `code` with a call behind which the caller stands.
fn with_call<T>(caller: &dyn Caller, code: impl FnOnce(&abi::Call) -> T) -> T {
    let state = std::ptr::from_ref(&caller).cast::<()>();
    code(&abi::Call {
        state,
        cancelled,
        remaining,
    })
}

unsafe extern "C" fn cancelled(state: *const ()) -> bool {
    // SAFETY: `with_call` made the state of a reference that outlives the call.
    let caller = unsafe { &*state.cast::<&dyn Caller>() };
    caller.cancelled()
}

unsafe extern "C" fn remaining(state: *const ()) -> u64 {
    // SAFETY: as in `cancelled`.
    let caller = unsafe { &*state.cast::<&dyn Caller>() };
    u64::try_from(caller.remaining().as_nanos()).unwrap_or(u64::MAX)
}

/// The host's callbacks, alive for ever.
pub(super) fn offer(listener: Listener) -> &'static Offer {
    let listener: &'static Listener = Box::leak(Box::new(listener));
    let state = std::ptr::from_ref(listener).cast::<()>();
    Box::leak(Box::new(Offer {
        rust: abi::HostTable { state, log, metric },
        c: c::host(listener),
    }))
}

unsafe extern "C" fn log(state: *const (), level: u8, event: RStr<'_>, values: RSlice<'_, f64>) {
    // SAFETY: `offer` made the state of a listener that lives for ever.
    let listener = unsafe { &*state.cast::<Listener>() };
    hear(listener, event.as_rslice().as_slice(), |event| Told::Log {
        level,
        event,
        values: values.as_slice(),
    });
}

unsafe extern "C" fn metric(state: *const (), name: RStr<'_>, add: f64) {
    // SAFETY: as in `log`.
    let listener = unsafe { &*state.cast::<Listener>() };
    hear(listener, name.as_rslice().as_slice(), |name| Told::Metric {
        name,
        add,
    });
}

/// Passes on what a plugin tells, where its name is UTF-8, which no type of the border's makes sure of; a panic stops here.
pub(super) fn hear<'a>(listener: &Listener, name: &'a [u8], told: impl FnOnce(&'a str) -> Told<'a>) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if let Ok(name) = std::str::from_utf8(name) {
            listener(told(name));
        }
    }));
}
