//! What a note says about a mention beside naming it: that it is absent, uncertain, only feared, past, or somebody else's. "No chest
//! pain", "?pneumonia", "return if fever", "s/p MI", "mother had breast cancer".
//!
//! By words that stand before or behind a mention in its sentence and what ends their reach, after NegEx (Chapman et al. 2001) and ConText
//! (Harkema et al. 2009), in English, German, French, Spanish, Italian, Dutch and Portuguese; and by the sections for past and family
//! history and vaccinations. Of drugs it is found, too, that they are not taken, or no more. Word lists and rules are our own. Nothing is learnt, so that the same text says the same always, and each finding names
//! the words that it stands on. What is asked is what the text says, not what is true of the patient.

mod answers;
mod histories;
mod lexicon;
mod lists;

use std::collections::{BTreeMap, HashMap};
use std::ops::{Range, RangeInclusive};

use mednerd_abbreviations::Definition;

use answers::{Answer, answers, are_yes_and_no, group_at, is_answer, is_no};
use histories::Histories;
use lexicon::{AND, Entry, FAR, LEXICON, NEAR, NEXT, OR, Role, is_per, joins, reports};
use lists::{
    ADJECTIVES, ADVISING, ANSWERS, BEFORE, BEGINNING, BY, CAPITALS, CELLS, DENIES, DENYING, ENDING,
    ENDING_SENTENCES, FILLING, GENITIVES, GIVEN, GROUPS, HABITS, KINDS, MEASURES, NAMED, NON, NOT_OLD, NOW,
    OF_WHAT, POSSESSIVES, SITES, STUDIES, TAKING, UNITS, UNTOLD, WAYS, WHEN, WITH,
};

use crate::folding::{fold, words};
use crate::languages::{ALL, EN, ES, Languages, PT, Spoken, languages};
use crate::sections::Section;
use crate::sentences::{Break, between, ends_with_full_stop};
use crate::tokens::ByteSpan;

/// What is said of a mention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It is absent.
    Negated,
    /// It is possible, suspected, or one of several explanations.
    Uncertain,
    /// It is feared, prevented, screened for, or a condition of something else.
    Hypothetical,
    /// It was there in the past.
    Historical,
    /// It is somebody else's: a relative's, a contact's.
    Family,
}

/// One finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// What is said.
    pub kind: Kind,
    /// By which words of the lexicon, or which section.
    pub cue: &'static str,
}

/// What says that something is past by the year that stands behind it.
const YEAR: &str = "a year";
/// The years that a note may tell of.
const YEARS: RangeInclusive<u16> = 1900..=2049;
/// Words from a mention to a year behind it, at most.
const YEAR_REACH: usize = 3;
/// Words that a sentence may have, at most; longer ones are cut.
const LONGEST: usize = 400;
/// Words that no sentence ends with.
const OPEN: [&str; 24] = [
    "of", "for", "with", "and", "or", "the", "a", "no", "to", "de", "von", "mit", "und", "et", "y", "e",
    "van", "met", "di", "con", "da", "any", "due", "without",
];
/// What says of one thing that it is absent, or of a list.
const DETERMINERS: [&str; 22] = [
    "no", "not", "kein", "keine", "keinen", "keinem", "keiner", "nicht", "non", "pas de", "pas d", "pas",
    "geen", "niet", "nao", "sin", "sem", "sans", "senza", "ohne", "zonder", "without",
];
/// How lines of a list begin.
const BULLETS: [&str; 5] = ["-", "*", "\u{2022}", "\u{b7}", "\u{2013}"];
/// What says of a whole list that it is absent or feared, before a colon, and within how many words that stands.
const HEADING: [&str; 16] = [
    "denies",
    "denied",
    "denying",
    "negatives",
    "negative",
    "no",
    "absent",
    "if",
    "verneint",
    "nie",
    "niega",
    "nega",
    "ontkent",
    "falls",
    "si",
    "se",
];
const MOST_HEADING: usize = 7;
/// What is said to a colon goes on behind it: "no B symptoms: fever", "oncle paternel : infarctus".
const LEADING: [&str; 20] = [
    "maternelle",
    "maternel",
    "paternelle",
    "paternel",
    "materna",
    "materno",
    "paterna",
    "paterno",
    "moederskant",
    "vaderskant",
    "moederszijde",
    "vaderszijde",
    "mutterlicherseits",
    "vaterlicherseits",
    "following",
    "symptoms",
    "symptom",
    "have",
    "experience",
    "develop",
];
/// What begins something new behind a comma, but in a list of what is feared: "fever, worsening pain".
const MODIFIERS: [&str; 10] = [
    "worsening",
    "new",
    "increased",
    "severe",
    "persistent",
    "mild",
    "moderate",
    "decreased",
    "acute",
    "significant",
];
/// What ends a negation and nothing else: "no treatment for asthma".
const OF_NEGATIONS: [&str; 9] = [
    "for", "por", "per", "bei", "bij", "door", "unter", "when", "before",
];
/// Mentions within each other that are looked through for what a word is in.
const MOST_NESTED: usize = 4;
/// The most words of a list that is denied behind it.
const MOST_LISTED: usize = 48;
/// A line so long may have been wrapped, and its sentence go on; shorter ones are items of their own unless the next one begins small.
const WRAPPED: usize = 60;
/// Bytes from one question whether more is wanted to the next: some milliseconds.
const BETWEEN_QUESTIONS: usize = 16 << 10;
/// Words from an answer to the sign behind the next question, at most.
const QUESTION: usize = 5;

/// What is known of the mentions of a text, and how long it is wanted to know more.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Where they are, in bytes.
    pub mentions: &'a [(usize, usize)],
    /// Of which numbers they are drugs: whether one is taken is asked of those alone.
    pub is_drug: &'a dyn Fn(usize) -> bool,
    /// The languages of the text, where that is known; else its commonest words tell it.
    pub spoken: Option<Spoken>,
    /// Whether the answer is still waited for.
    pub wanted: &'a dyn Fn() -> bool,
}

/// What the text says of each mention, in their order. Of each kind there is one finding at most. Takes time linear in the text, and in the
/// mentions of a sentence times its words; `None` where it is no longer wanted.
///
/// Lines end with `\n`: see [`with_plain_lines`](crate::with_plain_lines).
pub fn assertions(text: &str, sections: &[Section], asked: &Asked<'_>) -> Option<Vec<Vec<Assertion>>> {
    let Asked {
        mentions,
        is_drug,
        spoken,
        wanted,
    } = *asked;
    let mut found = vec![Vec::new(); mentions.len()];
    if mentions.is_empty() {
        return Some(found);
    }
    let spoken = spoken.unwrap_or_else(|| Spoken {
        languages: languages(text),
        by_names: false,
    });
    // Where nothing is ticked, nothing is said.
    let is_form = TICKED.iter().any(|form| text.contains(form));
    let answers = if is_form { answers(text) } else { Vec::new() };
    // By where they begin, as sentences come.
    let mut order: Vec<usize> = (0..mentions.len()).collect();
    order.sort_by_key(|index| mentions.get(*index));
    let mut names = mentions.to_vec();
    names.sort_unstable();
    let mut histories = Histories::new(text, sections, &names);
    let mut waiting = order.iter().copied().peekable();
    let mut sentence = Sentence {
        plus_answers: plus_answers(text),
        ..Sentence::default()
    };
    let mut all = words(text).peekable();
    let mut next_question = 0;
    while let Some(first) = all.next() {
        if first.begin >= next_question {
            if !wanted() {
                return None;
            }
            next_question = first.begin + BETWEEN_QUESTIONS;
        }
        sentence.clear();
        sentence.push(text, first);
        let border = border(sections, first.begin);
        // No sentence ends within a mention.
        let mut begun = waiting.clone().filter_map(|index| mentions.get(index)).peekable();
        let mut within = 0;
        while let Some(next) = all.peek()
            && sentence.words.len() < LONGEST
        {
            while let Some((_, end)) = begun.next_if(|(begin, _)| *begin < next.begin) {
                within = within.max(*end);
            }
            let ends = border.is_some_and(|border| border <= next.begin)
                || !sentence.goes_on(text, *next)
                || sentence.is_over(text, *next, within);
            if ends && within <= next.begin {
                break;
            }
            sentence.push(text, *next);
            all.next();
        }
        let end = all.peek().map_or(text.len(), |next| next.begin);
        let mut here = Vec::new();
        while let Some(index) =
            waiting.next_if(|index| mentions.get(*index).is_some_and(|(begin, _)| *begin < end))
        {
            here.push(index);
        }
        if here.is_empty() {
            continue;
        }
        let places: Vec<Range<usize>> = here
            .iter()
            .filter_map(|index| mentions.get(*index))
            .map(|(begin, end)| sentence.place(*begin, *end))
            .collect();
        let drugs = here.iter().zip(&places).filter(|(index, _)| is_drug(**index));
        sentence.drugs = drugs.map(|(_, place)| place.clone()).collect();
        let said = sentence.said(spoken, &places, &answers);
        for ((index, place), said) in here.iter().zip(&places).zip(said) {
            let bytes = mentions.get(*index).copied().unwrap_or_default();
            let begin = bytes.0;
            let mut said: Vec<Assertion> = said;
            said.extend(sentence.year(place));
            // "Mother: diabetes" is no history of the patient's.
            let others = said.iter().any(|assertion| assertion.kind == Kind::Family);
            said.extend(
                histories
                    .at(begin)
                    .filter(|found| !others || found.kind == Kind::Family)
                    // "PMH: HTN on lisinopril"
                    .filter(|found| found.kind != Kind::Historical || !sentence.is_taken(place)),
            );
            let feared = said.iter().any(|assertion| assertion.kind == Kind::Hypothetical);
            let mut deny = |cue| {
                let kind = Kind::Negated;
                said.push(Assertion { kind, cue });
            };
            if is_no(text, &answers, bytes) {
                deny(TICKED_NO);
            } else if is_form && !feared && has_empty_box(text, &answers, bytes) {
                deny(BOX);
            }
            // The nearest cue of each kind comes first.
            said.sort_by_key(|assertion| assertion.kind);
            said.dedup_by_key(|assertion| assertion.kind);
            // What is absent is neither past nor possible.
            let absent = said.iter().any(|assertion| assertion.kind == Kind::Negated);
            let others = said.iter().any(|assertion| assertion.kind == Kind::Family);
            said.retain(|assertion| match assertion.kind {
                Kind::Uncertain => !absent,
                // Nor is it asked whether a relative's is past.
                Kind::Historical => !absent && !others,
                _ => true,
            });
            if let Some(place) = found.get_mut(*index) {
                *place = said;
            }
        }
    }
    Some(found)
}

