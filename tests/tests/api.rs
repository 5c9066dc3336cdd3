//! The API as a contract: its description, every route, every type, the metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, HashMap};

use mednerd_client::api::{
    Engine, HealthResponse, ModelsResponse, PluginsResponse, ReloadResponse, ServiceState, StatusResponse,
};
use mednerd_tests::daemon::{root, tiny_model};
use mednerd_tests::notes::SENTENCE;
use mednerd_tests::{Config, Connection, Daemon};
use serde_json::{Value, json};

#[test]
fn openapi_is_the_golden_one() {
    let daemon = Daemon::start(&Config::tiny());
    let document = daemon.request("GET", "/openapi.json", "").ok();
    assert_eq!(document.header("content-type"), Some("application/json"));
    let found = format!("{:#}\n", document.json());
    let path = root().join("tests/golden/openapi.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = golden
        .lines()
        .zip(found.lines())
        .position(|(golden, found)| golden != found);
    assert!(
        golden == found,
        "the API differs from {} first after line {}; where that is meant, run this test with UPDATE_GOLDEN=1 \
         and look at the difference",
        path.display(),
        differing.unwrap_or_else(|| golden.lines().count().min(found.lines().count())),
    );
}

#[test]
fn every_route_that_openapi_lists_exists_and_every_other_does_not() {
    let daemon = Daemon::start(&Config::tiny());
    let document = daemon.request("GET", "/openapi.json", "").ok().json();
    let mut listed = Vec::new();
    for (route, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            listed.push(format!("{} {route}", method.to_uppercase()));
        }
    }
    listed.sort();
    let interface = [
        "DELETE /v1/models/{name}",
        "GET /healthz",
        "GET /metrics",
        "GET /openapi.json",
        "GET /readyz",
        "GET /v1/models",
        "GET /v1/plugins",
        "GET /v1/status",
        "POST /v1/annotate",
        "POST /v1/annotate/batch",
        "POST /v1/models",
        "POST /v1/reload",
    ];
    assert_eq!(listed, interface);
    // From the last, so that a model is loaded before it is unloaded.
    for entry in listed.iter().rev() {
        let (method, route) = entry.split_once(' ').unwrap();
        let body = json!({"text": "a"}).to_string();
        let reply = match (method, route) {
            (_, "/v1/reload") => daemon.admin(method, route),
            ("POST", "/v1/models") => {
                let path = root().join("tests/fixtures/roberta/fp32");
                daemon.admin_with(method, route, json!({"name": "extra", "path": path}).to_string())
            }
            ("DELETE", _) => daemon.admin(method, &route.replace("{name}", "extra")),
            _ => daemon.request(method, route, body),
        };
        assert_eq!(reply.status, 200, "{entry}: {}", reply.text());
    }
    for route in [
        "/",
        "/v1",
        "/v1/annotate/",
        "/v1/annotate/batch/x",
        "/v2/annotate",
        "//healthz",
    ] {
        daemon.request("GET", route, "").refused(404, "route_not_found");
    }
}

