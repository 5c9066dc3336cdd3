//! Rich Text Format (Microsoft, Word 2007 RTF Specification 1.9.1): the text of the body, of tables, boxes and footnotes.
//!
//! Left out are pictures, headers and footers of pages, comments, and what is hidden (`\v`), struck through (`\strike`) or deleted with
//! changes tracked (`\deleted`).

use std::collections::HashMap;

use mednerd_plugin::{Decoded, Error};

use crate::code;
use crate::flow::is_nothing;
use crate::fonts::Page;
use crate::pieces::Pieces;

/// Groups in groups; Word has a few dozen.
const DEEPEST: usize = 10_000;

/// The text of a document.
///
/// # Errors
/// Where it is no RTF, is cut off, or has characters of a code page that is not known; those of `check`, which is asked at each piece.
pub fn decode(bytes: &[u8], check: impl Fn() -> Result<(), Error>) -> Result<Decoded, Error> {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let rest = bytes.strip_prefix(MARK).unwrap_or(bytes).trim_ascii_start();
    if !rest.starts_with(br"{\rtf") {
        return Err(Error::input(code::OTHER_FORMAT));
    }
    let mut reader = Reader::new(bytes);
    let mut tokens = Tokens {
        bytes,
        at: bytes.len() - rest.len(),
    };
    loop {
        check()?;
        let begin = tokens.at;
        // What is behind the last brace is no document's.
        let Some(token) = tokens.next()? else {
            return Err(Error::input(code::MALFORMED));
        };
        reader.read(token, begin, &mut tokens)?;
        if reader.groups.is_empty() {
            reader.part();
            return Ok(reader.pieces.finish());
        }
    }
}

/// A piece of markup, or text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'b> {
    Begin,
    End,
    /// A command in letters, with its number.
    Word(&'b [u8], Option<i32>),
    /// A command that is a sign.
    Sign(u8),
    /// A byte in hexadecimal digits.
    Byte(u8),
    /// Bytes as they are.
    Text(&'b [u8]),
    /// Ends of lines of the file, which mean nothing.
    Nothing,
}

struct Tokens<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Tokens<'b> {
    fn rest(&self) -> &'b [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// As many bytes as the next ones are so.
    fn take(&mut self, is: impl Fn(u8) -> bool) -> &'b [u8] {
        let rest = self.rest();
        let length = rest.iter().take_while(|byte| is(**byte)).count();
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// `None` at the end.
    fn next(&mut self) -> Result<Option<Token<'b>>, Error> {
        let Some(&first) = self.rest().first() else {
            return Ok(None);
        };
        Ok(Some(match first {
            b'{' | b'}' => {
                self.at += 1;
                if first == b'{' { Token::Begin } else { Token::End }
            }
            b'\r' | b'\n' | 0 => {
                self.take(|byte| matches!(byte, b'\r' | b'\n' | 0));
                Token::Nothing
            }
            b'\\' => {
                self.at += 1;
                self.command()?
            }
            _ => Token::Text(self.take(|byte| !matches!(byte, b'{' | b'}' | b'\\' | b'\r' | b'\n' | 0))),
        }))
    }

    /// Behind a backslash.
    fn command(&mut self) -> Result<Token<'b>, Error> {
        let word = self.take(|byte| byte.is_ascii_alphabetic());
        if word.is_empty() {
            let sign = *self.rest().first().ok_or(Error::input(code::MALFORMED))?;
            // A backslash before text.
            if !sign.is_ascii() {
                return Ok(Token::Nothing);
            }
            self.at += 1;
            if sign != b'\'' {
                return Ok(Token::Sign(sign));
            }
            let digit = |at| char::from(*self.rest().get(at)?).to_digit(16);
            let byte = digit(0)
                .zip(digit(1))
                .and_then(|(high, low)| u8::try_from(16 * high + low).ok());
            // Not what it should be: it means nothing.
            let Some(byte) = byte else {
                return Ok(Token::Nothing);
            };
            self.at += 2;
            return Ok(Token::Byte(byte));
        }
        let minus = self.rest().starts_with(b"-") && self.rest().get(1).is_some_and(u8::is_ascii_digit);
        self.at += usize::from(minus);
        let digits = self.take(|byte| byte.is_ascii_digit());
        let number = match digits {
            b"" => None,
            _ => {
                let number = digits.iter().fold(0_i32, |sum, digit| {
                    sum.saturating_mul(10).saturating_add(i32::from(digit - b'0'))
                });
                Some(if minus { -number } else { number })
            }
        };
        self.at += usize::from(self.rest().starts_with(b" "));
        Ok(Token::Word(word, number))
    }
}

