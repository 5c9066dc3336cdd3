//! HTML and XHTML, tokenised as the HTML Standard (13.2.5) has it: what a browser shows that runs no scripts and fetches nothing.

use std::collections::HashMap;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, State, Tokenizer, naive_next_state};
use mednerd_plugin::{Decoded, Error};

use crate::flow::Flow;
use crate::fonts::Page;
use crate::style::{Display, Sheet, Style, is_read, signs};
use crate::{cda, code};

/// The text of a document.
///
/// # Errors
/// Where it is CDA; those of `check`, which is asked at each piece of markup.
pub fn decode(document: &str, check: impl Fn() -> Result<(), Error>) -> Result<Decoded, Error> {
    if cda::is_cda(document) {
        return Err(Error::input(code::OTHER_FORMAT));
    }
    let mut elements = Elements::new(document);
    let mut flow = Flow::new();
    let mut at = 0;
    for markup in markup(document) {
        check()?;
        elements.text(&mut flow, at, markup.begin);
        at = markup.end.max(at);
        match markup.what {
            What::Begins(tag) => elements.begin(&mut flow, tag, (markup.begin, markup.end)),
            What::Ends(name) => elements.end(&mut flow, &name),
            What::Nothing => {}
        }
    }
    elements.text(&mut flow, at, document.len());
    Ok(flow.finish())
}

/// A tag, a comment or the like, and where it stands.
struct Markup {
    begin: usize,
    end: usize,
    what: What,
}

enum What {
    Begins(Tag),
    Ends(Box<[u8]>),
    Nothing,
}

/// What an `input` is to a reader.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Input {
    /// Its value is read.
    #[default]
    Line,
    /// A box to tick, or one of several.
    Box,
    /// A button, or what nobody sees.
    Other,
}

/// A start tag.
#[derive(Default)]
struct Tag {
    /// In small letters, as are the other strings.
    name: Box<[u8]>,
    closes_itself: bool,
    /// Nobody shall see what is in it.
    is_hidden: bool,
    input: Input,
    /// The box is ticked, or the option chosen.
    is_ticked: bool,
    /// Where what was entered stands.
    value: (usize, usize),
    style: String,
    classes: String,
    identifier: String,
    media: String,
    face: String,
}

impl Tag {
    fn attribute(&mut self, name: &[u8], value: &[u8], place: (usize, usize)) {
        let text = || String::from_utf8_lossy(value).to_ascii_lowercase();
        match name {
            b"hidden" => self.is_hidden = true,
            b"checked" | b"selected" => self.is_ticked = true,
            b"type" => {
                self.input = match &*text() {
                    "checkbox" | "radio" => Input::Box,
                    "button" | "color" | "file" | "hidden" | "image" | "password" | "range" | "reset"
                    | "submit" => Input::Other,
                    _ => Input::Line,
                }
            }
            b"value" => self.value = place,
            b"style" => self.style = text(),
            b"class" => self.classes = text(),
            b"id" => self.identifier = text(),
            b"media" => self.media = text(),
            b"face" => self.face = text(),
            _ => {}
        }
    }

    /// How what is in it is tokenised; elsewhere as everything is. In XHTML such an element may close itself.
    fn state(&self) -> Option<State> {
        match &*self.name {
            _ if self.closes_itself => None,
            b"noframes" => Some(State::RawText),
            name => naive_next_state(name),
        }
    }
}

