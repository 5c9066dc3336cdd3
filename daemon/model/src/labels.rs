//! The label map of `config.json`: `id2label`, ids 0 to n-1 without hole or repetition.

use serde_json::Value;

use crate::error::ModelError;
use crate::json::{Object, describe};

/// Most labels of one head.
const LABEL_LIMIT: usize = 1 << 16;

/// Reads the labels in the order of the head's rows.
///
/// Where `id2label` is absent, `transformers` makes `num_labels` (default 2) names `LABEL_0`, `LABEL_1`, …, and so does
/// this. Names of that kind in the file are taken as they are. `label2id` is not read: nothing at inference uses it.
///
/// # Errors
/// A key that is no id, a hole in the ids, two ids with one name, a name that is no string or is empty.
pub(crate) fn read(config: &Object) -> Result<Vec<String>, ModelError> {
    let Some(map) = config.get("id2label") else {
        let count = config.count("num_labels", 2, LABEL_LIMIT)?;
        return Ok((0..count).map(|id| format!("LABEL_{id}")).collect());
    };
    let fault = |problem: String| ModelError::Labels {
        path: config.path().to_owned(),
        problem,
    };
    let map = map.as_object().ok_or_else(|| {
        fault(format!(
            "expected an object from id to label, found {}",
            describe(map)
        ))
    })?;
    if map.is_empty() || map.len() > LABEL_LIMIT {
        return Err(fault(format!(
            "{} labels, 1 to {LABEL_LIMIT} are expected",
            map.len()
        )));
    }
    let mut labels: Vec<Option<String>> = vec![None; map.len()];
    let last = map.len().saturating_sub(1);
    for (key, label) in map {
        // Plain digits only: `parse` alone would take "+1", and "01" would be a second spelling of 1.
        let id = key
            .parse::<usize>()
            .ok()
            .filter(|id| id.to_string() == *key)
            .ok_or_else(|| fault(format!("the key {key:?} is no id; 0 to {last} are expected")))?;
        let Some(slot) = labels.get_mut(id) else {
            return Err(fault(format!(
                "has the id {id}, but with {} labels the ids 0 to {last} are expected: there is a hole",
                map.len()
            )));
        };
        *slot = Some(
            name(label)
                .ok_or_else(|| fault(format!("id {id}: expected a name, found {}", describe(label))))?,
        );
    }
    // As many slots as distinct ids, all of them in range: none is left empty.
    let labels: Vec<String> = labels.into_iter().flatten().collect();
    let mut sorted: Vec<&String> = labels.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair.first() == pair.last()) {
        Some([twice, ..]) => Err(fault(format!("the label {twice:?} has two ids"))),
        _ => Ok(labels),
    }
}

fn name(label: &Value) -> Option<String> {
    label.as_str().filter(|name| !name.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn labels(text: &str) -> Result<Vec<String>, String> {
        let config = Object::parse(Path::new("dir/config.json"), text.as_bytes()).unwrap();
        read(&config).map_err(|e| e.to_string())
    }

    #[test]
    fn labels_come_in_the_order_of_their_ids() {
        let found = labels(r#"{"id2label": {"1": "B-X", "10": "k", "0": "O", "2": "c", "3": "d", "4": "e", "5": "f", "6": "g", "7": "h", "8": "i", "9": "j"}}"#)
            .unwrap();
        assert_eq!(found[..3], ["O", "B-X", "c"]);
        assert_eq!(found[10], "k");
    }

    #[test]
    fn absent_maps_get_the_default_names() {
        assert_eq!(labels("{}").unwrap(), ["LABEL_0", "LABEL_1"]);
        assert_eq!(labels(r#"{"num_labels": 3}"#).unwrap().len(), 3);
    }

    #[test]
    fn broken_maps_name_the_file_and_the_reason() {
        for (text, reason) in [
            (r#"{"id2label": {"0": "O", "2": "B"}}"#, "hole"),
            (r#"{"id2label": {"0": "O", "01": "B"}}"#, "\"01\" is no id"),
            (r#"{"id2label": {"0": "O", "1": "O"}}"#, "\"O\" has two ids"),
            (
                r#"{"id2label": {"0": "O", "1": 3}}"#,
                "id 1: expected a name, found 3",
            ),
            (r#"{"id2label": {"0": ""}}"#, "expected a name"),
            (r#"{"id2label": {}}"#, "0 labels"),
            (r#"{"id2label": ["O"]}"#, "array of 1"),
            (r#"{"num_labels": -1}"#, "num_labels"),
        ] {
            let message = labels(text).unwrap_err();
            assert!(
                message.contains("dir/config.json") && message.contains(reason),
                "{text}: {message}"
            );
        }
    }
}