/// Gives a short form and the long form that defines it, of which only one has something said of it, the same: of "no deep vein thrombosis
/// (DVT)" both are absent. `mentions` and what was `found` of them are those of [`assertions`].
pub fn share(definitions: &[Definition], mentions: &[(usize, usize)], found: &mut [Vec<Assertion>]) {
    let mut by_end: HashMap<usize, Vec<usize>> = HashMap::new();
    for (index, (_, end)) in mentions.iter().enumerate() {
        by_end.entry(*end).or_default().push(index);
    }
    let within = |part: &Range<usize>| -> Vec<usize> {
        let own = by_end.get(&part.end).map(Vec::as_slice).unwrap_or_default();
        let begins = |index: &usize| {
            mentions
                .get(*index)
                .is_some_and(|(begin, _)| *begin >= part.start)
        };
        own.iter().copied().filter(begins).collect()
    };
    for Definition { short, long } in definitions {
        let said = |part: &Range<usize>| {
            let mut all = within(part).into_iter().filter_map(|index| found.get(index));
            all.find(|said| !said.is_empty()).cloned()
        };
        let (from, to) = match (said(short), said(long)) {
            (Some(said), None) => (said, long),
            (None, Some(said)) => (said, short),
            _ => continue,
        };
        for index in within(to) {
            if let Some(place) = found.get_mut(index) {
                place.clone_from(&from);
            }
        }
    }
}

/// Where the next section begins or ends behind a byte.
fn border(sections: &[Section], at: usize) -> Option<usize> {
    let next = sections.get(sections.partition_point(|section| section.end <= at))?;
    Some(next.heading.begin)
        .filter(|begin| *begin > at)
        .or(Some(next.end))
}

/// Whether a tick box that is empty stands directly before a mention, or is one of the things between "/" behind it; or directly behind it,
/// where the boxes of its line stand behind what they are for: "Cough [x] Fever [ ]".
fn has_empty_box(text: &str, answers: &[Answer], (begin, end): (usize, usize)) -> bool {
    let from = text.floor_char_boundary(begin.saturating_sub(LINE_REACH));
    let to = text.ceil_char_boundary(end.saturating_add(LINE_REACH).min(text.len()));
    let before = text.get(from..begin).unwrap_or_default();
    let line = begin - before.rsplit('\n').next().unwrap_or_default().len();
    let whole = text.get(line..to).unwrap_or_default();
    let whole = whole.split('\n').next().unwrap_or_default().trim();
    let mut boxes = EMPTY.iter().chain(&TICKED);
    if !boxes.clone().any(|form| whole.starts_with(form)) && boxes.any(|form| whole.ends_with(form)) {
        let behind = text.get(end..).unwrap_or_default().trim_start_matches([' ', ':']);
        return EMPTY.iter().any(|form| behind.starts_with(form))
            && TICKED.iter().any(|form| whole.contains(form));
    }
    let from = text.floor_char_boundary(begin.saturating_sub(BOX_REACH));
    let before = text.get(from..begin).unwrap_or_default();
    let last = |forms: &[&str]| {
        forms
            .iter()
            .filter_map(|form| Some((before.rfind(form)?, form.len())))
            .max()
    };
    let Some((place, length)) = last(&EMPTY) else {
        return false;
    };
    let between = before.get(place + length..).unwrap_or_default();
    last(&TICKED).is_none_or(|(ticked, _)| ticked < place)
        && group_at(answers, from + place).is_none()
        && !between.contains(['\n', '\t', ',', ':', ';', '.', '[', '('])
        && !between.contains("   ")
}

/// Tick boxes, and how far behind one something may stand, in bytes.
const EMPTY: [&str; 4] = ["[ ]", "[]", "( )", "\u{2610}"];
const TICKED: [&str; 6] = ["[x]", "[X]", "(x)", "(X)", "\u{2611}", "\u{2612}"];
const BOX_REACH: usize = 28;
/// Bytes that the line of a mention is looked at, before it and behind it.
const LINE_REACH: usize = 200;
/// What says that something behind one is absent.
const BOX: &str = "an empty tick box";
/// What says so of something before boxes for yes and no.
const TICKED_NO: &str = "no, ticked";

/// The words of a sentence, or of an item of a list.
#[derive(Default)]
struct Sentence {
    words: Vec<ByteSpan>,
    /// How many brackets are open before each word, counting those that close more as well.
    open: Vec<i32>,
    folded: String,
    /// Where in `folded` each word ends.
    ends: Vec<usize>,
    /// The words of its mentions that are drugs, in their order.
    drugs: Vec<Range<usize>>,
    /// The words that are written in capitals, and whether any small letter is there.
    capitals: Vec<usize>,
    small: bool,
    /// The words that are all that a cell of a table has, and answer the one before it.
    cells: Vec<usize>,
    /// Those that say yes by their accent: "sí".
    affirmed: Vec<usize>,
    /// Whether a plus stands behind something anywhere in the text: "cough +".
    plus_answers: bool,
}

/// What stands at a place of a sentence: an entry that means something here, and its words.
struct Hit {
    words: Range<usize>,
    name: &'static str,
    roles: Vec<Role>,
    /// Those that it means something in.
    languages: Languages,
}

impl Sentence {
    fn clear(&mut self) {
        self.words.clear();
        self.open.clear();
        self.folded.clear();
        self.ends.clear();
        self.cells.clear();
        self.affirmed.clear();
        self.capitals.clear();
        self.drugs.clear();
        self.small = false;
    }

    fn push(&mut self, text: &str, word: ByteSpan) {
        let open = self.open.last().copied().unwrap_or_default();
        self.open.push(match self.before(self.words.len(), 1) {
            "(" | "[" => open + 1,
            ")" | "]" => open - 1,
            _ => open,
        });
        fold(text.get(word.range()).unwrap_or_default(), &mut self.folded);
        self.ends.push(self.folded.len());
        let own = text.get(word.range()).unwrap_or_default();
        let small = own.contains(char::is_lowercase);
        self.small |= small;
        if !small && (2..=4).contains(&own.len()) && own.chars().all(char::is_uppercase) {
            self.capitals.push(self.words.len());
        }
        if own.chars().count() == 2
            && own.to_lowercase().starts_with('s')
            && own.ends_with(['í', 'Í', 'ì', 'Ì'])
        {
            self.affirmed.push(self.words.len());
        }
        if self.is_cell(text, word) {
            self.cells.push(self.words.len());
        }
        self.words.push(word);
    }

    fn word(&self, index: usize) -> &str {
        let begin = index.checked_sub(1).and_then(|before| self.ends.get(before));
        let end = self.ends.get(index).copied().unwrap_or_default();
        self.folded
            .get(begin.copied().unwrap_or(0)..end)
            .unwrap_or_default()
    }

    /// The word so many before another; nothing where there is none.
    fn before(&self, at: usize, count: usize) -> &str {
        at.checked_sub(count).map_or("", |before| self.word(before))
    }

