//! What the labels of a token classifier mean: tagging scheme, position within an entity, entity type.
//! Nothing about scores or spans.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use thiserror::Error;

/// Why a list of labels cannot be read. Labels come from a checkpoint, never from a note.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LabelError {
    /// There are no labels.
    #[error("a label map without labels")]
    Empty,
    /// A label that has a position but no entity type (`B-`, `B`, or nothing at all).
    #[error(
        "label {label:?} names no entity type; write one into \"id2label\" of config.json, as in \"B-Disease\""
    )]
    NoEntityType {
        /// The label.
        label: String,
    },
    /// One name for two classes: the model's probability would be split between them.
    #[error("label {label:?} stands for two classes in \"id2label\" of config.json")]
    Duplicate {
        /// The label.
        label: String,
    },
    /// BIOES and BILOU marks in one list.
    #[error(
        "label {label:?} in \"id2label\" of config.json is of another tagging scheme than the labels before it"
    )]
    MixedSchemes {
        /// The first label of the second scheme.
        label: String,
    },
}

/// The family of position marks a label list uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tagging {
    /// Begin, inside, outside; also IO and lists without marks.
    Bio,
    /// With end (`E-`) and single (`S-`).
    Bioes,
    /// With last (`L-`) and unit (`U-`).
    Bilou,
}

/// Where in an entity a label puts its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// In no entity.
    Outside,
    /// First of an entity; always begins a new one.
    Begin,
    /// Continues an entity of its type, or else begins one.
    Inside,
    /// Last of an entity of its type (`E-`, `L-`), or else one by itself.
    End,
    /// An entity by itself (`S-`, `U-`).
    Single,
}

/// The meaning of each class of a token classifier, by class index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelScheme {
    tagging: Tagging,
    types: Vec<Arc<str>>,
    classes: Vec<(Position, Option<usize>)>,
}

impl LabelScheme {
    /// Reads the labels of a checkpoint's `id2label`, in class order.
    ///
    /// - `O` is outside. So is `0` in a list that has `B-` or `I-` labels but no `O`, as some published
    ///   biomedical models spell it.
    /// - `B-` and `I-` are always marks. `E-`/`S-` are marks when some type has one of them beside a `B-` or
    ///   `I-` (BIOES), `L-`/`U-` likewise (BILOU); so an unmarked type may be called `E-CIGARETTE` or
    ///   `S-100`.
    /// - A label without a mark counts as inside of the type of that name, as in `transformers` (which then
    ///   cuts the name at its first hyphen; here the whole name is kept).
    /// - Where all labels are marks alone (`B`, `I`, `O`, as models of one type have them), the type is called `Entity`.
    /// - `_` may stand for `-` throughout the list, when every label but `O` has a mark and some type has
    ///   two.
    ///
    /// # Errors
    /// [`LabelError`] names the label that cannot be read.
    pub fn from_labels<S: AsRef<str>>(labels: &[S]) -> Result<Self, LabelError> {
        let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        if labels.is_empty() {
            return Err(LabelError::Empty);
        }
        let mut known = HashSet::new();
        if let Some(label) = labels.iter().find(|label| !known.insert(**label)) {
            return Err(LabelError::Duplicate {
                label: label.to_string(),
            });
        }
        let labels = with_type(labels);
        let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        let reader = Reader::for_labels(&labels)?;
        let mut scheme = Self {
            tagging: reader.tagging,
            types: Vec::new(),
            classes: Vec::new(),
        };
        let mut by_name: HashMap<&str, usize> = HashMap::new();
        for label in labels {
            let (position, name) = reader.read(label)?;
            let kind = name.map(|name| {
                *by_name.entry(name).or_insert_with(|| {
                    scheme.types.push(Arc::from(name));
                    scheme.types.len() - 1
                })
            });
            scheme.classes.push((position, kind));
        }
        Ok(scheme)
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// Never true of a scheme that was read from labels.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// Which family of marks the labels use.
    pub fn tagging(&self) -> Tagging {
        self.tagging
    }

    /// The entity types, in order of first appearance.
    pub fn entity_types(&self) -> &[Arc<str>] {
        &self.types
    }

    /// What class `class` says of its token; `None` past the last class.
    pub fn position(&self, class: usize) -> Option<Position> {
        self.classes.get(class).map(|&(position, _)| position)
    }

    /// The entity type of class `class`; `None` for outside and past the last class.
    pub fn entity_type(&self, class: usize) -> Option<&Arc<str>> {
        self.types.get(self.classes.get(class)?.1?)
    }

    /// Position and index into [`Self::entity_types`]; outside past the last class.
    pub(crate) fn class(&self, class: usize) -> (Position, Option<usize>) {
        self.classes
            .get(class)
            .copied()
            .unwrap_or((Position::Outside, None))
    }
}

/// How the labels of one list are to be read.
struct Reader {
    tagging: Tagging,
    separator: char,
    zero_is_outside: bool,
}

impl Reader {
    fn for_labels(labels: &[&str]) -> Result<Self, LabelError> {
        let hyphens = labels
            .iter()
            .any(|label| matches!(split_mark(label, '-'), Some(('B' | 'I', _))));
        let separator = if !hyphens && underscores_separate(labels) {
            '_'
        } else {
            '-'
        };
        let marks = |of: &'static str| move |&(mark, _): &(char, &str)| of.contains(mark);
        let split: Vec<(char, &str)> = labels
            .iter()
            .filter_map(|label| split_mark(label, separator))
            .collect();
        let grounded: HashSet<&str> = split
            .iter()
            .filter(|m| marks("BI")(m))
            .map(|&(_, name)| name)
            .collect();
        let uses = |of| {
            split
                .iter()
                .filter(|m| marks(of)(m))
                .any(|(_, name)| grounded.contains(name))
        };
        let tagging = match (uses("ES"), uses("LU")) {
            (true, true) => return Err(mixed(labels, separator, &grounded)),
            (true, false) => Tagging::Bioes,
            (false, true) => Tagging::Bilou,
            (false, false) => Tagging::Bio,
        };
        let zero_is_outside = !grounded.is_empty() && !labels.contains(&"O");
        Ok(Self {
            tagging,
            separator,
            zero_is_outside,
        })
    }

