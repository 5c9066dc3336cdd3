//! Which way a cue looks: at what stands behind it, or, as answers do, at what stands before it.

use std::ops::Range;

use super::answers::{are_yes_and_no, is_answer};
use super::hits::Hit;
use super::lexicon::{NEAR, NEXT, Role, is_per, is_relative, is_somebody, reports};
use super::lists::{
    ADVISING, ANSWERS, AS_NEEDED, BEFORE, DENIES, GENITIVES, GIVEN, HIMSELF, NON, NOT_OLD, OF_EITHER,
    OF_WHAT, POSSESSIVES, REPLACED, RESULTS, STUDIES, TESTED_FOR, WITH,
};
use super::sentence::Sentence;
use super::signs::NO_BEHIND_SPACE;
use super::{Kind, is_end, is_mention};

use crate::languages::EN;

/// What is said of what stands before it, unless nothing does: "ruled out MI".
const BARE: [&str; 3] = ["ruled out", "excluded", "not excluded"];

/// What has still to be done about something, before that or behind it.
#[rustfmt::skip]
const DEFERRED: [&str; 8] = [
    "a descartar", "da escludere", "a afastar", "para descartar", "para afastar", "per escludere", "p/ afastar", "p/ descartar",
];

/// Words of what somebody is, between commas, at most, and what he or she has behind it.
const APPOSITION: usize = 4;
#[rustfmt::skip]
const HAS: [&str; 12] = ["has", "had", "hat", "hatte", "a", "avait", "tiene", "tuvo", "ha", "heeft", "tem", "teve"];

/// What says behind a time that something began then, or was found, and not that it is over.
#[rustfmt::skip]
const LASTING: [&str; 12] = [
    "developed", "demonstrated", "demonstrates", "showed", "shows", "revealed", "for", "started", "began", "noticed", "diagnosed", "found",
];

/// What says that something is still to be done: "would like to get morphine changed to oxycodone".
#[rustfmt::skip]
const TO_COME: [&str; 11] = ["would", "will", "should", "could", "can", "may", "be", "plan", "if", "get", "consider"];

/// Words of a clause that tells of a relative, at most.
const LONGEST_CLAUSE: usize = 10;

/// Words from a test to its result, at most.
const RESULT: usize = 5;

/// Words from a relative to the bracket that tells of him or her, at most.
const RELATIVE: usize = 3;

/// Words from an answer to the sign behind the next question, at most.
const QUESTION: usize = 5;

/// Words behind a question mark that asks what stands behind it, at most, to what is asked.
const BEHIND_QUESTION: usize = 4;

