//! The layout of ABI major 1, word for word. A difference means that plugins that are in use would be refused:
//! take the change back and make a new ability instead (`sdk/plugin/ABI.md`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;
use mednerd_plugin_abi::{AdapterTable, DocumentTable, NormalizerTable, RootModuleRef};

/// Notes a type and all that it is made of, by name.
fn describe(layout: &'static TypeLayout, found: &mut BTreeMap<String, String>) {
    let name = layout.full_type().to_string();
    if found.contains_key(&name) {
        return;
    }
    let (package, version) = (layout.package(), layout.package_version());
    let mut text = format!(
        "{package} {version}, {} bytes, aligned to {}\n",
        layout.size(),
        layout.alignment()
    );
    found.insert(name.clone(), String::new());
    let mut parts = Vec::new();
    for field in layout.get_fields().into_iter().flat_map(|fields| fields.iter()) {
        writeln!(text, "    {}: {}", field.name(), field.full_type()).unwrap();
        parts.push(field.layout());
        for function in field.function_range().iter() {
            writeln!(text, "        {function}").unwrap();
        }
    }
    found.insert(name, text);
    parts.into_iter().for_each(|part| describe(part, found));
    for shared in layout.shared_vars().type_layouts() {
        describe(shared(), found);
    }
}

#[test]
fn the_layout_of_abi_1_is_what_it_was() {
    let mut found = BTreeMap::new();
    describe(<RootModuleRef as StableAbi>::LAYOUT, &mut found);
    describe(NormalizerTable::LAYOUT, &mut found);
    describe(AdapterTable::LAYOUT, &mut found);
    describe(DocumentTable::LAYOUT, &mut found);
    let text: String = found
        .iter()
        .filter(|(_, text)| text.contains("mednerd"))
        .map(|(name, text)| format!("{name}\n    {text}\n"))
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/abi-1.txt");
    if std::env::var_os("MEDNERD_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "the layout differs from tests/golden/abi-1.txt:\n{text}"
    );
}

#[test]
fn the_version_is_frozen() {
    assert_eq!(env!("CARGO_PKG_VERSION"), "1.0.0", "abi_stable compares it");
}
