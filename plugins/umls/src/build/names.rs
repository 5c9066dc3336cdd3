//! The names of an index: what they are found by, and what they stand for.

use std::collections::HashMap;
use std::path::Path;

use mednerd_languages::{CODES, Languages};

use super::sort::Sorter;
use super::writer::{Writer, table};
use super::{Naming, Watch, offset};
use crate::error::Error;
use crate::index::format::Section;
use crate::index::inverted::Postings;
use crate::index::{Table, weight};
use crate::text::{self, Forms};

/// The names that the readers have found so far, sorted outside memory: by form, then concept, then the better standing first.
pub(super) struct Spellings(Sorter);

impl Spellings {
    pub(super) fn new(folder: &Path, memory: usize) -> Self {
        Self(Sorter::new(folder, memory))
    }

    /// Adds a name by its exact form.
    pub(super) fn add(&mut self, form: &str, name: &str, of: Naming) -> Result<(), Error> {
        self.0.push(&[
            form.as_bytes(),
            &[0],
            &of.concept.to_be_bytes(),
            &(!of.quality).to_be_bytes(),
            &[u8::from(text::is_acronym(name)), of.language as u8],
            name.as_bytes(),
        ])
    }

    /// Writes the names, each form once, and gathers what else is to be written of them.
    pub(super) fn index(
        self,
        concepts: usize,
        file: &mut Writer<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Names, Error> {
        let mut names = Names {
            best: vec![NONE; concepts],
            counts: vec![0; concepts],
            ..Names::default()
        };
        file.begin(Section::Names)?;
        let mut done = 0_u64;
        self.0.finish(|sorted| {
            done += 1;
            if done.is_multiple_of(4096) {
                watch.at(done);
            }
            names.take(sorted, file)
        })?;
        names.close(file)?;
        file.end()?;
        Ok(names)
    }
}

/// Everything that grows with the names while they come in order.
#[derive(Default)]
pub(super) struct Names {
    /// The form of the name that is open, its text and the standing of that text.
    form: Vec<u8>,
    text: Option<(u16, String)>,
    last_concept: Option<u32>,
    /// Names that are closed.
    count: u32,
    /// Where each of them ends in the text of all, and its links among all.
    ends: Vec<u32>,
    length: usize,
    link_ends: Vec<u32>,
    links: Vec<u8>,
    /// Of each table the hashes of the names' forms.
    hashes: [Vec<(u64, u32)>; 3],
    words: HashMap<Box<str>, u32>,
    postings: Postings,
    /// Per concept the standing of its best name, and that name.
    best: Vec<(u16, u32)>,
    /// The same in each language.
    best_in: [Vec<(u16, u32)>; CODES.len()],
    /// Of each name that is closed its languages, and those of the one that is open.
    languages: Vec<u8>,
    spoken: Languages,
    /// Names per concept.
    counts: Vec<u32>,
    /// The concepts whose best name so far is the open one, and how they write it.
    called: Vec<(u32, String)>,
    /// How concepts write their best name where another concept's spelling stands for the form: "COLD" and "Cold".
    own: HashMap<u32, String>,
}

impl Names {
    fn take(&mut self, sorted: &[u8], file: &mut Writer<'_>) -> Result<(), Error> {
        let Some(end) = sorted.iter().position(|&byte| byte == 0) else {
            return Ok(());
        };
        let (form, rest) = sorted.split_at(end);
        let Some((head, name)) = rest.split_at_checked(9) else {
            return Ok(());
        };
        if self.text.is_some() && form != self.form {
            self.close(file)?;
        }
        let concept = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let quality = !u16::from_be_bytes([head[5], head[6]]);
        let name = std::str::from_utf8(name).unwrap_or_default();
        if self.text.is_none() {
            self.form = form.to_vec();
        }
        if self.text.as_ref().is_none_or(|(known, _)| quality > *known) {
            self.text = Some((quality, name.to_owned()));
        }
        let language = Languages::from(head[8]);
        self.spoken |= language;
        if let Some(best) = self.best_in.get_mut(language.trailing_zeros() as usize) {
            best.resize(self.counts.len(), NONE);
            take_better(&mut best[concept as usize], quality, self.count);
        }
        // The best row of a concept comes first.
        if self.last_concept != Some(concept) {
            self.last_concept = Some(concept);
            self.counts[concept as usize] += 1;
            self.links.extend(concept.to_le_bytes());
            self.links.extend(quality.to_le_bytes());
            self.links.extend(u16::from(head[7] == 1).to_le_bytes());
            if take_better(&mut self.best[concept as usize], quality, self.count) {
                self.called.push((concept, name.to_owned()));
            }
        }
        Ok(())
    }

