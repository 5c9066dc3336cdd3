//! Short lists of words that the rules ask for by themselves, folded.

/// English words that "non" belongs to: "non STEMI", "non compliant".
#[rustfmt::skip]
pub(super) const NON: [&str; 30] = [
    "stemi", "nstemi", "st", "q", "compliant", "compliance", "adherent", "adherence", "smoker", "verbal",
    "ambulatory", "tender", "distended", "obstructive", "specific", "healing", "hodgkin", "hodgkins", "small",
    "ischemic", "ischaemic", "alcoholic", "diabetic", "traumatic", "displaced", "weight", "operative", "toxic",
    "insulin", "pitting",
];
/// Short forms and words of German, Dutch, Italian and Spanish that are others where nothing tells the language.
#[rustfmt::skip]
pub(super) const UNTOLD: [&str; 7] = [
    "mama", "mamma", "zn", "dd", "vg", "d/c", "falls",
];
/// Words of other languages than English that stay what they are in capitals.
#[rustfmt::skip]
pub(super) const CAPITALS: [&str; 14] = [
    "cave", "kein", "ohne", "sans", "nega", "geen", "noch", "nein", "atcd", "sin", "nee", "nao", "pas", "sem",
];
/// What a cell of a table may have that answers the one before it.
#[rustfmt::skip]
pub(super) const CELLS: [&str; 29] = [
    "no", "none", "negative", "neg", "n", "nil", "denies", "denied", "absent", "nein", "kein", "keine", "nee",
    "geen", "non", "nao", "aucun", "aucune", "yes", "y", "ja", "j", "oui", "si", "sim", "positive", "pos",
    "present", "negativ",
];
/// Cues of which the place decides whether they are said of what stands behind them, or before them.
#[rustfmt::skip]
pub(super) const BEFORE: [&str; 8] = [
    "unlikely", "more likely", "less likely", "not likely", "very unlikely", "highly unlikely", "resolved", "healed",
];
/// What goes on behind those.
#[rustfmt::skip]
pub(super) const GIVEN: [&str; 33] = [
    "given", "to", "in", "that", "because", "due", "as", "with", "based", "since", "at", "for", "cause", "source",
    "after", "by", "on", "now", "following", "over", "within", "without", "from", "than", "w", "s", "b", "before", "prior", "this", "x", "per",
    "d",
];
/// What stands between a drug and the one that is given in its place.
#[rustfmt::skip]
pub(super) const REPLACED: [&str; 31] = [
    "changed to", "switched to", "transitioned to", "converted to", "replaced by", "replaced with", "substituted with", "substituted by",
    "umgestellt auf", "gewechselt auf", "ersetzt durch", "omgezet naar", "vervangen door", "remplace par", "remplacee par", "relaye par",
    "cambiado a", "cambiada a", "cambiado por", "cambiada por", "sustituido por", "sustituida por", "sostituito con", "sostituita con",
    "sostituito da", "sostituita da", "trocado por", "trocada por", "substituido por", "substituida por", "switch to",
];
/// What stands before the one in its place, where the other is named first: "switched from apixaban to warfarin".
#[rustfmt::skip]
pub(super) const REPLACING: [&str; 14] = [
    "to", "auf", "zu", "a", "par", "vers", "por", "con", "naar", "op", "para", "pour", "ad", "door",
];
/// What is done with a drug that is taken.
#[rustfmt::skip]
pub(super) const BEGUN: [&str; 43] = [
    "started", "start", "starting", "commenced", "continued", "continue", "continues", "begun", "began", "initiated", "resumed", "restarted",
    "added", "increased", "changed", "switched", "kept", "iniciou", "iniciado", "iniciada", "iniciamos", "inicia", "inicio", "iniziato", "iniziata",
    "inizia", "iniziamo", "begonnen", "gestart", "gestartet", "angesetzt", "debute", "introduit", "instaure", "poursuivi", "continua", "mantem",
    "mantiene", "fortgefuhrt", "weiter", "weitergegeben", "gecontinueerd", "mantido",
];
/// What heads a list of drugs that are stopped.
#[rustfmt::skip]
pub(super) const STOPPED: [&str; 22] = [
    "stopped", "discontinued", "ceased", "held", "withheld", "abgesetzt", "abgesetzte", "pausiert", "gestopt", "gestopte", "gestaakt", "arrete",
    "arretes", "suspendido", "suspendida", "suspendidos", "sospeso", "sospesa", "sospesi", "suspenso", "suspensos", "suspensa",
];
/// What is said of what stands before it, but where it begins something.
#[rustfmt::skip]
pub(super) const OF_WHAT: [&str; 11] = [
    "in his family", "in her family", "in their family", "in the family", "in family members", "in der familie", "na familia", "en la familia",
    "in famiglia", "dans la famille", "in de familie",
];
/// What stands before a drug that somebody is on.
#[rustfmt::skip]
pub(super) const TAKING: [&str; 11] = [
    "on", "takes", "taking", "mit", "unter", "sous", "avec", "con", "com", "met", "sob",
];
/// What is old in Spanish and Portuguese, before what it is said of, or right behind it.
pub(super) const OF_EITHER: [&str; 12] = [
    "ancien",
    "ancienne",
    "anciens",
    "anciennes",
    "antiguo",
    "antigua",
    "antigo",
    "antiga",
    "previo",
    "previa",
    "previos",
    "previas",
];
/// What stands between a relative, or an illness, and whose that is, or where.
#[rustfmt::skip]
pub(super) const GENITIVES: [&str; 18] = [
    "de", "del", "della", "dell", "des", "der", "da", "do", "van", "du", "delle", "dei", "degli", "dello", "di", "das", "dos", "d",
];
/// What says when somebody shall come back.
pub(super) const ADVISING: [&str; 9] = [
    "bei", "falls", "wenn", "sollte", "sollten", "bij", "als", "indien", "wanneer",
];
/// What is prior and says nothing of what is seen now.
#[rustfmt::skip]
pub(super) const STUDIES: [&str; 17] = [
    "study", "studies", "exam", "examination", "film", "films", "radiograph", "radiographs", "auth", "authorization", "ct", "mri", "cxr", "imaging",
    "scan", "xr", "ultrasound",
];
/// Short forms that may well end a sentence.
#[rustfmt::skip]
pub(super) const ENDING_SENTENCES: [&str; 9] = ["hx", "rx", "meds", "etc", "bilat", "hr", "hrs", "ext", "\u{f8}"];
/// What something has stopped by, or when.
#[rustfmt::skip]
pub(super) const BY: [&str; 22] = [
    "with", "after", "by", "following", "on", "for", "when", "in", "due", "because", "since", "given", "at", "per", "secondary", "last",
    "this", "prior", "yesterday", "today", "from", "during",
];
/// Who denies, in words that stand before what is denied or, behind a colon, behind it.
#[rustfmt::skip]
pub(super) const DENIES: [&str; 7] = [
    "denies", "deny", "niega", "nega", "ontkent", "verneint", "refuse",
];
/// Who says behind a bracket that a relative before it has something himself: "husband (himself chest pain)".
#[rustfmt::skip]
pub(super) const HIMSELF: [&str; 24] = [
    "(himself", "(herself", "(he himself", "(she herself", "(themselves", "(er selbst", "(sie selbst", "(selbst", "(lui-meme", "(elle-meme",
    "(lui meme", "(elle meme", "(el mismo", "(ella misma", "(lui stesso", "(lei stessa", "(hijzelf", "(zijzelf", "(hij zelf", "(zij zelf",
    "(zelf", "(ele mesmo", "(ela mesma", "(ele proprio",
];
/// What answers a question of a form, where the next one stands behind it.
#[rustfmt::skip]
pub(super) const ANSWERS: [&str; 18] = [
    "no", "non", "nao", "nein", "nee", "none", "denies", "deny", "denied", "negative", "neg", "absent", "niega", "nega", "ontkent",
    "verneint", "nie", "n",
];
/// What a model may take for part of what is denied: "geen koorts".
#[rustfmt::skip]
pub(super) const DENYING: [&str; 14] = [
    "geen", "kein", "keine", "keinen", "keinem", "keiner", "ohne", "sans", "sin", "sem", "senza", "zonder", "\u{f8}", "without",
];
/// Whose a relative is, who stands behind one of these and behind who tells: "with her mother".
#[rustfmt::skip]
pub(super) const POSSESSIVES: [&str; 35] = [
    "his", "her", "their", "the", "s", "der", "die", "den", "dem", "seiner", "ihrer", "sa", "son", "ses", "le", "la", "les", "l", "su", "sus",
    "los", "las", "el", "il", "i", "suoi", "sue", "sua", "seu", "seus", "zijn", "haar", "de", "een", "os",
];
/// What is old and says nothing of what it is named with, or is old and still there to see.
#[rustfmt::skip]
pub(super) const NOT_OLD: [&str; 34] = [
    "lacunen", "lakunen", "narbe", "narben", "littekens",
    "man", "woman", "male", "female", "lady", "gentleman", "boy", "girl", "patient", "pt", "age", "x", "films",
    "imaging", "chart", "cxr", "notes", "with", "bruise", "bruises", "bruising", "lacune", "lacunes", "scar",
    "scars", "scarring", "haematoma", "hematoma", "blood",
];
/// How words end that tell of what kind a history is, "no documented history of", "no cardiac history of", and some whole ones.
#[rustfmt::skip]
pub(super) const ADJECTIVES: [&str; 12] = [
    "ac", "al", "ic", "ary", "ous", "ive", "ent", "ant", "ar", "ed", "able", "ior",
];
#[rustfmt::skip]
pub(super) const KINDS: [&str; 18] = [
    "any", "known", "prior", "past", "clear", "other", "definite", "psych", "a", "the", "of", "no", "true", "previa", "prev", "sig", "fam",
    "pmh",
];
/// What is denied, and a mention of nothing that is looked for.
#[rustfmt::skip]
pub(super) const NAMED: [&str; 18] = [
    "distress", "complaints", "complaint", "issues", "problems", "concerns", "changes", "events", "trauma", "allergies", "meds",
    "medications", "deficits", "surgeries", "injury", "injuries", "contacts", "travel",
];
/// What sizes and doses are counted in, at the end of a sentence.
#[rustfmt::skip]
pub(super) const MEASURES: [&str; 9] = ["mg", "g", "mcg", "ml", "l", "mm", "cm", "kg", "cc"];
/// Days, hours, weeks, years and tablets, as one letter, in seven languages.
pub(super) const TIMES: [&str; 9] = ["d", "h", "w", "y", "j", "a", "t", "m", "s"];
/// Left and right, as one letter.
pub(super) const SIDES: [&str; 4] = ["l", "r", "g", "d"];
/// How drugs are given: "p.o.", "i.v."
pub(super) const WAYS: [(&str, &str); 4] = [("p", "o"), ("i", "v"), ("s", "c"), ("i", "m")];
/// What names nothing between a cue and what it is said of.
#[rustfmt::skip]
pub(super) const FILLING: [&str; 23] = [
    "'", "ha", "hanno", "avuto", "that", "been", "he", "she", "they", "patient", "pt", "any", "currently", "ever", "the", "is", "was", "a", "an",
    "also", "either", "now", ":",
];
/// What may stand before an item of a list.
#[rustfmt::skip]
pub(super) const SITES: [&str; 14] = [
    "calf", "pedal", "facial", "abdominal", "chest", "neck", "back", "leg", "arm", "ankle", "lower", "upper",
    "extremity", "joint",
];
/// What may stand behind the last item of a list.
#[rustfmt::skip]
pub(super) const ENDING: [&str; 11] = [
    "at", "this", "time", "on", "exam", "examination", "reported", "seen", "identified", "appreciated", "the",
];
/// The same, where that is one of several; of one alone these say that it is there.
#[rustfmt::skip]
pub(super) const NOW: [&str; 7] = [
    "today", "noted", "present", "now", "currently", "moment", "recently",
];
/// How words begin that are told together, and denied together.
#[rustfmt::skip]
pub(super) const GROUPS: [&[&str]; 15] = [
    &["fever", "chill", "f", "c", "sweats"],
    &["pain", "cp", "sob", "dyspn", "palpitation"], &["nausea", "vomiting", "diarrh", "n", "v"],
    &["wheez", "rale", "rhonch", "crackle"], &["rebound", "guarding", "rigidity", "tenderness", "deformity"],
    &["murmur", "rub", "gallop"], &["erythema", "redness", "swelling", "warmth", "drainage", "discharge", "exudate", "induration"],
    &["hepatomegaly", "splenomegaly", "organomegaly", "hepatosplenomegaly", "ascites", "mass"],
    &["effusion", "pneumothorax", "consolidation", "infiltrate", "edema", "oedema", "ptx", "opacit"], &["hemorrhage", "haemorrhage", "infarct", "mass", "bleed", "ich", "hydrocephalus", "aneurysm", "lesion", "fracture", "shift"],
    &["fracture", "dislocation", "deformity"], &["weakness", "numbness", "tingling", "slurred", "speech"], &["bruising", "bleeding"],
    &["clubbing", "cyanosis", "edema", "oedema"], &["dysuria", "hematuria", "haematuria", "frequency", "urgency"],
];
/// How words of what is no finding begin, in denials that end with them.
#[rustfmt::skip]
pub(super) const HABITS: [&str; 27] = [
    "drug", "illicit", "recreational", "substance", "ivdu", "vap", "cigar", "allerg", "alerg", "smok", "fum", "rook", "rauch", "alcohol", "alkohol", "alcool", "tabac", "tabak", "nikotin", "tobacco", "drink", "trink",
    "bebe", "etoh", "voroper", "vorerkr", "surger",
];
/// What stands before a drug that is given, and the like.
#[rustfmt::skip]
pub(super) const WITH: [&str; 9] = ["with", "w", "mit", "avec", "par", "con", "com", "met", "using"];
/// What a drug is taken for as needed, in a list of drugs.
#[rustfmt::skip]
pub(super) const WHEN: [&str; 12] = [
    "si", "se", "indien", "bei bedarf", "en cas de", "en cas d", "al bisogno per", "in caso di", "en caso de", "em caso de", "zo nodig bij",
    "falls",
];
/// What begins something new behind a comma, where one mention alone stands there: "no fever, productive cough".
#[rustfmt::skip]
pub(super) const BEGINNING: [&str; 14] = [
    "worsening", "new", "increased", "severe", "persistent", "mild", "moderate", "decreased", "acute",
    "significant", "productive", "hyperdynamic", "recurrent", "diffuse",
];
/// What says that there is a history, or of how many days it is: "3 day h/o cough".
pub(super) const HISTORY: [&str; 5] = ["h/o", "hx of", "hx", "history of", "history"];
/// What a number is no year before.
#[rustfmt::skip]
pub(super) const UNITS: [&str; 25] = [
    "mg", "g", "mcg", "ug", "\u{b5}g", "\u{3bc}g", "ml", "l", "iu", "ie", "ui", "u", "units", "unit", "kcal", "cal",
    "h", "hrs", "hr", "%", "x", "kg", "cc", "cm", "mm",
];
/// What is denied, and no finding that a list goes on from: "no appetite, weight loss".
#[rustfmt::skip]
pub(super) const FUNCTIONS: [&str; 34] = [
    "appetite", "energy", "sleep", "output", "stool", "stools", "bm", "bms", "pulse", "pulses", "sensation", "reflexes", "sounds", "support",
    "insurance", "history", "relief", "deficit", "interest", "motivation", "movement", "urine", "vision", "hearing", "intake", "response",
    "contact", "help", "work", "stuhlgang", "appetit", "apetito", "appetito", "eetlust",
];
/// What shows something, and is told of before what it shows.
#[rustfmt::skip]
pub(super) const IMAGES: [&str; 34] = [
    "ct", "cta", "cth", "ctpa", "us", "uss", "cxr", "axr", "xr", "mri", "mra", "ekg", "ecg", "echo", "tte", "tee", "rx", "ultrasound",
    "tac", "rm", "irm", "tdm", "rontgen", "sono", "ecografia", "echographie", "radiographie", "kub", "mrt", "doppler", "duplex",
    "usg", "ray", "xray",
];
/// Other tests that have results of their own.
#[rustfmt::skip]
pub(super) const TESTS: [&str; 22] = [
    "bnp", "troponin", "troponins", "trop", "trops", "dimer", "nitrite", "nitrites", "leuks", "labs", "lp", "tele", "telemetry", "biopsy",
    "cytology", "workup", "imaging", "ua", "urinalysis", "dipstick", "cultures", "bcx",
];
/// When a drug is taken, before what for.
pub(super) const AS_NEEDED: [&str; 4] = ["prn", "as needed", "p.r.n.", "sos"];
/// What a condition stands behind, and also that something is absent: "if CT without bleeding".
#[rustfmt::skip]
pub(super) const CONDITIONS: [&str; 48] = [
    "as long as no", "so long as no", "solange kein", "solange keine", "tant que pas de", "tant que pas d", "tant qu'il n'y a pas de", "tant qu'il n'y a pas d",
    "mientras no haya", "mientras no tenga", "mientras no presente", "finche non compare", "finche non ha", "finche non c'e", "zolang geen", "zolang er geen",
    "enquanto nao houver", "enquanto nao tiver", "provided no", "si absence de", "si absence d", "si ausencia de", "se non", "se assenza di", "als geen", "als er geen", "se nao", "se nao tiver",
    "if", "unless", "falls", "sofern", "wenn", "si", "a moins d", "se", "se s/", "se sem", "se nao houver", "qualora", "purche", "siempre que",
    "salvo que", "als", "indien", "mits", "tenzij", "caso",
];
/// What may be looked for by a test, of which a result behind it tells more.
#[rustfmt::skip]
pub(super) const TESTED_FOR: [&str; 12] = [
    "screening", "sorologia", "sorologias", "serology", "serologies", "serologie", "serologia", "serologias", "sierologia", "sierologie", "pcr", "screen",
];
/// How words begin that are such results.
#[rustfmt::skip]
pub(super) const RESULTS: [&str; 16] = [
    "detect", "undetect", "indeterm", "equivoc",
    "neg", "pos", "+", "-", "reactiv", "nonreactiv", "non", "nicht", "no", "nao", "niet", "normal",
];
/// How often it is, between those and what for: "as needed every 6 hours for pain".
#[rustfmt::skip]
pub(super) const FREQUENCY: [&str; 21] = [
    "every", "q", "hours", "hour", "hrs", "h", "daily", "times", "time", "a", "day", "per", "twice", "once", "three", "four", "six",
    "bid", "tid", "qid", "-",
];
