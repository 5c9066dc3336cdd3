//! Between the traits and the ABI, on the vendor's side: every function of every table, for any type that
//! implements the trait. The only `unsafe` a plugin has.
#![allow(unsafe_code)]
// The tables' functions have their safety rules in the ABI crate; `export!` alone uses what is here.
#![allow(missing_docs, clippy::missing_safety_doc, clippy::type_complexity)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use abi::abi_stable::StableAbi;
use abi::abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};
use abi::abi_stable::prefix_type::PrefixTypeTrait;
use abi::abi_stable::std_types::{RErr, RNone, ROk, ROption, RResult, RSlice, RSome, RStr, RVec};
use mednerd_plugin_abi as abi;

use crate::types::{Concept, Document, Error, ErrorKind, Mention, NormalizeOptions, Span};
use crate::vendor::{Adapter, Call, DocumentFormat, Host, Normalizer, Settings};

/// The name of an ability and what makes its table.
pub type Offer = (&'static str, fn() -> Ability);

/// What a library exports; [`export!`](crate::export) implements it.
pub trait Exports: 'static {
    const ID: &'static str;
    const VERSION: &'static str;
    const ABILITIES: &'static [Offer];
}

/// Exports the types of a plugin:
///
/// ```ignore
/// mednerd_plugin::export! {
///     id: "acme.drugs",
///     version: env!("CARGO_PKG_VERSION"),
///     normalizer: Drugs,
/// }
/// ```
///
/// Any of `normalizer`, `adapter` and `document`, in this order. Once in a library whose `crate-type` is
/// `cdylib`.
#[macro_export]
macro_rules! export {
    (
        id: $id:expr,
        version: $version:expr
        $(, normalizer: $normalizer:ty)?
        $(, adapter: $adapter:ty)?
        $(, document: $document:ty)?
        $(,)?
    ) => {
        const _: () = {
            struct Exported;
            impl $crate::shim::Exports for Exported {
                const ID: &'static str = $id;
                const VERSION: &'static str = $version;
                const ABILITIES: &'static [(&'static str, fn() -> $crate::shim::Ability)] = &[
                    $(($crate::ability::NORMALIZER, $crate::shim::normalizer::<$normalizer>),)?
                    $(($crate::ability::ADAPTER, $crate::shim::adapter::<$adapter>),)?
                    $(($crate::ability::DOCUMENT, $crate::shim::document::<$document>),)?
                ];
            }
            // The name under which abi_stable looks for it.
            #[unsafe(no_mangle)]
            pub static _1as_0lib_1header_0root_bmodule_bloader: $crate::shim::LibraryHeader =
                $crate::shim::header::<Exported>();
        };
    };
}

pub use abi::Ability;
pub use abi::abi_stable::library::LibHeader as LibraryHeader;

pub const fn header<E: Exports>() -> LibHeader {
    // SAFETY: `constructor` gives the `RootModuleRef` that the type parameter names.
    unsafe { LibHeader::from_constructor::<abi::RootModuleRef>(constructor::<E>, CheckTypeLayout::Yes) }
}

extern "C" fn constructor<E: Exports>() -> RootModuleResult {
    __call_root_module_loader(root::<E>)
}

fn root<E: Exports>() -> abi::RootModuleRef {
    abi::RootModule {
        about: about::<E>,
        ability: ability::<E>,
    }
    .leak_into_prefix()
}

unsafe extern "C" fn about<E: Exports>() -> RResult<abi::About, abi::Failure> {
    caught(|| {
        Ok(abi::About {
            id: E::ID.into(),
            version: E::VERSION.into(),
            abilities: E::ABILITIES.iter().map(|(id, _)| (*id).into()).collect(),
        })
    })
}

unsafe extern "C" fn ability<E: Exports>(id: RStr<'_>) -> ROption<Ability> {
    match E::ABILITIES.iter().find(|(own, _)| *own == id.as_str()) {
        Some((_, make)) => RSome(make()),
        None => RNone,
    }
}

/// Runs vendor code and turns a panic into a failure.
fn caught<T>(code: impl FnOnce() -> Result<T, Error>) -> RResult<T, abi::Failure> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(Ok(value)) => ROk(value),
        Ok(Err(error)) => RErr(failure(error)),
        Err(payload) => {
            // Its destructor is the vendor's and may panic too.
            std::mem::forget(payload);
            RErr(failure(Error::panic()))
        }
    }
}

fn failure(error: Error) -> abi::Failure {
    let kind = match error.kind {
        ErrorKind::Settings => abi::kind::SETTINGS,
        ErrorKind::Unavailable => abi::kind::UNAVAILABLE,
        ErrorKind::Input => abi::kind::INPUT,
        ErrorKind::Cancelled => abi::kind::CANCELLED,
        ErrorKind::Internal => abi::kind::INTERNAL,
        ErrorKind::Panic => abi::kind::PANIC,
    };
    abi::Failure {
        kind,
        code: error.code,
        message: error.message.into(),
    }
}

// SAFETY: the ABI demands of every host that any thread may call what it offers.
unsafe impl Send for Host {}
// SAFETY: as for `Send`.
unsafe impl Sync for Host {}

