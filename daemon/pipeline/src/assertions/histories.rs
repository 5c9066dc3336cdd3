//! How far the headings of past and family history and of vaccinations reach: which mentions below or behind them are past, somebody
//! else's, or prevented.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::LazyLock;

use super::lexicon::{is_relative, set};
use super::lists::IMAGES;
use super::{Assertion, Kind, WRAPPED};
use crate::folding::{fold, words};
use crate::sections::{HISTORIES, Section};
use crate::sentences::{Break, between, ends_with_full_stop};
use crate::tokens::ByteSpan;

/// Bytes that a history has, at most.
const LONGEST: usize = 8 << 10;
/// Bytes of a label within one, at most.
const LABEL: usize = 24;
/// Bytes of what a label has that a relative is looked for in.
const TOLD: usize = 96;
/// How headings begin that stand over what a patient still has.
const PRESENT: [&str; 5] = ["comorb", "co-morb", "co morb", "background", "begleit"];
/// Words of a sentence that a verb is near its beginning within, and from a word of time to its unit.
const NEAR_BEGINNING: usize = 4;

/// Words of a sentence that may name one more vaccine, at most.
const VACCINE: usize = 3;

type Words = LazyLock<HashSet<&'static str>>;

/// Who is told of, beside relatives.
static PATIENT: Words = LazyLock::new(|| {
    set(&[
        "patient, pt, herself, himself, patientin, patiente, paziente, paciente, doente, ella, elle, hij, zij, ze",
    ])
});
/// What a patient does, where a sentence tells of now.
static TELLS: Words = LazyLock::new(|| {
    set(&[
        "denies, reports, complains, presents, endorses, states, shows, comes",
        "berichtet, klagt, gibt, stellt",
        "presente, rapporte, consulte, signale, decrit",
        "presenta, refiere, acude, consulta, niega",
        "riferisce, lamenta, nega, giunge, accede",
        "meldt, klaagt, presenteert",
        "apresenta, refere, recorre",
    ])
});
/// What a patient has and takes: of now where these words begin a sentence, or stand behind the patient.
static HAS: Words = LazyLock::new(|| {
    set(&[
        "has, takes, started, hat, nimmt, sous, tiene, toma, ha, prende, assume, heeft, gebruikt, slikt, tem",
    ])
});
/// What makes something past of those, before them.
const AUXILIARY: [&str; 8] = ["a", "ayant", "avait", "has", "had", "ha", "hat", "heeft"];
/// How a time begins, and what it is counted in where it is not long ago: "depuis 2 jours".
static SINCE: Words = LazyLock::new(|| set(&["since, for, seit, depuis, desde, da, dal, sinds, ha, hace"]));
static UNITS: Words = LazyLock::new(|| {
    set(&[
    "yesterday, hours, days, weeks, months, gestern, stunden, tagen, wochen, monaten, hier, heures, jours, semaines, mois, ayer, horas,
     dias, semanas, meses, ieri, ore, giorni, settimane, mesi, gisteren, uur, dagen, weken, maanden, ontem",
])
});
/// What patients are allergic to stands behind.
static ALLERGIES: Words = LazyLock::new(|| {
    set(&[
        "allergies, allergie, allergien, alergias, alergia, allergia, allergieen, nkda, intolerances, unvertraglichkeiten, intolerancias, intolerancia,
         intolleranze, intolleranza, intoll, overgevoeligheid",
    ])
});
/// Studies, beside images, that begin a sentence.
const STUDIES: [&str; 6] = ["eeg", "ett", "tc", "ro", "sonographie", "labs"];
/// What is measured of a patient, before its number.
#[rustfmt::skip]
const VITALS: [&str; 18] = [
    "ta", "bp", "rr", "pa", "fc", "hr", "temp", "temperature", "temperatur", "spo2", "sao2", "sat", "sats", "puls", "pulse", "pols", "tension",
    "afebrile",
];
/// How words begin that tell of an examination.
const EXAMINED: [&str; 4] = ["auscult", "auskult", "palpat", "percuss"];
/// What a doctor has now, and not the patient's past: "Suspicion de GEU".
const SUSPICION: [&str; 7] = [
    "suspicion",
    "verdacht",
    "sospecha",
    "sospetto",
    "vermoeden",
    "verdenking",
    "suspeita",
];
/// How labels begin that stand within a history: "PMH: gout. Surgical: none".
#[rustfmt::skip]
const PARTS: [&str; 29] = [
    "chir", "surg", "quir", "gyn", "gin", "obst", "ostet", "psych", "psiq", "psic", "fam", "med", "other", "autre", "otr", "altr", "ander",
    "sonst", "outr", "past", "prev", "interv", "hosp", "trauma", "iq", "qx", "ops", "oper", "proc",
];
/// Words of which some alone say that there is nothing to tell.
static NONE: Words = LazyLock::new(|| {
    set(&[
        "none, nil, negative, neg, unremarkable, noncontributory, non, not, contributory, unknown, known, significant, relevant, adopted",
        "unauffallig, leer, keine, unbekannt, bekannt, nicht",
        "sans, particularite, particularites, ras, aucun, aucune, neant, inconnu, inconnus, inconnue",
        "negativa, negativos, negativo, no, sin, interes, conocidos, desconocidos, desconocida",
        "nulla, nota, muta, di, rilievo",
        "geen, blanco, onbekend, negatief, bekend",
        "irrelevante, irrelevantes, desconhecida, nega",
    ])
});
/// What is said of vaccinations that nobody names.
const CURRENT: [&str; 6] = [
    "utd",
    "up to date",
    "current",
    "complete",
    "completed",
    "up - to - date",
];
/// The relatives that "she" and "he" may be.
static WOMEN: Words = LazyLock::new(|| {
    set(&["mother, mom, mum, sister, sisters, aunt, grandmother, mgm, pgm, daughter, wife, niece"])
});
static MEN: Words = LazyLock::new(|| {
    set(&["father, dad, brother, brothers, uncle, grandfather, mgf, pgf, son, husband, nephew"])
});

