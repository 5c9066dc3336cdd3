//! The sign # where it is a fracture: "# L wrist", "rib #", "no # seen". Elsewhere it counts or begins a problem: "#2", "# HTN", "# hip pain".

use super::words::Words;

/// What is broken and little else, folded.
#[rustfmt::skip]
const BONES: &[&str] = &[
    "acetabular", "acetabulum", "bimalleolar", "calcaneal", "calcaneum", "calcaneus", "clav", "clavicle", "clavicles", "clavicular", "coccyx", "condylar",
    "condyle", "cuboid", "femoral", "femur", "fib", "fibula", "fibular", "humeral", "humerus", "ilium", "intertrochanteric", "ischium", "lunate",
    "malleolar", "malleoli", "malleolus", "mandible", "mandibular", "maxilla", "mc", "mcs", "metacarpal", "metacarpals", "metatarsal", "metatarsals",
    "mt", "mts", "navicular", "nof", "nofs", "odontoid", "olecranon", "patella", "phalangeal", "phalanges", "phalanx", "radial", "radius", "rami",
    "ramus", "rib", "ribs", "sacrum", "scaphoid", "scapula", "scapular", "skull", "sternal", "sternum", "subtrochanteric", "supracondylar", "talus", "tib",
    "tibia", "tibial", "tibula", "trimalleolar", "triquetral", "trochanter", "ulna", "ulnar", "vertebra", "vertebrae", "vertebral", "zygoma", "zygomatic",
    // Dutch.
    "bekken", "borstbeen", "collum", "crus", "dijbeen", "ellepijp", "hielbeen", "kuitbeen", "metacarpale", "metatarsale", "ribben", "scheenbeen",
    "schedel", "sleutelbeen", "spaakbeen", "wervel", "wervels",
];
/// What may be broken, and has other problems more often.
#[rustfmt::skip]
const PARTS: &[&str] = &[
    "ankle", "ankles", "arm", "elbow", "face", "facial", "finger", "fingers", "foot", "forearm", "hallux", "hand", "heel", "hip", "hips", "jaw", "knee",
    "leg", "nasal", "nose", "orbit", "orbital", "pelvic", "pelvis", "pubic", "sacral", "shoulder", "spine", "thumb", "toe", "toes", "wrist", "wrists",
    "bovenarm", "bovenbeen", "duim", "elleboog", "enkel", "heup", "kaak", "knie", "neus", "onderarm", "onderbeen", "pink", "pols", "schouder", "teen",
    "vinger", "voet",
];
/// What goes on behind a bone's name.
#[rustfmt::skip]
const TAILS: &[&str] = &[
    "arch", "base", "blade", "bone", "bones", "floor", "head", "neck", "plafond", "plateau", "process", "rim", "shaft", "spine", "styloid", "tip",
    "tubercle", "tuberosity", "wall",
];
/// What stands between the sign and the bone.
#[rustfmt::skip]
const WHICH: &[&str] = &[
    "l", "r", "lt", "rt", "left", "right", "bilat", "bilateral", "both", "li", "re", "links", "linker", "rechts", "rechter",
    "ant", "anterior", "base", "dist", "distal", "distale", "head", "inf", "inferior", "lat", "lateral", "lower", "med", "medial", "mid", "middle",
    "midshaft", "neck", "post", "posterior", "prox", "proximal", "proximale", "shaft", "sup", "superior", "tip", "upper",
    "closed", "comminuted", "compression", "displaced", "greater", "hairline", "impacted", "intracapsular", "extracapsular", "lesser",
    "multiple", "old", "open", "subcapital", "undisplaced", "wedge", "of", "the", "van",
];
/// What kind of fracture it is, before the sign; nothing else has such a kind.
#[rustfmt::skip]
const KINDS: &[&str] = &[
    "avulsion", "bimalleolar", "buckle", "burst", "colles", "comminuted", "compound", "compression", "crush", "depressed", "fragility", "greenstick",
    "hairline", "impacted", "insufficiency", "oblique", "osteoporotic", "pathological", "periprosthetic", "spiral", "stress", "supracondylar", "torus",
    "transverse", "trimalleolar", "undisplaced", "wedge",
];
/// What denies one, before the sign, and what may stand behind it then where nothing else does.
const DENYING: [&str; 7] = ["no", "nil", "obvious", "bony", "exclude", "geen", "acute"];
const SEEN: [&str; 8] = [
    "seen",
    "visible",
    "identified",
    "noted",
    "demonstrated",
    "evident",
    "gezien",
    "zichtbaar",
];
/// What joins two bones.
const JOINING: [&str; 6] = ["/", "&", "+", "and", "en", ","];
/// Words with which what has been said of the bone is over.
#[rustfmt::skip]
const ENDING: &[&str] = &[
    "a", "after", "ago", "and", "as", "at", "awaiting", "by", "due", "following", "for", "from", "in", "is", "last", "met", "na", "no", "on", "op", "post",
    "s", "seen", "since", "sinds", "was", "which", "with",
];
/// What is told behind a bone where the sign begins a problem that is no disease: "# hip replacement".
#[rustfmt::skip]
const DONE: &[&str] = &[
    "arthroplasty", "biopsy", "ct", "exam", "film", "mri", "replacement", "resurfacing", "surgery", "ultrasound", "us", "xr", "xray",
];
/// What follows the number of how long it is ago.
const TIMES: [&str; 12] = [
    "/", "d", "day", "days", "month", "months", "w", "week", "weeks", "y", "year", "years",
];
/// Words between the sign and the last word of what is broken at most.
const MOST: usize = 10;
/// Words behind it of which none begins a disease.
const LOOKED_AT: usize = 3;

