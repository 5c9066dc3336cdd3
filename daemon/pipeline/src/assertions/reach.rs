//! How far what a cue says reaches, ahead and back: to what ends it, over lists and no further.

use std::ops::Range;

use super::hits::Hit;
use super::lexicon::{FAR, NEAR, ORDERED, Role};
use super::lists::{
    ADJECTIVES, AS_NEEDED, BEFORE, BEGINNING, BY, DENIES, ENDING, FILLING, FUNCTIONS, GENITIVES, GROUPS,
    HABITS, IMAGES, KINDS, NAMED, NOW, SITES, TESTS, WHEN, WITH,
};
use super::sentence::Sentence;
use super::signs::NO_BEHIND_SPACE;
use super::{Kind, is_end, is_mention};

use crate::languages::{EN, Languages};

/// What says of one thing that it is absent, or of a list.
const DETERMINERS: [&str; 31] = [
    "(-)", "(n)", "s/", "nil", "nie", "never", "nooit", "neg", "negative", "no", "not", "kein", "keine",
    "keinen", "keinem", "keiner", "nicht", "non", "pas de", "pas d", "pas", "geen", "niet", "nao", "sin",
    "sem", "sans", "senza", "ohne", "zonder", "without",
];

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

/// The same behind whose it is: "maternal side: breast cancer".
const SIDES_OF_FAMILY: [&str; 5] = ["side", "seite", "cote", "lado", "lato"];

/// What ends a list of what is feared, behind a comma; other words that begin something new go on with it: "fever, worsening pain".
#[rustfmt::skip]
const ENDING_FEARS: [&str; 57] = [
    "he", "she", "they", "patient", "pt", "now", "today", "currently", "tonight", "had", "was", "were", "did", "there is", "there are",
    "there was", "found", "shows", "showed", "developed", "noted", "notes", "given", "continue", "continues", "started", "who", "which",
    "bp", "hr", "improved", "well", "stable", "hat", "zeigt", "zeigte", "besteht", "klagt", "berichtet", "patientin", "presente",
    "patiente", "on note", "on retrouve", "presenta", "refiere", "paciente", "se observa", "tiene", "riferisce", "si osserva", "paziente",
    "heeft", "apresenta", "refere", "tem", "doente",
];

/// What somebody is at risk of, who may have something else as well: "high risk for falls, confused".
const AT_RISK: [&str; 6] = [
    "at risk for",
    "at risk of",
    "at high risk for",
    "at high risk of",
    "high risk for",
    "high risk of",
];

/// What may stand behind a comma in a list of what is feared that "if" begins: "return if she is dizzy, has chest pain".
const OF_CONDITIONS: [&str; 4] = ["is", "has", "have", "are"];

/// What a relative had next is the relative's: "aunt breast cancer 51 then melanoma".
#[rustfmt::skip]
const THEN: [&str; 13] = [
    "then", "after", "until", "dann", "danach", "anschliessend", "puis", "ensuite", "luego", "despues", "poi", "daarna", "depois",
];

/// What is written before each thing that is past, and not before a list of them.
#[rustfmt::skip]
const ONE_EACH: [&str; 14] = [
    "z.n.", "z. n.", "zn", "zustand nach", "status nach", "st. n.", "st.n.", "st. p.", "st.p.", "stp", "stp.", "zust. n.", "zust.n.", "zustand n.",
];

/// Tests of which one word tells of many.
const TESTS_FOR_MANY: [&str; 4] = ["serologies", "serologias", "sierologie", "sorologias"];

/// Who is told what may come, or what is looked for, in a list of nothing else.
#[rustfmt::skip]
const COUNSELLED: [&str; 9] = [
    "counselled", "counseled", "screening", "rastreio", "rastreamento", "cribado", "despistaje", "depistage", "screen",
];

/// What is told of a vaccine, behind the disease: "vaccin grippe fait, hépatite A non fait".
#[rustfmt::skip]
const GIVEN_OR_NOT: [&str; 28] = [
    "given", "done", "due", "declined", "utd", "fait", "faite", "faits", "faites", "faire", "jour", "manquant", "fehlt", "aufgefrischt", "erfolgt",
    "pendiente", "puesta", "puesto", "completa", "completo", "fatta", "fatto", "effettuata", "gegeven", "gezet", "feita", "feito", "atraso",
];

/// What ends a negation and nothing else: "no treatment for asthma".
const OF_NEGATIONS: [&str; 9] = [
    "for", "por", "per", "bei", "bij", "door", "unter", "when", "before",
];

/// How words begin that tell what became of something named before their comma: "maculopathie, finalement non retenue".
#[rustfmt::skip]
const LATER: [&str; 10] = [
    "finalement ", "finalmente ", "poi ", "infine ", "letztlich ", "schliesslich ", "uiteindelijk ", "afinal ", "subsequently ", "eventually ",
];

/// What may stand at an end behind the comma of what is only supposed: "sleep apnea, suspected".
#[rustfmt::skip]
const SUPPOSED: [&str; 12] = [
    "suspected", "is suspected", "presumed", "probable", "possible", "suspecte", "suspectee", "presumee", "vermutet", "vermoed", "probabile", "provavel",
];

/// What stands between something and its cause.
#[rustfmt::skip]
const CAUSED_BY: [&str; 14] = [
    "from", "to", "durch", "infolge", "wegen", "bei", "par", "sur", "por", "da", "door", "bij", "dovuta", "dovuto",
];