    fn close(&mut self, file: &mut Writer<'_>) -> Result<(), Error> {
        let Some((_, name)) = self.text.take() else {
            return Ok(());
        };
        let number = self.count;
        self.count = number.checked_add(1).ok_or(Error::TooMuch("names"))?;
        for (concept, own) in self.called.drain(..) {
            if own == name {
                self.own.remove(&concept);
            } else {
                self.own.insert(concept, own);
            }
        }
        file.write(name.as_bytes())?;
        self.length += name.len();
        self.ends.push(offset(self.length, "text")?);
        self.link_ends.push(offset(self.links.len() / LINK, "links")?);
        self.last_concept = None;
        let spoken = std::mem::take(&mut self.spoken);
        self.languages.push(spoken as u8);
        let mut readings: Vec<Forms> = text::each(spoken)
            .map(|language| Forms::of(&name, language))
            .collect();
        for (hashes, table) in self.hashes.iter_mut().zip(Table::ALL) {
            let mut own: Vec<u64> = readings
                .iter()
                .map(|forms| text::hash(table.form(forms)))
                .collect();
            own.sort_unstable();
            own.dedup();
            hashes.extend(own.into_iter().map(|hash| (hash, number)));
        }
        // It is retrieved by its words in the first of them.
        let mut forms = readings.swap_remove(0);
        forms.stems.sort_unstable();
        forms.stems.dedup();
        let mut words: Vec<u32> = Vec::with_capacity(forms.stems.len());
        for stem in forms.stems {
            let next = self.words.len() as u32;
            words.push(*self.words.entry(stem.into()).or_insert(next));
        }
        self.postings.push(&words);
        Ok(())
    }

    /// The words, by how many trigrams they have; their numbers in the postings follow.
    fn words_in_order(&mut self) -> Vec<Box<str>> {
        let mut grams = Vec::new();
        let mut words: Vec<(usize, Box<str>, u32)> = std::mem::take(&mut self.words)
            .into_iter()
            .map(|(word, number)| {
                text::trigrams(&word, &mut grams);
                (grams.len(), word, number)
            })
            .collect();
        words.sort_unstable();
        let mut numbers = vec![0; words.len()];
        for (new, (.., old)) in words.iter().enumerate() {
            numbers[*old as usize] = new as u32;
        }
        self.postings.renumber(&numbers);
        words.into_iter().map(|(_, word, _)| word).collect()
    }

    /// Distinct names.
    pub(super) fn len(&self) -> u64 {
        u64::from(self.count)
    }

    /// Pairs of a name and a concept.
    pub(super) fn links(&self) -> u64 {
        (self.links.len() / LINK) as u64
    }

    /// The best name of a concept.
    pub(super) fn best_of(&self, concept: u32) -> u32 {
        self.best
            .get(concept as usize)
            .map_or(u32::MAX, |(_, name)| *name)
    }

    /// How many names a concept has.
    pub(super) fn count_of(&self, concept: u32) -> u32 {
        self.counts.get(concept as usize).copied().unwrap_or_default()
    }

    /// Writes where the names end and what they stand for.
    pub(super) fn write_links(&mut self, file: &mut Writer<'_>) -> Result<(), Error> {
        for (section, ends) in [
            (Section::NameOffsets, std::mem::take(&mut self.ends)),
            (Section::LinkOffsets, std::mem::take(&mut self.link_ends)),
        ] {
            file.numbers(section, [0].into_iter().chain(ends))?;
        }
        file.section(Section::Links, &std::mem::take(&mut self.links))
    }

    /// Writes their languages, and where there are several what each concept is called in each. Gives the codes of those languages.
    pub(super) fn write_languages(&mut self, file: &mut Writer<'_>) -> Result<Vec<String>, Error> {
        file.section(Section::NameLanguages, &std::mem::take(&mut self.languages))?;
        let best_in = std::mem::take(&mut self.best_in);
        let has_names = |at: &usize| !best_in[*at].is_empty();
        let spoken: Vec<usize> = (0..CODES.len()).filter(has_names).collect();
        let several = spoken.len() > 1;
        let mut starts = vec![0_u32];
        let mut pairs = Vec::new();
        for best in best_in.iter().filter(|_| several) {
            let named = (0_u32..).zip(best).filter(|(_, best)| **best != NONE);
            pairs.extend(named.flat_map(|(concept, (_, name))| [concept, *name]));
            starts.push(offset(pairs.len() / 2, "names of languages")?);
        }
        let preferred = several.then(|| starts.into_iter().chain(pairs));
        file.numbers(Section::LanguagePreferred, preferred.into_iter().flatten())?;
        Ok(spoken.into_iter().map(|at| CODES[at].to_owned()).collect())
    }

