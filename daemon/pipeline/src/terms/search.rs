//! Names of several lists in a text, as if they were one list.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::fractures::fractures;
use super::persons::persons;
use super::spelling::{LEAST_SCANNED, may_be_misspelt, scanned};
use super::words::{Words, is_in_capitals};
use super::{BEFORE_ENDING, Case, Form, HIDING, Meaning, Table, Term, Terms, bit, mix};
use crate::cover::Cover;
use crate::languages::{ALL, CODES, EN, GERMANIC, Languages, NL, Spoken, Telling};
use mednerd_languages::stem;

/// Words that join one name, on one side, at most.
const MOST_JOINED: usize = 4;
/// Letters of a short form that tells no language at most.
const LETTERS_OF_ALL: usize = 2;
/// Words from one question whether they are still wanted to the next: some milliseconds.
const BETWEEN_QUESTIONS: usize = 4096;

/// A name in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// Its first byte.
    pub begin: usize,
    /// One past its last byte.
    pub end: usize,
    /// Its label.
    pub label: Arc<str>,
    /// Which of the lists has it, counted from 0.
    pub list: usize,
    /// Whether a word of it has a wrong letter.
    pub misspelt: bool,
}

/// What a text has of lists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Names, in the order of the text. Those of one label, whatever case that is written in, do not overlap.
    pub names: Vec<Name>,
    /// From where to where nothing is to be found, in bytes.
    pub hidden: Vec<(usize, usize)>,
    /// The languages of the text, by its common words or, where there are too few, by the names in it; `None` where nothing tells.
    pub spoken: Option<Spoken>,
}

/// The names of one language in one list.
struct Source<'a> {
    number: usize,
    list: &'a Terms,
    /// 0 for names that belong to no language.
    language: Languages,
    table: &'a Table,
}

/// A name in a text, by its words.
struct Match {
    first: usize,
    last: usize,
    /// Among the labels of all lists; `None` for what hides.
    label: Option<usize>,
    list: usize,
    language: Languages,
    case: Case,
    /// Whether it is this because of what stands beside it.
    by_neighbours: bool,
}

struct Search<'a> {
    words: Words<'a>,
    sources: Vec<Source<'a>>,
    /// The labels of all lists, and for those of each list their place among them.
    labels: Vec<&'a Arc<str>>,
    places: Vec<Vec<Option<usize>>>,
}

/// What a text has of these lists, in time linear in the text. Where names of one label overlap, the one that begins first is found, of those
/// the longest, and of equal ones that of the earlier list.
pub fn find(text: &str, lists: &[&Terms]) -> Found {
    find_while(text, lists, &|| true).unwrap_or_default()
}

/// The same, as long as it is `wanted`, which is asked every few thousand words; `None` where it is not.
pub fn find_while(text: &str, lists: &[&Terms], wanted: &dyn Fn() -> bool) -> Option<Found> {
    find_in(text, None, lists, wanted)
}

/// Whether a text of nothing but a name has it, where the text is in the name's language. A list's line of which that is not so is never
/// found: of "knee - swelling" a text has two.
pub fn is_found(term: &Term<'_>) -> bool {
    // Nearly all are.
    if is_plain(term.name) {
        return true;
    }
    let mut list = Terms::default();
    // A name that joins others, hides, or stands beside something, as if it were one by itself.
    let alone = Term {
        label: "name",
        joins: "",
        beside: "",
        ..*term
    };
    let spoken = CODES
        .iter()
        .position(|code| *code == term.language)
        .map_or(ALL, bit);
    let name = match term.name.strip_prefix('*') {
        Some(ending) => format!("{}{}", "x".repeat(BEFORE_ENDING), ending.trim()),
        None => term.name.to_owned(),
    };
    let words = Words::new(&name).words;
    let ends = words.first().zip(words.last());
    let found = list
        .add(alone)
        .ok()
        .and_then(|_| find_in(&name, Some(spoken), &[&list], &|| true));
    found.zip(ends).is_some_and(|(found, (first, last))| {
        let (begin, end) = (first.span.begin, last.span.end);
        let mut names = found.names.iter();
        names.any(|name| (name.begin, name.end) == (begin, end))
    })
}

