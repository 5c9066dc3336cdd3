//! The API as an OpenAPI 3.1 document, with the schemas of the very types that are served.

use mednerd_client::api;
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// What a client may send and what it must be ready to read are two things: a request may leave out
/// fields and must not add any, an answer has every field and may one day have more.
struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

/// What generators of clients call the operations.
const OPERATIONS: [(&str, &str, &str); 12] = [
    ("/v1/annotate", "post", "annotate"),
    ("/v1/annotate/batch", "post", "annotate_batch"),
    ("/v1/models", "get", "list_models"),
    ("/v1/models", "post", "load_model"),
    ("/v1/models/{name}", "delete", "unload_model"),
    ("/v1/plugins", "get", "list_plugins"),
    ("/v1/status", "get", "get_status"),
    ("/v1/reload", "post", "reload"),
    ("/healthz", "get", "is_alive"),
    ("/readyz", "get", "is_ready"),
    ("/metrics", "get", "get_metrics"),
    ("/openapi.json", "get", "get_openapi"),
];

/// The document behind `GET /openapi.json`.
pub fn document() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut schemas = Schemas {
        requests: settings.clone().for_deserialize().into_generator(),
        answers: settings.for_serialize().into_generator(),
    };
    let mut paths = paths(&mut schemas);
    for (path, method, name) in OPERATIONS {
        paths[path][method]["operationId"] = name.into();
    }
    let mut definitions = schemas.requests.take_definitions(true);
    definitions.extend(schemas.answers.take_definitions(true));
    definitions.values_mut().for_each(name_values);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "mednerd",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
            "description": "Biomedical entities in clinical text, over HTTP/1.1 on a Unix socket. Who may \
                call is decided by the user and groups of the calling process. No error ever quotes a request. \
                A route that is not here is refused with 404, a method that is not with 405, a request with a Content-Encoding, or with a \
                Transfer-Encoding before chunked, with 415, each with an ErrorBody; what is not HTTP, has a Transfer-Encoding that does not end \
                with chunked, or a head of more than about 110 KiB or 100 fields, with an empty body. The body is JSON whatever \
                its Content-Type is.",
        },
        "servers": [{ "url": "http://localhost", "description": "The Unix socket; the host's name says nothing." }],
        "security": [],
        "paths": paths,
        "components": { "schemas": Value::Object(definitions) },
    })
}

/// An enum whose values are described one by one is written as a list of its values, which generators of clients understand, with
/// what they mean in its description.
fn name_values(schema: &mut Value) {
    let variants = schema["oneOf"].as_array();
    let values: Option<Vec<(Value, String)>> = variants.into_iter().flatten().map(described).collect();
    let Some(values) = values.filter(|values| !values.is_empty()) else {
        return;
    };
    let mut description = schema["description"].as_str().unwrap_or_default().to_owned();
    let mut names = Vec::with_capacity(values.len());
    for (name, meaning) in values {
        description.push_str(&format!("\n- `{}`: {meaning}", name.as_str().unwrap_or_default()));
        names.push(name);
    }
    *schema = json!({ "type": "string", "enum": names, "description": description.trim_start() });
}

/// The value of a variant that is a string, and what it means.
fn described(variant: &Value) -> Option<(Value, String)> {
    let value = variant.get("const").filter(|value| value.is_string())?;
    let meaning = variant["description"].as_str().unwrap_or_default();
    Some((value.clone(), meaning.to_owned()))
}

fn paths(schemas: &mut Schemas) -> Value {
    let annotate = post::<api::AnnotateRequest, api::AnnotateResponse>(
        schemas,
        "Finds the entities of one document.",
        "application/json",
        &[400, 403, 404, 408, 413, 415, 422, 429, 500, 503],
    );
    let mut batch = post::<api::AnnotateRequest, api::BatchLine>(
        schemas,
        "One document a line in, one answer a line out, as they finish. A document that fails is a line with status `failed`; \
         what ends the batch itself is one with `index` null.",
        "application/x-ndjson",
        &[403, 415, 429],
    );
    // One of no documents is a batch.
    batch["post"]["requestBody"]["required"] = false.into();
    let reload = bare::<api::ReloadResponse>(
        schemas,
        "Admin socket only. Reads and checks the configuration as a whole and puts it in force, or keeps the old one.",
        &[403, 422],
    );
    let mut models = get::<api::ModelsResponse>(schemas, "The loaded models.", &[403]);
    let load = post::<api::LoadRequest, api::ModelInfo>(
        schemas,
        "Admin socket only. Loads a model, or a task adapter over a loaded base, until the next reload or restart.",
        "application/json",
        &[400, 403, 408, 413, 415, 422, 429, 500],
    );
    models["post"] = load["post"].clone();
    let mut unload = bare::<api::ReloadResponse>(
        schemas,
        "Admin socket only. Unloads a model or adapter until the next reload or restart; requests under way keep it.",
        &[403, 404, 422, 500],
    );
    unload["parameters"] =
        json!([{ "name": "name", "in": "path", "required": true, "schema": { "type": "string" } }]);
    json!({
        "/v1/annotate": annotate,
        "/v1/annotate/batch": batch,
        "/v1/models": models,
        "/v1/models/{name}": { "delete": unload },
        "/v1/plugins": get::<api::PluginsResponse>(schemas, "The loaded plugins.", &[403]),
        "/v1/status": get::<api::StatusResponse>(schemas, "What runs, and how busy it is.", &[403]),
        "/v1/reload": { "post": reload },
        "/healthz": get::<api::HealthResponse>(schemas, "It is alive.", &[403]),
        "/readyz": get::<api::HealthResponse>(schemas, "It can serve.", &[403, 503]),
        "/metrics": page(
            schemas,
            "Metrics, in OpenMetrics for who accepts application/openmetrics-text.",
            "Metrics.",
            "text/plain",
            "string",
        ),
        "/openapi.json": page(schemas, "This document.", "OpenAPI.", "application/json", "object"),
    })
}