/// The markup of a document, in order.
fn markup(document: &str) -> impl Iterator<Item = Markup> {
    let mut tag = Tag::default();
    let mut begin = 0;
    let mut attribute = Vec::new();
    let emitter = CallbackEmitter::new(move |event: CallbackEvent<'_>, span: Span<usize>| {
        let what = match event {
            CallbackEvent::OpenStartTag { name } => {
                begin = span.start;
                tag = Tag {
                    name: name.into(),
                    ..Tag::default()
                };
                return None;
            }
            CallbackEvent::AttributeName { name } => {
                tag.attribute(name, b"", (0, 0));
                attribute = name.to_owned();
                return None;
            }
            CallbackEvent::AttributeValue { value } => {
                tag.attribute(&attribute, value, (span.start, span.end));
                return None;
            }
            CallbackEvent::String { .. } | CallbackEvent::Error(_) => return None,
            CallbackEvent::CloseStartTag { self_closing } => {
                tag.closes_itself = self_closing;
                return Some(Markup {
                    begin,
                    end: span.end,
                    what: What::Begins(std::mem::take(&mut tag)),
                });
            }
            CallbackEvent::EndTag { name } => What::Ends(name.into()),
            CallbackEvent::Comment { .. } | CallbackEvent::Doctype { .. } => What::Nothing,
        };
        Some(Markup {
            begin: span.start,
            end: span.end,
            what,
        })
    });
    let mut tokenizer = Tokenizer::new_with_emitter(document, emitter);
    std::iter::from_fn(move || {
        let Ok(markup) = tokenizer.next()?;
        if let What::Begins(tag) = &markup.what
            && let Some(state) = tag.state()
        {
            tokenizer.set_state(state);
        }
        Some(markup)
    })
}

/// What an element does to the text around it and in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Inline,
    /// A space stands before it and behind it.
    Apart,
    /// Stands on lines of its own.
    Block,
    /// Has an empty line before it.
    Heading,
    Item,
    /// A table or a row of one.
    Row,
    Cell,
    /// Stands on lines of its own, and its white space is meant.
    Verbatim,
    /// Stands above the line.
    Raised,
    /// Nobody sees it, or it is struck through and so withdrawn.
    Hidden,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        match name {
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => Self::Heading,
            b"li" => Self::Item,
            b"table" | b"tr" => Self::Row,
            b"td" | b"th" => Self::Cell,
            b"button" | b"img" | b"input" | b"option" | b"select" => Self::Apart,
            b"sup" => Self::Raised,
            b"pre" | b"textarea" | b"listing" | b"xmp" | b"plaintext" => Self::Verbatim,
            b"script" | b"style" | b"title" | b"template" | b"noscript" | b"iframe" | b"object" | b"svg"
            | b"math" | b"canvas" | b"audio" | b"video" | b"datalist" | b"noframes" | b"noembed" | b"del"
            | b"s" | b"strike" => Self::Hidden,
            b"address" | b"article" | b"aside" | b"blockquote" | b"body" | b"caption" | b"center" | b"dd"
            | b"details" | b"dialog" | b"dir" | b"div" | b"dl" | b"dt" | b"fieldset" | b"figcaption"
            | b"figure" | b"footer" | b"form" | b"head" | b"header" | b"hgroup" | b"html" | b"legend"
            | b"main" | b"menu" | b"nav" | b"ol" | b"optgroup" | b"p" | b"search" | b"section"
            | b"summary" | b"tbody" | b"tfoot" | b"thead" | b"ul" => Self::Block,
            _ => Self::Inline,
        }
    }

    /// What it is where its style says otherwise.
    fn styled(self, style: Style) -> Self {
        let is_inline = matches!(self, Self::Inline | Self::Apart | Self::Raised);
        match (style.display, self) {
            (Some(Display::None), _) => Self::Hidden,
            _ if style.is_struck == Some(true) => Self::Hidden,
            (_, Self::Hidden) => Self::Hidden,
            _ if is_inline && style.is_afloat == Some(true) => Self::Apart,
            (Some(Display::Block), _) if is_inline || matches!(self, Self::Row | Self::Cell) => Self::Block,
            (Some(Display::Table | Display::Row), _) if is_inline || self == Self::Block => Self::Row,
            (Some(Display::Cell), _) if is_inline || self == Self::Block => Self::Cell,
            _ if is_inline && style.is_away == Some(true) => Self::Block,
            (Some(Display::Inline), Self::Block | Self::Heading | Self::Item) => Self::Inline,
            (Some(Display::Apart), Self::Inline | Self::Block | Self::Item) => Self::Apart,
            (_, Self::Inline) if style.is_raised == Some(true) => Self::Raised,
            _ => self,
        }
    }

    /// Whether it ends no line.
    fn is_in_line(self) -> bool {
        matches!(self, Self::Inline | Self::Apart | Self::Raised | Self::Hidden)
    }

    fn begin(self, flow: &mut Flow) {
        match self {
            Self::Heading => flow.blank(),
            Self::Item => flow.item(),
            Self::Cell => flow.cell(),
            Self::Raised => flow.raise(),
            _ => self.end(flow),
        }
    }

    fn end(self, flow: &mut Flow) {
        match self {
            Self::Inline | Self::Hidden | Self::Cell | Self::Raised => {}
            Self::Apart => flow.apart(),
            Self::Block | Self::Heading | Self::Verbatim => flow.line(),
            Self::Item => flow.end_item(),
            Self::Row => flow.row(),
        }
    }
}

