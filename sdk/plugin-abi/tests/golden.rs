//! The layout of ABI major 1, word for word. A difference means that plugins that are in use would be refused:
//! take the change back and make a new ability instead (`sdk/plugin/ABI.md`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::path::Path;

use abi_stable::StableAbi;
use abi_stable::std_types::utypeid::UTypeId;
use abi_stable::type_layout::TypeLayout;
use mednerd_plugin_abi::{AdapterTable, DocumentTable, NormalizerTable, RootModuleRef};

/// A type's name with what it is made of, where it is not one of ours.
fn name(layout: &'static TypeLayout, depth: usize) -> String {
    let own = layout.full_type().to_string();
    let parts = layout.shared_vars().type_layouts();
    if layout.package() == "mednerd-plugin-abi" || parts.is_empty() || depth == 0 {
        return own;
    }
    let parts: Vec<String> = parts.iter().map(|part| name(part(), depth - 1)).collect();
    format!("{own}[{}]", parts.join(", "))
}

/// Notes each type of ours, with all types on the way to it.
fn describe(layout: &'static TypeLayout, seen: &mut HashSet<UTypeId>, found: &mut BTreeMap<String, String>) {
    if !seen.insert(layout.get_utypeid()) {
        return;
    }
    if layout.package() == "mednerd-plugin-abi" {
        let (version, size, alignment) = (layout.package_version(), layout.size(), layout.alignment());
        let mut text = format!("    {version}, {size} bytes, aligned to {alignment}\n");
        for field in layout.get_fields().into_iter().flat_map(|fields| fields.iter()) {
            writeln!(text, "    {}: {}", field.name(), name(field.layout(), 3)).unwrap();
            for function in field.function_range().iter() {
                let function = function.to_string();
                let signature = function.lines().next().unwrap_or_default();
                writeln!(text, "        {signature}").unwrap();
            }
        }
        found.insert(layout.full_type().to_string(), text);
    }
    for field in layout.get_fields().into_iter().flat_map(|fields| fields.iter()) {
        describe(field.layout(), seen, found);
    }
    for shared in layout.shared_vars().type_layouts() {
        describe(shared(), seen, found);
    }
}

#[test]
fn the_layout_of_abi_1_is_what_it_was() {
    let (mut seen, mut found) = (HashSet::new(), BTreeMap::new());
    for layout in [
        <RootModuleRef as StableAbi>::LAYOUT,
        NormalizerTable::LAYOUT,
        AdapterTable::LAYOUT,
        DocumentTable::LAYOUT,
    ] {
        describe(layout, &mut seen, &mut found);
    }
    let text: String = found
        .iter()
        .map(|(name, text)| format!("{name}\n{text}\n"))
        .collect();
    for name in ["Concept", "Mention", "Piece", "RefinedSpan", "Vocabulary"] {
        assert!(text.contains(&format!("\n{name}")), "{name} is not described");
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/abi-1.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
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
