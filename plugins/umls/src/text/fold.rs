//! Folding of characters: case, accents, Greek letters, signs, punctuation, British spelling.

use super::words;

/// Lower-case tokens of letters and digits. Possessives lose their "s", accents go, Greek letters become
/// words, and so do signs that tell names apart: "Rh-", "HER2+", "<5", "(-)-menthol". The charge of an ion, "Na+", tells none apart.
/// A number is one token however it is written, "0.5", ".5", "0,5 mg", "1,000", and its unit another.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Tokens::default();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let rest = chars.as_str();
        let head = &text[..text.len() - rest.len() - c.len_utf8()];
        let sign = match c {
            '<' | '>' | '≤' | '≥' => limit(c, rest).map(|word| (Some(word), 0)),
            '(' if tokens.open.is_empty() => rotation(rest).map(|(word, more)| (Some(word), more)),
            _ if tokens.open.is_empty() => None,
            _ => charge(head, c, rest),
        };
        if let Some((word, more)) = sign {
            tokens.close();
            tokens.closed.extend(word.map(str::to_owned));
            chars = rest[more..].chars();
            continue;
        }
        match narrow(c) {
            mark @ ('.' | ',') if is_within_number(head, &tokens.open, mark, rest) => {
                if tokens.open.is_empty() {
                    tokens.open.push('0');
                }
                if mark == '.' || !is_thousand(&tokens.open, rest) {
                    tokens.open.push('.');
                }
            }
            '\'' | '’' | '‘' | '`' | '´' | 'ʼ' if !tokens.open.is_empty() => {
                // "Addison's": the s goes. "5'-phosphate", "O'Brien": the mark alone goes.
                if let Some(after) = rest.strip_prefix(['s', 'S'])
                    && !after.starts_with(char::is_alphanumeric)
                {
                    chars = after.chars();
                }
            }
            c => tokens.add(c),
        }
    }
    tokens.close();
    tokens.closed
}

/// The tokens of a text as far as it is read.
#[derive(Default)]
struct Tokens {
    closed: Vec<String>,
    open: String,
}

impl Tokens {
    /// Adds a character as it is folded; one that is neither letter nor digit ends a token.
    fn add(&mut self, c: char) {
        if c.is_ascii() {
            match c.is_ascii_alphanumeric() {
                true => self.open.push(c.to_ascii_lowercase()),
                false => self.close(),
            }
            return;
        }
        match folded(c) {
            Folded::Letters(letters) => self.open.push_str(letters),
            Folded::Word(word) => {
                self.close();
                self.closed.push(word.to_owned());
            }
            Folded::Nothing => {}
            Folded::Other if !c.is_alphanumeric() => self.close(),
            Folded::Other if c.to_lowercase().eq([c]) => self.open.push(c),
            // The small letter of the ohm sign is an omega, and lower-casing may leave a combining mark ("İ").
            Folded::Other => c.to_lowercase().for_each(|small| self.add(small)),
        }
    }

    fn close(&mut self) {
        let token = std::mem::take(&mut self.open);
        if token.starts_with(|c: char| c.is_ascii_digit()) {
            self.closed.extend(strength(token));
        } else if !token.is_empty() {
            self.closed.push(token);
        }
    }
}

/// Units of strengths, which may stand right behind a number.
pub(super) const UNITS: [&str; 15] = [
    "mg", "mcg", "ug", "ng", "g", "kg", "ml", "dl", "iu", "unt", "units", "meq", "mmol", "mm", "cm",
];

/// Whether a point or comma belongs to the number around it: "0.5", and ".5" behind a space. A comma does between thousands and before
/// a number with a unit, else what it stands between are numbers of a list or a molecule's places: "2,4-D".
fn is_within_number(head: &str, token: &str, mark: char, rest: &str) -> bool {
    // Longer ones are in no index, and looked through at each of their points they take more than linear time.
    const LONGEST: usize = 400;
    let is_number = (1..=LONGEST).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    if behind.len() == rest.len() {
        return false;
    }
    if mark == '.' {
        let alone = || {
            head.chars()
                .next_back()
                .is_none_or(|c| c.is_whitespace() || c == '(')
        };
        return is_number || (token.is_empty() && alone());
    }
    let unit: String = behind
        .trim_start_matches(' ')
        .chars()
        .take_while(|c| c.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect();
    is_number && (is_thousand(token, rest) || (!token.contains('.') && UNITS.contains(&unit.as_str())))
}

/// Whether behind `token` and a comma come thousands.
fn is_thousand(token: &str, rest: &str) -> bool {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits == 3 && !token.contains('.') && !token.starts_with('0')
}

/// A token that begins with a number, and its unit apart; the number without zeros at its end behind the point. Three of them and nothing
/// else behind it may be thousands: those stay.
fn strength(token: String) -> impl Iterator<Item = String> {
    let end = token.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, unit) = token.split_at(end.unwrap_or(token.len()));
    let (number, unit) = match number.split_once('.') {
        _ if !unit.is_empty() && !UNITS.contains(&unit) => (token.as_str(), ""),
        Some((_, places)) if places != "000" && !places.contains('.') => {
            (number.trim_end_matches('0').trim_end_matches('.'), unit)
        }
        _ => (number, unit),
    };
    let parts = [number.to_owned(), unit.to_owned()];
    parts.into_iter().filter(|part| !part.is_empty())
}