/// Elements that have no end.
fn is_void(name: &[u8]) -> bool {
    matches!(
        name,
        b"area"
            | b"base"
            | b"br"
            | b"col"
            | b"embed"
            | b"hr"
            | b"img"
            | b"input"
            | b"link"
            | b"meta"
            | b"param"
            | b"source"
            | b"track"
            | b"wbr"
    )
}

/// Whether an element that is open ends where another one begins (13.1.2.4, optional tags).
fn ends_before(open: &[u8], next: &[u8]) -> bool {
    match open {
        b"p" => !Kind::of(next).is_in_line(),
        b"li" | b"option" | b"tr" => open == next,
        b"dt" | b"dd" => matches!(next, b"dt" | b"dd"),
        b"td" | b"th" => matches!(next, b"td" | b"th" | b"tr"),
        b"head" => next == b"body",
        _ => false,
    }
}

/// An element that is open.
struct Open {
    name: Box<[u8]>,
    kind: Kind,
    is_hidden: bool,
    is_invisible: bool,
    is_verbatim: bool,
    /// The signs of its font.
    signs: Option<Page>,
    /// Its elements stand apart.
    is_flex: bool,
    /// A style sheet for readers at a screen.
    is_sheet: bool,
    /// Has ended, and blocks that began in it have not: `<b>a<p>b</b>c`.
    is_over: bool,
}

/// The elements that are open.
struct Elements<'d> {
    document: &'d str,
    open: Vec<Open>,
    /// Where those of each name are that are not over.
    names: HashMap<Box<[u8]>, Vec<usize>>,
    /// Where those are that end lines.
    blocks: Vec<usize>,
    cells: Vec<usize>,
    hidden: usize,
    sheet: Sheet,
}

impl<'d> Elements<'d> {
    fn new(document: &'d str) -> Self {
        Self {
            document,
            open: Vec::new(),
            names: HashMap::new(),
            blocks: Vec::new(),
            cells: Vec::new(),
            hidden: 0,
            sheet: Sheet::default(),
        }
    }

