//! The sections of a clinical note, by the headings that clinicians write in English, German, French, Spanish, Italian, Dutch
//! and Portuguese: "Past Medical History:", "PMH: asthma", "ASSESSMENT AND PLAN", "## Medikation".
//!
//! A heading is one of the known ones, compared without case, accents and most punctuation, that stands
//! - at the beginning of a line, behind a number or a bullet, and is followed by a colon;
//! - alone on a line, with a capital letter first;
//! - at the beginning of a line, or a short one behind a sentence, in capitals, and is followed by a dash (or a wide space, at the beginning); or
//! - within a line, behind the end of a sentence or a wide space, or behind what another heading of the line has, with a capital
//!   letter first and a colon behind it.
//!
//! The letters of a SOAP note count where enough of them are there. A section reaches to the next heading. A line of its own
//! that ends in a colon, or that is written in capitals behind a blank line, and is no known heading, ends a section too, and so does a
//! letter before a slash ("A/" in Dutch) within a line; a history ends where words begin the present ("acude por"); and
//! what follows is of none: no section is better than a wrong one. Nothing is learnt, so that the same text has the same sections always.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::folding::{fold, push_without_accent, words};
use crate::languages::{ALL, DE, EN, ES, IT, NL, PT, languages};
use crate::tokens::ByteSpan;

/// Bytes of a heading at most.
const LONGEST: usize = 64;
/// Words that a heading within a line is looked for in, before its colon.
const INLINE: usize = 4;

/// A part of a note under a heading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// The words of the heading, where the section begins.
    pub heading: ByteSpan,
    /// One past its last byte.
    pub end: usize,
    /// One of [`NAMES`].
    pub name: &'static str,
}

/// The sections of a text, in their order; they do not overlap. Takes time linear in the text.
pub fn sections(text: &str) -> Vec<Section> {
    let mut marks = Vec::new();
    let (mut at, mut blank) = (0, true);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let line = Line {
            text,
            begin: at,
            end: at + rest.get(..length).unwrap_or_default().trim_end().len(),
            after_blank: blank,
        };
        line.marks(&mut marks);
        blank = line.begin == line.end;
        let ending = rest.get(length..).unwrap_or_default();
        at += length
            + if ending.starts_with("\r\n") {
                2
            } else {
                ending.len().min(1)
            };
    }
    let letter = |name: &str| marks.iter().any(|mark| mark.name == Some(name));
    let soap = letter(LETTERS[0].1) && letter(LETTERS[1].1) && (letter(LETTERS[2].1) || letter(LETTERS[3].1));
    marks.retain_mut(|mark| {
        let spelled = mark
            .name
            .and_then(|name| LETTERS.iter().find(|(_, letter, _)| *letter == name));
        match spelled {
            Some((_, _, name)) => {
                mark.name = Some(name);
                soap
            }
            None => true,
        }
    });
    // Short headings of other languages' histories are something else in English: a view of an X-ray, a plan, an examination.
    let told = languages(text);
    if told & EN != 0 && told != ALL {
        let foreign = marks.iter_mut().filter(|mark| {
            text.get(mark.heading.range())
                .is_some_and(|own| FOREIGN.contains(&own))
        });
        foreign.for_each(|mark| mark.name = None);
    }
    // Medical history in English, "medicação habitual" in Portuguese; and a bleeding or else but in Portuguese.
    marks.retain(|mark| {
        let own = text.get(mark.heading.range());
        let is_other = match own {
            Some("MH") => told & EN != 0,
            Some("HPP") => told & PT == 0,
            // The left ventricle, in French.
            Some("VG") => told & (DE | NL) == 0,
            // What a heart ejects, in English.
            Some("EF") => told & (ES | PT) == 0 || told & EN != 0,
            // Angina, in Dutch.
            Some("AP") => told == NL,
            _ => false,
        };
        !is_other
    });
    listened(text, &mut marks);
    // "APP" is the near history in Italian, where "APR" is the remote one, or "anamnesi patologica remota".
    let heading = |mark: &Mark| text.get(mark.heading.range()).unwrap_or_default();
    let is_italian =
        |mark: &Mark| heading(mark) == "APR" || heading(mark).to_lowercase().starts_with("anamnesi ");
    if told == IT || marks.iter().any(is_italian) {
        let own = marks.iter_mut().filter(|mark| heading(mark) == "APP");
        own.for_each(|mark| mark.name = Some("history of present illness"));
    }
    // "EA" is the patient's own history in German, and the present illness in Spanish.
    if told == DE {
        let own = marks
            .iter_mut()
            .filter(|mark| text.get(mark.heading.range()) == Some("EA"));
        own.for_each(|mark| mark.name = Some("past medical history"));
    }
    let ends = marks.iter().skip(1).map(|mark| mark.heading.begin);
    let ends = ends.chain([text.len()]);
    let all = marks.iter().zip(ends).filter_map(|(mark, end)| {
        let name = mark.name?;
        let content = text
            .get(mark.heading.end..end)
            .filter(|_| HISTORIES.contains(&name) || name == "family history");
        let present = content.and_then(present).map(|at| mark.heading.end + at);
        Some(Section {
            heading: mark.heading,
            end: present.unwrap_or(end),
            name,
        })
    });
    all.collect()
}

/// Takes "AP" for no history where the lungs are listened to: "AC: rítmica. AP: MVC". What stands there goes on with the examination, or
/// is of none.
fn listened(text: &str, marks: &mut Vec<Mark>) {
    let mut examined = false;
    marks.retain_mut(|mark| {
        let is_one = mark.name.is_some()
            && text.get(mark.heading.range()) == Some("AP")
            && (examined || is_of_lungs(text, mark.heading));
        if is_one {
            mark.name = None;
        }
        examined = mark.name == Some("physical examination") || (is_one && examined);
        !(is_one && examined)
    });
}

/// Whether "AP" stands before what is heard over lungs, or behind the heart or the examination in its line or the line before.
fn is_of_lungs(text: &str, heading: ByteSpan) -> bool {
    let behind = text.get(heading.end..).unwrap_or_default();
    let behind = behind.trim_start_matches([':', ' ', '\t']);
    let next = behind.split(|c: char| !c.is_alphanumeric()).next();
    let next = folded(next.unwrap_or_default());
    if HEARD.split(',').map(str::trim).any(|own| own == next) {
        return true;
    }
    let from = text.ceil_char_boundary(heading.begin.saturating_sub(LISTENED));
    let before = text.get(from..heading.begin).unwrap_or_default();
    let line = before.rmatch_indices('\n').nth(1);
    let before = before.get(line.map_or(0, |(at, _)| at)..).unwrap_or_default();
    let mut parts: Vec<&str> = before.split(':').collect();
    parts.pop();
    parts.iter().any(|part| {
        let words = part.split(|c: char| !c.is_alphanumeric()).rev();
        let mut words = words.filter(|word| !word.is_empty()).take(2).map(folded);
        words.any(|word| {
            matches!(
                &*word,
                "ac" | "acp" | "ef" | "eo" | "exploracion" | "examen" | "exame"
            )
        })
    })
}