#[test]
fn answers_are_of_the_clients_types_without_a_field_more() {
    let config = Config::default().model("tiny", &tiny_model(), false);
    let daemon = Daemon::start(&config);
    for route in ["/healthz", "/readyz"] {
        let health: HealthResponse = daemon.request("GET", route, "").ok().decode();
        assert_eq!(health.status, "ok");
    }
    let models: ModelsResponse = daemon.request("GET", "/v1/models", "").ok().decode();
    let names: Vec<_> = models
        .models
        .iter()
        .map(|model| (&*model.name, model.default))
        .collect();
    assert_eq!(
        names,
        [("shipped", true), ("tiny", false)],
        "in the order of the configuration"
    );
    for model in &models.models {
        assert_eq!(model.digest.len(), 64, "{model:?}");
        assert!(
            model.parameters > 0 && model.memory_bytes > 0 && model.context_tokens > 2,
            "{model:?}"
        );
        assert!(
            !model.labels.is_empty() && !model.loaded_at.is_empty(),
            "{model:?}"
        );
        assert_eq!((model.family.as_str(), model.engine), ("bert", Engine::Tract));
    }
    let plugins: PluginsResponse = daemon.request("GET", "/v1/plugins", "").ok().decode();
    assert_eq!(plugins.plugins, []);

    daemon.annotate(SENTENCE);
    daemon
        .request("POST", "/v1/annotate", "{")
        .refused(400, "malformed_json");
    daemon.wait_idle();
    let status: StatusResponse = daemon.request("GET", "/v1/status", "").ok().decode();
    assert_eq!(status.state, ServiceState::Ready);
    assert_eq!(status.pid, daemon.pid());
    assert_eq!(status.models, ["shipped", "tiny"]);
    assert_eq!(status.engine.threads, 2);
    assert_eq!(
        (
            status.requests.ok,
            status.requests.refused,
            status.requests.failed,
            status.requests.abandoned
        ),
        (1, 1, 0, 0)
    );
    assert_eq!(status.queue.connections, 1, "the one that asks");
    assert_eq!((status.queue.documents, status.queue.bytes), (0, 0));
    assert!(status.resident_bytes > 1 << 20);
    assert_eq!(
        status.configuration.files,
        [daemon.site().config().display().to_string()]
    );
    assert_eq!(status.configuration.rejected, [""; 0]);
    assert_eq!(status.configuration.settings.len(), 16);
    let limits = status.limits;
    assert_eq!(
        (limits.max_text_bytes, limits.max_deadline_ms, limits.batches),
        (4_000_000, 600_000, 8)
    );
    assert!(limits.max_body_bytes > 6 * limits.max_text_bytes);

    let reload: ReloadResponse = daemon.admin("POST", "/v1/reload").ok().decode();
    assert_eq!(reload.kept, ["shipped", "tiny"]);
}

/// What a page of metrics has: each sample with its value, with every line as the format demands.
fn samples(page: &str, open: bool) -> BTreeMap<String, f64> {
    let mut types: HashMap<&str, &str> = HashMap::new();
    let mut samples: BTreeMap<String, f64> = BTreeMap::new();
    for line in page.lines().filter(|line| *line != "# EOF") {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (kind, family) = (words.next().unwrap(), words.next().unwrap());
            assert!(
                ["HELP", "TYPE"].contains(&kind) || (open && kind == "UNIT"),
                "{line}"
            );
            if kind == "TYPE" {
                let twice = types.insert(family, words.next().unwrap());
                assert_eq!(twice, None, "a family twice: {line}");
            }
            continue;
        }
        let (name_and_labels, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let name = name_and_labels.split('{').next().unwrap();
        let (family, kind) = types
            .iter()
            .filter(|(family, _)| name.starts_with(**family))
            .max_by_key(|(family, _)| family.len())
            .unwrap_or_else(|| panic!("a sample of no family: {line}"));
        assert!(
            family.starts_with("mednerd_"),
            "names that are others' too: {line}"
        );
        let suffix = &name[family.len()..];
        // Of the types that OpenMetrics has more than the text format none is used.
        let allowed: &[&str] = match *kind {
            "counter" if open => &["_total"],
            "counter" | "gauge" => &[""],
            "histogram" => &["_bucket", "_sum", "_count"],
            other => panic!("an unexpected type {other}"),
        };
        assert!(allowed.contains(&suffix), "{line}");
        let twice = samples.insert(name_and_labels.to_owned(), value);
        assert_eq!(twice, None, "a sample twice: {line}");
    }
    samples
}