pub(crate) fn cancelled(call: &abi::Call) -> bool {
    // SAFETY: the host gives the state together with the function, for as long as the call lasts.
    unsafe { (call.cancelled)(call.state) }
}

pub(crate) fn remaining(call: &abi::Call) -> Duration {
    // SAFETY: as in `cancelled`.
    Duration::from_nanos(unsafe { (call.remaining)(call.state) })
}

pub(crate) fn log(host: &abi::HostTable, level: u8, event: &str, values: &[f64]) {
    // SAFETY: the host gives the state together with the function, for ever.
    unsafe { (host.log)(host.state, level, event.into(), RSlice::from_slice(values)) }
}

pub(crate) fn metric(host: &abi::HostTable, name: &str, add: f64) {
    // SAFETY: as in `log`.
    unsafe { (host.metric)(host.state, name.into(), add) }
}

fn opened<T>(
    settings: RStr<'_>,
    make: impl FnOnce(&Settings) -> Result<T, Error>,
) -> Result<abi::Instance, Error> {
    let settings = Settings::parse(settings.as_str())?;
    let plugin = make(&settings)?;
    Ok(abi::Instance(Box::into_raw(Box::new(plugin)) as *const ()))
}

/// The plugin behind an instance.
///
/// # Safety
/// The instance is one that `opened` made for the same `T` and that was not closed.
unsafe fn plugin<'a, T>(instance: abi::Instance) -> &'a T {
    // SAFETY: it points to the `T` that `opened` boxed; shared access alone until `close`.
    unsafe { &*instance.0.cast::<T>() }
}

/// `close` of every table.
unsafe extern "C" fn close<T>(instance: abi::Instance) {
    // SAFETY: the host closes an instance once, when no call is under way.
    let plugin = unsafe { Box::from_raw(instance.0.cast::<T>().cast_mut()) };
    // A panic in a destructor stops here.
    let _ = caught(|| {
        drop(plugin);
        Ok(())
    });
}

pub fn normalizer<T: Normalizer>() -> Ability {
    struct Table<T>(std::marker::PhantomData<T>);
    impl<T: Normalizer> Table<T> {
        const TABLE: &'static abi::NormalizerTable = &abi::NormalizerTable {
            open: normalizer_open::<T>,
            vocabularies: vocabularies::<T>,
            normalize: normalize::<T>,
            close: close::<T>,
        };
    }
    Ability {
        layout: abi::NormalizerTable::LAYOUT,
        table: std::ptr::from_ref(Table::<T>::TABLE).cast(),
    }
}

unsafe extern "C" fn normalizer_open<T: Normalizer>(
    settings: RStr<'_>,
    host: &'static abi::HostTable,
) -> RResult<abi::Instance, abi::Failure> {
    caught(|| opened(settings, |settings| T::open(settings, Host(host))))
}

unsafe extern "C" fn vocabularies<T: Normalizer>(
    instance: abi::Instance,
) -> RResult<RVec<abi::Vocabulary>, abi::Failure> {
    caught(|| {
        // SAFETY: the host passes an open instance of this table.
        let found = unsafe { plugin::<T>(instance) }.vocabularies()?;
        let vocabularies = found.into_iter().map(|vocabulary| abi::Vocabulary {
            name: vocabulary.name.into(),
            version: vocabulary.version.into(),
        });
        Ok(vocabularies.collect())
    })
}

unsafe extern "C" fn normalize<T: Normalizer>(
    instance: abi::Instance,
    batch: RSlice<'_, abi::Document<'_>>,
    options: &abi::NormalizeOptions<'_>,
    call: &abi::Call,
) -> RResult<RVec<abi::Linked>, abi::Failure> {
    caught(|| {
        let batch: Vec<Document<'_>> = batch.iter().map(document_in).collect();
        let options = NormalizeOptions {
            top_k: options.top_k as usize,
            vocabularies: options.vocabularies.iter().map(ToString::to_string).collect(),
        };
        // SAFETY: the host passes an open instance of this table.
        let results = unsafe { plugin::<T>(instance) }.normalize_batch(&batch, &options, &Call(call));
        let results = results.into_iter().map(|result| match result {
            Ok(mentions) => ROk(mentions.into_iter().map(concepts_out).collect()),
            Err(error) => RErr(failure(error)),
        });
        Ok(results.collect())
    })
}

fn document_in<'a>(document: &abi::Document<'a>) -> Document<'a> {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let mentions = document.mentions.as_slice().iter().map(|mention| Mention {
        begin: whole(mention.begin),
        end: whole(mention.end),
        label: mention.label.as_str(),
        score: mention.score,
        section: mention.section.into_option().map(|section| section.as_str()),
    });
    Document {
        text: document.text.as_str(),
        mentions: mentions.collect(),
    }
}