/// The histories of a text, asked for one mention after another as they stand there.
pub(super) struct Histories<'a> {
    text: &'a str,
    sections: &'a [Section],
    /// Where mentions begin and end, in this order.
    names: &'a [(usize, usize)],
    /// The last section that was asked for, by its number, and where its heading's reach ends.
    last: Option<(usize, usize)>,
}

impl<'a> Histories<'a> {
    pub(super) fn new(text: &'a str, sections: &'a [Section], names: &'a [(usize, usize)]) -> Self {
        let last = None;
        Self {
            text,
            sections,
            names,
            last,
        }
    }

    /// What the section says that a byte stands in, by its heading, as far as that reaches. Linear in the text, if bytes are asked for in
    /// their order.
    pub(super) fn at(&mut self, begin: usize) -> Option<Assertion> {
        let index = self.sections.partition_point(|section| section.end <= begin);
        let section = self.sections.get(index)?;
        let kind = match section.name {
            "family history" => Kind::Family,
            // What is prevented.
            "immunizations" => Kind::Hypothetical,
            name if HISTORIES.contains(&name) => Kind::Historical,
            _ => return None,
        };
        if section.heading.end > begin {
            return None;
        }
        let end = match self.last {
            Some((of, end)) if of == index => end,
            _ => self.end(section, kind),
        };
        self.last = Some((index, end));
        let cue = section.name;
        (begin < end).then_some(Assertion { kind, cue })
    }

    /// One past the last byte that a heading says something of.
    fn end(&self, section: &Section, kind: Kind) -> usize {
        let begin = section.heading.end;
        let mut heading = String::new();
        fold(
            self.text.get(section.heading.range()).unwrap_or_default(),
            &mut heading,
        );
        if PRESENT.iter().any(|start| heading.starts_with(start)) {
            return begin;
        }
        let end = section.end.min(begin.saturating_add(LONGEST));
        let content = begin..self.text.floor_char_boundary(end);
        if kind == Kind::Hypothetical
            && let Some(current) = self.up_to_date(&content)
        {
            return current;
        }
        let (end, inline) = self.end_of_lines(content, kind);
        if inline || kind == Kind::Family {
            self.end_of_sentences(begin..end, kind)
        } else {
            end
        }
    }