/// What the text of a group is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    Body,
    Fonts,
    /// How Word made the text of a field.
    Instruction,
    /// What Word says of a field of a form.
    FormField,
    /// One of those that a field of a form has to choose from.
    Choice,
    /// Twice the same: as it is in the code page, and as it is.
    Twice,
    Nothing,
}

/// What stands in a text and is no part of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Insert {
    /// A footnote, which is told in brackets.
    Note,
    /// A box with text, which has lines of its own.
    Box,
}

/// What holds to the end of a group.
#[derive(Clone, Copy)]
struct Group {
    destination: Destination,
    /// `\*` stands before its first command: it is left out where that is not known.
    is_optional: bool,
    font: i32,
    /// How many characters stand for each `\u` where it is not understood.
    instead: usize,
    is_hidden: bool,
    is_struck: bool,
    is_deleted: bool,
    /// Stands above the line.
    is_raised: bool,
    /// In how many tables, one in the other, the paragraph is.
    tables: i32,
    insert: Option<Insert>,
}

/// A field of a form.
#[derive(Default)]
struct Form {
    /// 1 is a box to tick, 2 a list to choose from.
    kind: Option<i32>,
    result: Option<i32>,
    preset: Option<i32>,
    choices: Vec<Placed>,
}

/// Characters, and what stands for them.
struct Placed {
    text: String,
    begin: usize,
    end: usize,
}

/// What parts lines and cells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parting {
    /// The end of a paragraph, line or page.
    Line,
    /// The end of a cell.
    Cell,
    /// The end of a cell of several lines, behind which the next one is on a line of its own, or what it says would be said of the last.
    LongCell,
    /// The end of a row.
    Row,
    Begins(Insert),
    Ends(Insert),
}