/// Whether a name is words of Latin letters and digits with one space between them, which a text of nothing else has as one name.
fn is_plain(name: &str) -> bool {
    let latin = |c: char| c.is_ascii_digit() || (c.is_alphabetic() && c < '\u{250}');
    name.split(' ')
        .all(|word| !word.is_empty() && word.chars().all(latin))
}

/// What a text has of lists, in these languages, or else in those that it tells.
fn find_in(
    text: &str,
    languages: Option<Languages>,
    lists: &[&Terms],
    wanted: &dyn Fn() -> bool,
) -> Option<Found> {
    if lists.is_empty() {
        return Some(Found::default());
    }
    let mut search = Search::new(text, lists);
    let told = |by_names| move |languages| Spoken { languages, by_names };
    let mut spoken = search.tell().map(told(false));
    if let Some(languages) = languages {
        let all = search.words.words.iter_mut();
        all.for_each(|word| word.spoken = languages);
        spoken = Some(told(false)(languages));
    }
    search.read_signs();
    if spoken.is_none() && search.is_tolerant() {
        // Lest "simétricos" among Spanish names is a German drug misspelt.
        let mut exact = search.all(wanted)?;
        spoken = search.tell_by(&mut exact).map(told(true));
    }
    if !(wanted() && search.respell(wanted)) {
        return None;
    }
    let mut found = search.all(wanted)?;
    if spoken.is_none() {
        spoken = search.tell_by(&mut found).map(told(true));
    }
    let by_neighbours: HashSet<(usize, usize)> = found
        .iter()
        .filter(|found| found.by_neighbours)
        .map(|found| (found.first, found.last))
        .collect();
    found.retain(|found| found.by_neighbours || !by_neighbours.contains(&(found.first, found.last)));
    // "AIT" is none of the words that "ait" is, nor "PE" a foot in Portuguese ("pé"), but where all is in capitals.
    let mut short: HashMap<(usize, usize), Languages> = HashMap::new();
    for found in &found {
        if found.label.is_some() && found.case == Case::Capitals {
            let own = if found.language == 0 { ALL } else { found.language };
            *short.entry((found.first, found.last)).or_default() |= own;
        }
    }
    found.retain(|found| {
        let is_other = short
            .get(&(found.first, found.last))
            .is_some_and(|languages| match found.case {
                Case::Small(_) => true,
                Case::Any => found.language != 0 && languages & found.language == 0,
                Case::Capitals | Case::Own(_) => false,
            });
        !is_other || search.is_loud(found.first)
    });
    search.prefer_english(&mut found);
    let (hiding, mut found): (Vec<Match>, Vec<Match>) =
        found.into_iter().partition(|found| found.label.is_none());
    let hiding: Vec<(usize, usize)> = hiding.iter().map(|found| (found.first, found.last)).collect();
    let hiding: Vec<(usize, usize)> = hiding.into_iter().chain(persons(&search.words)).collect();
    let hidden = Cover::new(hiding.iter().copied());
    found.retain(|found| !hidden.covers(found.first, found.last));
    let bytes = |first: usize, last: usize| {
        let words = &search.words.words;
        Some((words.get(first)?.span.begin, words.get(last)?.span.end))
    };
    let names = search.joined(Search::longest(found));
    let names = names.iter().filter_map(|found| {
        let (begin, end) = bytes(found.first, found.last)?;
        Some(Name {
            begin,
            end,
            label: Arc::clone(search.labels.get(found.label?)?),
            list: found.list,
            misspelt: search.words.are_misspelt(found.first, found.last),
        })
    });
    let mut names: Vec<Name> = names.collect();
    names.sort_by(|a, b| (a.begin, b.end).cmp(&(b.begin, a.end)));
    let hidden = hiding.iter().filter_map(|(first, last)| bytes(*first, *last));
    Some(Found {
        names,
        hidden: hidden.collect(),
        spoken,
    })
}

