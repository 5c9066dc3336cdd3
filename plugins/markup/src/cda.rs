//! The narrative of HL7 CDA (Release 2): titles and texts of the sections, as the Narrative Block of 4.3.5 is rendered. What is coded
//! beside it, the header and what was deleted (`revised`) are no text.

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
        let event = reader.read_event().map_err(|_| Error::input(code::MALFORMED))?;
        let end = usize::try_from(reader.buffer_position()).map_err(|_| Error::input(code::MALFORMED))?;
        let (begin, source) = (before + at, xml.get(at..end).unwrap_or_default());
        at = end;
        let is_read = open.last().is_some_and(|element| element.is_read);
        match event {
            Event::Start(start) => {
                is_cda |= open.is_empty() && start.local_name().as_ref() == "ClinicalDocument";
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
            Event::Text(_) | Event::GeneralRef(_) if is_read => html::write(&mut flow, source, begin, false),
            Event::CData(_) if is_read => {
                let text = source.strip_prefix("<![CDATA[").unwrap_or_default();
                flow.text(
                    text.strip_suffix("]]>").unwrap_or_default(),
                    begin + "<![CDATA[".len(),
                );
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
    Title,
    /// The narrative of a section, paragraphs and the like.
    Block,
    Break,
    Item,
    Row,
    Cell,
}

impl Kind {
    fn begin(self, flow: &mut Flow) {
        match self {
            Self::Inline | Self::Section => {}
            Self::Title => flow.blank(),
            Self::Block => flow.line(),
            Self::Break => flow.end_line(),
            Self::Item => flow.item(),
            Self::Row => flow.row(),
            Self::Cell => flow.cell(),
        }
    }

    fn end(self, flow: &mut Flow) {
        match self {
            Self::Inline | Self::Section | Self::Break | Self::Cell => {}
            Self::Title | Self::Block | Self::Item => flow.line(),
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
}

impl Element {
    /// # Errors
    /// Where it is the body of a document whose body is no text, or its attributes are no XML.
    fn within(parent: Option<&Self>, start: &BytesStart<'_>) -> Result<Self, Error> {
        let name = start.local_name();
        let name = name.as_ref();
        let other = Self {
            kind: Kind::Inline,
            is_read: false,
        };
        let Some(parent) = parent else {
            return Ok(other);
        };
        if parent.is_read {
            let kind = match name {
                "paragraph" | "list" | "table" | "thead" | "tbody" | "tfoot" | "caption" | "footnote"
                | "renderMultiMedia" => Kind::Block,
                "br" => Kind::Break,
                "item" => Kind::Item,
                "tr" => Kind::Row,
                "td" | "th" => Kind::Cell,
                _ => Kind::Inline,
            };
            return Ok(Self {
                kind,
                is_read: !is_deleted(start)?,
            });
        }
        Ok(match name {
            "section" => Self {
                kind: Kind::Section,
                is_read: false,
            },
            "title" if parent.kind == Kind::Section => Self {
                kind: Kind::Title,
                is_read: true,
            },
            "text" if parent.kind == Kind::Section => Self {
                kind: Kind::Block,
                is_read: true,
            },
            "nonXMLBody" => return Err(Error::input(code::NO_TEXT)),
            _ => other,
        })
    }
}

fn is_deleted(start: &BytesStart<'_>) -> Result<bool, Error> {
    let malformed = |_| Error::input(code::MALFORMED);
    let revised = start
        .try_get_attribute("revised")
        .map_err(|_| Error::input(code::MALFORMED))?;
    let Some(revised) = revised else {
        return Ok(false);
    };
    let value = revised
        .normalized_value(XmlVersion::Implicit1_0)
        .map_err(malformed)?;
    Ok(value == "delete")
}

/// Whether the first element of a document is that of CDA.
pub fn is_cda(document: &str) -> bool {
    let mut reader = Reader::from_str(document);
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
