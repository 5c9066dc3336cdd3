//! The audit key: 32 bytes that the installation made, in a file as 64 hexadecimal digits.

use std::fmt;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The longest document id that is written down as it is.
pub const MAX_DOCUMENT_ID: usize = 128;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error(
        "{}: the audit key cannot be read: {source}; it is for root and the daemon alone{}",
        path.display(),
        match source.kind() {
            std::io::ErrorKind::NotFound => ", and a new trail's is made with `openssl rand -hex 32`",
            _ => "",
        }
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error(
        "{}: the audit key must be 64 hexadecimal digits; make one with `openssl rand -hex 32`",
        .0.display()
    )]
    Malformed(PathBuf),
}

/// The key of one installation's trail. Its bytes are never shown.
#[derive(Clone)]
pub struct Key {
    text: Hmac<Sha256>,
    chain: Hmac<Sha256>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Reads a key from its file.
    ///
    /// # Errors
    /// [`KeyError`]
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let digits = std::fs::read(path).map_err(|source| KeyError::Read {
            path: path.to_owned(),
            source,
        })?;
        let bytes = parse(digits.trim_ascii()).ok_or_else(|| KeyError::Malformed(path.to_owned()))?;
        Ok(Self::new(&bytes))
    }

    /// A key of these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let text = mac(bytes);
        // Of its own, so that no document can be made whose HMAC is a chain value.
        let derived: [u8; 32] = tag(&text, &[b"mednerd audit chain 1"]);
        Self {
            chain: mac(&derived),
            text,
        }
    }

    /// HMAC-SHA256 of a text with the key, in hexadecimal: what `openssl dgst -sha256 -mac HMAC -macopt
    /// hexkey:KEY` gives. It tells whether a text at hand is the one that was annotated, and nothing else.
    pub fn text(&self, text: &[u8]) -> String {
        hex(&tag(&self.text, &[text]))
    }

    /// A document id as it is written down: as it is where it looks like an identifier (printable ASCII
    /// without spaces, at most [`MAX_DOCUMENT_ID`] bytes), else `hmac-sha256:` and its [HMAC](Self::text). A client
    /// that puts prose where an identifier belongs does not get it into the trail.
    pub fn document_id(&self, id: &str) -> String {
        if (1..=MAX_DOCUMENT_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic()) {
            id.to_owned()
        } else {
            format!("hmac-sha256:{}", self.text(id.as_bytes()))
        }
    }

    /// The chain value of a line whose bytes up to there are `body`.
    pub(crate) fn chain(&self, body: &[u8]) -> String {
        hex(&tag(&self.chain, &[body]))
    }
}

fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    // As HMAC does with a key that is shorter than a block of its hash; made so, it cannot be refused.
    let mut block = [0; 64];
    let (start, _) = block.split_at_mut(key.len());
    start.copy_from_slice(key);
    Hmac::new(&block.into())
}

fn tag(mac: &Hmac<Sha256>, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = mac.clone();
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut digits, byte| {
        // Writing to a String does not fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

fn parse(digits: &[u8]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_hashed_as_openssl_does() {
        // printf 'Type 2 diabetes' | openssl dgst -sha256 -mac HMAC -macopt hexkey:$(printf 'ab%.0s' $(seq 32))
        let key = Key::new(&[0xab; 32]);
        assert_eq!(
            key.text(b"Type 2 diabetes"),
            "988215fd9360beb89eaa3b1a27feb3a940ba614f5ad7ec60b2bf2c0fa507b895"
        );
    }

    #[test]
    fn identifiers_are_kept_and_prose_is_not() {
        let key = Key::new(&[7; 32]);
        assert_eq!(
            key.document_id("urn:oid:2.16.840/9-x_1"),
            "urn:oid:2.16.840/9-x_1"
        );
        let long = "x".repeat(MAX_DOCUMENT_ID + 1);
        for id in ["", "Mr Smith has a cough", "naïve", "a\tb", long.as_str()] {
            let written = key.document_id(id);
            assert!(written.starts_with("hmac-sha256:"), "{written}");
            assert_eq!(written.len(), 12 + 64);
        }
    }

    #[test]
    fn a_key_is_64_digits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        for (content, good) in [
            ("ab".repeat(32), true),
            (format!("{}\n", "AB".repeat(32)), true),
            ("ab".repeat(31), false),
            ("zz".repeat(32), false),
            (String::new(), false),
        ] {
            std::fs::write(&path, &content).unwrap();
            assert_eq!(Key::read(&path).is_ok(), good, "{content}");
        }
        let told = Key::read(&folder.path().join("none")).unwrap_err().to_string();
        assert!(told.contains("cannot be read"), "{told}");
        assert_eq!(format!("{:?}", Key::new(&[1; 32])), "Key");
    }
}
