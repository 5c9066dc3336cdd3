//! What the characters of a font of RTF are: of a code page, or signs of their own.

use std::borrow::Cow;

use encoding_rs::Encoding;

use crate::dos;

/// Which characters bytes stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Known(&'static Encoding),
    /// Of DOS: the characters from 0x80 on.
    Dos(&'static str),
    /// Adobe's and Windows' Symbol: Greek letters and mathematical signs.
    Symbol,
    /// Wingdings, Wingdings 2 and 3, Webdings: boxes, ticks, arrows.
    Wingdings,
    Wingdings2,
    Wingdings3,
    Webdings,
    /// One that is not known here.
    Unknown,
}

impl Page {
    /// Windows' for western Europe.
    pub const WESTERN: Self = Self::Known(encoding_rs::WINDOWS_1252);

    pub const UTF_8: Self = Self::Known(encoding_rs::UTF_8);

    /// A code page by its number, as Windows counts them.
    pub fn by_number(number: i32) -> Self {
        let label = match number {
            0 | 1252 => return Self::WESTERN,
            42 => return Self::Symbol,
            874 | 1250..=1258 => format!("windows-{number}"),
            866 => "ibm866".to_owned(),
            20866 => "koi8-r".to_owned(),
            21866 => "koi8-u".to_owned(),
            932 => "shift_jis".to_owned(),
            936 => "gbk".to_owned(),
            949 => "euc-kr".to_owned(),
            950 => "big5".to_owned(),
            54936 => "gb18030".to_owned(),
            10000 => "macintosh".to_owned(),
            10007 => "x-mac-cyrillic".to_owned(),
            28591..=28606 => format!("iso-8859-{}", number - 28590),
            65001 => "utf-8".to_owned(),
            _ => return dos::upper(number).map_or(Self::Unknown, Self::Dos),
        };
        Encoding::for_label(label.as_bytes()).map_or(Self::Unknown, Self::Known)
    }

    /// By the character set of a font (`\fcharset`); `None` where it is that of the document.
    pub fn by_font(character_set: i32) -> Option<Self> {
        let number = match character_set {
            0 => 1252,
            2 => return Some(Self::Symbol),
            77 => 10000,
            128 => 932,
            129 => 949,
            134 => 936,
            136 => 950,
            161 => 1253,
            162 => 1254,
            163 => 1258,
            177 => 1255,
            178..=180 => 1256,
            181 => 1255,
            186 => 1257,
            204 => 1251,
            222 => 874,
            238 => 1250,
            254 => 437,
            255 => 850,
            _ => return None,
        };
        Some(Self::by_number(number))
    }

    /// That of a font of signs, by its name in small letters.
    pub fn of_signs(name: &[u8]) -> Option<Self> {
        let is = |what: &[u8]| name.windows(what.len()).any(|part| part == what);
        Some(match () {
            () if is(b"wingdings 2") => Self::Wingdings2,
            () if is(b"wingdings 3") => Self::Wingdings3,
            () if is(b"wingdings") => Self::Wingdings,
            () if is(b"webdings") => Self::Webdings,
            () if is(b"symbol") => Self::Symbol,
            () => return None,
        })
    }

    /// Whether its characters are signs, ASCII's too.
    pub fn has_signs(self) -> bool {
        !matches!(self, Self::Known(_) | Self::Dos(_) | Self::Unknown)
    }

    /// The number that a character stands for in a font of signs: its own, or that which Windows' set for western Europe has for it.
    pub fn number(c: char) -> Option<u8> {
        let number = match u32::from(c) {
            own @ 0xf020..=0xf0ff => own - 0xf000,
            own => own,
        };
        let other = || {
            let mut bytes = [0; 4];
            let (encoded, _, is_lost) = encoding_rs::WINDOWS_1252.encode(c.encode_utf8(&mut bytes));
            encoded.first().copied().filter(|_| !is_lost)
        };
        u8::try_from(number).ok().or_else(other)
    }

    /// Whether a character may be of several bytes.
    pub fn is_wide(self) -> bool {
        matches!(self, Self::Known(set) if !set.is_single_byte())
    }

    /// The character that bytes stand for, if it is whole.
    pub fn whole(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Known(set) => set.decode_without_bom_handling_and_without_replacement(bytes),
            _ => self.decode(bytes),
        }
    }

    /// What bytes stand for; `None` where that is not known.
    pub fn decode(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Known(set) => Some(set.decode_without_bom_handling(bytes).0),
            Self::Dos(upper) => Some(bytes.iter().map(|byte| dos_character(upper, *byte)).collect()),
            Self::Symbol => Some(bytes.iter().map(|byte| symbol(*byte)).collect()),
            Self::Wingdings => Some(bytes.iter().map(|byte| wingding(*byte)).collect()),
            Self::Wingdings2 => Some(bytes.iter().map(|byte| wingding_2(*byte)).collect()),
            Self::Wingdings3 => Some(bytes.iter().map(|byte| wingding_3(*byte)).collect()),
            Self::Webdings => Some(bytes.iter().map(|byte| webding(*byte)).collect()),
            Self::Unknown => std::str::from_utf8(bytes)
                .ok()
                .filter(|text| text.is_ascii())
                .map(Cow::Borrowed),
        }
    }
}

