//! Endings of words of Greek and Latin origin in other languages, and what English has for them.

use mednerd_languages::{DE, ES, FR, IT, Languages, NL, PT};

/// Of each language its endings, in plural, other genders and cases too, and the English ones that each may be, the likelier first.
type Endings = &'static [(&'static [&'static str], &'static [&'static str])];

const GERMAN: Endings = &[
    (&["itiden", "itis"], &["itis"]),
    (&["osen", "ose"], &["osis", "ose"]),
    (&["asen", "ase"], &["asis", "ase"]),
    (&["esen", "ese"], &["esis", "ese"]),
    (&["ysen", "yse"], &["ysis"]),
    (&["ien", "ie"], &["ia", "y", "e"]),
    (&["ionen", "ion"], &["ion"]),
    (&["itaeten", "itaet"], &["ity"]),
    (&["enzen", "enz"], &["ency", "ence"]),
    (&["anzen", "anz"], &["ancy", "ance"]),
    (&["ismus", "ismen"], &["ism"]),
    (&["omes", "omen", "ome", "oms", "om"], &["oma", "ome"]),
    (&["eme", "ems", "emen", "em"], &["ema"]),
    (
        &["ische", "ischer", "ischen", "isches", "ischem", "isch"],
        &["ic", "ical"],
    ),
    (&["ale", "aler", "alen", "ales", "alem", "al"], &["al"]),
    (
        &["aere", "aerer", "aeren", "aeres", "aerem", "aer"],
        &["ary", "ar"],
    ),
    (
        &["oese", "oeser", "oesen", "oeses", "oesem", "oes"],
        &["ous", "osal", "otic"],
    ),
    (&["ive", "iver", "iven", "ives", "ivem", "iv"], &["ive"]),
    (&["oide", "oider", "oiden", "oides", "oid"], &["oid"]),
    (&["ierte", "ierter", "ierten", "iertes", "iert"], &["ated", "ed"]),
    (&["iden", "ide", "id"], &["ide"]),
    (&["atosen", "atose"], &["atosis"]),
];

const DUTCH: Endings = &[
    (&["itiden", "itis"], &["itis"]),
    (&["osen", "ose"], &["osis", "ose"]),
    (&["asen", "ase"], &["asis", "ase"]),
    (&["ese", "esen"], &["esis"]),
    (&["yse", "ysen"], &["ysis"]),
    (&["tieen", "ties", "tie"], &["tion", "cy", "ce", "tia"]),
    (&["sieen", "sies", "sie"], &["sion", "sia", "sy"]),
    (&["xie", "xies"], &["xia", "xion"]),
    (&["ieen", "ien", "ies", "ie"], &["ia", "y", "e"]),
    (&["iteiten", "iteit"], &["ity"]),
    (&["ismen", "isme"], &["ism"]),
    (&["omen", "oom"], &["oma", "ome"]),
    (&["emen", "eem"], &["ema", "em"]),
    (&["ische", "isch"], &["ic", "ical"]),
    (&["ale", "aal"], &["al"]),
    (&["aire", "air"], &["ary", "ar"]),
    (&["euze", "eus"], &["ous", "osal"]),
    (&["ieve", "ief"], &["ive"]),
    (&["oide", "oid"], &["oid"]),
    (&["eerde", "eerd"], &["ated", "ed"]),
    (&["ree"], &["rea", "rhea"]),
];

const FRENCH: Endings = &[
    (&["ites", "ite"], &["itis", "ity", "ite"]),
    (&["oses", "ose"], &["osis", "ose"]),
    (&["ases", "ase"], &["asis", "ase"]),
    (&["eses", "ese"], &["esis"]),
    (&["yses", "yse"], &["ysis"]),
    (&["ies", "ie"], &["ia", "y", "e"]),
    (&["ances", "ance"], &["ance", "ancy"]),
    (&["ences", "ence"], &["ence", "ency"]),
    (&["sances", "sance"], &["ciency", "sance"]),
    (&["ismes", "isme"], &["ism"]),
    (&["omes", "ome"], &["oma", "ome"]),
    (&["emes", "eme"], &["ema", "em"]),
    (&["iques", "ique"], &["ic", "ical"]),
    (&["als", "aux", "ales", "ale", "al"], &["al"]),
    (&["elles", "elle", "els", "el"], &["al", "el"]),
    (&["aires", "aire"], &["ary", "ar"]),
    (&["euses", "euse", "eux"], &["ous", "osal"]),
    (&["ives", "ive", "ifs", "if"], &["ive"]),
    (&["oides", "oide"], &["oid"]),
    (&["iennes", "ienne", "iens", "ien"], &["ian", "ial"]),
    (&["isees", "isee", "ises", "ise"], &["ized"]),
    (&["ees", "ee", "es", "e"], &["ated", "ed", "y"]),
    (&["tions", "tion"], &["tion"]),
    (&["eurs", "eur"], &["or"]),
    (&["aines", "aine"], &["ain", "ane", "aine"]),
];

/// Of Spanish and Portuguese alike.
const IBERIAN: Endings = &[
    (&["encias", "encia"], &["ency", "ence"]),
    (&["ancias", "ancia"], &["ancy", "ance"]),
    (&["ismos", "ismo"], &["ism"]),
    (&["omas", "oma"], &["oma", "ome"]),
    (&["emas", "ema"], &["ema"]),
    (&["icos", "icas", "ico", "ica"], &["ic", "ical"]),
    (&["arios", "arias", "ario", "aria"], &["ary", "aria"]),
    (&["ares", "ar"], &["ar", "ary"]),
    (&["osos", "osas", "oso", "osa"], &["ous", "osal", "osa"]),
    (&["ivos", "ivas", "ivo", "iva"], &["ive"]),
    (&["ados", "adas", "ado", "ada"], &["ated", "ed"]),
    (&["eas", "ea"], &["ea", "eal", "ean"]),
    (&["eos", "eo"], &["eal", "ean", "eous"]),
    (&["ias", "ia"], &["ia", "y", "e"]),
    (&["uras", "ura"], &["ure"]),
];

const SPANISH: Endings = &[
    (&["itis"], &["itis"]),
    (&["osis"], &["osis"]),
    (&["ciones", "cion"], &["tion", "ction"]),
    (&["siones", "sion"], &["sion"]),
    (&["xiones", "xion"], &["xion", "ction"]),
    (&["idades", "idad"], &["ity"]),
    (&["ales", "al"], &["al"]),
    (&["oides", "oide", "oideo", "oidea"], &["oid"]),
    (&["idos", "idas", "ido", "ida"], &["ide", "id", "ed"]),
];

const ITALIAN: Endings = &[
    (&["iti", "ite"], &["itis"]),
    (&["osi"], &["osis"]),
    (&["asi"], &["asis"]),
    (&["esi"], &["esis"]),
    (&["isi"], &["isis", "ysis"]),
    (&["zioni", "zione"], &["tion", "ction"]),
    (&["sioni", "sione"], &["sion"]),
    (&["ita"], &["ity"]),
    (&["enze", "enza"], &["ency", "ence"]),
    (&["anze", "anza"], &["ancy", "ance"]),
    (&["ismi", "ismo"], &["ism"]),
    (&["omi", "oma"], &["oma", "ome"]),
    (&["emi", "ema"], &["ema"]),
    (&["ici", "iche", "ico", "ica"], &["ic", "ical"]),
    (&["ali", "ale"], &["al"]),
    (&["ari", "arie", "ario", "aria"], &["ary", "aria", "ar"]),
    (&["are"], &["ar", "ary"]),
    (&["osi", "ose", "oso", "osa"], &["ous", "osal", "osa", "ose"]),
    (&["ivi", "ive", "ivo", "iva"], &["ive"]),
    (&["oidi", "oide", "oidea", "oideo"], &["oid"]),
    (&["ati", "ate", "ato", "ata"], &["ated", "ate"]),
    (&["ei", "ee", "eo", "ea"], &["eal", "ean", "ea"]),
    (&["ie", "ia"], &["ia", "y", "e"]),
    (&["ure", "ura"], &["ure"]),
];

const PORTUGUESE: Endings = &[
    (&["ites", "ite"], &["itis"]),
    (&["oses", "ose"], &["osis", "ose"]),
    (&["ases", "ase"], &["asis", "ase"]),
    (&["eses", "ese"], &["esis"]),
    (&["ises", "ise"], &["isis", "ysis"]),
    (&["coes", "cao"], &["tion", "ction"]),
    (&["soes", "sao"], &["sion"]),
    (&["xoes", "xao"], &["xion", "ction"]),
    (&["idades", "idade"], &["ity"]),
    (&["ais", "al"], &["al"]),
    (&["oides", "oide", "oideia", "oideo"], &["oid"]),
    (&["eia", "eias"], &["ea", "ia"]),
];

/// The word with English endings for each of its own that it may have, the longest first.
pub(super) fn english(word: &str, language: Languages) -> impl Iterator<Item = String> {
    let endings: &[Endings] = match language {
        DE => &[GERMAN],
        NL => &[DUTCH],
        FR => &[FRENCH],
        ES => &[SPANISH, IBERIAN],
        IT => &[ITALIAN],
        PT => &[PORTUGUESE, IBERIAN],
        _ => &[],
    };
    let mut found: Vec<(&str, &[&str])> = Vec::new();
    for (own, english) in endings.iter().copied().flatten() {
        let cut = own.iter().filter_map(|ending| word.strip_suffix(ending));
        found.extend(cut.map(|root| (root, *english)));
    }
    found.sort_by_key(|(root, _)| root.len());
    found
        .into_iter()
        .flat_map(|(root, english)| english.iter().map(move |ending| format!("{root}{ending}")))
}