    /// Where "up to date" ends, if that is what a heading of vaccinations has before anything is named.
    fn up_to_date(&self, content: &Range<usize>) -> Option<usize> {
        let own = self.text.get(content.clone())?;
        let mut all = words(own).skip_while(|word| own.get(word.range()) == Some(":"));
        let mut seen = String::new();
        while let Some(word) = all.next() {
            if !seen.is_empty() {
                seen.push(' ');
            }
            fold(own.get(word.range())?, &mut seen);
            if CURRENT.contains(&&*seen) {
                let next = all.next().and_then(|next| own.get(next.range()));
                // "UTD per mother."
                return next
                    .is_none_or(|next| matches!(next, "." | "," | ";" | "-" | "per" | "for"))
                    .then_some(content.start + word.end);
            }
            if !CURRENT.iter().any(|current| current.starts_with(&seen)) {
                return None;
            }
        }
        None
    }

    /// Where a line begins that belongs to the heading no more: another label, what stands behind an empty line that ends a list or
    /// paragraph, and, where words stand behind the heading in its own line, what stands behind the line or paragraph that they begin. And
    /// whether words stand there.
    fn end_of_lines(&self, content: Range<usize>, kind: Kind) -> (usize, bool) {
        let all = self.text.get(content.clone()).unwrap_or_default();
        let mut begin = content.start;
        let (mut written, mut length, mut empty, mut inline) = (false, 0, false, false);
        // Whether each line has been a name and nothing else: "PMH: HTN", and below it "DM2".
        let mut names = true;
        for (number, line) in all.split('\n').enumerate() {
            let own = begin;
            begin += line.len() + 1;
            let bare = match number {
                0 => line.trim_matches([' ', '\t', '\r', ':', '-']),
                _ => line.trim(),
            };
            if bare.is_empty() {
                empty = written;
                continue;
            }
            let first = own + line.find(bare).unwrap_or(0);
            names &= self.are_names(first, first + bare.len());
            if number == 0 {
                inline = true;
            } else {
                let item = bare.starts_with(|c: char| !c.is_alphabetic());
                let goes_on = line.starts_with([' ', '\t']) || length >= WRAPPED || item || names;
                if self.is_label(first, bare, kind) || (empty && !item) || (inline && !goes_on) {
                    return (own, inline);
                }
            }
            (written, length, empty) = (true, bare.len(), false);
        }
        (content.end, inline)
    }

    /// Whether these bytes are mentions and nothing else: "HTN, DM2."
    fn are_names(&self, begin: usize, end: usize) -> bool {
        let mut at = begin;
        let mut next = self.names.partition_point(|(first, _)| *first < begin);
        while let Some((first, last)) = self.names.get(next).filter(|(first, _)| *first < end) {
            let gap = self.text.get(at..*first).unwrap_or_default();
            // What stands within another mention is part of it.
            if *first >= at && !is_separator(gap) {
                return false;
            }
            at = at.max(*last);
            next += 1;
        }
        at > begin && self.text.get(at..end.max(at)).is_some_and(is_separator)
    }

    /// Whether a mention begins at this byte.
    fn is_named(&self, begin: usize) -> bool {
        let next = self.names.partition_point(|(first, _)| *first < begin);
        self.names.get(next).is_some_and(|(first, _)| *first == begin)
    }

    /// Whether a line begins with the label of something else. "- MI: 2010" and "significant for: gout" do not, nor "Mother: gout" in a
    /// family history.
    fn is_label(&self, begin: usize, line: &str, kind: Kind) -> bool {
        line.split_once(':').is_some_and(|(label, _)| {
            let own = label.trim_end();
            let bullet = own.find(char::is_alphabetic).unwrap_or(0);
            let leads = || folded(own).last().is_some_and(|last| last == "for");
            let relative = || kind == Kind::Family && folded(own).iter().any(|word| is_relative(word));
            // "Somat.: 61 kg"; a history has dots of its own.
            let cut = kind == Kind::Family
                && label
                    .split('.')
                    .skip(1)
                    .all(|part| part.is_empty() || part.starts_with(' '));
            let plain = cut || !label.contains('.');
            label.len() <= LABEL
                && !label.contains([',', '('])
                && plain
                && !self.is_named(begin + bullet)
                && !leads()
                && !relative()
        })
    }