/// Bytes before "AP" that are looked through for that, at most.
const LISTENED: usize = 256;
/// What is heard over lungs, folded.
const HEARD: &str = "mv, mvc, mvf, crepitantes, crepitaciones, crepitacoes, sibilantes, sibilos, sibilancias, roncus, roncos, buena, normoventilacion, murmullo,
    murmurio, hipofonesis, hipoventilacion, limpia, limpa";

/// Headings of histories in Romance languages.
const FOREIGN: [&str; 4] = ["AP", "APP", "APR", "VE"];

/// The sections for what is past.
pub(crate) const HISTORIES: [&str; 4] = [
    "past medical history",
    "past surgical history",
    "psychiatric history",
    "obstetric history",
];

/// Where words begin that what follows is present, behind others.
fn present(text: &str) -> Option<usize> {
    static STARTS: LazyLock<Vec<(Vec<&str>, bool)>> = LazyLock::new(|| {
        let all = [
            (PRESENT_BEGINS, false),
            (PRESENT_TELLS, false),
            (PRESENT_OPENS, true),
        ]
        .into_iter();
        all.flat_map(|(list, opens)| {
            list.split(',')
                .map(move |words| (words.split_whitespace().collect(), opens))
        })
        .collect()
    });
    let mut window: Vec<(usize, String)> = Vec::new();
    // Where the first word begins that has a letter or digit.
    let mut begun = None;
    for word in words(text) {
        let written = text.get(word.range()).unwrap_or_default();
        if begun.is_none() && written.contains(char::is_alphanumeric) {
            begun = Some(word.begin);
        }
        let mut own = String::new();
        fold(written, &mut own);
        if window.len() == MOST_STARTING {
            window.remove(0);
        }
        window.push((word.begin, own));
        for (words, opens) in STARTS.iter() {
            let Some(from) = window.len().checked_sub(words.len()) else {
                continue;
            };
            let behind = window.get(from..).unwrap_or_default();
            if behind.iter().zip(words).all(|((_, own), word)| own == word) {
                let begin = behind.first().map_or(0, |(begin, _)| *begin);
                let before = text.get(..begin).unwrap_or_default();
                let opening = before
                    .trim_end_matches([' ', '\t'])
                    .ends_with(['.', '!', '?', '\n']);
                let is_behind_others = begun.is_some_and(|first| first < begin);
                if is_behind_others && (opening || !opens) {
                    return Some(begin);
                }
            }
        }
    }
    None
}

/// The most words of those.
const MOST_STARTING: usize = 4;
/// How the present begins behind a history, folded.
pub(crate) const PRESENT_BEGINS: &str = "presents with, now presents, presents today, seen in ed, seen in the ed, seen today, presenting today, comes in with, here today for, here for,
    stellt sich vor, stellt sich nun, stellt sich jetzt, kommt wegen, kommt nun, kommt mit, jetzt vorstellung, aktuell vorstellung,
    consulte pour, se presente pour, se presente aux, adresse pour, adressee pour, vient pour, consulte ce jour, consulte aux,
    acude por, acude a urgencias, acude al servicio, acude refiriendo, consulta por, consulta hoy, ingresa por, acude hoy,
    giunge per, giunge in, accede per, accede in, si presenta per, si presenta in, viene per,
    komt met, komt nu, komt wegens, komt i, presenteert zich, meldt zich,
    recorre ao, recorreu ao, recorre por, vem por, recorre a, da entrada por";

/// And how it goes on, where a negation would not end: "no longer complains of".
const PRESENT_TELLS: &str =
    "was admitted with, admitted with, complains of, now has, today has, currently has";
/// How it begins at the beginning of a sentence.
const PRESENT_OPENS: &str = "med, meds, medicatie, medikation, today, currently, this morning, this evening, ce jour, aujourd ' hui, actuellement, hoy, actualmente, oggi, attualmente,
    heute, jetzt, nun, aktuell, nu, maintenant, ahora, adesso, agora, vandaag, momenteel, hoje, atualmente, uso de, em uso de, faz uso de, em tratamento com, en tratamiento con, in terapia con, now, on exam, on examination, o / e, in ed, biba, c / o, came in";

/// The name of the section that a byte stands in; `None` before the first and between them.
pub fn section_at(sections: &[Section], at: usize) -> Option<&'static str> {
    let index = sections.partition_point(|section| section.end <= at);
    let section = sections.get(index)?;
    (section.heading.begin <= at).then_some(section.name)
}

/// The headings that are short forms, which are names of something else elsewhere: "FH" is also a hypercholesterolaemia.
pub fn short_headings<'a>(text: &'a str, sections: &'a [Section]) -> impl Iterator<Item = ByteSpan> + 'a {
    let own = move |span: &ByteSpan| text.get(span.range()).unwrap_or_default();
    let headings = sections.iter().map(|section| section.heading);
    headings.filter(move |heading| {
        let is_short = heading.end - heading.begin <= SHORT && is_capital(own(heading));
        is_short
            && !FOREIGN.contains(&own(heading))
            && (own(heading) != EXAMINED || is_examined(text.get(heading.end..).unwrap_or_default()))
    })
}

/// Bytes of such a heading at most.
const SHORT: usize = 4;
/// The physical examination, or what examinations of a leg have found in a lung.
const EXAMINED: &str = "PE";

/// Whether what stands behind "PE" is how examinations begin: on lines of its own, or with what is looked at first.
fn is_examined(behind: &str) -> bool {
    let behind = behind.trim_start_matches([':', ' ', '\t', '-', '–']);
    if behind.starts_with(['\n', '\r', '+']) {
        return true;
    }
    let word = behind.split(|c: char| !c.is_alphanumeric()).next();
    let word = folded(word.unwrap_or_default());
    let mut begins = EXAMINATION_BEGINS.split(',').map(str::trim);
    begins.any(|own| own == word)
}

const EXAMINATION_BEGINS: &str = "a, abd, abdomen, afebrile, alert, appears, aox3, awake, bp, cardiac, chest, comfortable, const, constitutional, cv,
    ext, extremities, eyes, gen, general, head, heart, heent, hr, looks, lungs, mild, nad, nc, neck, neuro, no, normal, obese, pulm, resp,
    rrr, skin, t, temp, wheezing, wheezes, rales, rash, edema, oedema, murmur, tender, tenderness, tachycardic, soft, febrile, pale, jaundiced, ill, thin, pt, patient, lethargic, unremarkable, vitals, vs, vss, wd, wdwn, well, wn";

/// A heading, or what is written like one and is not known.
struct Mark {
    heading: ByteSpan,
    name: Option<&'static str>,
}

