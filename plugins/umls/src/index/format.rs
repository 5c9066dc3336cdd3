//! The layout of an index file: a header that lists the sections, then the sections. Integers are little-endian.
//!
//! ```text
//! 0    "mednerd-umls\0\0\0\0"      magic
//! 16   u32 version, u32 sections, u64 length of the file
//! 32   per section: u32 kind, u32 zero, u64 offset, u64 length, 32 bytes SHA-256
//! …    32 bytes SHA-256 of all of the header before it
//! ```

use sha2::{Digest, Sha256};

use crate::error::Damage;

/// The first bytes of every index.
pub(crate) const MAGIC: [u8; 16] = *b"mednerd-umls\0\0\0\0";
/// The version of the format; another one is refused.
pub(crate) const VERSION: u32 = 6;
/// Sections begin at multiples of this.
pub(crate) const ALIGN: u64 = 64;

macro_rules! sections {
    ($($name:ident = $kind:literal, $what:literal;)*) => {
        /// A part of the file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub(crate) enum Section { $(#[doc = $what] $name = $kind,)* }

        impl Section {
            /// All of them, in the order of the header.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it holds, in words for messages and `info`.
            pub(crate) fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }
        }
    };
}

sections! {
    Record = 1, "build record";
    ConceptIdOffsets = 2, "offsets of concept ids";
    ConceptIds = 3, "concept ids";
    Concepts = 4, "concepts";
    TypeSetOffsets = 5, "offsets of semantic type sets";
    TypeSets = 6, "semantic type sets";
    NameOffsets = 7, "offsets of names";
    Names = 8, "names";
    LinkOffsets = 9, "offsets of links";
    Links = 10, "links from names to concepts";
    ExactTable = 11, "table of exact forms";
    KeyTable = 12, "table of keys";
    StemTable = 13, "table of stemmed keys";
    WordOffsets = 14, "offsets of words";
    Words = 15, "words";
    WordTable = 16, "table of words";
    WordCounts = 17, "names per word";
    NamePostingOffsets = 18, "offsets of word postings";
    NamePostings = 19, "word postings";
    NameWeights = 20, "weights of names";
    Grams = 21, "character trigrams of words";
    GramPostingOffsets = 22, "offsets of trigram postings";
    GramPostings = 23, "trigram postings";
    WordGrams = 24, "trigrams per word";
    Codings = 25, "codings";
    CodingText = 26, "text of codings";
    Retired = 27, "retired concepts";
    ConceptTable = 28, "table of concept ids";
    OwnNameConcepts = 29, "concepts that write their name otherwise";
    OwnNameOffsets = 30, "offsets of names so written";
    OwnNames = 31, "names so written";
    NameLanguages = 32, "languages of names";
    LanguagePreferred = 33, "preferred names of languages";
}

/// The length of a header with all sections.
pub(crate) const HEADER: usize = 32 + 56 * Section::ALL.len() + 32;

/// Where a section lies and what its bytes must hash to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) sha256: [u8; 32],
}

/// The header of a file of `length` bytes.
pub(crate) fn encode(extents: &[Extent], length: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER);
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend((Section::ALL.len() as u32).to_le_bytes());
    bytes.extend(length.to_le_bytes());
    for (section, extent) in Section::ALL.iter().zip(extents) {
        bytes.extend((*section as u32).to_le_bytes());
        bytes.extend(0_u32.to_le_bytes());
        bytes.extend(extent.offset.to_le_bytes());
        bytes.extend(extent.length.to_le_bytes());
        bytes.extend(extent.sha256);
    }
    bytes.extend(Sha256::digest(&bytes));
    bytes
}

/// Reads and checks the header of `file`; the sections' own bytes are not looked at.
pub(crate) fn decode(file: &[u8]) -> Result<Vec<Extent>, Damage> {
    if !file.starts_with(&MAGIC) {
        return Err(Damage::NotAnIndex);
    }
    let version = u32_at(&file[16..], 0).ok_or(Damage::Truncated)?;
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let header = file.get(..HEADER).ok_or(Damage::Truncated)?;
    let (covered, digest) = header.split_at(HEADER - 32);
    if Sha256::digest(covered).as_slice() != digest {
        return Err(Damage::Checksum("header"));
    }
    let word = |at: usize| u64_at(covered, at).ok_or(Damage::Truncated);
    if word(24)? != file.len() as u64 {
        return Err(Damage::Truncated);
    }
    let mut extents = Vec::with_capacity(Section::ALL.len());
    for (i, section) in Section::ALL.iter().enumerate() {
        let at = 32 + 56 * i;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(&covered[at + 24..at + 56]);
        let extent = Extent {
            offset: word(at + 8)?,
            length: word(at + 16)?,
            sha256,
        };
        let end = extent.offset.checked_add(extent.length);
        if u32_at(&covered[at..], 0) != Some(*section as u32) || end.is_none_or(|end| end > file.len() as u64)
        {
            return Err(Damage::Checksum("header"));
        }
        extents.push(extent);
    }
    Ok(extents)
}

/// The `i`th 32-bit number of `bytes`.
#[inline]
pub(crate) fn u32_at(bytes: &[u8], i: usize) -> Option<u32> {
    let number = bytes.get(i.checked_mul(4)?..)?.first_chunk()?;
    Some(u32::from_le_bytes(*number))
}

/// The `i`th 16-bit number of `bytes`.
#[inline]
pub(crate) fn u16_at(bytes: &[u8], i: usize) -> Option<u16> {
    let number = bytes.get(i.checked_mul(2)?..)?.first_chunk()?;
    Some(u16::from_le_bytes(*number))
}

/// The 64-bit number at byte `at`.
fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
