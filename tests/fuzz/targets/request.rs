//! The body of a request: it is read or refused, and what a refused one is answered by is no different.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mednerd::http::AnnotateRequest;
use mednerd_client::api;
use mednerd_fuzz::seeds;

const ALL: &str = r#"{"text":"a\u0000\ud83d\ude00 gout","document_id":"d","models":["m"],"threshold":0.5,"aggregation":"max",
    "offset_unit":"utf16_code_unit","deadline_ms":7,"link":{"top_k":3,"vocabularies":["UMLS"],"code_systems":["http://snomed.info/sct"]},
    "multi_label":true,"nested":null,"labels":["drug",{"name":"smoking","synonyms":["smoker"]},{"name":"dose"}],
    "context":{"b":1.000000000000000000001,"a":[]}}"#;
const BYTES: &str = r#"{"text":"Y2Fm6Q==","encoding":"base64","format":"f","link":false}"#;

fuzz_target!(init: seeds([ALL, BYTES].map(|seed| seed.as_bytes().to_vec())), |bytes: &[u8]| {
    let (document_id, context) = AnnotateRequest::identity(bytes);
    match AnnotateRequest::parse(bytes) {
        Ok(request) => {
            assert_eq!(request.document_id, document_id);
            let raw = |value: Option<Box<serde_json::value::RawValue>>| value.map(|value| value.get().to_owned());
            let context = raw(context);
            assert_eq!(raw(request.context), context);
            // What came back as it came is somewhere in the body.
            let body = std::str::from_utf8(bytes).unwrap();
            assert!(context.is_none_or(|context| body.contains(&context)));
            assert!(request.text.bytes().len() <= bytes.len());
            assert!(request.threshold.is_none_or(|threshold| (0.0..=1.0).contains(&threshold)));
            // Whatever is taken is a request by the published types.
            let body = body.strip_prefix('\u{feff}').unwrap_or(body);
            serde_json::from_str::<api::AnnotateRequest>(body).unwrap();
        }
        Err(error) => {
            let (status, code) = error.status();
            assert!(status.is_client_error() && !code.is_empty() && !error.to_string().is_empty());
            let _ = error.detail();
        }
    }
    let _ = serde_json::from_slice::<api::LoadRequest>(bytes);
});
