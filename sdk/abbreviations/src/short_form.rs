//! What a short form looks like.

/// The most characters that one has.
const MOST: usize = 14;

/// Whether a text can be a short form: a word or two with a capital letter ("DVT", "TNF alpha", "1,25-(OH)2D3"), up to
/// four small letters ("mbp"), or one capital letter ("P").
pub fn is_short_form(text: &str) -> bool {
    // Cheapest first: most brackets hold something else.
    if text.len() > 4 * MOST || !text.starts_with(char::is_alphanumeric) {
        return false;
    }
    let characters = text.chars().count();
    let capital = text.contains(char::is_uppercase);
    let small = (2..=4).contains(&characters) && text.chars().all(char::is_lowercase);
    let allowed = |c: char| c.is_alphanumeric() || " -/.,'&+*()[]".contains(c);
    (capital || small)
        && characters <= MOST
        && text.chars().all(allowed)
        && text.split_whitespace().count() <= 2
        && is_balanced(text)
}

/// Without the ending of a plural: "RCC" for "RCCs".
pub fn without_plural(short: &str) -> &str {
    let stem = short.strip_suffix("'s").or_else(|| short.strip_suffix('s'));
    stem.filter(|stem| stem.chars().nth(1).is_some() && stem.ends_with(char::is_uppercase))
        .unwrap_or(short)
}

/// Whether a text says how, when or on which side, as orders do in brackets behind a drug or a part of the body: "(PRN)",
/// "(p.o.)", "(ODT)", "(L)". In the seven languages of the lists. "RT" is not among them: it mostly is radiotherapy.
pub fn is_order(text: &str) -> bool {
    const ORDERS: &[&str] = &[
        "ABENDS", "AM", "BD", "BDS", "BID", "CR", "DR", "DX", "EC", "ER", "EV", "HS", "IM", "INH", "IR",
        "IV", "L", "LA", "LT", "MANE", "MATIN", "MIDI", "MORGENS", "MR", "NEB", "NOCTE", "NPO", "OD", "ODT",
        "PM", "PO", "PR", "PRN", "PV", "QAM", "QD", "QDS", "QHS", "QID", "QOD", "QPM", "R", "SC", "SL",
        "SOIR", "SQ", "SR", "STAT", "SUBQ", "SX", "TD", "TDS", "TID", "VO", "XL", "XR", "ZN",
    ];
    let one_case = !(text.contains(char::is_uppercase) && text.contains(char::is_lowercase));
    let letters: String = text
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_uppercase)
        .take(MOST)
        .collect();
    one_case && ORDERS.binary_search(&letters.as_str()).is_ok()
}

/// Whether every bracket is closed, and none is closed that was not opened.
pub(crate) fn is_balanced(text: &str) -> bool {
    let mut depth = 0_usize;
    let closed = text.chars().all(|c| match c {
        '(' | '[' => {
            depth += 1;
            true
        }
        ')' | ']' => depth.checked_sub(1).map(|less| depth = less).is_some(),
        _ => true,
    });
    closed && depth == 0
}

/// Letters and digits as they are compared: small, without accents.
pub(crate) fn letters(text: &str) -> Vec<char> {
    text.chars().filter(|c| c.is_alphanumeric()).map(folded).collect()
}

pub(crate) fn folded(c: char) -> char {
    match c.to_lowercase().next().unwrap_or(c) {
        'à'..='å' => 'a',
        'ç' => 'c',
        'è'..='ë' => 'e',
        'ì'..='ï' => 'i',
        'ñ' => 'n',
        'ò'..='ö' | 'ø' => 'o',
        'ù'..='ü' => 'u',
        'ý' | 'ÿ' => 'y',
        small => small,
    }
}