/// The word for the rotation in front of a molecule's name, "(+)-menthol", and how many bytes of `rest` belong to it. Both at once,
/// "(±)-", is another name than the one without.
fn rotation(rest: &str) -> Option<(&'static str, usize)> {
    const SIGNS: [(&str, &str); 7] = [
        ("+)-", "plus"),
        ("-)-", "minus"),
        ("−)-", "minus"),
        ("–)-", "minus"),
        ("±)-", "racemic"),
        ("+-)-", "racemic"),
        ("+/-)-", "racemic"),
    ];
    let found = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign));
    found.map(|(sign, word)| (*word, sign.len()))
}

/// The ASCII character of one that is as wide as a Chinese one.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// The word for a sign before a number.
fn limit(sign: char, rest: &str) -> Option<&'static str> {
    let number = rest.strip_prefix('=').unwrap_or(rest).trim_start_matches(' ');
    let word = match sign {
        '<' | '≤' => "less",
        _ => "greater",
    };
    number.starts_with(|c: char| c.is_ascii_digit()).then_some(word)
}

/// The word for a sign right behind what is so signed, "HER2+", "Rh(-)", and how many bytes of `rest` belong to it. None for
/// the charge of an ion, and for the plus that says in short that there is a finding ("pain+").
fn charge(head: &str, sign: char, rest: &str) -> Option<(Option<&'static str>, usize)> {
    let positive = Some("positive");
    let negative = Some("negative");
    let ends = !rest.starts_with(char::is_alphanumeric);
    let (word, more) = match sign {
        '(' if rest.starts_with("+)") => (positive, "+)".len()),
        '(' if rest.starts_with("-)") => (negative, "-)".len()),
        '+' | '-' if is_phenotype(head, rest) => (if sign == '+' { positive } else { negative }, 0),
        '+' | '⁺' if ends && is_finding(symbol(head)) => (None, 0),
        '+' | '⁺' if ends => (positive, 0),
        '⁻' | '−' if ends => (negative, 0),
        '-' | '–' if ends && is_minus(head, rest) => (negative, 0),
        _ => return None,
    };
    Some((word.filter(|_| !is_ion(head)), more))
}

/// Whether a sign is one of several behind lymphocytes: "T-B+NK- SCID". The hyphen of "T-B-cell" is none.
fn is_phenotype(head: &str, rest: &str) -> bool {
    let signs = ['+', '-'];
    let signed = |rest: &str| {
        let behind = without_cell(rest.trim_start_matches(' ')).and_then(|rest| rest.strip_prefix(signs));
        behind.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric) || without_cell(rest).is_some())
    };
    let cell = symbol(head);
    let before = head.strip_suffix(cell).unwrap_or_default().trim_end_matches(' ');
    let last = before.ends_with(signs) && !rest.starts_with(char::is_alphanumeric);
    without_cell(cell) == Some("") && (last || signed(rest))
}

/// What is behind a lymphocyte at the front of `text`.
fn without_cell(text: &str) -> Option<&str> {
    ["T", "B", "NK"].iter().find_map(|cell| text.strip_prefix(cell))
}

/// The letters and digits at the end of `head`.
fn symbol(head: &str) -> &str {
    head.rsplit(|c: char| !c.is_alphanumeric())
        .next()
        .unwrap_or_default()
}

/// Whether this is a word, and no symbol of an antigen or a gene.
fn is_finding(word: &str) -> bool {
    word.chars().all(char::is_lowercase) && word.chars().count() >= 4
}

/// Elements of which notes tell ions; digits behind them are of the charge.
const ELEMENTS: [&str; 14] = [
    "Na", "K", "Mg", "Ca", "Cl", "H", "Li", "Fe", "Zn", "Cu", "Mn", "Ba", "Br", "Al",
];
/// Ions of several atoms, and coenzymes that are written with their charge.
const GROUPS: [&str; 14] = [
    "HCO3", "CO3", "NH4", "H3O", "OH", "PO4", "HPO4", "H2PO4", "SO4", "NO2", "NO3", "NAD", "NADP", "CN",
];

