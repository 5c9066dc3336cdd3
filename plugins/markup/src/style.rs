//! CSS, as far as it decides what a reader sees and where lines end: `style` attributes, and the rules of style sheets for elements,
//! classes and identifiers.
//!
//! Rules with several of them (`.a .b`, `.a:hover`) or for some media are passed over: what they hide is read.

use std::collections::HashMap;

use crate::fonts::Page;

/// How an element stands among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Display {
    None,
    Inline,
    /// Within a line, apart from what is around it.
    Apart,
    /// Within a line or not; what it has in it stands apart.
    Flex,
    Block,
    Table,
    Row,
    Cell,
}

/// What declarations say; `None` where they do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    pub display: Option<Display>,
    /// It is taken out of its line, to a place of its own.
    pub is_away: Option<bool>,
    /// It stands at the side.
    pub is_afloat: Option<bool>,
    pub is_invisible: Option<bool>,
    pub is_struck: Option<bool>,
    /// It stands above the line.
    pub is_raised: Option<bool>,
    /// Its white space is meant.
    pub is_verbatim: Option<bool>,
    /// Its font is one of signs, or is none.
    pub signs: Option<Option<Page>>,
}

impl Style {
    /// Of declarations in small letters.
    pub fn read(declarations: &str) -> Self {
        let mut style = Self::default();
        for declaration in without_comments(declarations).split(';') {
            let Some((name, value)) = declaration.split_once(':') else {
                continue;
            };
            let value = value.split('!').next().unwrap_or_default().trim();
            match name.trim() {
                "display" => style.display = display(value).or(style.display),
                "visibility" => style.is_invisible = Some(matches!(value, "hidden" | "collapse")),
                "text-decoration" | "text-decoration-line" => {
                    style.is_struck = Some(value.contains("line-through"));
                }
                "vertical-align" => style.is_raised = Some(value == "super"),
                "white-space" => {
                    style.is_verbatim = Some(value.starts_with("pre") || value == "break-spaces");
                }
                "font-family" | "font" => style.signs = Some(signs(value)),
                "position" => style.is_away = Some(matches!(value, "absolute" | "fixed")),
                "float" => style.is_afloat = Some(matches!(value, "left" | "right")),
                _ => {}
            }
        }
        style
    }

    /// Both; what the other one says counts.
    pub fn with(self, other: Self) -> Self {
        Self {
            display: other.display.or(self.display),
            is_away: other.is_away.or(self.is_away),
            is_afloat: other.is_afloat.or(self.is_afloat),
            is_raised: other.is_raised.or(self.is_raised),
            is_invisible: other.is_invisible.or(self.is_invisible),
            is_struck: other.is_struck.or(self.is_struck),
            is_verbatim: other.is_verbatim.or(self.is_verbatim),
            signs: other.signs.or(self.signs),
        }
    }
}

/// The signs of the first of these fonts, which may have a size and the like before it.
pub fn signs(fonts: &str) -> Option<Page> {
    let first = fonts.split(',').next().unwrap_or_default();
    let first = first.trim().trim_end_matches(['"', '\'']);
    let name = ["symbol", "wingdings", "wingdings 2", "wingdings 3", "webdings"]
        .into_iter()
        .find(|name| {
            let before = first.strip_suffix(name).map(|before| before.chars().next_back());
            // Not that of "Segoe UI Symbol".
            before.is_some_and(|before| {
                before.is_none_or(|c| matches!(c, '"' | '\''))
                    // "12pt symbol"
                    || (first.starts_with(|c: char| c.is_ascii_digit()) && !first.contains(['"', '\'']))
            })
        })?;
    Page::of_signs(name.as_bytes())
}

fn display(value: &str) -> Option<Display> {
    Some(match value {
        "none" => Display::None,
        "inline" | "contents" | "initial" | "unset" => Display::Inline,
        "flex" | "inline-flex" | "grid" | "inline-grid" => Display::Flex,
        "table" | "inline-table" => Display::Table,
        "table-row" => Display::Row,
        "table-cell" => Display::Cell,
        "block" | "flow-root" | "list-item" | "table-caption" | "table-row-group" | "table-header-group"
        | "table-footer-group" => Display::Block,
        "inline-block" => Display::Apart,
        _ => return None,
    })
}

/// The rules of a document's style sheets so far.
#[derive(Default)]
pub struct Sheet {
    /// What is selected, in small letters (`p`, `.a`, `p.a`, `#i`), with the number of the rule.
    rules: HashMap<String, (usize, Style)>,
    count: usize,
}

impl Sheet {
    /// Reads a style sheet.
    pub fn read(&mut self, css: &str) {
        // As Word hides them from browsers of the last century.
        let css = without_comments(&css.to_ascii_lowercase())
            .replace("<!--", "")
            .replace("-->", "");
        let mut rest = &*css;
        while let Some((before, block)) = rest.split_once('{') {
            // The ends of media, and what is no block (`@import`).
            let selectors = before.rsplit([';', '}']).next().unwrap_or_default().trim();
            rest = match selectors.strip_prefix('@') {
                None => {
                    let (declarations, rest) = block.split_once('}').unwrap_or((block, ""));
                    self.rule(selectors, Style::read(declarations));
                    rest
                }
                // Its rules are read.
                Some(at) if at.strip_prefix("media").is_some_and(is_read) => block,
                Some(_) => behind(block),
            };
        }
    }

