//! Reads gold in the PubTator format: title and abstract, then one line for each mention.

use std::path::Path;

use crate::error::Error;
use crate::linker::Mention;

/// A document with its gold mentions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoldDocument {
    /// Its id.
    pub id: String,
    /// Title and abstract, joined by one character, as the offsets count.
    pub text: String,
    /// The mentions.
    pub mentions: Vec<GoldMention>,
}

/// A mention and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldMention {
    /// Its text.
    pub text: String,
    /// Where it begins in [`GoldDocument::text`], in bytes.
    pub begin: usize,
    /// Where it ends, in bytes.
    pub end: usize,
    /// Its type, "SpecificDisease" for instance.
    pub label: String,
    /// The ids of its concepts.
    pub ids: Vec<String>,
}

impl GoldMention {
    /// The mention as the linker gets it.
    pub fn mention(&self) -> Mention<'_> {
        Mention {
            text: &self.text,
            begin: self.begin,
            end: self.end,
            label: &self.label,
            score: 1.0,
            section: "",
        }
    }
}

/// Reads the documents of the file at `path`.
///
/// # Errors
/// [`Error::Read`], and [`Error::Line`] where a line is not as it should be.
pub fn read(path: &Path) -> Result<Vec<GoldDocument>, Error> {
    let bytes = std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let mut documents: Vec<GoldDocument> = Vec::new();
    let mut offsets: Vec<usize> = Vec::new();
    for (i, row) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let wrong = |problem: &str| Error::Line {
            path: path.to_owned(),
            line: i as u64 + 1,
            problem: problem.to_owned(),
        };
        let row = std::str::from_utf8(row).map_err(|_| wrong("not UTF-8"))?;
        let row = row.trim_start_matches('\u{feff}').trim_end_matches('\r');
        if row.trim().is_empty() {
            continue;
        }
        let mut heading = row.splitn(3, '|');
        if let (Some(id), Some(part @ ("t" | "a")), Some(text)) =
            (heading.next(), heading.next(), heading.next())
            && !id.contains('\t')
        {
            match documents.last_mut() {
                Some(document) if part == "a" && document.id == id => {
                    document.text.push(' ');
                    document.text.push_str(text);
                }
                _ => documents.push(GoldDocument {
                    id: id.to_owned(),
                    text: text.to_owned(),
                    mentions: Vec::new(),
                }),
            }
            offsets.clear();
            continue;
        }
        let cells: Vec<&str> = row.split('\t').collect();
        let document = documents
            .last_mut()
            .ok_or_else(|| wrong("a mention before the first title (id|t|text)"))?;
        let [id, begin, end, text, label, ids, ..] = cells[..] else {
            // Relations ("CID") have fewer columns and are of no interest.
            if cells.len() >= 4 && cells[1].parse::<usize>().is_err() {
                continue;
            }
            if cells.len() == 5 && cells[1].parse::<usize>().is_ok() {
                // A mention without an id.
                continue;
            }
            return Err(wrong(
                "neither a title (id|t|text), an abstract (id|a|text), a mention (id, begin, end, text, type, ids) nor a relation",
            ));
        };
        if id != document.id {
            return Err(wrong("a mention of another document than the one above it"));
        }
        let number = |cell: &str| {
            cell.trim()
                .parse::<usize>()
                .map_err(|_| wrong("an offset is not a number"))
        };
        if offsets.is_empty() {
            offsets.extend(document.text.char_indices().map(|(at, _)| at));
            offsets.push(document.text.len());
        }
        // Offsets count characters. Where they miss (some files count a text that was changed since), the mention
        // is kept: only the order of definitions depends on them.
        let byte = |at: usize| offsets.get(at).copied().unwrap_or(document.text.len());
        let (begin, end) = (byte(number(begin)?), byte(number(end)?));
        let ids = ids
            .split(['|', '+', ';', ','])
            .map(str::trim)
            .filter(|id| !matches!(*id, "" | "-1" | "-"))
            .map(str::to_owned)
            .collect();
        document.mentions.push(GoldMention {
            text: text.to_owned(),
            begin,
            end: end.max(begin),
            label: label.to_owned(),
            ids,
        });
    }
    if documents.is_empty() {
        return Err(Error::Input {
            path: path.to_owned(),
            problem: "holds no document in the PubTator format".to_owned(),
        });
    }
    Ok(documents)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn parse(text: &str) -> Result<Vec<GoldDocument>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gold");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn documents_mentions_and_relations_are_told_apart() {
        let documents = parse(
            "\n1|t|Ménière's disease.\n1|a|It is rare.\n1\t0\t17\tMénière's disease\tDisease\tD008575\n\
             1\tCID\tD1\tD2\n\n2|t|A\n2|a|B and C\n2\t2\t3\tB\tDisease\tD1|D2+ OMIM:3\n2\t8\t9\tC\tChemical\t-1\n",
        )
        .unwrap();
        assert_eq!(documents.len(), 2);
        let mention = &documents[0].mentions[0];
        assert_eq!(
            &documents[0].text[mention.begin..mention.end],
            "Ménière's disease"
        );
        assert_eq!(documents[1].mentions[0].ids, ["D1", "D2", "OMIM:3"]);
        assert!(documents[1].mentions[1].ids.is_empty());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line) in [
            ("x", 1),
            ("1|t|a\n1|a|b\n2\t0\t1\ta\tDisease\tD1", 3),
            ("1|t|a\n1\tx\t1\ta\tDisease\tD1", 2),
        ] {
            match parse(text) {
                Err(Error::Line { line: at, .. }) => assert_eq!(at, line, "{text}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
