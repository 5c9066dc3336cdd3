//! The body of an annotation request: read field by field, so that an error names the field and
//! never what was in it.

use std::borrow::Cow;
use std::fmt;

use mednerd_client::api::{self, Aggregation, Encoding, Link, OffsetUnit};
use mednerd_pipeline::Overlaps;
use serde::Deserializer as _;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::ApiError;
use crate::original::Source;
use crate::zero_shot::{self, Label};

const FIELDS: [&str; 14] = [
    "text",
    "encoding",
    "format",
    "document_id",
    "models",
    "threshold",
    "aggregation",
    "labels",
    "nested",
    "multi_label",
    "offset_unit",
    "link",
    "deadline_ms",
    "context",
];
const KNOWN: &str = "text, encoding, format, document_id, models, threshold, aggregation, labels, nested, multi_label, \
                     offset_unit, link, deadline_ms, context";

/// A request that is well-formed. Whether it can be served depends on what is loaded.
#[derive(Debug)]
pub struct Request {
    /// The note, or the document as received.
    pub text: Source,
    /// The document's format; `None` for plain text.
    pub format: Option<String>,
    /// Comes back in the answer.
    pub document_id: Option<String>,
    /// Names of models; `None` for the default ones.
    pub models: Option<Vec<String>>,
    /// The lowest score to report; `None` for the model's default.
    pub threshold: Option<f32>,
    /// What zero-shot models shall look for; `None` for the configuration's labels.
    pub labels: Option<Vec<Label>>,
    /// Which entities of a zero-shot model may overlap; `None` where the request does not say.
    pub overlaps: Option<Overlaps>,
    /// How pieces become entities.
    pub aggregation: Aggregation,
    /// The unit of offsets in the answer.
    pub offset_unit: OffsetUnit,
    /// Whether and how entities become concepts.
    pub link: Option<Link>,
    /// As the client wishes; `None` for the configuration's default.
    pub deadline_ms: Option<u64>,
    /// Comes back exactly as it came.
    pub context: Option<Box<RawValue>>,
}

impl Request {
    /// Parses one JSON object.
    ///
    /// # Errors
    /// The field that is wrong, or the place where the JSON is.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let mut fields = Fields::read(body)?;
        if let Some(fault) = fields.fault.take() {
            return Err(fault);
        }
        let text = source(&mut fields)?;
        let offset_unit = offset_unit(&mut fields, &text)?;
        let request = Self {
            text,
            format: fields.take("format", "a string")?,
            document_id: fields.take("document_id", "a string without unpaired surrogates")?,
            models: fields.take("models", "an array of strings")?,
            threshold: fields.take("threshold", "a number")?,
            labels: labels(&mut fields)?,
            overlaps: overlaps(&mut fields)?,
            aggregation: fields
                .take(
                    "aggregation",
                    "one of \"simple\", \"first\", \"average\", \"max\"",
                )?
                .unwrap_or_default(),
            offset_unit,
            link: fields.take(
                "link",
                "true, false, or an object with any of \"top_k\" (a whole number between 1 and 100), \"vocabularies\" and \"code_systems\" (arrays of strings)",
            )?,
            deadline_ms: fields.take("deadline_ms", "a whole number of milliseconds")?,
            context: fields.raw("context"),
        };
        request.check()?;
        Ok(request)
    }

    /// What an answer to a refused request repeats, as far as it can be read: `document_id` and `context`.
    pub fn identity(body: &[u8]) -> (Option<String>, Option<Box<RawValue>>) {
        let Ok(mut fields) = Fields::read(body) else {
            return (None, None);
        };
        let document_id = fields.take("document_id", "a string");
        (document_id.unwrap_or_default(), fields.raw("context"))
    }

    fn check(&self) -> Result<(), ApiError> {
        let unusable = |field, problem| Err(ApiError::Unusable { field, problem });
        if self
            .threshold
            .is_some_and(|threshold| !(0.0..=1.0).contains(&threshold))
        {
            return unusable("threshold", "must be between 0 and 1");
        }
        if self.text.text().is_none() && self.format.is_none() {
            return unusable(
                "encoding",
                "is base64, which is for documents that a plugin decodes; name their \"format\"",
            );
        }
        if self.models.as_ref().is_some_and(Vec::is_empty) {
            return unusable("models", "is empty; leave it out for the default models");
        }
        if self.deadline_ms == Some(0) {
            return unusable("deadline_ms", "must be at least 1");
        }
        Ok(())
    }
}

