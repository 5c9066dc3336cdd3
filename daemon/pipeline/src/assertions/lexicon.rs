//! The words by which clinicians say that something is absent, uncertain, feared, past, or somebody else's, and where what they say
//! ends. In each language, folded as [`fold`](super::fold) does it; a comma separates entries.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::Kind;
use super::outcomes::OVER;
use crate::languages::{ALL, DE, EN, ES, FR, IT, Languages, NL, PT};
use crate::sections::PRESENT_BEGINS;

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Says something of mentions behind it and before it, each so many words away at most.
    Cue(Kind, Option<usize>, Option<usize>),
    /// Says it of mentions behind it where one is near there, and else of those before it: "CT ruled out PE", "PE on CT ruled out".
    Either(Kind),
    /// The same of drugs alone: "not taking lisinopril" is no word about gout in "not taking anything for gout".
    Drug(Kind, Option<usize>, Option<usize>),
    /// Says of what stands right behind it that something is to be done where it comes: "bei Fieber Arzt rufen".
    Case,
    /// Is somebody of whom a clause behind it may tell what he or she has: "her son, who has the flu".
    Person,
    /// Looks like a cue and is none: "gram negative".
    Nothing,
    /// What was said ends here.
    Stop,
    /// The same, behind a comma or "and": ", mild oedema".
    Anew,
    /// What was said ends here, where a clause of its own begins: "no fever there is cough".
    Clause,
    /// What was said so ends here, where something stands before it that it was said of: "no cough has fever", "denies taking aspirin".
    EndOf(Kind),
}

/// An entry, as the words that it has.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) words: Vec<&'static str>,
    pub(super) roles: Vec<(Languages, Role)>,
    /// As it is written here.
    pub(super) name: &'static str,
}

/// To the end of the sentence.
pub(super) const FAR: Option<usize> = Some(usize::MAX);
pub(super) const NEAR: Option<usize> = Some(4);
pub(super) const NEXT: Option<usize> = Some(2);
/// From a list to what is ordered behind it.
pub(super) const ORDERED: Option<usize> = Some(12);
const NO: Option<usize> = None;

use Kind::{Family, Historical, Hypothetical, Negated, Uncertain};
use Role::{Anew, Case, Clause, Cue, Drug, Either, EndOf, Nothing, Person, Stop};

/// Who tells what a patient has, where a relative is named: "mother reports".
const REPORTS: &[&str] = &[
    "reports, reported, states, stated, says, said, denies, denied, notes, noted, noticed, describes, described, brought, brings, concerned,
     worried, called, calls, thinks, believes, feels, mentions, mentioned, confirms, confirmed, gives, gave, aware, present, bedside,
     concerns, historian, observed, saw, found, witnessed, declines, agrees, wants, requests, updated, informed, understands, deny, report, state, say, endorse, describe, think, believe, feel, mention, give, bring, call, confirm, observe, see",
    "berichtet, berichten, gibt, sagt, bemerkte, bemerkt, verneint, beschreibt, schildert, informiert, anwesend, melden, beschreiben, schildern",
    "rapporte, dit, decrit, signale, inquiet, inquiete, nie, remarque, constate, informee, informe, presente, signalent, rapportent, disent, decrivent",
    "refiere, dice, niega, comenta, cuenta, relata, informa, nota, describe, refieren, dicen, comentan, cuentan",
    "riferisce, dice, nega, racconta, descrive, segnala, nota, riferiscono, dicono, descrivono",
    "meldt, vertelt, zegt, ontkent, beschrijft, merkte, merkt, melden, vertellen, zeggen",
    "refere, diz, nega, relata, conta, informa, descreve, referem, dizem, relatam",
];

/// What stands before a relative who only tells, or is only there: "per mother".
const PER: &[&str] = &[
    "per, bib, by, with, from, via, to, laut, nach, mit, durch, von, selon, avec, par, segun, con, por, secondo, da, dal, dalla, dai, dalle, dallo, pela, pelo, pelas, pelos, volgens, met, door, segundo, com",
];

/// What the family is called.
const FAMILY: [&str; 10] = [
    "family",
    "familial",
    "fh",
    "famille",
    "familie",
    "familia",
    "famiglia",
    "familiari",
    "familiares",
    "parenti",
];

/// What joins the last thing of a list to those before it.
pub(super) const OR: &[(Languages, &[&str])] = &[
    (EN, &["or", "nor"]),
    (DE, &["oder", "noch"]),
    (FR, &["ou", "ni"]),
    (ES, &["o", "ni"]),
    (IT, &["o"]),
    (NL, &["of", "noch"]),
    (PT, &["ou", "nem"]),
];
pub(super) const AND: &[(Languages, &[&str])] = &[
    (EN, &["and"]),
    (DE, &["und"]),
    (FR, &["et"]),
    (ES, &["y", "e"]),
    (IT, &["e"]),
    (NL, &["en"]),
    (PT, &["e"]),
];

/// The languages in which a word is one of `list`.
pub(super) fn joining(list: &[(Languages, &[&str])], word: &str) -> Languages {
    let own = list.iter().filter(|(_, words)| words.contains(&word));
    own.fold(0, |all, (language, _)| all | language)
}

/// "Il y a 3 ans" in figures: long ago, where "il y a 3 jours" is not, and "il y a une fracture" tells of no time.
macro_rules! ago {
    ($($number:literal)*) => {
        concat!($("il y a ", $number, " ans, il y a environ ", $number, " ans, il y a ", $number, " mois, "),*)
    };
}
#[rustfmt::skip]
const AGO: &str = ago!(2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50);

/// How clauses begin in dictation, which has no full stops.
pub(super) const CLAUSES: &str = "he has, she has, they have, he had, she had, he is, she is, they are, he does, she does, patient has, patient is,
    patient does, pt has, pt is, there is, there are, there was, there were, on exam, on examination, next paragraph, new paragraph,
    review of systems, physical exam, physical examination, assessment, medications include, medications are, current medications, meds include,
    number one, number two, number three, number four, number five, number six, number seven, number eight";