struct Reader<'b> {
    bytes: &'b [u8],
    /// All is UTF-8, and not ASCII alone: such bytes are no code page's.
    is_utf8: bool,
    pieces: Pieces,
    groups: Vec<Group>,
    page: Page,
    /// What the bytes of each font stand for; `None`: what the document's do.
    fonts: HashMap<i32, Option<Page>>,
    default_font: i32,
    /// The name of the font that is told.
    font_name: Vec<u8>,
    /// Characters that stand for the last `\u` and were not passed over yet.
    instead: usize,
    /// The first half of a pair, and where it begins.
    half: Option<(u16, usize)>,
    form: Form,
    /// How the text of the field is made that is read.
    instruction: Option<Placed>,
    /// The field was read, and its text stands for it once more.
    is_field_read: bool,
    /// The last text stood above the line.
    was_raised: bool,
    /// Lines that have ended in the cell, and in how many tables that is.
    lines: (i32, usize),
    /// What stands behind the last text and was not written yet, each with its place.
    partings: Vec<(Parting, usize, usize)>,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self {
            bytes,
            is_utf8: std::str::from_utf8(bytes).is_ok(),
            pieces: Pieces::default(),
            groups: Vec::new(),
            page: Page::WESTERN,
            fonts: HashMap::new(),
            default_font: 0,
            font_name: Vec::new(),
            instead: 0,
            half: None,
            form: Form::default(),
            instruction: None,
            is_field_read: false,
            was_raised: false,
            lines: (0, 0),
            partings: Vec::new(),
        }
    }

    fn read(&mut self, token: Token<'_>, begin: usize, tokens: &mut Tokens<'_>) -> Result<(), Error> {
        if matches!(token, Token::Begin | Token::End) {
            self.instead = 0;
        }
        match token {
            Token::Begin => self.begin()?,
            Token::End => self.end(begin),
            Token::Nothing => {}
            _ if self.is_instead(&token, begin, tokens) => {}
            Token::Text(text) => self.text(text, begin)?,
            Token::Byte(byte) => self.byte(byte, begin, tokens)?,
            Token::Sign(sign) => self.sign(sign, begin, tokens.at),
            Token::Word(b"bin", length) => {
                let length = usize::try_from(length.unwrap_or(0)).unwrap_or(0);
                tokens.at = tokens.at.saturating_add(length).min(self.bytes.len());
                // Not into a character.
                if self.is_utf8 {
                    tokens.take(|byte| byte & 0xc0 == 0x80);
                }
            }
            Token::Word(word, number) => self.word(word, number, begin, tokens.at),
        }
        Ok(())
    }

    /// Passes over what stands for the last `\u`. Commands that are no characters stand for themselves, though the specification says
    /// otherwise: where a writer leaves out what it should have put there, a line's end would be lost.
    fn is_instead(&mut self, token: &Token<'_>, begin: usize, tokens: &mut Tokens<'_>) -> bool {
        if self.instead == 0 {
            return false;
        }
        let length = match token {
            Token::Text(text) => {
                let (characters, bytes) = self.first_characters(text, self.instead);
                // Back to what is left of it.
                tokens.at = begin + bytes;
                characters
            }
            Token::Word(word, _) if meaning(word).is_none_or(|text| text == "\t") => {
                self.instead = 0;
                return false;
            }
            _ => 1,
        };
        self.instead -= length;
        true
    }

    /// Of the first characters of a text, at most so many, how many there are, and their bytes.
    fn first_characters(&self, text: &[u8], most: usize) -> (usize, usize) {
        match std::str::from_utf8(text) {
            Ok(text) if self.is_utf8 => {
                let lengths = text.chars().take(most).map(char::len_utf8);
                lengths.fold((0, 0), |(count, bytes), length| (count + 1, bytes + length))
            }
            _ => (most.min(text.len()), most.min(text.len())),
        }
    }

    fn begin(&mut self) -> Result<(), Error> {
        if self.groups.len() >= DEEPEST {
            return Err(Error::input(code::MALFORMED));
        }
        let group = self.groups.last().map_or(
            Group {
                destination: Destination::Body,
                is_optional: false,
                font: -1,
                instead: 1,
                is_hidden: false,
                is_struck: false,
                is_deleted: false,
                is_raised: false,
                tables: 0,
                insert: None,
            },
            |group| Group {
                is_optional: false,
                ..*group
            },
        );
        self.groups.push(group);
        Ok(())
    }

    fn end(&mut self, at: usize) {
        let Some(ended) = self.groups.pop() else {
            return;
        };
        let Some(&around) = self.groups.last() else {
            return;
        };
        if around.destination != ended.destination {
            match ended.destination {
                Destination::FormField => self.end_form(at),
                Destination::Instruction => self.end_instruction(at),
                _ => {}
            }
        }
        if let Some(insert) = ended.insert.filter(|_| around.insert.is_none()) {
            self.end_insert(insert, at);
        }
    }

    fn begin_insert(&mut self, insert: Insert, at: usize) {
        if self.is_visible()
            && let Some(group) = self.groups.last_mut()
            && group.insert.is_none()
        {
            group.insert = Some(insert);
            self.partings.push((Parting::Begins(insert), at, at));
        }
    }

    fn end_insert(&mut self, insert: Insert, at: usize) {
        let begun = self
            .partings
            .iter()
            .rposition(|parting| parting.0 == Parting::Begins(insert));
        if let Some(begun) = begun {
            // Nothing was in it.
            self.partings.truncate(begun);
            return;
        }
        while self.partings.pop_if(|last| last.0 == Parting::Line).is_some() {}
        self.partings.push((Parting::Ends(insert), at, at));
    }

    fn end_form(&mut self, at: usize) {
        let form = std::mem::take(&mut self.form);
        // 25: what it was set to at first.
        let result = form.result.filter(|result| *result != 25).or(form.preset);
        match form.kind {
            Some(1) => {
                let sign = if result == Some(1) { "[x] " } else { "[ ] " };
                self.write_visible(sign, at, at);
            }
            Some(2) => {
                let chosen = usize::try_from(result.unwrap_or(0)).ok();
                if let Some(chosen) = chosen.and_then(|chosen| form.choices.get(chosen)) {
                    self.write_visible(&chosen.text, chosen.begin, chosen.end);
                    self.is_field_read = true;
                }
            }
            _ => {}
        }
    }

    /// A sign of a font, which Word gives by its number: `SYMBOL 179 \f "Symbol"`.
    fn end_instruction(&mut self, at: usize) {
        let Some(instruction) = self.instruction.take() else {
            return;
        };
        let mut words = instruction.text.split_ascii_whitespace();
        let is_symbol = words
            .next()
            .is_some_and(|word| word.eq_ignore_ascii_case("SYMBOL"));
        let number = words.next().and_then(|number| match number.strip_prefix("0x") {
            Some(digits) => u32::from_str_radix(digits, 16).ok(),
            None => number.parse().ok(),
        });
        let Some(number) = number.filter(|_| is_symbol) else {
            return;
        };
        let font = instruction.text.split_once("\\f").map_or("", |(_, font)| font);
        let font = font.to_ascii_lowercase();
        let page = Page::of_signs(font.as_bytes()).unwrap_or(Page::WESTERN);
        let sign = match u8::try_from(number) {
            Ok(byte) => page.decode(&[byte]).map(|sign| sign.into_owned()),
            Err(_) => char::from_u32(number).map(String::from),
        };
        // A field of a form may stand within it.
        let begin = instruction.begin.max(self.pieces.end());
        self.write(&sign.unwrap_or_default(), begin, at);
        self.is_field_read = true;
    }

    fn text(&mut self, text: &[u8], begin: usize) -> Result<(), Error> {
        match self.groups.last().map(|group| group.destination) {
            Some(Destination::Body | Destination::Choice | Destination::Instruction) => {}
            Some(Destination::Fonts) => {
                self.name_font(text);
                return Ok(());
            }
            _ => return Ok(()),
        }
        let page = self.current();
        let is_unicode = self.is_utf8 || text.is_ascii();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let plain = match page.has_signs() {
                true => "",
                false if is_unicode => std::str::from_utf8(rest).unwrap_or_default(),
                false => {
                    let length = rest.iter().take_while(|byte| byte.is_ascii()).count();
                    std::str::from_utf8(rest.get(..length).unwrap_or_default()).unwrap_or_default()
                }
            };
            let length = match plain.is_empty() {
                false => {
                    self.write(plain, begin + at, begin + at + plain.len());
                    plain.len()
                }
                true => self.character(page, rest, is_unicode, begin + at)?,
            };
            at += length;
        }
        Ok(())
    }

    /// Writes the first character of a text that is no plain text, and tells its length.
    fn character(&mut self, page: Page, text: &[u8], is_unicode: bool, at: usize) -> Result<usize, Error> {
        // In a font of signs too it is what it is.
        let is_itself = is_unicode && text.first().is_some_and(|byte| !byte.is_ascii());
        let of = |page: Page, length| Some((length, page.whole(text.get(..length)?)?));
        let found = match is_itself {
            true => (1..=4).find_map(|length| of(Page::UTF_8, length)),
            false => (1..=4).find_map(|length| of(page, length)),
        };
        let (length, character) = match found {
            Some((length, character)) => (length, character),
            None if page == Page::Unknown => return Err(Error::input(code::CHARACTERS_UNKNOWN)),
            None => (1, char::REPLACEMENT_CHARACTER.to_string().into()),
        };
        self.write(&character, at, at + length);
        Ok(length)
    }

    /// A byte, and those that follow it and are of the same character, as they are or escaped.
    fn byte(&mut self, byte: u8, begin: usize, tokens: &mut Tokens<'_>) -> Result<(), Error> {
        if !self.is_read() || byte == 0 {
            return Ok(());
        }
        let page = self.current();
        let mut bytes = vec![byte];
        let behind_first = tokens.at;
        while bytes.len() < 4 && page.is_wide() && page.whole(&bytes).is_none() {
            let at = tokens.at;
            match tokens.next()? {
                Some(Token::Byte(byte)) => bytes.push(byte),
                Some(Token::Text([next, ..])) if next.is_ascii() || !self.is_utf8 => {
                    bytes.push(*next);
                    tokens.at = at + 1;
                }
                _ => {
                    tokens.at = at;
                    break;
                }
            }
        }
        if let Some(character) = page.whole(&bytes) {
            self.write(&character, begin, tokens.at);
            return Ok(());
        }
        if page == Page::Unknown {
            return Err(Error::input(code::CHARACTERS_UNKNOWN));
        }
        tokens.at = behind_first;
        self.write(
            char::REPLACEMENT_CHARACTER.encode_utf8(&mut [0; 4]),
            begin,
            tokens.at,
        );
        Ok(())
    }

    fn sign(&mut self, sign: u8, begin: usize, end: usize) {
        let text = match sign {
            b'*' => {
                if let Some(group) = self.groups.last_mut() {
                    group.is_optional = true;
                }
                return;
            }
            b'~' => "\u{a0}",
            b'_' => "-",
            b'\\' => "\\",
            b'{' => "{",
            b'}' => "}",
            b'\r' | b'\n' => return self.parting(Parting::Line, begin, end),
            b'\t' => "\t",
            // A word may be parted here, and is not.
            _ => return,
        };
        self.write(text, begin, end);
    }

    fn word(&mut self, word: &[u8], number: Option<i32>, begin: usize, end: usize) {
        let is_on = number != Some(0);
        let Some(group) = self.groups.last_mut() else {
            return;
        };
        let is_optional = std::mem::take(&mut group.is_optional);
        let is_body = group.destination == Destination::Body;
        match word {
            b"fonttbl" => group.destination = Destination::Fonts,
            b"fldinst" if is_body => {
                group.destination = Destination::Instruction;
                self.instruction = None;
                self.is_field_read = false;
            }
            b"fldrslt" if is_body && std::mem::take(&mut self.is_field_read) => {
                group.destination = Destination::Nothing;
            }
            b"formfield" if group.destination == Destination::Instruction => {
                group.destination = Destination::FormField;
            }
            b"ffl" if group.destination == Destination::FormField => {
                group.destination = Destination::Choice;
                self.form.choices.push(Placed {
                    text: String::new(),
                    begin: end,
                    end,
                });
            }
            b"upr" if is_body => group.destination = Destination::Twice,
            b"ud" if group.destination == Destination::Twice => group.destination = Destination::Body,
            b"footnote" if is_body => self.begin_insert(Insert::Note, begin),
            b"shptxt" | b"dptxbxtext" if is_body => self.begin_insert(Insert::Box, begin),
            // What is in them is read: boxes, the ends of rows in rows.
            b"shpinst" | b"do" | b"nesttableprops" => {}
            _ if is_optional || is_left_out(word) => group.destination = Destination::Nothing,
            b"v" => group.is_hidden = is_on,
            b"strike" | b"striked" => group.is_struck = is_on,
            b"deleted" | b"mvf" => group.is_deleted = is_on,
            b"super" => group.is_raised = is_on,
            b"up" => group.is_raised = number != Some(0),
            b"nosupersub" | b"sub" | b"dn" => group.is_raised = false,
            b"pard" => group.tables = 0,
            b"intbl" => group.tables = group.tables.max(1),
            b"itap" => group.tables = number.unwrap_or(1),
            b"plain" => {
                group.is_hidden = false;
                group.is_struck = false;
                group.is_raised = false;
                group.font = -1;
            }
            b"f" => {
                group.font = number.unwrap_or(0);
                if group.destination == Destination::Fonts {
                    self.font_name.clear();
                }
            }
            b"fcharset" if group.destination == Destination::Fonts => {
                let page = number.and_then(Page::by_font);
                self.fonts.insert(group.font, page);
            }
            b"cpg" if group.destination == Destination::Fonts => {
                self.fonts.insert(group.font, number.map(Page::by_number));
            }
            b"fftype" if group.destination == Destination::FormField => self.form.kind = number,
            b"ffres" if group.destination == Destination::FormField => self.form.result = number,
            b"ffdefres" if group.destination == Destination::FormField => self.form.preset = number,
            b"uc" => group.instead = usize::try_from(number.unwrap_or(1)).unwrap_or(0),
            b"u" => {
                self.instead = group.instead;
                self.unicode(number.unwrap_or(0), begin, end);
            }
            b"ansicpg" => self.page = Page::by_number(number.unwrap_or(0)),
            b"mac" => self.page = Page::by_number(10000),
            b"pc" => self.page = Page::by_number(437),
            b"pca" => self.page = Page::by_number(850),
            b"deff" => self.default_font = number.unwrap_or(0),
            _ => match (parting(word), meaning(word)) {
                (Some(parting), _) => self.parting(parting, begin, end),
                (_, Some(text)) => self.write(text, begin, end),
                _ => {}
            },
        }
    }

    /// A unit of UTF-16; those above 32,767 are written as negative numbers.
    fn unicode(&mut self, number: i32, begin: usize, end: usize) {
        let unit = match u16::try_from(number).or_else(|_| u16::try_from(number.saturating_add(65_536))) {
            Ok(unit) => unit,
            // As some write it, whole.
            Err(_) => {
                let c = u32::try_from(number).ok().and_then(char::from_u32);
                self.write(
                    c.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]),
                    begin,
                    end,
                );
                return;
            }
        };
        if let Some((first, from)) = self.half.take()
            && let Some(Ok(c)) = char::decode_utf16([first, unit]).next()
        {
            self.write(c.encode_utf8(&mut [0; 4]), from, end);
            return;
        }
        match (unit, char::from_u32(unit.into())) {
            (0xd800..=0xdbff, _) => self.half = Some((unit, begin)),
            // Where Windows keeps the signs of such fonts.
            (0xf020..=0xf0ff, _) => {
                let page = Some(self.current()).filter(|page| page.has_signs());
                let page = page.unwrap_or(Page::Symbol);
                let bytes = [unit.to_be_bytes()[1]];
                let decoded = page.decode(&bytes).unwrap_or_default();
                self.write(&decoded, begin, end);
            }
            (_, c) => {
                let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                self.write(c.encode_utf8(&mut [0; 4]), begin, end);
            }
        }
    }

    fn name_font(&mut self, text: &[u8]) {
        let Some(font) = self.groups.last().map(|group| group.font) else {
            return;
        };
        for byte in text {
            if *byte != b';' {
                self.font_name.push(byte.to_ascii_lowercase());
                continue;
            }
            let name = std::mem::take(&mut self.font_name);
            let page = self.fonts.entry(font).or_default();
            *page = match *page {
                // Fonts of signs that are not known have letters, perhaps.
                Some(Page::Symbol) => Page::of_signs(&name),
                page => Page::of_signs(&name)
                    .filter(|page| *page != Page::Symbol)
                    .or(page),
            };
        }
    }

    /// What bytes stand for here.
    fn current(&self) -> Page {
        let font = self.groups.last().map_or(-1, |group| group.font);
        let font = if font < 0 { self.default_font } else { font };
        self.fonts.get(&font).copied().flatten().unwrap_or(self.page)
    }

    fn is_body(&self) -> bool {
        self.groups
            .last()
            .is_some_and(|group| group.destination == Destination::Body)
    }

    /// Whether text that stands here is one for someone.
    fn is_read(&self) -> bool {
        self.groups.last().is_some_and(|group| {
            matches!(
                group.destination,
                Destination::Body | Destination::Choice | Destination::Instruction
            )
        })
    }

    fn is_visible(&self) -> bool {
        self.groups
            .last()
            .is_some_and(|group| !(group.is_hidden || group.is_struck || group.is_deleted))
    }

    /// A paragraph that ends where its cell does ends no line, nor does a cell that ends where its row does begin another one, or a box
    /// that ends where its paragraph does.
    fn parting(&mut self, parting: Parting, begin: usize, end: usize) {
        if !(self.is_body() && self.is_visible()) {
            return;
        }
        let is_ended = |last: Parting| match parting {
            Parting::Line => last == Parting::Ends(Insert::Box),
            Parting::Cell => matches!(last, Parting::Line | Parting::Ends(Insert::Box)),
            Parting::Row => matches!(last, Parting::Cell | Parting::LongCell),
            _ => false,
        };
        let tables = self.groups.last().map_or(0, |group| group.tables);
        let mut lines = if self.lines.0 == tables { self.lines.1 } else { 0 };
        while let Some((ended, ..)) = self.partings.pop_if(|last| is_ended(last.0)) {
            lines = lines.saturating_sub(usize::from(ended == Parting::Line));
        }
        self.lines = match parting {
            Parting::Line if tables > 0 => (tables, lines + 1),
            _ => (tables, 0),
        };
        let parting = match parting {
            Parting::Cell if lines > 0 => Parting::LongCell,
            parting => parting,
        };
        self.partings.push((parting, begin, end));
    }

    /// Writes what parts the next text from the last one.
    fn part(&mut self) {
        for (parting, begin, end) in self.partings.drain(..) {
            let text = match parting {
                Parting::Cell => "\t",
                Parting::Begins(Insert::Note) => " [",
                Parting::Ends(Insert::Note) => "]",
                Parting::Begins(Insert::Box) | Parting::Ends(Insert::Box) if self.pieces.is_at_line() => "",
                _ => "\n",
            };
            self.pieces.replace(text, begin, end);
        }
    }

    /// Writes what `begin..end` stands for, or is.
    fn write(&mut self, text: &str, begin: usize, end: usize) {
        match self.groups.last().map(|group| group.destination) {
            Some(Destination::Body) => self.write_visible(text, begin, end),
            Some(Destination::Choice) => {
                if let Some(choice) = self.form.choices.last_mut() {
                    choice.text.push_str(text);
                    choice.end = end;
                }
            }
            Some(Destination::Instruction) => {
                let instruction = self.instruction.get_or_insert_with(|| Placed {
                    text: String::new(),
                    begin,
                    end,
                });
                instruction.text.push_str(text);
            }
            _ => {}
        }
    }

    fn write_visible(&mut self, text: &str, begin: usize, end: usize) {
        if !self.is_visible() || text.is_empty() {
            return;
        }
        self.half = None;
        if text.chars().all(is_nothing) {
            return;
        }
        self.part();
        let is_raised = self.groups.last().is_some_and(|group| group.is_raised);
        if is_raised && !std::mem::replace(&mut self.was_raised, is_raised) {
            self.pieces.raise();
        }
        self.was_raised = is_raised;
        if self.bytes.get(begin..end) != Some(text.as_bytes()) {
            self.pieces.replace(text, begin, end);
            return;
        }
        let mut at = begin;
        for part in text.split_inclusive(is_nothing) {
            let plain = part.trim_end_matches(is_nothing);
            if !plain.is_empty() {
                self.pieces.copy(plain, at);
            }
            at += part.len();
        }
    }
}

