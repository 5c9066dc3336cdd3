//! The narrative of HL7 CDA (Release 2): titles and texts of the sections, as the Narrative Block of 4.3.5 is rendered. What is coded
//! beside it, the header and what was deleted (`revised`) are no text. Elements of HTML, which some systems put into the narrative,
//! are what they are there.
//!
//! A body that is no structured one (`nonXMLBody`) is read where it is plain text that stands there as it is.

use mednerd_plugin::{Decoded, Error};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use crate::code;
use crate::flow::Flow;
use crate::html;

/// The text of a document.
///
/// # Errors
/// Where it is no XML, is no CDA, or has a body that is no text; those of `check`, which is asked at each piece of markup.
pub fn decode(document: &str, check: impl Fn() -> Result<(), Error>) -> Result<Decoded, Error> {
    // A byte order mark is no XML.
    let xml = document.trim_start_matches('\u{feff}');
    let before = document.len() - xml.len();
    let mut reader = Reader::from_str(xml);
    let mut flow = Flow::new();
    let mut open: Vec<Element> = Vec::new();
    let mut is_cda = false;
    let mut at = 0;
    loop {
        check()?;
        // Broken XML, or none.
        let wrong = match is_cda {
            true => code::MALFORMED,
            false => code::OTHER_FORMAT,
        };
        let event = reader.read_event().map_err(|_| Error::input(wrong))?;
        let end = usize::try_from(reader.buffer_position()).map_err(|_| Error::input(code::MALFORMED))?;
        let (begin, source) = (before + at, xml.get(at..end).unwrap_or_default());
        at = end;
        let is_read = open.last().is_some_and(|element| element.is_read);
        let is_verbatim = open.last().is_some_and(|element| element.is_verbatim);
        match event {
            Event::Start(start) => {
                is_cda |= open.is_empty() && start.local_name().as_ref() == "ClinicalDocument";
                if !is_cda {
                    return Err(Error::input(code::OTHER_FORMAT));
                }
                let element = Element::within(open.last(), &start)?;
                if element.is_read {
                    element.kind.begin(&mut flow);
                }
                open.push(element);
            }
            Event::Empty(start) => {
                let element = Element::within(open.last(), &start)?;
                if element.is_read {
                    element.kind.begin(&mut flow);
                    element.kind.end(&mut flow);
                }
            }
            Event::End(_) => {
                if let Some(element) = open.pop().filter(|element| element.is_read) {
                    element.kind.end(&mut flow);
                }
            }
            Event::Text(_) | Event::GeneralRef(_) if is_read => {
                html::write(&mut flow, source, begin, is_verbatim)
            }
            Event::CData(_) if is_read => {
                let text = source.strip_prefix("<![CDATA[").unwrap_or_default();
                let (text, begin) = (
                    text.strip_suffix("]]>").unwrap_or_default(),
                    begin + "<![CDATA[".len(),
                );
                match is_verbatim {
                    true => flow.verbatim(text, begin),
                    false => flow.text(text, begin),
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match is_cda && open.is_empty() {
        true => Ok(flow.finish()),
        false if !is_cda => Err(Error::input(code::OTHER_FORMAT)),
        false => Err(Error::input(code::MALFORMED)),
    }
}

/// What an element is to the narrative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nothing, or a part of a line.
    Inline,
    /// A section, whose children are looked at.
    Section,
    /// A body that is another file, or plain text.
    OtherBody,
    Title,
    /// The narrative of a section, paragraphs and the like.
    Block,
    Break,
    Item,
    Row,
    Cell,
    /// Stands above the line.
    Raised,
}

impl Kind {
    /// Of an element of the narrative; `None`: it is withdrawn.
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "paragraph" | "list" | "thead" | "tbody" | "tfoot" | "caption" | "footnote"
            | "renderMultiMedia" | "pre" | "p" | "div" | "ul" | "ol" | "dl" | "dt" | "dd" | "blockquote"
            | "center" | "hr" => Self::Block,
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => Self::Title,
            "br" => Self::Break,
            "item" | "li" => Self::Item,
            "table" | "tr" => Self::Row,
            "td" | "th" => Self::Cell,
            "sup" => Self::Raised,
            "del" | "s" | "strike" | "script" | "style" => return None,
            _ => Self::Inline,
        })
    }

    fn begin(self, flow: &mut Flow) {
        match self {
            Self::Inline | Self::Section | Self::OtherBody => {}
            Self::Title => flow.blank(),
            Self::Block => flow.line(),
            Self::Break => flow.end_line(),
            Self::Item => flow.item(),
            Self::Row => flow.row(),
            Self::Cell => flow.cell(),
            Self::Raised => flow.raise(),
        }
    }

    fn end(self, flow: &mut Flow) {
        match self {
            Self::Inline | Self::Section | Self::OtherBody | Self::Break | Self::Cell | Self::Raised => {}
            Self::Title | Self::Block => flow.line(),
            Self::Item => flow.end_item(),
            Self::Row => flow.row(),
        }
    }
}