/// A route whose answer has no schema here but its JSON type.
fn page(schemas: &mut Schemas, summary: &str, description: &str, media: &str, kind: &str) -> Value {
    let mut responses = refusals(schemas, &[403]);
    responses.insert(
        "200".to_owned(),
        json!({
            "description": description,
            "content": { media: { "schema": { "type": kind } } },
        }),
    );
    json!({ "get": { "summary": summary, "responses": responses } })
}

fn get<Answer: JsonSchema>(schemas: &mut Schemas, summary: &str, errors: &[u16]) -> Value {
    json!({ "get": bare::<Answer>(schemas, summary, errors) })
}

/// An operation without a body.
fn bare<Answer: JsonSchema>(schemas: &mut Schemas, summary: &str, errors: &[u16]) -> Value {
    json!({
        "summary": summary,
        "responses": responses::<Answer>(schemas, "application/json", errors),
    })
}

fn post<Body: JsonSchema, Answer: JsonSchema>(
    schemas: &mut Schemas,
    summary: &str,
    media: &str,
    errors: &[u16],
) -> Value {
    json!({ "post": {
        "summary": summary,
        "requestBody": { "required": true, "content": { media: { "schema": schemas.requests.subschema_for::<Body>() } } },
        "responses": responses::<Answer>(schemas, media, errors),
    } })
}

fn responses<Answer: JsonSchema>(schemas: &mut Schemas, media: &str, errors: &[u16]) -> Value {
    let mut responses = refusals(schemas, errors);
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The answer.",
            "content": { media: { "schema": schemas.answers.subschema_for::<Answer>() } },
        }),
    );
    Value::Object(responses)
}

fn refusals(schemas: &mut Schemas, errors: &[u16]) -> Map<String, Value> {
    let mut responses = Map::new();
    for status in errors {
        let mut response = json!({
            "description": describe(*status),
            "content": { "application/json": { "schema": schemas.answers.subschema_for::<api::ErrorBody>() } },
        });
        if matches!(status, 429 | 503) {
            response["headers"] = json!({ "Retry-After": {
                "description": "Seconds after which it is worth asking again; not where the code is `not_ready`.",
                "schema": { "type": "integer", "minimum": 1 },
            } });
        }
        responses.insert(status.to_string(), response);
    }
    responses
}

fn describe(status: u16) -> &'static str {
    match status {
        400 => "The request is malformed.",
        403 => "The calling user may not use this socket.",
        404 => "A model that is not loaded.",
        408 => "The deadline passed, or the client paused too long.",
        413 => "The text or body is too large.",
        415 => "The body is compressed, as a whole or on its way.",
        422 => "Well-formed, but of no use as things are.",
        429 => "Busy; come again after `Retry-After` seconds.",
        503 => "Stopping, not ready, or without its audit trail or the plugin for the format.",
        _ => {
            "A bug, whose place the journal has; `decoding_failed`: a vendor's plugin failed on this document, and \
             `mednerctl plugins` has the reason."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_a_name_and_each_enum_is_a_list_of_values() {
        let document = document();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths.values().flat_map(|path| path.as_object().unwrap().values());
        let names: Vec<&str> = operations.map(|it| it["operationId"].as_str().unwrap()).collect();
        assert_eq!(names.len(), OPERATIONS.len());
        let engine = &document["components"]["schemas"]["Engine"];
        assert_eq!(engine["enum"], json!(["cuda", "tract"]));
        let described = engine["description"].as_str().unwrap();
        assert!(described.contains("- `cuda`: A GPU worker."), "{described}");
        assert!(!document.to_string().contains("\"const\""), "{document}");
    }
}
