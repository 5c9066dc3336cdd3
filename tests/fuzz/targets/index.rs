//! A vocabulary file whose bytes somebody has changed: without new checksums it is refused, with them it gives wrong links and no more.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::vocabulary::{index, link, mentions, open};
use mednerd_fuzz::{Input, file, folder, seeds};
use mednerd_umls::linker::Options;
use sha2::{Digest, Sha256};

static INDEX: LazyLock<Vec<u8>> = LazyLock::new(|| std::fs::read(index()).unwrap());
const TEXT: &str = "Heart attack (MI), type 2 diabetes; diabetic foot ulcer, Herzinfarct, left heel.";
/// Mentions of it: exact, by their words, merely alike, several, none.
const PLACES: [(usize, usize); 7] = [
    (0, 12),
    (14, 16),
    (19, 34),
    (36, 55),
    (57, 68),
    (70, 79),
    (36, 79),
];

/// As `plugins/umls/src/index/format.rs` has it: a header of 32 bytes, 56 for each section, a checksum.
const FIRST: usize = 32;
const EACH: usize = 56;

fuzz_target!(
    init: seeds([vec![], vec![1, 3, 0, 0, 0, 0xff], vec![2, 9, 0, 1, 0, 1, 0, 0, 0], vec![3, 14, 0, 0, 0, 7]]),
    |bytes: &[u8]| {
        let mut input = Input(bytes);
        let mut index = INDEX.clone();
        let is_sealed = input.below(8) != 7;
        while !input.is_empty() {
            change(&mut index, &mut input, is_sealed);
        }
        let is_changed = index != *INDEX;
        if is_sealed {
            seal(&mut index);
        }
        let path = file("changed.index", &index);
        let linker = open(&path, None);
        assert!(is_sealed || !is_changed || linker.is_err(), "a change that nobody sees");
        if let Ok(linker) = linker {
            linker.index().verify().unwrap();
            linker.index().parts();
            for (top_k, thorough) in [(1, false), (50, true)] {
                let options = Options {
                    top_k,
                    thorough,
                    ..Options::default()
                };
                link(&linker, TEXT, &mentions(TEXT, &PLACES, "Disease"), &options);
            }
        }
        std::fs::remove_file(folder().join("changed.index")).unwrap();
    }
);

fn sections(index: &[u8]) -> usize {
    u32::from_le_bytes(index[20..24].try_into().unwrap()) as usize
}

fn extent(index: &[u8], section: usize) -> (usize, usize) {
    let word = |at| u64::from_le_bytes(index[at..at + 8].try_into().unwrap()) as usize;
    let at = FIRST + EACH * section;
    (word(at + 8), word(at + 16))
}

/// One change: of a byte or number of a section, of where it lies, or of any byte of the file.
fn change(index: &mut [u8], input: &mut Input<'_>, is_sealed: bool) {
    let count = sections(&INDEX);
    let section = input.below(count + 2);
    let at = input.below(1 << 16);
    if section >= count || !is_sealed {
        let at = at % index.len();
        if is_sealed && at < FIRST + EACH * count + 32 {
            // Where a section lies.
            let at = FIRST + EACH * (at % count) + 8 + 8 * (at % 2);
            index[at..at + 2].copy_from_slice(&input.take::<2>());
        } else {
            index[at] ^= input.take::<1>()[0];
        }
        return;
    }
    let (begin, length) = extent(&INDEX, section);
    if length >= 4 && at.is_multiple_of(2) {
        let at = begin + at % (length / 4) * 4;
        let [kind, low, high] = input.take();
        let own = u32::from_le_bytes(index[at..at + 4].try_into().unwrap());
        let low = u32::from(low) | u32::from(high) << 8;
        let changed = match kind % 4 {
            0 => low,
            1 => u32::MAX - low,
            2 => own.wrapping_add(low),
            _ => own.wrapping_sub(low),
        };
        index[at..at + 4].copy_from_slice(&changed.to_le_bytes());
    } else if length > 0 {
        index[begin + at % length] = input.take::<1>()[0];
    }
}

/// Makes all checksums fit, as somebody would who means harm.
fn seal(index: &mut [u8]) {
    let count = sections(&INDEX);
    for section in 0..count {
        let (begin, length) = extent(index, section);
        let own = index.get(begin..begin.saturating_add(length)).unwrap_or_default();
        let digest = Sha256::digest(own);
        let at = FIRST + EACH * section + 24;
        index[at..at + 32].copy_from_slice(&digest);
    }
    let (header, rest) = index.split_at_mut(FIRST + EACH * count);
    rest[..32].copy_from_slice(&Sha256::digest(header));
}