    fn begin(&mut self, flow: &mut Flow, tag: Tag, place: (usize, usize)) {
        while let Some(open) = self.open.last()
            && ends_before(&open.name, &tag.name)
        {
            self.pop(flow);
        }
        let name = String::from_utf8_lossy(&tag.name);
        let style = self.sheet.of(&name, &tag.classes, &tag.identifier);
        let mut style = style.with(Style::read(&tag.style));
        if &*tag.name == b"font" && !tag.face.is_empty() {
            style.signs = style.signs.or(Some(signs(&tag.face)));
        }
        let around = self.open.last();
        let mut kind = Kind::of(&tag.name).styled(style);
        if kind == Kind::Inline && around.is_some_and(|around| around.is_flex) {
            kind = Kind::Apart;
        }
        let is_left = &*tag.name == b"option" && !tag.is_ticked;
        let is_hidden = kind == Kind::Hidden || tag.is_hidden || is_left;
        let inherited =
            |said: Option<bool>, of: fn(&Open) -> bool| said.unwrap_or_else(|| around.is_some_and(of));
        let open = Open {
            kind,
            is_hidden,
            is_invisible: inherited(style.is_invisible, |around| around.is_invisible),
            is_verbatim: match kind {
                Kind::Verbatim => style.is_verbatim != Some(false),
                _ => inherited(style.is_verbatim, |around| around.is_verbatim),
            },
            signs: style
                .signs
                .unwrap_or_else(|| around.and_then(|around| around.signs)),
            is_flex: style.display == Some(Display::Flex),
            is_sheet: &*tag.name == b"style" && is_read(&tag.media),
            is_over: false,
            name: tag.name,
        };
        let is_void = tag.closes_itself || is_void(&open.name);
        if self.hidden == 0 && !is_hidden {
            kind.begin(flow);
            match &*open.name {
                b"br" => flow.end_line(),
                b"hr" => flow.blank(),
                _ if open.is_invisible => {}
                b"input" => match tag.input {
                    Input::Line => write(flow, self.source(tag.value.0, tag.value.1), tag.value.0, false),
                    Input::Box => {
                        let sign = if tag.is_ticked { "[x]" } else { "[ ]" };
                        flow.meaning(sign, place.0, place.1);
                    }
                    Input::Other => {}
                },
                _ => {}
            }
            if is_void {
                kind.end(flow);
            }
        }
        if is_void {
            return;
        }
        let at = self.open.len();
        self.hidden += usize::from(is_hidden);
        self.names.entry(open.name.clone()).or_default().push(at);
        if !kind.is_in_line() {
            self.blocks.push(at);
        }
        if matches!(&*open.name, b"td" | b"th") {
            self.cells.push(at);
        }
        self.open.push(open);
    }

    /// An end tag: what is open within its element ends as well. One of no element is passed over, but for those that browsers make an
    /// element of.
    fn end(&mut self, flow: &mut Flow, name: &[u8]) {
        let Some(&at) = self.names.get(name).and_then(|open| open.last()) else {
            match name {
                b"br" if self.hidden == 0 => flow.end_line(),
                b"p" if self.hidden == 0 => flow.line(),
                _ => {}
            }
            return;
        };
        let is_of_table = matches!(
            name,
            b"table" | b"thead" | b"tbody" | b"tfoot" | b"tr" | b"td" | b"th"
        );
        if !is_of_table && self.cells.last() > Some(&at) {
            return;
        }
        match self.open.get_mut(at) {
            Some(open) if open.kind.is_in_line() && self.blocks.last() > Some(&at) => {
                open.is_over = true;
                self.hidden -= usize::from(open.is_hidden);
                self.names.entry(name.into()).or_default().pop();
            }
            _ => {
                while self.open.len() > at {
                    self.pop(flow);
                }
            }
        }
    }

    fn pop(&mut self, flow: &mut Flow) {
        let Some(ended) = self.open.pop() else {
            return;
        };
        let at = self.open.len();
        self.blocks.pop_if(|block| *block == at);
        self.cells.pop_if(|cell| *cell == at);
        if !ended.is_over {
            self.hidden -= usize::from(ended.is_hidden);
            if let Some(open) = self.names.get_mut(&ended.name) {
                open.pop();
            }
            if self.hidden == 0 && !ended.is_hidden {
                ended.kind.end(flow);
            }
        }
    }

    fn source(&self, begin: usize, end: usize) -> &'d str {
        self.document.get(begin..end).unwrap_or_default()
    }

    fn text(&mut self, flow: &mut Flow, begin: usize, end: usize) {
        let text = self.source(begin, end);
        let last = self.open.last();
        if last.is_some_and(|last| last.is_sheet) {
            self.sheet.read(text);
        }
        if self.hidden == 0 && !last.is_some_and(|last| last.is_invisible) {
            match last.and_then(|last| last.signs) {
                Some(page) => write_signs(flow, text, begin, page),
                None => write(flow, text, begin, last.is_some_and(|last| last.is_verbatim)),
            }
        }
    }
}

