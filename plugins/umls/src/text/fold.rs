//! Folding of characters: case, accents, Greek letters, punctuation, British spelling.

/// Lower-case tokens of letters and digits. Possessives lose their "s", accents go, Greek letters become
/// words.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut token = String::new();
    let mut chars = text.chars().peekable();
    let close = |token: &mut String, tokens: &mut Vec<String>| {
        if !token.is_empty() {
            tokens.push(std::mem::take(token));
        }
    };
    while let Some(c) = chars.next() {
        match c {
            'a'..='z' | '0'..='9' => token.push(c),
            'A'..='Z' => token.push(c.to_ascii_lowercase()),
            '\'' | '’' | '‘' | '`' | '´' | 'ʼ' if !token.is_empty() => {
                // "Addison's": the s goes. "5'-phosphate", "O'Brien": the mark alone goes.
                if matches!(chars.peek(), Some('s' | 'S')) {
                    let mut after = chars.clone();
                    after.next();
                    if !after.peek().is_some_and(|c| c.is_alphanumeric()) {
                        chars.next();
                    }
                }
            }
            c if c.is_ascii() => close(&mut token, &mut tokens),
            c => match folded(c) {
                Folded::Letters(letters) => token.push_str(letters),
                Folded::Word(word) => {
                    close(&mut token, &mut tokens);
                    tokens.push(word.to_owned());
                }
                Folded::Nothing => {}
                // Lower-casing may leave a combining mark behind ("İ"), which is dropped like any other.
                // The small letter of the ohm sign is an omega, and lower-casing may leave a combining mark ("İ").
                Folded::Other if c.is_alphanumeric() => {
                    for c in c.to_lowercase() {
                        match folded(c) {
                            Folded::Letters(letters) => token.push_str(letters),
                            Folded::Word(word) => {
                                close(&mut token, &mut tokens);
                                tokens.push(word.to_owned());
                            }
                            Folded::Other if c.is_alphanumeric() => token.push(c),
                            Folded::Nothing | Folded::Other => {}
                        }
                    }
                }
                Folded::Other => close(&mut token, &mut tokens),
            },
        }
    }
    close(&mut token, &mut tokens);
    tokens
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