/// Whether `head` ends with what has a charge, "Na", "Ca2", "Ca(2", "HCO₃", in capitals as chemists write it or in none.
fn is_ion(head: &str) -> bool {
    let digits = |c: char| c.is_numeric();
    let end = symbol(head);
    let before = head.strip_suffix(end).and_then(|head| head.strip_suffix('('));
    let end = match before {
        Some(before) if end.chars().all(digits) => symbol(before),
        _ => end,
    };
    let plain: String = end
        .chars()
        .map(|c| match folded(c) {
            Folded::Letters(letters) => letters.chars().next().unwrap_or(c),
            _ => c,
        })
        .collect();
    let is = |symbol: &str, written: &str| {
        let small = !written.contains(char::is_uppercase);
        symbol == written || small && symbol.eq_ignore_ascii_case(written)
    };
    let element = plain.trim_end_matches(digits);
    ELEMENTS.iter().any(|symbol| is(symbol, element)) || GROUPS.iter().any(|symbol| is(symbol, &plain))
}

/// Whether a hyphen is a minus: behind a symbol such as "HER2" or "Rh", and neither at the end of a line, nor before a number, nor
/// one that stands for the rest of a word ("T- and B-cell") or was torn from the next ("MID- LINE").
fn is_minus(head: &str, rest: &str) -> bool {
    let border = |c: char| !c.is_alphanumeric();
    let symbol = symbol(head);
    let letters = symbol.chars().count();
    let digits = symbol.contains(|c: char| c.is_ascii_digit());
    let capitals = !symbol.contains(char::is_lowercase);
    let like_symbol = match (digits, capitals) {
        (true, _) => symbol.starts_with(char::is_uppercase),
        (false, true) => letters <= 5,
        (false, false) => letters == 2 && symbol.starts_with(char::is_uppercase),
    };
    if !like_symbol || words::is_prefix(&symbol.to_lowercase()) {
        return false;
    }
    let Some(next) = rest.strip_prefix(' ') else {
        return rest.is_empty() || rest.starts_with(['/', ',', ';', ':', '.', ')', ']']);
    };
    let next = next.split(border).next().unwrap_or_default();
    let torn = !digits && !next.contains(char::is_lowercase);
    let joined = matches!(next, "and" | "or" | "positive" | "negative" | "like") || next.ends_with("ed");
    letters > 1 && next.starts_with(char::is_alphabetic) && !torn && !joined
}