    fn read<'l>(&self, label: &'l str) -> Result<(Position, Option<&'l str>), LabelError> {
        if label == "O" || (label == "0" && self.zero_is_outside) {
            return Ok((Position::Outside, None));
        }
        let (position, name) = match split_mark(label, self.separator) {
            Some(('B', name)) => (Position::Begin, name),
            Some(('I', name)) => (Position::Inside, name),
            Some(('E', name)) if self.tagging == Tagging::Bioes => (Position::End, name),
            Some(('S', name)) if self.tagging == Tagging::Bioes => (Position::Single, name),
            Some(('L', name)) if self.tagging == Tagging::Bilou => (Position::End, name),
            Some(('U', name)) if self.tagging == Tagging::Bilou => (Position::Single, name),
            _ => (Position::Inside, label),
        };
        if name.trim().is_empty() || matches!(label, "B" | "I") {
            return Err(LabelError::NoEntityType {
                label: label.to_string(),
            });
        }
        Ok((position, Some(name)))
    }
}

/// The type of a model that has one and does not name it.
const ONLY_TYPE: &str = "Entity";

/// The labels, with a type where all of them are marks alone.
fn with_type(labels: Vec<&str>) -> Vec<Cow<'_, str>> {
    let is_mark = |label: &&str| matches!(*label, "B" | "I" | "E" | "S" | "L" | "U");
    let are_marks = labels.contains(&"B")
        && labels
            .iter()
            .all(|label| is_mark(label) || matches!(*label, "O" | "0"));
    let each = labels
        .into_iter()
        .map(|label| match are_marks && is_mark(&label) {
            true => Cow::Owned(format!("{label}-{ONLY_TYPE}")),
            false => Cow::Borrowed(label),
        });
    each.collect()
}

/// The letter before `separator`, if it is a known mark, and the name after it.
fn split_mark(label: &str, separator: char) -> Option<(char, &str)> {
    let mut rest = label.chars();
    let mark = rest.next().filter(|mark| "BIESLU".contains(*mark))?;
    (rest.next() == Some(separator)).then_some((mark, rest.as_str()))
}

fn underscores_separate(labels: &[&str]) -> bool {
    let mut names = HashSet::new();
    let mut paired = false;
    for label in labels.iter().filter(|label| !matches!(**label, "O" | "0")) {
        match split_mark(label, '_') {
            Some((_, name)) => paired |= !names.insert(name),
            None => return false,
        }
    }
    paired
}

