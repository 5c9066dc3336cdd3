//! Links mentions to the concepts of a CSV file with the header `id,name,semantic_type,source`, the one that
//! `mednerd-umls build --csv` takes. A line is a name of a concept; a concept may have many. A mention is linked
//! where it is such a name, in any case and with any white space.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use std::collections::{BTreeSet, HashMap};

use mednerd_plugin::{
    Call, Concept, Document, Error, Host, Level, NormalizeOptions, Normalizer, Settings, Vocabulary,
};

mednerd_plugin::export! {
    id: "example.csv",
    version: env!("CARGO_PKG_VERSION"),
    normalizer: Csv,
}

/// `[plugins.settings]`
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    /// The CSV file.
    terms: std::path::PathBuf,
    /// What the answer calls the version of its vocabularies.
    #[serde(default = "unversioned")]
    version: String,
}

fn unversioned() -> String {
    "unversioned".to_owned()
}

/// The file in memory.
struct Csv {
    terms: HashMap<String, Vec<Term>>,
    vocabularies: Vec<Vocabulary>,
    host: Host,
}

struct Term {
    id: String,
    name: String,
    semantic_type: String,
    source: String,
}

impl Normalizer for Csv {
    fn open(settings: &Settings, host: Host) -> Result<Self, Error> {
        let options: Options = settings.read()?;
        let path = options.terms.display();
        let text = std::fs::read_to_string(&options.terms)
            .map_err(|error| Error::settings(format!("settings.terms: {path}: {error}")))?;
        let (terms, count) =
            read(&text).map_err(|why| Error::settings(format!("settings.terms: {path}: {why}")))?;
        host.log(Level::Information, "terms.read", &[f64::from(count)]);
        let names: BTreeSet<&String> = terms.values().flatten().map(|term| &term.source).collect();
        let vocabularies = names.into_iter().map(|name| Vocabulary {
            name: name.clone(),
            version: options.version.clone(),
        });
        Ok(Self {
            vocabularies: vocabularies.collect(),
            terms,
            host,
        })
    }

    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Error> {
        Ok(self.vocabularies.clone())
    }

    fn normalize(
        &self,
        document: &Document<'_>,
        options: &NormalizeOptions,
        call: &Call<'_>,
    ) -> Result<Vec<Vec<Concept>>, Error> {
        let mut linked = Vec::with_capacity(document.mentions.len());
        for mention in &document.mentions {
            call.check()?;
            let wanted = key(document.mention_text(mention));
            let found = self.terms.get(&wanted).map_or(&[][..], Vec::as_slice);
            let candidates = found
                .iter()
                .filter(|term| options.wants(&term.source))
                .take(options.top_k);
            linked.push(candidates.map(concept).collect::<Vec<_>>());
        }
        let hits = linked.iter().filter(|candidates| !candidates.is_empty()).count();
        self.host.count("lookups", linked.len() as f64);
        self.host.count("hits", hits as f64);
        Ok(linked)
    }
}

fn concept(term: &Term) -> Concept {
    Concept {
        id: term.id.clone(),
        vocabulary: term.source.clone(),
        name: term.name.clone(),
        semantic_types: vec![term.semantic_type.clone()],
        score: 1.0,
        match_kind: "exact".to_owned(),
        codings: Vec::new(),
    }
}

/// What two spellings of one name have in common.
fn key(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

/// The terms by key, and how many.
fn read(text: &str) -> Result<(HashMap<String, Vec<Term>>, u32), String> {
    // Spreadsheets write a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().zip(1_u32..);
    if lines.next().map(|(line, _)| line.trim()) != Some("id,name,semantic_type,source") {
        return Err("line 1 must be id,name,semantic_type,source".to_owned());
    }
    let (mut terms, mut count) = (HashMap::<String, Vec<Term>>::new(), 0);
    for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        let fields = fields(line).ok_or_else(|| format!("line {number}: a quoted field does not end"))?;
        let Ok([id, name, semantic_type, source]) = <[String; 4]>::try_from(fields) else {
            return Err(format!("line {number} must have 4 fields"));
        };
        if [&id, &name, &semantic_type, &source]
            .iter()
            .any(|field| field.is_empty())
        {
            return Err(format!("line {number} has an empty field"));
        }
        if [&id, &semantic_type, &source, &name]
            .iter()
            .any(|field| field.contains(char::is_control))
        {
            return Err(format!(
                "line {number} has a tab or another control character in a field"
            ));
        }
        let same = terms.entry(key(&name)).or_default();
        if !same.iter().any(|term| term.id == id && term.source == source) {
            same.push(Term {
                id,
                name,
                semantic_type,
                source,
            });
        }
        count += 1;
    }
    Ok((terms, count))
}

/// The fields of a line, RFC 4180 without line breaks in fields.
fn fields(line: &str) -> Option<Vec<String>> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.trim_end_matches('\r').chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, quoted) {
            ('"', true) if letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            ('"', _) => quoted = !quoted,
            (',', false) => fields.push(std::mem::take(&mut field)),
            (other, _) => field.push(other),
        }
    }
    fields.push(field);
    (!quoted).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_terms() {
        let text = "id,name,semantic_type,source\nC1,\"Diabetes, type 2\",T047,X\nC2,Metformin,T121,X\n\n";
        let (terms, count) = read(text).unwrap();
        assert_eq!(count, 2);
        assert_eq!(terms.get("diabetes, type 2").unwrap().first().unwrap().id, "C1");
        assert_eq!(key("  METFORMIN \n"), "metformin");
        assert_eq!(read(&format!("\u{feff}{text}")).unwrap().1, 2);
        for (text, why) in [
            ("", "line 1"),
            ("id,name,semantic_type,source\na,b", "line 2 must have 4"),
            ("id,name,semantic_type,source\na,\"b,c,d", "does not end"),
            ("id,name,semantic_type,source\na,,c,d", "empty field"),
            ("id,name,semantic_type,source\na,b\u{b},c,d", "line 2 has a tab"),
        ] {
            assert!(read(text).err().unwrap().contains(why));
        }
    }
}