    /// Whether the next word is in this sentence.
    fn goes_on(&self, text: &str, next: ByteSpan) -> bool {
        let Some(last) = self.words.last() else {
            return true;
        };
        let gap = text.get(last.end..next.begin).unwrap_or_default();
        if gap.is_empty() {
            return true;
        }
        let own = text.get(next.range()).unwrap_or_default();
        if self.has_answered() && gap.contains(is_wide) {
            return false;
        }
        if BULLETS.contains(&own) && gap.matches('\n').count() == 1 && self.heads_a_list() {
            return true;
        }
        match between(text, last.end, next.begin) {
            Break::Sentence if self.before(self.words.len(), 1) == "?" => is_answer(own),
            Break::Paragraph | Break::Sentence => false,
            // A sentence may well begin small.
            Break::Line | Break::Space if ends_with_full_stop(text.get(..last.end).unwrap_or_default()) => {
                false
            }
            Break::Line => {
                let before = text.get(..last.end).unwrap_or_default();
                let line = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
                let small = own.starts_with(|c: char| c.is_lowercase() || c.is_ascii_digit());
                let capitals =
                    own.chars().filter(|c| c.is_uppercase()).count() > 1 && !own.contains(char::is_lowercase);
                let word = self.before(self.words.len(), 1);
                before.ends_with([',', '/'])
                    // "Fever  No", and below it "Cough  Yes".
                    || (OPEN.contains(&word) && !(is_answer(word) && own.starts_with(char::is_uppercase) && line < WRAPPED))
                    || (small && line >= WRAPPED / 2)
                    || (line >= WRAPPED && !capitals)
            }
            // Columns.
            _ => !is_column(gap) || self.is_cell(text, next),
        }
    }

    /// Whether a full stop that an abbreviation may need ends the sentence before the next word, which begins with a capital letter: behind a
    /// number's unit, "over 10 mm. Effusion", what is taken by mouth or into a vein, a mention that ends there, "hepatitis B. Effusion", or
    /// "ST".
    fn is_over(&self, text: &str, next: ByteSpan, mention_end: usize) -> bool {
        let Some(stop) = self
            .words
            .len()
            .checked_sub(1)
            .filter(|last| self.word(*last) == ".")
        else {
            return false;
        };
        let mut letters = text.get(next.range()).unwrap_or_default().chars();
        let is_begun =
            letters.next().is_some_and(char::is_uppercase) && letters.next().is_some_and(char::is_lowercase);
        let begin = self.words.get(stop).map_or(0, |stop| stop.begin);
        let (own, before) = (self.before(stop, 1), self.before(stop, 2));
        let is_number = |word: &str| word.ends_with(|c: char| c.is_ascii_digit());
        let unit = own.trim_start_matches(|c: char| c.is_ascii_digit());
        let counted = MEASURES.contains(&unit) && (unit.len() < own.len() || is_number(before));
        let given = before == "." && WAYS.contains(&(self.before(stop, 3), own));
        let capital = own == "st" && stop.checked_sub(1).is_some_and(|at| self.capitals.contains(&at));
        let shortened = ENDING_SENTENCES.contains(&own)
            || (matches!(own, "rt" | "lt") && matches!(before, "on" | "in" | "of" | "to"));
        is_begun && (counted || given || capital || shortened || mention_end == begin)
    }

    /// Whether a word stands behind a column's space, is all of its cell, and answers the cell before it: neither is an answer too, nor is the
    /// one behind it, as in "fever   yes   no".
    fn is_cell(&self, text: &str, word: ByteSpan) -> bool {
        let Some(last) = self.words.last() else {
            return false;
        };
        let slice = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let is_answer = |text: &str| CELLS.contains(&&*folded(text));
        if !is_column(slice(last.end, word.begin))
            || !is_answer(slice(word.begin, word.end))
            || is_answer(slice(last.begin, last.end))
        {
            return false;
        }
        let rest = slice(word.end, text.len());
        let space = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let (gap, behind) = rest.split_at(space);
        let next = words(behind)
            .next()
            .map_or("", |next| behind.get(next.range()).unwrap_or_default());
        let breaks = gap.contains('\n');
        behind.is_empty() || breaks || (is_column(gap) && !is_answer(next))
    }

    /// Whether its last word has answered something in a table: "fever | no".
    fn has_answered(&self) -> bool {
        let Some(last) = self.words.len().checked_sub(1) else {
            return false;
        };
        let before = self.before(last, 1);
        let of_a_table = before == "|" || (before == "," && self.are_joined(last - 1));
        self.cells.last() == Some(&last) || (of_a_table && CELLS.contains(&self.word(last)))
    }

    /// Whether it began with a few words of denial or of fear and a colon, behind which the lines of a list stand.
    fn heads_a_list(&self) -> bool {
        let colon = (1..=MOST_HEADING).find(|at| self.word(*at) == ":");
        colon.is_some_and(|colon| {
            let listed = matches!(self.word(colon + 1), word if word.is_empty() || BULLETS.contains(&word));
            listed && (0..colon).any(|at| HEADING.contains(&self.word(at)))
        })
    }

    /// The words of a mention.
    fn place(&self, begin: usize, end: usize) -> Range<usize> {
        let first = self.words.partition_point(|word| word.end <= begin);
        let last = self.words.partition_point(|word| word.begin < end);
        first..last.max(first)
    }