fn dos_character(upper: &str, byte: u8) -> char {
    let at = byte.checked_sub(0x80).map(usize::from);
    at.map_or(char::from(byte), |at| {
        upper.chars().nth(at).unwrap_or(char::REPLACEMENT_CHARACTER)
    })
}

/// From 0x20 on, as Adobe's Symbol has them.
const SYMBOL: [&str; 14] = [
    " !∀#∃%&∋()∗+,−./",
    "0123456789:;<=>?",
    "≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟ",
    "ΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_",
    "‾αβχδεφγηιϕκλμνο",
    "πθρστυϖωξψζ{|}∼ ",
    "                ",
    "                ",
    "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓",
    "°±″≥×∝∂•÷≠≡≈…⏐⎯↵",
    "ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉",
    "∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓",
    "◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪",
    " 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭ ",
];

fn symbol(byte: u8) -> char {
    let at = usize::from(byte).checked_sub(0x20);
    let found = at.and_then(|at| SYMBOL.get(at / 16)?.chars().nth(at % 16));
    found.unwrap_or(' ')
}

/// The signs that notes have; any other is a bullet.
fn wingding(byte: u8) -> char {
    match byte {
        b' ' => ' ',
        0x6f | 0x71 | 0x72 | 0xa8 => '☐',
        0x78 | 0xfd => '☒',
        0xfe => '☑',
        0xfc => '✓',
        0xfb => '✗',
        0xdf | 0xe7 | 0xef => '←',
        0xd8 | 0xe0 | 0xe8 | 0xf0 => '→',
        0xe1 | 0xe9 | 0xf1 => '↑',
        0xe2 | 0xea | 0xf2 => '↓',
        _ => '•',
    }
}

fn wingding_2(byte: u8) -> char {
    match byte {
        b' ' => ' ',
        0x4f => '✗',
        0x50 => '✓',
        0x51 | 0x53 | 0x54 => '☒',
        0x52 => '☑',
        0xa3 => '☐',
        _ => '•',
    }
}

fn wingding_3(byte: u8) -> char {
    match byte {
        b' ' => ' ',
        0x70 => '▲',
        0x71 => '▼',
        _ => '•',
    }
}

fn webding(byte: u8) -> char {
    match byte {
        b' ' => ' ',
        0x33 => '◀',
        0x34 => '▶',
        0x35 => '▲',
        0x36 => '▼',
        0x61 => '✓',
        0x63 => '☐',
        0x72 => '✗',
        _ => '•',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbol_has_sixteen_signs_in_each_row() {
        for row in SYMBOL {
            assert_eq!(row.chars().count(), 16, "{row}");
        }
        for (byte, sign) in [
            (b'a', 'α'),
            (b'b', 'β'),
            (b'm', 'μ'),
            (0xa3, '≤'),
            (0xb3, '≥'),
            (0xb0, '°'),
            (0xb1, '±'),
        ] {
            assert_eq!(symbol(byte), sign);
        }
        for (byte, sign) in [
            (0xb7, '•'),
            (0xad, '↑'),
            (0xaf, '↓'),
            (0xae, '→'),
            (b'D', 'Δ'),
            (0xb4, '×'),
            (0xbb, '≈'),
        ] {
            assert_eq!(symbol(byte), sign);
        }
        assert_eq!((symbol(0), symbol(0xff)), (' ', ' '));
    }

    #[test]
    fn code_pages_have_numbers() {
        assert_eq!(Page::by_number(1250).decode(b"\xb3"), Some("ł".into()));
        assert_eq!(Page::by_number(28605).decode(b"\xa4"), Some("€".into()));
        assert_eq!(Page::by_number(932).decode(b"\x94\x78"), Some("肺".into()));
        assert_eq!(Page::by_number(437).decode(b"Gr\x94\xe1e"), Some("Größe".into()));
        assert_eq!(Page::by_number(850).decode(b"\xb5"), Some("Á".into()));
        assert_eq!(Page::by_number(852).decode(b"\x88\x9f"), Some("łč".into()));
        assert_eq!(Page::by_number(864).decode(b"\x82"), None);
        assert_eq!(Page::by_number(864).decode(b"gout"), Some("gout".into()));
        assert_eq!(Page::by_font(1), None);
        assert_eq!(Page::by_font(204), Some(Page::by_number(1251)));
    }
}
