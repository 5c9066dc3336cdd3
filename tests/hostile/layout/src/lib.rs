//! The root module is right; the table that it gives for `mednerd.normalizer/1` is another type.
#![allow(unsafe_code, missing_docs)]

use abi_stable::StableAbi;
use abi_stable::library::{__call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};
use abi_stable::prefix_type::PrefixTypeTrait;
use abi_stable::std_types::{ROk, ROption, RResult, RSome, RStr, RVec};
use mednerd_plugin_abi::{Ability, About, Failure, RootModule, RootModuleRef, ability};

#[repr(C)]
#[derive(StableAbi)]
struct NormalizerTable {
    open: u64,
    close: u32,
}

static TABLE: NormalizerTable = NormalizerTable { open: 1, close: 2 };

unsafe extern "C" fn about() -> RResult<About, Failure> {
    ROk(About {
        id: "hostile.layout".into(),
        version: "1.0.0".into(),
        abilities: RVec::from(vec![ability::NORMALIZER.into()]),
    })
}

unsafe extern "C" fn give(_: RStr<'_>) -> ROption<Ability> {
    RSome(Ability {
        layout: NormalizerTable::LAYOUT,
        table: std::ptr::from_ref(&TABLE).cast(),
    })
}

fn root() -> RootModuleRef {
    RootModule { about, ability: give }.leak_into_prefix()
}

extern "C" fn constructor() -> RootModuleResult {
    __call_root_module_loader(root)
}

#[unsafe(no_mangle)]
pub static _1as_0lib_1header_0root_bmodule_bloader: LibHeader =
    // SAFETY: the constructor gives the `RootModuleRef` that the type parameter names.
    unsafe { LibHeader::from_constructor::<RootModuleRef>(constructor, CheckTypeLayout::Yes) };