    /// The entries that the sentence has in these languages, from its first word to its last; the longest where several begin.
    fn hits(&self, spoken: Spoken, mentions: &[Range<usize>], answers: &[Answer]) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut at = 0;
        // A minus at the beginning may be a list's dash.
        let signed = (0..self.words.len()).any(|at| self.is_sign(at, "+"))
            && (1..self.words.len()).any(|at| self.is_sign(at, "-"));
        let counted = (0..self.words.len()).any(|at| self.is_free_sign(at, "+"));
        while let Some(word) = self.words.get(at) {
            if let Some(answer) = group_at(answers, word.begin) {
                let words = at..self.words.partition_point(|word| word.begin < answer.end);
                at = words.end;
                hits.push(Hit {
                    words,
                    name: TICKED_NO,
                    roles: vec![Role::Stop],
                    languages: spoken.languages,
                });
                continue;
            }
            if signed && let Some(role) = self.sign(at) {
                hits.push(Hit {
                    words: at..at + 1,
                    name: "-",
                    roles: vec![role],
                    languages: spoken.languages,
                });
                at += 1;
                continue;
            }
            // "+ cough, - SOB", "cough +, SOB -"
            let asked = self.word(at) == "-" && self.is_before_question(at, ":");
            let ahead = counted && !asked && self.is_free_sign(at, "-");
            let back = (asked || (self.plus_answers && self.is_sign_behind(at, "-")))
                && self.is_answer_to_mention(at, mentions);
            if ahead || back {
                let roles = vec![Role::Cue(Kind::Negated, ahead.then_some(1), back.then_some(2))];
                hits.push(Hit {
                    words: at..at + 1,
                    name: "-",
                    roles,
                    languages: spoken.languages,
                });
                at += 1;
                continue;
            }
            if self.affirmed.contains(&at) && self.word(at + 1) != "/" {
                hits.push(Hit {
                    words: at..at + 1,
                    name: "sí",
                    roles: vec![Role::Stop],
                    languages: spoken.languages,
                });
                at += 1;
                continue;
            }
            let in_form = self.is_in_form(at);
            let entries = LEXICON.get(self.word(at)).map_or(&[][..], Vec::as_slice);
            let hit = entries
                .iter()
                .filter(|entry| self.has(entry, at) && !(in_form && entry.words.len() > 1))
                .find_map(|entry| {
                    let languages = self.may_be_in(spoken, entry, at);
                    let here = || entry.roles.iter().filter(|(of, _)| of & languages != 0);
                    let mut roles: Vec<Role> = here().map(|(_, role)| *role).collect();
                    // Languages may share an entry. An Italian "if" is often in Spanish and Portuguese, and none.
                    roles.dedup();
                    if entry.name == "se" && languages & (ES | PT) != 0 {
                        roles.retain(|role| !matches!(role, Role::Cue(_, Some(usize::MAX), _)));
                    }
                    let words = at..at + entry.words.len();
                    let fits = !roles.is_empty() && !inside(&words, mentions);
                    fits.then_some(Hit {
                        words,
                        name: entry.name,
                        roles,
                        languages: here().fold(0, |all, (of, _)| all | of & languages),
                    })
                });
            at = hit.as_ref().map_or(at + 1, |hit| hit.words.end);
            hits.extend(hit);
        }
        hits
    }

    /// What a sign does in a sentence of signs, "-LOC, -nausea, +headache": a minus says no of what stands behind it, up to a comma.
    fn sign(&self, at: usize) -> Option<Role> {
        if self.is_sign(at, "+") {
            return Some(Role::Stop);
        }
        self.is_sign(at, "-").then(|| {
            let reach = (at + 1..at + 5).take_while(|at| !matches!(self.word(*at), "," | ";" | ""));
            Role::Cue(Kind::Negated, Some(reach.count()), None)
        })
    }

    /// Whether this sign stands apart from the word behind it, and begins something.
    fn is_free_sign(&self, at: usize, sign: &str) -> bool {
        let letter = self.word(at + 1).starts_with(char::is_alphabetic);
        self.word(at) == sign
            && letter
            && !self.are_joined(at)
            // A minus at the beginning is a list's dash.
            && (matches!(self.before(at, 1), "," | ":") || (sign == "+" && at == 0))
    }

    /// Whether this sign stands free, and nothing of what it may be said of behind it: "cough +, fever -".
    fn is_sign_behind(&self, at: usize, sign: &str) -> bool {
        self.word(at) == sign
            && self.is_apart(at)
            && (at + 1 == self.words.len() || matches!(self.word(at + 1), "," | ";" | "."))
    }

    /// Whether this sign stands right before a word, and apart from what is before it.
    fn is_sign(&self, at: usize, sign: &str) -> bool {
        let next = self.word(at + 1);
        // "+ve" is a word of its own.
        let letter = next.starts_with(char::is_alphabetic) && next != "ve";
        self.word(at) == sign && letter && self.are_joined(at) && self.is_apart(at)
    }

    /// Those of the languages that a word here may be a cue of. A few capital letters among small ones are an English short form, where
    /// another language is not the only one that the text may be in: "MDD, SI, TIA".
    fn may_be_in(&self, spoken: Spoken, entry: &Entry, at: usize) -> Languages {
        let languages = spoken.languages;
        let unknown = languages == ALL && UNTOLD.contains(&entry.name);
        let short = entry.words.len() == 1
            && languages.count_ones() > 1
            && self.small
            && !CAPITALS.contains(&entry.name)
            && self.capitals.binary_search(&at).is_ok();
        let own = if unknown || short {
            languages & EN
        } else {
            languages
        };
        if spoken.by_names { own | EN } else { own }
    }

    fn has(&self, entry: &Entry, at: usize) -> bool {
        let mut words = entry.words.iter().enumerate();
        at + entry.words.len() <= self.words.len()
            && words.all(|(offset, word)| self.word(at + offset) == *word)
    }

    /// What is said of each of these mentions, which come in the order of their first words: of each kind by the nearest cue.
    fn said(&self, spoken: Spoken, mentions: &[Range<usize>], answers: &[Answer]) -> Vec<Vec<Assertion>> {
        let hits = self.hits(spoken, mentions, answers);
        let mut nearest: Vec<BTreeMap<Kind, (usize, &'static str)>> = vec![BTreeMap::new(); mentions.len()];
        let mut note = |index: usize, kind: Kind, apart: usize, cue| {
            if let Some(own) = nearest.get_mut(index) {
                let place = own.entry(kind).or_insert((apart, cue));
                if apart < place.0 {
                    *place = (apart, cue);
                }
            }
        };
        let longest = mentions.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        for (number, hit) in hits.iter().enumerate() {
            for role in &hit.roles {
                let (kind, ahead, back) = match *role {
                    Role::Cue(kind, Some(_), back)
                        if BEFORE.contains(&hit.name) && self.word(hit.words.end) == ":" =>
                    {
                        (kind, FAR, back)
                    }
                    // "Diabetes in her maternal aunt."
                    Role::Cue(Kind::Family, ahead, NEXT) if self.is_of_somebody(hit.words.start) => {
                        (Kind::Family, ahead, NEAR)
                    }
                    Role::Cue(kind, ahead, None) if DENIES.contains(&hit.name) => (kind, ahead, NEXT),
                    Role::Cue(kind, ahead, back) => (kind, ahead, back),
                    Role::Either(kind) if self.is_before(hit, mentions) => (kind, FAR, None),
                    Role::Either(kind) => (kind, None, NEAR),
                    Role::Drug(kind, Some(_), Some(back)) if !self.is_before_drug(hit) => {
                        (kind, None, Some(back))
                    }
                    Role::Drug(kind, Some(ahead), _) => (kind, Some(ahead), None),
                    Role::Drug(kind, None, back) => (kind, None, back),
                    _ => continue,
                };
                let of_drugs = matches!(role, Role::Drug(..));
                let is_asked = |mention: &Range<usize>| match of_drugs {
                    true => self.is_drug(mention),
                    // "GERD prn antacids"; and "calcium: N" is normal.
                    false if matches!(hit.name, "prn" | "n") => !self.is_drug(mention),
                    // "History of AF on warfarin".
                    false => kind != Kind::Historical || !self.is_taken(mention),
                };
                if kind == Kind::Family && self.tells(hit) {
                    continue;
                }
                let answers = self.answers(hit, mentions);
                if let Some(reach) = ahead.filter(|_| !answers && self.may_look_ahead(hit, mentions)) {
                    let end = self.ahead(&hits, number, kind, reach, mentions);
                    let first = mentions.partition_point(|mention| mention.start < hit.words.start);
                    let here = mentions.iter().enumerate().skip(first);
                    for (index, mention) in here.take_while(|(_, mention)| mention.start < end) {
                        // Its first words may be the model's idea of the mention: "suspected PE".
                        let begins = mention.start == hit.words.start && mention.end > hit.words.end;
                        let behind = mention.start >= hit.words.end;
                        let said = match kind {
                            Kind::Negated => {
                                (behind && !self.in_brackets(hit.words.end, mention.start))
                                    || (begins && DENYING.contains(&hit.name))
                            }
                            _ => behind || begins,
                        };
                        if said && is_asked(mention) {
                            note(index, kind, mention.start.saturating_sub(hit.words.end), hit.name);
                        }
                    }
                }
                if let Some(reach) = back.filter(|_| answers || self.may_look_back(hit, mentions)) {
                    let reach = if self.is_in_form(hit.words.start) {
                        reach.min(2)
                    } else {
                        reach
                    };
                    let begin = self.back(&hits, number, kind, reach, mentions);
                    let first = mentions.partition_point(|mention| mention.start + longest < begin);
                    let here = mentions.iter().enumerate().skip(first);
                    for (index, mention) in here.take_while(|(_, mention)| mention.start < hit.words.start) {
                        if mention.end <= hit.words.start && mention.end > begin && is_asked(mention) {
                            note(index, kind, hit.words.start - mention.end, hit.name);
                        }
                    }
                }
            }
        }
        let listed = |own: BTreeMap<Kind, (usize, &'static str)>| {
            let found = own.into_iter();
            found.map(|(kind, (_, cue))| Assertion { kind, cue }).collect()
        };
        nearest.into_iter().map(listed).collect()
    }

    /// One past the last word that a cue reaches ahead.
    fn ahead(
        &self,
        hits: &[Hit],
        number: usize,
        kind: Kind,
        reach: usize,
        mentions: &[Range<usize>],
    ) -> usize {
        let Some(hit) = hits.get(number) else { return 0 };
        let mut end = self.words.len().min(hit.words.end.saturating_add(reach));
        // "Descartada TVP y TEP."
        if kind == Kind::Negated && matches!(reach, 1 | 2) && hit.languages & EN == 0 && hit.name != "-" {
            end = self.end_of_joined(end, hit.languages, mentions);
        }
        // "Se febre, vómitos ou dor".
        if hit.name == "se" && reach == 1 {
            end = self.end_of_list(hit.words.end, hit.languages, mentions).max(end);
        }
        let behind = hits.iter().skip(number + 1);
        for next in behind {
            let ends = next.roles.iter().any(|role| match *role {
                Role::Stop => kind == Kind::Negated || !OF_NEGATIONS.contains(&next.name),
                Role::Anew => {
                    self.is_anew(next.words.start)
                        && !(kind == Kind::Family
                            && next.words.start <= hit.words.end + 1
                            && self.is_told_of(hit))
                        && !(kind == Kind::Hypothetical && MODIFIERS.contains(&next.name))
                }
                Role::EndOf(of) => {
                    of == kind && self.has_said(hit.words.end..next.words.start, hit.languages, mentions)
                }
                // "No fever h/o COPD", and not "no documented history of COPD", "no cardiac history of arrhythmia".
                Role::Cue(Kind::Historical, FAR, _) if kind == Kind::Negated => {
                    let mut between = hit.words.end..next.words.start;
                    while !between.is_empty() && tells_of_what_kind(self.before(between.end, 1)) {
                        between.end -= 1;
                    }
                    !self.is_joint(next.words.end, hit.languages)
                        && !self.ends(next.words.end)
                        && !self.in_brackets(hit.words.end, next.words.start)
                        && (self.before(between.end, 1) == ","
                            || self.has_said(between, hit.languages, mentions))
                }
                // "Absence of fever does not exclude endocarditis."
                Role::Cue(Kind::Uncertain, Some(_), _)
                    if kind == Kind::Negated
                        && (next.name.ends_with("exclude") || next.name.ends_with("rule out")) =>
                {
                    true
                }
                // ", history of asthma", "fever, no cough".
                Role::Cue(other, Some(_), _) | Role::Either(other) => {
                    (other != kind
                        && self.is_anew(next.words.start)
                        && kind != Kind::Family
                        && kind != Kind::Historical)
                        || (other == kind && kind == Kind::Family)
                        || (other == Kind::Family && kind != Kind::Negated)
                }
                _ => false,
            });
            if ends {
                end = end.min(next.words.start);
                break;
            }
        }
        let end = self.own_end(hit, kind, end, mentions);
        // A colon begins something else, unless it belongs to the cue; so does a bracket that is closed.
        let mut open = 0;
        for at in hit.words.end..end {
            match self.word(at) {
                // "Denies the following: fever"
                ":" if at > hit.words.end && !LEADING.contains(&self.word(at - 1)) => return at,
                "(" | "[" => open += 1,
                ")" | "]" if open == 0 => return at,
                ")" | "]" => open -= 1,
                _ => {}
            }
        }
        end
    }

    /// Where a list of what is denied ends: before one thing behind its only comma that is said to be there, "no signs of infection, dehiscence
    /// noted", and, behind "or", before words that name nothing, "no cyanosis or clubbing, pulses intact, varicose veins present".
    fn end_of_denied(&self, list: Range<usize>, languages: Languages, mentions: &[Range<usize>]) -> usize {
        let commas: Vec<usize> = list.clone().filter(|at| self.word(*at) == ",").collect();
        let item = |from: usize| {
            let next = commas.iter().copied().find(|comma| *comma > from);
            from + 1..next.unwrap_or(list.end)
        };
        // "Sans foyer ni épanchement, cardiomégalie": each of such a list has its own.
        let repeated = list
            .clone()
            .rev()
            .find(|at| matches!(self.word(*at), "ni" | "nem"));
        if let Some(last) = repeated
            && let Some(comma) = commas.iter().copied().find(|comma| *comma > last)
        {
            return comma;
        }
        let is_one = |item: &Range<usize>| item.clone().any(|at| is_mention(at, mentions));
        if let [comma] = *commas.as_slice() {
            let item = item(comma);
            let last = item.clone().rev().find(|at| self.word(*at) != ".");
            let is_there = is_one(&item)
                && last.is_some_and(|at| NOW.contains(&self.word(at)))
                && !item.clone().any(|at| joins(OR, self.word(at), languages))
                && !self.are_a_pair(comma);
            return if is_there { comma } else { list.end };
        }
        let joined = list.clone().find(|at| joins(OR, self.word(*at), languages));
        let behind = commas
            .iter()
            .copied()
            .filter(|comma| joined.is_some_and(|at| at < *comma));
        let mut named_nothing = behind.filter(|comma| {
            let item = item(*comma);
            item.len() > 1 && !is_one(&item) && !item.clone().any(|at| joins(OR, self.word(at), languages))
        });
        named_nothing.next().unwrap_or(list.end)
    }

    /// One past the last of mentions that are joined by "and" or "or" with the one that stands before this word.
    fn end_of_joined(&self, from: usize, languages: Languages, mentions: &[Range<usize>]) -> usize {
        let mut end = from;
        let behind_mention = |at: usize| at > 0 && is_mention(at - 1, mentions);
        while behind_mention(end) {
            if is_mention(end, mentions) {
                end += 1;
            } else if self.is_joint(end, languages) && is_mention(end + 1, mentions) {
                end += 2;
            } else {
                break;
            }
        }
        end.min(self.words.len())
    }

    /// One past the last of mentions that stand from here on with nothing but commas and "or" between them.
    fn end_of_list(&self, from: usize, languages: Languages, mentions: &[Range<usize>]) -> usize {
        let mut end = from;
        for at in from..self.words.len().min(from + MOST_LISTED) {
            if is_mention(at, mentions) {
                end = at + 1;
            } else if self.word(at) != "," && !joins(OR, self.word(at), languages) {
                break;
            }
        }
        end
    }

    /// Where what a cue says ends by its own nature, before `end`.
    fn own_end(&self, hit: &Hit, kind: Kind, end: usize, mentions: &[Range<usize>]) -> usize {
        let of_drugs = hit.roles.iter().any(|role| matches!(role, Role::Drug(..)));
        let first = |among: &[&str], from: usize| (from..end).find(|at| among.contains(&self.word(*at)));
        // "Albuterol prn wheezing, gout", "Haldol prn agitation given for delirium", "old MI with chest pain".
        if hit.name == "prn" {
            let listed = self.end_of_list(hit.words.end, hit.languages, mentions);
            let is_all = listed == self.words.len() || matches!(self.word(listed), "." | ";");
            let drug = self
                .drugs
                .iter()
                .any(|drug| (hit.words.end..listed).contains(&drug.start));
            let reach = first(&[",", ".", "given", "used", "with"], hit.words.end).unwrap_or(end);
            return if is_all && !drug { reach.max(listed) } else { reach };
        }
        if BEFORE.contains(&hit.name) && self.word(hit.words.end) == ":" {
            return end;
        }
        if BEFORE.contains(&hit.name) || hit.name.starts_with("old") {
            return first(&[",", ".", "with", "w", "and"], hit.words.end).unwrap_or(end);
        }
        // "S/p fall with hip pain", "s/p appendectomy, fever".
        if matches!(hit.name, "s/p" | "status post") {
            return first(&[",", "with", "w"], hit.words.end + 1).unwrap_or(end);
        }
        // "Profilaxis de TVP con enoxaparina"; "ibuprofeno si dolor, omeprazol 20 mg".
        if kind == Kind::Hypothetical {
            // "Vaccinata per influenza, tosse."
            let listed = |from: usize| (from..end).any(|at| self.is_joint(at, hit.languages));
            let comma = first(&[","], hit.words.end).filter(|comma| !listed(*comma));
            if let Some(comma) =
                comma.filter(|_| hit.name.starts_with("vac") || hit.name.starts_with("gevac"))
            {
                return comma;
            }
            let drugs = || self.drugs.iter().map(|drug| drug.start);
            let given = drugs().filter(|at| WITH.contains(&self.before(*at, 1)));
            let others = drugs().filter(|at| WHEN.contains(&hit.name) && self.before(*at, 1) == ",");
            let before = given.chain(others).map(|at| at - 1);
            return before
                .filter(|at| (hit.words.end + 1..end).contains(at))
                .min()
                .unwrap_or(end);
        }
        // "No fever on amoxicillin."
        let given = self.drugs.iter().map(|drug| drug.start.saturating_sub(1));
        let mut given = given.filter(|at| (hit.words.end..end).contains(at) && self.word(*at) == "on");
        let end = match given.find(|at| self.says_more(hit.words.end..*at)) {
            Some(on) if kind == Kind::Negated || of_drugs => on,
            _ => end,
        };
        if matches!(hit.name, "ni" | "nem")
            && let Some(comma) = first(&[","], hit.words.end)
            && !(comma..end).any(|at| self.word(at) == hit.name)
        {
            return comma;
        }
        let end = if kind == Kind::Negated && !DENIES.contains(&hit.name) {
            self.end_of_denied(hit.words.end..end, hit.languages, mentions)
        } else {
            end
        };
        // "No fever, chills or cough" is a list, and so is "no cyanosis, clubbing, oedema"; "no effusion, hyperdynamic ventricle" is none.
        if of_drugs
            || (kind == Kind::Negated
                && (DETERMINERS.contains(&hit.name) || matches!(hit.name, "neg" | "negative")))
        {
            let comma = (hit.words.end..end).find(|at| self.word(*at) == ",");
            return comma
                .filter(|comma| {
                    self.is_no_item(hit, *comma..end, mentions)
                        || !self.is_list(*comma..end, hit.languages, mentions)
                })
                .unwrap_or(end);
        }
        end
    }

    /// Whether something is named among these words, as far as one can tell without knowing it.
    fn says_more(&self, mut words: Range<usize>) -> bool {
        words.any(|at| !FILLING.contains(&self.word(at)))
    }

    /// Whether a cue's words have said of something what they say, before others begin: a mention ends there, or a comma does, and no list goes
    /// on behind them.
    fn has_said(&self, words: Range<usize>, languages: Languages, mentions: &[Range<usize>]) -> bool {
        let before = self.before(words.end, 1);
        if joins(OR, before, languages) || words.is_empty() {
            return false;
        }
        if before == "," {
            // "Denies travel, taking pills, or swelling."
            let rest = (words.end..self.words.len()).take_while(|at| !matches!(self.word(*at), "." | ";"));
            return !rest.into_iter().any(|at| joins(OR, self.word(at), languages));
        }
        let begun = mentions.partition_point(|mention| mention.start < words.start);
        let mut behind = mentions
            .iter()
            .skip(begun)
            .take_while(|mention| mention.start < words.end);
        behind.any(|mention| mention.end <= words.end)
            || NAMED.contains(&before)
            || HABITS.iter().any(|habit| before.starts_with(habit))
    }

    /// Whether what a cue denies, up to a comma, is nothing that a list of findings goes on from: a habit or an allergy, "no alcohol, COPD", an
    /// adjective of what stands before it, "DM no insulinodependiente, HTA", or a test, "negative chest X-ray, cough".
    fn is_no_item(&self, hit: &Hit, rest: Range<usize>, mentions: &[Range<usize>]) -> bool {
        let mut item = hit.words.end..rest.start;
        // "No tobacco, alcohol or drugs."
        if rest.into_iter().any(|at| joins(OR, self.word(at), hit.languages)) {
            return false;
        }
        let habit = item
            .clone()
            .any(|at| HABITS.iter().any(|habit| self.word(at).starts_with(habit)));
        let named = item.any(|at| is_mention(at, mentions));
        let adjective = matches!(hit.name, "no" | "non" | "nao" | "niet" | "nicht")
            && hit.languages & EN == 0
            && is_end(hit.words.start, mentions);
        habit || (!named && (adjective || hit.name.starts_with("neg")))
    }

    /// Whether words behind a comma go on with a list: some of them are joined by "or", or all stand alone, or they are many and
    /// short, or they are mentions and nothing else: "no nausea, abdominal pain".
    fn is_list(&self, words: Range<usize>, languages: Languages, mentions: &[Range<usize>]) -> bool {
        // "No fever, cough since Monday".
        let lasts = matches!(
            self.word(words.end),
            "since" | "seit" | "depuis" | "sinds" | "desde"
        );
        let all: Vec<usize> = words.filter(|at| self.word(*at) != ".").collect();
        let items: Vec<&[usize]> = all.split(|at| self.word(*at) == ",").skip(1).collect();
        if lasts && items.len() == 1 {
            return false;
        }
        let longest = items.iter().map(|item| item.len()).max().unwrap_or(0);
        let named = || {
            items
                .iter()
                .all(|item| self.is_named(item, items.len() == 1, mentions))
        };
        let begins_anew = || {
            let first = items.first().and_then(|item| item.first());
            items.len() == 1 && first.is_some_and(|at| BEGINNING.contains(&self.word(*at)))
        };
        all.iter().any(|at| joins(OR, self.word(*at), languages))
            || longest == 1
            || (longest == 2 && items.len() > 2)
            || (named() && !begins_anew())
    }

    /// Whether an item of a list is a mention, behind a word for its site, and before words of the time; of an item `alone` those say that it is
    /// there: "no carcinoma, dysplasia present".
    fn is_named(&self, item: &[usize], alone: bool, mentions: &[Range<usize>]) -> bool {
        let mut rest = item.iter().copied().peekable();
        while rest
            .next_if(|at| SITES.contains(&self.word(*at)) && !is_mention(*at, mentions))
            .is_some()
        {}
        let mut is_one = false;
        while rest.next_if(|at| is_mention(*at, mentions)).is_some() {
            is_one = true;
        }
        let alone = alone && item.first().is_none_or(|first| !self.are_a_pair(first - 1));
        is_one && rest.all(|at| ENDING.contains(&self.word(at)) || (!alone && NOW.contains(&self.word(at))))
    }

    /// Whether what stands on both sides of a comma is always told together: "no fever, chills today".
    fn are_a_pair(&self, comma: usize) -> bool {
        let item = (comma + 1..self.words.len()).take_while(|at| !matches!(self.word(*at), "," | "." | ";"));
        let mut named = item
            .map(|at| self.word(at))
            .filter(|word| !NOW.contains(word) && !ENDING.contains(word));
        let (Some(last), left) = (named.by_ref().last(), self.before(comma, 1)) else {
            return false;
        };
        GROUPS.iter().any(|group| {
            let has = |word: &str| group.iter().any(|start| word.starts_with(start));
            has(left) && has(last)
        })
    }

    /// Whether a bracket has opened between two words that does not open with the first.
    fn in_brackets(&self, from: usize, to: usize) -> bool {
        let open = |at: usize| self.open.get(at).copied().unwrap_or_default();
        to > from && open(to) > open(from + 1)
    }

    /// The first word that a cue reaches back to. It does so over no comma, unless "and" or the like makes a list of what stands there.
    fn back(
        &self,
        hits: &[Hit],
        number: usize,
        kind: Kind,
        reach: usize,
        mentions: &[Range<usize>],
    ) -> usize {
        let Some(hit) = hits.get(number) else { return 0 };
        let asked = self.asked(hit.words.start);
        let directly = hit.words.start.checked_sub(1);
        let of_the_last = kind == Kind::Historical
            || hit.name.starts_with("which ")
            || BEFORE.contains(&hit.name)
            || matches!(hit.name, "neg" | "negative")
            || self.answers(hit, mentions);
        let mut before = hits.iter().take(number).rev();
        let stop = before.find(|before| before.roles.contains(&Role::Stop));
        let floor = stop.map_or(0, |stop| stop.words.end);
        let begin = hit.words.start.saturating_sub(asked + reach).max(floor);
        if matches!(kind, Kind::Negated | Kind::Uncertain)
            && let Some(list) = self.list_before(begin..hit.words.start, floor, mentions, hit.languages)
        {
            return list;
        }
        // "On aspirin, stopped smoking": somebody stopped something else.
        let of_drugs = hit.roles.iter().any(|role| matches!(role, Role::Drug(..)));
        let next = self.word(hit.words.end);
        let stops_it = !of_drugs
            || self.ends(hit.words.end)
            || next.starts_with(|c: char| !c.is_alphabetic())
            || BY.contains(&next);
        let of_the_last = of_the_last && stops_it;
        let mut listed = false;
        for at in (begin..hit.words.start - asked).rev() {
            match self.word(at) {
                "/" => listed = true,
                _ if self.is_joint(at, hit.languages) => listed = true,
                // "Acute kidney injury, resolved", "pneumonia, which was ruled out".
                "," if listed || (of_the_last && Some(at) == directly) => {}
                "," => return at + 1,
                "." | ";" => return at + 1,
                // Another cell.
                "|" if Some(at) != directly => return at + 1,
                _ => {}
            }
        }
        begin
    }

    /// Whether a word for no stands behind what it answers, in a form or table: "fever no, cough yes", "fever | no", "rash: N".
    fn answers(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let (at, end) = (hit.words.start, hit.words.end);
        let before = self.before(at, 1);
        // "Fever,No"
        let of_commas = || before == "," && self.are_joined(at - 1) && is_end(at - 1, mentions);
        let of_a_table = || before == "|" || self.cells.contains(&at) || of_commas();
        match hit.name {
            "no" | "non" | "nao" | "n" if self.is_chosen(at) => true,
            _ if hit.words.len() == 1 && self.is_in_form(at) => true,
            "no" | "non" | "nao" => self.ends(end) && (of_a_table() || is_end(at, mentions)),
            "n" => {
                let bracketed = before == "[" && self.word(end) == "]" && is_end(at - 1, mentions);
                let ends = self.ends(end) || self.word(end + 1) == ":";
                bracketed || (ends && (of_a_table() || (before == ":" && is_end(at - 1, mentions))))
            }
            name if DENIES.contains(&name) => {
                let own = mentions.iter().find(|mention| mention.end == at);
                let begins =
                    |mention: &Range<usize>| matches!(self.before(mention.start, 1), "" | "," | ";" | ".");
                self.ends(end) && own.is_some_and(begins)
            }
            _ => false,
        }
    }

    /// Whether a mention ends right before a sign, or before its colon.
    fn is_answer_to_mention(&self, at: usize, mentions: &[Range<usize>]) -> bool {
        is_end(at - usize::from(self.before(at, 1) == ":"), mentions)
    }

    /// Whether a word for no stands behind a sign that parts question and answer, and the next question has the same: "smoker: no COPD: yes".
    fn is_in_form(&self, at: usize) -> bool {
        let sign = self.before(at, 1);
        matches!(sign, ":" | "?" | "-" | "\u{2013}")
            && ANSWERS.contains(&self.word(at))
            && self.is_before_question(at, sign)
    }

    /// Whether this sign stands before a word, and behind the few words of a question after it.
    fn is_before_question(&self, at: usize, sign: &str) -> bool {
        let mut behind = (at + 1..at + 1 + QUESTION).map(|at| self.word(at));
        at > 1
            && self.before(at, 1) == sign
            && self.word(at + 1) != sign
            && behind.find(|word| *word == sign || matches!(*word, "" | "," | ";" | ".")) == Some(sign)
    }

    /// Whether a word for no is the one in brackets of two: "Y / (N)".
    fn is_chosen(&self, at: usize) -> bool {
        self.before(at, 1) == "("
            && self.word(at + 1) == ")"
            && self.before(at, 2) == "/"
            && are_yes_and_no(self.before(at, 3), self.word(at))
    }

    /// Whether a word joins the last thing of a list to those before it.
    fn is_joint(&self, at: usize, languages: Languages) -> bool {
        let word = self.word(at);
        joins(OR, word, languages) || joins(AND, word, languages)
    }

    fn is_drug(&self, mention: &Range<usize>) -> bool {
        let begun = self.drugs.partition_point(|drug| drug.start < mention.start);
        let mut here = self.drugs.iter().skip(begun);
        here.by_ref()
            .take_while(|drug| drug.start == mention.start)
            .any(|drug| drug == mention)
    }

    /// Whether a mention is a drug that somebody is on, alone or with others: "on warfarin 5 mg and digoxin".
    fn is_taken(&self, mention: &Range<usize>) -> bool {
        let between = |at: usize| {
            let word = self.word(at);
            is_mention(at, &self.drugs)
                || word.starts_with(|c: char| c.is_ascii_digit())
                || matches!(
                    word,
                    "and" | "," | "&" | "." | "daily" | "bid" | "tid" | "qd" | "po"
                )
                || UNITS.contains(&word)
        };
        let before = (0..mention.start)
            .rev()
            .take(MOST_LISTED)
            .find(|at| !between(*at));
        self.is_drug(mention) && before.is_some_and(|at| TAKING.contains(&self.word(at)))
    }

    /// Whether a drug begins right behind a cue, and none ends before it: "stopped aspirin", and not "aspirin stopped", "stopped with
    /// lorazepam".
    fn is_before_drug(&self, hit: &Hit) -> bool {
        let (begin, end) = (hit.words.start, hit.words.end);
        let begins = |at: usize| self.drugs.iter().any(|drug| drug.start == at);
        let next = begins(end) || (begins(end + 1) && !BY.contains(&self.word(end)));
        next && !self.drugs.iter().any(|drug| drug.end == begin)
    }

    /// Whether a mention begins near behind a cue.
    fn is_before(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let next = mentions.partition_point(|mention| mention.start < hit.words.end);
        let near = hit.words.end + NEAR.unwrap_or(0);
        mentions.get(next).is_some_and(|next| next.start < near)
    }

    /// Where a list begins that is all that stands before a cue, "fever, chills and cough are denied", "oedema, ascites: none", and ends with a
    /// mention within reach.
    fn list_before(
        &self,
        reach: Range<usize>,
        floor: usize,
        mentions: &[Range<usize>],
        languages: Languages,
    ) -> Option<usize> {
        let last = reach.clone().rev().find(|at| is_mention(*at, mentions))?;
        let mut listed = reach
            .end
            .checked_sub(1)
            .is_some_and(|before| self.word(before) == ":");
        let mut begin = last;
        for at in (floor..=last).rev().take(MOST_LISTED) {
            if self.is_joint(at, languages) {
                listed = true;
            } else if self.word(at) != "," && !is_mention(at, mentions) {
                return None;
            }
            begin = at;
        }
        (listed && begin == floor).then_some(begin)
    }

    /// Whether a cue that looks both ways may look back: "no" behind a mention is said of it only behind a colon or a dash, and at the end
    /// of what is said.
    fn may_look_back(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let ahead = hit
            .roles
            .iter()
            .any(|role| matches!(role, Role::Cue(_, Some(_), _)));
        let (next, ends) = (self.word(hit.words.end), self.ends(hit.words.end));
        match hit.name {
            // "Fever? No."
            "?" if is_answer(next) && self.ends(hit.words.end + 1) => false,
            // "EP ?", as French sets it.
            "?" => ends || !self.is_apart(hit.words.start),
            "vs" | "versus" => true,
            "antiguo" | "antigua" | "antigo" | "antiga" | "previo" | "previa" | "previos" | "previas" => {
                ends || is_end(hit.words.start, mentions)
            }
            "nein" | "nee" => ends,
            "no" | "non" | "nao" => {
                let before = self.before(hit.words.start, 1);
                ends && (matches!(before, ":" | "-" | "?" | "=" | "\u{2013}")
                    || (before == "(" && next == ")")
                    || self.asked(hit.words.start) > 0)
            }
            "n" => ends && self.asked(hit.words.start) > 0,
            name if DENIES.contains(&name) => {
                ends && matches!(self.before(hit.words.start, 1), ":" | "-" | "\u{2013}")
            }
            // "Pain free", "pain-free since Monday", and not "cancer - free margins", "T4: free T3".
            "free" => {
                let goes_on = matches!(
                    next,
                    "of" | "since"
                        | "at"
                        | "for"
                        | "from"
                        | "now"
                        | "today"
                        | "after"
                        | "on"
                        | "with"
                        | "without"
                        | "x"
                ) || (next.starts_with('x') && next.ends_with(|c: char| c.is_ascii_digit()));
                (ends || goes_on) && self.before(hit.words.start, 1) != ":"
            }
            "(-)" => is_end(hit.words.start, mentions),
            "ø" | "∅" => self.is_answer_to_mention(hit.words.start, mentions),
            // "Wegen Dyspnoe erfolgte die erneute Vorstellung" is no advice.
            _ if hit.roles.contains(&Role::Cue(Kind::Hypothetical, None, Some(10))) => {
                let before = || (0..hit.words.start).map(|at| self.word(at));
                let is_told = before().any(|word| matches!(word, "wegen" | "aufgrund" | "erfolgte"));
                before().any(|word| ADVISING.contains(&word)) && !is_told
            }
            // "Chest pain, unlikely ischemic" has it.
            name if name.ends_with("likely") && BEFORE.contains(&name) => {
                let given = GIVEN.contains(&next) || !next.starts_with(char::is_alphabetic);
                (ends || given) && !self.stands_before(hit, mentions)
            }
            name if BEFORE.contains(&name) => !self.stands_before(hit, mentions),
            _ => !ahead || ends,
        }
    }

    /// Whether a cue that stands before what it is said of, or behind it, stands before it here: "unlikely PE", and not "PE, unlikely given
    /// the CT", "AKI, resolved with fluids". A mention begins near behind it then, and none ends right before it, unless one begins right behind
    /// what is unlikely: "weakness unlikely stroke".
    fn stands_before(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let before = self.before(hit.words.start, 1);
        let begins = before.chars().all(|c| !c.is_alphanumeric())
            || matches!(
                before,
                "and" | "or" | "but" | "an" | "a" | "the" | "now" | "with" | "old"
            );
        let next = mentions.partition_point(|mention| mention.start < hit.words.end);
        let next = mentions.get(next).map_or(usize::MAX, |mention| mention.start);
        // "Resolved: AKI."
        if begins && self.word(hit.words.end) == ":" && next == hit.words.end + 1 {
            return true;
        }
        if !begins {
            return next == hit.words.end && hit.name.ends_with("likely");
        }
        let between = hit.words.end..next.min(self.words.len());
        let mut between = between.map(|at| self.word(at));
        next < hit.words.end + NEAR.unwrap_or(0)
            && !between.any(|word| {
                GIVEN.contains(&word) || word.ends_with("ly") || !word.starts_with(char::is_alphabetic)
            })
    }

    /// Whether nothing more is said at a place.
    fn ends(&self, at: usize) -> bool {
        at >= self.words.len()
            || matches!(
                self.word(at),
                "," | ";" | "." | ")" | "]" | "/" | "-" | "and" | "but" | "|"
            )
    }

    /// How many words before this one ask for it: "fever (yes/no): no".
    fn asked(&self, at: usize) -> usize {
        let mut first = at;
        while first > 0 && matches!(self.before(first, 1), ":" | "?" | "=" | "-" | ")") {
            first -= 1;
        }
        let asks =
            self.before(first, 2) == "/" && are_yes_and_no(self.before(first, 3), self.before(first, 1));
        let opens = usize::from(asks && self.before(first, 4) == "(");
        if asks { at + 3 + opens - first } else { 0 }
    }

    /// Whether a cue that looks both ways may look ahead: a question mark at a word's end belongs to that word.
    fn may_look_ahead(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let before = self.before(hit.words.start, 1);
        match hit.name {
            "?" => self.is_apart(hit.words.start) && !self.ends(hit.words.end),
            // "HIV (-), hepatitis (+)", "fever (-) cough (+)"
            "(-)" => {
                let behind = is_end(hit.words.start, mentions);
                !behind && !self.ends(hit.words.end)
            }
            // "Fever: denies, cough: yes"
            name if DENIES.contains(&name) => {
                !matches!(before, ":" | "-" | "\u{2013}") || !self.ends(hit.words.end)
            }
            name if BEFORE.contains(&name) => self.stands_before(hit, mentions),
            // "PRN lorazepam for seizure" says what is given.
            "prn" => !self.drugs.iter().any(|drug| drug.start == hit.words.end),
            // "56yr old", "old man", "old films".
            "old" => {
                !before.contains(|c: char| c.is_ascii_digit())
                    && !matches!(before, "y" | "yr" | "yo" | "m" | "mo" | "mth" | "wk" | "d" | "o")
                    && !NOT_OLD.contains(&self.word(hit.words.end))
            }
            // Of five centimetres across; "palpa-se", which is no "if".
            "ø" | "∅" => {
                let next = mentions.partition_point(|mention| mention.start < hit.words.end);
                let is_measured = mentions
                    .get(next)
                    .is_some_and(|next| self.word(next.end).starts_with(|c: char| c.is_ascii_digit()));
                let number = self.word(hit.words.end).starts_with(|c: char| c.is_ascii_digit());
                !number
                    && !is_measured
                    && !self.ends(hit.words.end)
                    && !self.is_answer_to_mention(hit.words.start, mentions)
            }
            // "Compared to prior, effusion larger", "prior study".
            "prior" | "previous" | "from prior" | "from previous" => {
                let next = self.word(hit.words.end);
                !self.ends(hit.words.end) && next != ":" && !STUDIES.contains(&next)
            }
            "negatives" => self.word(hit.words.end) == ":",
            // Side effects, in capitals; a status epilepticus is "on" something.
            "se" if hit.languages == EN => {
                let next = self.word(hit.words.end);
                self.capitals.binary_search(&hit.words.start).is_ok()
                    && next != "on"
                    && (next == ":" || !self.ends(hit.words.end))
            }
            "se" => before != "-",
            // "Gestante 32 sem, preeclampsia."
            "sem" => {
                let counted = before.ends_with(|c: char| c.is_ascii_digit());
                let next = self.word(hit.words.end);
                let of_weeks = matches!(next, "de" | "con" | "com" | "y" | "e" | "ha" | "desde");
                !(counted && (of_weeks || self.ends(hit.words.end)))
            }
            // "Fractura antigua en costilla."
            "antiguo" | "antigua" | "antigo" | "antiga" | "previo" | "previa" | "previos" | "previas" => {
                !is_end(hit.words.start, mentions)
            }
            // "Nicht operables Karzinom", "niet goed gereguleerde diabetes".
            "nicht" | "niet" => {
                let next = mentions.partition_point(|mention| mention.start < hit.words.end);
                let next = mentions.get(next);
                let first = hit.words.end + usize::from(self.word(hit.words.end) == "goed");
                let inflected = ["e", "er", "en", "es", "em", "d", "el"];
                let is_inflected = inflected.iter().any(|ending| self.word(first).ends_with(ending));
                !next.is_some_and(|next| {
                    (next.start == hit.words.end && next.len() > 1)
                        || (next.start == first + 1 && is_inflected)
                }) && self.asked(hit.words.start) == 0
            }
            "non" => !NON.contains(&self.word(hit.words.end)) && self.asked(hit.words.start) == 0,
            // "Urine: leuko +, nitrite neg, blood +", and "neg headache, dysuria".
            "neg" | "negative" => {
                // "Neurologic: negative headaches", and not "leukocytes: negative".
                let of_heading = before == ":"
                    && !hit
                        .words
                        .start
                        .checked_sub(1)
                        .is_some_and(|colon| is_end(colon, mentions))
                    && mentions.iter().any(|mention| mention.start == hit.words.end);
                of_heading
                    || (!self.ends(hit.words.end)
                        && before.chars().all(|c| !c.is_alphanumeric())
                        && !matches!(before, ":" | "=" | "-"))
            }
            // "Diabetes in his family, cough."
            name if OF_WHAT.contains(&name) => before.chars().all(|c| !c.is_alphanumeric()),
            // "Fièvre : aucune, toux : oui"
            _ => {
                let answers = matches!(before, ":" | "-" | "\u{2013}") && self.ends(hit.words.end);
                !answers && self.asked(hit.words.start) == 0
            }
        }
    }

    /// Whether white space, a bracket or the like, or nothing stands before a word.
    fn is_apart(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else {
            return true;
        };
        let gap = |(before, own): (&ByteSpan, &ByteSpan)| before.end < own.begin;
        matches!(self.word(before), "(" | "[" | "/" | "-" | ">" | ":" | "+")
            || self.words.get(before).zip(self.words.get(at)).is_none_or(gap)
    }

    /// Whether a clause behind a relative says what that one has: "lives with her son, who has a cold".
    fn is_told_of(&self, hit: &Hit) -> bool {
        let at = hit.words.end + usize::from(self.word(hit.words.end) == ",");
        match self.word(at) {
            "who" => matches!(self.word(at + 1), "has" | "had" | "have" | "suffers"),
            "qui" => matches!(self.word(at + 1), "a" | "avait" | "ont"),
            "que" => matches!(self.word(at + 1), "tiene" | "tuvo" | "tem" | "teve"),
            "che" => matches!(self.word(at + 1), "ha" | "aveva" | "hanno"),
            _ => false,
        }
    }

    /// Whether the word before says whose relative this is, or the one before "maternal".
    fn is_of_somebody(&self, at: usize) -> bool {
        let side = matches!(self.before(at, 1), "maternal" | "paternal");
        POSSESSIVES.contains(&self.before(at, 1 + usize::from(side)))
    }

    /// Whether a relative tells of the patient, or is only there.
    fn tells(&self, hit: &Hit) -> bool {
        let before = self.before(hit.words.start, 1);
        let before_that = self.before(hit.words.start, 2);
        // "La madre de la niña refiere".
        let mut end = hit.words.end;
        if GENITIVES.contains(&self.word(end)) {
            end += 1;
            end += usize::from(matches!(
                self.word(end),
                "la" | "l" | "las" | "los" | "het" | "de" | "den"
            ));
            end += usize::from(self.word(end) == "'") + 1;
        }
        let next = (end..end + 2).any(|at| reports(self.word(at)));
        let possessive = POSSESSIVES.contains(&before);
        !self.is_told_of(hit) && (next || is_per(before) || (possessive && is_per(before_that)))
    }

    /// Whether a word begins something else: behind a comma, a dash that stands alone, or "and".
    fn is_anew(&self, at: usize) -> bool {
        let before = self.before(at, 1);
        matches!(
            before,
            "," | "-" | "\u{2013}" | "\u{2014}" | "." | "and" | "und" | "et" | "y" | "e" | "en" | "|" | ">"
        )
    }

    /// Whether a year stands behind the mention, nearer than anything else that has one: "MI 2010", "CABG (2012)". A dose is none.
    fn year(&self, mention: &Range<usize>) -> Option<Assertion> {
        let mut joined = false;
        for at in mention.end..self.words.len().min(mention.end + YEAR_REACH) {
            if self.is_year(at) {
                // A number behind a drug that stands bare is a dose, or a time.
                let may_be_bare = !self.is_drug(mention);
                // "Pain 2015 given tylenol" is a time.
                let is_time = matches!(self.word(at + 1), "given" | "gave" | "administered" | "medicated");
                let is_one = !self.counts(at) && (joined || (may_be_bare && !is_time));
                let kind = Kind::Historical;
                return is_one.then_some(Assertion { kind, cue: YEAR });
            }
            match self.word(at) {
                "in" | "(" | "-" | "im" | "en" | "nel" | "em" | "year" | "jahr" | "jaar" => joined = true,
                "'" | ":" => {}
                _ => return None,
            }
        }
        None
    }

    /// Whether a word is a number that may be a year.
    fn is_year(&self, at: usize) -> bool {
        let year = || self.word(at).parse().is_ok_and(|year: u16| YEARS.contains(&year));
        self.word(at).bytes().all(|byte| byte.is_ascii_digit()) && year()
    }

    /// Whether a number is of units, "2000 mg", "2000/ul", or part of a longer one, "2000.5", "1930-2000", and of no date, "2010-03".
    fn counts(&self, at: usize) -> bool {
        let (next, behind) = (self.word(at + 1), self.word(at + 2));
        let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let is_date = is_number(behind) && (behind.len() <= 2 || self.is_year(at + 2));
        match next {
            // "2010/03", "2010/2014"; and not "2000/10 ml".
            "/" => !(is_date && behind.len() != 1 && !UNITS.contains(&self.word(at + 3))),
            // "MI 2010 h/o CHF", "CVA 2012 L hemiparesis", "PE 2016 x 1".
            "h" => behind != "/",
            "l" => !behind.starts_with(char::is_alphabetic),
            "x" => !(is_number(behind) && behind.len() == 1),
            "-" | "\u{2013}" => is_number(behind) && !is_date,
            "." | "," => self.are_joined(at) && self.are_joined(at + 1) && is_number(behind),
            _ => UNITS.contains(&next),
        }
    }

    /// Whether nothing stands between a word and the next.
    fn are_joined(&self, at: usize) -> bool {
        let pair = self.words.get(at).zip(self.words.get(at + 1));
        pair.is_some_and(|(own, next)| own.end == next.begin)
    }
}