/// The document from `text` and `encoding`.
fn source(fields: &mut Fields<'_>) -> Result<Source, ApiError> {
    let field = "text";
    let text: Option<String> = fields.take(field, "a string without unpaired surrogates")?;
    let text = text.ok_or(ApiError::MissingField { field })?;
    match fields.take("encoding", "\"plain\" or \"base64\"")? {
        None | Some(Encoding::Plain) => Ok(Source::Text(text.into())),
        Some(Encoding::Base64) => {
            let expected = "base64 with padding, as in section 4 of RFC 4648";
            // The decoder lets padding be left out.
            let padded = Some(text).filter(|text| text.len().is_multiple_of(4));
            let bytes = padded.and_then(|text| base64::decode(text).ok());
            let bytes = bytes.ok_or(ApiError::InvalidField { field, expected })?;
            Ok(Source::Bytes(bytes.into()))
        }
    }
}

fn offset_unit(fields: &mut Fields<'_>, text: &Source) -> Result<OffsetUnit, ApiError> {
    let field = "offset_unit";
    let wanted = fields.take(
        field,
        "one of \"unicode_code_point\", \"utf16_code_unit\", \"utf8_byte\", \"byte\"",
    )?;
    let unusable = |problem| Err(ApiError::Unusable { field, problem });
    match (text.text(), wanted) {
        (Some(_), Some(OffsetUnit::Byte)) => unusable("may be \"byte\" only for a document in base64"),
        (Some(_), wanted) => Ok(wanted.unwrap_or_default()),
        (None, None | Some(OffsetUnit::Byte)) => Ok(OffsetUnit::Byte),
        (None, Some(_)) => unusable("must be \"byte\" for a document in base64, or left out"),
    }
}

fn labels(fields: &mut Fields<'_>) -> Result<Option<Vec<Label>>, ApiError> {
    let wanted: Option<Vec<api::Label>> = fields.take(
        "labels",
        "an array of strings, or of objects with \"name\" and \"synonyms\"",
    )?;
    let labels = wanted.map(|wanted| zero_shot::labels(&wanted)).transpose();
    labels.map_err(ApiError::Label)
}

fn overlaps(fields: &mut Fields<'_>) -> Result<Option<Overlaps>, ApiError> {
    let nested: Option<bool> = fields.take("nested", "true or false")?;
    let several: Option<bool> = fields.take("multi_label", "true or false")?;
    Ok((nested.is_some() || several.is_some()).then_some(Overlaps {
        nested: nested.unwrap_or(false),
        several_labels: several.unwrap_or(false),
    }))
}

/// How many bytes of JSON a field may have, so that lists without end take neither memory nor time. The text has a limit of its
/// own.
fn longest(field: &str) -> usize {
    match field {
        "text" => usize::MAX,
        // A thousand with synonyms.
        "labels" => 2 << 20,
        _ => 64 << 10,
    }
}

/// The fields of a request, each where it stands first.
#[derive(Default)]
struct Fields<'b> {
    values: [Option<&'b RawValue>; FIELDS.len()],
    /// What is wrong with the first of those that are no field, or stand twice.
    fault: Option<ApiError>,
}

impl<'b> Fields<'b> {
    fn read(body: &'b [u8]) -> Result<Self, ApiError> {
        let body = std::str::from_utf8(body).map_err(|error| ApiError::InvalidUtf8 {
            position: error.valid_up_to(),
        })?;
        // RFC 8259 lets a receiver ignore it, and Windows tools send it.
        let body = body.strip_prefix('\u{feff}').unwrap_or(body);
        if body.trim_ascii().is_empty() {
            return Err(ApiError::EmptyBody);
        }
        let mut deserializer = serde_json::Deserializer::from_str(body);
        deserializer
            .deserialize_map(Reader)
            .and_then(|fields| deserializer.end().map(|()| fields))
            .map_err(|error| match error.classify() {
                serde_json::error::Category::Data => ApiError::NotAnObject,
                _ => ApiError::MalformedJson {
                    line: error.line(),
                    column: error.column(),
                },
            })
    }

    fn put(&mut self, name: &str, value: &'b RawValue) {
        let mut places = FIELDS.iter().zip(&mut self.values);
        let fault = match places.find(|(field, _)| **field == name) {
            None => ApiError::UnknownField { known: KNOWN },
            Some((field, Some(_))) => ApiError::DuplicateField { field },
            Some((_, place)) => {
                *place = Some(value);
                return;
            }
        };
        self.fault.get_or_insert(fault);
    }