/// Names the first label whose mark belongs to the scheme that appears second.
fn mixed(labels: &[&str], separator: char, grounded: &HashSet<&str>) -> LabelError {
    let mut first = None;
    for label in labels {
        let family = match split_mark(label, separator) {
            Some(('E' | 'S', name)) if grounded.contains(name) => Tagging::Bioes,
            Some(('L' | 'U', name)) if grounded.contains(name) => Tagging::Bilou,
            _ => continue,
        };
        if *first.get_or_insert(family) != family {
            return LabelError::MixedSchemes {
                label: label.to_string(),
            };
        }
    }
    LabelError::MixedSchemes { label: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(labels: &[&str]) -> (Tagging, Vec<(Position, Option<String>)>) {
        let scheme = LabelScheme::from_labels(labels).unwrap();
        let classes = (0..scheme.len())
            .map(|class| {
                (
                    scheme.position(class).unwrap(),
                    scheme.entity_type(class).map(|name| name.to_string()),
                )
            })
            .collect();
        (scheme.tagging(), classes)
    }

    fn of(position: Position, name: &str) -> (Position, Option<String>) {
        (position, Some(name.to_string()))
    }

    const OUT: (Position, Option<String>) = (Position::Outside, None);

    #[test]
    fn marks_alone_are_of_one_type() {
        use Position::{Begin, End, Inside, Single};
        assert_eq!(
            read(&["B", "I", "O"]).1,
            [of(Begin, "Entity"), of(Inside, "Entity"), OUT]
        );
        let (tagging, classes) = read(&["O", "B", "I", "E", "S"]);
        assert_eq!(tagging, Tagging::Bioes);
        assert_eq!(classes[3..], [of(End, "Entity"), of(Single, "Entity")]);
        assert!(LabelScheme::from_labels(&["O", "B", "I", "B-X"]).is_err());
    }

    #[test]
    fn schemes() {
        use Position::{Begin, End, Inside, Single};
        assert_eq!(
            read(&["O", "B-X", "I-X"]),
            (Tagging::Bio, vec![OUT, of(Begin, "X"), of(Inside, "X")])
        );
        assert_eq!(
            read(&["B-X", "I-X", "E-X", "S-X", "S-Y", "O"]),
            (
                Tagging::Bioes,
                vec![
                    of(Begin, "X"),
                    of(Inside, "X"),
                    of(End, "X"),
                    of(Single, "X"),
                    of(Single, "Y"),
                    OUT
                ]
            )
        );
        assert_eq!(
            read(&["O", "B-X", "I-X", "L-X", "U-X"]),
            (
                Tagging::Bilou,
                vec![
                    OUT,
                    of(Begin, "X"),
                    of(Inside, "X"),
                    of(End, "X"),
                    of(Single, "X")
                ]
            )
        );
        assert_eq!(
            read(&["O", "B_X", "I_X"]),
            (Tagging::Bio, vec![OUT, of(Begin, "X"), of(Inside, "X")])
        );
        assert_eq!(read(&["B-X", "I-X", "0"]).1[2], OUT);
    }

    #[test]
    fn names_that_look_like_marks() {
        use Position::{Begin, Inside};
        assert_eq!(
            read(&["O", "S-100", "E-CIGARETTE"]).1,
            [OUT, of(Inside, "S-100"), of(Inside, "E-CIGARETTE")]
        );
        assert_eq!(
            read(&["O", "B_CELL", "T_CELL"]).1,
            [OUT, of(Inside, "B_CELL"), of(Inside, "T_CELL")]
        );
        assert_eq!(read(&["O", "B_CELL"]).1, [OUT, of(Inside, "B_CELL")]);
        assert_eq!(
            read(&["O", "B-T-CELL", "PAD"]).1,
            [OUT, of(Begin, "T-CELL"), of(Inside, "PAD")]
        );
        assert_eq!(
            read(&["LABEL_0", "0", "O"]).1,
            [of(Inside, "LABEL_0"), of(Inside, "0"), OUT]
        );
    }

    #[test]
    fn types_are_shared_between_positions() {
        let scheme = LabelScheme::from_labels(&["O", "B-X", "I-X", "B-Y"]).unwrap();
        assert_eq!(
            scheme
                .entity_types()
                .iter()
                .map(|name| &**name)
                .collect::<Vec<_>>(),
            ["X", "Y"]
        );
        assert!(Arc::ptr_eq(
            scheme.entity_type(1).unwrap(),
            scheme.entity_type(2).unwrap()
        ));
        assert_eq!(scheme.position(9), None);
    }

    #[test]
    fn unreadable_labels_are_named() {
        let error = |labels: &[&str]| LabelScheme::from_labels(labels).unwrap_err();
        let none = |label: &str| LabelError::NoEntityType {
            label: label.to_string(),
        };
        assert_eq!(error(&[]), LabelError::Empty);
        assert_eq!(error(&["O", ""]), none(""));
        assert_eq!(error(&["O", "B-"]), none("B-"));
        assert_eq!(error(&["O", "I"]), none("I"));
        assert_eq!(
            error(&["O", "B-X", "B-X"]),
            LabelError::Duplicate { label: "B-X".into() }
        );
        assert_eq!(
            error(&["O", "B-X", "U-X", "E-X"]),
            LabelError::MixedSchemes { label: "E-X".into() }
        );
    }
}