/// Some entries are read by name as well, in `direction.rs`: what begins with "which" may stand behind a comma, and of "denies", "free", "no", "se" and others what stands beside them decides (`may_look_ahead`, `may_look_back`).
#[rustfmt::skip]
const ENTRIES: &[(Languages, Role, &str)] = &[
    // Absent.
    (EN, Cue(Negated, FAR, NO), "no, denied, denied any, denying, without, w/o, no evidence of, no evidence for, no sign of, no signs of,
        negative for, neg for, free of, free from, absence of, no history of, no h/o, no hx of, no known history of, no prior history of,
        no previous history of, no past history of, never had, never, does not have, do not have, did not have, doesn't have, not have,
        didn't have, not had, has not had, have not had, not had any, not having, not reporting, not report, not experiencing, not experienced, not experience, not notice, not noticed, not endorse, not endorsing, not bothered by, not detect, unable to detect, not able to detect, not been able to detect, unaware of, unaware of any, not aware of any, not see any, not see, fails to reveal, failed to reveal, fails to demonstrate, failed to demonstrate, fails to show, failed to show, fails to identify, failed to identify, no e/o, pertinent negatives, pertinent negatives include, negatives include, no reports of, no report of, no reported, not significant for, not remarkable for, nothing to suggest, nothing to indicate, nothing suggestive of, nothing to support,
        not found to have, never found to have, not felt to have, not thought to have, not believed to have, not noted to have, did not show, does not show, did not reveal, does not reveal, not demonstrate, nil, lack of, lacks,
        lacked, unremarkable for, not consistent with, not suggestive of, without evidence of, without any, neither, no complaints of, no c/o, no complaint of,
        rules out, excludes, not complain of, not complaining of, no further, no other, no new, no more,
        no family history of, no fhx of, no fh of, non contributory for, not any, no longer has, no longer have, rather than, no personal history of,
        no personal h/o, no personal hx of, no significant history of, no hx, doubt, doubtful for, doesnt have, dont have, didnt have, clear of, inconsistent with, not known to have,
        ruled him out for, ruled her out for, ruled the patient out for, ruled patient out for"),
    (EN, Cue(Negated, FAR, NEXT), "denies, deny"),
    (EN, Cue(Uncertain, NEAR, NO), "less likely due to, less likely, less likely to be"),
    (EN, Cue(Uncertain, NO, NEAR), "less likely"),
    (EN, Cue(Negated, NO, NEXT), "neg hx, negative hx"),
    (EN, Cue(Negated, FAR, NO), "negative history of, negative history for, negatives"),
    (EN, Cue(Hypothetical, NO, NEXT), "immune"),
    (EN, Cue(Hypothetical, FAR, NO), "risks discussed, side effects discussed, possible complications, alternatives discussed including, alternatives including, safety-netted re, safety-netted for"),
    (EN, Nothing, "never smoker, never smokers, never-smoker, never married, never drinker, former smoker, past smoker, remote smoker, previous smoker, prior smoker, former drinker, previous drinker, past drinker, remote ivdu, former ivdu, prior ivdu, former iv drug, ex smoker"),
    (EN, Cue(Negated, FAR, NO), "w/out, not meet criteria for, not meeting criteria for, not meet diagnostic criteria for, not a known case of, n/k/c/o, evidence against, argues against, argue against, arguing against, no red flags for, no red flags of"),
    (EN, Cue(Negated, NO, NEAR), "not reported, not documented, doubtful, is doubtful, nonreactive, non-reactive, non reactive, not been reported, not been documented"),
    (EN, Cue(Negated, NO, NEXT), "0/10, never"),
    (EN, Cue(Negated, FAR, NO), "no past medical history of, no significant past medical history of, no pmh of, no pmhx of, no significant pmh of, no sig pmh of"),
    (EN, Cue(Negated, FAR, NO), "never diagnosed with, not diagnosed with, not been diagnosed with"),
    (EN, Either(Negated), "ruled out for, was ruled out for, were ruled out for, is ruled out for, has been ruled out for, been ruled out for, ct ruled out, mri ruled out,
        ultrasound ruled out, us ruled out, echo ruled out, imaging ruled out, scan ruled out, scans ruled out, workup ruled out, work up ruled out, tests ruled out, has ruled out, have ruled out"),
    (EN, Cue(Negated, NEXT, NO), "absent, no prior, no previous"),
    (EN, Cue(Negated, FAR, NO), "neg, negative"),
    (EN, Cue(Negated, NO, NEAR), "no longer identified, no longer visible, no longer seen, no longer evident, no longer visualized, no longer visualised, no longer noted, no longer appreciated, no longer demonstrated, no longer detected, no longer palpable"),
    (EN, Cue(Negated, NEAR, NO), "not, isn't, wasn't, aren't, weren't, hasn't, haven't, hadn't, cannot see, can't see, isnt, wasnt, arent, werent, hasnt, havent, hadnt, doesnt, didnt"),
    (EN, Either(Negated), "ruled out, excluded"),
    (EN, Cue(Negated, NO, NEAR), "was ruled out, were ruled out, is ruled out, has been ruled out, was excluded, been excluded, were excluded, negative, neg, absent,
        is absent, not present, not seen, not identified, not detected, not found, not noted, not demonstrated, not evident, not visualized, not visualised, not appreciated,
        not observed, not palpable, not palp, not visible, denied, is denied, none, nil, no, none seen, none noted, not felt, no longer present, is no longer present, are no longer present,
        not seem to be present, not appear to be present, which was ruled out, which were ruled out, which has been ruled out, which was excluded,
        not to be present, not be present, not felt to be present, not thought to be present, not suspected, is not suspected, was not suspected, not confirmed, never observed, never diagnosed, not been noted, not been seen, not been found, not been detected, not been identified, not been confirmed,
        not be demonstrated, not be confirmed, not be identified, not be found, not believed to be present"),
    (EN, Cue(Negated, NO, NEXT), "free, -ve"),
    (DE, Cue(Negated, FAR, NO), "kein, keine, keinen, keinem, keiner, keines, keinerlei, ohne, kein hinweis auf, keine hinweise auf, kein anhalt fur, ohne hinweis auf,
        ohne anhalt fur, kein nachweis, kein nachweis von, ohne nachweis, ausschluss von, ausschluss einer, ausschluss eines, verneint, negiert, weder, frei von,
        unauffallig fur, nie, niemals"),
    (DE, Cue(Negated, NEAR, NO), "nicht"),
    (DE, Cue(Negated, NEXT, NO), "ausschluss"),
    (DE, Cue(Negated, NEAR, NO), "leidet nicht unter, leidet nicht an, litt nicht unter, litt nicht an, nicht unter"),
    (DE, Cue(Negated, NO, NEAR), "nicht tastbar, ausgeschlossen, verneint, negiert, wird verneint, werden verneint, negativ, neg, nicht nachweisbar, nicht vorhanden, nicht erkennbar,
        nicht nachgewiesen, nicht gesehen, nein, kein, keine, keines, keiner, bestand nicht, besteht nicht, bestehen nicht, nicht mehr, fand sich nicht, fanden sich nicht, liegt nicht vor, liegen nicht vor, lag nicht vor, lagen nicht vor, nicht nachweisen, nicht beobachtet, nicht festgestellt, nicht bestatigt,
        nicht aufgetreten, trat nicht auf, traten nicht auf, ausgeschl, nicht gefunden, ergab sich nicht, ergaben sich nicht, zeigte sich nicht, zeigten sich nicht, ist nicht bekannt, sind nicht bekannt, habe er nicht gehabt, habe sie nicht gehabt,
        nicht gehabt, bestatigte sich nicht, bestatigten sich nicht, sich nicht bestatigte, sich nicht bestatigten, liess sich nicht bestatigen, liessen sich nicht bestatigen"),
    (FR, Cue(Negated, FAR, NO), "pas de, pas d, absence de, absence d, sans, aucun, aucune, nie, ne presente pas, n'a pas, n'a jamais eu, jamais de, ni, negatif pour, negative pour,
        exclut, elimine, indemne de, excluent, eliminent, ecartent, infirment, a ecarte, avait ecarte, ont ecarte, a exclu, avait exclu, ont exclu, ayant exclu, permet d'exclure, permettant d'exclure, permet d'eliminer, permettant d'eliminer, permet d'ecarter, aucuns, aucunes, niant, plus de signe de, pas d'argument pour, pas d'argument en faveur, sans argument pour, sans signe de, pas,
        n'a plus de, n'a plus d, n'ont plus de, n'ont plus d, n'y a plus de, n'y a plus d, ne presente plus de, ne presente plus d, elimination d'un, elimination d'une, elimination de"),
    (FR, Cue(Negated, NEAR, NO), "non"),
    (FR, Cue(Negated, NO, NEAR), "exclu, exclue, exclus, eliminee, elimine, absent, absente, absents, negatif, negative, negatifs, ecarte, ecartee, non retrouve, non retrouvee,
        infirme, infirmee, n'est pas retrouve, n'est pas retrouvee, non, exclues, elimines, eliminees, ecartes, ecartees, infirmes, infirmees, non visible, non visualise, non visualisee, n'est pas visible, n'est plus visible, non vu, non vue, aucun, aucune, neant"),
    (ES, Cue(Negated, FAR, NO), "no, sin, niega, niegan, negativo para, negativa para, ausencia de, ningun, ninguna, ninguno, descarta, se descarta, se descarto, tampoco, ni, nunca, libre de, no hay,
        no presenta, sin evidencia de, sin signos de, no datos de, no se observa, no se observan"),
    (ES, Cue(Negated, NO, NEAR), "descartado, descartada, descartados, descartadas, negativo, negativa, negativos, negativas, ausente, ausentes, negado, negada, no presente, no presentes, excluido, excluida, no"),
    // Participles right before what they are said of, or with its article; behind it they stay where a preposition follows.
    (ES, Cue(Negated, Some(1), NO), "descartado, descartada, descartados, descartadas, excluido, excluida, ausentes"),
    (ES, Cue(Negated, NEAR, NO), "descartado un, descartado el, descartada una, descartada la, excluido un, excluido el, excluida una, excluida la"),
    (ES, Cue(Negated, NO, NEAR), "descartado por, descartado con, descartado mediante, descartado en, descartado tras, descartada por, descartada con, descartada mediante, descartada en, descartada tras, excluido por, excluido con, excluida por, excluida con, ausentes en"),
    (IT, Cue(Negated, FAR, NO), "non, no, senza, nega, negano, negativo per, negativa per, assenza di, nessun, nessuna, nessuno, esclude, si esclude, mai, ne, non evidenza di, non segni di, libero da"),
    (IT, Cue(Negated, NO, NEAR), "escluso, esclusa, esclusi, escluse, negativo, negativa, negativi, negative, assente, assenti, negato, negata, no"),
    (IT, Cue(Negated, Some(1), NO), "escluso, esclusa, esclusi, escluse, assente, assenti"),
    (IT, Cue(Negated, NEAR, NO), "escluso un, escluso il, escluso l, esclusa una, esclusa un, esclusa la, esclusa l"),
    (IT, Cue(Negated, NO, NEAR), "escluso con, escluso da, escluso dal, escluso dalla, escluso al, escluso alla, escluso in, esclusa con, esclusa da, esclusa dal, esclusa dalla, esclusa al, esclusa alla, esclusa in, esclusi con, escluse con,
        assente a, assente al, assente alla, assente in, assenti a, assenti al, assenti alla, assenti alle, assenti ai, assenti agli, assenti in, assenti nei, assenti nelle"),
    (NL, Cue(Negated, FAR, NO), "geen, zonder, ontkent, nooit, negatief voor, afwezigheid van, vrij van, noch, geen aanwijzingen voor, geen tekenen van, sluit uit, evenmin, gebrek aan, sluiten uit, geen bewijs voor, nihil"),
    (NL, Cue(Negated, NEAR, NO), "niet"),
    (NL, Cue(Negated, NO, NEAR), "uitgesloten, negatief, neg, afwezig, ontkend, niet aanwezig, niet gezien, niet aangetoond, nee, geen, niet langer aanwezig, niet meer aanwezig, niet aan te tonen, nihil, niet zichtbaar, niet gevonden, niet opgetreden, niet vastgesteld, niet waargenomen"),
    (PT, Cue(Negated, FAR, NO), "nao, sem, nega, negam, ausencia de, negativo para, negativa para, nenhum, nenhuma, descarta, descarta se, nunca, livre de, nem, sem evidencia de, sem sinais de, nao ha, nao apresenta, excluiu-se, excluiram-se, exclui-se, descartou-se, descarta-se"),
    (PT, Cue(Negated, Some(1), NO), "excluida, excluido, descartado, descartada, ausente, ausentes"),
    (PT, Cue(Negated, NEAR, NO), "excluida uma, excluida a, excluido um, excluido o, descartada uma, descartada a, descartado um, descartado o"),
    (PT, Cue(Negated, NO, NEAR), "excluida por, excluida com, excluida em, excluida apos, excluido por, excluido com, excluido em, excluido apos, descartado por, descartado com, descartada por, descartada com, ausente em, ausente no, ausente na, ausente nos, ausente nas,
        ausentes em, ausentes no, ausentes na, ausentes nos, ausentes nas"),
    (PT, Cue(Negated, NO, NEAR), "descartado, descartada, excluido, excluida, negativo, negativa, negativos, negativas, ausente, ausentes, negado, negada, nao"),

    (ALL, Cue(Negated, NO, NEAR), "n"),
    (ALL, Cue(Negated, NO, NEXT), "0"),
    (EN, Cue(Negated, FAR, NEAR), "nil known, none known"),
    (EN, Cue(Negated, NO, NEAR), "screen negative, screens negative"),
    (EN, Cue(Negated, FAR, NO), "screen negative for, screens negative for, screened negative for"),
    (DE, Cue(Negated, NO, NEXT), "nicht"),
    (NL, Cue(Negated, NO, NEXT), "niet"),
    (DE, Cue(Negated, NEXT, NO), "o."),
    (PT | ES | IT, Cue(Negated, FAR, NO), "s/"),
    (IT, Cue(Negated, FAR, NO), "neg per, neg. per, neg x, neg. x, negativo x, negativa x, negativi per, negative per, negativi x, negative x"),
    (ES | PT, Cue(Negated, FAR, NO), "neg para, neg. para, negativo p/, negativa p/, neg p/"),
    (ALL, Nothing, "rh (-)"),
    (EN, Cue(Negated, FAR, NEXT), "ø"),
    // Elsewhere it is rather a diameter.
    (DE | FR | ES | IT | NL | PT, Cue(Negated, NEXT, NEXT), "ø"),
    (ALL, Cue(Negated, Some(1), NEXT), "∅"),
    (ALL, Nothing, "ø ca, ø max, ø von, ø bis, ø :, ø de, ø di, ø van, ∅ :"),

    (EN, Cue(Negated, NO, NEAR), "nil residual, nil significant, nil audible, nil today, nil currently, nil at present, nil reported, nil evident, nil palpable, nil seen, nil found, nil noted, nil obvious"),
    (DE, Cue(Negated, NO, NEAR), "glaubhaft verneint, glaubwurdig verneint, ebenfalls verneint, ausdrucklich verneint, explizit verneint, auch verneint, aktuell verneint, derzeit verneint"),
    (NL, Cue(Negated, NO, NEAR), "niet aantoonbaar, niet aangetroffen, niet waarneembaar, nooit gehad"),
    (IT, Cue(Negated, NO, NEXT), "nessuna, nessuno"),
    (FR | ES | IT | PT, Cue(Negated, NO, NEXT), "neg"),
    (IT, Cue(Negated, NO, NEAR), "mai avuto, mai avuta, mai avuti, mai avute"),
    (PT, Cue(Negated, NO, NEAR), "nunca teve, nunca apresentou"),
    (ES, Cue(Negated, NO, NEAR), "nunca tuvo, nunca ha tenido, nunca presento"),
    (NL, Drug(Negated, NO, NEXT), "niet"),

    // Before what is denied, or behind it at an end: "Meningitis: kein Anhalt", "fratura não se observa".
    (EN, Cue(Negated, FAR, NEAR), "no evidence, no sign, no signs, no suspicion"),
    (DE, Cue(Negated, FAR, NEAR), "kein anhalt, ohne anhalt, kein hinweis, keine hinweise, ohne hinweis, keine zeichen"),
    (FR, Cue(Negated, FAR, NEAR), "pas d'argument, pas de signe, pas de signes, aucun signe, aucun argument, sans argument"),
    (ES, Cue(Negated, FAR, NEAR), "sin evidencia, sin signos, sin datos, sin indicios, no se observa, no se observan, no se identifica, no se identifican, no se visualiza, no se visualizan, no se aprecia, no se aprecian, no se evidencia, no se evidencian, no se palpa, no se palpan, no se ve, no se ven"),
    (IT, Cue(Negated, FAR, NEAR), "nessun segno, nessuna evidenza, senza segni, non si osserva, non si osservano, non si evidenzia, non si evidenziano, non si apprezza, non si apprezzano, non si rileva, non si rilevano, non si vede, non si vedono, non si palpa, non si palpano"),
    (NL, Cue(Negated, FAR, NEAR), "geen aanwijzing, geen aanwijzingen, geen tekenen, zonder aanwijzingen"),
    (PT, Cue(Negated, FAR, NEAR), "sem evidencia, sem sinais, nao se observa, nao se observam, nao se identifica, nao se identificam, nao se visualiza, nao se visualizam, nao se evidencia, nao se evidenciam, nao se palpa, nao se palpam, nao se ve, nao se veem"),
    (DE, Cue(Negated, NO, NEAR), "nicht zu sehen, nicht sichtbar, nicht zu erkennen, nicht abgrenzbar, nicht zu tasten"),
    (NL, Cue(Negated, NO, NEAR), "niet te zien, niet te voelen"),
    // Criteria that are not met.
    (DE, Cue(Negated, FAR, NEXT), "keine kriterien, ohne kriterien"),
    (FR, Cue(Negated, FAR, NEXT), "pas de critere, pas de criteres, sans critere, sans criteres"),
    (ES, Cue(Negated, FAR, NEXT), "sin criterios, no criterios"),
    (IT, Cue(Negated, FAR, NEXT), "senza criteri, non criteri"),
    (NL, Cue(Negated, FAR, NEXT), "geen criteria, zonder criteria"),
    (PT, Cue(Negated, FAR, NEXT), "sem criterios"),
    // Answers that say "never".
    (FR, Cue(Negated, NO, NEXT), "jamais"),
    (ES | PT, Cue(Negated, NO, NEXT), "nunca"),
    (IT, Cue(Negated, NO, NEXT), "mai"),
    (NL, Cue(Negated, NO, NEXT), "nooit"),
    (DE, Cue(Negated, NO, NEXT), "nie"),
    // Nobody has looked.
    (EN, Nothing, "never tested, never been tested, not tested, not been tested, never screened, never investigated"),

    // Behind what is denied, in sentences of the past and of radiologists.
    (DE, Cue(Negated, NO, NEAR), "wurde verneint, wurden verneint, ist verneint, sind verneint, wurde glaubhaft verneint, wurden glaubhaft verneint, werden glaubhaft verneint, wird glaubhaft verneint, hat er nicht, hat sie nicht, habe er nicht, habe sie nicht, wird nicht angegeben, werden nicht angegeben, verneint er, verneint sie, verneint die patientin, verneint der patient, habe er nie gehabt, habe sie nie gehabt"),
    (NL, Cue(Negated, NO, NEAR), "heeft hij niet, heeft zij niet, heeft ze niet, had hij niet, had zij niet, ontkent hij, ontkent zij, ontkent ze, ontkent patient, ontkent patiente"),
    (PT, Cue(Negated, NO, NEAR), "nao identificado, nao identificada, nao visualizado, nao visualizada, nao evidenciado, nao evidenciada, nao observado, nao observada, afastado, afastada"),
    (ES, Cue(Negated, NO, NEAR), "no identificado, no identificada, no evidenciado, no evidenciada, no visualizado, no visualizada, no demostrado, no demostrada"),
    (IT, Cue(Negated, NO, NEAR), "non rilevato, non rilevata, non evidente, non documentato, non documentata, non visibile"),
    (FR, Cue(Negated, NO, NEAR), "non identifie, non identifiee, non mise en evidence, non mis en evidence, niees, nie par le patient, nie par la patiente"),
    (FR, Cue(Negated, FAR, NO), "ne montre plus de, ne montre plus d, ne retrouve plus de, ne retrouve plus d, ne note plus de, ne note plus d, ne visualise plus de, ne visualise plus d, ne se plaint plus de, ne se plaint plus d, n'objective plus de, n'objective plus d"),
    (ES, Cue(Uncertain, FAR, NO), "no puede descartarse, no puede excluirse, no se puede excluir"),
    (ES, Cue(Negated, NEXT, NO), "se excluye, se excluyo, excluidos, excluidas"),
    (DE, Cue(Historical, FAR, NO), "st. p., st.p., stp, stp., zust. n., zust.n., zustand n."),
    (DE, Drug(Historical, NEAR, NEAR), "gestoppt"),
    (PT, Drug(Historical, NEAR, NO), "suspendi, suspendo"),
    (PT, Drug(Historical, NO, NEAR), "descontinuado, descontinuada"),
    (IT, Nothing, "non e stata sospesa, non e stato sospeso"),
    (FR, Stop, "a part, autre que, autre plainte que, autres plaintes que"),
    (IT, Stop, "oltre a, oltre al, oltre alla"),
    (PT, Stop, "alem de, alem da, alem do"),
    (ES, Stop, "otra patologia que, otros sintomas que, otra clinica que"),
    (DE, Stop, "beschwerden als"),
    (NL, Stop, "klachten dan"),

    // Denied in the past tense, or in a report of what was told.
    (EN, Cue(Negated, FAR, NO), "not support, not supporting, not supportive of, not in favour of, not in favor of"),
    (EN, Cue(Negated, NO, Some(1)), "not met"),
    (EN, Cue(Negated, NO, NEXT), "criteria not met, criteria for not met"),
    (EN, Nothing, "of no use, of no help, of no benefit, of no avail, to no avail, no use for, no help from, no help with, no benefit from"),
    (EN, Cue(Negated, NO, NEAR), "subsequently ruled out, subsequently excluded, later ruled out, later excluded, eventually ruled out, eventually excluded"),
    (DE, Cue(Negated, FAR, NO), "verneinte, verneinten, verneinen, negierte, negierten, distanziert sich von, distanzierte sich von, distanziert sich klar von, distanziert sich glaubhaft von, spricht gegen, sprechen gegen"),
    (DE, Cue(Negated, NO, NEAR), "verneinte er, verneinte sie, verneinte der patient, verneinte die patientin, verneinten die eltern"),
    (DE, Cue(Negated, NO, NEAR), "nie erlebt, noch nie erlebt, habe er nie erlebt, habe sie nie erlebt, hat er nie erlebt, hat sie nie erlebt, nie gehabt, noch nie gehabt, habe er noch nie gehabt, habe sie noch nie gehabt, nie aufgetreten, nie bestanden"),
    (DE, Cue(Negated, NO, NEAR), "klar distanziert, glaubhaft distanziert, eindeutig distanziert, klar und glaubhaft distanziert, glaubhaft und klar distanziert, sicher distanziert, distanziert er sich, distanziert sie sich, distanzierte er sich, distanzierte sie sich"),
    (DE, Cue(Negated, NO, NEAR), "letztlich ausgeschlossen, schliesslich ausgeschlossen"),
    (DE, Nothing, "ohne besserung, ohne erfolg, ohne wirkung, ohne effekt, ohne nutzen"),
    (FR, Cue(Negated, FAR, NO), "niait, niaient, a nie, ont nie, n'est pas en faveur de, n'est pas en faveur d, pas en faveur de, pas en faveur d"),
    (FR, Cue(Negated, NO, NEAR), "non retenu, non retenue, non retenus, non retenues, pas retenu, pas retenue, finalement non retenu, finalement non retenue, finalement exclu, finalement exclue, finalement ecarte, finalement ecartee,
        finalement elimine, finalement eliminee, finalement infirme, finalement infirmee"),
    (FR, Nothing, "sans effet, sans succes, sans efficacite, sans amelioration"),
    (ES, Cue(Negated, FAR, NO), "negaba, negaban, nego, negaron, habia negado, ha negado"),
    (ES, Cue(Negated, NO, NEAR), "negados, negadas, finalmente descartado, finalmente descartada, no objetivado, no objetivada"),
    (ES, Nothing, "sin exito, sin efecto, sin mejoria"),
    (IT, Cue(Negated, FAR, NO), "negava, negavano, ha negato, aveva negato, non depone per, non depongono per"),
    (IT, Cue(Negated, NO, NEAR), "ritenuto escluso, ritenuta esclusa, ritenuti esclusi, ritenute escluse, negati, negate, poi escluso, poi esclusa, poi esclusi, poi escluse, infine escluso, infine esclusa"),
    (IT, Nothing, "senza beneficio, senza successo, senza effetto"),
    (NL, Cue(Negated, FAR, NO), "ontkende, ontkenden, ontkennen, pleit tegen, pleiten tegen, pleit niet voor, pleiten niet voor"),
    (NL, Cue(Negated, NO, NEAR), "ontkende hij, ontkende zij, ontkende ze, nooit meegemaakt, heeft hij nooit gehad, heeft zij nooit gehad, heeft ze nooit gehad, nooit gehad, uiteindelijk uitgesloten"),
    (NL, Nothing, "zonder effect, zonder resultaat, zonder succes"),
    (PT, Cue(Negated, FAR, NO), "negava, negavam, negou, negaram, tinha negado"),
    (PT, Cue(Negated, NO, NEAR), "negados, negadas, descartados, descartadas, excluidos, excluidas, afinal excluido, afinal excluida"),
    (PT, Cue(Negated, Some(1), NO), "descartados, descartadas, excluidos, excluidas"),
    (PT, Nothing, "sem efeito, sem sucesso, sem melhoria, sem melhora"),
    // What is waited for and is not there.
    (EN, Cue(Hypothetical, FAR, NO), "as long as no, so long as no"),
    (DE, Cue(Hypothetical, FAR, NO), "solange kein, solange keine"),
    (FR, Cue(Hypothetical, FAR, NO), "tant que pas de, tant que pas d, tant qu'il n'y a pas de, tant qu'il n'y a pas d"),
    (ES, Cue(Hypothetical, FAR, NO), "mientras no haya, mientras no tenga, mientras no presente"),
    (IT, Cue(Hypothetical, FAR, NO), "finche non compare, finche non ha, finche non c'e"),
    (NL, Cue(Hypothetical, FAR, NO), "zolang geen, zolang er geen"),
    (PT, Cue(Hypothetical, FAR, NO), "enquanto nao houver, enquanto nao tiver"),

    // Of drugs: not taken, or no more.
    (EN, Drug(Negated, FAR, NO), "not taking, not take, not on, not currently on, not currently taking, no longer on, no longer taking, no longer takes, no longer take, never took, never taken, never takes, not using, not use, not been taking, not been on"),
    (EN, Drug(Negated, NEXT, NO), "off, weaned off, off of"),
    (EN, Drug(Historical, FAR, NO), "stopped taking, has stopped, have stopped, self discontinued, self-discontinued, we stopped, we discontinued"),
    (EN, Drug(Historical, FAR, NEAR), "discontinued, stopped, held, ceased, withheld, paused, d/c'd, dc'd, d/ced, dced"),
    (EN, Drug(Historical, NO, NEAR), "was discontinued, were discontinued, has been discontinued, have been discontinued, been discontinued, had been discontinued, is discontinued, was stopped, were stopped, has been stopped, have been stopped, been stopped, had been stopped, is stopped, was d/c'd, were d/c'd, was dc'd"),
    (EN, Drug(Historical, NO, NEAR), "on hold, put on hold"),
    (EN, Drug(Historical, NO, NEAR), "tried without benefit, tried without success, tried without relief, tried without effect, tried but no help, tried with no benefit, tried with no relief, tried and failed"),
    (ALL, Drug(Historical, FAR, NO), "stop:"),
    (NL, Drug(Historical, NO, NEAR), "nadien gestopt, later gestopt"),
    (EN, Drug(Historical, Some(1), NO), "d/c, dc"),
    (EN, Drug(Negated, NO, NEAR), "not given, not administered, omitted, was omitted"),
    (EN, Drug(Historical, NEAR, NO), "switched from, changed from, transitioned from, converted from"),
    (DE, Drug(Historical, NEAR, NO), "umstellung von, umgestellt von, wechsel von"),
    (FR, Drug(Historical, NEAR, NO), "relais de, passage de, remplacement de"),
    (ES, Drug(Historical, NEAR, NO), "cambio de, cambiado de, sustitucion de"),
    (IT, Drug(Historical, NEAR, NO), "passaggio da, sostituzione di"),
    (NL, Drug(Historical, NEAR, NO), "omgezet van, overgezet van, omzetting van"),
    (PT, Drug(Historical, NEAR, NO), "troca de, trocado de, substituicao de"),
    (EN, Drug(Historical, NO, NEAR), "changed to, switched to, transitioned to, converted to, replaced by, replaced with, substituted with, substituted by, switch to"),
    (DE, Drug(Historical, NO, NEAR), "umgestellt auf, gewechselt auf, ersetzt durch"),
    (NL, Drug(Historical, NO, NEAR), "omgezet naar, vervangen door"),
    (FR, Drug(Historical, NO, NEAR), "remplace par, remplacee par, relaye par"),
    (ES, Drug(Historical, NO, NEAR), "cambiado a, cambiada a, cambiado por, cambiada por, sustituido por, sustituida por"),
    (IT, Drug(Historical, NO, NEAR), "sostituito con, sostituita con, sostituito da, sostituita da"),
    (PT, Drug(Historical, NO, NEAR), "trocado por, trocada por, substituido por, substituida por"),
    (EN, Nothing, "not stopped, not ceased, not withheld, not paused, not omitted, be withheld, be paused, be ceased, if withheld, not discontinued, not held, be held, if held, never stopped, never discontinued, not been stopped, not been discontinued, be stopped, be discontinued, if stopped, until stopped, can be stopped, not be stopped, not be discontinued, weaning off, wean off, taper off, tapering off, coming off, come off, hold off, holding off, not off, never off, on and off"),
    (DE, Drug(Historical, NO, NEAR), "abgesetzt, wurde abgesetzt, wurden abgesetzt"),
    (DE, Drug(Historical, NO, NEAR), "pausiert"),
    (DE, Drug(Historical, NEAR, NO), "absetzen von"),
    (DE, Nothing, "nicht pausiert, nicht abgesetzt, nicht absetzen"),
    (FR, Drug(Historical, NO, NEAR), "arrete, arretee, arretes, arretees, stoppe, stoppee, suspendu, suspendue, interrompu, interrompue"),
    (FR, Drug(Historical, NEAR, NO), "arret du, arret de, arret d, a arrete le, a arrete la, a arrete l, suspension du, suspension de"),
    (FR, Nothing, "non arrete, pas arrete, pas ete arrete, pas d'arret, n'a pas arrete, pas suspendu, non suspendu, pas interrompu, non interrompu"),
    (ES, Drug(Historical, NEAR, NEAR), "suspendido, suspendida, suspendidos, se suspendio, se suspende, retirado, retirada, se retira, se retiro"),
    (ES, Drug(Historical, NEAR, NO), "suspendemos, ha dejado de tomar, dejado de tomar, dejo de tomar"),
    (ES, Nothing, "no se suspende, no se suspendio, no suspendido, no se retira, no retirado, no ha dejado de tomar, no dejo de tomar"),
    (IT, Drug(Historical, NEAR, NEAR), "sospeso, sospesa, sospesi, si sospende"),
    (IT, Drug(Historical, NEAR, NO), "sospensione di, sospensione della, sospensione del, interrotta terapia con, sospesa terapia con"),
    (IT, Drug(Historical, NO, NEAR), "interrotto, interrotta"),
    (IT, Nothing, "non sospeso, non sospesa, non si sospende"),
    (NL, Drug(Historical, NO, NEAR), "gestopt, gestaakt"),
    (NL, Drug(Historical, NEAR, NO), "gestopt met"),
    (PT, Drug(Historical, NEAR, NEAR), "suspenso, suspensa, suspendeu, suspendeu-se, suspende-se, suspende se"),
    (PT, Drug(Historical, NEAR, NO), "suspensao de, suspensao do, suspensao da, deixou de tomar"),
    (PT, Drug(Historical, NO, NEAR), "interrompido, interrompida"),
    (PT, Nothing, "nao suspenso, nao suspensa, nao suspendeu, nao deixou de tomar"),

    // Uncertain.
    (EN, Cue(Uncertain, FAR, NO), "believed to be, believed to have, seems to have, thought to have, working dx, provisional diagnosis, provisional dx, cannot differentiate, treat empirically for, treated empirically for, treating empirically for, empiric treatment for, suspicion of, suspicion for, suspicious for, suspicious of, c/f, i think, think this is, concern for, concerning for, concerns for, concern of, concerned for, question of, query, r/o, rule out, rule-out, ruling out,
        to rule out, evaluate for, evaluation for, eval for, workup for, work up for, may have, may be, might have, might be, could be, could represent, could reflect, may represent, may reflect, might represent, could have,
        cannot exclude, cannot rule out, can't rule out, can't exclude, can not exclude, can not rule out, could not exclude, not ruled out, not exclude, unable to exclude, unable to rule out,
        differential includes, differential diagnosis, differential, ddx, d/dx, suggestive of, suggests, suggesting, equivocal for, indeterminate for, worrisome for, worry for, appears to be, seems to be,
        working diagnosis of, working diagnosis, no clear evidence of, no definite, no definitive, consider, considering, thought to be, felt to be, unclear if, unclear whether, it was thought that, looks like, i suspect that, i suspect this is, i believe this is, i believe that this is, i believe he has, i believe she has, concerns of having, to exclude, until proven otherwise, not sure if, favor, favour, favors, favours, not certain if, not certain whether, not clear if, not clear whether, not known if, not known whether, uncertain if, uncertain whether, unsure if, unsure whether, not sure whether,
        not rule out, does not exclude, did not exclude, doesn't exclude, didn't exclude, rule him out for, rule her out for, rule the patient out for, rule patient out for"),
    (EN, Cue(Uncertain, NEAR, NO), "likely due to, likely secondary to, most likely due to, most likely secondary to, probably due to, possibly due to"),
    (EN, Cue(Uncertain, NEAR, NO), "possibility of, possible, possibly, poss, probable, probably, prob, likely, most likely, suspect, suspected, suspects, susp, questionable, presumed, presumably, presumptive, potential, tentative, provisional, vs, versus, perhaps, maybe, ?"),
    (EN, Cue(Uncertain, NO, NEAR), "suspected, is suspected, was suspected, possible, is possible, likely, is likely, most likely, more likely, probable, not excluded, cannot be excluded, can not be excluded, can't be excluded, could not be excluded, cannot be ruled out,
        can't be ruled out, may be present, may be the case, can not be ruled out, not ruled out, not been ruled out, not be excluded, not yet excluded, not been excluded, not yet been excluded, not yet been ruled out, not yet ruled out, questionable, in question, vs, versus, to be excluded, to be ruled out, is a consideration, in the differential, until proven otherwise, in right clinical setting, in the right clinical setting, in the appropriate clinical setting"),
    (ALL, Cue(Uncertain, NO, NEAR), "?"),
    (DE, Cue(Uncertain, FAR, NO), "verdacht auf, verdacht, v.a., v. a., dringender verdacht auf, hochgradiger verdacht auf, am ehesten, a.e., zum ausschluss, zum sicheren ausschluss, fragestellung: ausschluss, fragestellung ausschluss, frage: ausschluss, indikation: ausschluss, bitte um ausschluss, z. a., z.a., zur abklarung, abklarung von, dd, ddx, dd:, differentialdiagnose, differenzialdiagnose, differentialdiagnostisch,
        differenzialdiagnostisch, moglicherweise, vermutlich, wahrscheinlich, hinweisend auf, vereinbar mit, suspekt auf, nicht auszuschliessen"),
    (DE, Cue(Uncertain, NEAR, NO), "moglich, mogliche, moglicher, mogliches, moglichen, eventuell, eventuelle, evtl, wahrscheinliche, wahrscheinlicher, wahrscheinlichen, vermutete, vermuteter, fraglich, fragliche, fraglicher, fragliches, fraglichen, ?, versus, vs"),
    (DE, Cue(Uncertain, NO, NEAR), "moglich, wahrscheinlich, nicht auszuschliessen, nicht sicher auszuschliessen, nicht ausgeschlossen, nicht sicher ausgeschlossen, nicht ausgeschlossen werden, nicht sicher ausgeschlossen werden, fraglich, vermutet, versus, vs, auszuschliessen, im raum"),
    (FR, Cue(Uncertain, FAR, NO), "suspicion de, suspicion d, evoque, evoquant, evocateur de, evocatrice de, en faveur de, en faveur d, doute sur, a eliminer, eliminer, hypothese de, hypothese d, recherche de, probablement, vraisemblablement, peut etre, ne peut exclure, on ne peut exclure, pas exclure, pas eliminer, ne permet pas d'exclure, ne permet pas d'eliminer, diagnostic differentiel"),
    (FR, Cue(Uncertain, NEAR, NO), "suspicion"),
    (FR, Cue(Uncertain, NEAR, NO), "possible, probable, suspecte, suspectee, eventuel, eventuelle, presume, presumee, vraisemblable, vs, versus, ?"),
    (FR, Cue(Uncertain, NO, NEAR), "possible, probable, suspecte, suspectee, a eliminer, ne peut etre exclu, ne peut etre exclue, non exclu, non exclue, non elimine, non eliminee, vs, versus, a confirmer, a discuter"),
    (ES, Cue(Uncertain, FAR, NO), "sospecha de, sospecha, se sospecha, sugestivo de, sugestiva de, sugestivos de, sugiere, a descartar, descartar, para descartar, no se puede descartar, no se descarta, probablemente, posiblemente, impresiona de, hipotesis de, a estudio de, diagnostico diferencial, vs"),
    (ES, Cue(Uncertain, NEAR, NO), "posible, posibles, probable, probables, presunta, presunto, dudosa, dudoso, versus, ?"),
    (ES, Cue(Uncertain, NO, NEAR), "posible, probable, a descartar, por descartar, no puede excluirse, no puede descartarse, no se puede descartar, no descartado, no descartada, dudosa, dudoso, vs, versus, a estudio, sin descartar"),
    (IT, Cue(Uncertain, FAR, NO), "sospetto di, sospetta di, sospetto, sospetta, in sospetto, nel sospetto di, dubbio, dubbia, suggestivo di, suggestiva di, suggestivo per, suggestiva per, da escludere, escludere, per escludere, probabilmente, verosimilmente, ipotesi di, non si puo escludere, non si esclude, diagnosi differenziale, in prima ipotesi"),
    (IT, Cue(Uncertain, NEAR, NO), "possibile, possibili, probabile, probabili, verosimile, presunta, presunto, vs, versus, ?"),
    (IT, Cue(Uncertain, NO, NEAR), "possibile, probabile, sospetta, sospetto, da escludere, non escludibile, non esclusa, non escluso, dubbia, dubbio, vs, versus"),
    (NL, Cue(Uncertain, FAR, NO), "vermoeden van, vermoeden op, verdenking, verdenking op, verdenking van, verdacht voor, verdacht op, dd, ddx, differentiaal diagnose, ter uitsluiting van, uitsluiten, mogelijk, waarschijnlijk, passend bij, werkdiagnose, niet uit te sluiten, misschien, onzeker of, niet zeker of, onduidelijk of, twijfel of, wsch, suspect voor, past bij"),
    (NL, Cue(Uncertain, NEAR, NO), "susp, mogelijke, waarschijnlijke, eventuele, vermoedelijk, vermoedelijke, vs, versus, ?"),
    (NL, Cue(Uncertain, NO, NEAR), "mogelijk, waarschijnlijk, niet uit te sluiten, niet uitgesloten, niet worden uitgesloten, niet uitgesloten worden, vermoed, is onzeker, is niet zeker, onzeker, vs, versus"),
    (PT, Cue(Uncertain, FAR, NO), "suspeita de, suspeita, suspeito de, sugestivo de, sugestiva de, sugere, sugerindo, descartar, a descartar, para descartar, hipotese de, hipoteses de, a esclarecer, provavelmente, possivelmente, nao se pode excluir, nao se exclui, excluir, suspeita-se de, suspeita-se, diagnostico diferencial"),
    (PT, Cue(Uncertain, NEAR, NO), "possivel, possiveis, provavel, provaveis, presumivel, duvidosa, duvidoso, vs, versus, ?"),
    (PT, Cue(Uncertain, NO, NEAR), "possivel, provavel, a esclarecer, a descartar, nao descartada, nao descartado, nao excluida, nao excluido, a excluir, por excluir, a confirmar, vs, versus"),

    (EN, Cue(Uncertain, NEAR, NO), "concerned about"),
    (EN, Cue(Uncertain, FAR, NO), "worrying for, wonders if, wonder if, wondering if, wonders whether, wonder whether, wondering whether"),
    (EN, Cue(Uncertain, NEXT, NO), "treat as, treated as, treating as"),
    // In capitals, right before what is asked.
    (EN, Cue(Uncertain, Some(1), NO), "q"),
    (EN, Cue(Uncertain, NO, NEAR), "are possible, are also possible, is also possible, also possible"),
    (FR, Cue(Uncertain, FAR, NO), "dd, ddx, dg diff, diag diff"),
    (ES, Cue(Uncertain, FAR, NO), "dd, ddx, dx dif, dx diferencial"),
    (ES, Cue(Uncertain, NEXT, NO), "d/c"),
    (PT, Cue(Uncertain, FAR, NO), "dd, ddx, dx dif, dx diferencial"),
    (FR | ES | IT | NL | PT, Cue(Uncertain, FAR, NO), "dd:, ddx:"),

    // What one has to think of, or what is still to be told apart.
    (EN, Cue(Uncertain, NEAR, NO), "more likely, more likely to be, question mark"),
    (EN, Cue(Uncertain, NO, NEXT), "needs clarifying, needs clarification, needs confirming, needs confirmation, to be confirmed"),
    (DE, Cue(Uncertain, NEAR, NO), "konnte es sich um, konnte sich um, zu denken ist an, zu denken an"),
    (DE, Cue(Uncertain, NO, NEXT), "fragezeichen, abklarungsbedurftig"),
    (FR, Cue(Uncertain, FAR, NO), "pourrait s'agir de, pourrait s'agir d, il faut penser a, faire penser a, fait penser a, plutot que"),
    (FR, Cue(Uncertain, NO, NEXT), "a confronter, point d'interrogation"),
    (FR, Cue(Uncertain, NO, NEAR), "plutot que"),
    (ES, Cue(Uncertain, FAR, NO), "hay que pensar en, habria que pensar en, podria tratarse de, puede tratarse de, podria ser, podria corresponder a, obliga a pensar en"),
    (ES, Cue(Uncertain, NO, NEAR), "no descartable, no descartables"),
    (ES, Cue(Uncertain, NO, NEXT), "por aclarar, a aclarar, a correlacionar, interrogante"),
    (IT, Cue(Uncertain, FAR, NO), "potrebbe trattarsi di, puo trattarsi di, potrebbe essere, bisogna pensare a, fa pensare a, piuttosto che"),
    (IT, Cue(Uncertain, NO, NEAR), "piuttosto che"),
    (IT, Cue(Uncertain, NO, NEXT), "da chiarire, da correlare, punto interrogativo"),
    (NL, Cue(Uncertain, FAR, NO), "zou kunnen gaan om, zou het kunnen gaan om, kan het gaan om, te denken aan, denken aan"),
    (NL, Cue(Uncertain, NEXT, NEAR), "ofwel"),
    (NL, Cue(Uncertain, NO, NEXT), "vraagteken, nog onduidelijk"),
    (PT, Cue(Uncertain, FAR, NO), "pode tratar-se de, podera tratar-se de, poderia tratar-se de, poderia ser, ha que pensar em"),
    (PT, Cue(Uncertain, NO, NEAR), "nao descartavel, nao descartaveis"),
    (PT, Cue(Uncertain, NO, NEXT), "a correlacionar, ponto de interrogacao"),

    // Shortened, or asked to be looked at.
    (EN, Cue(Uncertain, NO, NEAR), "poss, prob, favoured, favored, is favoured, is favored, presumed"),
    (DE, Cue(Uncertain, FAR, NO), "va., vd. auf, vd. a., verd. auf, verd. a., fragl., mogl., mgl., wahrsch., wahrscheinl."),
    (DE, Cue(Uncertain, NO, NEAR), "mgl, mogl, fragl, nicht auszuschl, nicht sicher auszuschl, wahrsch, wahrscheinl, denkbar, zu erwagen"),
    (FR, Cue(Uncertain, FAR, NO), "susp, susp., suspicions de, hypothese :, hypotheses :"),
    (FR, Cue(Uncertain, NO, NEAR), "incertain, incertaine, douteux, douteuse, envisage, envisagee, a exclure"),
    (ES, Cue(Uncertain, FAR, NO), "sosp, sosp., sosp. de"),
    (ES, Cue(Uncertain, Some(1), NO), "impresiona"),
    (ES, Cue(Uncertain, NO, NEAR), "en estudio, por confirmar, a confirmar, pendiente de confirmar, a valorar"),
    (IT, Cue(Uncertain, FAR, NO), "sosp, sosp., sosp. di"),
    (IT, Cue(Uncertain, NO, NEAR), "in studio, da confermare, in accertamento, in corso di accertamento, verosimile"),
    (NL, Cue(Uncertain, FAR, NO), "verd., verd. op, ws, wrs, wschl"),
    (NL, Cue(Uncertain, NO, NEAR), "ws, wsch, wrs, wschl, twijfel, twijfelachtig, dubieus"),
    (PT, Cue(Uncertain, FAR, NO), "afastar, a afastar, para afastar, p/ afastar, p/ excluir, p/ descartar, susp. de"),
    (PT, Cue(Uncertain, NO, NEAR), "em estudo, em investigacao, a afastar, por confirmar"),

    (EN, Cue(Uncertain, FAR, NO), "wonder about, wonders about, wondering about, wondered about, concerned that this is, concerned that this may be, concerned this is, concerned this may be"),
    (EN, Cue(Uncertain, NEAR, NO), "statistically a, statistically an"),
    (EN, Cue(Uncertain, NEXT, NEAR), "favored over, favoured over"),
    (EN, Cue(Uncertain, NO, NEAR), "is a possibility, is another possibility, is the other possibility, would be a possibility, would be another possibility, would be the other possibility"),
    (DE, Cue(Uncertain, NEAR, NO), "weniger wahrscheinlich"),
    (FR, Cue(Uncertain, FAR, NO), "suspect de, suspecte de, suspects de, suspectes de, suspect d, suspecte d"),
    (FR, Cue(Uncertain, NEAR, NO), "recherche d'un, recherche d'une"),
    (FR, Cue(Uncertain, NO, NEAR), "a ecarter"),
    (FR, Cue(Uncertain, NEAR, NEAR), "moins probable"),
    (ES, Cue(Uncertain, FAR, NO), "sospechoso de, sospechosa de, sospechosos de, sospechosas de"),
    (ES, Cue(Uncertain, NEAR, NEAR), "menos probable"),
    (IT, Cue(Uncertain, FAR, NO), "sospetto per, sospetta per, sospetti per, sospette per"),
    (IT, Cue(Uncertain, NEAR, NEAR), "meno probabile, meno prob"),
    (NL, Cue(Uncertain, NEAR, NEAR), "minder waarschijnlijk"),
    (PT, Cue(Uncertain, FAR, NO), "suspeita de, suspeitos de, suspeitas de"),
    (PT, Cue(Uncertain, NO, NEAR), "duvidosa, duvidoso"),
    (PT, Cue(Uncertain, NEAR, NEAR), "menos provavel"),

    // Only feared, or to be prevented.
    (EN, Cue(Hypothetical, FAR, NO), "if, unless, in case of, in the event of, should she, should he, should they, should you, should the patient, should there be, return for, return if, return with, come back if, come back for, return to ed for, return to the ed for, return to er for, return to the er for, return to hospital for, return to the hospital for, return to ed with, return to the ed with, return to clinic for,
        call your doctor for, seek care immediately for, seek medical care for, seek medical attention for, seek immediate care for, report any, risk of, risk for, risks of, risks including, risks incl, risks incl., risks include, risks inc, risks inc., side effects, side effects of, consent for, consented for, go to the er for, go to er for, go to the ed for, go to ed for, seek care for, call for, signs of infection such as, risk factors for, at risk for, at risk of,
        for fear of, for the fear of, to prevent, prevent, preventing, prevention of, prevents, prophylaxis for, prophylaxis against, ppx for, monitor for, monitoring for, monitored for, watch for, watching for, watch out for, screen for, screening for, screened for, look out for, lookout for,
        as needed for, prn for, vaccination against, vaccine for, to avoid, precautions for, warning signs of, complications such as, side effects such as, side effects including, educated on, educated about, in case, at high risk for, at high risk of, high risk for, high risk of, predisposed to, be aware of, susceptible to,
        increased risk of, low risk for, low risk of, reduce risk of, contraindicated in, whether, return precautions, precautions re, advice re, advised re, info re, information re, leaflet re, sn re, safety net re, safety netted re, safety netting,
        warned about, warned of, warned re, counselled on, counselled about, counselled re, counseled on, counseled about, counseled re, red flags, advice leaflet, discussed risk of, discussed risks of, signs to watch"),
    (EN, Cue(Hypothetical, FAR, NO), "come back to the ed for, come back to the ed if, come back to the er for, come back to the er if, come back to er for, come back to er if, come back to ed for, come back to ed if, avoid any, complications may include, complications include, potential complications, potential complications of, potential complications include, potential risks, contraindications:, risks explained, risks explained including, risks explained to include, risks reviewed, risks:, risk include, risk includes, adverse effects:, adverse effects such as, warnings:, may cause, can cause, could cause, may lead to, can lead to, could lead to, may progress to, could progress to, can progress to, call 911 for, call 911 if, call your surgeon for, call your surgeon with, call your doctor with, call the office for, call the office with, seek help for, seek help immediately for, observe for, monitor closely for, monitored closely for, monitor her for, monitor him for, counselled regarding, counseled regarding, advised regarding, educated regarding, instructed regarding, when to call the doctor, when to seek care, immunised against, immunized against, vaccinated against"),
    (EN, Cue(Hypothetical, NEXT, NO), "(risk"),
    (DE, Cue(Hypothetical, FAR, NO), "aufklarung uber, aufgeklart uber, b.b. bei, b. b. bei, bei bedarf bei"),
    (FR, Cue(Hypothetical, FAR, NO), "surveiller"),
    (IT, Cue(Hypothetical, FAR, NO), "osservare, osservare comparsa di, sorvegliare, sorvegliare comparsa di, monitorare comparsa di"),
    (PT, Cue(Hypothetical, FAR, NO), "vigiar"),
    // "Bij koorts contact."
    (NL, Cue(Hypothetical, NO, Some(10)), "contact"),
    // In capitals: side effects.
    (EN, Cue(Hypothetical, FAR, NO), "se"),
    (EN, Cue(Hypothetical, FAR, NO), "prn, as needed, p.r.n."),
    (EN, Cue(Hypothetical, NEXT, NO), "anti"),
    (EN, Cue(Hypothetical, NO, NEXT), "prophylaxis, ppx, precautions, risk, screening, screen, prevention, prophy, return precautions, surveillance"),
    (EN, Cue(Hypothetical, NO, NEAR), "vaccine, vaccines, vaccination, vaccinations, vaccine series, booster, shot, shots, jab, jabs, vax, immunization, immunisation"),
    (DE, Cue(Hypothetical, FAR, NO), "uber risiken, risiken:, impfung gegen, falls, bei auftreten von, bei erneutem auftreten, bei erneutem, bei erneuter, bei erneuten, bei neuem, bei neuen, bei neuer, sollte, sollten, risiko fur, risiko einer, risiko eines, risiko von, zur prophylaxe, prophylaxe von, prophylaxe gegen, prophylaxe bei, bei bedarf, wenn, im falle, im fall, zur vermeidung, zur vermeidung von, gefahr von, gefahr einer, bei verschlechterung,
        wiedervorstellung bei, wiedervorstellen bei, wv bei, erneute vorstellung bei, sofortige vorstellung bei, umgehende vorstellung bei"),
    // "Bei Fieber sofortige Wiedervorstellung."
    (DE, Cue(Hypothetical, NO, Some(10)), "sofortige wiedervorstellung, umgehende wiedervorstellung, sofort wiedervorstellen, umgehend wiedervorstellen, bitte wiedervorstellen, wieder vorstellen, erneut vorstellen, sofort vorstellen, umgehend vorstellen, sofortige vorstellung, umgehende vorstellung, erneute vorstellung"),
    (DE, Cue(Hypothetical, NO, NEAR), "geimpft, aufgefrischt"),
    (DE, Cue(Hypothetical, NO, NEXT), "prophylaxe, risiko, screening"),
    (FR, Cue(Hypothetical, FAR, NO), "risques expliques, risques :, si, en cas de, en cas d, risque de, risque d, prevention de, prevention d, prophylaxie de, prevenir, pour prevenir, surveillance de, afin d'eviter, pour eviter, depistage de, depistage du, depistage d, vaccin, vaccination, vaccin contre, vaccine contre, vaccinee contre"),
    (ES, Cue(Hypothetical, FAR, NO), "riesgos explicados, riesgos:, vacuna, si, en caso de, riesgo de, prevencion de, profilaxis de, profilaxis para, vigilar, para prevenir, prevenir, evitar, cribado de, si aparece, si presenta, vacuna de, vacuna contra, vacunado de, vacunada de, vacunado contra, vacunada contra"),
    (IT, Cue(Hypothetical, FAR, NO), "illustrati i rischi, rischi:, se compare, se compaiono, se dovesse, se dovessero, se insorge, se insorgono, se peggiora, se, in caso di, rischio di, prevenzione di, prevenzione della, profilassi di, profilassi per, profilassi della, per prevenire, prevenire, qualora, evitare, screening per, al bisogno per, vaccino contro, vaccinato per, vaccinata per, vaccinato contro, vaccinata contro, vaccinazione per, vaccinazione contro"),
    (IT, EndOf(Hypothetical), "per"),
    (IT, Cue(Hypothetical, Some(1), NO), "rischio, profilassi, vaccino, vaccinazione, screening k, screening carcinoma, screening tumore"),
    (ES, Cue(Hypothetical, Some(1), NO), "riesgo, profilaxis, cribado, despistaje"),
    (FR, Cue(Hypothetical, Some(1), NO), "risque, prophylaxie, depistage"),
    (FR, Cue(Hypothetical, NEXT, NO), "prophylaxie des, prophylaxie du, prophylaxie d"),
    (PT, Cue(Hypothetical, Some(1), NO), "risco, profilaxia, vacina, vacinas, rastreio"),
    (NL, Cue(Hypothetical, Some(1), NO), "risico, vaccinatie, vaccin"),
    (NL, Cue(Hypothetical, FAR, NO), "kans op"),
    (DE, Cue(Hypothetical, NO, NEXT), "impfung"),
    (DE, Cue(Hypothetical, FAR, NO), "bei nachweis von, bei nachweis der, bei nachweis des, bei nachweis einer, bei nachweis eines, bei bestatigung von, bei bestatigung der, bei bestatigung des, bei bestatigung einer, bei bestatigung eines"),
    // What is to be done where something comes.
    (DE | NL, Case, "bei, bij, als, b."),
    (PT, Cue(Hypothetical, Some(1), NO), "se"),
    (NL, Cue(Hypothetical, FAR, NO), "risico's besproken, risico's:, profylaxe tegen, neem contact op bij, als u, als je, indien, in geval van, risico op, ter preventie van, ingeval van, terugkomen bij, terugkomen als, preventie van, profylaxe van, bij optreden van, bij toename, bij toename van, zo nodig bij, bij nieuwe, ter voorkoming van, mocht, wanneer, screening op,
        contact opnemen bij, contact bij, terug bij, retour bij, bellen bij, zn bij, z.n. bij, vaccinatie tegen, gevaccineerd tegen"),
    // "Bij koorts of pijn contact opnemen."
    (NL, Cue(Hypothetical, NO, Some(10)), "contact opnemen, direct bellen, huisarts bellen, direct terugkomen, eerder terugkomen"),
    (NL, Cue(Hypothetical, NO, NEXT), "profylaxe, risico, preventie"),
    (PT, Cue(Hypothetical, FAR, NO), "riscos explicados, riscos:, se houver, se tiver, se apresentar, se surgir, se surgirem, se aparecer, se ocorrer, se agravar, se piorar, se voltar, se desenvolver, se persistir, vacina contra, vacina da, vacinado contra, vacinada contra, em caso de, risco de, prevencao de, profilaxia de, profilaxia para, prevenir, para prevenir, evitar, caso, rastreio de"),

    // What is warned of, and to be thought of.
    (EN, Cue(Hypothetical, FAR, NO), "safety net, safety net:, safety net advice, safety net advice given re, safety-net advice, safety-net advice given re, safety-net:, rted for, rted if, rtc for, return w/, return to ed w/, consent:, consented:, consent incl, consent including, consented incl, consented including, risks (, complications discussed, contingency:, educate re, education re, rescue pack for, surveillance for, check for, ses discussed, ses explained, se discussed, side effects discussed, side effects explained, prophylaxis of, low threshold for, provided no, warn, warned, warn re, warn of, warn about, warned that, beware, beware of, caution:, caution re, danger signs, warning signs, alarm symptoms, alert for, vigilant for, mindful of, on standby for, in reserve for, report if, call if, ring if, seek help if"),
    (DE, Cue(Hypothetical, FAR, NO), "aufklarung (, aufklarung:, notfallplan:, cave, warnzeichen, warnsymptome, alarmsymptome, alarmzeichen, gewarnt vor, achten auf, auf zeichen einer, auf zeichen eines, auf zeichen von, ruckruf bei, ruckkehr bei, gefahr der, gefahr des, screening auf, uberwachung auf, uberwachen auf, monitoring auf, b. bed. bei, in reserve bei, in reserve gegen, bedarfsweise bei, bedarfsweise gegen, bei bedarf gegen, sofern, es sei denn"),
    (FR, Cue(Hypothetical, FAR, NO), "prevenu :, prevenue :, prevenus :, averti de, avertie de, averti du, avertie du, informe du risque, signes d'alarme, signes d'alerte, symptomes d'alarme, signaler tout, signaler toute, signaler si, attention a, attention au, attention aux, gare a, gare au, gare aux, prevention des, prevention du, surveillance des signes de, surveillance des signes d, ei expliques :, effets secondaires expliques, effets indesirables expliques, si absence de, si absence d, en reserve pour, en reserve si, si besoin pour, a moins d, sauf si, guetter"),
    (ES, Cue(Hypothetical, FAR, NO), "signos de alarma, sintomas de alarma, datos de alarma, advertido de, advertida de, se advierte de, avisar si, comunicar si, comunicar cualquier, ojo con, cuidado con, atencion a, acudir ante, reconsultar ante, consultar ante, volver ante, riesgos de, si ausencia de, de rescate para, rescate para, siempre que, siempre y cuando, salvo que"),
    (IT, Cue(Hypothetical, FAR, NO), "segni di allarme, segni d'allarme, sintomi di allarme, sintomi d'allarme, campanelli d'allarme, segnalare se, segnalare eventuale, segnalare comparsa di, avvertito di, avvertita di, attenzione a, attenzione al, attenzione alla, rischi di, rischi (, dei rischi (, dei rischi:, se ricompare, se ricompaiono, se comparsa di, se non, se assenza di, se senza, in riserva per, controllare comparsa di, controllare, monitorare, purche, a meno di"),
    (NL, Cue(Hypothetical, FAR, NO), "cave, alarmsymptomen, alarmsignalen, alarmtekenen, gewaarschuwd voor, waarschuwen bij, let op, letten op, bedacht op, alert op, beducht voor, in reserve voor, in reserve bij, zo nodig voor, zo nodig tegen, controle op, observatie op, observeren op, monitoren op, als geen, als er geen, eerder bij, eerder terug bij, mits, tenzij"),
    (PT, Cue(Hypothetical, FAR, NO), "sinais de alarme, sinais de alerta, sinais de alarma, alertado para, alertada para, orientado quanto a, orientada quanto a, orientado sobre, orientada sobre, cuidado com, atencao a, atencao para, atentar para, atentar a, vigilancia de, riscos de, riscos inerentes a, rastreamento de, vacinacao contra, se nao tiver, se ausencia de, comunicar se, sos para, se necessario para, resgate para, se nao houver, a menos que"),
    (PT, Cue(Hypothetical, NEXT, NO), "se s/, se sem, se nao"),
    (EN, Cue(Negated, FAR, NO), "no red flags, no warning signs, no danger signs, no alarm symptoms"),
    (DE, Cue(Negated, FAR, NO), "keine warnzeichen, keine warnsymptome, keine alarmsymptome, keine alarmzeichen, keine red flags"),
    (FR, Cue(Negated, FAR, NO), "pas de signe d'alarme, pas de signes d'alarme, sans signe d'alarme, sans signes d'alarme, pas de signe d'alerte, pas de signes d'alerte"),
    (ES, Cue(Negated, FAR, NO), "sin signos de alarma, no signos de alarma, niega signos de alarma, sin sintomas de alarma, no sintomas de alarma, niega sintomas de alarma, sin datos de alarma, no datos de alarma, niega datos de alarma"),
    (IT, Cue(Negated, FAR, NO), "senza segni di allarme, senza segni d'allarme, non segni di allarme, non segni d'allarme, nega segni di allarme, nega sintomi di allarme, no segni di allarme"),
    (NL, Cue(Negated, FAR, NO), "geen alarmsymptomen, geen alarmsignalen, geen alarmtekenen, zonder alarmsymptomen"),
    (PT, Cue(Negated, FAR, NO), "sem sinais de alarme, sem sinais de alerta, nega sinais de alarme, nega sinais de alerta, sem sinais de alarma"),
    (EN, Cue(Hypothetical, NEAR, NO), "fear of, fears of, fearful of, afraid of, scared of, terrified of, worried re, worries re, anxious re, fears"),
    (DE, Cue(Hypothetical, NEAR, NO), "angst vor, sorge vor, furcht vor, befurchtet, prophylaxe von, prophylaxe einer, prophylaxe eines"),
    (FR, Cue(Hypothetical, NEAR, NO), "peur de, peur d, peur du, crainte de, crainte d, crainte du, craint"),
    (ES, Cue(Hypothetical, NEAR, NO), "miedo a, miedo de, temor a, temor de, teme"),
    (IT, Cue(Hypothetical, NEAR, NO), "paura di, paura del, paura della, timore di, timore del, timore della, teme"),
    (NL, Cue(Hypothetical, NEAR, NO), "angst voor, bang voor, vrees voor"),
    (PT, Cue(Hypothetical, NEAR, NO), "medo de, medo do, medo da, receio de, receio do, receio da, teme"),
    // Only when needed, in India and Portugal: "SOS for vomiting".
    (EN, Cue(Hypothetical, FAR, NO), "sos"),
    // What is looked for, or prevented, right behind it.
    (EN, Cue(Hypothetical, Some(1), NO), "screen, screening"),
    (EN, Cue(Hypothetical, Some(1), NO), "avoid, avoiding, counselled, counseled"),
    (EN, Cue(Hypothetical, Some(1), NO), "risk"),
    (EN, Cue(Hypothetical, NO, NEXT), "drill, sx screen, symptom screen, test accepted, test offered, test declined, test sent, test requested, testing offered"),
    // Stockings, and what else is worn against a thrombosis.
    (EN, Cue(Hypothetical, NO, NEXT), ": teds, : ted stockings, : scds, : flowtrons, : ipc, : ipcs"),
    (FR | IT | PT, Cue(Hypothetical, Some(1), NO), "attention, attenzione, atencao, cuidado"),
    (IT, Cue(Hypothetical, Some(1), NO), "prevenzione"),
    (FR, Cue(Hypothetical, Some(1), NO), "eviter, prevention, surv, surv."),
    (ES, Cue(Hypothetical, Some(1), NO), "precaucion, advertir"),
    (NL, Cue(Hypothetical, Some(1), NO), "preventie, vermijd, vermijden, voorkom, voorkomen"),
    (ES, Cue(Hypothetical, Some(1), NO), "vacunacion"),
    (PT, Cue(Hypothetical, Some(1), NO), "vacinacao, rastreamento, sorologia, sorologias"),
    (NL, Cue(Hypothetical, NO, NEXT), "vaccinatie"),
    (EN, Cue(Hypothetical, NO, NEAR), "vacc, vaccs, vaccinated, immunised, immunized"),
    (DE, Cue(Hypothetical, Some(1), NO), "prophylaxe, screening"),
    (NL, Cue(Hypothetical, Some(1), NO), "profylaxe, screening"),
    (ES | IT | PT, Cue(Hypothetical, Some(1), NO), "profil, profil."),
    // Where no result is told.
    (EN, Cue(Hypothetical, NO, NEXT), "serology, serologies, pcr"),
    (DE, Cue(Hypothetical, NO, NEXT), "serologie, pcr"),
    (NL, Cue(Hypothetical, NO, NEXT), "serologie, pcr"),
    (DE | FR | NL, Cue(Hypothetical, Some(1), NO), "serologie"),
    (FR, Cue(Hypothetical, Some(1), NO), "serologies"),
    (FR | ES | IT | PT, Cue(Hypothetical, Some(1), NO), "pcr"),
    (FR, Cue(Hypothetical, NO, NEXT), "pcr"),
    (ES | PT, Cue(Hypothetical, Some(1), NO), "serologia, serologias"),
    (IT, Cue(Hypothetical, Some(1), NO), "sierologia, sierologie"),
    // What is to be done where it comes.
    (DE, Cue(Hypothetical, NO, ORDERED), "→ sofort, -> sofort, => sofort, = sofort, → arzt, -> arzt, → 112, -> 112, → wv, -> wv"),
    (EN, Cue(Hypothetical, NO, ORDERED), ": call 911, = call 911, -> call 911, → call 911, -> return, → return, = return, = 911, : 911, : call 999, = 999, : 999, = ed, = a&e"),
    (FR, Cue(Hypothetical, NO, ORDERED), "= urgences, : urgences, : consulter en urgence, : appeler le 15, = appeler le 15, = 15"),
    (ES, Cue(Hypothetical, NO, ORDERED), "= urgencias, : acudir a urgencias, = acudir a urgencias, : llamar al 112, = 112"),
    (IT, Cue(Hypothetical, NO, ORDERED), "= ps, = pronto soccorso, : recarsi in ps, : chiamare il 118, = 118"),
    (NL, Cue(Hypothetical, NO, ORDERED), "→ direct, -> direct, → meteen, -> meteen, → bellen, -> bellen, = bellen, : bellen, = seh, = 112"),
    (PT, Cue(Hypothetical, NO, ORDERED), "= urgencia, = ps, = upa, = su, : ir a urgencia, : procurar a urgencia, : ligar 112, = 112"),

    (EN, Cue(Hypothetical, NO, NEXT), "proph"),
    (EN, Cue(Hypothetical, NO, NEAR), "to be watched for, to watch for, to look out for"),
    (DE, Cue(Hypothetical, NEAR, NO), "in sorge wegen, in sorge wg., sorge wegen, sorge wg., angst wegen, angst wg."),
    (FR, Cue(Hypothetical, NEAR, NO), "inquiet d'un, inquiet d'une, inquiete d'un, inquiete d'une"),
    (IT, Cue(Hypothetical, NEXT, NO), "vaccinazione anti-, vaccino anti-"),
    (ES, Cue(Hypothetical, NEXT, NO), "vacuna anti-, vacunacion anti-"),
    (PT, Cue(Hypothetical, NEXT, NO), "vacina anti-, vacinacao anti-, pesquisar"),
    (FR, Cue(Hypothetical, NEXT, NO), "vaccin anti-, vaccination anti-"),

    // What threatens, and what others may get.
    (EN, Cue(Hypothetical, FAR, NO), "safety netted for, safety netted about, safety net for, carriers develop, carriers may develop, some people develop, some patients develop, people may develop, patients may develop, few people develop, few patients develop"),
    (EN, Cue(Hypothetical, NO, NEAR), "to be looked for, to be monitored for, to be screened for"),
    (EN, Cue(Hypothetical, NEXT, NO), "impending, imminent"),
    (EN, Cue(Hypothetical, NO, NEXT), "feared, is feared"),
    (DE, Cue(Hypothetical, NEXT, NO), "drohend, drohende, drohender, drohendes, drohenden, drohendem"),
    (DE, Cue(Hypothetical, NO, NEXT), "zu befurchten, ist zu befurchten"),
    (DE, Cue(Hypothetical, FAR, NO), "notarzt bei, notfall bei, einige patienten entwickeln, manche patienten entwickeln"),
    (FR, Cue(Hypothetical, NO, NEXT), "a craindre, est a craindre, a redouter"),
    (FR, Cue(Hypothetical, FAR, NO), "signes expliques de, certains patients developpent, urgences en cas de"),
    (ES, Cue(Hypothetical, Some(1), Some(1)), "inminente"),
    (ES, Cue(Hypothetical, NO, NEXT), "de temer, a temer"),
    (ES, Cue(Hypothetical, FAR, NO), "explicados signos de, explicados sintomas de, se explican signos de, algunos pacientes desarrollan"),
    (IT, Cue(Hypothetical, Some(1), Some(1)), "imminente"),
    (IT, Cue(Hypothetical, NO, NEXT), "da temere"),
    (IT, Cue(Hypothetical, FAR, NO), "spiegati segni di, spiegati i segni di, alcuni pazienti sviluppano"),
    (NL, Cue(Hypothetical, NEXT, NO), "dreigend, dreigende"),
    (NL, Cue(Hypothetical, NO, NEXT), "te vrezen, gevreesd"),
    (NL, Cue(Hypothetical, FAR, NO), "spoed bij, stressinstructie bij, sommige patienten krijgen, instructie bij"),
    (PT, Cue(Hypothetical, Some(1), Some(1)), "iminente"),
    (PT, Cue(Hypothetical, NO, NEXT), "de temer, a temer"),
    (PT, Cue(Hypothetical, FAR, NO), "orientados sinais de, orientado sinais de, orientada sinais de, explicados sinais de, ensinados sinais de, alguns doentes desenvolvem"),
    (NL | IT | PT | FR | ES, Cue(Hypothetical, NO, NEXT), "profylaxe, profilassi, profilaxia, prophylaxie, profilaxis"),

    // Past.
    (EN, Cue(Historical, NO, Some(6)), "has settled, have settled, has resolved, have resolved, has cleared"),
    (EN, Cue(Historical, NO, NEXT), "gone now, resorbed"),
    (DE, Cue(Historical, NO, NEAR), "weg seit, resorbiert, vollstandig zuruckgebildet"),
    (FR, Cue(Historical, NO, NEXT), "resorbe, resorbee, resorbes"),
    (ES, Cue(Historical, NO, NEXT), "reabsorbido, reabsorbida"),
    (ES, Cue(Historical, FAR, NO), "ingreso neonatal, ingreso previo, ingresos previos"),
    (FR, Cue(Historical, FAR, NO), "hospitalisation neonatale"),
    (IT, Cue(Historical, FAR, NO), "ricovero neonatale, pregresso ricovero, pregressi ricoveri"),
    (PT, Cue(Historical, FAR, NO), "internamento neonatal, internamento previo, internamentos previos"),
    (IT, Cue(Historical, NO, NEXT), "riassorbito, riassorbita, riassorbiti, riassorbite"),
    (NL, Cue(Historical, NO, NEAR), "nu over, weer over, inmiddels over, is over, zijn over, weg sinds, geresorbeerd"),
    (PT, Cue(Historical, NO, NEXT), "reabsorvido, reabsorvida"),
    // Why a drug was stopped is told in brackets behind it: "após falha de risperidona (galactorreia)".
    (EN, Cue(Historical, FAR, NO), "after failure of, after failing"),
    (DE, Cue(Historical, FAR, NO), "nach versagen von, nach unvertraglichkeit von"),
    (FR, Cue(Historical, FAR, NO), "apres echec de, apres echec du, apres echec d, apres intolerance a"),
    (ES, Cue(Historical, FAR, NO), "tras fracaso de, tras fracaso con, tras intolerancia a"),
    (IT, Cue(Historical, FAR, NO), "dopo fallimento di, dopo intolleranza a"),
    (NL, Cue(Historical, FAR, NO), "na falen van, na intolerantie voor"),
    (PT, Cue(Historical, FAR, NO), "apos falha de, apos falencia de, apos intolerancia a"),
    (EN, Cue(Historical, NO, NEXT), "already had it, had it already, has had it"),
    (EN, Cue(Historical, NO, Some(1)), "gone, now gone, has gone, is gone"),
    (EN, Nothing, "gone up, gone down, gone to, gone into, gone through, gone on, gone from"),
    (FR, Cue(Historical, NO, NEXT), "tari, tarie"),
    (FR, Cue(Historical, NO, Some(1)), "disparu, disparue, disparus, disparues"),
    (ES, Cue(Historical, NO, NEXT), "revertido, revertida"),
    (IT, Cue(Historical, NO, NEXT), "scomparso, scomparsa"),
    (IT, Cue(Historical, NEAR, NO), "esito di"),
    (PT, Cue(Historical, NO, NEXT), "desaparecido, desaparecida"),
    (DE | NL, Cue(Historical, NO, Some(1)), "wieder weg, nun weg, jetzt weg, nu weg, weer weg"),
    (EN, Cue(Historical, FAR, NO), "resolved problems, inactive problems, history of, hx of, h/o, hx, past history of, previous history of, prior history of, s/p, status post, past medical history of, pmh of, pmh, pmhx, past medical history, medical history significant for, history significant for, history notable for, history is significant for, history is also significant for, history is notable for, history includes, history positive for, history is positive for, recovered from, remote history of, pmh significant for, pmhx significant for, pmh notable for, prev, personal history of, personal h/o, past history significant for, prev h/o, prev hx of"),
    (EN, Cue(Historical, FAR, NO), "previous:, prev:, prev ga:, previous ga:, prev anaesthetic:, previous anaesthetic:, previous anaesthetics:"),
    (EN, Cue(Historical, NO, NEXT), "past, previous"),
    // Behind weeks and months, in figures.
    (EN, Cue(Historical, NO, NEAR), "ago"),
    (EN, Cue(Historical, NO, NEAR), "previously resected, previously excised, previously removed, resected previously, excised previously"),
    (NL, Cue(Historical, FAR, NO), "vg"),
    (EN, Cue(Historical, NEAR, NO), "from prior, from previous, from old, from remote, from past"),
    (EN, Cue(Historical, NEAR, NO), "used to have, used to get, formerly, cured of, interval resolution of, resolution of, old, healed, resolved, old healed, prior, previous, previously, remote, former, childhood, past"),
    (EN, Cue(Historical, NO, NEAR), "in the past, years ago, months ago, yrs ago, yr ago, year ago, which resolved, which has resolved, which have resolved, which settled, in childhood, as a child, previously, years before, years prior, years earlier, in infancy, hx, history, had settled, appears to have cleared, subsided, excised, as child, as a kid, is cured, has healed, have healed, has gone, have gone, is gone, are gone, now gone, has gone away, went away, has defervesced, now settled, has now resolved"),
    (EN, Either(Historical), "years ago, year ago, yrs ago, months ago, last year, last month"),
    (DE, Either(Historical), "vor einem jahr, vor zwei jahren, vor drei jahren, vor vier jahren, vor funf jahren, vor zehn jahren, vor jahren, im letzten jahr, im vergangenen jahr, letztes jahr"),
    (FR, Either(Historical), "il y a un an, il y a deux ans, il y a trois ans, il y a cinq ans, il y a dix ans, l'an dernier, l'annee derniere"),
    (ES, Either(Historical), "hace un ano, hace dos anos, hace tres anos, hace cinco anos, hace diez anos, el ano pasado"),
    (IT, Either(Historical), "un anno fa, due anni fa, tre anni fa, cinque anni fa, dieci anni fa, anni fa, l'anno scorso, lo scorso anno"),
    (NL, Either(Historical), "een jaar geleden, twee jaar geleden, drie jaar geleden, vijf jaar geleden, tien jaar geleden, jaar geleden, jaren geleden, vorig jaar"),
    (PT, Either(Historical), "ha um ano, ha dois anos, ha tres anos, ha cinco anos, ha dez anos, no ano passado"),
    (DE, Cue(Historical, FAR, NO), "z.n., z. n., zustand nach, zn, status nach, st. n., st.n., stattgehabte, stattgehabter, stattgehabten, anamnestisch, in der vorgeschichte, vorgeschichte mit"),
    (DE, Cue(Historical, NEAR, NO), "fruhere, fruherer, fruheren, ehemals, ehemalige, alter, alte"),
    (DE, Cue(Historical, NO, NEAR), "vor einem jahr, vor zwei jahren, vor drei jahren, vor vier jahren, vor funf jahren, vor zehn jahren, im letzten jahr, letztes jahr, vor jahren, in der vorgeschichte, anamnestisch, in der kindheit, im kindesalter, als kind, verschwunden"),
    (FR, Cue(Historical, FAR, NO), "antecedent de, antecedent d, antecedents de, antecedents d, antecedents, atcd, atcd de, atcd d, atcds de, histoire de, status post"),
    (FR, Cue(Historical, NO, NEAR), "ancien, ancienne, dans l'enfance, corrige, corrigee, regresse, il y a longtemps, il y a un an, il y a deux ans, il y a trois ans, il y a quatre ans, il y a cinq ans, il y a six ans, il y a sept ans, il y a huit ans, il y a neuf ans, il y a dix ans, il y a quinze ans,
        il y a vingt ans, il y a trente ans, il y a quelques annees, il y a plusieurs annees, il y a des annees, il y a 1 an, il y a un mois, il y a 1 mois, il y a quelques mois, il y a plusieurs mois, il y a des mois"),
    (FR, Cue(Historical, NO, NEAR), AGO),
    (ES, Cue(Historical, FAR, NO), "antecedente de, antecedentes de, antecedentes, historia de, antecedentes personales de, status post, con ap:, como ap:, ap de, historia previa de"),
    (ES, Cue(Historical, NO, NEAR), "previo, previa, previos, previas, antiguo, antigua, hace, en la infancia, en el pasado, de nino, de nina"),
    (ES, Cue(Historical, NEAR, NO), "previo, previa, previos, previas, antiguo, antigua"),
    (IT, Cue(Historical, FAR, NO), "storia di, anamnesi di, anamnesi positiva per, esiti di, stato dopo, in anamnesi, in apr, apr:"),
    (IT, Cue(Historical, NO, NEAR), "in anamnesi"),
    (IT, Cue(Historical, NEAR, NO), "pregresso, pregressa, pregressi, pregresse, precedente, precedenti"),
    (IT, Cue(Historical, NO, NEAR), "pregresso, pregressa, anni fa, nel passato, in passato, in infanzia, da bambino, da bambina"),
    (NL, Cue(Historical, FAR, NO), "voorgeschiedenis van, status na, st. na, status post, doorgemaakt, doorgemaakte, vg:, in voorgeschiedenis, in vg"),
    (NL, Cue(Historical, NEAR, NO), "vroegere, eerdere, oude, oud"),
    (NL, Cue(Historical, NO, NEAR), "jaar geleden, jaren geleden, in verleden, in het verleden, in de voorgeschiedenis, in jeugd, maanden geleden, lang geleden, als kind, in zijn jeugd, in haar jeugd"),
    (PT, Cue(Historical, FAR, NO), "historia de, antecedente de, antecedentes de, historico de, historia previa de, antecedentes, passado de, status pos, ap de"),
    (PT, Cue(Historical, NEAR, NO), "previo, previa, previos, previas, antigo, antiga"),
    (PT, Cue(Historical, NO, NEAR), "previo, previa, previos, previas, antigo, antiga, no passado, na infancia, com recuperacao, transitorio, transitoria, anos atras"),

    (DE, Cue(Historical, NEAR, NEAR), "fruher"),
    (NL, Cue(Historical, NEAR, NO), "vroeger"),
    (FR, Cue(Historical, NEAR, NO), "autrefois, jadis"),
    (NL, Cue(Historical, NO, NEAR), "in vg, in de vg"),
    (DE, Cue(Historical, FAR, NEAR), "anamn., anamn"),
    (EN, Cue(Historical, NO, NEAR), "since recovered, has recovered, since corrected, now corrected"),
    (DE, Cue(Historical, NO, NEAR), "sistierte, sistierten"),
    (DE, Cue(Historical, NEXT, NO), "passagere, passagerer, passageres, ausgeheilte, ausgeheilter, abgeheilte, abgeheilter"),
    (NL, Cue(Historical, NO, NEAR), "opgeklaard, verholpen"),

    (FR, Cue(Historical, NEAR, NO), "precedemment, anterieurement"),
    (ES, Cue(Historical, NEAR, NO), "anteriormente, previamente"),
    (IT, Cue(Historical, NEAR, NO), "in precedenza, precedentemente"),
    (NL, Cue(Historical, NEAR, NO), "voorheen, st na, st. na"),
    (FR, Cue(Historical, NEXT, NO), "ancien, ancienne, anciens, anciennes"),
    (PT, Cue(Historical, NEAR, NO), "anteriormente, previamente"),
    (DE, Cue(Historical, NO, NEAR), "durchgemacht, passager, in der vergangenheit, in vergangenheit"),
    (NL, Cue(Historical, NO, NEAR), "spontaan gestopt"),
    (PT, Cue(Historical, NO, NEAR), "ja tratado, ja tratada"),

    // Somebody else's.
    (EN, Cue(Family, FAR, NEXT), "mat gm, mat gf, pat gm, pat gf, mat aunt, pat aunt, co-twin, cotwin, twin brother, twin sister, twin 1 died, twin 2 died"),
    (DE, Cue(Family, FAR, NEXT), "halbbruder, halbschwester, schwager, schwagerin, schwiegermutter, schwiegervater, nichte, neffe, zwillingsbruder, zwillingsschwester, urgrossmutter, urgrossvater"),
    (FR, Person, "enfants"),
    (DE, Person, "kinder"),
    (NL, Person, "kinderen"),
    (FR, Cue(Family, FAR, NEXT), "demi frere, demi soeur, beau frere, belle soeur, arriere grand mere"),
    (ES, Cue(Family, FAR, NEXT), "hno, hna, hnos, hnas, cunado, cunada, suegro, suegra, sobrino, sobrina, bisabuelo, bisabuela, papa, tios, primos, prima"),
    (IT, Cue(Family, FAR, NEXT), "cognato, cognata, suocero, suocera, fratellastro, sorellastra, cugini"),
    (NL, Cue(Family, FAR, NEXT), "schoonzus, schoonbroer, schoonmoeder, schoonvader, halfbroer, halfzus, overgrootmoeder, tantes, ooms, nichtje, neefje"),
    (PT, Cue(Family, FAR, NEXT), "cunhado, cunhada, sogro, sogra, sobrinho, sobrinha, bisavo, avos, primos, tios, meio irmao, meia irma"),
    // A mother's note tells of her child under its name.
    (EN | NL, Cue(Family, FAR, NO), "baby:"),
    (FR, Cue(Family, FAR, NO), "bebe :, nouveau ne :"),
    (DE, Cue(Family, FAR, NO), "neugeborenes:"),
    (NL, Cue(Family, FAR, NO), "pasgeborene:"),
    // "Husband (himself chest pain)"
    (EN, Cue(Family, FAR, NO), "(himself, (herself, (he himself, (she herself, (themselves"),
    (DE, Cue(Family, FAR, NO), "(er selbst, (sie selbst, (selbst"),
    (FR, Cue(Family, FAR, NO), "(lui-meme, (elle-meme, (lui meme, (elle meme"),
    (ES, Cue(Family, FAR, NO), "(el mismo, (ella misma"),
    (IT, Cue(Family, FAR, NO), "(lui stesso, (lei stessa"),
    (NL, Cue(Family, FAR, NO), "(hijzelf, (zijzelf, (hij zelf, (zij zelf, (zelf"),
    (PT, Cue(Family, FAR, NO), "(ele mesmo, (ela mesma, (ele proprio, (ela propria"),
    (EN, Cue(Family, FAR, NEXT), "mother, father, grandma, grandpa, sister, sisters, brother, brothers, stepfather, stepmother, stepbrother, stepsister, uncles, aunts, nephews, nieces, grandmothers, grandfathers, sibling, siblings, sib, sibs, aunt, uncle, cousin, cousins, grandmother, grandfather, grandparents, grandparent, parents, parent, nephew, niece, mom, dad, mum, relatives, relative, maternal, paternal,
        family member, family members, mgm, mgf, pgm, pgf, half brother, half sister"),
    (EN, Cue(Family, NEAR, NO), "partner, wife, husband, son, daughter, sons, daughters, grandson, granddaughter, grandchildren, children, kids, flatmate, flatmates, roommate, classmates, colleague, colleagues, coworkers, girlfriend, boyfriend"),
    (EN, Cue(Negated, FAR, NO), "none of her siblings, none of his siblings, none of the siblings, none of her relatives, none of his relatives, no family member has, no family members with, no family members have, no one in the family has, no one in her family has, no one in his family has, nobody in the family has"),
    (EN, Cue(Family, FAR, NO), "none of her siblings, none of his siblings, none of the siblings, none of her relatives, none of his relatives, no family member has, no family members with, no family members have, no one in the family has, no one in her family has, no one in his family has, nobody in the family has"),
    (EN, Cue(Family, NEAR, NO), "co-worker, co-workers, coworker, housemate, housemates"),
    (EN, Cue(Family, FAR, NEAR), "in his family, in her family, in their family, in the family, in family members, runs in the family, run in the family, runs in her family, runs in his family, on both sides of the family"),
    (EN, Cue(Family, FAR, NO), "neighbor has, neighbor had, neighbor with, neighbour has, neighbour had, neighbour with, neighbors have, neighbours have, neighbors had, neighbours had, donor has, donor had, donor with, caregiver has, caregiver had, caregiver with, carer has, carer had, carer with,
        family hx, family hx for, family hx significant for, family hx positive for, family hx notable for, family history for, family history significant for, family history positive for, family history notable for, fam history, fam history of, family medical history, family medical history of"),
    (EN, Cue(Family, FAR, NO), "family history of, family hx of, family history, fhx of, fhx, fh of, fh:, fam hx, familial history of, no family history of, no fhx of, no fh of, wife has, wife had, wife with, husband has, husband had, husband with, partner has, partner had, partner with, son has, son had, son with, daughter has, daughter had, daughter with,
        her child with, his child with, their child with, her children with, his children with, roommate with, coworker with, sick contact with, sick contacts with, contact with, contacts with, exposure to, exposed to, wife died of, husband died of, son died of, daughter died of, runs in the family, run in the family, runs in her family, runs in his family, family is positive for"),
    (DE, Cue(Family, FAR, NEXT), "vater, mutter, bruder, schwester, schwestern, geschwister, grossmutter, grossvater, oma, opa, tante, onkel, eltern, cousin, cousine, grosseltern"),
    (DE, Cue(Family, FAR, NO), "familienanamnese, familienanamnestisch, familiare, familiar, familiare belastung mit, kontakt zu,
        sohn hat, sohn mit, tochter hat, tochter mit, ehemann hat, ehemann mit, ehemann an, ehefrau hat, ehefrau mit, ehefrau an, kinder haben, kinder mit"),
    (DE, Cue(Family, FAR, NO), "seine frau hat, ihr mann hat, seine frau ist an, ihr mann ist an, seine frau ist krank, ihr mann ist krank, tochter ist an, sohn ist an,
        ehemann ist an, ehefrau ist an, kinder sind an, tochter ist krank, sohn ist krank, ehemann ist krank, ehefrau ist krank, kinder sind krank"),
    (EN, Cue(Family, FAR, NO), "donor died of, donor died from"),
    (ES, Cue(Family, FAR, NO), "su mujer tiene, su mujer con, su marido tiene, su hijo tiene, su hija tiene, su pareja tiene"),
    (NL, Cue(Family, FAR, NO), "dochtertje heeft, dochtertje met, zoontje heeft, zoontje met, broertje met, zusje met, zijn vrouw heeft, haar man heeft, kinderen hebben,
        echtgenoot is ziek, echtgenote is ziek, echtgenoot is zelf ziek, echtgenote is zelf ziek, zoon is ziek, dochter is ziek"),
    (DE, Cue(Family, FAR, NEAR), "in der familie"),
    (DE, Cue(Family, NO, NEAR), "in der familie bekannt"),
    (IT, Cue(Family, FAR, NEXT), "fratellino, fratellini, sorellina, sorelline, cuginetto, cuginetta, nonnina, nonnino, zii, papa, bisnonno, bisnonna"),
    (IT, Cue(Family, FAR, NO), "la mamma, sua mamma, mamma con, mamma ha, compagno con, compagno ha, compagna con, compagna ha"),
    (FR, Cue(Family, NEAR, NO), "sa fille a, sa fille est suivie pour, sa fille est traitee pour, son fils a, son fils est suivi pour, son fils est traite pour, son mari est soigne pour, son mari est suivi pour, sa femme est suivie pour, sa femme est soignee pour, la fille de la patiente, la fille du patient, le fils de la patiente, le fils du patient, le mari de la patiente, la femme du patient"),
    (PT, Cue(Family, NEAR, NO), "parceiro, parceira, companheiro, companheira, acompanhante"),
    (DE, Cue(Family, FAR, NO), "freundin hat, freundin mit, freund hat, freund mit, partnerin hat, partnerin mit, partner hat, partner mit, mitbewohner hat, mitbewohnerin hat"),
    (NL, Cue(Family, FAR, NEXT), "kleindochter, kleinzoon, zusje, broertje"),
    (DE, Person, "sohn, tochter, ehemann, ehefrau, seine frau, seiner frau, ihr mann, ihrem mann, partner, partnerin, lebensgefahrte, lebensgefahrtin, enkel, enkelin, nachbar, nachbarin"),
    (FR, Person, "fils, sa fille, mari, sa femme, epoux, epouse, conjoint, conjointe, compagnon, compagne, voisin, voisine"),
    (ES, Person, "hijo, hija, marido, su mujer, esposo, esposa, pareja, nieto, nieta, vecino, vecina"),
    (IT, Person, "figlio, figlia, marito, moglie, compagno, compagna, nipote, vicino, vicina"),
    (NL, Person, "zoon, dochter, zoontje, dochtertje, haar man, zijn vrouw, echtgenoot, echtgenote, partner, kleinzoon, kleindochter, buurman, buurvrouw"),
    (PT, Person, "filho, filha, marido, a mulher, sua mulher, esposo, esposa, companheiro, companheira, neto, neta, vizinho, vizinha"),
    // Who brings the patient.
    (DE, Nothing, "vom sohn, von ihrem sohn, von seinem sohn, von der tochter, von ihrer tochter, von seiner tochter, vom ehemann, von ihrem ehemann, von der ehefrau, von seiner ehefrau, von den kindern"),
    (FR, Cue(Family, FAR, NEXT), "pere, mere, frere, soeur, freres, soeurs, grand mere, grand pere, oncle, tante, cousin, cousine, parents, fratrie, maman, papa, oncles, tantes, cousins, neveu, niece, grands parents"),
    (FR, Cue(Family, NEAR, NO), "son fils, sa fille, ses enfants, son mari, sa femme, son epouse, son epoux, son conjoint, sa conjointe"),
    (FR, Cue(Family, FAR, NO), "antecedents familiaux de, antecedents familiaux d, antecedent familial de, antecedent familial d, antecedents familiaux, histoire familiale de, histoire familiale d, contexte familial de, contexte familial d, notion familiale de, un fils a, un fils avec, fils avec, une fille a, une fille avec, mari a, mari avec"),
    (FR, Cue(Family, FAR, NEAR), "dans la famille"),
    (ES, Cue(Family, FAR, NEXT), "padre, madre, hermano, hermana, hermanos, hermanas, abuelo, abuela, abuelos, tio, tia, primo, padres"),
    (ES, Cue(Family, FAR, NO), "antecedentes familiares de, antecedentes familiares, historia familiar de, familiar con, familiares con, hijo con, hija con, hijo tiene, hija tiene, marido con, marido tiene, esposa con, esposa tiene"),
    (ES, Cue(Family, FAR, NEAR), "en la familia"),
    (IT, Cue(Family, FAR, NEXT), "padre, madre, fratello, sorella, fratelli, sorelle, nonno, nonna, nonni, zio, zia, cugino, cugina, genitori"),
    (IT, Cue(Family, FAR, NO), "familiarita per, anamnesi familiare, anamnesi familiare positiva per, figlio ha, figlia ha, figlio con, figlia con, figlio affetto da, figlia affetta da, marito con, marito ha, moglie con, moglie ha"),
    (IT, Cue(Family, FAR, NEAR), "in famiglia"),
    (NL, Cue(Family, FAR, NEXT), "vader, moeder, broer, broers, zus, zussen, opa, oma, oom, tante, ouders, grootmoeder, grootvader, neef"),
    (NL, Cue(Family, FAR, NO), "familieanamnese, familiair, familiaire belasting met, zoon heeft, zoon met, dochter heeft, dochter met, broertje heeft, zusje heeft, echtgenoot heeft, echtgenote heeft"),
    (NL, Cue(Family, FAR, NEAR), "in de familie"),
    (PT, Cue(Family, FAR, NEXT), "pai, mae, irmao, irma, irmaos, avo, tio, tia, pais, primo, prima"),
    (PT, Cue(Family, FAR, NO), "historia familiar de, historia familiar, antecedentes familiares de, antecedentes familiares, filho com, filha com, filho tem, filha tem, marido com, marido tem, esposa com, esposa tem"),
    (PT, Cue(Family, FAR, NEAR), "na familia"),

    (EN, Cue(Family, NEAR, NO), "in his class, in her class, in their class"),
    (DE, Cue(Family, NEAR, NO), "in seiner klasse, in ihrer klasse, in der klasse"),
    (FR, Cue(Family, NEAR, NO), "dans sa classe, dans la classe"),
    (ES, Cue(Family, NEAR, NO), "en su clase, en clase hay"),
    (IT, Cue(Family, NEAR, NO), "nella sua classe, in classe"),
    (NL, Cue(Family, NEAR, NO), "in zijn klas, in haar klas, in de klas"),
    (PT, Cue(Family, NEAR, NO), "na turma, na sua turma"),
    // What goes round where a child is, behind a colon: "Kita: Scharlach".
    (EN, Cue(Family, FAR, NO), "nursery:, daycare:, day care:"),
    (DE, Cue(Family, FAR, NO), "kita:, kindergarten:, krippe:"),
    (FR, Cue(Family, FAR, NO), "creche:, ecole maternelle:"),
    (ES, Cue(Family, FAR, NO), "guarderia:"),
    (IT, Cue(Family, FAR, NO), "asilo:, nido:"),
    (NL, Cue(Family, FAR, NO), "kdv:, creche:, kinderdagverblijf:"),
    (PT, Cue(Family, FAR, NO), "creche:, infantario:"),
    // Who has it as well: "Mann auch Durchfall".
    (DE, Cue(Family, NEXT, NO), "mann auch, frau auch, mann zuhause auch, mann zuh auch, mann zuh. auch, frau zuh. auch, sohn auch, tochter auch, mann ebenfalls, frau ebenfalls, kinder auch"),
    (FR, Cue(Family, NEXT, NO), "mari aussi, femme aussi, fils aussi, fille aussi, enfants aussi"),
    (ES, Cue(Family, NEXT, NO), "marido tambien, mujer tambien, hijo tambien, hija tambien"),
    (IT, Cue(Family, NEXT, NO), "marito anche, moglie anche, figlio anche, figlia anche"),
    (NL, Cue(Family, NEXT, NO), "man ook, vrouw ook, zoon ook, dochter ook, kinderen ook"),
    (PT, Cue(Family, NEXT, NO), "marido tambem, mulher tambem, filho tambem, filha tambem"),
    (ES, Person, "companero de piso, companera de piso, companero de trabajo, companera de trabajo, companero de clase, companera de clase, conviviente"),
    (FR, Person, "colocataire, colocatrice"),
    (IT, Person, "coinquilino, coinquilina, mamma, babbo, collega"),
    (DE, Person, "mitbewohner, mitbewohnerin, mama, papa"),
    (NL, Person, "huisgenoot, huisgenote, mama"),
    (PT, Person, "colega de casa, colega de quarto, colega de turma"),

    // None of these.
    (EN, Nothing, "warned by, clinical hx, interval hx, presenting hx, hx from, hx per, hx obtained, hx limited, interval history, clinical history"),
    // What cannot be borne is there.
    (EN, Nothing, "cannot stand, can't stand, cannot bear, can't bear, cannot tolerate, can't tolerate, not tolerate the"),
    (DE, Nothing, "nicht auszuhalten, nicht mehr aushalten, nicht mehr ertragen"),
    (FR, Nothing, "ne supporte plus, ne supporte pas, n'en peut plus"),
    (ES, Nothing, "no aguanto, no aguanta, no soporto, no soporta"),
    (IT, Nothing, "non sopporta, non sopporto, non ne puo piu"),
    (NL, Nothing, "niet uit te houden, niet te harden"),
    (PT, Nothing, "nao aguento, nao aguenta, nao suporto, nao suporta"),
    (FR, Drug(Negated, NO, NEAR), "non pris, non prise, non prises, pas pris, pas prise"),
    (ES, Drug(Negated, NO, NEAR), "no tomado, no tomada, no lo toma, no la toma"),
    (IT, Drug(Negated, NO, NEAR), "non assunto, non assunta, non assume"),
    (DE, Drug(Negated, NO, NEAR), "nicht eingenommen, nicht genommen"),
    (NL, Drug(Negated, NO, NEAR), "niet ingenomen"),
    (PT, Drug(Negated, NO, NEAR), "nao tomado, nao tomada, nao tomou"),
    // "Hepatitis, which?"
    (ALL, Nothing, "which ?, welche ?, welcher ?, laquelle ?, lequel ?, quel ?, quelle ?, cual ?, cuales ?, quale ?, quali ?, welke ?, qual ?, quais ?, type ?, typ ?, tipo ?"),
    (NL, Cue(Negated, NO, NEAR), "neen"),
    // Of studies without contrast, and of what is done without complications.
    (EN, Nothing, "without contrast, without iv contrast, without intravenous contrast, without oral contrast, without gadolinium, w/o contrast, w/o iv contrast, w/o gadolinium, w/out contrast, without and with contrast, without contrast enhancement"),
    (DE, Nothing, "ohne km, ohne kontrast, ohne kontrastmittel, ohne kontrastmittelgabe, ohne km-gabe, ohne iv km"),
    (FR, Nothing, "sans injection, sans contraste, sans produit de contraste, sans pdc, sans iv"),
    (ES, Nothing, "sin contraste, sin civ, sin contraste iv, sin medio de contraste"),
    (IT, Nothing, "senza mdc, senza mezzo di contrasto, senza contrasto, senza m.d.c."),
    (NL, Nothing, "zonder contrast, zonder contrastmiddel, zonder contrastvloeistof"),
    (PT, Nothing, "sem contraste, sem contraste ev, sem contraste iv, sem meio de contraste"),
    // Treatment that is not taken says nothing of what it is for.
    (DE, Stop, "medikamente gegen, medikation gegen, therapie gegen, behandlung gegen, tabletten gegen"),
    (FR, Stop, "traitement pour, traitements pour, medicament pour, medicaments pour, traitement contre"),
    (ES, Stop, "tratamiento para, medicacion para, medicamentos para, terapia para, tratamiento contra"),
    (IT, Stop, "terapia contro, farmaci contro"),
    (NL, Stop, "behandeling voor, medicatie voor, medicijnen voor, therapie voor, behandeling tegen, medicatie tegen"),
    (PT, Stop, "tratamento para, medicacao para, medicamentos para, terapia para, remedio para"),
    // What was not found out about something, or has not changed of it.
    (EN, Nothing, "no etiology of, no clear etiology of, no aetiology of, no clear aetiology of, no clear cause of, no clear cause for, no obvious cause of, no obvious cause for, no identifiable cause of, no clear source of, no obvious source of, no identifiable source of, no difference in, no significant difference in, no differences in"),
    (ALL, Nothing, "yes/no, y/n, ja/nein, j/n, oui/non, o/n, si/no, s/n, ja/nee, sim/nao"),
    (EN, Nothing, "but not limited to, but are not limited to, but is not limited to, not limited to, gram negative, gram neg, triple negative, er negative, pr negative, her2 negative, false negative, coagulase negative, rh negative, rh neg, no change, no changes, no increase, no decrease, no improvement, no significant change, no interval change, no significant interval change,
        not only, not necessarily, without difficulty, not drain, no longer needs, no doubt, no need, not well controlled, not controlled, not adequately controlled, not tolerating, not improving, not improved, not responding, not resolved, has not resolved, not yet resolved,
        not significantly changed, no cause, no cause of, no source of, no reason, non -, not feel, not want, not known to, not aware, no problem with, no problems with, no difficulty with, not worse, no worse, no better, not better, no relief, without relief, not relieved by, not due to, not secondary to, not associated with,
        no response to, no treatment, not treated, no treatment for, no meds, not take, not taking, not on, off, no show, not sure, no worsening, no progression, no further progression, no further worsening, no interval increase, no interval progression, no reduction, no growth of, no deterioration, no exacerbation, no exacerbations,
        no recent exacerbation, no recent exacerbations, no acute exacerbation, no enlargement, no flare, no flares, no recent flare, no effect on, no complications of, no complications from, no sequelae, no response of, no evidence that, not deny, does not deny, did not deny, do not deny,
        doesn't deny, didn't deny, cannot deny, can't deny, not without, never without, died after, died due to, died from, died because of, died secondary to, passed away due to, passed away from, passed away because of, infant of diabetic mother, infant of a diabetic mother, mother of two, mother of three, mother of 2, mother of 3, father of two, father of three, father of 2, father of 3, grandmother of, grandfather of,
        single parent, single parents, single mother, single father, single mum, single mom, single dad, young mother, young father, first time mother, first time father, not explain, not explained by, not relieve, not relieved, not improve, not improved by, not treat, not control, not cleared, not clear the, not recovered from, not coping with, not cause, not alleviate, not resolve, not help,
        no memory of, no recollection of, no recall of, without improvement, without resolution, no resolution,
        history of present illness, history and physical, history from, history obtained, social history,
        year old, years old, yr old, yrs old, month old, months old, week old, weeks old, day old, days old, y old, yo, prior to, previous to, previous day, past week, past month, past day, past few, past year, past 2, past 3, past 24,
        if not, as if, see if, check if, risk factors, low risk, old records, previous records, likely related to, consider starting, consider adding, known history, previously noted, previously described, previously seen, previously identified, previously known, new onset, could be related to, may be related to, might be related to, when possible, as soon as possible, if possible, if needed, if indicated, if necessary, if able, as possible, if tolerated, as likely, may have been, mother baby, maternal age, paternal age, evidence for,
        year-old, month-old, week-old, day-old, yr-old, may have to, without complication, without complications, positive history of, previously healthy, previously well, previously fit, cleared for, cleared by, cleared to, old and"),
    (DE, Nothing, "keine zunahme, kein ruckgang, keine verschlechterung, keine progression, kein progress, keine exazerbation, kein anstieg, nicht nur, keine anderung, keine veranderung, kein zweifel, ohne probleme, gram negativ, nicht ausreichend, nicht kontrolliert, nicht nur, im alter, alter von, jahre alt, keine besserung, vor allem, keine ursache, nicht -"),
    (FR, Nothing, "pas que, n'a pas soulage, n'a pas ameliore, n'a pas calme, pas soulage, pas d'augmentation, pas d'aggravation, sans changement, sans aggravation, sans amelioration, sans modification, pas de progression, non seulement, pas de changement, pas seulement, sans difficulte, pas de modification, gram negatif, pas d'amelioration, si besoin, si necessaire, si possible, non insulino dependant, nie pas, non a petites cellules"),
    (ES, Nothing, "no alivio, no alivia, no mejoro, no calmo, no hay mejoria, no hay cambios, sin aumento, sin empeoramiento, sin progresion, sin cambios, no solo, sin dificultad, gram negativo, si precisa, si es necesario, si es posible, no controlada, no controlado, mal controlada, sin mejoria, no mejora, no insulinodependiente, desde hace, de hace"),
    (IT, Nothing, "non ha alleviato, non allevia, non ha migliorato, non ha risolto, nessun miglioramento, nessun aumento, nessun peggioramento, nessuna progressione, nessuna variazione, non variazioni, non solo, senza difficolta, gram negativo, se necessario, se possibile, non controllata, non controllato, non insulino dipendente, non varia"),
    (NL, Nothing, "geen toename, geen verbetering, geen verslechtering, geen progressie, niet alleen, geen verandering, zonder problemen, gram negatief, indien nodig, indien mogelijk, niet insuline afhankelijk, jaar oud, jarige oude, niet -"),
    (PT, Nothing, "nao aliviou, nao alivia, nao melhorou, sem alteracao, sem melhoria, sem agravamento, sem aumento, sem progressao, sem alteracoes, nao so, sem dificuldade, gram negativo, se necessario, se possivel, nao controlada, nao controlado, sem melhora"),

    // Ends.
    (ALL, Stop, PRESENT_BEGINS),
    (EN, Stop, "+ve"),
    (EN, Stop, "since, following a, following an, following the, following his, following her, with residual, with known, now with, now presents, and a, and an, to explain, to account for, but, however, although, though, except, except for, aside from, apart from, other than, yet, nevertheless, whereas, because, because of, secondary to, due to, caused by, as a cause of, as the cause of, for, otherwise, reports, endorses, admits, complains, presents, presented, presenting with, ;, pending, despite, in the setting of, 2/2, under, attributed to, started on, treated with, managed with, continues to have, continues with, then, after, until, before, when, ->, →, =>"),
    (EN, Stop, "from prior, from previous, from old, from remote, from past, from recent, from known"),
    (EN, Stop, "no pmh, no pmhx, no sig pmh, no sig pmhx, no significant pmh, no significant pmhx, no relevant pmh, no known pmh, no past medical history, no significant past medical history,
        no relevant past medical history, no sig past medical history, no medical history, no significant medical history"),
    (EN, Stop, "at the time of, at time of, p/w, a/w, here with, in ed for, in ed with, in the ed for, in the ed with, adm w/, heart regular, heart rrr, lungs ctab, lungs with, abdomen soft, abdomen with"),
    (EN, EndOf(Negated), "taking, takes, uses, using, has, c/o, complaining of, states, says, describes, described, just"),
    (EN, Clause, CLAUSES),
    (EN, Anew, "he has, she has, they have, he had, she had, he is, she is, they are, patient has, patient is, pt has, pt is"),
    (EN, Clause, "shows, showed, reveals, revealed, demonstrates, demonstrated, continue, start, take, give"),
    (EN, EndOf(Uncertain), "given, based on, in view of, in light of"),
    (EN, EndOf(Historical), "c/o, complaining of, admitted with, admitted for, brought in, sent in, referred for, seen for, evaluated for, transferred with, transferred for, came in, comes in, arrives with, arrived with, who developed, found to have"),
    (EN, Anew, "i, has, had, have, with, positive, noted, notes, now, currently, mild, moderate, severe, mod, new, known, there is, there are, there was, is, was, are, were, did, does, some, +, developed, who, which, found, shows, showed, he, she, they, patient, pt, given, continue, continues, continued, only, small, large, stable, chronic, acute, trace, persistent, ongoing, intermittent, occasional, increased, decreased, worsening, improved, post, started, on, s, bilateral, left, right, b/l, still, multiple, diffuse, marked, significant, well, bp, hr, residual, the, today, repeat, rpt, tonight, this, her, his, fleeting, incidental, main, minimal, slight, prominent, normal"),
    (DE, Stop, "aber, jedoch, sondern, ausser, bis auf, allerdings, dagegen, wegen, aufgrund, bei, ;, im rahmen, trotz, hingegen, bei bekannter, bei bekanntem, infolge, unter, dafur"),
    (DE, Anew, "mit, hat, zeigt, zeigte, besteht, bestehen, bekannte, bekannter, bekanntes, leichte, leichter, massige, neue, deutliche, klagt, berichtet, jedoch, ist, war, patient, patientin, seit, links, rechts, geringe, ausgepragte, chronische, akute, diskrete"),
    (FR, Stop, "a cause d, en raison d, du fait de, du fait d, puis, ensuite"),
    (NL, Stop, "ivm, i.v.m., vanwege, daarna"),
    (PT, Stop, "depois"),
    (ES, Stop, "luego, despues"),
    (IT, Stop, "poi, a causa d"),
    (DE, Stop, "danach, dann, anschliessend"),
    (DE, Anew, "jetzt, nun, aktuell, heute"),
    (PT, Anew, "apresentou, teve, agora, atualmente, hoje"),
    (ES, Anew, "presento, tuvo, ahora, actualmente, hoy"),
    (FR, Anew, "maintenant, actuellement"),
    (IT, Anew, "ora, attualmente, oggi"),
    (FR, Stop, "a cause de, mais, cependant, toutefois, sauf, hormis, hors, en dehors de, en raison de, par contre, malgre, ;, du a, lie a, secondaire a, dans le cadre de"),
    (FR, Anew, "avec, presente, patient, patiente, connu, connue, leger, legere, modere, moderee, on note, on retrouve, a, est, depuis, chronique, aigu, aigue, discret, discrete"),
    (ES, Stop, "pero, sin embargo, excepto, salvo, aunque, debido a, por, ;, secundario a, secundaria a, en contexto de, a pesar de"),
    (ES, Anew, "con, presenta, refiere, leve, moderado, moderada, conocida, conocido, se observa, tiene, paciente, es, desde, cronica, aguda, discreta"),
    (IT, Stop, "ma, tuttavia, eccetto, tranne, salvo, a causa di, per, dovuto a, dovuta a, ;, secondario a, secondaria a, nonostante, in corso di"),
    (IT, Anew, "con, presenta, riferisce, lieve, moderata, moderato, nota, noto, si osserva, ha, paziente, e presente, da, cronica, acuta, modesta"),
    (NL, Stop, "maar, echter, behalve, hoewel, wegens, door, bij, wel, ;, op basis van, ten gevolge van, ondanks, in het kader van"),
    (NL, Anew, "met, heeft, lichte, matige, bekende, bekend, is, was, patient, patiente, sinds, chronische, acute, nu"),
    (PT, Stop, "mas, porem, exceto, salvo, devido a, por, ;, secundario a, secundaria a, apesar de, no contexto de"),
    (PT, Anew, "com, apresenta, refere, leve, moderada, moderado, conhecida, conhecido, tem, doente, paciente, desde, cronica, aguda"),
    // The left side.
    (ALL, Nothing, "sin."),
    // How notes of many specialties say it in passing.
    (EN, Nothing, "main prob, main problem, presenting prob, prob:, probs:"),
    (EN, Cue(Family, FAR, NEXT), "grandad, granddad, granny"),
    (EN, Cue(Historical, NO, NEAR), "as neonate, as a neonate, as newborn, as a newborn, as infant, as an infant, as a teenager, in adolescence, in early childhood"),
    (EN, Cue(Uncertain, NO, NEAR), "needs excluding, need excluding, needs to be excluded, need to be excluded, needs ruling out, to be confirmed, yet to be confirmed, can't be distinguished, cannot be distinguished, can not be distinguished"),
    (DE, Cue(Uncertain, NO, NEAR), "im verlauf ausschliessen, i. verl. ausschl., im verlauf auszuschliessen, noch auszuschliessen, noch ausschliessen"),
    (DE, Cue(Hypothetical, FAR, NO), "aufkl.:, aufklarung:, aufgeklart uber, aufklarung uber"),
    (DE, Cue(Historical, NO, NEAR), "im sauglingsalter, im kleinkindalter, als saugling, als kleinkind, als jugendliche, als jugendlicher, im jugendalter"),
    (FR, Cue(Hypothetical, NO, NEXT), "vaccine, vaccinee, a guetter"),
    (FR, Cue(Uncertain, NO, NEXT), "a chercher, a rechercher"),
    (FR, Cue(Uncertain, NEAR, NO), "hemocultures en cours pour, serologie en cours pour, serologies en cours pour"),
    (FR, Cue(Negated, NO, NEAR), "jamais eu, jamais eue"),
    (FR, Cue(Family, NEAR, NO), "sa compagne, son compagnon, sa conjointe, son conjoint"),
    (FR, Cue(Historical, NEAR, NO), "a deja eu"),
    (ES, Cue(Historical, NO, NEAR), "en infancia, en la adolescencia"),
    (ES, Cue(Historical, NEAR, NO), "ya tuvo, ya ha tenido"),
    (PT, Cue(Uncertain, NO, NEAR), "menos provavel, menos prov, menos provaveis"),
    (ES, Cue(Uncertain, NO, NEAR), "menos probable, menos probables"),
    (FR, Cue(Uncertain, NO, NEAR), "moins probable, moins probables"),
    (IT, Cue(Uncertain, NO, NEAR), "meno probabile, meno probabili"),
    (NL, Cue(Uncertain, NO, NEAR), "minder waarschijnlijk, minder wrsch"),
    (DE, Cue(Uncertain, NO, NEAR), "weniger wahrscheinlich"),
    (IT, Cue(Negated, FAR, NO), "indenne da, indenni da"),
    (IT, Cue(Uncertain, FAR, NO), "ddx"),
    (IT, Cue(Historical, NO, NEAR), "nell'infanzia, in eta pediatrica, in adolescenza"),
    (IT, Cue(Family, FAR, NEXT), "mamma:, papa:, madre:, padre:"),
    (NL, Cue(Uncertain, NEAR, NO), "evt, evt."),
    (NL, Cue(Uncertain, NO, NEAR), "als dd, niet duidelijk, uitsluiten, nog uitsluiten"),
    (NL, Cue(Hypothetical, NEXT, NO), "kans, kans op"),
    (NL, Cue(Negated, NO, NEXT), "niet afw, niet afwijkend"),
    (NL, Cue(Family, NEAR, NO), "mat., maternale"),
    (PT, Cue(Historical, NEAR, NO), "ja teve"),
    (PT, Cue(Family, FAR, NO), "esposa c/, esposa com, esposa teve, esposa tem, marido c/, marido com, marido teve, marido tem, vizinho com, vizinho c/, vizinha com, vizinha c/, vizinho internado, vizinha internada, colega com, colega c/"),
    (PT, Nothing, "c/ sinais de alarme, com sinais de alarme, s/ sinais de alarme, sem sinais de alarme"),
    (ES, Nothing, "con signos de alarma, sin signos de alarma"),
    // Unlikely is not absent: nothing was excluded.
    (EN, Cue(Uncertain, NEAR, NO), "unlikely due to, unlikely from, unlikely secondary to, unlikely 2/2, not likely due to"),
    (EN, Cue(Uncertain, NO, NEAR), "is improbable, improbable"),
    (EN, Cue(Uncertain, NEXT, NO), "unlikely to be, is unlikely to be, are unlikely to be, unlikely to have, unlikely to represent, is unlikely to represent, not likely to be, is not likely to be, not likely to have"),
    (EN, Cue(Uncertain, NEAR, NO), "unlikely, not likely, very unlikely, highly unlikely, low probability of, low probability for, low likelihood of, low likelihood for, low pretest probability of, low pretest probability for, low pre-test probability of, low pre-test probability for"),
    (EN, Cue(Uncertain, NO, NEAR), "unlikely, is unlikely, not likely, felt to be unlikely, thought to be unlikely, considered unlikely, deemed unlikely, seems unlikely, very unlikely, highly unlikely"),
    (DE, Cue(Uncertain, NO, NEAR), "unwahrscheinlich"),
    (FR, Cue(Uncertain, NO, NEAR), "peu probable, improbable"),
    (ES, Cue(Uncertain, NO, NEAR), "poco probable, improbable, muy improbable"),
    (IT, Cue(Uncertain, NO, NEAR), "poco probabile, improbabile, molto improbabile"),
    (NL, Cue(Uncertain, NO, NEAR), "onwaarschijnlijk, niet waarschijnlijk, niet wrsch, niet wsch"),
    (PT, Cue(Uncertain, NO, NEAR), "pouco provavel, pouco prov, improvavel, muito improvavel"),
    (EN, Cue(Family, FAR, NO), "dtr has, dtr had, dtr with, dtr recently dx, bystander has, bystander with"),
    (DE, Cue(Uncertain, FAR, NO), "verdachtsdg:, verdachtsdg.:, verdachtsdiagnose:, verdachtsdiagnosen:"),
    (DE, Cue(Uncertain, NO, NEAR), "mogl., mogl"),
    (DE, Cue(Negated, NO, NEAR), "glaubh. verneint, derzeit glaubh. verneint, aktuell glaubh. verneint"),
    (IT, Cue(Uncertain, NO, NEAR), "da considerare"),
    (PT, Cue(Historical, NO, NEXT), "em cca"),
    (EN, Cue(Uncertain, NEAR, NO), "slt thinks"),
];

/// The words of an entry, as those of a text are split.
fn words(entry: &'static str) -> Vec<&'static str> {
    super::words(entry)
        .map(|span| entry.get(span.range()).unwrap_or_default())
        .collect()
}

fn entries(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// All entries, by their first word; longer ones first.
pub(super) static LEXICON: LazyLock<HashMap<&'static str, Vec<Entry>>> = LazyLock::new(|| {
    let mut by_name: HashMap<&'static str, Entry> = HashMap::new();
    let over = OVER.map(|(languages, list)| (languages, Cue(Historical, NO, NEAR), list));
    for (languages, role, list) in ENTRIES.iter().chain(&over) {
        for name in entries(list) {
            let entry = by_name.entry(name).or_insert_with(|| Entry {
                words: words(name),
                roles: Vec::new(),
                name,
            });
            entry.roles.push((*languages, *role));
        }
    }
    let mut by_word: HashMap<&'static str, Vec<Entry>> = HashMap::new();
    for entry in by_name.into_values() {
        if let Some(first) = entry.words.first() {
            by_word.entry(first).or_default().push(entry);
        }
    }
    for entries in by_word.values_mut() {
        entries.sort_by_key(|entry| (std::cmp::Reverse(entry.words.len()), entry.name));
    }
    by_word
});

/// The entries of lists.
pub(super) fn set(lists: &[&'static str]) -> HashSet<&'static str> {
    lists.iter().flat_map(|list| entries(list)).collect()
}

/// Who comes with a patient.
static NEXT_OF_KIN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    set(&[
        "husband, wife, son, daughter, spouse, partner, fille, femme, frau, mann, mujer, mulher, vrouw, man",
    ])
});

/// Whether somebody who does this tells of the patient.
pub(super) fn reports(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| set(REPORTS));
    WORDS.contains(word)
}

/// Whether a relative behind this word only tells, or is only there.
pub(super) fn is_per(word: &str) -> bool {
    static WORDS: LazyLock<HashSet<&'static str>> = LazyLock::new(|| set(PER));
    WORDS.contains(word)
}

/// Whether a word names a relative, or somebody else of whom a clause may tell: "husband", "fille".
pub(super) fn is_somebody(word: &str) -> bool {
    let told = |entry: &Entry| {
        let mut roles = entry.roles.iter();
        entry.words.last() == Some(&word) && roles.any(|(_, role)| matches!(role, Cue(Family, ..) | Person))
    };
    is_relative(word)
        || NEXT_OF_KIN.contains(word)
        || LEXICON.get(word).is_some_and(|entries| entries.iter().any(told))
}

/// Whether a word names a relative, or the family.
pub(super) fn is_relative(word: &str) -> bool {
    let family = |entry: &Entry| {
        let mut roles = entry.roles.iter();
        entry.words.len() == 1 && roles.any(|(_, role)| matches!(role, Cue(Family, _, _)))
    };
    FAMILY.contains(&word)
        || LEXICON
            .get(word)
            .is_some_and(|entries| entries.iter().any(family))
}