    /// Where a sentence begins that tells of something else than the first one.
    fn end_of_sentences(&self, content: Range<usize>, kind: Kind) -> usize {
        let mut sentences = self.sentences(&content, kind).into_iter();
        let Some(first) = sentences.next() else {
            return content.end;
        };
        let has_none = first.words.iter().all(|word| NONE.contains(word.as_str()));
        // Who tells a history in sentences has much in it.
        let prose = first.words.iter().any(|word| HAS.contains(word.as_str()));
        // "PMH: Cardiac: HTN. Lungs: asthma."
        let in_parts = first.label;
        let mut relatives = first.relatives().unwrap_or_default();
        for sentence in sentences {
            let ends = has_none
                || (kind != Kind::Hypothetical && sentence.examines(in_parts))
                || match kind {
                    Kind::Family => sentence.leaves_the_family(relatives),
                    // "Immunizations: flu 2023. Cough for three days."
                    Kind::Hypothetical => sentence.words.len() > VACCINE,
                    _ => sentence.begins_the_present(prose),
                };
            if ends {
                return sentence.begin;
            }
            relatives = sentence.relatives().unwrap_or(relatives);
        }
        content.end
    }

    /// The sentences of a stretch of text, from the first word behind a heading's colon on.
    fn sentences(&self, content: &Range<usize>, kind: Kind) -> Vec<Told> {
        let mut all: Vec<Told> = Vec::new();
        let slice = self.text.get(content.clone()).unwrap_or_default();
        let mut last: Option<ByteSpan> = None;
        for word in words(slice) {
            let word = ByteSpan {
                begin: content.start + word.begin,
                end: content.start + word.end,
            };
            let own = self.text.get(word.range()).unwrap_or_default();
            let is_word = own.contains(char::is_alphanumeric);
            let begins = last.is_none_or(|last| self.begins_sentence(last, word));
            // Neither the heading's colon nor a bullet begins one.
            if begins && is_word {
                all.push(Told {
                    begin: word.begin,
                    words: Vec::new(),
                    capital: own.starts_with(char::is_uppercase),
                    label: self.begins_part(word.begin, content.end, kind),
                });
            }
            if is_word && let Some(sentence) = all.last_mut() {
                let mut word = String::new();
                fold(own, &mut word);
                sentence.words.push(word);
            }
            last = (!begins || is_word).then_some(word);
        }
        all
    }

    /// Whether a sentence begins with a label, of something that is no part of the history: "HTA. EF: crepitantes".
    fn begins_part(&self, begin: usize, end: usize, kind: Kind) -> bool {
        let limit = self
            .text
            .floor_char_boundary(end.min(begin.saturating_add(LABEL + 2)));
        let rest = self.text.get(begin..limit).unwrap_or_default();
        let line = rest.split('\n').next().unwrap_or_default();
        let label = folded(line);
        let part = label
            .first()
            .is_some_and(|word| PARTS.iter().any(|start| word.starts_with(start)));
        line.starts_with(char::is_uppercase)
            && !part
            && !(kind == Kind::Family && self.tells_of_relatives(begin))
            && self.is_label(begin, line, kind)
    }

    /// Whether a relative stands not far behind this byte, in its line.
    fn tells_of_relatives(&self, begin: usize) -> bool {
        let end = self
            .text
            .floor_char_boundary(begin.saturating_add(TOLD).min(self.text.len()));
        let line = self.text.get(begin..end).unwrap_or_default();
        let line = line.split('\n').next().unwrap_or_default();
        folded(line).iter().any(|word| is_relative(word))
    }

    fn begins_sentence(&self, last: ByteSpan, word: ByteSpan) -> bool {
        if last.end == word.begin {
            return false;
        }
        let before = self.text.get(..last.end).unwrap_or_default();
        match between(self.text, last.end, word.begin) {
            Break::Paragraph | Break::Sentence => true,
            Break::Line => {
                let line = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
                line < WRAPPED || ends_with_full_stop(before)
            }
            _ => ends_with_full_stop(before),
        }
    }
}

/// A sentence of a history: its words, folded, without punctuation.
struct Told {
    begin: usize,
    words: Vec<String>,
    /// Whether a capital letter begins it, and whether a label does.
    capital: bool,
    label: bool,
}

