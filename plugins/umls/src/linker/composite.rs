//! Mentions that name several things at once: "breast and ovarian cancer", "cancer of the breast or ovary".

use mednerd_languages::{DE, ES, FR, IT, Languages, NL, PT};

use crate::text;

/// What has more bytes is a list or a paragraph and no mention that shares words; reading it takes more than linear time.
const LONGEST: usize = 1_000;

/// The ways in which `text` can be read as several names, the likeliest first; each way has at least two.
pub(super) fn readings(text: &str, languages: Languages) -> Vec<Vec<String>> {
    if text.len() > LONGEST {
        return Vec::new();
    }
    let segments = segments(text, languages);
    let [first, .., last] = &segments[..] else {
        return Vec::new();
    };
    let mut readings = Vec::new();
    let tail: Vec<&str> = last.split_whitespace().collect();
    let head: Vec<&str> = first.split_whitespace().collect();
    // What the last one ends with belongs to all of them: the longest ending first.
    for start in 1..tail.len() {
        let shared = tail[start..].join(" ");
        let each = segments[..segments.len() - 1]
            .iter()
            .map(|segment| format!("{segment} {shared}"));
        readings.push(each.chain([last.clone()]).collect());
    }
    // What the first one begins with belongs to all of them.
    for end in (1..head.len()).rev() {
        let shared = head[..end].join(" ");
        let each = segments[1..].iter().map(|segment| format!("{shared} {segment}"));
        readings.push([first.clone()].into_iter().chain(each).collect());
    }
    readings.push(segments);
    readings
}

/// What a hyphen joins into a combination of drugs, "hydrocodone-acetaminophen 5-325 mg", without what begins with a number.
pub(super) fn substances(text: &str) -> Option<Vec<String>> {
    const LEAST: usize = 4;
    let is_strength = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    let words: Vec<&str> = text
        .split_whitespace()
        .take_while(|word| !is_strength(word))
        .collect();
    let names: Vec<String> = words.join(" ").split('-').map(str::to_owned).collect();
    let is_name =
        |name: &String| name.chars().count() >= LEAST && !name.starts_with(' ') && !name.ends_with(' ');
    (names.len() > 1 && names.iter().all(is_name)).then_some(names)
}

/// The words of a language that stand between what is named together.
fn conjunctions(language: Languages) -> &'static [&'static str] {
    match language {
        DE => &["und", "oder", "sowie", "bzw.", "u."],
        FR => &["et", "ou"],
        ES => &["y", "e", "o", "u"],
        IT => &["e", "ed", "o"],
        NL => &["en", "of"],
        PT => &["e", "ou"],
        _ => &[],
    }
}

fn segments(text: &str, languages: Languages) -> Vec<String> {
    // Of the same length: the marks are ASCII.
    let small = text.to_ascii_lowercase();
    let mut marked = text.to_owned();
    let words = text::each(languages).flat_map(conjunctions);
    let between: Vec<String> = words.map(|word| format!(" {word} ")).collect();
    let marks = ["and/or", " and ", " or ", " & ", " + ", "/", ", "];
    for mark in marks.into_iter().chain(between.iter().map(String::as_str)) {
        for (at, _) in small.match_indices(mark) {
            marked.replace_range(at..at + mark.len(), &"\0".repeat(mark.len()));
        }
    }
    marked
        .split('\0')
        .map(|part| {
            let part = part.trim();
            let part = ["and ", "or ", "AND ", "OR "]
                .iter()
                .find_map(|word| part.strip_prefix(word))
                .unwrap_or(part);
            part.trim_end_matches(['-', ',', ' ']).to_owned()
        })
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mednerd_languages::EN;

    fn reads(text: &str, names: &[&str]) -> bool {
        readings(text, EN).iter().any(|reading| reading == names)
    }

    #[test]
    fn a_hyphen_joins_substances() {
        let of = |text: &str| substances(text).unwrap_or_default();
        assert_eq!(
            of("hydrocodone-acetaminophen 5-325 mg tablet"),
            ["hydrocodone", "acetaminophen"]
        );
        assert_eq!(
            of("amoxicillin-clavulanate potassium"),
            ["amoxicillin", "clavulanate potassium"]
        );
        for text in [
            "aspirin",
            "co-trimoxazole",
            "aspirin - given",
            "5-fluorouracil",
            "",
        ] {
            assert!(of(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn shared_words_go_to_each() {
        assert!(reads(
            "breast and ovarian cancer",
            &["breast cancer", "ovarian cancer"]
        ));
        assert!(reads(
            "Duchenne/Becker muscular dystrophy",
            &["Duchenne muscular dystrophy", "Becker muscular dystrophy"]
        ));
        assert!(reads(
            "cancer of the breast or ovary",
            &["cancer of the breast", "cancer of the ovary"]
        ));
        assert!(reads(
            "nausea, vomiting, and fever",
            &["nausea", "vomiting", "fever"]
        ));
        assert!(reads(
            "cardiac, renal and hepatic failure",
            &["cardiac failure", "renal failure", "hepatic failure"]
        ));
        assert!(reads("NAUSEA AND VOMITING", &["NAUSEA", "VOMITING"]));
        assert!(reads("PAIN, FEVER, AND/OR CHILLS", &["PAIN", "FEVER", "CHILLS"]));
        assert!(readings("breast cancer", EN).is_empty());
        let list = |times: usize| "pain, ".repeat(times) + &"ache ".repeat(times);
        assert!(!readings(&list(10), EN).is_empty() && readings(&list(500), EN).is_empty());
    }
}
