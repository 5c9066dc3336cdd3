//! The few facts a model card's YAML front matter gives: languages and licence. A tolerant reader of the plain forms
//! (`key: value`, `key: [a, b]`, dashed lists); anything else counts as not said. Never an error.

use std::path::Path;

use crate::files;

/// Cards are prose with pictures inlined at times; the front matter is at the top of the file.
const CARD_LIMIT: u64 = 4 << 20;

/// What the card says about the model.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Card {
    pub(crate) languages: Vec<String>,
    pub(crate) license: Option<String>,
}

impl Card {
    /// Reads `README.md` in `dir`; a missing or odd one gives an empty card.
    pub(crate) fn read(dir: &Path) -> Self {
        files::read(dir, "README.md", CARD_LIMIT)
            .ok()
            .flatten()
            .map(|file| Self::parse(&String::from_utf8_lossy(&file.bytes)))
            .unwrap_or_default()
    }

    fn parse(text: &str) -> Self {
        let mut lines = text.trim_start_matches('\u{feff}').lines();
        if lines.next().map(str::trim_end) != Some("---") {
            return Self::default();
        }
        let front: Vec<&str> = lines.take_while(|line| line.trim_end() != "---").collect();
        Self {
            languages: values(&front, "language"),
            license: values(&front, "license").into_iter().next(),
        }
    }
}

/// The values of a top-level key, however its list is written.
fn values(front: &[&str], key: &str) -> Vec<String> {
    let mut rest = front.iter();
    let Some(value) = rest.find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix(':')) else {
        return Vec::new();
    };
    let value = value.trim();
    if let Some(list) = value.strip_prefix('[') {
        return list.trim_end_matches(']').split(',').filter_map(scalar).collect();
    }
    if !value.is_empty() {
        return scalar(value).into_iter().collect();
    }
    rest.map_while(|line| line.trim_start().strip_prefix('-'))
        .filter_map(scalar)
        .collect()
}

fn scalar(text: &str) -> Option<String> {
    let text = text.trim().trim_matches(['"', '\'']);
    let sane = !text.is_empty() && text.len() <= 64 && !text.chars().any(char::is_control);
    sane.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_scalars_are_read() {
        let card = Card::parse(
            "---\nlanguage:\n- en\n- \"de\"\ntags:\n- ner\nlicense: apache-2.0\n---\n# x\nlanguage: fr\n",
        );
        assert_eq!(card.languages, ["en", "de"]);
        assert_eq!(card.license.as_deref(), Some("apache-2.0"));
        assert_eq!(
            Card::parse("---\nlanguage: [en, fr]\n---\n").languages,
            ["en", "fr"]
        );
        assert_eq!(Card::parse("---\nlanguage: en\n---\n").languages, ["en"]);
    }

    #[test]
    fn anything_else_counts_as_not_said() {
        for text in [
            "",
            "# A model\nlicense: mit\n",
            "---\n",
            "---\nlicense:\n",
            "---\n\u{0}: -\n",
        ] {
            assert_eq!(Card::parse(text), Card::default(), "{text:?}");
        }
    }
}
