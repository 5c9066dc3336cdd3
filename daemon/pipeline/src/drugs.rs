//! Which labels are of drugs, in whatever words a model, a list or a client puts them. What a text says of taking something is asked of
//! drugs alone. All words here are folded.

use crate::folding::{fold, words};

/// What a drug is called, without the [`ENDINGS`] of the plural and of cases.
const DRUGS: &str = "chem chemical compound drug med medication medicine pharmaceutical rx substance \
    arznei arzneimittel arzneistoff chemikalie medizin pharmaka pharmakon praeparat praparat substanz wirkstoff \
    geneesmiddel medicatie medicijn medikament medikation schmerzmittel pijnstiller bloedverdunner blutverdunner \
    medicina medicine medicinale medicinali droga drogue droghe remede remedio";
/// Those of them that a longer word may end with: "Blutdruckmedikament", "thuismedicatie".
const TAILS: &str = "arzneimittel geneesmiddel medicatie medicijn medikament medikation wirkstoff";
/// Those that come first where others say more of them: "medicamento recetado".
const HEADS: &str = "medicament medicamento medicamenti medicacion medicacao medicacoe farmaco farmaci sostanza sostanze sustancia substancia";
/// What the names of kinds of drugs begin with.
const KINDS: &str = "analgesic analgesiq analgetik antibioti anticoagulan antikoagulan anticonvuls antidepres antihypertens \
    antihipertens antiipertens antipsicotic antipsychoti antivir diureti opiace opiate opioid painkiller sedativ statin steroid";
/// Two words that are one.
const PAIRS: [&str; 21] = [
    "active ingredient",
    "active principle",
    "blood thinner",
    "aktive substanz",
    "actieve stof",
    "actieve stoffen",
    "chemische stof",
    "chemische stoffen",
    "werkzame stof",
    "werkzame stoffen",
    "principe actif",
    "principio activo",
    "principio ativo",
    "principio attivo",
    "principi attivi",
    "produit chimique",
    "producto quimico",
    "produto quimico",
    "prodotto chimico",
    "substance active",
    "substance chimique",
];
/// Words that leave open of what they speak: "drug name".
const OPEN: &str = "brand category class code entity entitie generic group ingredient item kind label mention name product term type \
    bezeichnung gruppe klasse naam groep classe clase grupo gruppo groupe categoria categorie nom nombre nome tipo \
    produit producto produto prodotto";
/// What a word may end with that leaves open the same: "Medikamentenname".
const OPEN_TAILS: [&str; 7] = [
    "bezeichnung",
    "gruppe",
    "groep",
    "klasse",
    "naam",
    "namen",
    "name",
];
/// What more is said begins with these, and with articles: "name of the drug" is one, "dose of the drug" is none.
const LINKS: &str = "a al an as au aux con contra contre contro com avec d da das de dei degli del della delle dello dem den der des di die do dos du \
    een el en for from fur gegen gli het i il in l la las le les lo los met mit of on o os para per por pour tegen the to van vom von voor with zu";
const ENDINGS: [&str; 6] = ["", "s", "es", "en", "e", "n"];

/// Whether what has this label may be a drug that somebody takes: "Chemical", "medications", "Drug name", "Medikament", "fármaco". Of several that a
/// slash divides, any.
pub fn is_drug(label: &str) -> bool {
    let label = label.split('(').next().unwrap_or_default();
    label.split(['/', '|', ',', ';', '+']).any(is_called_drug)
}

/// Whether words are a name for drugs, by the word that the others belong to.
fn is_called_drug(label: &str) -> bool {
    let label = apart(label);
    let mut folded: Vec<String> = Vec::new();
    for word in words(&label) {
        let mut to = String::new();
        fold(label.get(word.range()).unwrap_or_default(), &mut to);
        if to.chars().any(char::is_alphabetic) {
            folded.push(to);
        }
    }
    let parts = folded.split(|word| has(LINKS, word));
    for part in parts {
        if is_pair(part) {
            return true;
        }
        let open = part.iter().rev().take_while(|word| is_any(OPEN, word)).count();
        let part = part.get(..part.len() - open).unwrap_or_default();
        if let (Some(first), Some(last)) = (part.first(), part.last()) {
            return is_any(HEADS, first) || names_drug(last);
        }
    }
    false
}

/// Words apart that capitals alone divide: "DrugName".
fn apart(label: &str) -> String {
    let mut apart = String::with_capacity(label.len());
    for c in label.chars() {
        if c.is_uppercase() && apart.ends_with(char::is_lowercase) {
            apart.push(' ');
        }
        apart.push(c);
    }
    apart
}