/// The signs that are fractures. What `is_disease` says of a word is whether one begins with it.
pub(super) fn fractures(words: &Words<'_>, is_disease: impl Fn(usize) -> bool) -> Vec<usize> {
    let is_sign = |at: &usize| words.written_as(*at) == "#";
    let signs: Vec<usize> = (0..words.words.len()).filter(is_sign).collect();
    let beginning = signs.iter().filter(|at| begins_line(words, **at)).count();
    let is_fracture = |at: &usize| {
        let Some(last) = read(words, *at, beginning == 1) else {
            return false;
        };
        let is_problem = |at: usize| is_disease(at) || at > last && DONE.contains(&words.word(at));
        let mut looked_at = (at + 1..=last + LOOKED_AT).take_while(|at| goes_on(words, *at, last));
        !looked_at.any(is_problem)
    };
    signs.into_iter().filter(is_fracture).collect()
}

/// The last word of what is broken by a sign, or the sign where that stands before it; `None` where it is no fracture by the words around it.
fn read(words: &Words<'_>, sign: usize, is_alone: bool) -> Option<usize> {
    // "#s" are several.
    let plural = words.word(sign + 1) == "s" && touches(words, sign);
    let own = sign + usize::from(plural);
    let is_within = !begins_line(words, sign) && follows(words, sign);
    let before = sign.checked_sub(1).filter(|_| is_within);
    let before = before.map_or("", |before| words.word(before));
    if let Some(last) = broken(words, own) {
        let is_bone = (own + 1..=last).any(|at| is_bone(words.word(at)));
        let is_said = is_within || ends(words, last) && (is_bone || is_alone);
        let is_heading = follows(words, last + 1) && words.word(last + 1) == ":";
        return (is_said && !is_heading).then_some(last);
    }
    if is_counting(words, own) {
        return None;
    }
    let is_told =
        is_bone(before) || PARTS.contains(&before) || TAILS.contains(&before) && is_of_bone(words, sign);
    let is_denied = DENYING.contains(&before) && (ends(words, own) || SEEN.contains(&words.word(own + 1)));
    (is_told || is_denied || KINDS.contains(&before)).then_some(own)
}

/// The last word of what is broken, behind a sign.
fn broken(words: &Words<'_>, sign: usize) -> Option<usize> {
    let mut last = None;
    for at in (sign + 1..words.words.len()).take(MOST) {
        let word = words.word(at);
        if !follows(words, at) || at == sign + 1 && is_number(word) && touches(words, sign) {
            break;
        }
        let is_tail = last.is_some_and(|last| last + 1 == at) && TAILS.contains(&word);
        if is_bone(word) || PARTS.contains(&word) || is_tail {
            last = Some(at);
        } else if !(WHICH.contains(&word)
            || is_ordinal(word)
            || is_number(word) && last.is_none()
            || last.is_some() && JOINING.contains(&word))
        {
            break;
        }
    }
    last
}

/// Whether a sign has a number behind it that says which, and not when.
fn is_counting(words: &Words<'_>, sign: usize) -> bool {
    let word = words.word(sign + 1);
    let is_year = word.len() == 4 && (word.starts_with("19") || word.starts_with("20"));
    let is_ago = TIMES.contains(&words.word(sign + 2));
    follows(words, sign + 1)
        && word.starts_with(|c: char| c.is_ascii_digit())
        && !is_ordinal(word)
        && (touches(words, sign) || !(is_year || is_ago))
}

/// Whether the word before the one before a sign is a bone: "radial head #".
fn is_of_bone(words: &Words<'_>, sign: usize) -> bool {
    sign.checked_sub(2).is_some_and(|at| is_bone(words.word(at)))
}

fn is_bone(word: &str) -> bool {
    BONES.contains(&word) || is_vertebra(word)
}