/// What these lists take a word of a language for, where they take it for another with a wrong letter.
pub fn meant(word: &str, language: &str, lists: &[&Terms]) -> Option<String> {
    let search = Search::new(word, lists);
    let place = CODES.iter().position(|code| *code == language)?;
    let word = search.words.word(0);
    let is_one = search.words.words.len() == 1 && may_be_misspelt(word);
    is_one.then(|| search.meant(word, bit(place)))?
}

impl<'a> Search<'a> {
    fn new(text: &'a str, lists: &[&'a Terms]) -> Self {
        let mut labels: Vec<&Arc<str>> = Vec::new();
        let mut places = Vec::new();
        let mut sources = Vec::new();
        for (number, list) in lists.iter().enumerate() {
            let own = list.labels.iter().map(|label| &label.name).map(|label| {
                let known = labels.iter().position(|own| own.eq_ignore_ascii_case(label));
                let place = known.unwrap_or(labels.len());
                if known.is_none() {
                    labels.push(label);
                }
                (**label != *HIDING).then_some(place)
            });
            places.push(own.collect());
            let tables = list.tables.iter().enumerate();
            let tables = tables.filter(|(_, table)| !table.is_empty());
            sources.extend(tables.map(|(place, table)| Source {
                number,
                list,
                language: bit(place),
                table,
            }));
        }
        Self {
            words: Words::new(text),
            sources,
            labels,
            places,
        }
    }

    /// Tells the language of each line that tells one, and of the others by the whole text, whose it gives.
    fn tell(&mut self) -> Option<Languages> {
        let mut all = Telling::default();
        self.words.words.iter().for_each(|word| all.note(word.tells, 1));
        let whole = all.languages();
        let begins = |(at, word): (usize, &super::words::Word)| (at == 0 || word.begins_line).then_some(at);
        let lines: Vec<usize> = self.words.words.iter().enumerate().filter_map(begins).collect();
        for (index, first) in lines.iter().enumerate() {
            let next = lines.get(index + 1).copied().unwrap_or(self.words.words.len());
            let Some(line) = self.words.words.get_mut(*first..next) else {
                continue;
            };
            let mut own = Telling::default();
            line.iter().for_each(|word| own.note(word.tells, 1));
            let other = own
                .languages()
                .filter(|_| whole.is_none_or(|whole| own.rather_than(whole)));
            let spoken = other.or(whole).unwrap_or(ALL);
            let loud = line.iter().all(|word| word.capitals);
            line.iter_mut()
                .for_each(|word| (word.spoken, word.loud) = (spoken, loud));
        }
        whole
    }

    /// Where too few common words told a language, those tell it that are names in one, and words that hint at it: "HF" and "AF" are no
    /// diseases among German words. Names of every language, such as those of drugs, tell none, whichever lists have them besides, nor
    /// does what one hides; nor do two capital letters, which mean something in each, unless there is nothing else.
    fn tell_by(&mut self, found: &mut Vec<Match>) -> Option<Languages> {
        let place = |found: &Match| (found.first, found.last);
        let tells_none = |found: &&Match| found.language == 0 || found.label.is_none();
        let none: HashSet<_> = found.iter().filter(tells_none).map(place).collect();
        let own = found.iter().filter(|found| !none.contains(&place(found)));
        let own: HashSet<_> = own.map(|found| (place(found), found.language)).collect();
        let words = self.words.words.iter().enumerate();
        let words = words.map(|(at, word)| ((at, at), word.tells | word.hints));
        let is_short = |first: usize, last: usize| {
            let word = self.words.written_as(first);
            first == last && word.len() <= LETTERS_OF_ALL && is_in_capitals(word)
        };
        let (mut all, mut short) = (Telling::default(), Telling::default());
        for ((first, last), languages) in words.chain(own) {
            short.note(languages, last + 1 - first);
            if !is_short(first, last) {
                all.note(languages, last + 1 - first);
            }
        }
        let spoken = all.most().or(short.most())?;
        let undecided = self.words.words.iter_mut().filter(|word| word.spoken == ALL);
        undecided.for_each(|word| word.spoken = spoken);
        found.retain(|found| found.language == 0 || self.spoken(found.first) & found.language != 0);
        Some(spoken)
    }

    /// Names of all lists and languages that the lines may be in; `None` where nobody waits for them any more.
    fn all(&self, wanted: &dyn Fn() -> bool) -> Option<Vec<Match>> {
        let mut found: Vec<Match> = Vec::new();
        for first in 0..self.words.words.len() {
            if first % BETWEEN_QUESTIONS == 0 && !wanted() {
                return None;
            }
            for last in [Some(first), self.words.rest(first)].into_iter().flatten() {
                for source in &self.sources {
                    self.at(first, last, source, &mut found);
                }
            }
        }
        Some(found)
    }

    /// Whether a list takes words with a wrong letter.
    fn is_tolerant(&self) -> bool {
        self.sources.iter().any(|source| source.list.tolerant)
    }

    /// Leaves out what other languages mean by a short form of English where the line may be English: "MI 2012" names no leg.
    fn prefer_english(&self, found: &mut Vec<Match>) {
        let is_english =
            |found: &&Match| found.language == EN && found.case == Case::Capitals && !found.by_neighbours;
        let place = |found: &Match| (found.first, found.last);
        let english: HashSet<_> = found.iter().filter(is_english).map(place).collect();
        found.retain(|found| {
            found.language & !EN == 0 || found.by_neighbours || !english.contains(&place(found))
        });
    }

    /// Reads the signs that are fractures as the word, where a list has it.
    fn read_signs(&mut self) {
        let is_disease = |at: usize| {
            let word = self.fracture(at);
            let label = word.and_then(|word| self.label_of(word, self.spoken(at)));
            let mut found = Vec::new();
            for source in &self.sources {
                self.at(at, at, source, &mut found);
            }
            found
                .iter()
                .any(|found| found.label.is_some() && found.label == label)
        };
        let signs = fractures(&self.words, is_disease).into_iter();
        let read = signs.filter_map(|at| Some((at, self.fracture(at)?.to_owned())));
        let read: Vec<(usize, String)> = read.collect();
        self.words.respell(&read, false);
    }

    /// The word for a fracture in a language of a place where the sign for it is written; `None` in others.
    fn fracture(&self, at: usize) -> Option<&'static str> {
        match self.spoken(at) {
            spoken if spoken & EN != 0 => Some("fracture"),
            spoken if spoken & NL != 0 => Some("fractuur"),
            _ => None,
        }
    }

    /// The label of a name of one word, folded, in some languages.
    fn label_of(&self, word: &str, spoken: Languages) -> Option<usize> {
        let own = |source: &&Source<'_>| source.language == 0 || source.language & spoken != 0;
        let mut labels = self.sources.iter().filter(own).flat_map(|source| {
            let key = mix(Form::Stems.start(), stem(word, source.language));
            let meanings = source.list.meanings(source.table.names.get(&key));
            meanings
                .filter_map(|meaning| *self.places.get(source.number)?.get(usize::from(meaning.label?))?)
        });
        labels.next()
    }

    /// Reads words that a tolerant list has but for a letter as they were meant; whether that was wanted to its end.
    fn respell(&mut self, wanted: &dyn Fn() -> bool) -> bool {
        if !self.is_tolerant() {
            return true;
        }
        let mut known: HashMap<(&str, Languages), Option<String>> = HashMap::new();
        let mut meant = Vec::new();
        for at in 0..self.words.words.len() {
            if at % BETWEEN_QUESTIONS == 0 && !wanted() {
                return false;
            }
            let (word, spoken) = (self.words.word(at), self.spoken(at));
            if word.len() >= LEAST_SCANNED && !self.words.is_part(at) {
                let right = known
                    .entry((word, spoken))
                    .or_insert_with(|| self.meant(word, spoken));
                meant.extend(right.clone().map(|right| (at, right)));
            }
        }
        self.words.respell(&meant, true);
        true
    }

    /// The word that one which no list has is meant to be, where there is one.
    fn meant(&self, word: &str, spoken: Languages) -> Option<String> {
        let sources = || {
            let sources = self.sources.iter();
            sources.filter(move |source| source.language == 0 || source.language & spoken != 0)
        };
        let knows = |word: &str| sources().any(|source| source.table.spelling.knows(word, source.language));
        if knows(word) {
            return None;
        }
        let tolerant = || sources().filter(|source| source.list.tolerant);
        let is_of =
            |read: &String| tolerant().any(|source| source.table.spelling.knows(read, source.language));
        // "1tablet" and "0edema" are a number and a word.
        let bare = word.trim_matches(|c: char| c.is_ascii_digit());
        if (bare.len() == word.len() || !knows(bare))
            && let Some(read) = scanned(word).into_iter().find(is_of)
        {
            return Some(read);
        }
        if !may_be_misspelt(word) {
            return None;
        }
        let meant = tolerant().flat_map(|source| source.table.spelling.meant(word, source.language));
        // The likest, of those the commonest, and of equally common ones always the same.
        let meant =
            meant.max_by_key(|(meant, names, is_alike)| (*is_alike, *names, std::cmp::Reverse(*meant)));
        meant.map(|(meant, ..)| meant.to_owned())
    }

    /// Whether the line of a word is in capitals.
    fn is_loud(&self, at: usize) -> bool {
        self.words.words.get(at).is_some_and(|word| word.loud)
    }

    fn spoken(&self, at: usize) -> Languages {
        self.words.words.get(at).map_or(0, |word| word.spoken)
    }

    /// The names of one source that begin with a word, which a line's end may have divided.
    fn at(&self, first: usize, last: usize, source: &Source<'_>, found: &mut Vec<Match>) {
        let (words, table, language) = (&self.words, source.table, source.language);
        if language != 0 && language & self.spoken(first) == 0 || words.turns(first) {
            return;
        }
        for form in [Form::Stems, Form::Whole] {
            let key = mix(form.start(), words.as_form(first, last, form, language));
            if let Some(longest) = table.longest.get(&key) {
                self.name((first, last, key), usize::from(*longest), form, source, found);
            }
        }
        let whole = words.one(first, last);
        let own = words.as_form(first, last, Form::Stems, language);
        for length in &table.lengths {
            let ends = |form: Form, word: &str| {
                let (before, ending) = word.split_at_checked(word.len().checked_sub(*length)?)?;
                let letters = before.chars().rev().take_while(|c| c.is_alphabetic());
                let enough = letters.take(BEFORE_ENDING).count() == BEFORE_ENDING;
                table.endings.get(&mix(form.start(), enough.then_some(ending)?))
            };
            let at = ends(Form::Whole, whole)
                .or_else(|| ends(Form::Whole, own))
                .or_else(|| ends(Form::Stems, own));
            self.mean(first, last, source, at, found);
        }
    }

    /// The names of so many words that are these, or begin with them.
    fn name(
        &self,
        (first, last, key): (usize, usize, u64),
        words: usize,
        form: Form,
        source: &Source<'_>,
        found: &mut Vec<Match>,
    ) {
        self.mean(first, last, source, source.table.names.get(&key), found);
        let own = &self.words;
        if words > 1 && own.words.get(last + 1).is_some_and(|word| word.follows) {
            for next in [Some(last + 1), own.rest(last + 1)].into_iter().flatten() {
                let key = mix(key, own.as_form(last + 1, next, form, source.language));
                self.name((first, next, key), words - 1, form, source, found);
            }
        }
    }

    /// Notes what these words mean that are found by themselves.
    fn mean(&self, first: usize, last: usize, source: &Source<'_>, at: Option<&u16>, found: &mut Vec<Match>) {
        for meaning in source.list.meanings(at) {
            let Some(label) = meaning
                .label
                .filter(|_| self.holds(source.list, meaning, first, last))
            else {
                continue;
            };
            let places = self.places.get(source.number);
            let Some(label) = places.and_then(|places| places.get(usize::from(label))) else {
                continue;
            };
            found.push(Match {
                first,
                last,
                label: *label,
                list: source.number,
                language: source.language,
                case: meaning.case,
                by_neighbours: meaning.condition.is_some(),
            });
        }
    }

    /// Whether these words are written, and stand, as a meaning of theirs must.
    fn holds(&self, list: &Terms, meaning: &Meaning, first: usize, last: usize) -> bool {
        self.words.are_written(first, last, meaning.case)
            && meaning.condition.is_none_or(|at| {
                let condition = list.conditions.get(usize::from(at));
                condition.is_some_and(|condition| condition.is_met(&self.words, first, last))
            })
    }

    /// By label, the longest of those that begin first.
    fn longest(mut found: Vec<Match>) -> Vec<Match> {
        found.sort_by(|a, b| (a.label, a.first, b.last, a.list).cmp(&(b.label, b.first, a.last, b.list)));
        let mut taken: Vec<Match> = Vec::with_capacity(found.len());
        for found in found {
            let free = taken
                .last()
                .is_none_or(|last| last.label != found.label || last.last < found.first);
            if free {
                taken.push(found);
            }
        }
        taken
    }

    /// Names of one label one behind the other, with the words beside them that join them.
    fn joined(&self, mut taken: Vec<Match>) -> Vec<Match> {
        for at in 0..taken.len() {
            let before = at.checked_sub(1).and_then(|before| taken.get(before));
            let Some(own) = taken.get(at) else { break };
            let same = |other: &&Match| other.label == own.label;
            let from = before.filter(same).map_or(0, |before| before.last + 1);
            let to = taken.get(at + 1).filter(same);
            let to = to.map_or(self.words.words.len(), |next| next.first);
            let first = self.joined_before(own, from);
            let last = self.joined_behind(own, to);
            if let Some(own) = taken.get_mut(at) {
                (own.first, own.last) = (first, last);
            }
        }
        taken
    }

    /// Whether these words join names of a label in one of these languages.
    fn joins(&self, first: usize, last: usize, label: Option<usize>, languages: Languages) -> bool {
        let spoken = self.spoken(first) & languages;
        let sources = self.sources.iter();
        let mut sources = sources.filter(|source| source.language == 0 || source.language & spoken != 0);
        let words = &self.words;
        let divided = (first..last).any(|at| words.rest(at).is_some());
        let readings = if divided { &[false, true][..] } else { &[false] };
        sources.any(|source| {
            let key = |form: Form, divided: bool| {
                let (mut key, mut at) = (form.start(), first);
                while at <= last {
                    let rest = words.rest(at).filter(|rest| divided && *rest <= last);
                    let end = rest.unwrap_or(at);
                    key = mix(key, words.as_form(at, end, form, source.language));
                    at = end + 1;
                }
                key
            };
            let means = |meaning: &Meaning| {
                let joins = meaning
                    .joins
                    .and_then(|joins| self.places.get(source.number)?.get(usize::from(joins)));
                joins.is_some_and(|joins| *joins == label) && self.holds(source.list, meaning, first, last)
            };
            [Form::Stems, Form::Whole].into_iter().any(|form| {
                readings.iter().any(|divided| {
                    let names = source.table.names.get(&key(form, *divided));
                    source.list.meanings(names).any(means)
                })
            })
        })
    }

    /// The first word of a name with those before it that join it, none of them before `from`.
    fn joined_before(&self, own: &Match, from: usize) -> usize {
        let mut first = own.first;
        if self.spoken(first) & GERMANIC == 0 {
            return first;
        }
        let words = &self.words;
        let least = from.max(own.first.saturating_sub(MOST_JOINED));
        while first > least && words.words.get(first).is_some_and(|word| word.follows) {
            let joins = |begin: &usize| {
                words.are_together(*begin, first - 1) && self.joins(*begin, first - 1, own.label, GERMANIC)
            };
            match (least..first).find(joins) {
                Some(begin) => first = begin,
                None => break,
            }
        }
        first
    }

    /// The last word of a name with those behind it that join it, all of them before `to`.
    fn joined_behind(&self, own: &Match, to: usize) -> usize {
        let mut last = own.last;
        if self.spoken(last) & !GERMANIC == 0 {
            return last;
        }
        let words = &self.words;
        let most = to.min(own.last + 1 + MOST_JOINED);
        while last + 1 < most && words.words.get(last + 1).is_some_and(|word| word.follows) {
            let joins = |end: &usize| {
                words.are_together(last + 1, *end) && self.joins(last + 1, *end, own.label, !GERMANIC)
            };
            match (last + 1..most).rev().find(joins) {
                Some(end) => last = end,
                None => break,
            }
        }
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::list_of;

    #[test]
    fn lists_are_one() {
        let list = |lines: &[(&str, &str, &str)]| {
            let mut terms = Terms::default();
            for &(name, label, joins) in lines {
                terms
                    .add(Term {
                        name,
                        label,
                        language: "en",
                        joins,
                        ..Term::default()
                    })
                    .unwrap();
            }
            terms
        };
        let shipped = list(&[
            ("hepatitis", "Disease", ""),
            ("COVID", "Disease", ""),
            ("nail", "Anatomy", ""),
        ]);
        let own = list(&[
            ("fulminant", "", "DISEASE"),
            ("COVID long haul", "disease", ""),
            ("COVID", "DISEASE", ""),
            ("intramedullary nail", "-", ""),
        ]);
        let text = "The fulminant hepatitis, the COVID long haul of her, COVID and the intramedullary nail.";
        let found = find(text, &[&shipped, &own]);
        let names: Vec<_> = found
            .names
            .iter()
            .map(|name| (&text[name.begin..name.end], name.list))
            .collect();
        assert_eq!(
            names,
            [("fulminant hepatitis", 0), ("COVID long haul", 1), ("COVID", 0)]
        );
        assert_eq!(found.hidden.len(), 1);
    }

    #[test]
    fn persons_and_places_are_no_names_of_a_list() {
        let mut terms = Terms::default();
        for name in ["HCC", "Graves", "Paget", "burns", "asthma", "MI", "moles"] {
            let label = "Disease";
            terms
                .add(Term {
                    name,
                    label,
                    ..Term::default()
                })
                .unwrap();
        }
        let found = |text: &str| find(text, &[&terms]).names.len();
        for text in [
            "Seen by Dr Graves.",
            "Dr. J. Paget will see her",
            "Dr. Anna Burns, GP",
            "Mr Moles came",
            "lives in Flint, MI 48501",
            "Patient Name: Moles, Lisa J. DOB 1950",
            "Surgeon: William A. Graves\nAssistant: P. Paget PA-C",
            "Electronically signed by: Robert Moles MD",
            "PCP: Moles",
            "atrial fibrillation (HCC)",
        ] {
            assert_eq!(found(text), 0, "{text}");
        }
        for text in [
            "Mr Jones Asthma review today",
            "Dr Smith. Asthma stable.",
            "Seen by Dr\nAsthma",
            "told the Dr Asthma and all: asthma",
            "ASTHMA per Dr ASTHMA",
            "chest pain, MI 2010",
            "Worse by: Asthma",
            "hepatocellular carcinoma (HCC)",
            "Attending: Dr. Lee. Asthma on exam.",
            "Provider: Jones. Asthma: stable.",
            "Patient name: John Smith Asthma: yes",
            "Surgeon:\nAsthma",
            "Drug name: Asthma inhaler",
            "Attending: see asthma plan",
        ] {
            assert!(found(text) > 0, "{text}");
        }
    }

    #[test]
    fn a_short_form_in_capitals_is_not_the_word_of_another_language() {
        let terms = list_of(&[
            ("PE", "Disease", "en"),
            ("pé", "Anatomy", "pt"),
            ("gripe", "Disease", "pt"),
        ]);
        let labels = |text: &str| -> Vec<String> {
            let found = find(text, &[&terms]).names.into_iter();
            found.map(|name| name.label.to_string()).collect()
        };
        assert_eq!(labels("suspected PE"), ["Disease"]);
        assert_eq!(labels("no pe, no PE"), ["Anatomy", "Disease"]);
        assert_eq!(
            labels("Doente com dor no pe desde ontem, PE"),
            ["Anatomy", "Anatomy"]
        );
    }

    #[test]
    fn drugs_of_every_language_tell_none() {
        let terms = list_of(&[
            ("lisinopril", "Chemical", ""),
            ("lisinopril", "Chemical", "fr"),
            ("lisinopril", "Chemical", "it"),
            ("Gicht", "Disease", "de"),
            ("*emia", "Disease", "en"),
            ("creatininemia", "-", "it"),
        ]);
        let spoken = |text: &str| find(text, &[&terms]).spoken;
        assert_eq!(spoken("Lisinopril 10 mg. Fever ruled out."), None);
        let german = Some(Spoken {
            languages: crate::languages::DE,
            by_names: true,
        });
        assert_eq!(spoken("Lisinopril 10 mg. Gicht."), german);
        let hidden = find("creatininemia 1,4", &[&terms]);
        assert!(hidden.names.is_empty() && hidden.spoken.is_none());
    }

    #[test]
    fn a_line_that_no_text_has_is_told() {
        let is_found = |name: &str, label: &str, language: &str| {
            is_found(&Term {
                name,
                label,
                language,
                ..Term::default()
            })
        };
        for (name, label, language) in [
            ("gout", "Disease", "en"),
            ("Gicht", "Disease", "de"),
            // Words of another language.
            ("malattia with the", "Disease", "it"),
            ("KRX", "Disease", ""),
            ("PsA", "Disease", "en"),
            ("DVTs", "Disease", "en"),
            ("COVID-19.", "Disease", ""),
            ("non-diabetic", "-", "en"),
            ("eye contact", "-", "en"),
            ("*zirkulose", "Disease", "de"),
            ("fulminant", "", "en"),
            ("Crohn's", "Disease", "en"),
        ] {
            assert!(is_found(name, label, language), "{name}");
        }
        for name in ["knee - swelling", "knee   swelling", "*", ""] {
            assert!(!is_found(name, "Disease", "en"), "{name}");
        }
        let beside = Term {
            name: "CAP",
            label: "Chemical",
            beside: "# mg _",
            ..Term::default()
        };
        assert!(super::is_found(&beside));
    }

    #[test]
    fn what_nobody_waits_for_is_given_up() {
        let mut terms = Terms::default();
        terms
            .add(Term {
                name: "gout",
                label: "Disease",
                ..Term::default()
            })
            .unwrap();
        let asked = std::cell::Cell::new(0);
        let wanted = || {
            asked.set(asked.get() + 1);
            asked.get() < 4
        };
        assert!(find_while(&"gout ".repeat(100_000), &[&terms], &wanted).is_none());
        assert_eq!(asked.get(), 4);
        assert_eq!(
            find_while("gout", &[&terms], &|| true),
            Some(find("gout", &[&terms]))
        );
    }

    #[test]
    fn a_short_form_in_capitals_is_not_the_everyday_word_that_is_hidden() {
        let mut terms = Terms::default();
        for (name, label) in [("AIT", "Disease"), ("ait", "-"), ("DA", "Anatomy"), ("da", "-")] {
            terms
                .add(Term {
                    name,
                    label,
                    ..Term::default()
                })
                .unwrap();
        }
        let found = |text| find(text, &[&terms]).names.len();
        assert_eq!(found("un AIT en 2019, qu'il ait ou non"), 1);
        assert_eq!(found("HISTORIA DA DOENCA\n"), 0);
    }
}