/// Writes text of a font of signs: as Word does, by the characters of Windows that have their numbers.
fn write_signs(flow: &mut Flow, text: &str, at: usize, page: Page) {
    let sign = |c: char| {
        let number = Page::number(c).filter(|_| !c.is_whitespace());
        let sign = number.and_then(|number| page.decode(&[number]).map(|sign| sign.into_owned()));
        sign.unwrap_or_else(|| c.into())
    };
    references(text, at, |part, at, meaning| match meaning {
        Some(meaning) => {
            let signs: String = meaning.chars().map(sign).collect();
            flow.meaning(&signs, at, at + part.len());
        }
        None => {
            for (index, c) in part.char_indices() {
                flow.meaning(&sign(c), at + index, at + index + c.len_utf8());
            }
        }
    });
}

/// Writes text with references to characters, which stands in the source at `at`.
pub fn write(flow: &mut Flow, text: &str, at: usize, is_verbatim: bool) {
    references(text, at, |part, at, meaning| match meaning {
        Some(meaning) => flow.meaning(meaning, at, at + part.len()),
        None if is_verbatim => flow.verbatim(part, at),
        None => flow.text(part, at),
    });
}

/// The longest name is of 33 characters, its `&` and `;` included.
const LONGEST: usize = 40;

/// Gives a text in parts, each with its place: references to characters (13.5) with what they mean, and what stands between them.
fn references(text: &str, at: usize, mut each: impl FnMut(&str, usize, Option<&str>)) {
    let mut from = 0;
    let mut plain = 0;
    while let Some(found) = text.get(from..).and_then(|rest| rest.find('&')) {
        let begin = from + found;
        let rest = text.as_bytes().get(begin + 1..).unwrap_or_default();
        let length = rest.iter().take(LONGEST);
        let length = length
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'#')
            .count();
        let end = begin + 1 + length + usize::from(rest.get(length) == Some(&b';'));
        let reference = text.get(begin..end).unwrap_or_default();
        let meaning = htmlize::unescape(reference);
        if meaning != reference {
            if plain < begin {
                each(text.get(plain..begin).unwrap_or_default(), at + plain, None);
            }
            // `&nbspfever`: what is behind the name stands for itself.
            let same = reference.bytes().rev().zip(meaning.bytes().rev());
            let same = same.take_while(|(a, b)| a == b && a.is_ascii()).count();
            let (reference, _) = reference.split_at(reference.len() - same);
            each(reference, at + begin, meaning.get(..meaning.len() - same));
            plain = end - same;
        }
        from = end;
    }
    if let Some(rest) = text.get(plain..).filter(|rest| !rest.is_empty()) {
        each(rest, at + plain, None);
    }
}

/// What a document says of its characters, in its first kilobytes (13.2.3.2; a browser looks at one).
pub fn named_characters(bytes: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"charset";
    let head = bytes.get(..4096).unwrap_or(bytes);
    let mut keys = head.windows(KEY.len()).enumerate();
    let named = keys.find_map(|(at, part)| {
        if !part.eq_ignore_ascii_case(KEY) {
            return None;
        }
        let value = head.get(at + KEY.len()..)?.trim_ascii_start();
        let value = value.strip_prefix(b"=")?.trim_ascii_start();
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"-_:.".contains(b);
        let quote = usize::from(value.first().is_some_and(|b| b"\"'".contains(b)));
        let value = value.get(quote..)?;
        value
            .split(|b| !is_name(b))
            .next()
            .filter(|name| !name.is_empty())
    });
    // XHTML has it where XML has.
    named.or_else(|| cda::named_characters(bytes))
}
