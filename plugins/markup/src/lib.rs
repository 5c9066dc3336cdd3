//! The plugin `mednerd.markup`: the text of HTML, CDA and RTF documents, as a reader sees it, behind the ability `mednerd.document/1`.
//!
//! What nobody sees is no text: scripts, comments, hidden elements. Nor is what was struck through or deleted, as it is withdrawn.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod cda;
mod dos;
mod flow;
mod fonts;
mod html;
mod pieces;
mod rtf;
mod style;

use mednerd_plugin::characters::{Characters, Named, Source};
use mednerd_plugin::{Call, Decoded, DocumentFormat, Error, Host, Settings};

mednerd_plugin::export! {
    id: "mednerd.markup",
    version: env!("CARGO_PKG_VERSION"),
    document: Markup,
}

/// Why a document is refused: the code in the error.
mod code {
    /// It is not UTF-8, and neither the document nor the settings say what else.
    pub const CHARACTERS_UNNAMED: i32 = 1;
    /// It names a character set that is not known here, and has characters of it.
    pub const CHARACTERS_UNKNOWN: i32 = 2;
    /// It is of another format.
    pub const OTHER_FORMAT: i32 = 3;
    /// Its markup is broken: cut off, perhaps.
    pub const MALFORMED: i32 = 4;
    /// Its body is another file, such as a PDF within CDA.
    pub const NO_TEXT: i32 = 5;
    /// Its body is another text, HTML or RTF within CDA or coded, which has to be sent by itself.
    pub const TEXT_WITHIN: i32 = 6;
}

/// `[plugins.settings]`
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Options {
    /// The characters of HTML and XML that do not say theirs and are not UTF-8.
    characters: Option<Characters>,
}

/// What the plugin makes of a document, `html`, `cda` or `rtf`, without settings.
///
/// # Errors
/// Where it is not of the format, or its characters are not known.
pub fn decode(format: &str, document: &[u8]) -> Result<Decoded, Error> {
    Options::default().decode(format, document, || Ok(()))
}

struct Markup {
    options: Options,
}

impl DocumentFormat for Markup {
    fn open(settings: &Settings, _: Host) -> Result<Self, Error> {
        let options = settings.read()?;
        Ok(Self { options })
    }

    fn formats(&self) -> Result<Vec<String>, Error> {
        Ok(["html", "cda", "rtf"].map(str::to_owned).into())
    }

    fn decode(&self, format: &str, bytes: &[u8], call: &Call<'_>) -> Result<Decoded, Error> {
        self.options.decode(format, bytes, || call.check())
    }
}

impl Options {
    fn decode(
        self,
        format: &str,
        bytes: &[u8],
        check: impl Fn() -> Result<(), Error>,
    ) -> Result<Decoded, Error> {
        if format == "rtf" {
            return rtf::decode(bytes, check);
        }
        if is_other_file(bytes) {
            return Err(Error::input(code::OTHER_FORMAT));
        }
        let is_html = format == "html";
        let source = self.read(
            bytes,
            match is_html {
                true => html::named_characters(bytes),
                false => cda::named_characters(bytes),
            },
        )?;
        let decoded = match is_html {
            true => html::decode(source.text(), check)?,
            false => cda::decode(source.text(), check)?,
        };
        Ok(source.in_bytes(decoded))
    }

    fn read<'b>(self, bytes: &'b [u8], named: Option<&[u8]>) -> Result<Source<'b>, Error> {
        if let Some(source) = Source::utf8(bytes).or_else(|| Source::utf16(bytes)) {
            return Ok(source);
        }
        let characters = match named.map(Named::by_label) {
            Some(Named::Single(characters)) => Some(characters),
            Some(Named::Unknown) => return Err(Error::input(code::CHARACTERS_UNKNOWN)),
            // It says that it is UTF-8, and is not.
            Some(Named::Utf8) | None => self.characters,
        };
        let characters = characters.ok_or(Error::input(code::CHARACTERS_UNNAMED))?;
        Ok(Source::of(bytes, characters))
    }
}

/// Whether this is what is sent as HTML or CDA by mistake: RTF, PDF, files of Office, old ones and new ones, and mails.
fn is_other_file(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 5] = [
        br"{\rtf",
        b"%PDF-",
        b"PK\x03\x04",
        b"\xd0\xcf\x11\xe0",
        b"MIME-Version:",
    ];
    let bytes = bytes
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(bytes)
        .trim_ascii_start();
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}

#[cfg(test)]
mod tests;