fn names_drug(word: &str) -> bool {
    let ends = |word: &str| {
        let bare = |ending: &&str| {
            word.strip_suffix(ending)
                .is_some_and(|word| any(TAILS, |tail| word.ends_with(tail)))
        };
        is_any(DRUGS, word) || is_any(HEADS, word) || ENDINGS.iter().any(bare)
    };
    let open = OPEN_TAILS.iter().find_map(|tail| word.strip_suffix(tail));
    ends(word) || open.is_some_and(ends) || any(KINDS, |kind| word.starts_with(kind))
}

/// Whether two words are one of the pairs, at either end of these.
fn is_pair(words: &[String]) -> bool {
    let singular = |word: &String| word.strip_suffix('s').unwrap_or(word).to_owned();
    let is = |pair: &[String]| {
        let pair = pair.iter().map(singular).collect::<Vec<_>>().join(" ");
        PAIRS.contains(&pair.as_str())
    };
    words.first_chunk::<2>().is_some_and(|pair| is(pair))
        || words.last_chunk::<2>().is_some_and(|pair| is(pair))
}

fn any(list: &str, is: impl Fn(&str) -> bool) -> bool {
    list.split_ascii_whitespace().any(is)
}

fn has(list: &str, word: &str) -> bool {
    any(list, |one| one == word)
}

/// Whether a word is one of these, but for an ending.
fn is_any(list: &str, word: &str) -> bool {
    ENDINGS
        .iter()
        .any(|ending| word.strip_suffix(ending).is_some_and(|word| has(list, word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_of_drugs_however_it_is_spelled() {
        for label in [
            "Chemical",
            "chemicals",
            "CHEM",
            "Simple_chemical",
            "SIMPLE_CHEMICAL",
            "CHEMICALS_AND_DRUGS",
            "Drug",
            "drugs",
            "DRUG",
            "Drug name",
            "drug class",
            "DrugName",
            "drug_name",
            "drug-type",
            "Medication",
            "medications",
            "MedicationClass",
            "current medication",
            "meds",
            "medicine",
            "medicines",
            "prescription drug",
            "anticoagulant drug",
            "name of the drug",
            "drug of abuse",
            "Pharmacologic Substance",
            "active ingredient",
            "active pharmaceutical ingredients",
            "Drug/Chemical",
            "medication / treatment",
            "drug (generic name)",
            "drug 1",
            "antibiotic",
            "Antibiotics",
            "statin",
            "blood thinners",
            "opioids",
            "Medikament",
            "Medikamente",
            "des Medikaments",
            "Medikamentenname",
            "Name des Medikaments",
            "Blutdruckmedikamente",
            "Arzneimittel",
            "Wirkstoffe",
            "Wirkstoffklasse",
            "Heimmedikation",
            "Substanzen",
            "Präparat",
            "Pra\u{308}parate",
            "Antikoagulanzien",
            "médicament",
            "Médicaments",
            "nom du médicament",
            "médicament prescrit",
            "principe actif",
            "substances",
            "produits chimiques",
            "medicamento",
            "medicamentos recetados",
            "fármaco",
            "fármacos",
            "nombre del fármaco",
            "principio activo",
            "sustancia química",
            "farmaco",
            "farmaci",
            "nome del farmaco",
            "sostanze",
            "principi attivi",
            "remédio",
            "substância",
            "medicação",
            "classe de medicamentos",
            "princípio ativo",
            "geneesmiddel",
            "geneesmiddelen",
            "geneesmiddelnaam",
            "naam van het geneesmiddel",
            "medicatie",
            "thuismedicatie",
            "medicijnen",
            "werkzame stof",
        ] {
            assert!(is_drug(label), "{label}");
        }
        for label in [
            "",
            "name",
            "Disease",
            "Gene",
            "Amino_acid",
            "dose",
            "drug dose",
            "drug allergy",
            "drug use",
            "substance abuse",
            "dose of the drug",
            "adverse drug event",
            "alergia a medicamentos",
            "allergie au médicament",
            "dosis del fármaco",
            "Medikamentenallergie",
            "Dosis des Medikaments",
            "chemical burn",
            "antibody",
            "antigen",
            "route",
            "frequency",
            "virus type",
            "product",
            "device",
            "medical device",
            "medical history",
            "statistic",
            "of",
            "()",
            "/",
            "1",
            "\u{301}",
            "brûlure chimique",
            "geneesmiddelallergie",
        ] {
            assert!(!is_drug(label), "{label}");
        }
    }
}
