//! Accuracy on the development splits with the open vocabularies, where `../shared/data` and Python are at hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::open;
use mednerd_umls::build::{Build, Filters, Input};
use mednerd_umls::eval;

#[test]
fn development_splits_are_linked_as_well_as_the_manual_says() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = crate_folder.join("../../../shared/data");
    if !data.join("vocabulary").is_dir() {
        mednerd_skip::skipped("../shared/data is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let meta = folder.path().join("META");
    let made = Command::new("python3")
        .arg(crate_folder.join("eval/open_rrf.py"))
        .arg(data.join("vocabulary"))
        .arg(&meta)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        mednerd_skip::skipped("python3 with lzma is not there");
        return;
    }
    let index = folder.path().join("index");
    Build {
        input: Input::Rrf(meta.clone()),
        out: index.clone(),
        filters: Filters::default(),
        memory: 1 << 24,
    }
    .run(&mut ())
    .unwrap();
    let linker = open(&index, None);
    let map = eval::read_map(&meta.join("gold_map.tsv")).unwrap();
    for (corpus, coverage, at_1, at_10) in [("ncbi-disease", 0.83, 0.66, 0.91), ("bc5cdr", 0.32, 0.74, 0.88)]
    {
        let packed: PathBuf = data.join(format!("linking/{corpus}/dev.pubtator.txt.xz"));
        let unpacked = Command::new("xz").arg("-dc").arg(&packed).output().expect("xz");
        assert!(
            unpacked.status.success(),
            "{} cannot be unpacked",
            packed.display()
        );
        let gold = folder.path().join(corpus);
        std::fs::write(&gold, unpacked.stdout).unwrap();
        let documents = eval::pubtator::read(&gold).unwrap();
        let outcome = eval::evaluate(&linker, &documents, &map, &[], None);
        assert!(
            outcome.coverage >= coverage,
            "{corpus}: coverage {}",
            outcome.coverage
        );
        assert!(
            outcome.accuracy_at_1 >= at_1,
            "{corpus}: accuracy {}",
            outcome.accuracy_at_1
        );
        assert!(
            outcome.recall_at_10 >= at_10,
            "{corpus}: recall {}",
            outcome.recall_at_10
        );
        assert!(
            outcome.auto_accept.precision >= 0.97 && outcome.auto_accept.share >= 0.15,
            "{corpus}: accepted {:?}",
            outcome.auto_accept
        );
        // What requests get: the same first candidates but for unlikely ones, and fewer others.
        for top_k in [1, 5] {
            let served = eval::evaluate(&linker, &documents, &map, &[], Some(top_k));
            assert!(
                served.accuracy_at_1 >= outcome.accuracy_at_1 - 0.015
                    && served.recall_at_10 <= outcome.recall_at_10,
                "{corpus}: at 1 {} of {top_k}, recall {}",
                served.accuracy_at_1,
                served.recall_at_10
            );
        }
        assert!(eval::reliability_svg(&outcome).ends_with("</svg>\n"));
        assert!(eval::table(&outcome).contains("accuracy at 1"));
    }
}