/// "C2", "T12", "L1".
fn is_vertebra(word: &str) -> bool {
    let number = word.strip_prefix(['c', 't', 'l']).unwrap_or_default();
    (1..=2).contains(&number.len()) && is_number(number)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// "5th".
fn is_ordinal(word: &str) -> bool {
    let endings = ["st", "nd", "rd", "th"].iter();
    endings
        .filter_map(|ending| word.strip_suffix(ending))
        .any(is_number)
}

fn follows(words: &Words<'_>, at: usize) -> bool {
    words.words.get(at).is_some_and(|word| word.follows)
}

fn begins_line(words: &Words<'_>, at: usize) -> bool {
    at == 0 || words.words.get(at).is_some_and(|word| word.begins_line)
}

/// Whether nothing stands between a word and the next.
fn touches(words: &Words<'_>, at: usize) -> bool {
    let next = words.words.get(at + 1);
    words
        .words
        .get(at)
        .zip(next)
        .is_some_and(|(own, next)| own.span.end == next.span.begin)
}

/// Whether nothing is said behind a word but by a mark, a number or another clause.
fn ends(words: &Words<'_>, at: usize) -> bool {
    let next = words.word(at + 1);
    !follows(words, at + 1)
        || begins_line(words, at + 1)
        || !next.starts_with(char::is_alphabetic)
        || ENDING.contains(&next)
}

/// Whether a word behind a sign still belongs to what it says: up to the end of what is broken, and behind it up to a mark or another clause.
fn goes_on(words: &Words<'_>, at: usize, last: usize) -> bool {
    let word = words.word(at);
    follows(words, at) && (at <= last || word.starts_with(char::is_alphanumeric) && !ENDING.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::super::find;
    use crate::testing::list;

    fn found(text: &str) -> Vec<&str> {
        let terms = list(&[
            ("fracture", "Disease", "en", ""),
            ("fractuur", "Disease", "nl", ""),
            ("stress fracture", "Disease", "en", ""),
            ("fracture NOF", "Disease", "en", ""),
            ("pain", "Disease", "en", ""),
            ("HTN", "Disease", "en", ""),
            ("OA", "Disease", "en", ""),
            ("rib", "Anatomy", "en", "Disease"),
            ("wrist", "Anatomy", "en", "Disease"),
            ("hip", "Anatomy", "en", "Disease"),
            ("pols", "Anatomy", "nl", "Disease"),
        ]);
        let names = find(text, &[&terms]).names.into_iter();
        let diseases = names.filter(|name| &*name.label == "Disease");
        diseases
            .inspect(|name| assert!(!name.misspelt, "{text}"))
            .map(|name| &text[name.begin..name.end])
            .collect()
    }

    #[test]
    fn the_sign_is_a_fracture_beside_a_bone() {
        for (text, expected) in [
            ("She fell and has a # L wrist.", "#"),
            ("X-ray shows # distal radius.", "#"),
            ("Imp: # R NOF", "#"),
            ("Imp: #NOF, for theatre", "#NOF"),
            ("# R NOF", "#"),
            ("Impression:\n# L wrist\nPlan: backslab", "#"),
            ("PMH hip # 2019, well since", "hip #"),
            ("rib #", "rib #"),
            ("multiple rib #s on the left", "rib #"),
            ("L wrist # 2/52 ago", "wrist #"),
            ("# 5th MC from a punch", "#"),
            ("seen with # base of 5th MT", "#"),
            ("MVA: # tib/fib", "#"),
            ("? # neck of femur", "#"),
            ("stress # tibia", "stress #"),
            ("hairline #", "#"),
            ("toe # 2nd L", "#"),
            ("XR: no # seen", "#"),
            ("XR wrist, no bony #.", "#"),
            ("# T12, wedge", "#"),
            ("radial head # on film", "#"),
            ("Pt met val op de hand, # pols re, gips", "#"),
            ("DISCHARGED WITH # R NOF AFTER FALL", "#"),
        ] {
            assert_eq!(found(text), [expected], "{text}");
        }
    }

    #[test]
    fn elsewhere_the_sign_counts_or_begins_a_problem() {
        for (text, expected) in [
            ("# HTN", &["HTN"][..]),
            ("#1 pneumonia, #2 HTN", &["HTN"]),
            ("# L wrist pain", &["wrist pain"]),
            ("# hip OA", &["hip OA"]),
            ("Problems: # HTN # hip pain # CKD", &["HTN", "hip pain"]),
            ("#Hip: s/p THA", &[]),
            ("# Knee\n# Hip", &[]),
            ("# Rib lesion follow-up", &[]),
            ("s/p # hip replacement 2012", &[]),
            ("# hip, wrist fracture", &["wrist fracture"]),
            ("rib #5, hip # 3, no # given, phone # 12, room #4, L4 #2", &[]),
            ("No pain, call # 5 with it", &["pain"]),
            ("The # of visits, wt in #", &[]),
            ("hip\n# CKD", &[]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }
}
