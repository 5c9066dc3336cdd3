//! What stands in a sentence that says something: entries of the lexicon, and signs.

use std::ops::Range;

use super::Kind;
use super::answers::{Answer, group_at};
use super::boxes::TICKED_NO;
use super::lexicon::{Entry, FAR, LEXICON, NEXT, Role};
use super::lists::{ANSWERS, AS_NEEDED, CAPITALS, FREQUENCY, HISTORY, UNTOLD};
use super::sentence::Sentence;
use super::signs::{NO_BEHIND_SPACE, NO_BY_ZERO};
use super::{is_end, is_mention};

use crate::languages::{ALL, DE, EN, ES, FR, IT, Languages, NL, PT, Spoken};

/// What stands at a place of a sentence: an entry that means something here, and its words.
pub(super) struct Hit {
    pub(super) words: Range<usize>,
    pub(super) name: &'static str,
    pub(super) roles: Vec<Role>,
    /// Those that it means something in.
    pub(super) languages: Languages,
}

/// How a language says that something is not excluded.
struct NotExcluded {
    languages: Languages,
    /// What the words begin with.
    negations: &'static [&'static str],
    /// Verbs behind which stands what is not excluded.
    excludes: &'static [&'static str],
    /// Participles and infinitives before or behind it.
    excluded: &'static [&'static str],
}

/// Words between a negation and what it says is not done, at most: "cannot be ruled out with complete certainty" ends before those.
const MOST_BETWEEN: usize = 4;

#[rustfmt::skip]
const NOT_EXCLUDED: [NotExcluded; 7] = [
    NotExcluded {
        languages: EN,
        negations: &["not", "cannot", "unable", "difficult", "impossible"],
        excludes: &["exclude", "rule"],
        excluded: &["excluded", "ruled"],
    },
    NotExcluded {
        languages: DE,
        negations: &["nicht", "kaum", "schwer"],
        excludes: &["ausschliesst"],
        excluded: &["ausgeschlossen", "auszuschliessen", "ausschliessen", "ausschliessbar"],
    },
    NotExcluded {
        languages: FR,
        negations: &["ne", "n", "pas", "impossible", "difficile"],
        excludes: &["exclure", "eliminer", "ecarter"],
        excluded: &["exclu", "exclue", "exclus", "exclues", "elimine", "eliminee", "elimines", "eliminees", "ecarte", "ecartee", "ecartes", "ecartees"],
    },
    NotExcluded {
        languages: ES,
        negations: &["no", "imposible", "dificil"],
        excludes: &["descartar", "excluir"],
        excluded: &["descartarse", "excluirse", "descartado", "descartada", "excluido", "excluida"],
    },
    NotExcluded {
        languages: IT,
        negations: &["non", "impossibile", "difficile"],
        excludes: &["escludere", "esclude"],
        excluded: &["escluso", "esclusa", "esclusi", "escluse", "escludersi", "escludibile"],
    },
    NotExcluded {
        languages: NL,
        negations: &["niet", "lastig", "moeilijk"],
        excludes: &[],
        excluded: &["uitgesloten", "uitsluiten", "sluiten"],
    },
    NotExcluded {
        languages: PT,
        negations: &["nao", "impossivel", "dificil"],
        excludes: &["excluir", "descartar", "afastar"],
        excluded: &["excluido", "excluida", "descartado", "descartada", "afastado", "afastada"],
    },
];

/// Whether these words are part of a mention and do not begin it.
pub(super) fn inside(words: &Range<usize>, mentions: &[Range<usize>]) -> bool {
    mentions
        .iter()
        .any(|mention| words.start < mention.end && words.end > mention.start && words.start != mention.start)
}