/// Destinations without `\*` whose text is not the body's.
fn is_left_out(word: &[u8]) -> bool {
    matches!(
        word,
        b"annotation"
            | b"aftncn"
            | b"aftnsep"
            | b"aftnsepc"
            | b"atnauthor"
            | b"atnid"
            | b"bkmkend"
            | b"bkmkstart"
            | b"colortbl"
            | b"datafield"
            | b"filetbl"
            | b"fldinst"
            | b"footer"
            | b"footerf"
            | b"footerl"
            | b"footerr"
            | b"ftncn"
            | b"ftnsep"
            | b"ftnsepc"
            | b"generator"
            | b"header"
            | b"headerf"
            | b"headerl"
            | b"headerr"
            | b"info"
            | b"listoverridetable"
            | b"listtable"
            | b"nonesttables"
            | b"nonshppict"
            | b"objdata"
            | b"pict"
            | b"pntxta"
            | b"pntxtb"
            | b"private"
            | b"revtbl"
            | b"rxe"
            | b"shprslt"
            | b"sp"
            | b"stylesheet"
            | b"tc"
            | b"tcn"
            | b"themedata"
            | b"txe"
            | b"xe"
    )
}

/// What a command that ends something ends.
fn parting(word: &[u8]) -> Option<Parting> {
    Some(match word {
        b"par" | b"line" | b"lbr" | b"softline" | b"sect" | b"page" | b"column" => Parting::Line,
        b"cell" | b"nestcell" => Parting::Cell,
        b"row" | b"nestrow" => Parting::Row,
        _ => return None,
    })
}

/// What a command that is a character stands for.
fn meaning(word: &[u8]) -> Option<&'static str> {
    Some(match word {
        b"tab" => "\t",
        b"emdash" => "—",
        b"endash" => "–",
        b"emspace" | b"enspace" | b"qmspace" => " ",
        b"bullet" => "•",
        b"lquote" => "‘",
        b"rquote" => "’",
        b"ldblquote" => "“",
        b"rdblquote" => "”",
        _ => return None,
    })
}