impl Told {
    fn word(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// Whether women and men of the family are named here; `None` where no relative is.
    fn relatives(&self) -> Option<(bool, bool)> {
        let any = |set: &HashSet<&str>| self.words.iter().any(|word| set.contains(word.as_str()));
        let named = (any(&WOMEN), any(&MEN));
        (named != (false, false)).then_some(named)
    }

    /// Whether something that the patient does is told near its beginning.
    fn tells(&self) -> bool {
        (0..NEAR_BEGINNING).any(|at| {
            let past = at
                .checked_sub(1)
                .is_some_and(|before| AUXILIARY.contains(&self.word(before)));
            TELLS.contains(self.word(at)) && !past
        })
    }

    /// Whether it begins with what the patient has or takes.
    fn has(&self) -> bool {
        let behind_patient = |at: usize| {
            let before = self.word(at - 1);
            matches!(before, "she" | "he" | "they") || PATIENT.contains(before)
        };
        (self.word(0) == "in" && self.word(1) == "terapia")
            || HAS.contains(self.word(0))
            || (1..NEAR_BEGINNING).any(|at| HAS.contains(self.word(at)) && behind_patient(at))
    }

    /// Whether it tells what an examination or a study found, or is about to be told: "TA 12/8", "EF: crepitantes", "CXR: pneumonia". One of a
    /// year is past.
    fn examines(&self, in_parts: bool) -> bool {
        let first = self.word(0);
        let value = self.word(1);
        let number = value.starts_with(|c: char| c.is_ascii_digit());
        let degrees = || value.parse().is_ok_and(|value: u8| (34..43).contains(&value));
        let vital = number && (VITALS.contains(&first) || (first == "t" && degrees()));
        let study = self.capital && (IMAGES.contains(&first) || STUDIES.contains(&first));
        let examined = || {
            let starts = |word: &String| EXAMINED.iter().any(|start| word.starts_with(start));
            self.words.iter().any(starts)
        };
        let year = |word: &String| word.parse().is_ok_and(|year: u16| (1900..2100).contains(&year));
        (vital || study || (self.label && !in_parts) || SUSPICION.contains(&first) || examined())
            && !self.words.iter().any(year)
    }

    /// Whether it tells of the last days: "depuis 2 jours", "da ieri".
    fn is_recent(&self) -> bool {
        let units = || (1..=NEAR_BEGINNING).any(|at| UNITS.contains(self.word(at)));
        SINCE.contains(self.word(0)) && units()
    }

    /// Whether it tells of allergies, which are there: "Allergic to penicillin", and not "Allergic rhinitis".
    fn is_allergic(&self) -> bool {
        let first = self.word(0);
        let to = [
            "to", "gegen", "auf", "op", "voor", "a", "au", "aux", "al", "alla", "ao", "aos",
        ]
        .contains(&self.word(1));
        ALLERGIES.contains(first) || (to && (first.starts_with("allerg") || first.starts_with("alerg")))
    }

    /// Whether a past history has ended before it. In `prose`, that the patient has something is no end.
    fn begins_the_present(&self, prose: bool) -> bool {
        let is = PATIENT.contains(self.word(0)) && self.word(1) == "is";
        let today = self.words.last().is_some_and(|last| last == "today");
        self.tells() || self.is_recent() || self.is_allergic() || (!prose && (self.has() || is || today))
    }

    /// Whether a family history has ended before it, in which women and men were named last.
    fn leaves_the_family(&self, (women, men): (bool, bool)) -> bool {
        if self.words.iter().any(|word| is_relative(word)) {
            return false;
        }
        let pronoun = match self.word(0) {
            "she" => !women,
            "he" => !men,
            _ => false,
        };
        let verb = HAS.contains(self.word(0));
        let named = self.words.iter().any(|word| PATIENT.contains(word.as_str()));
        pronoun || verb || named || self.tells() || self.is_recent() || self.is_allergic()
    }
}

/// Whether nothing but what parts the items of a list stands here.
fn is_separator(gap: &str) -> bool {
    gap.chars()
        .all(|c| matches!(c, ' ' | '\t' | '\r' | ',' | ';' | '.' | '/'))
}

fn folded(text: &str) -> Vec<String> {
    let word = |span: ByteSpan| {
        let mut word = String::new();
        fold(text.get(span.range()).unwrap_or_default(), &mut word);
        word
    };
    words(text).map(word).collect()
}