enum Folded {
    Letters(&'static str),
    Word(&'static str),
    Nothing,
    Other,
}

fn folded(c: char) -> Folded {
    use Folded::{Letters, Nothing, Other, Word};
    match c {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' | 'À' | 'Á' | 'Â' | 'Ã' | 'Å' | 'Ā' | 'Ă' | 'Ą'
        | 'ä' | 'Ä' => Letters("a"),
        'æ' | 'Æ' => Letters("ae"),
        'ç' | 'ć' | 'č' | 'Ç' | 'Ć' | 'Č' => Letters("c"),
        'ď' | 'đ' | 'ð' | 'Ď' | 'Đ' | 'Ð' => Letters("d"),
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' | 'È' | 'É' | 'Ê' | 'Ë' | 'Ē' | 'Ę' | 'Ě' => {
            Letters("e")
        }
        'ğ' | 'Ğ' => Letters("g"),
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' | 'Ì' | 'Í' | 'Î' | 'Ï' | 'Ī' | 'İ' => Letters("i"),
        'ł' | 'Ł' => Letters("l"),
        'ñ' | 'ń' | 'ň' | 'Ñ' | 'Ń' | 'Ň' => Letters("n"),
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' | 'Ò' | 'Ó' | 'Ô' | 'Õ' | 'Ö' | 'Ø' | 'Ō' | 'Ő' => {
            Letters("o")
        }
        'œ' | 'Œ' => Letters("oe"),
        'ř' | 'Ř' => Letters("r"),
        'ś' | 'š' | 'ş' | 'Ś' | 'Š' | 'Ş' => Letters("s"),
        'ß' | 'ẞ' => Letters("ss"),
        'ť' | 'ţ' | 'Ť' | 'Ţ' => Letters("t"),
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' | 'Ù' | 'Ú' | 'Û' | 'Ü' | 'Ū' | 'Ů' | 'Ű' => {
            Letters("u")
        }
        'ý' | 'ÿ' | 'Ý' | 'Ÿ' => Letters("y"),
        'ź' | 'ż' | 'ž' | 'Ź' | 'Ż' | 'Ž' => Letters("z"),
        'α' | 'Α' => Word("alpha"),
        'β' | 'Β' => Word("beta"),
        'γ' | 'Γ' => Word("gamma"),
        'δ' | 'Δ' => Word("delta"),
        'ε' | 'Ε' => Word("epsilon"),
        'ζ' | 'Ζ' => Word("zeta"),
        'η' | 'Η' => Word("eta"),
        'θ' | 'Θ' => Word("theta"),
        'ι' | 'Ι' => Word("iota"),
        'κ' | 'Κ' => Word("kappa"),
        'λ' | 'Λ' => Word("lambda"),
        'μ' | 'µ' | 'Μ' => Word("mu"),
        'ν' | 'Ν' => Word("nu"),
        'ξ' | 'Ξ' => Word("xi"),
        'ο' | 'Ο' => Word("omicron"),
        'π' | 'Π' => Word("pi"),
        'ρ' | 'Ρ' => Word("rho"),
        'σ' | 'ς' | 'Σ' => Word("sigma"),
        'τ' | 'Τ' => Word("tau"),
        'υ' | 'Υ' => Word("upsilon"),
        'φ' | 'Φ' => Word("phi"),
        'χ' | 'Χ' => Word("chi"),
        'ψ' | 'Ψ' => Word("psi"),
        'ω' | 'Ω' => Word("omega"),
        '⁰' | '₀' => Letters("0"),
        '¹' | '₁' => Letters("1"),
        '²' | '₂' => Letters("2"),
        '³' | '₃' => Letters("3"),
        '⁴' | '₄' => Letters("4"),
        '⁵' | '₅' => Letters("5"),
        '⁶' | '₆' => Letters("6"),
        '⁷' | '₇' => Letters("7"),
        '⁸' | '₈' => Letters("8"),
        '⁹' | '₉' => Letters("9"),
        // Ligatures and numerals of one character, as PDFs have them.
        'ﬀ' => Letters("ff"),
        'ﬁ' => Letters("fi"),
        'ﬂ' => Letters("fl"),
        'ﬃ' => Letters("ffi"),
        'ﬄ' => Letters("ffl"),
        'ﬅ' | 'ﬆ' => Letters("st"),
        'Ⅰ' | 'ⅰ' => Letters("i"),
        'Ⅱ' | 'ⅱ' => Letters("ii"),
        'Ⅲ' | 'ⅲ' => Letters("iii"),
        'Ⅳ' | 'ⅳ' => Letters("iv"),
        'Ⅴ' | 'ⅴ' => Letters("v"),
        'Ⅵ' | 'ⅵ' => Letters("vi"),
        'Ⅶ' | 'ⅶ' => Letters("vii"),
        'Ⅷ' | 'ⅷ' => Letters("viii"),
        'Ⅸ' | 'ⅸ' => Letters("ix"),
        'Ⅹ' | 'ⅹ' => Letters("x"),
        'Ⅺ' | 'ⅺ' => Letters("xi"),
        'Ⅻ' | 'ⅻ' => Letters("xii"),
        // Combining accents, soft hyphen, zero-width characters, trade marks.
        '\u{300}'..='\u{36f}' | '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{feff}' | '™' | '®' => Nothing,
        _ => Other,
    }
}

/// British spelling to American. Applied to both sides, so a word that is no spelling variant may change
/// too as long as two different words do not become one.
pub(super) fn american(mut word: String) -> String {
    if word.len() < 5 || !word.is_ascii() {
        return word;
    }
    // Every word of every name that is compared comes here, and few have anything to change.
    if word
        .as_bytes()
        .windows(2)
        .any(|pair| matches!(pair, b"ae" | b"oe"))
    {
        word = word.replace("ae", "e").replace("oe", "e");
    }
    let changes = |four: &[u8]| matches!(four, b"sulp" | b"leuc" | b"moul" | b"grey");
    if word.as_bytes().windows(4).any(changes) {
        for (from, to) in [
            ("sulph", "sulf"),
            ("leuco", "leuko"),
            ("mould", "mold"),
            ("grey", "gray"),
        ] {
            word = word.replace(from, to);
        }
    }
    for (from, to) in [
        ("isation", "ization"),
        ("isations", "izations"),
        ("ised", "ized"),
        ("ising", "izing"),
        ("ysed", "yzed"),
        ("our", "or"),
        ("ours", "ors"),
        ("oured", "ored"),
        ("ourless", "orless"),
        ("lling", "ling"),
        ("lled", "led"),
    ] {
        if word.len() > from.len() + 2
            && let Some(stem) = super::without(&word, from)
        {
            word = format!("{stem}{to}");
            break;
        }
    }
    match word.as_str() {
        "fibre" => "fiber".to_owned(),
        "centre" => "center".to_owned(),
        "titre" => "titer".to_owned(),
        _ => word,
    }
}
