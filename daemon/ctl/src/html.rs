//! One self-contained page that shows notes with their entities highlighted: no script, nothing
//! fetched, every character of the note exactly once. Pure: from documents to a string.

use std::fmt::Write;
use std::ops::Range;

use mednerd_client::api::{AnnotateResponse, Entity, Status};

use crate::format::{Document, Labels, concept_names, count, engine_name, said_of};
use crate::table::visible;

/// Nothing may be loaded or sent; the one style sheet stands in the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Background and ink of a label, on light and on dark. The tests hold all of them to WCAG AA.
struct Hue {
    light: (&'static str, &'static str),
    dark: (&'static str, &'static str),
}

const HUES: [Hue; 8] = [
    Hue {
        light: ("#fde2e1", "#8f1d1d"),
        dark: ("#5a1f22", "#ffc9c7"),
    },
    Hue {
        light: ("#dcebfb", "#0f4a86"),
        dark: ("#173e63", "#c3e0ff"),
    },
    Hue {
        light: ("#dcf3e0", "#14572b"),
        dark: ("#1b4a2a", "#bff0cb"),
    },
    Hue {
        light: ("#fdefc8", "#6b4700"),
        dark: ("#574000", "#ffe3a0"),
    },
    Hue {
        light: ("#ebe3fb", "#55279b"),
        dark: ("#43306e", "#ddd0ff"),
    },
    Hue {
        light: ("#d5f2f1", "#0b5155"),
        dark: ("#0f4a4d", "#b6f0ef"),
    },
    Hue {
        light: ("#fce0ef", "#8a1457"),
        dark: ("#5f1d43", "#ffcbe5"),
    },
    Hue {
        light: ("#e9ecd2", "#4a5210"),
        dark: ("#444a17", "#e6edb0"),
    },
];
/// Where there are more labels than hues, the line under the mark tells them apart as well.
const LINES: [&str; 3] = ["solid", "dashed", "double"];
/// Marks inside marks are told apart down to this depth; deeper ones look like this one.
const TALLEST: usize = 4;

/// Page, text, faint text, rule and link, on light and on dark.
const PAPER: [[&str; 5]; 2] = [
    ["#ffffff", "#1b1f24", "#57606a", "#d0d7de", "#0b57a4"],
    ["#14171a", "#e8eaed", "#a9b1ba", "#3a424a", "#8ab8f5"],
];

const STYLE: &str = "
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1.5rem;background:var(--page);color:var(--text);font:1rem/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:0 0 .25rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.5rem 0 .5rem;overflow-wrap:anywhere}
h3{font-size:1rem;margin:1.5rem 0 .5rem}
p{margin:.25rem 0}
a{color:var(--link)}
.faint{color:var(--faint)}
.partial{border-left:.3rem solid var(--text);padding-left:.6rem;font-weight:600}
.legend{display:flex;flex-wrap:wrap;gap:.35rem 1.1rem;list-style:none;margin:.75rem 0;padding:0}
.chip,mark{background:var(--tint);border-bottom:.15em solid var(--ink)}
.chip{color:var(--ink);font-size:.8rem;font-weight:700;padding:.1em .45em;border-radius:.25em;white-space:nowrap}
.note{border:1px solid var(--rule);border-radius:.4rem;padding:1rem;font:.95rem/2 ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;white-space:pre-wrap;overflow-wrap:anywhere;tab-size:8}
mark{color:var(--text);padding:.1em .18em;border-radius:.25em;-webkit-box-decoration-break:clone;box-decoration-break:clone}
mark mark{border-left:1px solid var(--ink);border-right:1px solid var(--ink)}
mark.tail{border-start-start-radius:0;border-end-start-radius:0;padding-inline-start:0}
mark.head{border-start-end-radius:0;border-end-end-radius:0;padding-inline-end:0}
mark[data-label]::after{content:attr(data-label);color:var(--ink);font:700 .68em/1 system-ui,sans-serif;letter-spacing:.02em;margin-inline-start:.45em;vertical-align:.12em;white-space:nowrap}
mark:target{outline:.2em solid var(--ink);outline-offset:.1em}
mark.h1{padding-block:.24em}mark.h2{padding-block:.38em}mark.h3{padding-block:.52em}mark.h4{padding-block:.66em}
.nul{color:var(--faint)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:start;padding:.3rem .6rem;border-bottom:1px solid var(--rule);vertical-align:top}
thead th{border-bottom:2px solid var(--rule);white-space:nowrap}
.number{text-align:end;font-variant-numeric:tabular-nums;white-space:nowrap}
td.mention{overflow-wrap:anywhere;min-width:12rem}
footer{margin-top:2.5rem;font-size:.85rem;overflow-wrap:anywhere}
@media(forced-colors:active){mark,.chip{border:1px solid}}
@media print{body{max-width:none;padding:0;font-size:10pt}.note{font-size:9pt;border:0;padding:0}a{color:inherit;text-decoration:none}.chip,mark{print-color-adjust:exact;-webkit-print-color-adjust:exact}tr,.legend{break-inside:avoid}h2,h3{break-after:avoid}thead{display:table-header-group}section+section{break-before:page}.wide{overflow:visible}}
";

