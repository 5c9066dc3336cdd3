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