#[test]
fn metrics_are_in_the_text_format_and_in_openmetrics_for_who_asks() {
    let daemon = Daemon::start(&Config::tiny());
    daemon.annotate(SENTENCE);
    daemon
        .request("POST", "/v1/annotate", "{")
        .refused(400, "malformed_json");
    let reply = daemon.request("GET", "/metrics", "").ok();
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let page = reply.text();
    let plain = samples(page, false);
    assert!(!page.contains("# EOF") && !page.contains("# UNIT"), "{page}");

    let mut connection = Connection::open(&daemon.site().socket()).unwrap();
    let asked = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\
        Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3\r\nConnection: close\r\n\r\n";
    connection.send(asked).unwrap();
    let reply = connection.reply().unwrap().ok();
    assert_eq!(
        reply.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    let page = reply.text();
    assert!(page.ends_with("\n# EOF\n"), "it ends as OpenMetrics must: {page}");
    assert_eq!(page.matches("# EOF").count(), 1);
    let samples = samples(page, true);
    let names = |samples: &BTreeMap<String, f64>| samples.keys().cloned().collect::<Vec<_>>();
    let known = names(&plain);
    assert!(
        known.iter().all(|name| samples.contains_key(name)),
        "both have the same"
    );
    for stage in ["queue", "inference", "total"] {
        let count = samples[&format!("mednerd_stage_seconds_count{{stage=\"{stage}\"}}")];
        let buckets: Vec<f64> = page
            .lines()
            .filter(|line| line.starts_with("mednerd_stage_seconds_bucket") && line.contains(stage))
            .map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
            .collect();
        assert!(buckets.is_sorted(), "buckets are cumulative: {buckets:?}");
        assert_eq!(buckets.last(), Some(&count), "the last one holds all");
    }
    assert!(
        samples
            .keys()
            .any(|sample| sample.starts_with("mednerd_build_info{version="))
    );
}

#[test]
fn metrics_count_what_happens() {
    let daemon = Daemon::start(&Config::tiny());
    let samples = [
        "mednerd_requests_total{route=\"/v1/annotate\",status=\"200\"}",
        "mednerd_requests_total{route=\"/v1/annotate\",status=\"422\"}",
        "mednerd_requests_total{route=\"unknown\",status=\"404\"}",
        "mednerd_documents_total{outcome=\"ok\"}",
        "mednerd_documents_total{outcome=\"refused\"}",
        "mednerd_documents_total{outcome=\"failed\"}",
        "mednerd_reloads_total{result=\"accepted\"}",
        "mednerd_stage_seconds_count{stage=\"total\"}",
    ];
    let before = samples.map(|sample| daemon.metric(sample));
    assert_eq!(before, [0.0; 8]);
    let found = daemon.annotate(SENTENCE).entities.len();
    daemon.annotate(SENTENCE);
    daemon.annotate(SENTENCE);
    let unusable = json!({"text": "a", "threshold": 2}).to_string();
    daemon
        .request("POST", "/v1/annotate", unusable)
        .refused(422, "unusable_field");
    daemon
        .request("GET", "/nothing", "")
        .refused(404, "route_not_found");
    daemon
        .request("GET", "/nothing/else", "")
        .refused(404, "route_not_found");
    assert_eq!(daemon.admin("POST", "/v1/reload").status, 200);
    assert_eq!(
        samples.map(|sample| daemon.metric(sample)),
        [3.0, 1.0, 2.0, 3.0, 1.0, 0.0, 1.0, 3.0]
    );

    let page = daemon.admin("GET", "/metrics").ok();
    let entities: f64 = page
        .text()
        .lines()
        .filter(|line| line.starts_with("mednerd_entities_total{model=\"tiny\""))
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
        .sum();
    assert_eq!(entities, 3.0 * found as f64);
    assert!(daemon.metric("mednerd_tokens_total") > 30.0);
    assert_eq!(daemon.metric("mednerd_windows_total"), 3.0);
    assert_eq!(daemon.metric("mednerd_healthy"), 1.0);
    assert_eq!(daemon.metric("mednerd_models"), 1.0);
    assert!(daemon.metric("mednerd_process_resident_memory_bytes") > 1e6);
}

#[test]
fn the_description_names_the_fields_of_the_interface() {
    let daemon = Daemon::start(&Config::tiny());
    let document = daemon.request("GET", "/openapi.json", "").ok().json();
    let schemas = &document["components"]["schemas"];
    let fields = |schema: &Value| -> Vec<String> {
        schema["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    let mut request = fields(&schemas["AnnotateRequest"]);
    request.sort();
    assert_eq!(
        request,
        [
            "aggregation",
            "context",
            "deadline_ms",
            "document_id",
            "encoding",
            "format",
            "labels",
            "link",
            "models",
            "multi_label",
            "nested",
            "offset_unit",
            "text",
            "threshold",
        ]
    );
    assert_eq!(schemas["AnnotateRequest"]["required"], json!(["text"]));
    assert_eq!(schemas["AnnotateRequest"]["additionalProperties"], false);
    let answer = &schemas["AnnotateResponse"];
    let required = answer["required"].as_array().unwrap();
    assert_eq!(
        required.len(),
        fields(answer).len(),
        "every field is always there"
    );
}