/// The page for these documents. Offsets of the answers must be UTF-8 bytes of the texts, on
/// character boundaries; an entity for which they are not stands in the table alone.
pub fn page(documents: &[(Document, AnnotateResponse)]) -> String {
    let title = match documents {
        [(document, _)] => document.name.clone(),
        several => count(several.len(), "document", "documents"),
    };
    let entities = documents.iter().flat_map(|(_, answer)| &answer.entities);
    let mut labels = Labels::default();
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for entity in entities {
        let number = labels.number(&entity.label);
        match counts.get_mut(number) {
            Some((_, count)) => *count += 1,
            None => counts.push((&entity.label, 1)),
        }
    }

    let mut out = String::new();
    out.push_str("<!DOCTYPE html>\n<html lang=\"en\" translate=\"no\">\n<head>\n<meta charset=\"utf-8\">\n");
    put(
        &mut out,
        format_args!("<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n"),
    );
    out.push_str(
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <meta name=\"robots\" content=\"noindex\">\n\
         <meta name=\"google\" content=\"notranslate\">\n",
    );
    put(
        &mut out,
        format_args!("<title>{} – entities</title>\n", escape(&visible(&title))),
    );
    put(
        &mut out,
        format_args!("<style>{}{STYLE}</style>\n</head>\n<body>\n", colours()),
    );
    put(
        &mut out,
        format_args!(
            "<header>\n<h1>{}</h1>\n<p class=\"faint\">{}</p>\n",
            escape(&visible(&title)),
            count(counts.iter().map(|(_, n)| n).sum(), "entity", "entities"),
        ),
    );
    legend(&mut out, &counts);
    if documents.len() > 1 {
        contents(&mut out, documents);
    }
    out.push_str("</header>\n<main>\n");
    for (number, (document, answer)) in documents.iter().enumerate() {
        section(
            &mut out,
            number + 1,
            document,
            answer,
            &mut labels,
            documents.len() > 1,
        );
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn legend(out: &mut String, counts: &[(&str, usize)]) {
    if counts.is_empty() {
        return;
    }
    out.push_str("<ul class=\"legend\" aria-label=\"Entity types and how often each was found\">\n");
    for (number, (label, count)) in counts.iter().enumerate() {
        put(
            out,
            format_args!(
                "<li><span class=\"chip {}\">{}</span> {count}</li>\n",
                class(number),
                escape(&visible(label))
            ),
        );
    }
    out.push_str("</ul>\n");
}

fn contents(out: &mut String, documents: &[(Document, AnnotateResponse)]) {
    out.push_str("<nav aria-label=\"Documents\">\n<ol>\n");
    for (number, (document, answer)) in documents.iter().enumerate() {
        put(
            out,
            format_args!(
                "<li><a href=\"#n{}\">{}</a>, {}</li>\n",
                number + 1,
                escape(&visible(&document.name)),
                count(answer.entities.len(), "entity", "entities")
            ),
        );
    }
    out.push_str("</ol>\n</nav>\n");
}

fn section(
    out: &mut String,
    number: usize,
    document: &Document,
    answer: &AnnotateResponse,
    labels: &mut Labels,
    titled: bool,
) {
    let name = escape(&visible(&document.name));
    if titled {
        put(
            out,
            format_args!(
                "<section id=\"n{number}\" aria-labelledby=\"n{number}t\">\n<h2 id=\"n{number}t\">{name}</h2>\n"
            ),
        );
    } else {
        put(
            out,
            format_args!("<section id=\"n{number}\" aria-label=\"{name}\">\n"),
        );
    }
    if answer.status != Status::Ok {
        put(
            out,
            format_args!(
                "<p class=\"partial\">Answered in part. These stages did not run: {}.</p>\n",
                escape(&visible(&answer.degraded.join(", ")))
            ),
        );
    }
    // The language of the note is not known: an empty one keeps a screen reader from guessing.
    out.push_str("<div class=\"note\" lang=\"\" dir=\"auto\">");
    note(out, number, &document.text, &answer.entities, labels);
    out.push_str("</div>\n");
    entity_table(out, number, &document.text, answer, labels);
    provenance(out, answer);
    out.push_str("</section>\n");
}

/// A stretch of a mark that is not interrupted by the end of another one.
struct Fragment {
    entity: usize,
    first: bool,
    last: bool,
    /// How many marks stand inside each other in it.
    height: usize,
}

enum Step {
    Open(usize),
    Close,
    Text(Range<usize>),
}

/// The text with its marks. Where two entities cross, the one that ends later is split; where one
/// holds the other, the marks nest.
fn note(out: &mut String, number: usize, text: &str, entities: &[Entity], labels: &mut Labels) {
    let (steps, fragments) = layout(text, entities);
    for step in steps {
        match step {
            Step::Text(range) => characters(out, text.get(range).unwrap_or_default()),
            Step::Close => out.push_str("</mark>"),
            Step::Open(at) => {
                let Some(fragment) = fragments.get(at) else {
                    continue;
                };
                let Some(entity) = entities.get(fragment.entity) else {
                    continue;
                };
                let label = escape(&visible(&entity.label));
                put(
                    out,
                    format_args!("<mark class=\"{}", class(labels.number(&entity.label))),
                );
                if fragment.height > 0 {
                    put(out, format_args!(" h{}", fragment.height.min(TALLEST)));
                }
                out.push_str(if fragment.first { "" } else { " tail" });
                out.push_str(if fragment.last { "" } else { " head" });
                out.push('"');
                if fragment.first {
                    put(out, format_args!(" id=\"n{number}e{}\"", fragment.entity + 1));
                }
                if fragment.last {
                    put(out, format_args!(" data-label=\"{label}\""));
                }
                put(out, format_args!(" title=\"{label} {:.2}", entity.score));
                for more in [said_of(&entity.assertions), concept_names(&entity.concepts)] {
                    if !more.is_empty() {
                        put(out, format_args!(", {}", escape(&visible(&more))));
                    }
                }
                out.push_str("\">");
            }
        }
    }
}

/// The order in which marks open and close.
fn layout(text: &str, entities: &[Entity]) -> (Vec<Step>, Vec<Fragment>) {
    let spans: Vec<Option<Range<usize>>> = entities.iter().map(|e| span(text, e)).collect();
    let end_of = |entity: usize| {
        spans
            .get(entity)
            .and_then(Option::as_ref)
            .map_or(0, |span| span.end)
    };
    let mut starts: Vec<(usize, usize)> = Vec::new();
    let mut bounds: Vec<usize> = vec![0, text.len()];
    for (entity, span) in spans.iter().enumerate() {
        if let Some(span) = span {
            starts.push((span.start, entity));
            bounds.extend([span.start, span.end]);
        }
    }
    starts.sort_unstable();
    bounds.sort_unstable();
    bounds.dedup();

    let mut steps = Vec::new();
    let mut fragments: Vec<Fragment> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut starts = starts.into_iter().peekable();
    let mut previous = 0;
    for bound in bounds {
        if bound > previous {
            steps.push(Step::Text(previous..bound));
            previous = bound;
        }
        // Close from the inside until nothing that ends here is open.
        let ending = open
            .iter()
            .position(|&at| fragments.get(at).is_some_and(|f| end_of(f.entity) == bound))
            .unwrap_or(open.len());
        let mut opening: Vec<(bool, usize)> = Vec::new();
        while open.len() > ending {
            let Some(at) = open.pop() else { break };
            steps.push(Step::Close);
            let mut height = 0;
            if let Some(fragment) = fragments.get_mut(at) {
                fragment.last = end_of(fragment.entity) == bound;
                height = fragment.height;
                if !fragment.last {
                    opening.push((false, fragment.entity));
                }
            }
            if let Some(outer) = open.last().and_then(|&outer| fragments.get_mut(outer)) {
                outer.height = outer.height.max(height + 1);
            }
        }
        while let Some((_, entity)) = starts.next_if(|&(start, _)| start == bound) {
            opening.push((true, entity));
        }
        // What reaches furthest is outermost; of equals, the one that came first in the answer.
        opening.sort_by_key(|&(_, entity)| (std::cmp::Reverse(end_of(entity)), entity));
        for (first, entity) in opening {
            steps.push(Step::Open(fragments.len()));
            open.push(fragments.len());
            fragments.push(Fragment {
                entity,
                first,
                last: false,
                height: 0,
            });
        }
    }
    (steps, fragments)
}

/// Where an entity stands, if it stands somewhere.
fn span(text: &str, entity: &Entity) -> Option<Range<usize>> {
    let range = usize::try_from(entity.begin).ok()?..usize::try_from(entity.end).ok()?;
    text.get(range.clone())
        .filter(|slice| !slice.is_empty())
        .map(|_| range)
}

fn entity_table(out: &mut String, number: usize, text: &str, answer: &AnnotateResponse, labels: &mut Labels) {
    if answer.entities.is_empty() {
        out.push_str("<p>No entities were found.</p>\n");
        return;
    }
    let linked = answer.entities.iter().any(|e| !e.concepts.is_empty());
    out.push_str(
        "<h3>Entities</h3>\n<div class=\"wide\">\n<table>\n<thead><tr>\
         <th scope=\"col\" class=\"number\">begin</th><th scope=\"col\" class=\"number\">end</th>\
         <th scope=\"col\">label</th><th scope=\"col\" class=\"number\">score</th>\
         <th scope=\"col\">model</th><th scope=\"col\">text</th>",
    );
    let said = answer.entities.iter().any(|e| !e.assertions.is_empty());
    for (heading, shown) in [("said", said), ("concepts", linked)] {
        if shown {
            put(out, format_args!("<th scope=\"col\">{heading}</th>"));
        }
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for (at, entity) in answer.entities.iter().enumerate() {
        let mention = escape(&visible(&entity.text));
        put(
            out,
            format_args!(
                "<tr><td class=\"number\">{}</td><td class=\"number\">{}</td>\
                 <td><span class=\"chip {}\">{}</span></td><td class=\"number\">{:.3}</td><td>{}</td>\
                 <td class=\"mention\">",
                entity.begin,
                entity.end,
                class(labels.number(&entity.label)),
                escape(&visible(&entity.label)),
                entity.score,
                escape(&visible(&entity.model)),
            ),
        );
        match span(text, entity) {
            Some(_) => put(
                out,
                format_args!(
                    "<a href=\"#n{number}e{}\"><bdi lang=\"\">{mention}</bdi></a>",
                    at + 1
                ),
            ),
            None => put(out, format_args!("<bdi lang=\"\">{mention}</bdi>")),
        }
        out.push_str("</td>");
        let (concepts, kinds) = (concept_names(&entity.concepts), said_of(&entity.assertions));
        for (cell, shown) in [(kinds, said), (concepts, linked)] {
            if shown {
                put(out, format_args!("<td>{}</td>", escape(&visible(&cell))));
            }
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn provenance(out: &mut String, answer: &AnnotateResponse) {
    let versions = &answer.versions;
    let mut parts = vec![format!("mednerd {}", versions.mednerd)];
    if let Some(engine) = answer.engine {
        parts.push(format!("engine {}", engine_name(engine)));
    }
    let named = [
        ("model", &versions.models),
        ("plugin", &versions.plugins),
        ("vocabulary", &versions.vocabularies),
    ];
    for (kind, map) in named {
        parts.extend(
            map.iter()
                .map(|(name, version)| format!("{kind} {name} {version}")),
        );
    }
    parts.push(format!("offsets in {} UTF-8 bytes", answer.text_length.utf8_byte));
    parts.push(format!("SHA-256 of the text {}", answer.text_sha256));
    put(
        out,
        format_args!(
            "<footer class=\"faint\">{}</footer>\n",
            escape(&visible(&parts.join(" · ")))
        ),
    );
}

/// The classes of the `number`th label.
fn class(number: usize) -> String {
    let hue = number % HUES.len();
    match (number / HUES.len()) % LINES.len() {
        0 => format!("c{hue}"),
        line => format!("c{hue} l{line}"),
    }
}

fn colours() -> String {
    let mut css = String::from("\n:root{color-scheme:light dark}\n");
    for (dark, paper) in PAPER.iter().enumerate() {
        let [page, text, faint, rule, link] = paper;
        if dark == 1 {
            css.push_str("@media screen and (prefers-color-scheme:dark){\n");
        }
        put(
            &mut css,
            format_args!(
                ":root{{--page:{page};--text:{text};--faint:{faint};--rule:{rule};--link:{link}}}\n"
            ),
        );
        for (number, hue) in HUES.iter().enumerate() {
            let (tint, ink) = if dark == 1 { hue.dark } else { hue.light };
            put(
                &mut css,
                format_args!(".c{number}{{--tint:{tint};--ink:{ink}}}\n"),
            );
        }
        if dark == 1 {
            css.push_str("}\n");
        }
    }
    for (number, line) in LINES.iter().enumerate().skip(1) {
        put(
            &mut css,
            format_args!(".chip.l{number},mark.l{number}{{border-bottom-style:{line}}}\n"),
        );
    }
    css
}

/// Appends; writing to a string cannot fail.
fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = out.write_fmt(arguments);
}

/// Text as it may stand in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    characters(&mut out, text);
    out
}

/// A carriage return survives only as a reference, since a parser turns a bare one into a line feed;
/// NUL does not survive at all, and ESC would speak to a terminal that shows the page: both are shown as their pictures.
fn characters(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\r' => out.push_str("&#13;"),
            '\0' => out.push_str("<span class=\"nul\" title=\"NUL\">\u{2400}</span>"),
            '\u{1b}' => out.push_str("<span class=\"nul\" title=\"ESC\">\u{241b}</span>"),
            _ => out.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use mednerd_client::api::{Engine, OffsetUnit, TextLength, Timing, Versions};
    use proptest::prelude::*;

    use super::*;

    fn entity(text: &str, range: Range<usize>, label: &str) -> Entity {
        Entity {
            id: "e1".to_owned(),
            begin: range.start as u64,
            end: range.end as u64,
            text: text.get(range).unwrap_or_default().to_owned(),
            decoded: None,
            label: label.to_owned(),
            score: 0.9,
            model: "m".to_owned(),
            assertions: Vec::new(),
            concepts: Vec::new(),
        }
    }

    fn answer(text: &str, entities: Vec<Entity>) -> AnnotateResponse {
        AnnotateResponse {
            document_id: None,
            status: Status::Ok,
            degraded: Vec::new(),
            offset_unit: OffsetUnit::Utf8Byte,
            text_sha256: "00".to_owned(),
            text_length: TextLength {
                utf8_byte: text.len() as u64,
                ..TextLength::default()
            },
            entities,
            versions: Versions::default(),
            engine: Some(Engine::Tract),
            timing_ms: Timing::default(),
            context: serde_json::Value::Null,
            error: None,
        }
    }

    /// The note with its marks, without ids, titles and labels.
    fn marked(text: &str, spans: &[(Range<usize>, &str)]) -> String {
        let entities: Vec<Entity> = spans
            .iter()
            .map(|(range, label)| entity(text, range.clone(), label))
            .collect();
        let mut out = String::new();
        note(&mut out, 1, text, &entities, &mut Labels::default());
        let mut short = String::new();
        let mut rest = out.as_str();
        while let Some((before, tag)) = rest.split_once('<') {
            let (tag, after) = tag.split_once('>').unwrap();
            short.push_str(before);
            short.push_str(match tag {
                "/mark" => "]",
                _ => "[",
            });
            rest = after;
        }
        short.push_str(rest);
        short
    }

    /// What a browser makes of it, as far as this module's own output goes.
    fn plain(html: &str) -> String {
        let mut text = String::new();
        let mut rest = html;
        while let Some((before, tag)) = rest.split_once('<') {
            text.push_str(before);
            rest = tag.split_once('>').unwrap().1;
        }
        text.push_str(rest);
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#39;", "'")
            .replace("&#13;", "\r")
            .replace("&amp;", "&")
    }

    #[test]
    fn simple_nested_adjacent_and_crossing_marks() {
        let text = "abcdefghij";
        for (spans, expected) in [
            (vec![], "abcdefghij"),
            (vec![(2..4, "A")], "ab[cd]efghij"),
            (vec![(0..10, "A")], "[abcdefghij]"),
            (vec![(8..10, "A")], "abcdefgh[ij]"),
            (vec![(0..2, "A"), (2..4, "B")], "[ab][cd]efghij"),
            (vec![(0..6, "A"), (2..4, "B")], "[ab[cd]ef]ghij"),
            (vec![(2..4, "B"), (0..6, "A")], "[ab[cd]ef]ghij"),
            (vec![(0..4, "A"), (0..2, "B")], "[[ab]cd]efghij"),
            (vec![(0..4, "A"), (2..4, "B")], "[ab[cd]]efghij"),
            (vec![(0..4, "A"), (0..4, "B")], "[[abcd]]efghij"),
            (vec![(0..5, "A"), (3..8, "B")], "[abc[de]][fgh]ij"),
            (
                vec![(0..5, "A"), (3..8, "B"), (4..9, "C")],
                "[abc[d[e]]][[fgh]i]j",
            ),
        ] {
            assert_eq!(marked(text, &spans), expected, "{spans:?}");
        }
    }

    #[test]
    fn a_crossing_mark_is_labelled_once_and_targeted_once() {
        let text = "abcdefgh";
        let entities = [entity(text, 0..5, "A"), entity(text, 3..8, "B")];
        let mut out = String::new();
        note(&mut out, 1, text, &entities, &mut Labels::default());
        assert_eq!(out.matches("data-label=\"B\"").count(), 1, "{out}");
        assert_eq!(out.matches("id=\"n1e2\"").count(), 1, "{out}");
        assert!(out.contains("class=\"c0 h1\""), "{out}");
        assert!(out.contains("class=\"c1 head\""), "{out}");
        assert!(out.contains("class=\"c1 tail\""), "{out}");
    }

    #[test]
    fn nothing_in_a_note_or_a_name_is_markup() {
        let text = "<script>alert('x')</script> & \"q\"";
        let hostile = "\"><img src=x onerror=alert(1)>";
        let mut found = entity(text, 0..8, hostile);
        found.model = hostile.to_owned();
        let document = Document {
            name: hostile.to_owned(),
            text: text.to_owned(),
        };
        let page = page(&[(document, answer(text, vec![found]))]);
        assert!(!page.contains("<script"), "{page}");
        assert!(!page.contains("<img"), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
        assert!(page.contains("lang=\"en\"") && page.contains("default-src 'none'"));
        assert!(!page.contains("http://") && !page.contains("https://"));
    }

    #[test]
    fn offsets_that_lie_mark_nothing_and_break_nothing() {
        let text = "é";
        let lies = [(0..1), (1..2), (5..9), (0..0)].map(|range| (range, "A"));
        assert_eq!(marked(text, &lies), "é");
        let mut backwards = entity(text, 0..0, "A");
        backwards.begin = 2;
        let mut out = String::new();
        note(&mut out, 1, text, &[backwards], &mut Labels::default());
        assert_eq!(out, "é");
    }

    #[test]
    fn every_character_of_the_text_survives() {
        let text = "a\r\nb\u{feff}\u{202e}\t&amp;";
        let mut out = String::new();
        characters(&mut out, text);
        assert_eq!(plain(&out), text);
    }

    #[test]
    fn an_empty_note_makes_a_page() {
        let document = Document {
            name: "empty.txt".to_owned(),
            text: String::new(),
        };
        let page = page(&[(document, answer("", Vec::new()))]);
        assert!(page.contains("No entities were found."));
    }

    #[test]
    fn several_documents_have_a_table_of_contents() {
        let documents = ["a.txt", "b.txt"].map(|name| {
            let text = "flu";
            let document = Document {
                name: name.to_owned(),
                text: text.to_owned(),
            };
            (document, answer(text, vec![entity(text, 0..3, "DISEASE")]))
        });
        let page = page(&documents);
        for part in ["2 documents", "href=\"#n1\"", "id=\"n2\"", "id=\"n2e1\"", "b.txt"] {
            assert!(page.contains(part), "{part}");
        }
        assert!(page.contains("DISEASE</span> 2</li>"));
    }

    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = u8::from_str_radix(&colour[at..at + 2], 16).unwrap();
            let value = f64::from(value) / 255.0;
            if value <= 0.04045 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn colours_meet_wcag_aa() {
        for (dark, [page, text, faint, _, link]) in PAPER.iter().enumerate() {
            for ink in [text, faint, link] {
                assert!(contrast(page, ink) >= 4.5, "{page} {ink}");
            }
            for hue in &HUES {
                let (tint, ink) = if dark == 1 { hue.dark } else { hue.light };
                assert!(contrast(tint, text) >= 4.5, "{tint} {text}");
                assert!(contrast(tint, ink) >= 4.5, "{tint} {ink}");
                assert!(contrast(page, ink) >= 3.0, "{page} {ink}");
            }
        }
    }

    #[test]
    fn more_labels_than_hues_differ_in_their_line() {
        assert_eq!(class(0), "c0");
        assert_eq!(class(8), "c0 l1");
        assert_eq!(class(17), "c1 l2");
        assert_eq!(class(24), "c0");
    }

    proptest! {
        #[test]
        fn stripping_the_marks_gives_the_note(
            text in "(?s).{0,40}",
            spans in proptest::collection::vec((0usize..60, 0usize..60), 0..12),
        ) {
            let entities: Vec<Entity> = spans
                .iter()
                .enumerate()
                .map(|(at, &(begin, end))| Entity {
                    begin: begin as u64,
                    end: end as u64,
                    ..entity(&text, 0..0, &format!("<L{at}>"))
                })
                .collect();
            let mut out = String::new();
            note(&mut out, 1, &text, &entities, &mut Labels::default());
            prop_assert_eq!(plain(&out), text.replace('\0', "\u{2400}").replace('\u{1b}', "\u{241b}"));
            prop_assert_eq!(out.matches("<mark").count(), out.matches("</mark>").count());
            // Every entity with a place is labelled exactly once.
            let placed = entities.iter().filter(|e| span(&text, e).is_some()).count();
            prop_assert_eq!(out.matches("data-label=").count(), placed);
            prop_assert_eq!(out.matches(" id=").count(), placed);
        }
    }
}
