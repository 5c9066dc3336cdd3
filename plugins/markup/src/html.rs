//! HTML and XHTML, tokenised as the HTML Standard (13.2.5) has it: what a browser shows without style sheets and scripts.

use std::collections::HashMap;

use html5gum::emitters::callback::{CallbackEmitter, CallbackEvent};
use html5gum::{Span, Tokenizer};
use mednerd_plugin::{Decoded, Error};

use crate::flow::Flow;

/// The text of a document.
///
/// # Errors
/// Those of `check`, which is asked at each piece of markup.
pub fn decode(document: &str, check: impl Fn() -> Result<(), Error>) -> Result<Decoded, Error> {
    let mut page = Page::default();
    let mut flow = Flow::new();
    let mut at = 0;
    for markup in markup(document) {
        check()?;
        let between = document.get(at..markup.begin).unwrap_or_default();
        page.text(&mut flow, between, at);
        at = markup.end.max(at);
        match markup.what {
            What::Begins(tag) => page.begin(&mut flow, tag, (markup.begin, markup.end)),
            What::Ends(name) => page.end(&mut flow, &name),
            What::Nothing => {}
        }
    }
    page.text(&mut flow, document.get(at..).unwrap_or_default(), at);
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

/// A start tag.
#[derive(Default)]
struct Tag {
    /// In small letters.
    name: Box<[u8]>,
    closes_itself: bool,
    /// Its attributes say that nobody sees what is in it, or that it is struck through.
    is_hidden: bool,
    /// It is a box to tick, or one of several.
    is_box: bool,
    /// The box is ticked, or the option chosen.
    is_ticked: bool,
}

impl Tag {
    fn attribute(&mut self, name: &[u8], value: &[u8]) {
        let value: Vec<u8> = value.to_ascii_lowercase();
        match name {
            b"hidden" => self.is_hidden = true,
            b"checked" | b"selected" => self.is_ticked = true,
            b"type" => self.is_box = matches!(&*value, b"checkbox" | b"radio"),
            b"style" => {
                let style: Vec<u8> = value.into_iter().filter(|b| !b.is_ascii_whitespace()).collect();
                let says = |what: &[u8]| style.windows(what.len()).any(|part| part == what);
                self.is_hidden |=
                    says(b"display:none") || says(b"visibility:hidden") || says(b"line-through");
            }
            _ => {}
        }
    }
}

/// The markup of a document, in order.
fn markup(document: &str) -> impl Iterator<Item = Markup> {
    let mut tag = Tag::default();
    let mut begin = 0;
    let mut attribute = Vec::new();
    let mut emitter = CallbackEmitter::new(move |event: CallbackEvent<'_>, span: Span<usize>| {
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
                tag.attribute(name, b"");
                attribute = name.to_owned();
                return None;
            }
            CallbackEvent::AttributeValue { value } => {
                tag.attribute(&attribute, value);
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
    emitter.naively_switch_states(true);
    Tokenizer::new_with_emitter(document, emitter).map(|markup| match markup {
        Ok(markup) => markup,
        Err(never) => match never {},
    })
}

/// What an element does to the text around it and in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing.
    Inline,
    /// Stands on lines of its own.
    Block,
    /// Has an empty line before it.
    Heading,
    Item,
    Row,
    Cell,
    /// Its white space is meant.
    Verbatim,
    /// Nobody sees it, or it is struck through and so withdrawn.
    Hidden,
}

impl Kind {
    fn of(name: &[u8]) -> Self {
        match name {
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => Self::Heading,
            b"li" => Self::Item,
            b"tr" => Self::Row,
            b"td" | b"th" => Self::Cell,
            b"pre" | b"textarea" | b"listing" | b"xmp" | b"plaintext" => Self::Verbatim,
            b"script" | b"style" | b"title" | b"template" | b"noscript" | b"iframe" | b"object" | b"svg"
            | b"math" | b"canvas" | b"audio" | b"video" | b"datalist" | b"noframes" | b"noembed" | b"del"
            | b"s" | b"strike" => Self::Hidden,
            b"address" | b"article" | b"aside" | b"blockquote" | b"body" | b"caption" | b"center" | b"dd"
            | b"details" | b"dialog" | b"dir" | b"div" | b"dl" | b"dt" | b"fieldset" | b"figcaption"
            | b"figure" | b"footer" | b"form" | b"head" | b"header" | b"hgroup" | b"html" | b"legend"
            | b"main" | b"menu" | b"nav" | b"ol" | b"optgroup" | b"p" | b"search" | b"section"
            | b"summary" | b"table" | b"tbody" | b"tfoot" | b"thead" | b"ul" => Self::Block,
            _ => Self::Inline,
        }
    }

    fn parts(self, flow: &mut Flow) {
        match self {
            Self::Inline | Self::Hidden | Self::Cell => {}
            Self::Block | Self::Heading | Self::Item | Self::Verbatim => flow.line(),
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
        b"p" => !matches!(Kind::of(next), Kind::Inline | Kind::Hidden),
        b"li" | b"option" | b"tr" => open == next,
        b"dt" | b"dd" => matches!(next, b"dt" | b"dd"),
        b"td" | b"th" => matches!(next, b"td" | b"th" | b"tr"),
        b"head" => next == b"body",
        _ => false,
    }
}

struct Open {
    name: Box<[u8]>,
    kind: Kind,
    is_hidden: bool,
}

/// The elements that are open.
#[derive(Default)]
struct Page {
    open: Vec<Open>,
    /// How many of each name.
    names: HashMap<Box<[u8]>, usize>,
    hidden: usize,
    verbatim: usize,
}

impl Page {
    fn begin(&mut self, flow: &mut Flow, tag: Tag, place: (usize, usize)) {
        let kind = Kind::of(&tag.name);
        while let Some(open) = self.open.last()
            && ends_before(&open.name, &tag.name)
        {
            self.pop(flow);
        }
        let is_left = &*tag.name == b"option" && !tag.is_ticked;
        let is_hidden = kind == Kind::Hidden || tag.is_hidden || is_left;
        if self.hidden == 0 && !is_hidden {
            match (&*tag.name, kind) {
                (b"br", _) => flow.end_line(),
                (b"hr", _) | (_, Kind::Heading) => flow.blank(),
                (b"input", _) if tag.is_box => {
                    let sign = if tag.is_ticked { "[x] " } else { "[ ] " };
                    flow.meaning(sign, place.0, place.1);
                }
                (_, Kind::Item) => flow.item(),
                (_, Kind::Cell) => flow.cell(),
                (_, kind) => kind.parts(flow),
            }
        }
        if tag.closes_itself || is_void(&tag.name) {
            return;
        }
        self.hidden += usize::from(is_hidden);
        self.verbatim += usize::from(kind == Kind::Verbatim);
        *self.names.entry(tag.name.clone()).or_default() += 1;
        self.open.push(Open {
            name: tag.name,
            kind,
            is_hidden,
        });
    }

    /// An end tag: what is open within its element ends as well. One of no element is passed over.
    fn end(&mut self, flow: &mut Flow, name: &[u8]) {
        if self.names.get(name).is_none_or(|open| *open == 0) {
            return;
        }
        while let Some(ended) = self.pop(flow)
            && *ended != *name
        {}
    }

    fn pop(&mut self, flow: &mut Flow) -> Option<Box<[u8]>> {
        let ended = self.open.pop()?;
        self.hidden -= usize::from(ended.is_hidden);
        self.verbatim -= usize::from(ended.kind == Kind::Verbatim);
        if let Some(open) = self.names.get_mut(&ended.name) {
            *open -= 1;
        }
        if self.hidden == 0 && !ended.is_hidden {
            ended.kind.parts(flow);
        }
        Some(ended.name)
    }

    fn text(&self, flow: &mut Flow, text: &str, at: usize) {
        if self.hidden == 0 {
            write(flow, text, at, self.verbatim > 0);
        }
    }
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
            each(reference, at + begin, Some(&meaning));
            plain = end;
        }
        from = end;
    }
    if let Some(rest) = text.get(plain..).filter(|rest| !rest.is_empty()) {
        each(rest, at + plain, None);
    }
}

/// What a document says of its characters, in its first kilobyte (13.2.3.2).
pub fn named_characters(bytes: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"charset";
    let head = bytes.get(..1024).unwrap_or(bytes);
    let key = head
        .windows(KEY.len())
        .position(|part| part.eq_ignore_ascii_case(KEY))?;
    let value = head.get(key + KEY.len()..)?.trim_ascii_start();
    let value = value.strip_prefix(b"=")?.trim_ascii_start();
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || b"-_:.".contains(b);
    let quote = usize::from(value.first().is_some_and(|b| b"\"'".contains(b)));
    let value = value.get(quote..)?;
    value.split(|b| !is_name(b)).next()
}