    fn raw(&mut self, name: &str) -> Option<Box<RawValue>> {
        self.find(name).map(ToOwned::to_owned)
    }

    // An explicit null is an absent field.
    fn take<T: DeserializeOwned>(
        &mut self,
        field: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ApiError> {
        match self.find(field) {
            None => Ok(None),
            Some(raw) if raw.get().len() > longest(field) => Err(ApiError::Unusable {
                field,
                problem: "is too long",
            }),
            Some(raw) => {
                serde_json::from_str(raw.get()).map_err(|_| ApiError::InvalidField { field, expected })
            }
        }
    }

    fn find(&mut self, name: &str) -> Option<&'b RawValue> {
        let index = FIELDS.iter().position(|field| *field == name)?;
        self.values.get_mut(index)?.take()
    }
}

struct Reader;

impl<'b> Visitor<'b> for Reader {
    type Value = Fields<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some((name, value)) = map.next_entry::<Cow<'b, str>, _>()? {
            fields.put(&name, value);
        }
        Ok(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(body: &[u8]) -> &'static str {
        Request::parse(body).unwrap_err().status().1
    }

    #[test]
    fn every_field_is_read() {
        let request = Request::parse(
            br#"{"text":"a\u0000\ud83d\ude00","document_id":"d","models":["m"],"threshold":0.5,"aggregation":"max",
                "offset_unit":"utf16_code_unit","deadline_ms":7,"link":false,"multi_label":true,"nested":null,
                "labels":["drug",{"name":"smoking","synonyms":["smoker"]},{"name":"dose"}],
                "context":{"b":1.000000000000000000001,"a":[]}}"#,
        )
        .unwrap();
        assert_eq!(&**request.text.text().unwrap(), "a\0\u{1f600}");
        assert_eq!(request.document_id.as_deref(), Some("d"));
        assert_eq!(request.models.as_deref(), Some(&["m".to_owned()][..]));
        assert_eq!(request.aggregation, Aggregation::Max);
        assert_eq!(request.offset_unit, OffsetUnit::Utf16CodeUnit);
        assert_eq!(request.deadline_ms, Some(7));
        let phrases: Vec<usize> = request
            .labels
            .unwrap()
            .iter()
            .map(|label| label.phrases.len())
            .collect();
        assert_eq!(phrases, [1, 2, 1]);
        let overlaps = request.overlaps.unwrap();
        assert!(overlaps.several_labels && !overlaps.nested);
        let context = request.context.unwrap();
        assert_eq!(
            context.get(),
            r#"{"b":1.000000000000000000001,"a":[]}"#,
            "as it came"
        );
    }

    #[test]
    fn a_document_may_come_as_bytes() {
        let request = Request::parse(br#"{"text":"Y2Fm6Q==","encoding":"base64","format":"f"}"#).unwrap();
        assert_eq!(request.text.bytes(), b"caf\xe9");
        assert!(request.text.text().is_none() && request.offset_unit == OffsetUnit::Byte);
        let plain = Request::parse(br#"{"text":"Y2Fm","encoding":"plain"}"#).unwrap();
        assert_eq!(&**plain.text.text().unwrap(), "Y2Fm");
        for (body, wrong) in [
            (
                r#"{"text":"Y2Fm6Q","encoding":"base64","format":"f"}"#,
                "invalid_field",
            ),
            (
                r#"{"text":"caf\u00e9","encoding":"base64","format":"f"}"#,
                "invalid_field",
            ),
            (
                r#"{"text":"Y2Fm","encoding":"rot13","format":"f"}"#,
                "invalid_field",
            ),
            (r#"{"text":"Y2Fm","encoding":"base64"}"#, "unusable_field"),
            (
                r#"{"text":"Y2Fm","encoding":"base64","format":"f","offset_unit":"utf8_byte"}"#,
                "unusable_field",
            ),
            (r#"{"text":"Y2Fm","offset_unit":"byte"}"#, "unusable_field"),
        ] {
            assert_eq!(code(body.as_bytes()), wrong, "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_its_code() {
        let cases: [(&[u8], &str); 25] = [
            (b"", "empty_body"),
            (b"{\"text\":\"a\"", "malformed_json"),
            (b"{\"text\":\"a\"} x", "malformed_json"),
            (b"{\"text\":\"\\ud800\"}", "invalid_field"),
            (b"\xef\xbb\xbf{\"txet\":1}", "unknown_field"),
            (b"{\"text\":\"\xff\"}", "invalid_utf8"),
            (b"[]", "not_an_object"),
            (b"\"text\"", "not_an_object"),
            (b"{}", "missing_field"),
            (b"{\"text\":null}", "missing_field"),
            (b"{\"text\":7}", "invalid_field"),
            (b"{\"text\":\"a\",\"text\":\"b\"}", "duplicate_field"),
            (b"{\"text\":\"a\",\"txet\":\"b\"}", "unknown_field"),
            (b"{\"text\":\"a\",\"models\":\"m\"}", "invalid_field"),
            (b"{\"text\":\"a\",\"models\":[]}", "unusable_field"),
            (b"{\"text\":\"a\",\"threshold\":1.5}", "unusable_field"),
            (b"{\"text\":\"a\",\"aggregation\":\"best\"}", "invalid_field"),
            (b"{\"text\":\"a\",\"deadline_ms\":0}", "unusable_field"),
            (b"{\"text\":\"a\",\"labels\":\"drug\"}", "invalid_field"),
            (
                b"{\"text\":\"a\",\"labels\":[{\"synonyms\":[]}]}",
                "invalid_field",
            ),
            (b"{\"text\":\"a\",\"labels\":[]}", "unusable_field"),
            (b"{\"text\":\"a\",\"labels\":[\"drug\",\"\"]}", "unusable_field"),
            (
                b"{\"text\":\"a\",\"labels\":[\"drug\",{\"name\":\"x\",\"synonyms\":[\"drug\"]}]}",
                "unusable_field",
            ),
            (b"{\"text\":\"a\",\"nested\":1}", "invalid_field"),
            (b"{\"text\":\"a\",\"link\":{\"top\":3}}", "invalid_field"),
        ];
        for (body, expected) in cases {
            assert_eq!(code(body), expected, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_refused_request_is_known_by_its_id_and_context() {
        let many: String = (0..100).map(|index| format!("\"f{index}\":1,")).collect();
        for body in [
            r#"{"txet":"a","document_id":"d","context":[1]}"#.to_owned(),
            r#"{"document_id":"d","text":"a","text":"b","context":[1]}"#.to_owned(),
            r#"{"document_id":"d","context":[1],"document_id":"other","text":"a"}"#.to_owned(),
            format!(r#"{{{many}"document_id":"d","context":[1]}}"#),
        ] {
            assert!(Request::parse(body.as_bytes()).is_err());
            let (document_id, context) = Request::identity(body.as_bytes());
            assert_eq!(document_id.as_deref(), Some("d"), "{body}");
            assert_eq!(context.unwrap().get(), "[1]", "{body}");
        }
    }

    #[test]
    fn lists_without_end_are_refused() {
        let many = "\"a:b\",".repeat(20_000);
        for list in [
            format!("\"link\":{{\"code_systems\":[{many}\"a:b\"]}}"),
            format!("\"models\":[{many}\"a:b\"]"),
        ] {
            assert_eq!(
                code(format!("{{\"text\":\"a\",{list}}}").as_bytes()),
                "unusable_field"
            );
        }
        let unknown: String = (0..100).map(|index| format!("\"f{index}\":1,")).collect();
        assert_eq!(
            code(format!("{{{unknown}\"text\":\"a\"}}").as_bytes()),
            "unknown_field"
        );
        let twice = "\"text\":\"a\",".repeat(100);
        assert_eq!(
            code(format!("{{{twice}\"link\":true}}").as_bytes()),
            "duplicate_field"
        );
    }

    #[test]
    fn no_message_quotes_the_request() {
        let secret = "Zyxgard";
        for body in [
            format!("{{\"text\":\"{secret}\",\"{secret}\":1}}"),
            format!("{{\"text\":[\"{secret}\"]}}"),
            format!("{{\"text\":\"{secret}\" \"{secret}\""),
            format!("{{\"text\":\"a\",\"aggregation\":\"{secret}\"}}"),
            format!("{{\"text\":\"a\",\"threshold\":\"{secret}\"}}"),
            format!("{{\"text\":\"a\",\"labels\":[\"{secret}\",\"{secret}\"]}}"),
            format!("\"{secret}\""),
            secret.to_owned(),
        ] {
            let error = Request::parse(body.as_bytes()).unwrap_err();
            assert!(
                !format!("{error} {:?}", error.detail()).contains(secret),
                "{body}"
            );
        }
    }
}