/// What is told of somebody dead.
#[rustfmt::skip]
const DIED: [&str; 22] = [
    "died", "deceased", "starb", "verstarb", "gestorben", "verstorben", "decede", "decedee", "mort", "morte", "murio", "fallecio", "fallecido",
    "fallecida", "morto", "morta", "deceduto", "deceduta", "overleden", "stierf", "morreu", "faleceu",
];

/// What was looked for, before the comma of what came of that: "eschar searched for, not found".
#[rustfmt::skip]
const SOUGHT: [&str; 19] = [
    "searched", "sought", "looked", "gesucht", "gefahndet", "recherche", "recherchee", "recherches", "recherchees", "buscado", "buscada", "cercato",
    "cercata", "ricercato", "ricercata", "gezocht", "procurado", "procurada", "pesquisado",
];

/// What an exclusion by something normal is told with, behind what is excluded: "Pneumonie bei unauffälligem Röntgen ausgeschlossen".
const NORMAL: [&str; 4] = ["unauff", "normal", "negativ", "fehlend"];
const BY_NORMAL: [&str; 3] = ["ausgeschlossen", "ausgeschl", "uitgesloten"];

/// Words from there to "excluded", at most.
const EXCLUDED: usize = 5;

/// What a time is counted from, and what may stand between it and what was there then: "no infection since the shingles".
#[rustfmt::skip]
const SINCE: [&str; 9] = ["since", "seit", "depuis", "desde", "dal", "dalla", "dall", "sinds", "dopo"];
#[rustfmt::skip]
const ARTICLES: [&str; 22] = [
    "the", "his", "her", "their", "der", "dem", "le", "la", "l", "son", "sa", "el", "su", "de", "het", "een", "zijn", "haar", "o", "a", "os", "'",
];

/// Participles that deny more than one thing, behind a list of them.
#[rustfmt::skip]
const PARTICIPLES: [&str; 12] = [
    "negados", "negadas", "descartados", "descartadas", "excluidos", "excluidas", "negati", "negate", "esclusi", "escluse", "exclues", "niees",
];

/// Words from a cue to the end of what is mixed, at most.
const MIXED: usize = 8;

/// Words from "or" to what is joined by it, at most.
const ALTERNATIVE: usize = 3;

/// Words from a relative to the verb of the clause that tells of him or her, at most.
const FIRST_TOLD: usize = 4;

/// Words between a cue and the colon before its list, at most.
const MOST_HEADED: usize = 6;

/// Words of a value and its unit, at most.
const VALUE: usize = 5;

/// Words from "not" to the "any" that it denies, at most.
const ANY: usize = 7;

/// The most words of a list that is denied behind it.
pub(super) const MOST_LISTED: usize = 48;

/// Whether what is said goes on behind a colon that stands behind this word.
fn is_leading(kind: Kind, word: &str) -> bool {
    LEADING.contains(&word) || (kind == Kind::Family && SIDES_OF_FAMILY.contains(&word))
}

/// Whether a word says of what kind a history is: "psychiatric", "documented".
fn tells_of_what_kind(word: &str) -> bool {
    KINDS.contains(&word) || (word.len() > 4 && ADJECTIVES.iter().any(|ending| word.ends_with(ending)))
}

/// Whether a cue says that something is unlikely: of what stands nearest, as an exclusion is.
fn is_unlikely(name: &str) -> bool {
    [
        "less likely",
        "unlikely",
        "not likely",
        "improbable",
        "improbabile",
        "improvavel",
        "unwahrscheinlich",
        "onwaarschijnlijk",
    ]
    .iter()
    .any(|own| name.ends_with(own))
        || [
            "peu probable",
            "poco prob",
            "pouco prov",
            "niet w",
            "menos prob",
            "menos prov",
            "moins prob",
            "meno prob",
            "minder w",
            "weniger w",
        ]
        .iter()
        .any(|own| name.starts_with(own))
}

/// Whether a word is a test that has results of its own: "cultures negative" says nothing of the pneumonia before it.
fn is_test(word: &str) -> bool {
    IMAGES.contains(&word)
        || TESTS.contains(&word)
        || word.contains("kultur")
        || word.contains("cultur")
        || word.contains("kweken")
}

/// Whether a word is of a habit or the like, which a denial ends with.
fn is_habit(word: &str) -> bool {
    HABITS.iter().any(|habit| word.starts_with(habit))
}