/// What a heading has behind it in its line.
#[derive(Clone, Copy)]
struct Content {
    begin: usize,
    /// Its first letter or digit, once that is read.
    written: Option<usize>,
}

impl Content {
    fn new(begin: usize) -> Self {
        Self { begin, written: None }
    }
}

/// A line without the white space behind it.
struct Line<'a> {
    text: &'a str,
    begin: usize,
    end: usize,
    /// Whether nothing stands in the line before.
    after_blank: bool,
}

impl Line<'_> {
    fn slice(&self, begin: usize, end: usize) -> &str {
        self.text.get(begin..end).unwrap_or_default()
    }

    /// Appends what is marked in this line. One pass; what is compared is never longer than a heading may be.
    fn marks(&self, marks: &mut Vec<Mark>) {
        let first = self.begin + prefix(self.slice(self.begin, self.end));
        // Where the words that are read began, as long as they may be a heading.
        let mut start = Some(first);
        let (mut last, mut begins) = (' ', false);
        let mut content: Option<Content> = None;
        let mut rest = self.slice(first, self.end).char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            let at = first + at;
            if let Some(content) = &mut content
                && content.written.is_none()
                && c.is_alphanumeric()
            {
                content.written = Some(at);
            }
            if begins && !c.is_whitespace() {
                (start, begins) = (Some(at), false);
            }
            let next = rest.peek().map(|(_, next)| *next);
            let wide = c == '\t' || (c == ' ' && next == Some(' '));
            // "[atcd] goutte".
            let bracketed = c == ']' && start == Some(first) && self.slice(self.begin, first).ends_with('[');
            if c == ':' || (bracketed && self.known(first, at).is_some()) {
                // "Ant. familiares:" is one.
                let is_free = marks.last().is_none_or(|mark| mark.heading.begin < first);
                let whole = is_free.then(|| self.known(first, at)).flatten();
                let known = whole.or_else(|| self.known(start?, at));
                let known = known.filter(|mark| {
                    mark.heading.begin == first || begins_with_capital(self.slice(mark.heading.begin, at))
                });
                // Behind a heading that stands alone nothing is one that begins in it: "Plan: x  PMH) - :".
                let is_next = |mark: &Mark| {
                    marks
                        .last()
                        .is_none_or(|last| last.heading.end <= mark.heading.begin)
                };
                if let Some(mark) = known.or_else(|| self.inline(content?, at)).filter(is_next) {
                    marks.push(mark);
                    content = Some(Content::new(at + 1));
                } else if start == Some(first) && at + 1 == self.end {
                    self.unknown(first, at, marks);
                }
                start = None;
            } else if let Some(from) = start
                && ((from == first && wide) || self.may_head(first, from, at))
                && at - from <= LONGEST
                && is_capital(self.slice(from, at))
                && let Some(mark) = self.known(from, at)
            {
                marks.push(mark);
                start = None;
            }
            if c == '/'
                && content.is_some()
                && let Some(mark) = self.letter(at)
            {
                marks.push(mark);
                content = Some(Content::new(at + 1));
            }
            if wide || (c.is_whitespace() && matches!(last, '.' | ';' | '!' | '?' | ')' | ']')) {
                (start, begins) = (None, true);
            }
            last = c;
        }
        let Some(start) = start else { return };
        let line = self.slice(start, self.end);
        match self.known(start, self.end) {
            // "Differential:", and below it "- PE".
            Some(_)
                if line.trim_end() == EXAMINED
                    && self
                        .slice(self.begin, first)
                        .contains(['-', '•', '*', '·', '.', ')']) => {}
            Some(mark) if start == first && begins_with_capital(line) => marks.push(mark),
            // Headings of columns: nobody knows which of them a line below belongs to.
            Some(mark) if is_capital(line) => marks.push(Mark { name: None, ..mark }),
            None if start == first && self.after_blank && is_capital(line) => {
                self.unknown(first, self.end, marks);
            }
            _ => {}
        }
    }

    /// The heading that ends before a colon, behind what another one has.
    fn inline(&self, content: Content, colon: usize) -> Option<Mark> {
        let from = content.begin.max(colon.saturating_sub(LONGEST));
        let from = self.text.ceil_char_boundary(from);
        let words = self.slice(from, colon).trim_end();
        let starts = words.rmatch_indices(char::is_whitespace).take(INLINE);
        let known = starts.filter_map(|(space, gap)| {
            let begin = from + space + gap.len();
            let before = self.slice(content.begin, begin).trim_end();
            let own = self.slice(begin, from + words.len());
            // "DVT, PE: 2010" is a list, and a heading alone has nothing to end.
            let listed = before.ends_with(',') && own.len() < 4;
            let is_one =
                begins_with_capital(own) && !listed && content.written.is_some_and(|first| first < begin);
            is_one.then(|| self.known_or_ending(begin, colon))?
        });
        known.last()
    }

    fn known_or_ending(&self, begin: usize, end: usize) -> Option<Mark> {
        self.known(begin, end).or_else(|| {
            let heading = ByteSpan { begin, end };
            let own = folded(self.slice(begin, end).trim_end());
            let mut ending = ENDING.split(',').map(str::trim);
            ending
                .any(|word| word == own)
                .then_some(Mark { heading, name: None })
        })
    }

    /// A capital letter, or "LO", that stands free before a slash, with something else behind that: "A/ hoest".
    fn letter(&self, slash: usize) -> Option<Mark> {
        let from = self
            .text
            .ceil_char_boundary(slash.saturating_sub(4).max(self.begin));
        let before = self.slice(from, slash);
        let own = before.rsplit(char::is_whitespace).next().unwrap_or_default();
        let mut behind = self.slice(slash + 1, self.end).chars();
        let heading = ByteSpan {
            begin: slash - own.len(),
            end: slash,
        };
        let stands_free = before.len() > own.len() && behind.next() == Some(' ');
        // "Hepatitis A/ B" is none.
        let capital = behind.next().is_some_and(char::is_uppercase);
        let alone = capital && !behind.next().is_some_and(char::is_alphanumeric);
        let is_known = matches!(own, "A" | "S" | "O" | "E" | "C" | "B" | "P" | "LO");
        (is_known && stands_free && !alone).then_some(Mark { heading, name: None })
    }

    /// Whether a dash stands behind words that may be a heading before it: at the beginning of a line, or, behind a sentence, short ones, "DH -
    /// metformin. FH - nil."; not an embolism.
    fn may_head(&self, first: usize, from: usize, at: usize) -> bool {
        self.dash(at) && (from == first || (at - from <= SHORT && self.slice(from, at) != EXAMINED))
    }

    /// Whether a dash that stands free begins behind this byte.
    fn dash(&self, at: usize) -> bool {
        let mut behind = self.slice(at, self.end).chars();
        behind.next() == Some(' ')
            && matches!(behind.next(), Some('-' | '–' | '—'))
            && behind.next().is_none_or(char::is_whitespace)
    }

    fn known(&self, begin: usize, end: usize) -> Option<Mark> {
        let words = self.slice(begin, end).trim_end();
        if words.is_empty() || words.len() > LONGEST {
            return None;
        }
        let letter = LETTERS.iter().find(|(letter, _, _)| *letter == words);
        let name = match letter {
            Some((_, name, _)) => name,
            None => KNOWN.get(folded(words).as_str())?,
        };
        Some(Mark {
            heading: ByteSpan {
                begin,
                end: begin + words.len(),
            },
            name: Some(name),
        })
    }

    /// Marks words that are written like a heading: short, and beginning with a capital letter.
    fn unknown(&self, begin: usize, end: usize, marks: &mut Vec<Mark>) {
        let words = self.slice(begin, end);
        if words.len() <= LONGEST
            && begins_with_capital(words)
            && words.chars().filter(|c| c.is_alphabetic()).count() > 3
        {
            let heading = ByteSpan { begin, end };
            marks.push(Mark { heading, name: None });
        }
    }
}

