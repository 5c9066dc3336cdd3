//! Semantic groups of the UMLS: which kinds of concept a mention's label allows.

/// A semantic group, after SemGroups.txt of the Semantic Network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Group {
    Disorders,
    Chemicals,
    Genes,
    Anatomy,
    LivingBeings,
    Procedures,
    Physiology,
    Phenomena,
    Devices,
    Others,
}

use Group::{
    Anatomy, Chemicals, Devices, Disorders, Genes, LivingBeings, Others, Phenomena, Physiology, Procedures,
};

/// How a concept fits the label of a mention, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fit {
    /// Of the group that the label is for, or nothing is known of it.
    Main,
    /// Of another group that it may be.
    Other,
    /// Of a group that it may not be.
    Foreign,
}

/// The groups that a mention's label allows, the main one first; none where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Allowed(Option<&'static [Group]>);

impl Allowed {
    /// Those of `label`.
    pub(crate) fn by(label: &str) -> Self {
        Self(of_label(label))
    }

    /// How a concept of these semantic types fits.
    pub(crate) fn fit<'a>(self, types: impl Iterator<Item = &'a str>) -> Fit {
        let Some((main, others)) = self.0.and_then(<[Group]>::split_first) else {
            return Fit::Main;
        };
        let fits = types.filter_map(of_type).map(|own| match own {
            _ if own == *main => Fit::Main,
            _ if others.contains(&own) => Fit::Other,
            _ => Fit::Foreign,
        });
        fits.min().unwrap_or(Fit::Main)
    }

    /// Whether a concept of these semantic types is a substance and nothing else; where none is known, whether the label is one's.
    pub(crate) fn is_substance<'a>(self, types: impl Iterator<Item = &'a str>) -> bool {
        let mut groups = types.filter_map(of_type).peekable();
        match groups.peek() {
            None => self.0.is_some_and(|groups| groups.first() == Some(&Chemicals)),
            Some(_) => groups.all(|own| own == Chemicals),
        }
    }
}

/// The group of a semantic type given by its TUI; a dictionary's own types have none.
pub(crate) fn of_type(name: &str) -> Option<Group> {
    let number: u16 = name
        .strip_prefix('T')
        .filter(|digits| digits.len() == 3)?
        .parse()
        .ok()?;
    Some(match number {
        19 | 20 | 33 | 37 | 46..=50 | 184 | 190 | 191 => Disorders,
        103 | 104 | 109..=111 | 114..=116 | 118..=127 | 129..=131 | 192 | 195..=197 | 200 => Chemicals,
        28 | 85..=88 => Genes,
        17 | 18 | 21..=26 | 29..=31 => Anatomy,
        1 | 2 | 4 | 5 | 7 | 8 | 10..=16 | 96..=101 | 194 | 204 => LivingBeings,
        58..=63 | 65 => Procedures,
        32 | 39..=45 | 201 => Physiology,
        34 | 38 | 67..=70 => Phenomena,
        74 | 75 | 203 => Devices,
        _ => Others,
    })
}

/// The groups that a mention with this label may be linked to; none where the label says nothing.
pub(crate) fn of_label(label: &str) -> Option<&'static [Group]> {
    let label: String = label
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric())
        .collect();
    Some(match label.as_str() {
        "disease" | "specificdisease" | "diseaseclass" | "compositemention" | "modifier" | "disorder"
        | "cancer" | "symptom" | "finding" | "problem" | "diseasedisorder" => {
            &[Disorders, Physiology, Phenomena]
        }
        "chemical" | "simplechemical" | "drug" | "medication" | "aminoacid" => &[Chemicals],
        "gene" | "protein" | "dna" | "rna" | "geneorgeneproduct" => &[Genes, Chemicals],
        "anatomy"
        | "organ"
        | "tissue"
        | "cell"
        | "cellline"
        | "celltype"
        | "cellularcomponent"
        | "multitissuestructure"
        | "organismsubdivision"
        | "anatomicalsystem"
        | "immaterialanatomicalentity" => &[Anatomy],
        "species" | "organism" => &[LivingBeings],
        "procedure" | "test" | "treatment" => &[Procedures, Physiology, Devices],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_meet_types() {
        assert_eq!(of_type("T047"), Some(Disorders));
        assert_eq!(of_type("T121"), Some(Chemicals));
        assert_eq!(of_type("Disease"), None);
        assert!(of_label("SIMPLE_CHEMICAL").is_some_and(|groups| groups.contains(&Chemicals)));
        assert_eq!(of_label("whatever"), None);
        let fit = |label, types: &[&str]| Allowed::by(label).fit(types.iter().copied());
        assert_eq!(fit("Disease", &["T047"]), Fit::Main);
        assert_eq!(fit("Disease", &["T070"]), Fit::Other);
        assert_eq!(fit("Disease", &["T121", "T047"]), Fit::Main);
        assert_eq!(fit("Chemical", &["T047"]), Fit::Foreign);
        assert_eq!(fit("Chemical", &["Drug"]), Fit::Main);
        assert_eq!(fit("whatever", &["T047"]), Fit::Main);
    }
}