impl Sentence {
    /// One past the last word that a cue reaches ahead.
    pub(super) fn ahead(
        &self,
        hits: &[Hit],
        number: usize,
        kind: Kind,
        reach: usize,
        mentions: &[Range<usize>],
    ) -> usize {
        let Some(hit) = hits.get(number) else { return 0 };
        let reach = if self.denies_any(hit, mentions) {
            usize::MAX
        } else if self.word(hit.words.end) == "mixed" {
            // "Probable mixed Alzheimer's and vascular dementia" is one thing.
            reach.max(MIXED)
        } else {
            reach
        };
        let mut end = hit.words.end.saturating_add(reach);
        // "Her son, who has severe asthma".
        let told = self.told_of(hit).filter(|_| kind == Kind::Family);
        end = told.unwrap_or(end).min(self.words.len());
        // "Descartada TVP y TEP."
        if kind == Kind::Negated && matches!(reach, 1 | 2) && hit.languages & EN == 0 && hit.name != "-" {
            end = self.end_of_joined(end, hit.languages, mentions);
        }
        // "Screen hep B/HIV".
        if kind == Kind::Hypothetical && reach == 1 {
            end = self.end_of_slashes(hit.words.end, mentions).max(end);
        }
        // "Vaccino pneumococcico e herpes zoster."
        if kind == Kind::Hypothetical
            && reach == 1
            && hit.name.starts_with("va")
            && self.is_joint(hit.words.end + 1, hit.languages)
        {
            end = end.max((hit.words.end + 3).min(self.words.len()));
        }
        // "Counseled rash, infusion reaction, cytopenias."
        if COUNSELLED.contains(&hit.name) {
            let list = self.end_of_list(hit.words.end, hit.languages, mentions);
            if matches!(self.word(list), "" | "." | ";") {
                end = list.max(end);
            }
        }
        // "Serologias HIV, sífilis".
        if TESTS_FOR_MANY.contains(&hit.name) {
            end = self.end_of_list(hit.words.end, hit.languages, mentions).max(end);
        }
        // "Se febre, vómitos ou dor", "se Hb <7 ou febre".
        if hit.name == "se" && reach == 1 {
            let from = self.behind_value(hit.words.end, hit.languages);
            end = self.end_of_list(from, hit.languages, mentions).max(end);
        }
        let behind = hits.iter().skip(number + 1);
        for next in behind {
            let ends = next.roles.iter().any(|role| match *role {
                Role::Stop if kind == Kind::Family && THEN.contains(&next.name) => false,
                Role::Stop => kind == Kind::Negated || !OF_NEGATIONS.contains(&next.name),
                // "LP if CRP >40 ?meningitis."
                Role::Cue(Kind::Uncertain, Some(_), _)
                    if kind == Kind::Hypothetical
                        && next.name == "?"
                        && self.may_look_ahead(next, mentions) =>
                {
                    true
                }
                Role::Anew => {
                    self.is_anew(next.words.start)
                        && !(kind == Kind::Family && self.tells_of_dead(hit.words.end..next.words.start))
                        && !(kind == Kind::Family
                            && next.words.start <= hit.words.end + FIRST_TOLD
                            && told.is_some())
                        && (kind != Kind::Hypothetical || self.ends_fears(hit, next))
                }
                Role::EndOf(of) => {
                    of == kind && self.has_said(hit.words.end..next.words.start, hit.languages, mentions)
                }
                Role::Clause => self.begins_clause(hit, kind, next, mentions),
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
                        && (next.name.ends_with("exclude")
                            || next.name.ends_with("rule out")
                            || next.name == "not excluded") =>
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
        // "Z.n. Hirnblutung 2005, Gicht, RLS": each has its own.
        let end = match ONE_EACH.contains(&hit.name) {
            true => self.end_of_one(hit, end),
            false => end,
        };
        let end = if kind == Kind::Negated {
            self.end_before_asked(hit.words.end..end, mentions)
        } else {
            end
        };
        let affirmed = (kind == Kind::Negated)
            .then(|| self.first_affirmed(hit.words.end..end, mentions))
            .flatten();
        let end = affirmed.unwrap_or(end);
        // A colon begins something else, unless it belongs to the cue; so does a bracket that is closed.
        let mut open = 0;
        for at in hit.words.end..end {
            match self.word(at) {
                // "Denies the following: fever"
                ":" if at > hit.words.end
                    && !is_leading(kind, self.word(at - 1))
                    && !self.heads_list(hit, kind, at)
                    && !self.sorts_items(&hit.words, at) =>
                {
                    return at;
                }
                "(" | "[" => open += 1,
                ")" if open == 0 && self.is_of_marker(at) => {}
                ")" | "]" if open == 0 => return at,
                ")" | "]" => open -= 1,
                _ => {}
            }
        }
        end
    }

    /// The first comma behind a cue that is said of one thing, but where it heads a list, or "und" makes one.
    fn end_of_one(&self, hit: &Hit, end: usize) -> usize {
        let first = hit.words.end;
        let heads = matches!(self.word(first), ":" | "(");
        let comma = (first..end).find(|at| self.word(*at) == "," && self.before(*at, 1) != "-");
        let joins = |from: usize| (from..end).any(|at| matches!(self.word(at), "und" | "sowie" | "u"));
        comma.filter(|comma| !(heads || joins(*comma))).unwrap_or(end)
    }

    /// Whether somebody has died in these words, so that what goes on behind "and" is told of the same: "sister died at 29 and was found to have".
    fn tells_of_dead(&self, mut words: Range<usize>) -> bool {
        words.any(|at| DIED.contains(&self.word(at)))
    }

    /// Whether "any" stands near behind "not", so that it denies a list: "does not think she has any reflux or heartburn".
    fn denies_any(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let of_not = hit.languages & EN != 0
            && (hit.name == "not" || hit.name.ends_with("n't") || hit.name.ends_with("nt"));
        let mut behind = hit.words.end..self.words.len().min(hit.words.end + ANY);
        of_not
            && behind
                .find(|at| {
                    self.word(*at) == "any"
                        || !self.word(*at).starts_with(char::is_alphabetic)
                        || is_mention(*at, mentions)
                })
                .is_some_and(|at| {
                    self.word(at) == "any"
                        && !matches!(
                            self.word(at + 1),
                            "relief" | "improvement" | "benefit" | "help" | "change" | "changes"
                        )
                })
    }

    /// Where the first mention begins that a sign behind it says to be there, "no pallor, oedema+", or that a drug is for or more is told of, where
    /// another stands before it, "no dm htn on amlodipine", "no diabetes hypertension is well controlled".
    fn first_affirmed(&self, words: Range<usize>, mentions: &[Range<usize>]) -> Option<usize> {
        let begun = mentions.partition_point(|mention| mention.start < words.start);
        let mut here = mentions
            .iter()
            .skip(begun)
            .take_while(|mention| mention.start < words.end);
        here.find(|mention| {
            let plus = matches!(self.word(mention.end), "+" | "++" | "+++")
                && !(self.are_joined(mention.end)
                    && self.word(mention.end + 1).starts_with(char::is_alphabetic));
            let drug =
                self.word(mention.end) == "on" && self.drugs.iter().any(|drug| drug.start == mention.end + 1);
            let behind_another = || is_end(mention.start, mentions) && mention.start > words.start;
            plus || ((drug || self.is_subject(mention)) && behind_another())
                || self.is_counted_from(words.start, mention, mentions)
        })
        .map(|mention| mention.start)
    }

    /// Whether a time is counted from this mention, behind another: "no infection since the shingles".
    fn is_counted_from(&self, from: usize, mention: &Range<usize>, mentions: &[Range<usize>]) -> bool {
        let mut at = mention.start;
        while at > from && mention.start - at < 2 && ARTICLES.contains(&self.before(at, 1)) {
            at -= 1;
        }
        at > from && SINCE.contains(&self.before(at, 1)) && is_end(at - 1, mentions)
    }

    /// Where what is denied ends before something that is asked, behind a comma or dash: one of two, "no new mets, radiation necrosis vs tumor", or,
    /// where nothing was named before, a question, "stools: none for 4 days, impaction?".
    fn end_before_asked(&self, words: Range<usize>, mentions: &[Range<usize>]) -> usize {
        let (mut named, mut named_before, mut parted) = (false, false, None);
        for at in words.start..self.words.len() {
            let word = self.word(at);
            let parts =
                word == "," || matches!(word, "-" | "\u{2013}") && self.is_apart(at) && !self.are_joined(at);
            match word {
                "." | ";" => break,
                _ if parts && at >= words.end => break,
                _ if parts => (named_before, parted) = (named, Some(at)),
                "vs" | "versus" => return parted.unwrap_or(words.end),
                "?" if !named_before => return parted.unwrap_or(words.end),
                _ => named = named || is_mention(at, mentions),
            }
        }
        words.end
    }

    /// Where the item begins that a word for no in capitals, behind wide space, answers: " - floppy / hard to wake  NO".
    fn begin_of_answered(&self, no: usize) -> usize {
        let parts = |at: &usize| matches!(self.word(*at), "." | ";" | ":") || self.loud.contains(at);
        (0..no).rev().find(parts).map_or(0, |at| at + 1)
    }

    /// Where the mention begins that something normal excludes.
    fn excluded_by_normal(&self, hit: &Hit, mentions: &[Range<usize>]) -> Option<usize> {
        if !BY_NORMAL.contains(&hit.name) {
            return None;
        }
        let mut before = (hit.words.start.saturating_sub(EXCLUDED)..hit.words.start).rev();
        let by = before.find(|at| matches!(self.word(*at), "bei" | "bij"))?;
        let normal = NORMAL.iter().any(|start| self.word(by + 1).starts_with(start));
        let own = mentions.iter().rfind(|mention| mention.end == by);
        own.filter(|_| normal).map(|own| own.start)
    }

    /// The first word that a cue reaches back to. It does so over no comma, unless "and" or the like makes a list of what stands there.
    pub(super) fn back(
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
            || LATER.iter().any(|later| hit.name.starts_with(later))
            || (SUPPOSED.contains(&hit.name) && self.ends(hit.words.end))
            || self.answers(hit, mentions);
        if hit.name == NO_BEHIND_SPACE {
            return self.begin_of_answered(hit.words.start);
        }
        if let Some(own) = self.excluded_by_normal(hit, mentions) {
            return own;
        }
        let mut before = hits.iter().take(number).rev();
        // "Diabetes bei der Mutter."
        let of_relative = |before: &Hit| kind == Kind::Family && matches!(before.name, "bei" | "bij");
        let sought = directly.is_some_and(|at| self.word(at) == "," && self.is_sought(at));
        let of_search = |before: &Hit| sought && Some(before.words.end) == directly;
        let stop = before
            .find(|before| before.roles.contains(&Role::Stop) && !of_relative(before) && !of_search(before));
        let floor = stop.map_or(0, |stop| stop.words.end);
        let begin = hit.words.start.saturating_sub(asked + reach);
        let begin = match kind {
            // "HLD/ASCVD risk" has the first.
            Kind::Hypothetical if hit.name == "risk" => begin.max(floor),
            Kind::Negated | Kind::Hypothetical => self.begin_of_slashed(begin, mentions).max(floor),
            Kind::Uncertain => self
                .begin_of_alternatives(begin, hit.languages, mentions)
                .max(floor),
            _ => begin.max(floor),
        };
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
        // "Dyspnea: PE ruled out", "chest pain, MI ruled out", "headache CT negative": what stands nearest is meant, and what is listed with it.
        let nearest = kind == Kind::Negated || matches!(hit.name, "vs" | "versus") || is_unlikely(hit.name);
        let chosen = self.is_chosen(hit.words.start);
        // "Fever, chills = emergency."
        let ordered = hit.roles.contains(&Role::Cue(Kind::Hypothetical, None, ORDERED));
        let (mut listed, mut named, mut joined) = (ordered, false, true);
        // "Anaemia from bleeding?" asks for the cause.
        let mut caused = false;
        for at in (begin..hit.words.start - asked).rev() {
            let own = is_mention(at, mentions);
            match self.word(at) {
                _ if nearest && !chosen && self.is_other_answer(at, mentions) => return at + 1,
                "/" => (listed, joined) = (true, true),
                _ if self.is_joint(at, hit.languages) => (listed, joined) = (true, true),
                // "Acute kidney injury, resolved", "pneumonia, which was ruled out".
                "," if listed || ((of_the_last || sought) && Some(at) == directly) => joined = true,
                "," => return at + 1,
                "." | ";" => return at + 1,
                // "Hyperkalaemia (diet?)" asks for the cause.
                "(" | "[" | ":" if hit.name == "?" && Some(at) != directly => return at + 1,
                // Another cell.
                "|" if Some(at) != directly => return at + 1,
                _ if !nearest || Some(at) == directly => {}
                _ if self.is_border(at) => return at + 1,
                // "Headache CT negative".
                word if !own
                    && !named
                    && matches!(
                        hit.name,
                        "neg" | "negative" | "negativ" | "negatif" | "negativo" | "negativa" | "negatief"
                    )
                    && is_test(word) =>
                {
                    return at + 1;
                }
                word if !own && (matches!(word, "of" | "in" | "on") || GENITIVES.contains(&word)) => {
                    joined = true;
                }
                _ => {}
            }
            if hit.name == "?" {
                if !own && caused && CAUSED_BY.contains(&self.word(at)) {
                    return at + 1;
                }
                caused |= own;
            }
            if nearest && own {
                let begins = is_end(at + 1, mentions)
                    && !mentions
                        .iter()
                        .any(|mention| mention.start <= at && mention.end > at + 1);
                if begins && named && !joined {
                    return at + 1;
                }
                if begins {
                    (named, joined) = (true, false);
                }
            }
        }
        begin
    }

    /// Where the alternatives begin of which the last stands here: "achalasia or a peptic stricture are also possible".
    fn begin_of_alternatives(&self, from: usize, languages: Languages, mentions: &[Range<usize>]) -> usize {
        let Some(or) = (from.saturating_sub(ALTERNATIVE)..from + 1)
            .rev()
            .find(|at| self.is_or(*at, languages))
        else {
            return from;
        };
        let between = (or + 1..from).any(|at| !self.word(at).starts_with(char::is_alphabetic));
        let own = mentions.iter().find(|mention| mention.end == or);
        own.filter(|_| !between).map_or(from, |own| own.start.min(from))
    }

    /// Whether what stands before a comma was looked for: "eschar looked for, not found".
    fn is_sought(&self, comma: usize) -> bool {
        let of_for = usize::from(matches!(self.before(comma, 1), "for" | "naar" | "nach"));
        SOUGHT.contains(&self.before(comma, 1 + of_for))
    }

    /// Whether something before has its own answer here: "heartburn Y / constipation N".
    fn is_other_answer(&self, at: usize, mentions: &[Range<usize>]) -> bool {
        matches!(self.word(at), "y" | "yes" | "n" | "no")
            && is_end(at, mentions)
            && !self.word(at + 1).starts_with(char::is_alphabetic)
    }

    /// Where the list begins that slashes make of what stands here: "MI/CVA/DVT".
    fn begin_of_slashed(&self, from: usize, mentions: &[Range<usize>]) -> usize {
        let slashed = |at: usize| {
            self.word(at) == "/" && at > 0 && is_mention(at - 1, mentions) && is_mention(at + 1, mentions)
        };
        let mut begin = from;
        while slashed(begin) || (begin > 0 && is_mention(begin, mentions) && slashed(begin - 1)) {
            begin -= 1;
            while begin > 0 && is_mention(begin, mentions) && is_mention(begin - 1, mentions) {
                begin -= 1;
            }
        }
        begin
    }

    /// Whether a sign or word parts what is told from what is said about it: "dyspnea: PE ruled out", "cough with COVID negative".
    fn is_border(&self, at: usize) -> bool {
        match self.word(at) {
            ":" | "with" | "w" | "mit" | "avec" | "con" | "met" | "com" => true,
            "-" | "\u{2013}" | "\u{2014}" => self.is_apart(at) && !self.are_joined(at),
            _ => false,
        }
    }

    /// Whether what begins something new ends a list of what is feared.
    fn ends_fears(&self, hit: &Hit, next: &Hit) -> bool {
        let of_condition = OF_CONDITIONS.contains(&next.name) && !hit.name.ends_with("if");
        let of_clause = next.roles.contains(&Role::Clause);
        let first = next.name.split(' ').next().filter(|_| of_clause);
        of_condition
            || ENDING_FEARS.contains(&first.unwrap_or(next.name))
            || ENDING_FEARS.contains(&next.name)
    }

    /// Whether a colon ends what a cue is about, and its list stands behind: "watch for signs of infection: redness", "risks of surgery: bleeding",
    /// and not "if fever: paracetamol, cough: codeine".
    fn heads_list(&self, hit: &Hit, kind: Kind, colon: usize) -> bool {
        let between = hit.words.end..colon;
        let is_one = (kind == Kind::Hypothetical && !hit.name.starts_with("risk factors"))
            || (kind == Kind::Negated && hit.name.ends_with(" of"));
        is_one
            && between.len() <= MOST_HEADED
            && between
                .into_iter()
                .all(|at| self.word(at).starts_with(char::is_alphabetic))
            && !(colon + 1..self.words.len()).any(|at| self.word(at) == ":")
    }

    /// Where what a cue says ends by its own nature, before `end`.
    fn own_end(&self, hit: &Hit, kind: Kind, end: usize, mentions: &[Range<usize>]) -> usize {
        let of_drugs = hit.roles.iter().any(|role| matches!(role, Role::Drug(..)));
        let first = |among: &[&str], from: usize| (from..end).find(|at| among.contains(&self.word(*at)));
        // "Albuterol prn wheezing, gout", "Haldol prn agitation given for delirium", "old MI with chest pain".
        if AS_NEEDED.contains(&hit.name) {
            let listed = self.end_of_list(hit.words.end, hit.languages, mentions);
            let is_all = listed == self.words.len() || matches!(self.word(listed), "." | ";");
            let drug = self
                .drugs
                .iter()
                .any(|drug| (hit.words.end..listed).contains(&drug.start));
            let reach = first(&[",", ".", "given", "used", "with", "to"], hit.words.end).unwrap_or(end);
            return if is_all && !drug { reach.max(listed) } else { reach };
        }
        if BEFORE.contains(&hit.name) && self.word(hit.words.end) == ":" || of_drugs && self.heads_drugs(hit)
        {
            return end;
        }
        // "?EUPD, depression", "?NEC - distension".
        if hit.name == "?" {
            let dash = |at: usize| self.word(at) == "-" && self.is_apart(at) && !self.are_joined(at);
            let comma = (hit.words.end..end).find(|at| self.word(*at) == "," || dash(*at));
            let or = |comma: &usize| (*comma..end).any(|at| self.is_or(at, hit.languages));
            return comma.filter(|comma| !or(comma)).unwrap_or(end);
        }
        if BEFORE.contains(&hit.name) || hit.name.starts_with("old") {
            return first(&[",", ".", "with", "w", "and"], hit.words.end).unwrap_or(end);
        }
        // "Two years ago she had pneumonia, since then breathless."
        if hit.roles.contains(&Role::Either(Kind::Historical)) {
            return first(&[",", ".", "and"], hit.words.end).unwrap_or(end);
        }
        // "S/p fall with hip pain", "s/p appendectomy, fever".
        if matches!(
            hit.name,
            "s/p" | "status post" | "past" | "previous" | "prior" | "former"
        ) {
            return first(&[",", "with", "w", "also"], hit.words.end + 1).unwrap_or(end);
        }
        // "Profilaxis de TVP con enoxaparina"; "ibuprofeno si dolor, omeprazol 20 mg".
        if kind == Kind::Hypothetical {
            // "Vaccinata per influenza, tosse."
            let listed = |from: usize| (from..end).any(|at| self.is_joint(at, hit.languages));
            let of_vaccine = hit.name.starts_with("vac") || hit.name.starts_with("gevac");
            let comma =
                (hit.words.end..end).find(|at| self.word(*at) == "," && !self.tells_of_vaccine(at + 1..end));
            if let Some(comma) = comma.filter(|comma| of_vaccine && !listed(*comma)) {
                return comma;
            }
            // "Fear of cancer, cough."
            let of_fear = hit.roles.contains(&Role::Cue(Kind::Hypothetical, NEAR, None));
            if let Some(comma) = comma.filter(|comma| of_fear && !listed(*comma)) {
                return comma;
            }
            // "High risk for falls, confused and agitated."
            if let Some(comma) = self.comma_of_risk(hit, hit.words.end..end) {
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
        let end = match self.end_of_stopped(hit, hit.words.end..end, hit.languages) {
            Some(begun) if of_drugs => begun,
            _ => end,
        };
        // "No fever on amoxicillin."
        let given = self.drugs.iter().map(|drug| drug.start.saturating_sub(1));
        let mut given = given.filter(|at| (hit.words.end..end).contains(at) && self.word(*at) == "on");
        let end = match given.find(|at| self.says_more(hit.words.end..*at)) {
            Some(on) if kind == Kind::Negated || of_drugs => on,
            _ => end,
        };
        let end = if kind == Kind::Negated && !DENIES.contains(&hit.name) {
            self.end_of_denied(hit, hit.words.end..end, mentions)
        } else {
            end
        };
        let end = if kind == Kind::Negated {
            self.end_before_counted(hit.words.end..end, hit.languages, mentions)
        } else {
            end
        };
        // "No fever, chills or cough" is a list, and so is "no cyanosis, clubbing, oedema"; "no effusion, hyperdynamic ventricle" is none.
        if of_drugs || (kind == Kind::Negated && DETERMINERS.contains(&hit.name)) {
            let comma = (hit.words.end..end).find(|at| self.word(*at) == ",");
            return comma
                .filter(|comma| {
                    self.is_no_item(hit, *comma..end, mentions)
                        || self.is_found(hit, *comma..end, hit.languages)
                        || !self.is_list(*comma..end, hit.languages, mentions)
                })
                .unwrap_or(end);
        }
        end
    }

    /// Whether the first item of these words tells whether, or when, a vaccine was given.
    fn tells_of_vaccine(&self, words: Range<usize>) -> bool {
        let mut item = words.take_while(|at| self.word(*at) != ",");
        item.any(|at| GIVEN_OR_NOT.contains(&self.word(at)) || self.is_year(at))
    }

    /// The only comma of what somebody is said to be at risk of, unless "or" makes a list of it.
    fn comma_of_risk(&self, hit: &Hit, words: Range<usize>) -> Option<usize> {
        let mut commas = words.clone().filter(|at| self.word(*at) == ",");
        let (first, others) = (commas.next(), commas.next());
        let mut or = words.clone().filter(|at| self.is_or(*at, hit.languages));
        first.filter(|_| AT_RISK.contains(&hit.name) && others.is_none() && or.next().is_none())
    }

    /// Before the last item of what is denied, where that says how long it has lasted, how often it came or how bad it is: "denies fever, cough for 3
    /// days".
    fn end_before_counted(
        &self,
        list: Range<usize>,
        languages: Languages,
        mentions: &[Range<usize>],
    ) -> usize {
        let last = list.clone().rev().find(|at| self.word(*at) == ",");
        let is_there = |comma: &usize| {
            let item = comma + 1..list.end;
            self.is_counted(item.clone(), mentions)
                && !item.clone().any(|at| self.is_or(at, languages))
                && (list.start..*comma).any(|at| is_mention(at, mentions))
        };
        last.filter(is_there).unwrap_or(list.end)
    }

    /// Where a list of what is denied ends: before one thing behind its only comma that is said to be there, "no signs of infection, dehiscence
    /// noted", and, behind "or", before words that name nothing, "no cyanosis or clubbing, pulses intact, varicose veins present".
    fn end_of_denied(&self, hit: &Hit, list: Range<usize>, mentions: &[Range<usize>]) -> usize {
        let languages = hit.languages;
        let commas: Vec<usize> = list.clone().filter(|at| self.word(*at) == ",").collect();
        let item = |from: usize| {
            let next = commas.iter().copied().find(|comma| *comma > from);
            from + 1..next.unwrap_or(list.end)
        };
        // "Sans foyer ni épanchement, cardiomégalie": each of such a list has its own.
        let repeated = (hit.words.start..list.end)
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
                && !item.clone().any(|at| self.is_or(at, languages))
                && !self.are_a_pair(comma);
            return if is_there { comma } else { list.end };
        }
        let joined = list.clone().find(|at| self.is_or(*at, languages));
        let behind = commas
            .iter()
            .copied()
            .filter(|comma| joined.is_some_and(|at| at < *comma));
        let mut named_nothing = behind.filter(|comma| {
            let item = item(*comma);
            item.len() > 1 && !is_one(&item) && !item.clone().any(|at| self.is_or(at, languages))
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

    /// One past the last of mentions that slashes join with the one that begins here: "hep B/HIV".
    fn end_of_slashes(&self, from: usize, mentions: &[Range<usize>]) -> usize {
        let mut end = from;
        let begun = mentions.partition_point(|mention| mention.start < from);
        for mention in mentions.iter().skip(begun) {
            let joined = mention.start == from || (mention.start == end + 1 && self.word(end) == "/");
            if !joined && mention.start >= end {
                break;
            }
            end = end.max(mention.end);
        }
        end
    }

    /// One past a value that something is compared with, and the "or" or comma behind it, if one stands here: "Hb < 7 ou".
    fn behind_value(&self, from: usize, languages: Languages) -> usize {
        let compared = matches!(self.word(from + 1), "<" | ">" | "\u{2264}" | "\u{2265}" | "=");
        let mut number = (from + 2..from + 2 + VALUE).map(|at| (at, self.word(at)));
        if !compared
            || !number
                .next()
                .is_some_and(|(_, word)| word.starts_with(|c: char| c.is_ascii_digit()))
        {
            return from;
        }
        number
            .find(|(at, word)| *word == "," || self.is_or(*at, languages))
            .map_or(from, |(at, _)| at + 1)
    }

    /// One past the last of mentions that stand from here on with nothing but commas and "or" between them.
    fn end_of_list(&self, from: usize, languages: Languages, mentions: &[Range<usize>]) -> usize {
        let mut end = from;
        for at in from..self.words.len().min(from + MOST_LISTED) {
            if is_mention(at, mentions) {
                end = at + 1;
            } else if self.word(at) != "," && !self.is_or(at, languages) {
                break;
            }
        }
        end
    }

    /// Whether something is named among these words, as far as one can tell without knowing it.
    fn says_more(&self, mut words: Range<usize>) -> bool {
        words.any(|at| !FILLING.contains(&self.word(at)))
    }

    /// Whether a cue's words have said of something what they say, before others begin: a mention ends there, or a comma does, and no list goes
    /// on behind them.
    pub(super) fn has_said(
        &self,
        words: Range<usize>,
        languages: Languages,
        mentions: &[Range<usize>],
    ) -> bool {
        if words.is_empty() || self.is_or(words.end - 1, languages) {
            return false;
        }
        let before = self.before(words.end, 1);
        if before == "," {
            // "Denies travel, taking pills, or swelling."
            let rest = (words.end..self.words.len()).take_while(|at| !matches!(self.word(*at), "." | ";"));
            return !rest.into_iter().any(|at| self.is_or(at, languages));
        }
        let begun = mentions.partition_point(|mention| mention.start < words.start);
        let mut behind = mentions
            .iter()
            .skip(begun)
            .take_while(|mention| mention.start < words.end);
        behind.any(|mention| mention.end <= words.end) || NAMED.contains(&before) || is_habit(before)
    }

    /// Whether what a cue denies, up to a comma, is nothing that a list of findings goes on from: a habit or an allergy, "no alcohol, COPD", an
    /// adjective of what stands before it, "DM no insulinodependiente, HTA", or a test, "negative chest X-ray, cough".
    fn is_no_item(&self, hit: &Hit, rest: Range<usize>, mentions: &[Range<usize>]) -> bool {
        let mut item = hit.words.end..rest.start;
        // "No tobacco, alcohol or drugs."
        if rest.into_iter().any(|at| self.is_or(at, hit.languages)) {
            return false;
        }
        // "Patient raucht nicht, COPD", "not feeling well, fever".
        let of_verbs = matches!(hit.name, "not" | "nicht" | "niet" | "nie" | "never" | "nooit");
        let habit = item.clone().any(|at| is_habit(self.word(at)));
        let function = item
            .clone()
            .any(|at| FUNCTIONS.contains(&self.word(at)) || NAMED.contains(&self.word(at)));
        let is_empty = item.is_empty();
        let named = item.any(|at| is_mention(at, mentions));
        let adjective = matches!(hit.name, "no" | "non" | "nao" | "niet" | "nicht")
            && hit.languages & EN == 0
            && is_end(hit.words.start, mentions);
        habit || (!named && (is_empty || function || of_verbs || adjective || hit.name.starts_with("neg")))
    }

    /// Whether the one item behind a list's comma is said to be there: each one before it has a "no" of its own, "no A, no B, C", or an image
    /// shows it, "CT: no PE, pneumonia".
    fn is_found(&self, hit: &Hit, rest: Range<usize>, languages: Languages) -> bool {
        let (comma, end) = (rest.start, rest.end);
        let mut behind = rest.skip(1);
        if self.are_a_pair(comma) || behind.any(|at| self.word(at) == "," || self.is_or(at, languages)) {
            return false;
        }
        let before = || {
            (0..hit.words.start)
                .rev()
                .take_while(|at| !matches!(self.word(*at), "." | ";"))
        };
        let repeated = self.before(hit.words.start, 1) == "," && before().any(|at| self.word(at) == hit.name);
        // "No PTX on CXR, atelectasis", and not "no DVT on US, PE on CT".
        let shows = |mut words: Range<usize>| words.any(|at| IMAGES.contains(&self.word(at)));
        let on_image = shows(hit.words.end..comma) && !shows(comma..end);
        repeated || on_image || before().any(|at| IMAGES.contains(&self.word(at)))
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
        all.iter().any(|at| self.is_or(*at, languages))
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
        is_one
            && rest.all(|at| {
                let word = self.word(at);
                ENDING.contains(&word) || IMAGES.contains(&word) || (!alone && NOW.contains(&word))
            })
    }

    /// Whether what stands on both sides of a comma is always told together: "no fever, chills today".
    fn are_a_pair(&self, comma: usize) -> bool {
        let item = (comma + 1..self.words.len()).take_while(|at| !matches!(self.word(*at), "," | "." | ";"));
        let mut named = item
            .map(|at| self.word(at))
            .filter(|word| !NOW.contains(word) && !ENDING.contains(word));
        // "No effusion on CXR, pneumothorax".
        let of_image = |at: &usize| {
            let word = self.word(*at);
            IMAGES.contains(&word) || matches!(word, "on" | "by" | "in" | "x" | "-" | "ray" | "doppler")
        };
        let left = (0..comma).rev().find(|at| !of_image(at)).unwrap_or(0);
        let (Some(last), left) = (named.by_ref().last(), self.word(left)) else {
            return false;
        };
        GROUPS.iter().any(|group| {
            let has = |word: &str| group.iter().any(|start| word.starts_with(start));
            has(left) && has(last)
        })
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
            .is_some_and(|before| self.word(before) == ":")
            // "Cardiopatía isquémica, epilepsia, neumopatías negadas."
            || PARTICIPLES.contains(&self.word(reach.end));
        let mut begin = last;
        for at in (floor..=last).rev().take(MOST_LISTED) {
            if self.is_other_answer(at, mentions) {
                return None;
            } else if self.is_joint(at, languages) {
                listed = true;
            } else if !matches!(self.word(at), "," | "/") && !is_mention(at, mentions) {
                return None;
            }
            begin = at;
        }
        (listed && begin == floor).then_some(begin)
    }

    /// Whether a word begins something else: behind a comma, a dash that stands alone, or "and".
    fn is_anew(&self, at: usize) -> bool {
        let before = self.before(at, 1);
        matches!(
            before,
            "," | "-" | "\u{2013}" | "\u{2014}" | "." | "and" | "und" | "et" | "y" | "e" | "en" | "|" | ">"
        )
    }
}