/// Bytes of what may stand before a heading: white space, bullets, marks of emphasis, a number or letter with a point.
fn prefix(line: &str) -> usize {
    let bare = |text: &str| {
        text.trim_start_matches(|c: char| c.is_whitespace() || MARKS.contains(c))
            .len()
    };
    let mut rest = bare(line);
    let numbered = line.get(line.len() - rest..).unwrap_or_default();
    if let Some(stop) = numbered.find(['.', ')'])
        && (1..=3).contains(&stop)
        && let (Some(number), Some(behind)) = (numbered.get(..stop), numbered.get(stop + 1..))
        && behind.starts_with(char::is_whitespace)
        && (number.bytes().all(|c| c.is_ascii_digit()) || number.bytes().all(|c| b"IVXABCDEF".contains(&c)))
        && !(number == "A" && is_antecedents(behind))
    {
        rest = bare(behind);
    }
    line.len() - rest
}

/// Whether what stands behind "A." makes that the antecedents: "A. familiares".
fn is_antecedents(behind: &str) -> bool {
    let word = behind.trim_start().split(|c: char| !c.is_alphabetic()).next();
    matches!(&*folded(word.unwrap_or_default()), "familiares" | "personales")
}

const MARKS: &str = "#*_-=•·>[]~|–—";

fn begins_with_capital(words: &str) -> bool {
    words.starts_with(char::is_uppercase)
}

/// Whether words are written in capitals.
fn is_capital(words: &str) -> bool {
    words.contains(char::is_uppercase) && !words.contains(char::is_lowercase)
}

/// Words as they are compared: small letters without accents, one space between them, no number behind them.
fn folded(words: &str) -> String {
    let mut folded = String::with_capacity(words.len());
    for c in words.chars().flat_map(char::to_lowercase) {
        match c {
            c if push_without_accent(c, &mut folded) => {}
            // Part of a word: "P.M.H.", "Specimen(s)", and letters and their accents apart.
            '.' | '(' | ')' | '*' | '_' | '#' | '\u{300}'..='\u{36f}' => {}
            '&' | '+' | '/' => {
                folded.truncate(folded.trim_end().len());
                folded.push('/');
            }
            c if c.is_alphanumeric() => folded.push(c),
            _ if folded.is_empty() || folded.ends_with([' ', '/']) => {}
            _ => folded.push(' '),
        }
    }
    // "Labs 3/2".
    let number = |c: char| c.is_ascii_digit() || c == '/' || c == ' ';
    folded.truncate(folded.trim_end_matches(number).len());
    folded
}

/// Headings within a line that end the section before, and are of none.
const ENDING: &str = "traitement, traitements, ttt, tratamiento, tto, terapia, therapie, tratamento, presentation, now, today,
    currently, aktuell, actuellement, actualmente, attualmente, atualmente, jetzt, derzeit, maintenant, ahora, adesso, agora, nu, heute, oggi, hoy, hoje, vandaag, clinique, a l entree, ausculta, auscultacion, auscultation, auskultation, ac, acp, auscultacao, esame, exploration";

/// The letters of a SOAP note, what each is called until it is known whether it is one, and its section.
const LETTERS: [(&str, &str, &str); 4] = [
    ("S", "letter S", "subjective"),
    ("O", "letter O", "objective"),
    ("A", "letter A", "assessment"),
    ("P", "letter P", "plan"),
];

static KNOWN: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let headings = |(name, all): &(&'static str, &'static str)| {
        let name = *name;
        all.split(',').map(move |heading| (heading.trim(), name))
    };
    HEADINGS.iter().flat_map(headings).collect()
});

/// What sections are called.
pub static NAMES: LazyLock<Vec<&'static str>> =
    LazyLock::new(|| HEADINGS.iter().map(|(name, _)| *name).collect());