fn concepts_out(concepts: Vec<Concept>) -> RVec<abi::Concept> {
    let concepts = concepts.into_iter().map(|concept| abi::Concept {
        id: concept.id.into(),
        vocabulary: concept.vocabulary.into(),
        name: concept.name.into(),
        semantic_types: concept.semantic_types.into_iter().map(Into::into).collect(),
        score: concept.score,
        match_kind: concept.match_kind.into(),
        codings: concept
            .codings
            .into_iter()
            .map(|coding| abi::Coding {
                system: coding.system.into(),
                code: coding.code.into(),
                display: coding.display.into(),
            })
            .collect(),
    });
    concepts.collect()
}

pub fn adapter<T: Adapter>() -> Ability {
    struct Table<T>(std::marker::PhantomData<T>);
    impl<T: Adapter> Table<T> {
        const TABLE: &'static abi::AdapterTable = &abi::AdapterTable {
            open: adapter_open::<T>,
            task: task::<T>,
            files: files::<T>,
            refine: refine::<T>,
            close: close::<T>,
        };
    }
    Ability {
        layout: abi::AdapterTable::LAYOUT,
        table: std::ptr::from_ref(Table::<T>::TABLE).cast(),
    }
}

unsafe extern "C" fn adapter_open<T: Adapter>(
    settings: RStr<'_>,
    host: &'static abi::HostTable,
) -> RResult<abi::Instance, abi::Failure> {
    caught(|| opened(settings, |settings| T::open(settings, Host(host))))
}

unsafe extern "C" fn task<T: Adapter>(instance: abi::Instance) -> RResult<abi::Task, abi::Failure> {
    caught(|| {
        // SAFETY: the host passes an open instance of this table.
        let task = unsafe { plugin::<T>(instance) }.task()?;
        Ok(abi::Task {
            name: task.name.into(),
            base: task.base.into(),
            labels: task.labels.into_iter().map(Into::into).collect(),
            refines: task.refines,
        })
    })
}

unsafe extern "C" fn files<T: Adapter>(
    instance: abi::Instance,
    call: &abi::Call,
) -> RResult<abi::AdapterFiles, abi::Failure> {
    caught(|| {
        // SAFETY: the host passes an open instance of this table.
        let files = unsafe { plugin::<T>(instance) }.files(&Call(call))?;
        Ok(abi::AdapterFiles {
            config: files.config.into(),
            tensors: files.tensors.into(),
        })
    })
}

unsafe extern "C" fn refine<T: Adapter>(
    instance: abi::Instance,
    text: RStr<'_>,
    spans: RSlice<'_, abi::Span<'_>>,
    call: &abi::Call,
) -> RResult<RVec<abi::RefinedSpan>, abi::Failure> {
    caught(|| {
        let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let spans = spans.iter().map(|span| Span {
            begin: whole(span.begin),
            end: whole(span.end),
            label: span.label.as_str().to_owned(),
            score: span.score,
        });
        // SAFETY: the host passes an open instance of this table.
        let plugin = unsafe { plugin::<T>(instance) };
        let refined = plugin.refine(text.as_str(), spans.collect(), &Call(call))?;
        let refined = refined.into_iter().map(|span| abi::RefinedSpan {
            begin: span.begin as u64,
            end: span.end as u64,
            label: span.label.into(),
            score: span.score,
        });
        Ok(refined.collect())
    })
}

pub fn document<T: DocumentFormat>() -> Ability {
    struct Table<T>(std::marker::PhantomData<T>);
    impl<T: DocumentFormat> Table<T> {
        const TABLE: &'static abi::DocumentTable = &abi::DocumentTable {
            open: document_open::<T>,
            formats: formats::<T>,
            decode: decode::<T>,
            close: close::<T>,
        };
    }
    Ability {
        layout: abi::DocumentTable::LAYOUT,
        table: std::ptr::from_ref(Table::<T>::TABLE).cast(),
    }
}

unsafe extern "C" fn document_open<T: DocumentFormat>(
    settings: RStr<'_>,
    host: &'static abi::HostTable,
) -> RResult<abi::Instance, abi::Failure> {
    caught(|| opened(settings, |settings| T::open(settings, Host(host))))
}

unsafe extern "C" fn formats<T: DocumentFormat>(
    instance: abi::Instance,
) -> RResult<RVec<abi::abi_stable::std_types::RString>, abi::Failure> {
    caught(|| {
        // SAFETY: the host passes an open instance of this table.
        let formats = unsafe { plugin::<T>(instance) }.formats()?;
        Ok(formats.into_iter().map(Into::into).collect())
    })
}

unsafe extern "C" fn decode<T: DocumentFormat>(
    instance: abi::Instance,
    format: RStr<'_>,
    bytes: RSlice<'_, u8>,
    call: &abi::Call,
) -> RResult<abi::Decoded, abi::Failure> {
    caught(|| {
        // SAFETY: the host passes an open instance of this table.
        let plugin = unsafe { plugin::<T>(instance) };
        let decoded = plugin.decode(format.as_str(), bytes.as_slice(), &Call(call))?;
        let pieces = decoded.pieces.into_iter().map(|piece| abi::Piece {
            text_begin: piece.text_begin as u64,
            text_end: piece.text_end as u64,
            source_begin: piece.source_begin as u64,
            source_end: piece.source_end as u64,
        });
        Ok(abi::Decoded {
            text: decoded.text.into(),
            pieces: pieces.collect(),
        })
    })
}