/// Whether a word says of what kind a history is: "psychiatric", "documented".
fn tells_of_what_kind(word: &str) -> bool {
    KINDS.contains(&word) || (word.len() > 4 && ADJECTIVES.iter().any(|ending| word.ends_with(ending)))
}

/// Whether a plus stands behind a word, apart from it or behind its colon, and ends something there.
fn plus_answers(text: &str) -> bool {
    text.match_indices('+').any(|(at, _)| {
        let before = text.get(..at).unwrap_or_default();
        let behind = text.get(at + 1..).unwrap_or_default();
        let word = before.trim_end_matches([' ', ':']);
        word.len() < before.len()
            && before.len() - word.len() < 4
            && word.ends_with(char::is_alphabetic)
            && (behind.is_empty() || behind.starts_with([',', ';', '.', '\n', '\r']))
    })
}

/// Whether white space parts columns.
fn is_column(gap: &str) -> bool {
    gap.contains('\t') || gap.contains("   ")
}

/// Whether white space ends a line, or a column.
fn is_wide(c: char) -> bool {
    matches!(c, '\n' | '\t')
}

fn folded(text: &str) -> String {
    let mut folded = String::new();
    fold(text, &mut folded);
    folded
}

/// Whether a word is in a mention.
fn is_mention(at: usize, mentions: &[Range<usize>]) -> bool {
    let begun = mentions.partition_point(|mention| mention.start <= at);
    let begun = mentions.get(..begun).unwrap_or_default().iter().rev();
    begun.take(MOST_NESTED).any(|mention| mention.contains(&at))
}

/// Whether a mention ends right before a word.
fn is_end(at: usize, mentions: &[Range<usize>]) -> bool {
    mentions.iter().any(|mention| mention.end == at)
}

/// Whether these words are part of a mention and do not begin it.
fn inside(words: &Range<usize>, mentions: &[Range<usize>]) -> bool {
    mentions
        .iter()
        .any(|mention| words.start < mention.end && words.end > mention.start && words.start != mention.start)
}

#[cfg(test)]
mod languages_tests;
#[cfg(test)]
mod tests;