/// The headings of each section, folded.
#[rustfmt::skip]
const HEADINGS: &[(&str, &str)] = &[
    ("chief complaint", "chief complaint, cc, presenting complaint, presenting complaints, pc, reason for visit,
        reason for admission, reason for consultation, reason for consult, reason for referral, reason,
        aufnahmegrund, aufnahmeanlass, einweisungsgrund, vorstellungsgrund, leitsymptom, hauptbeschwerde, hauptbeschwerden,
        beschwerden, motif, motif de consultation, motif d hospitalisation, motif d admission, motif de venue,
        motivo, motivo de consulta, motivo de ingreso, motivo da consulta, motivo de internamento, motivo de internacao, queixa principal,
        motivo del ricovero, motivo di ricovero, motivo della visita, motivo dell accesso,
        reden van komst, reden van opname, reden opname, hoofdklacht, klachten"),
    ("history of present illness", "history of present illness, interval hx, plaintes, hpi, history of presenting complaint, hpc, hopc,
        history of presenting illness, present illness, interval history, interval, current complaints, current symptoms, presenting symptoms,
        presentation, aktuelle beschwerden, aktuelle symptome, jetzige beschwerden, symptomes actuels, plaintes actuelles, sintomas actuales,
        sintomi attuali, huidige klachten, actuele klachten, sintomas atuais, queixas atuais,
        anamnese, aktuelle anamnese, jetzige anamnese, krankheitsanamnese, jetziges leiden,
        histoire de la maladie, histoire de la maladie actuelle, hdm, enfermedad actual, ea, historia actual,
        historia de la enfermedad actual, anamnesi patologica prossima, anamnesi prossima,
        huidige ziektegeschiedenis, historia da doenca atual, hda, historia da molestia atual, hma"),
    ("past medical history", "personal history, past h/o, past hx, p/h, past med history, pmh/psh, hmp, poh, pohx, ophthalmic history, ophthalmological history, ocular history, eye history,
        fruhere anamnese, augenanamnese, atcd ophtalmo, atcd ophtalmologiques, antec, antec pessoais, an remota, anamnesi rem, past ocular history, past ophthalmic history, past ocular hx,
        previous illnesses, past illnesses, past personal history, past medical history, pmh, pmhx, past medical hx, past med hx, past history, medical history,
        previous medical history, comorbidities, co morbidities, background, background history,
        pmh of note, pmhx of note, past medical history of note, vorerkr, vorerkrankungen, relevante vorerkrankungen, begleiterkrankungen, eigenanamnese, vorgeschichte, medizinische vorgeschichte,
        antecedents, antecedents medicaux, antecedents personnels, antecedents medicaux et chirurgicaux, atcd, atcds, comorbidites,
        antecedentes, antecedentes personales, antecedentes medicos, antecedentes patologicos, antecedentes personales patologicos,
        anamnesi patologica remota, in anamnesi patologica remota, in anamnesi remota, pregr, antecedentes que constan, antecedentes conocidos, anamnesi remota, patologie pregresse, comorbilita,
        voorgeschiedenis, vg, vg int, vg intern, vg chir, vg alg, medische voorgeschiedenis, relevante voorgeschiedenis, comorbiditeit,
        antecedenten, medische antecedenten, persoonlijke antecedenten, ap, apr, app, ve, antecedentes pessoais, historia pregressa, historia medica pregressa, historia patologica pregressa, comorbidades,
        atcd medicaux, atcd perso, atcd pers, atcds pers, atcd personnels, antecedents pers, voorgesch, vorgesch, vorerkrankung, pat pregresse, ant pessoais, a pessoais,
        atcd med, antecedents medico chirurgicaux, bekannte vorerkrankungen, fruhere erkrankungen, vordiagnosen,
        antec personales, a personales, ant personales, ant patologicos, antecedentes medico quirurgicos, antecedentes de interes, hpp"),
    ("past surgical history", "past surgical history, psh, pshx, surgical history, previous surgery, past surgeries,
        voroperationen, operative vorgeschichte, antecedents chirurgicaux, antecedentes quirurgicos, cirugias previas,
        interventi chirurgici, interventi chirurgici pregressi, chirurgische voorgeschiedenis,
        antecedentes cirurgicos, cirurgias previas, cirurgias anteriores, atcd chirurgicaux, atcd chir"),
    ("psychiatric history", "psych hx, past psych hx, past psych history, atcd psy, atcd psychiatriques, vg psych, ap psiq, psychiatric history, past psychiatric history, pph, psychiatrische anamnese,
        psychiatrische vorgeschichte, antecedents psychiatriques, antecedentes psiquiatricos, psychiatrische voorgeschiedenis"),
    ("obstetric history", "obstetric history, obs h/o, obs hx, obs history, ob h/o, past obstetric history, ob hx, obhx, ob history, ob/gyn history, gynakologische anamnese,
        antecedents obstetricaux, antecedents gyneco obstetricaux, antecedentes obstetricos, antecedentes gineco obstetricos,
        anamnesi ostetrica, obstetrische voorgeschiedenis, geburtsanamnese, schwangerschaftsanamnese, vg obst, vg gyn, vg verlosk, atcd obst, atcd gyneco, atcd gyn, ap obst, ap gin, apr ostetrica"),
    ("medications", "medications, medication, meds, med, current medications, current medication, current meds, home medications,
        home meds, regular medications, regular meds, outpatient medications, medication list, medications on admission,
        admission medications, medications prior to admission, current drugs, regular drugs, drug history, dh, dhx,
        medikation, medikamente, aktuelle medikation, dauermedikation, hausmedikation, medikation bei aufnahme,
        aufnahmemedikation, bisherige medikation, medikamentenanamnese,
        medicaments, traitement actuel, traitements actuels, traitement en cours, traitements en cours, traitement habituel,
        traitement a l entree, traitement a domicile, traitement personnel,
        medicacion, medicacion actual, medicacion habitual, tratamiento habitual, tratamiento actual, tratamiento domiciliario,
        medicamentos, terapia domiciliare, terapia in atto, terapia in corso, terapia attuale, terapia farmacologica, farmaci,
        farmaci in uso, medicatie, huidige medicatie, actuele medicatie, thuismedicatie, medicatie bij opname,
        medicacao, medicacao atual, medicacao habitual, medicacao em uso, medicacoes em uso, medicamentos em uso,
        dauermed, dauermedikamente, hausmed, vormedikation, aktuelle medikamente, bedarfsmedikation, tto habitual, tto actual,
        tto domiciliario, med habitual, ttt habituel, ttt perso, traitement au long cours, terapia a domicilio, terapia cronica,
        tp domiciliare, medicijnen, medicatie thuis, med thuis, mh, muc, em uso, medicacao cronica, medicacao de ambulatorio"),
    ("discharge medications", "discharge medications, discharge medication, discharge meds, discharge drugs, medications on discharge,
        medications at discharge, medication on discharge, tto, ttos, tta, ttas,
        entlassungsmedikation, entlassmedikation, medikation bei entlassung, traitement de sortie, ordonnance de sortie,
        medicacion al alta, tratamiento al alta, terapia alla dimissione, ontslagmedicatie, medicatie bij ontslag,
        medicacao na alta, medicacao de alta, prescricao de alta"),
    ("allergies", "allergies, allergy, allerg, drug allergies, drug allergy, allergies and intolerances, allergies/intolerances,
        allergies/adverse reactions, adverse reactions, allergien, allergie, allergien und unvertraglichkeiten,
        allergien/unvertraglichkeiten, unvertraglichkeiten, allergies et intolerances,
        alergias, alergias medicamentosas, alergias e intolerancias, allergie e intolleranze, intolleranze, allergieen"),
    ("family history", "family history, f/h, ahf, an fam, anamn fam, anamnesi fam, famanamnese, family hx, fam hx, fh, fhx, family, fam, familienanamnese, antecedents familiaux,
        antecedentes familiares, historia familiar, anamnesi familiare, familieanamnese, familiaire anamnese,
        atcd familiaux, atcd fam, histoire familiale, contexte familial, familiare anamnese, familiare belastung, fam anamnese, ant familiares,
        antec familiares, a familiares, familiarita, h familiar"),
    ("social history", "social history, social hx, soc hx, sh, shx, soc, social, sozialanamnese, soziale anamnese, mode de vie,
        habitudes de vie, contexte social, antecedentes sociales, historia social, habitos, habitos toxicos, anamnesi sociale,
        abitudini di vita, sociale anamnese, sociale voorgeschiedenis, intoxicaties, habitos de vida, antecedentes sociais"),
    ("immunizations", "immunizations, immunisations, vaccines, vaccine history, immunisation history, imms, immunization history, vaccinations, impfungen, impfstatus, vaccins, vacunas,
        vacunacion, vaccinazioni, vaccinaties, vacinas, vacinacao"),
    ("review of systems", "review of systems, ros, systems review, systemic enquiry, systemanamnese, vegetative anamnese,
        revue des systemes, revision por sistemas, anamnesis por aparatos, tractusanamnese, revisao de sistemas"),
    ("subjective", "subjective, subj, subjektiv, subjectif, subjetivo, subjectief"),
    ("objective", "objective, obj, objektiv, objectif, objetivo, objectief"),
    ("vital signs", "vital signs, vitals, vs, obs, observations, vitalparameter, vitalzeichen, constantes, signes vitaux,
        constantes vitales, signos vitales, parametri vitali, vitale parameters, vitale functies, sinais vitais"),
    ("physical examination", "physical examination, physical exam, physical, examination, exam, on examination, o/e, pe,
        clinical examination, korperliche untersuchung, korperlicher untersuchungsbefund, untersuchungsbefund, klinischer befund,
        aufnahmebefund, status praesens, examen clinique, examen physique, examen, exploracion fisica, exploracion, examen fisico,
        esame obiettivo, ef, lichamelijk onderzoek, lo, exame fisico, exame objetivo, exame objectivo"),
    ("mental state examination", "mental state examination, mental state, mental status, mental status exam,
        mental status examination, mse, psychopathologischer befund, psychischer befund, examen mental, esame psichico,
        psychiatrisch onderzoek, exame do estado mental"),
    ("results", "results, labs, lab, laboratory, laboratory data, laboratory results, lab results, bloods, investigations, data,
        pertinent results, diagnostic studies, studies, micro, microbiology, micro/labs, labor, laborbefunde, laborwerte,
        biologie, bilan biologique, resultats, examens complementaires, analitica, laboratorio, resultados,
        pruebas complementarias, examenes complementarios, esami ematochimici, esami di laboratorio, esami strumentali,
        laboratorium, labuitslagen, aanvullend onderzoek, exames complementares, exames laboratoriais, analises"),
    ("imaging", "imaging, radiology, bildgebung, radiologie, imagerie, pruebas de imagen, radiologia, diagnostica per immagini,
        beeldvorming, imagiologia, exames de imagem"),
    ("indication", "indication, indications, ind, clinical history, clinical hx, clinical h/o, clinical details, clinical information, clinical indication,
        clin info, indikation, fragestellung, klinische angaben, renseignements cliniques, indicacion, datos clinicos,
        quesito, quesito clinico, quesito diagnostico, indicazione, indicatie, vraagstelling, klinische gegevens, indicacao,
        informacao clinica"),
    ("technique", "technique, technik, tecnica, techniek"),
    ("comparison", "comparison, vergleich, comparaison, comparacion, confronto, vergelijking, comparacao"),
    ("findings", "findings, befund, befunde, hallazgos, referto, reperti, bevindingen, achados"),
    ("specimen", "specimen, specimens, prelevement, prelevements, muestra, muestras"),
    ("macroscopic description", "gross, gross description, macroscopy, macroscopic description, makroskopie, macroscopie,
        macroscopia"),
    ("microscopic description", "microscopic, microscopy, microscopic description, mikroskopie, microscopie, microscopia"),
    ("procedure", "procedure, procedures, operation, operations, operation performed, surgery, op, operationen, eingriff,
        intervention, interventions, procedimiento, procedimientos, intervencion, intervento, ingreep, operatie, verrichtingen,
        procedimento, procedimentos, cirurgia"),
    ("hospital course", "hospital course, brief hospital course, course in hospital, clinical course, course, progress,
        ed course, icu course, verlauf, therapie und verlauf, klinischer verlauf, stationarer verlauf, behandlungsverlauf,
        epikrise, evolution, evolution clinique, evolution dans le service, prise en charge, evolucion, evolucion clinica,
        curso clinico, decorso, decorso clinico, beloop, klinisch beloop, evolucao, evolucao clinica, evolucao no internamento"),
    ("diagnoses", "diagnosis, diagnoses, dx, principal diagnosis, primary diagnosis, secondary diagnosis, secondary diagnoses,
        final diagnosis, final diagnoses, discharge diagnosis, discharge diagnoses, admission diagnosis, admitting diagnosis,
        clinical diagnosis, preoperative diagnosis, postoperative diagnosis, pre op dx, post op dx, pre operative diagnosis,
        post operative diagnosis, diagnose, diagnosen, hauptdiagnose, nebendiagnose, nebendiagnosen, nbd, entlassungsdiagnose,
        entlassungsdiagnosen, entlassdiagnose, entlassdiagnosen, aufnahmediagnose, diagnostic, diagnostics, diagnostic principal,
        diagnostics associes, diagnostic de sortie, diagnostico, diagnosticos, diagnostico principal, diagnosticos secundarios,
        diagnostico al alta, diagnosi, diagnosi principale, diagnosi di dimissione, diagnosi alla dimissione,
        diagnosi di ingresso, hoofddiagnose, nevendiagnose, nevendiagnosen, nevendiagnoses, ontslagdiagnose,
        diagnostico de alta"),
    ("problem list", "problem list, problems, active problems, problemliste, liste des problemes, lista de problemas,
        lista dei problemi, probleemlijst, problemen"),
    ("assessment", "assessment, impression, imp, clinical impression, conclusion, conclusions, concl, beurteilung, einschatzung,
        zusammenfassende beurteilung, synthese, impresion, impresion diagnostica, impresion clinica, juicio clinico,
        juicio diagnostico, valoracion, conclusioni, valutazione, conclusie, beoordeling, conclusao, avaliacao, impressao,
        impressao diagnostica, hipotese diagnostica, hipoteses diagnosticas"),
    ("assessment and plan", "assessment and plan, assessment/plan, a/p, impression and plan, impression/plan, imp/plan,
        assessment and recommendations, beurteilung und procedere, beurteilung und prozedere, conclusion et conduite a tenir,
        valoracion y plan, impresion y plan, conclusie en beleid, avaliacao e plano"),
    ("plan", "plan, plans, treatment plan, management plan, plan of care, recommendation, recommendations, rec, recs,
        disposition, dispo, follow up, followup, discharge plan, discharge instructions, instructions, to do,
        procedere, prozedere, weiteres procedere, weiteres prozedere, empfehlung, empfehlungen, therapieempfehlung,
        conduite a tenir, recommandations, suivi, plan terapeutico, recomendaciones, seguimiento, piano, programma,
        raccomandazioni, beleid, vervolgbeleid, advies, plano, plano terapeutico, conduta, recomendacoes, seguimento"),
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Vec<(&str, &'static str)> {
        let all = sections(text);
        all.iter()
            .map(|section| (&text[section.heading.begin..section.heading.end], section.name))
            .collect()
    }

    #[test]
    fn short_headings_with_a_dash_follow_one_another_in_a_line() {
        assert_eq!(
            found("PMH - T2DM. DH - metformin. FH - nil. PC - chest pain. O/E - wheeze. PE - treated"),
            [
                ("PMH", "past medical history"),
                ("DH", "medications"),
                ("FH", "family history"),
                ("PC", "chief complaint"),
                ("O/E", "physical examination"),
            ]
        );
        assert_eq!(found("Stable. AF - rate controlled. SOB - no."), []);
    }

    #[test]
    fn short_headings_are_no_names() {
        let short = |text: &str| {
            let all = sections(text);
            let headings = short_headings(text, &all).map(|span| text[span.range()].to_owned());
            headings.collect::<Vec<_>>()
        };
        assert_eq!(short("FH: none. PMH: FH, gout"), ["FH", "PMH"]);
        assert_eq!(short("PE: lungs clear.\nPlan: echo"), ["PE"]);
        assert_eq!(short("PE:\nHEENT: normal\nROS: negative"), ["PE", "ROS"]);
        assert_eq!(short("A/P:\nPE: on heparin\nCOPD: stable"), ["A/P"]);
        assert_eq!(short("Denies:\n- PE\n2. PE\n"), Vec::<String>::new());
        // A plan, a view, and a history in Italian.
        assert_eq!(short("AP: angina"), Vec::<String>::new());
        assert_eq!(short("Pain: none. Family history: gout"), Vec::<String>::new());
    }

    fn name_of(text: &str, words: &str) -> Option<&'static str> {
        section_at(&sections(text), text.find(words).unwrap())
    }

    #[test]
    fn a_heading_belongs_to_one_section_and_is_folded() {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for (name, all) in HEADINGS {
            for heading in all.split(',').map(str::trim) {
                assert_eq!(folded(heading), heading);
                assert!(heading.len() <= LONGEST);
                assert_eq!(seen.insert(heading, name), None, "{heading}");
            }
        }
        assert_eq!(seen.len(), KNOWN.len());
        for (_, _, name) in LETTERS {
            assert!(NAMES.contains(&name));
        }
        let told = include_str!("../../../sdk/plugin/ABI.md").replace('\n', " ");
        for name in NAMES.iter() {
            assert!(told.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn headings_are_found_as_clinicians_write_them() {
        for (line, heading, name) in [
            (
                "Past Medical History: asthma",
                "Past Medical History",
                "past medical history",
            ),
            ("P.M.H.: asthma", "P.M.H.", "past medical history"),
            ("PMHx:asthma", "PMHx", "past medical history"),
            ("  meds : aspirin", "meds", "medications"),
            (
                "ASSESSMENT AND PLAN",
                "ASSESSMENT AND PLAN",
                "assessment and plan",
            ),
            ("A&P:", "A&P", "assessment and plan"),
            ("Assessment / Plan:", "Assessment / Plan", "assessment and plan"),
            ("## Medikation\r", "Medikation", "medications"),
            ("**Allergien:** keine", "Allergien", "allergies"),
            (
                "2. Körperlicher Untersuchungsbefund:",
                "Körperlicher Untersuchungsbefund",
                "physical examination",
            ),
            ("II) ANTÉCÉDENTS", "ANTÉCÉDENTS", "past medical history"),
            (
                "Histoire de la maladie :",
                "Histoire de la maladie",
                "history of present illness",
            ),
            (
                "Motif d'hospitalisation: chute",
                "Motif d'hospitalisation",
                "chief complaint",
            ),
            (
                "Exploración física:",
                "Exploración física",
                "physical examination",
            ),
            (
                "Exploracio\u{301}n fi\u{301}sica:",
                "Exploracio\u{301}n fi\u{301}sica",
                "physical examination",
            ),
            (
                "Terapia alla dimissione:",
                "Terapia alla dimissione",
                "discharge medications",
            ),
            ("Voorgeschiedenis", "Voorgeschiedenis", "past medical history"),
            (
                "Medicação habitual: varfarina",
                "Medicação habitual",
                "medications",
            ),
            ("SPECIMEN(S):  A. COLON", "SPECIMEN(S)", "specimen"),
            ("Labs 3/2: A1c 9.1", "Labs 3/2", "results"),
            ("PLAN  discharge", "PLAN", "plan"),
            ("IMPRESSION - no fracture", "IMPRESSION", "assessment"),
        ] {
            let text = format!("Seen today.\n{line}\nmore\n");
            assert_eq!(found(&text), [(heading, name)], "{line}");
        }
    }

    #[test]
    fn a_history_within_a_line_ends_where_the_present_begins() {
        const PAST: Option<&str> = Some("past medical history");
        for (text, past, now, name) in [
            (
                "APR: ipertensione, diabete APP: da ieri dispnea",
                "diabete",
                "dispnea",
                Some("history of present illness"),
            ),
            (
                "Anamnesi patologica remota: ulcera. APP: tosse",
                "ulcera",
                "tosse",
                Some("history of present illness"),
            ),
            ("VG: COPD, DM2 A/ sinds gisteren koorts", "DM2", "koorts", None),
            ("VG: COPD. LO/ crepitaties", "COPD", "crepitaties", None),
            ("AP: HTA, DM2, acude por disnea", "DM2", "disnea", None),
            (
                "AP: HTA. Sin alergias. Acude a urgencias por disnea",
                "HTA",
                "disnea",
                None,
            ),
            (
                "ANTECEDENTS: HTA, DNID TRAITEMENT: metformine",
                "DNID",
                "metformine",
                None,
            ),
            (
                "ATCD: HTA, IDM 2010 - MOTIF: dyspnée",
                "IDM",
                "dyspnée",
                Some("chief complaint"),
            ),
            ("PMH: DVT, PE: 2010, asthma", "PE", "asthma", PAST),
            ("PMH: hepatitis A/ B, asthma", "hepatitis", "asthma", PAST),
            (
                "PMH: asthma Plan: prednisone",
                "asthma",
                "prednisone",
                Some("plan"),
            ),
            ("PMH: Surgery: hernia", "PMH", "hernia", PAST),
            ("PMH: asthma. Presents with cough", "asthma", "cough", None),
        ] {
            assert_eq!(name_of(text, past), PAST, "{text}");
            assert_eq!(name_of(text, now), name, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        for text in [
            "",
            ":",
            "::::",
            "\n\n",
            "the plan\nwas changed",
            "history of pain",
            "Plan is to stop",
            "PLAN B was better.",
            "plan",
            "medications",
            "he takes meds: none",
            "A: x",
            "S: x\nA: y",
            "Neuro: awake",
            "BP: 120/80",
            "Impression by Dr. Plan",
            "Note about Plan: none",
            "1) plan x",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn a_section_reaches_to_the_next_heading() {
        let text = "Dear colleague,\n\nPMH: asthma. PSH: none.   Meds: aspirin; no other\nsteroids before\n\n\
                    Social work input:\nhousing\nASSESSMENT\npneumonia\nNOT VIRAL\n\nFAMILY MEETING HELD TODAY\nwife\nPMH      PSH\nasthma   appendectomy\nPlan\nstop ibuprofen";
        for (words, name) in [
            ("colleague", None),
            ("PMH", Some("past medical history")),
            ("asthma", Some("past medical history")),
            ("none.", Some("past surgical history")),
            ("aspirin", Some("medications")),
            ("steroids", Some("medications")),
            ("housing", None),
            ("pneumonia", Some("assessment")),
            ("VIRAL", Some("assessment")),
            ("wife", None),
            ("appendectomy", None),
            ("ibuprofen", Some("plan")),
        ] {
            assert_eq!(name_of(text, words), name, "{words}");
        }
        let all = sections(text);
        assert_eq!(all.last().unwrap().end, text.len());
        assert_eq!(section_at(&all, text.len()), None);
    }

    #[test]
    fn short_headings_of_other_languages_are_none_in_english() {
        for text in [
            "HPI: 67M with dyspnea on the ward.\nAP:\n# CHF - lasix",
            "EXAM: PELVIS\nAP: There is a fracture of the left hip.",
            "Seen at the clinic with her mother.\nVE: cervix 4 cm, bleeding",
        ] {
            let last = text.len() - 3;
            assert_eq!(section_at(&sections(text), last), None, "{text}");
        }
        let text = "Paciente con disnea, niega fiebre.\nAP: HTA, DM2";
        assert_eq!(name_of(text, "HTA"), Some("past medical history"));
    }

    #[test]
    fn headings_of_histories_and_drugs_are_known_in_all_languages() {
        for (text, words, name) in [
            ("A. familiares: diabetes", "diabetes", Some("family history")),
            ("ATCD fam : diab\u{e8}te", "diab", Some("family history")),
            ("ATCD m\u{e9}dico-chirurgicaux : HTA", "HTA", None),
            (
                "Ant\u{e9}c\u{e9}dents m\u{e9}dico-chirurgicaux : HTA",
                "HTA",
                Some("past medical history"),
            ),
            ("ATCD chir : hernie", "hernie", Some("past surgical history")),
            ("Vordiagnosen: Gicht", "Gicht", Some("past medical history")),
            (
                "VG: hypertensie, geen operaties",
                "hyper",
                Some("past medical history"),
            ),
            ("VG : dilaté, pas de trouble de la cinétique", "dilat", None),
            ("Dauermed.: ASS", "ASS", Some("medications")),
            ("Tto. habitual: AAS", "AAS", Some("medications")),
            ("MH: depression. She is well and has no pain.", "depression", None),
            (
                "MH: varfarina. Doente com tosse desde ontem, sem febre.",
                "varfarina",
                Some("medications"),
            ),
            (
                "HPP: HAS, DM. Nega alergias. Paciente com tosse e dor no peito.",
                "HAS",
                Some("past medical history"),
            ),
        ] {
            assert_eq!(name_of(text, words), name, "{text}");
        }
    }

    #[test]
    fn what_is_heard_over_lungs_is_no_history() {
        const PAST: Option<&str> = Some("past medical history");
        const EXAM: Option<&str> = Some("physical examination");
        for (text, words, name) in [
            ("AC: r\u{ed}tmica. AP: sin ruidos, estertores", "estertores", None),
            ("AP: MVC, crepitantes", "crepitantes", None),
            ("AP: HTA\nAC: r\u{ed}tmica\nAP: hipoventila", "hipoventila", None),
            ("AP: HTA\nAC: r\u{ed}tmica\nAP: hipoventila", "HTA", PAST),
            (
                "Exploraci\u{f3}n f\u{ed}sica: BEG.\nEupneico.\nAP: roncus, edema",
                "edema",
                EXAM,
            ),
            ("Exame f\u{ed}sico: BEG. AP: sibilos", "sibilos", EXAM),
            ("AP: HTA, asma", "asma", PAST),
        ] {
            assert_eq!(name_of(text, words), name, "{text}");
        }
    }

    #[test]
    fn soap_letters_count_together() {
        let text = "S: cough\nO: T 38\nA: pneumonia\nP: amoxicillin";
        let names: Vec<&str> = found(text).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["subjective", "objective", "assessment", "plan"]);
    }

    #[test]
    fn headings_do_not_overlap() {
        assert_eq!(
            found("Plan: x  PMH) - : "),
            [("Plan", "plan"), ("PMH)", "past medical history")]
        );
    }

    proptest! {
        #[test]
        fn any_text_has_sections_in_order_on_characters(
            text in "(Plan|PMH|MEDS|é|: |:|\n|\r\n|  |[.;)] |- |[0-9]\\.|#|x|Ärzte|\u{301}|🦴|\t|\\PC){0,60}",
        ) {
            let all = sections(&text);
            let mut last = 0;
            for section in &all {
                prop_assert!(NAMES.contains(&section.name));
                prop_assert!(last <= section.heading.begin && section.heading.end <= section.end);
                prop_assert!(text.get(section.heading.range()).is_some_and(|words| !words.trim().is_empty()));
                prop_assert!(text.is_char_boundary(section.end));
                last = section.end;
            }
            for at in 0..=text.len() {
                let slow = all.iter().find(|s| s.heading.begin <= at && at < s.end).map(|s| s.name);
                prop_assert_eq!(section_at(&all, at), slow);
            }
        }

        #[test]
        fn lines_that_follow_do_not_change_those_before(
            before in "(Plan:|PMH|MEDS|x|: |\n|  |\\PC){0,30}",
            after in "(Plan:|PMH|MEDS|x|: |\n|  |\\PC){0,30}",
        ) {
            let whole = format!("{before}\n{after}");
            let alone = sections(&before);
            let joined = sections(&whole);
            for (alone, joined) in alone.iter().zip(&joined) {
                prop_assert_eq!((alone.heading, alone.name), (joined.heading, joined.name));
            }
            prop_assert!(alone.len() <= joined.len());
        }
    }

    #[test]
    fn long_texts_of_one_pattern_begin_as_short_ones_do() {
        // Each comparison is of a heading's length at most; these would take minutes if it were not, which nobody measures here.
        for part in [
            ":",
            "Plan ",
            "A. ",
            "- ",
            "PLAN  ",
            "a",
            "\t",
            "((",
            "PMH: ",
            "PMH: : ",
            "PMH: /",
            "PMH: a A/ ",
            "PMH: x Plan: ",
        ] {
            let text = part.repeat(2_000_000 / part.len());
            let first = |text: &str| sections(text).first().map(|section| section.name);
            assert_eq!(first(&text), first(&part.repeat(10)), "{part}");
        }
        // Nor is what stands before it looked through again for each: behind nothing but dots.
        for part in [" a today", " Foo:", " Plan:", " A/ b"] {
            let text = format!("PMH: {}{}", ".".repeat(1_000_000), part.repeat(200_000));
            assert_eq!(
                sections(&text).first().map(|section| section.name),
                Some("past medical history"),
                "{part}"
            );
        }
    }
}