    fn rule(&mut self, selectors: &str, style: Style) {
        if style == Style::default() {
            return;
        }
        self.count += 1;
        for selector in selectors.split(',').map(str::trim) {
            let of_class = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
            let names = selector.split(['.', '#']).skip(1).count();
            let is_empty = selector.ends_with(['.', '#']);
            if names > 1 || is_empty || !selector.chars().all(|c| of_class(c) || matches!(c, '.' | '#')) {
                continue;
            }
            let rule = self.rules.entry(selector.to_owned()).or_default();
            *rule = (self.count, rule.1.with(style));
        }
    }

    /// What the rules say of an element, whose name, classes and identifier are in small letters.
    pub fn of(&self, name: &str, classes: &str, identifier: &str) -> Style {
        if self.rules.is_empty() {
            return Style::default();
        }
        let rule = |selector: String| self.rules.get(&selector).copied();
        let mut style = rule(name.to_owned()).map_or(Style::default(), |found| found.1);
        // The last rule counts among those that say as much of the element.
        for element in ["", name] {
            let classes = classes.split_ascii_whitespace();
            let mut found: Vec<_> = classes
                .filter_map(|class| rule(format!("{element}.{class}")))
                .collect();
            found.sort_unstable_by_key(|(number, _)| *number);
            style = found.into_iter().fold(style, |style, (_, more)| style.with(more));
        }
        for element in ["", name] {
            style = rule(format!("{element}#{identifier}")).map_or(style, |(_, more)| style.with(more));
        }
        style
    }
}

/// Whether a reader at a screen is meant by this list of media.
pub fn is_read(media: &str) -> bool {
    let is_screen = |medium: &str| matches!(medium.trim(), "" | "all" | "screen" | "only screen");
    media.split(',').any(is_screen)
}

/// What stands behind the end of a block that has begun.
fn behind(block: &str) -> &str {
    let mut open = 1_usize;
    for (at, c) in block.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return block.get(at + 1..).unwrap_or_default();
        }
    }
    ""
}

fn without_comments(css: &str) -> String {
    let mut parts = css.split("/*");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.split_once("*/").map_or("", |(_, behind)| behind));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn declarations_say_what_is_seen() {
        for declarations in [
            "display : none",
            "color:red;display:none !important",
            "/* a */ display:none;",
        ] {
            assert_eq!(
                Style::read(declarations).display,
                Some(Display::None),
                "{declarations}"
            );
        }
        for declarations in [
            "mso-display:none",
            "/* display:none */",
            "display:",
            "display",
            "a:display:none",
        ] {
            assert_eq!(Style::read(declarations), Style::default(), "{declarations}");
        }
        assert_eq!(
            Style::read("display:none;display:block").display,
            Some(Display::Block)
        );
        assert_eq!(
            Style::read("text-decoration:underline line-through").is_struck,
            Some(true)
        );
        assert_eq!(Style::read("white-space: pre-wrap").is_verbatim, Some(true));
        assert_eq!(Style::read("white-space:nowrap").is_verbatim, Some(false));
        for (font, signs) in [
            ("wingdings", Some(Page::Wingdings)),
            ("'wingdings 2', serif", Some(Page::Wingdings2)),
            ("\"symbol\"", Some(Page::Symbol)),
            ("7.0pt symbol", Some(Page::Symbol)),
            ("segoe ui symbol", None),
            ("'segoe ui symbol'", None),
            ("7.0pt \"times new roman\"", None),
            ("arial, symbol", None),
        ] {
            assert_eq!(super::signs(font), signs, "{font}");
        }
    }

    #[test]
    fn sheets_have_rules_for_elements_classes_and_identifiers() {
        let mut sheet = Sheet::default();
        sheet.read(
            "<!-- @charset 'x'; @font-face { font-family: {} } P.a, .B { display:none } #i{display:none}\n@media print { .c{display:none} }
             @media screen { .d {display:none} } .e .f, .g:hover, .h.h2 {display:none} p {white-space:pre} .b {display:block} /* .j{display:none} */ .k{display:none",
        );
        let display = |name, classes, identifier| sheet.of(name, classes, identifier).display;
        assert_eq!(display("p", "x a", ""), Some(Display::None));
        assert_eq!(display("div", "a", ""), None);
        assert_eq!(display("div", "b", ""), Some(Display::Block));
        assert_eq!(display("div", "b", "i"), Some(Display::None));
        assert_eq!(display("div", "d", ""), Some(Display::None));
        assert_eq!(display("div", "k", ""), Some(Display::None));
        for class in ["c", "e", "f", "g", "h", "h2", "j"] {
            assert_eq!(display("div", class, ""), None, "{class}");
        }
        assert_eq!(sheet.of("p", "", "").is_verbatim, Some(true));
    }
}