    /// Writes the tables of their forms. Gives the names by the hashes of their exact ones.
    pub(super) fn write_tables(&mut self, file: &mut Writer<'_>) -> Result<Vec<(u64, u32)>, Error> {
        let hashes = std::mem::take(&mut self.hashes);
        let mut exact = Vec::new();
        for (at, mut hashes) in Table::ALL.into_iter().zip(hashes) {
            file.section(at.section(), &table(&mut hashes))?;
            if at == Table::Exact {
                exact = hashes;
            }
        }
        Ok(exact)
    }

    /// Writes their words, and what those of each name weigh together. Gives the words in order.
    pub(super) fn write_words(&mut self, file: &mut Writer<'_>) -> Result<Vec<Box<str>>, Error> {
        let words = self.words_in_order();
        let texts = words.iter().map(|word| &**word);
        file.strings(Section::WordOffsets, Section::Words, texts.clone())?;
        let mut hashes: Vec<(u64, u32)> = texts.map(text::hash).zip(0..).collect();
        file.section(Section::WordTable, &table(&mut hashes))?;
        file.numbers(Section::WordCounts, self.postings.counts.iter().copied())?;
        file.section(Section::NameWeights, &self.weights(&words))?;
        Ok(words)
    }

    fn weights(&self, words: &[Box<str>]) -> Vec<u8> {
        let counted = self.postings.counts.iter().zip(words);
        let weights: Vec<u32> = counted
            .map(|(&count, word)| u32::from(weight(self.len(), count, word)))
            .collect();
        let sum = |words: &[u32]| words.iter().map(|&word| weights[word as usize]).sum::<u32>();
        let sums = self.postings.documents().map(sum);
        sums.flat_map(|sum| u16::try_from(sum).unwrap_or(u16::MAX).to_le_bytes())
            .collect()
    }

    /// Writes which names have each word.
    pub(super) fn write_postings(&mut self, file: &mut Writer<'_>) -> Result<(), Error> {
        let (offsets, postings) = std::mem::take(&mut self.postings).encode();
        file.section(Section::NamePostingOffsets, &offsets)?;
        file.section(Section::NamePostings, &postings)
    }

    /// Writes how concepts write their best names, of those that do it in their own way.
    pub(super) fn write_own(self, file: &mut Writer<'_>) -> Result<(), Error> {
        let mut own: Vec<(u32, String)> = self.own.into_iter().collect();
        own.sort_unstable();
        file.numbers(Section::OwnNameConcepts, own.iter().map(|(concept, _)| *concept))?;
        file.strings(
            Section::OwnNameOffsets,
            Section::OwnNames,
            own.iter().map(|(_, name)| name.as_str()),
        )
    }
}

/// The standing of a best name, and it, where there is none yet.
const NONE: (u16, u32) = (0, u32::MAX);

/// Whether a name is the best so far, which it is from now on.
fn take_better(best: &mut (u16, u32), quality: u16, name: u32) -> bool {
    let is_better = *best == NONE || quality > best.0;
    if is_better {
        *best = (quality, name);
    }
    is_better
}

/// Bytes of a link: the concept, the standing of the name, whether it is written like an acronym.
const LINK: usize = 4 + 2 + 2;

/// Writes the trigrams of words: how many each word has, and the words of each.
pub(super) fn write_grams(words: &[Box<str>], file: &mut Writer<'_>) -> Result<(), Error> {
    let (grams, counts, postings) = grams(words);
    file.numbers(Section::Grams, grams.into_iter())?;
    file.section(Section::WordGrams, &counts)?;
    let (offsets, postings) = postings.encode();
    file.section(Section::GramPostingOffsets, &offsets)?;
    file.section(Section::GramPostings, &postings)
}

/// The trigrams of all words, how many each word has, and the words of each trigram.
fn grams(words: &[Box<str>]) -> (Vec<u32>, Vec<u8>, Postings) {
    let mut own = Vec::new();
    let mut all = Vec::new();
    for word in words {
        text::trigrams(word, &mut own);
        all.extend(&own);
        if all.len() > 1 << 24 {
            all.sort_unstable();
            all.dedup();
        }
    }
    all.sort_unstable();
    all.dedup();
    let mut counts = Vec::with_capacity(2 * words.len());
    let mut postings = Postings::default();
    let mut features = Vec::new();
    for word in words {
        text::trigrams(word, &mut own);
        counts.extend((own.len() as u16).to_le_bytes());
        features.clear();
        features.extend(
            own.iter()
                .filter_map(|gram| Some(all.binary_search(gram).ok()? as u32)),
        );
        postings.push(&features);
    }
    (all, counts, postings)
}