/// An element that is open.
#[derive(Clone, Copy, Debug)]
struct Element {
    kind: Kind,
    /// Its characters are text.
    is_read: bool,
    /// Its white space is meant.
    is_verbatim: bool,
}

impl Element {
    /// # Errors
    /// Where it is the body of a document whose body is no text, or its attributes are no XML.
    fn within(parent: Option<&Self>, start: &BytesStart<'_>) -> Result<Self, Error> {
        let name = start.local_name();
        let name = name.as_ref();
        let element = |kind, is_read| Self {
            kind,
            is_read,
            is_verbatim: false,
        };
        let Some(parent) = parent else {
            return Ok(element(Kind::Inline, false));
        };
        if parent.is_read {
            // The body is a file beside the document.
            if parent.kind == Kind::OtherBody && name == "reference" {
                return Err(Error::input(code::NO_TEXT));
            }
            let is_deleted = attribute(start, "revised")?.is_some_and(|revised| revised == "delete");
            let kind = Kind::of(name).filter(|_| !is_deleted);
            return Ok(Self {
                is_verbatim: parent.is_verbatim || name == "pre",
                ..element(kind.unwrap_or(Kind::Inline), kind.is_some())
            });
        }
        Ok(match name {
            "section" => element(Kind::Section, false),
            "title" if parent.kind == Kind::Section => element(Kind::Title, true),
            "text" if parent.kind == Kind::Section => element(Kind::Block, true),
            "nonXMLBody" => element(Kind::OtherBody, false),
            "text" if parent.kind == Kind::OtherBody => {
                is_plain(start)?;
                Self {
                    is_verbatim: true,
                    ..element(Kind::OtherBody, true)
                }
            }
            _ => element(Kind::Inline, false),
        })
    }
}

/// # Errors
/// Where the body that begins so is no plain text, or is coded.
fn is_plain(start: &BytesStart<'_>) -> Result<(), Error> {
    let is_coded = attribute(start, "representation")?.is_some_and(|coded| coded == "B64");
    let media = attribute(start, "mediaType")?.map(|media| media.to_ascii_lowercase());
    // "text/plain; charset=UTF-8" is "text/plain", and so is nothing, as the data type ED has it.
    let media = media
        .as_deref()
        .and_then(|media| media.split(';').next())
        .map(str::trim);
    match media.unwrap_or("text/plain") {
        "text/plain" if !is_coded => Ok(()),
        "text/plain" | "text/html" | "application/xhtml+xml" | "text/rtf" | "application/rtf" => {
            Err(Error::input(code::TEXT_WITHIN))
        }
        _ => Err(Error::input(code::NO_TEXT)),
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Result<Option<String>, Error> {
    let malformed = || Error::input(code::MALFORMED);
    let Some(attribute) = start.try_get_attribute(name).map_err(|_| malformed())? else {
        return Ok(None);
    };
    let value = attribute
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(|_| malformed())?;
    Ok(Some(value.into_owned()))
}

/// Whether the first element of a document is that of CDA.
pub fn is_cda(document: &str) -> bool {
    let mut reader =
        Reader::from_str(document.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}'));
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => return start.local_name().as_ref() == "ClinicalDocument",
            Ok(Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_)) => {}
            Ok(Event::Text(text)) if text.trim_ascii().is_empty() => {}
            _ => return false,
        }
    }
}

/// What the XML declaration says of the characters.
pub fn named_characters(bytes: &[u8]) -> Option<&[u8]> {
    const KEY: &[u8] = b"encoding";
    let head = bytes.get(..256).unwrap_or(bytes).strip_prefix(b"<?xml")?;
    let head = head.split(|b| *b == b'?').next()?;
    let key = head.windows(KEY.len()).position(|part| part == KEY)?;
    head.get(key + KEY.len()..)?.split(|b| b"\"'".contains(b)).nth(1)
}