impl Sentence {
    /// Whether a word for no stands behind what it answers, in a form or table: "fever no, cough yes", "fever | no", "rash: N".
    pub(super) fn answers(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
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
                bracketed
                    || (ends && (of_a_table() || (before == ":" && is_end(at - 1, mentions))))
                    || self.is_short_answer(end - 1, mentions)
                    || (is_end(at, mentions) && hit.words.len() > 1)
            }
            // "Kortademig niet", "Husten: nicht", and not "Patient versteht seine Diabetes nicht".
            "nicht" | "niet" => {
                let asked = at - usize::from(before == ":");
                self.ends(end)
                    && mentions
                        .iter()
                        .any(|mention| mention.end == asked && self.begins_item(mention))
            }
            name if DENIES.contains(&name) => {
                let own = mentions.iter().find(|mention| mention.end == at);
                self.ends(end)
                    && own.is_some_and(|mention| self.begins_item(mention) || self.is_described(mention))
            }
            _ => false,
        }
    }

    /// Whether a German adjective and nothing else stands before a mention in its item: "konkrete Suizidgedanken verneint".
    fn is_described(&self, mention: &Range<usize>) -> bool {
        let Some(first) = mention.start.checked_sub(1) else {
            return false;
        };
        let word = self.word(first);
        word.len() > 4
            && ["e", "en", "er", "es"]
                .iter()
                .any(|ending| word.ends_with(ending))
            && self.begins_item(&(first..mention.start))
    }

    /// Whether nothing stands before a mention in its item.
    fn begins_item(&self, mention: &Range<usize>) -> bool {
        matches!(self.before(mention.start, 1), "" | "," | ";" | "." | ":")
    }

    /// Whether a mention ends right before a sign, or before its colon.
    pub(super) fn is_answer_to_mention(&self, at: usize, mentions: &[Range<usize>]) -> bool {
        is_end(at - usize::from(self.before(at, 1) == ":"), mentions)
    }

    /// Whether a colon or dash stands before a word, as between a question and its answer.
    fn is_behind_question(&self, at: usize) -> bool {
        matches!(self.before(at, 1), ":" | "-" | "\u{2013}")
    }

    /// Whether a word for no stands behind a sign that parts question and answer, and the next question has the same: "smoker: no COPD: yes".
    pub(super) fn is_in_form(&self, at: usize) -> bool {
        let sign = self.before(at, 1);
        matches!(sign, ":" | "?" | "-" | "\u{2013}")
            && ANSWERS.contains(&self.word(at))
            && self.is_before_question(at, sign)
    }

    /// Whether this sign stands before a word, and behind the few words of a question after it.
    pub(super) fn is_before_question(&self, at: usize, sign: &str) -> bool {
        let mut behind = (at + 1..at + 1 + QUESTION).map(|at| self.word(at));
        at > 1
            && self.before(at, 1) == sign
            && self.word(at + 1) != sign
            && behind.find(|word| *word == sign || matches!(*word, "" | "," | ";" | ".")) == Some(sign)
    }

    /// Whether a word for no is the one in brackets of two: "Y / (N)".
    pub(super) fn is_chosen(&self, at: usize) -> bool {
        self.before(at, 1) == "("
            && self.word(at + 1) == ")"
            && self.before(at, 2) == "/"
            && are_yes_and_no(self.before(at, 3), self.word(at))
    }

    /// Whether a cue that looks both ways may look back: "no" behind a mention is said of it only behind a colon or a dash, and at the end
    /// of what is said.
    pub(super) fn may_look_back(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let ahead = hit
            .roles
            .iter()
            .any(|role| matches!(role, Role::Cue(_, Some(_), _)));
        let (next, ends) = (self.word(hit.words.end), self.ends(hit.words.end));
        match hit.name {
            // "Fever? No."
            "?" if (is_answer(next) || replies(next)) && self.ends(hit.words.end + 1) => false,
            // "EP ?", as French sets it.
            "?" if ends || !self.is_apart(hit.words.start) => true,
            // "Seizure ?hypo ?meds": it stands right before what it asks.
            "?" if self.are_joined(hit.words.start) => false,
            // "Infection urinaire ? pas d'ATB", and not "cough ? pneumonia".
            "?" => {
                let next = hit.words.end..hit.words.end + BEHIND_QUESTION;
                is_end(hit.words.start, mentions)
                    && first_from(hit.words.end, mentions).is_none_or(|own| !next.contains(&own.start))
            }
            // "Aneurysm stable vs 2022" is compared with before.
            "vs" | "versus" if self.is_year(hit.words.end) => false,
            "vs" | "versus" | "favored over" | "favoured over" | "plutot que" | "piuttosto che" | "ofwel" => {
                true
            }
            // "Tos ferina a descartar (PCR)", "neoplasia da escludere con PET".
            _ if self.is_deferred(hit, mentions) => true,
            name if TESTED_FOR.contains(&name) => !self.has_result(hit.words.end),
            // "Thrombose-Prophylaxe Heparin".
            _ if hit.roles.contains(&Role::Cue(Kind::Hypothetical, None, NEXT))
                && self.is_compound(hit.words.start, mentions) =>
            {
                true
            }
            // "Neumonía por Pneumocystis profilaxis con cotrimoxazol".
            "profylaxe" | "profilassi" | "profilaxia" | "prophylaxie" | "profilaxis" => {
                is_end(hit.words.start, mentions) && !mentions.iter().any(|next| next.start == hit.words.end)
            }
            // "Hep B vaccination due", where French has what it is for behind it, "bleeding risk 3", and not "risk bleeding explained".
            name if (name.starts_with("vaccin") || name == "risk") && ahead && !ends => {
                is_end(hit.words.start, mentions) && !mentions.iter().any(|next| next.start == hit.words.end)
            }
            // "EP probable (Wells 6)", as Romance languages set it.
            _ if is_adjective_behind(hit, mentions) => true,
            name if OF_EITHER.contains(&name) => ends || is_end(hit.words.start, mentions),
            "nein" | "nee" | "neen" => ends,
            // "Stürze: nie".
            // And "Helm niet, anafylaxie nooit".
            "mai" | "jamais" | "nunca" | "nie" | "nooit" => {
                let begins = || {
                    mentions
                        .iter()
                        .any(|own| own.end == hit.words.start && self.begins_item(own))
                };
                ends && (self.is_behind_question(hit.words.start) || begins())
            }
            // "DRESS sem critérios (eosinófilos N)", and not "HTA sin criterios de gravedad".
            name if name.contains("criter") || name.contains("kriter") => {
                (ends || next == "(") && is_end(hit.words.start, mentions)
            }
            "nicht" | "niet" => false,
            "0" => self.is_short_answer(hit.words.end - 1, mentions) || hit.words.len() > 1,
            "no" | "non" | "nao" => {
                let before = self.before(hit.words.start, 1);
                ends && (matches!(before, ":" | "-" | "?" | "=" | "\u{2013}")
                    || (before == "(" && next == ")")
                    || self.asked(hit.words.start) > 0)
            }
            "n" => ends && self.asked(hit.words.start) > 0,
            name if DENIES.contains(&name) => {
                ends && (self.is_behind_question(hit.words.start) || self.before(hit.words.start, 1) == "?")
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
            "ø" | "∅" => self.is_answer_to_mention(hit.words.start, mentions),
            // "Wegen Dyspnoe erfolgte die erneute Vorstellung" is no advice.
            _ if hit.roles.contains(&Role::Cue(Kind::Hypothetical, None, Some(10))) => {
                let before = || (0..hit.words.start).map(|at| self.word(at));
                let is_told = before().any(|word| matches!(word, "wegen" | "aufgrund" | "erfolgte"));
                // "Recurrent falls, no sick contact" is English.
                let bare = hit.name == "contact" && !(ends && before().any(|word| word == "bij"));
                before().any(|word| ADVISING.contains(&word)) && !is_told && !bare
            }
            // "Chest pain, unlikely ischemic" has it.
            name if name.ends_with("likely") && BEFORE.contains(&name) => {
                let given = GIVEN.contains(&next) || !next.starts_with(char::is_alphabetic);
                (ends || given) && !self.stands_before(hit, mentions)
            }
            name if BEFORE.contains(&name) => !self.stands_before(hit, mentions),
            // "Epilepsy: past".
            "past" | "previous" => ends && self.before(hit.words.start, 1) == ":",
            // "MI 2 weeks ago", and not "pain since 2 weeks ago".
            "ago" => {
                let begin = hit.words.start;
                let lasts = self
                    .clause_before(begin)
                    .any(|at| LASTING.contains(&self.word(at)));
                !self.is_onset(hit) && !self.tells_since(begin) && !lasts
            }
            // "Warfarin changed to apixaban", and not "metoprolol changed to 50 mg".
            name if REPLACED.contains(&name) => {
                let mut before = self.clause_before(hit.words.start);
                let to_come = before.any(|at| TO_COME.contains(&self.word(at)));
                !to_come && self.drugs.iter().any(|drug| drug.start == hit.words.end)
            }
            name if name == NO_BEHIND_SPACE => true,
            // "CAD y EHH descartados  4. ERC", "lesione splenica esclusa allo stato".
            _ if hit.roles.contains(&Role::Cue(Kind::Negated, Some(1), None))
                && hit.languages & EN == 0
                && is_end(hit.words.start, mentions) =>
            {
                !mentions.iter().any(|next| next.start == hit.words.end)
            }
            _ => (!ahead || ends || self.is_of_age(hit)) && !self.is_onset(hit),
        }
    }

    /// Whether a word is the second of a compound with a mention: "Thrombose-Prophylaxe".
    fn is_compound(&self, at: usize, mentions: &[Range<usize>]) -> bool {
        at.checked_sub(1).is_some_and(|dash| {
            self.word(dash) == "-" && self.are_joined(dash) && !self.is_apart(dash) && is_end(dash, mentions)
        })
    }

    /// Whether what has still to be done stands right behind what it is said of, and before no other: "TEP a descartar con TC".
    fn is_deferred(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        DEFERRED.contains(&hit.name)
            && is_end(hit.words.start, mentions)
            && !mentions.iter().any(|next| next.start == hit.words.end)
    }

    /// Whether a cue that looks both ways may look ahead: a question mark at a word's end belongs to that word.
    pub(super) fn may_look_ahead(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let before = self.before(hit.words.start, 1);
        match hit.name {
            "?" => self.is_apart(hit.words.start) && !self.ends(hit.words.end),
            "vs" | "versus" if self.is_year(hit.words.end) => false,
            // "Solifenacina no (glaucoma)": the reason stands in brackets.
            "no" | "non" | "nao" | "nein" | "nee" | "niet"
                if self.word(hit.words.end) == "("
                    && self.drugs.iter().any(|drug| drug.end == hit.words.start) =>
            {
                false
            }
            _ if self.is_deferred(hit, mentions) => false,
            // "Fever: denies, cough: yes"
            name if DENIES.contains(&name) => {
                !self.is_behind_question(hit.words.start) || !self.ends(hit.words.end)
            }
            name if BEFORE.contains(&name) => self.stands_before(hit, mentions),
            // "PRN lorazepam for seizure" says what is given.
            name if AS_NEEDED.contains(&name) => !self.drugs.iter().any(|drug| drug.start == hit.words.end),
            // "Oude lacunes" are still there to see.
            "oude" | "oud" | "alte" | "alter" if NOT_OLD.contains(&self.word(hit.words.end)) => false,
            // "56yr old", "old man", "old films".
            "old" => {
                !before.contains(|c: char| c.is_ascii_digit())
                    && !matches!(before, "y" | "yr" | "yo" | "m" | "mo" | "mth" | "wk" | "d" | "o")
                    && !NOT_OLD.contains(&self.word(hit.words.end))
            }
            // Of five centimetres across; "palpa-se", which is no "if".
            "ø" | "∅" => {
                let is_measured = first_from(hit.words.end, mentions)
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
            // "Previous: PPH", and not "compared to previous: larger".
            "previous:" | "prev:" => matches!(before, "" | "." | ";"),
            // Who worries is a doctor: a patient's or relative's worry tells what there is.
            "concerned about" => {
                let worries = |at: usize| {
                    matches!(self.word(at), "she" | "he" | "they" | "patient" | "pt")
                        || is_relative(self.word(at))
                };
                let told = matches!(
                    self.word(hit.words.end),
                    "the" | "her" | "his" | "their" | "this" | "these" | "your"
                );
                !told && !self.clause_before(hit.words.start).any(worries)
            }
            // "Q DVT", and not "Q fever", "non Q MI", "q 6h".
            "q" => {
                let next = first_from(hit.words.end, mentions);
                self.letters.contains(&hit.words.start)
                    && !matches!(before, "non" | "-")
                    && next.is_some_and(|next| next.start == hit.words.end)
            }
            // "s/ febre", "s/febre", and not "s/c", or the heading "S/".
            "s/" => {
                let (first, next) = (hit.words.start, self.word(hit.words.end));
                let apart = first == 0 || !self.are_joined(first - 1);
                let is_word = next.starts_with(char::is_alphabetic)
                    && (next.len() > 1 || !self.are_joined(hit.words.end - 1));
                apart && is_word && !(first == 0 && self.letters.contains(&first))
            }
            // "Pat. o. Fieber", and not "p.o.", "s. o.", "Husten o. Fieber".
            "o." => {
                let shortened = before == "." && self.before(hit.words.start, 2).len() < 2;
                let next = first_from(hit.words.end, mentions);
                !shortened
                    && !is_end(hit.words.start, mentions)
                    && next.is_some_and(|next| next.start == hit.words.end)
            }
            // "Please report any bleeding", and not "she did not report any pain".
            "report any" => matches!(
                before,
                "" | "." | "," | ":" | "-" | "to" | "please" | "should" | "and" | "must"
            ),
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
            _ if is_adjective_behind(hit, mentions) => {
                let joined = usize::from(self.is_joint(hit.words.end, hit.languages));
                first_from(hit.words.end + joined, mentions)
                    .is_some_and(|next| next.start == hit.words.end + joined)
            }
            "risk" => !is_end(hit.words.start, mentions),
            // "Serologia HIV negativa" tells the result.
            name if TESTED_FOR.contains(&name) => {
                let own = first_from(hit.words.end, mentions);
                own.is_some_and(|own| !self.has_result(own.end))
            }
            // "Cave: Penicillinallergie" is there.
            "cave" => {
                let next = first_from(hit.words.end, mentions);
                self.word(hit.words.end) != ":"
                    && !next.is_some_and(|next| next.clone().any(|at| self.word(at).contains("allerg")))
            }
            // "Let op orthostase", and not "let op: bekend met epilepsie", "controle op de poli".
            "let op" | "controle op" | "observatie op" | "eerder bij" => {
                first_from(hit.words.end, mentions).is_some_and(|next| next.start == hit.words.end)
            }
            // Who has it is the relative before the bracket.
            name if HIMSELF.contains(&name) => {
                let mut before =
                    (hit.words.start.saturating_sub(RELATIVE)..hit.words.start).map(|at| self.word(at));
                before.any(is_somebody)
            }
            // "Fractura antigua en costilla."
            name if OF_EITHER.contains(&name) => !is_end(hit.words.start, mentions),
            // "Nicht operables Karzinom", "niet goed gereguleerde diabetes".
            "nicht" | "niet" => {
                let next = first_from(hit.words.end, mentions);
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
                    && first_from(hit.words.end, mentions).is_some_and(|next| next.start == hit.words.end);
                of_heading
                    || (!self.ends(hit.words.end)
                        && before.chars().all(|c| !c.is_alphanumeric())
                        && !matches!(before, ":" | "=" | "-"))
            }
            // "Diabetes in his family, cough."
            name if OF_WHAT.contains(&name) => before.chars().all(|c| !c.is_alphanumeric()),
            // "Fièvre : aucune, toux : oui"
            _ => {
                let answers = self.is_behind_question(hit.words.start) && self.ends(hit.words.end);
                // "AXR o/n: no pneumatosis" was overnight.
                let overnight = hit.languages & EN != 0 && self.is_overnight(hit.words.start);
                !answers && (overnight || self.asked(hit.words.start) == 0)
            }
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
        let next = first_from(hit.words.end, mentions).map_or(usize::MAX, |mention| mention.start);
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
    pub(super) fn ends(&self, at: usize) -> bool {
        at >= self.words.len()
            || matches!(
                self.word(at),
                "," | ";" | "." | ")" | "]" | "/" | "-" | "and" | "but" | "|"
            )
    }

    /// How many words before this one ask for it: "fever (yes/no): no".
    pub(super) fn asked(&self, at: usize) -> usize {
        let mut first = at;
        while first > 0 && matches!(self.before(first, 1), ":" | "?" | "=" | "-" | ")") {
            first -= 1;
        }
        let asks =
            self.before(first, 2) == "/" && are_yes_and_no(self.before(first, 3), self.before(first, 1));
        let opens = usize::from(asks && self.before(first, 4) == "(");
        if asks { at + 3 + opens - first } else { 0 }
    }

    /// Whether "o/n" stands before a word, and its colon.
    fn is_overnight(&self, at: usize) -> bool {
        let colon = usize::from(self.before(at, 1) == ":");
        [3, 2, 1].map(|count| self.before(at, count + colon)) == ["o", "/", "n"]
    }

    /// Whether the result of a test stands behind a word, in its clause: "HBV serology negative", "PCR 230".
    fn has_result(&self, from: usize) -> bool {
        let clause = (from..self.words.len()).take(RESULT);
        let mut clause = clause
            .map(|at| self.word(at))
            .take_while(|word| !matches!(*word, "," | ";" | "."));
        let number = self.word(from + usize::from(self.word(from) == ":"));
        number.starts_with(|c: char| c.is_ascii_digit())
            || clause.any(|word| RESULTS.iter().any(|start| word.starts_with(start)))
    }

    /// Whether a mention begins near behind a cue that may stand behind what it is said of, with nothing between them that ends that. Of what
    /// is "ruled out" without more words none stands before it in its clause, either: "CT ruled out PE", and not "PE ruled out by CT chest".
    pub(super) fn is_before(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let near = hit.words.end + NEAR.unwrap_or(0);
        let colon = usize::from(self.word(hit.words.end) == ":");
        let next = first_from(hit.words.end, mentions).map(|next| next.start);
        let is_near =
            next.is_some_and(|next| next < near && (hit.words.end + colon..next).all(|at| !self.ends(at)));
        let of_time = hit.roles.contains(&Role::Either(Kind::Historical));
        let of_clause = BARE.contains(&hit.name) || of_time;
        // "An echo from 6 months ago showed a low ejection fraction", "a year ago he developed pain" have it still.
        if of_time && (hit.words.end..near).any(|at| LASTING.contains(&self.word(at))) {
            return false;
        }
        is_near && !(of_clause && self.is_behind_one(hit.words.start, mentions)) && !self.is_onset(hit)
    }

    /// Whether what is told of the time is when something began, or was found out: "asthma diagnosed 10 years ago".
    fn is_onset(&self, hit: &Hit) -> bool {
        let past = |role: &Role| {
            matches!(
                role,
                Role::Cue(Kind::Historical, ..) | Role::Either(Kind::Historical)
            )
        };
        hit.name.ends_with("ago") && hit.roles.iter().any(past) && self.tells_onset(hit.words.start)
    }

    /// Whether a relative's age stands behind it, and nothing else: "AF: IAM padre 49 años", "MI father (49)".
    fn is_of_age(&self, hit: &Hit) -> bool {
        let relative = hit
            .roles
            .iter()
            .any(|role| matches!(role, Role::Cue(Kind::Family, ..)));
        let from = hit.words.end;
        let skipped = (from..from + 3)
            .take_while(|at| matches!(self.word(*at), "(" | "a" | "los" | "at" | "aos" | "mit" | "op"));
        let at = from + skipped.count();
        let number = self.word(at).trim_end_matches(char::is_alphabetic);
        let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
        let unit = matches!(
            self.word(at + 1),
            "a" | "anos" | "ans" | "anni" | "jahre" | "jaar" | "j" | "yo" | "y" | "yrs" | "years"
        );
        relative && is_number && self.ends(at + 1 + usize::from(unit))
    }

    /// Whether a mention stands before a word, in its clause.
    fn is_behind_one(&self, at: usize, mentions: &[Range<usize>]) -> bool {
        self.clause_before(at).any(|at| is_mention(at, mentions))
    }

    /// One past the last word of a clause behind a relative that says what that one has: "lives with her son, who has a cold". Where its verb
    /// is not its last word it may go on as other sentences do.
    pub(super) fn told_of(&self, hit: &Hit) -> Option<usize> {
        if self.is_told_first(hit) {
            return Some(usize::MAX);
        }
        let at = hit.words.end + usize::from(self.word(hit.words.end) == ",");
        let has = match self.word(at) {
            "who" => matches!(self.word(at + 1), "has" | "had" | "have" | "suffers"),
            // "Épouse débutant un Alzheimer", "moglie affetta da demenza".
            "overleden" | "verstorben" | "gestorben" | "decede" | "decedee" | "fallecido" | "fallecida"
            | "deceduto" | "deceduta" | "falecido" | "falecida" | "debutant" | "atteint" | "atteinte"
            | "souffrant" | "affetto" | "affetta" | "padece" | "leidet" | "lijdt" | "sofre" => {
                at == hit.words.end
            }
            "qui" => matches!(self.word(at + 1), "a" | "avait" | "ont"),
            "que" => matches!(self.word(at + 1), "tiene" | "tuvo" | "tem" | "teve"),
            "che" => matches!(self.word(at + 1), "ha" | "aveva" | "hanno"),
            // "Ihr Sohn, der eine Grippe hat", "haar zoon, die griep heeft".
            "der" | "die" | "das" | "dat" if at > hit.words.end => {
                let mut clause = (at + 1..self.words.len()).take(LONGEST_CLAUSE);
                let end = clause.find(|at| matches!(self.word(*at), "," | ";" | "." | ":"));
                let end = end.unwrap_or(self.words.len());
                return matches!(self.before(end, 1), "hat" | "hatte" | "leidet" | "heeft" | "had")
                    .then_some(end);
            }
            _ => false,
        };
        // "Her mother, who has COPD, says he has fever".
        let is_over = |at: &usize| self.word(*at) == "," && reports(self.word(at + 1));
        has.then(|| (at..self.words.len()).find(is_over).unwrap_or(usize::MAX))
    }

    /// One past the colon behind somebody's age, if that stands here: "zoon (8): krentenbaard", "zoon (8) mee: krentenbaard".
    pub(super) fn end_of_age(&self, from: usize) -> usize {
        let number = self.word(from + 1).starts_with(|c: char| c.is_ascii_digit());
        let aged = self.word(from) == "(" && number && self.word(from + 2) == ")";
        let colon = from + 3 + usize::from(self.word(from + 3) == "mee");
        if aged && self.word(colon) == ":" {
            colon + 1
        } else {
            from
        }
    }

    /// Whether an item begins with somebody and what he or she has, right behind or behind "with" or "has": "Mari démence", "Zoon met griep".
    pub(super) fn is_person_with(&self, hit: &Hit, mentions: &[Range<usize>]) -> bool {
        let has = matches!(
            self.word(hit.words.end),
            "a" | "hat" | "tiene" | "ha" | "heeft" | "tem"
        );
        let with = usize::from(has || WITH.contains(&self.word(hit.words.end)));
        // "S: zoon (8): krentenbaard".
        let aged = self.before(hit.words.end, 1) == ":" && self.before(hit.words.start, 1) == ":";
        (aged || matches!(self.before(hit.words.start, 1), "" | "." | ";" | "," | "("))
            && mentions
                .iter()
                .any(|mention| mention.start == hit.words.end + with)
    }

    /// Whether a sentence begins with a relative, how that one is, and what he or she has: "Wife exhausted, has dementia".
    fn is_told_first(&self, hit: &Hit) -> bool {
        let own = usize::from(self.is_of_somebody(hit.words.start));
        let first = matches!(self.before(hit.words.start, 1 + own), "" | "." | ";");
        // "Son père, ancien mineur, a une silicose."
        let from = hit.words.end + usize::from(self.word(hit.words.end) == ",");
        let comma = (from + 1..from + 1 + APPOSITION).find(|at| self.word(*at) == ",");
        first && comma.is_some_and(|comma| HAS.contains(&self.word(comma + 1)))
    }

    /// Whether the word before says whose relative this is, or the one before "maternal".
    pub(super) fn is_of_somebody(&self, at: usize) -> bool {
        let side = matches!(self.before(at, 1), "maternal" | "paternal");
        POSSESSIVES.contains(&self.before(at, 1 + usize::from(side)))
    }

    /// Whether a sign or "in" stands before a relative, so that what stands before that is said of him or her.
    pub(super) fn is_said_of(&self, at: usize) -> bool {
        let side = matches!(self.before(at, 1), "maternal" | "paternal" | "a" | "an");
        matches!(
            self.before(at, 1 + usize::from(side)),
            "in" | ":" | "-" | "\u{2013}" | "("
        )
    }

    /// Whether "relative" is no person: "relative adrenal insufficiency".
    pub(super) fn is_relative_to(&self, hit: &Hit) -> bool {
        let next = self.word(hit.words.end);
        hit.name == "relative"
            && !self.ends(hit.words.end)
            && !matches!(
                next,
                "with"
                    | "has"
                    | "had"
                    | "have"
                    | "who"
                    | "whose"
                    | "died"
                    | "suffers"
                    | "suffered"
                    | "diagnosed"
                    | ":"
                    | "of"
            )
    }

    /// Whether a relative tells of the patient, or is only there.
    pub(super) fn tells(&self, hit: &Hit) -> bool {
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
        self.told_of(hit).is_none() && (next || is_per(before) || (possessive && is_per(before_that)))
    }
}

/// Whether a hit is an adjective that says how likely it is what stands before it, as Romance languages set it.
fn is_adjective_behind(hit: &Hit, mentions: &[Range<usize>]) -> bool {
    let starts = ["possib", "posib", "probab", "possiv", "provav", "suspecte"];
    let is_adverb = hit.name.ends_with("mente") || hit.name.ends_with("ment");
    hit.languages & EN == 0
        && !is_adverb
        && starts.iter().any(|start| hit.name.starts_with(start))
        && is_end(hit.words.start, mentions)
}

/// Whether a word answers a question that a sentence asks: "Cough? Denies."
pub(super) fn replies(word: &str) -> bool {
    word == "never" || (word.len() > 1 && ANSWERS.contains(&word))
}

/// The first mention that begins at a word or behind it.
fn first_from(at: usize, mentions: &[Range<usize>]) -> Option<&Range<usize>> {
    mentions.get(mentions.partition_point(|mention| mention.start < at))
}