impl Sentence {
    /// The entries that the sentence has in these languages, from its first word to its last; the longest where several begin.
    pub(super) fn hits(&self, spoken: Spoken, mentions: &[Range<usize>], answers: &[Answer]) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut at = 0;
        let one = |words: Range<usize>, name, role| Hit {
            words,
            name,
            roles: vec![role],
            languages: spoken.languages,
        };
        // A minus at the beginning may be a list's dash.
        let signed = (0..self.words.len()).any(|at| self.is_sign(at, "+"))
            && (1..self.words.len()).any(|at| self.is_sign(at, "-"));
        let counted = (0..self.words.len()).any(|at| self.is_free_sign(at, "+"));
        let side = self.side_of_signs(mentions);
        let zeros = self.side_of_zeros(mentions);
        while let Some(word) = self.words.get(at) {
            if let Some(answer) = group_at(answers, word.begin) {
                let words = at..self.words.partition_point(|word| word.begin < answer.end);
                at = words.end;
                hits.push(one(words, TICKED_NO, Role::Stop));
                continue;
            }
            if signed && let Some(role) = self.sign(at) {
                hits.push(one(at..at + 1, "-", role));
                at += 1;
                continue;
            }
            if let Some(sign) = self.sign_for_itself(at, side, mentions) {
                at = sign.words.end;
                hits.push(one(sign.words, sign.name, sign.role));
                continue;
            }
            if let Some(role) = zeros.and_then(|side| self.zero(at, side, mentions)) {
                hits.push(one(at..at + 1, NO_BY_ZERO, role));
                at += 1;
                continue;
            }
            if let Some(hit) = self.watched(at, spoken, mentions) {
                at = hit.words.end;
                hits.push(hit);
                continue;
            }
            if let Some(role) = self.minus(at, counted, mentions) {
                hits.push(one(at..at + 1, "-", role));
                at += 1;
                continue;
            }
            if self.affirmed.contains(&at) && self.word(at + 1) != "/" {
                hits.push(one(at..at + 1, "sí", Role::Stop));
                at += 1;
                continue;
            }
            if self.is_loud_no(at) {
                let role = Role::Cue(Kind::Negated, None, FAR);
                hits.push(one(at..at + 1, NO_BEHIND_SPACE, role));
                at += 1;
                continue;
            }
            if let Some((begin, kind)) = self.diagnosis_code(at, spoken) {
                hits.push(one(begin..at + 1, "icd", Role::Cue(kind, None, NEXT)));
                at += 1;
                continue;
            }
            let in_form = self.is_in_form(at);
            if let Some(hit) = self.not_excluded(at, spoken, mentions) {
                at = hit.words.end;
                hits.push(hit);
                continue;
            }
            let entries = LEXICON.get(self.as_cue(at)).map_or(&[][..], Vec::as_slice);
            let mut hit = entries
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
            if let Some(hit) = hit.as_mut().filter(|hit| AS_NEEDED.contains(&hit.name)) {
                hit.words.end = self.end_of_frequency(hit.words.end);
            }
            if let Some(hit) = hit.as_mut().filter(|hit| hit.roles.contains(&Role::Person)) {
                hit.words.end = self.end_of_age(hit.words.end);
            }
            if let Some(hit) = hit.as_mut()
                && hit.roles.iter().any(|role| matches!(role, Role::Drug(..)))
            {
                hit.words.end = self.end_of_drug_heading(hit);
            }
            // "3 day h/o cough", "Hx: cough 3/7" tell of the complaint.
            let of_days = |hit: &&mut Hit| {
                HISTORY.contains(&hit.name)
                    && (self.length_before(hit.words.start).is_some()
                        || self.heads_complaint(hit.words.end, mentions))
            };
            if let Some(hit) = hit.as_mut().filter(of_days) {
                hit.roles = vec![Role::Nothing];
            }
            // "MI 6/52 ago".
            if let Some(hit) = hit.as_mut().filter(|hit| hit.name == "ago") {
                let begin = self.length_before(hit.words.start);
                match begin.filter(|_| self.is_long_before(hit.words.start)) {
                    Some(begin) => hit.words.start = begin,
                    None => hit.roles = vec![Role::Nothing],
                }
            }
            at = hit.as_ref().map_or(at + 1, |hit| hit.words.end);
            if let Some(hit) = hit.as_mut().filter(|hit| ANSWERS.contains(&hit.name)) {
                let begin = hit.words.start - self.leader(hit.words.start);
                if is_end(begin, mentions) {
                    // An arrow is no end where it leads to an answer.
                    hits.truncate(hits.partition_point(|before: &Hit| before.words.end <= begin));
                    hit.words.start = begin;
                }
            }
            hits.extend(hit);
        }
        hits
    }

    /// Whether a word for no in capitals answers what stands before it in its item: "stiff neck, photophobia  NO", "fitting  NO (once as a baby)".
    fn is_loud_no(&self, at: usize) -> bool {
        self.small
            && self.loud.contains(&at)
            && matches!(self.word(at), "no" | "nein" | "non" | "nee" | "nao")
            && (self.ends(at + 1) || self.word(at + 1) == "(")
    }

    /// What the letter behind a code of the German ICD says, and where the code begins: "Apoplex  I63.9 Z" is past, "A" excluded, "V" suspected.
    fn diagnosis_code(&self, at: usize, spoken: Spoken) -> Option<(usize, Kind)> {
        let kind = match self.word(at) {
            "v" => Kind::Uncertain,
            "z" => Kind::Historical,
            "a" => Kind::Negated,
            _ => return None,
        };
        // An "a" is an article in most texts.
        if spoken.languages & DE == 0 || !self.letters.contains(&at) || !self.ends(at + 1) {
            return None;
        }
        // However the code falls apart into words.
        let mut begin = at;
        while begin > 0 && at - begin < 4 && (begin == at || self.are_joined(begin - 1)) {
            begin -= 1;
        }
        let code: String = (begin..at).map(|at| self.word(at)).collect();
        let mut letters = code.chars();
        let first = letters.next().is_some_and(|c| c.is_ascii_lowercase());
        let rest: String = letters.collect();
        let numbered = rest.len() > 3
            && rest
                .get(..2)
                .is_some_and(|two| two.bytes().all(|byte| byte.is_ascii_digit()))
            && rest.get(2..3) == Some(".")
            && rest.ends_with(|c: char| c.is_ascii_digit());
        (first && numbered).then_some((begin, kind))
    }

    /// One past how often a drug is taken, and the "for" behind it.
    fn end_of_frequency(&self, from: usize) -> usize {
        let often = |at: &usize| {
            let word = self.word(*at);
            let number = |at: usize| self.word(at).starts_with(|c: char| c.is_ascii_digit());
            FREQUENCY.contains(&word) || number(*at) || (word == "to" && number(at + 1))
        };
        let end = from + (from..self.words.len()).take_while(often).count();
        match self.word(end) {
            "for" => end + 1,
            _ => end,
        }
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

    /// Whether the words of an entry stand here, of which the first was looked up.
    fn has(&self, entry: &Entry, at: usize) -> bool {
        let mut words = entry.words.iter().enumerate().skip(1);
        at + entry.words.len() <= self.words.len()
            && words.all(|(offset, word)| self.word(at + offset) == *word)
    }

    /// A word, or "not" where it ends one that has it: "don't think".
    fn as_cue(&self, at: usize) -> &str {
        let stem = || {
            matches!(
                self.before(at, 2),
                "don" | "doesn" | "didn" | "isn" | "wasn" | "aren" | "weren" | "hasn" | "haven" | "hadn"
            )
        };
        match self.word(at) {
            "t" if matches!(self.before(at, 1), "'" | "\u{2019}") && stem() => "not",
            word => word,
        }
    }

    /// What says that something is not excluded, however sure or soon: "cannot be completely ruled out", "nicht mit letzter Sicherheit
    /// auszuschließen". Verbs that name what is not excluded look ahead; of participles the place decides.
    fn not_excluded(&self, at: usize, spoken: Spoken, mentions: &[Range<usize>]) -> Option<Hit> {
        let said = NOT_EXCLUDED.iter().find(|said| {
            let languages =
                said.languages & spoken.languages != 0 || (said.languages == EN && spoken.by_names);
            languages && said.negations.contains(&self.as_cue(at))
        })?;
        let mut behind = at + 1..self.words.len().min(at + 2 + MOST_BETWEEN);
        let is_one =
            |at: usize| said.excludes.contains(&self.word(at)) || said.excluded.contains(&self.word(at));
        let end = behind.find(|behind| {
            is_one(*behind)
                || !self
                    .word(*behind)
                    .starts_with(|c: char| c.is_alphabetic() || c == '\'')
                || is_mention(*behind, mentions)
        })?;
        // "Ruled out", "rule out" are two.
        let two = matches!(self.word(end), "rule" | "ruled");
        if two && self.word(end + 1) != "out" {
            return None;
        }
        let role = if said.excludes.contains(&self.word(end)) {
            Role::Cue(Kind::Uncertain, Some(usize::MAX), None)
        } else if said.excluded.contains(&self.word(end)) {
            Role::Either(Kind::Uncertain)
        } else {
            return None;
        };
        Some(Hit {
            words: at..end + 1 + usize::from(two),
            name: "not excluded",
            roles: vec![role],
            languages: said.languages,
        })
    }
}
