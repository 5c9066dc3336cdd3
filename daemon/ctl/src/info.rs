//! `status`, `models`, `plugins`, `reload`, `load` and `unload`: one question to the daemon, one answer for a person
//! or, with `--json`, as it came.

use std::path::Path;
use std::time::Duration;

use mednerd_client::api::{
    ErrorDetail, LoadRequest, ModelsResponse, PluginEvent, PluginState, PluginStatus, PluginsResponse,
    ReloadResponse, ServiceState, StatusResponse,
};
use mednerd_client::{Client, ClientError};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{LoadOptions, UnloadOptions};
use crate::error::Error;
use crate::exit::Exit;
use crate::format::{amount, bytes, duration, engine_name, json};
use crate::output::Output;
use crate::table::{Column, Style, Table};
use crate::{warn, within};

/// Characters of a digest that a person compares.
const DIGEST: usize = 12;

/// `mednerctl status`
pub async fn status(socket: &Path, patience: Duration, raw: bool) -> Result<Exit, Error> {
    let answer = within(patience, Client::new(socket).status()).await?;
    print(&answer, raw, status_page)
}

/// `mednerctl models`
pub async fn models(socket: &Path, patience: Duration, raw: bool) -> Result<Exit, Error> {
    let answer = within(patience, Client::new(socket).models()).await?;
    print(&answer, raw, models_page)
}

/// `mednerctl plugins`
pub async fn plugins(socket: &Path, patience: Duration, raw: bool) -> Result<Exit, Error> {
    let answer = within(patience, Client::new(socket).plugins()).await?;
    print(&answer, raw, plugins_page)
}

/// `mednerctl reload`; a refusal is told problem by problem.
pub async fn reload(socket: &Path, patience: Duration, raw: bool) -> Result<Exit, Error> {
    let answer = within(patience, Client::new(socket).reload()).await;
    if let Err(Error::Client(ClientError::Refused { detail, .. })) = &answer {
        for problem in problems(detail) {
            warn(&problem);
        }
    }
    print(&at_the_right_door(answer, socket)?, raw, reload_page)
}

/// The clients' socket knows nothing of administration: its words would not say that it is the wrong one.
fn at_the_right_door<T>(answer: Result<T, Error>, socket: &Path) -> Result<T, Error> {
    match answer {
        Err(Error::Client(ClientError::Refused {
            status: 404 | 405,
            detail,
            ..
        })) if matches!(&*detail.code, "route_not_found" | "method_not_allowed") => Err(Error::WrongSocket {
            path: socket.to_owned(),
        }),
        answer => answer,
    }
}

/// `mednerctl load`
pub async fn load(patience: Duration, options: LoadOptions) -> Result<Exit, Error> {
    let path = std::path::absolute(&options.path).unwrap_or(options.path);
    let request = LoadRequest {
        name: options.name,
        path: path.to_string_lossy().into_owned(),
        base: options.base,
        default: options.default,
        labels: options.labels.unwrap_or_default(),
    };
    let mut client = Client::new(&options.admin.admin_socket);
    let answer = within(patience, client.load(&request)).await;
    let answer = at_the_right_door(answer, &options.admin.admin_socket)?;
    print(&answer, options.admin.json, |model, style| {
        let models = vec![model.clone()];
        models_page(&ModelsResponse { models }, style)
    })
}

/// `mednerctl unload`
pub async fn unload(patience: Duration, options: UnloadOptions) -> Result<Exit, Error> {
    let mut client = Client::new(&options.admin.admin_socket);
    let answer = within(patience, client.unload(&options.name)).await;
    let answer = at_the_right_door(answer, &options.admin.admin_socket)?;
    print(&answer, options.admin.json, reload_page)
}

fn print<T: Serialize>(answer: &T, raw: bool, page: impl Fn(&T, Style) -> String) -> Result<Exit, Error> {
    let mut output = Output::Stdout;
    let text = if raw {
        json(answer, true)? + "\n"
    } else {
        page(answer, output.style())
    };
    output.write(text.as_bytes())?;
    Ok(Exit::Fine)
}

fn status_page(answer: &StatusResponse, style: Style) -> String {
    let state = match answer.state {
        ServiceState::Ready => "ready",
        ServiceState::Unhealthy => "unhealthy, the journal says why: journalctl -u mednerd",
        ServiceState::Stopping => "stopping",
    };
    let (queue, engine, requests) = (&answer.queue, &answer.engine, &answer.requests);
    let configuration = &answer.configuration;
    let mut table = Table::pairs();
    let mut pair = |name: &str, value: &str| table.row([name.into(), value.into()]);
    pair("state", state);
    pair("version", &answer.version);
    pair("process", &answer.pid.to_string());
    pair(
        "running for",
        &format!("{}, since {}", duration(answer.uptime_s), answer.started_at),
    );
    pair(
        "engine",
        &format!(
            "{}, {}, threads: {}",
            engine_name(engine.name),
            engine.precision,
            engine.threads
        ),
    );
    pair("", &engine.reason);
    pair(
        "queue",
        &format!(
            "{} of {} documents, {} of {}",
            queue.documents,
            queue.capacity,
            bytes(queue.bytes),
            bytes(queue.bytes_capacity)
        ),
    );
    pair("connections", &queue.connections.to_string());
    pair(
        "documents",
        &format!(
            "{} ok, {} partial, {} refused, {} failed, {} abandoned",
            requests.ok, requests.partial, requests.refused, requests.failed, requests.abandoned
        ),
    );
    pair("memory", &bytes(answer.resident_bytes));
    pair("models", &list(&answer.models));
    let plugins: Vec<String> = answer.plugins.iter().map(plugin_line).collect();
    for (at, plugin) in plugins.iter().enumerate() {
        pair(if at == 0 { "plugins" } else { "" }, plugin);
    }
    if plugins.is_empty() {
        pair("plugins", "none");
    }
    if configuration.plugin_development {
        pair("", "development: plugins that nobody has signed are loaded");
    }
    pair("configuration", &list(&configuration.files));
    pair("", &format!("in force since {}", configuration.loaded_at));
    for (at, problem) in configuration.rejected.iter().enumerate() {
        pair(if at == 0 { "last reload refused" } else { "" }, problem);
    }
    table.render(style)
}

fn models_page(answer: &ModelsResponse, style: Style) -> String {
    if answer.models.is_empty() {
        return "no models are loaded\n".to_owned();
    }
    let mut table = Table::new([
        Column::text("name"),
        Column::text("over"),
        Column::text("plugin"),
        Column::text("default"),
        Column::text("family"),
        Column::text("languages"),
        Column::text("engine"),
        Column::text("precision"),
        Column::elastic("labels"),
        Column::number("window"),
        Column::number("parameters"),
        Column::number("memory"),
        Column::text("digest"),
        Column::text("loaded at"),
    ]);
    for model in &answer.models {
        let short: String = model.digest.chars().take(DIGEST).collect();
        table.row([
            model.name.as_str().into(),
            model.base.as_deref().unwrap_or("-").into(),
            model.plugin.as_deref().unwrap_or("-").into(),
            if model.default { "yes" } else { "no" }.into(),
            model.family.as_str().into(),
            list(&model.languages).into(),
            engine_name(model.engine).into(),
            model.precision.as_str().into(),
            match (model.zero_shot, &*model.labels) {
                (true, []) => "any".into(),
                (true, some) => format!("any, else {}", list(some)).into(),
                (false, some) => list(some).into(),
            },
            model.context_tokens.to_string().into(),
            amount(model.parameters).into(),
            bytes(model.memory_bytes).into(),
            short.into(),
            model.loaded_at.as_str().into(),
        ]);
    }
    table.render(style)
}

fn plugins_page(answer: &PluginsResponse, style: Style) -> String {
    if answer.plugins.is_empty() {
        return "no plugins are loaded\n".to_owned();
    }
    let columns = [
        "id",
        "version",
        "vendor",
        "state",
        "brings",
        "signed by",
        "confined",
        "last death",
        "last failure",
    ];
    let mut table = Table::new(columns.map(Column::text));
    for plugin in &answer.plugins {
        let vocabularies = plugin.vocabularies.iter();
        let vocabularies =
            vocabularies.map(|vocabulary| format!("{} {}", vocabulary.name, vocabulary.version));
        let formats = plugin.formats.iter().map(|format| format!("format {format}"));
        let task = plugin.task.iter().map(|task| format!("model {task}"));
        let brings: Vec<String> = vocabularies.chain(task).chain(formats).collect();
        let event = |event: &Option<PluginEvent>| match event {
            Some(event) => format!("{}, {}", event.at, event.cause),
            None => String::new(),
        };
        table.row([
            plugin.id.as_str().into(),
            plugin.version.as_str().into(),
            plugin.vendor.as_str().into(),
            state_name(plugin.state).into(),
            list(&brings).as_str().into(),
            plugin.signed_by.as_deref().unwrap_or("nobody").into(),
            if plugin.sandbox.enough { "yes" } else { "NO" }.into(),
            event(&plugin.last_death).as_str().into(),
            event(&plugin.last_failure).as_str().into(),
        ]);
    }
    table.render(style)
}

fn plugin_line(plugin: &PluginStatus) -> String {
    let mut line = format!("{}: {}", plugin.id, state_name(plugin.state));
    if let Some(reason) = &plugin.reason {
        line.push_str(&format!(", {reason}"));
    }
    if plugin.deaths > 0 {
        let cause = plugin.last_death.as_deref().unwrap_or("it went away");
        line.push_str(&format!("; died {} times, at last: {cause}", plugin.deaths));
    }
    if plugin.failed > 0 {
        let cause = plugin.last_failure.as_deref().unwrap_or("unknown");
        line.push_str(&format!("; failed {} calls, the last: {cause}", plugin.failed));
    }
    if !plugin.sandbox.enough {
        line.push_str("; NOT CONFINED, as this kernel cannot");
    }
    if plugin.signed_by.is_none() {
        line.push_str("; not signed by a trusted key");
    }
    line
}

fn state_name(state: PluginState) -> &'static str {
    match state {
        PluginState::Starting => "starting",
        PluginState::Ready => "ready",
        PluginState::BackingOff => "waiting to be started again",
        PluginState::OutOfService => "out of service",
        PluginState::Stopped => "stopped",
    }
}

fn reload_page(answer: &ReloadResponse, style: Style) -> String {
    let mut table = Table::pairs();
    table.row(["loaded".into(), list(&answer.loaded).into()]);
    table.row(["kept".into(), list(&answer.kept).into()]);
    table.row(["unloaded".into(), list(&answer.unloaded).into()]);
    for (name, plugins) in [
        ("plugins started", &answer.plugins.started),
        ("plugins kept", &answer.plugins.kept),
        ("plugins stopped", &answer.plugins.stopped),
    ] {
        if !plugins.is_empty() {
            table.row([name.into(), list(plugins).into()]);
        }
    }
    table.render(style)
}

/// The problems of a refused configuration: `details.problems`, each a sentence or an object with
/// a `message` and perhaps `file` and `line`.
fn problems(detail: &ErrorDetail) -> Vec<String> {
    let problems = detail.details.get("problems").and_then(Value::as_array);
    problems.into_iter().flatten().map(problem).collect()
}

fn problem(value: &Value) -> String {
    let Some(message) = value.get("message").and_then(Value::as_str) else {
        return value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    };
    match (
        value.get("file").and_then(Value::as_str),
        value.get("line").and_then(Value::as_u64),
    ) {
        (Some(file), Some(line)) => format!("{file}:{line}: {message}"),
        (Some(file), None) => format!("{file}: {message}"),
        (None, _) => message.to_owned(),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use mednerd_client::api::PluginChanges;
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_are_told_one_by_one() {
        let details = json!({"problems": [
            "two models are called disease",
            {"file": "/etc/mednerd/mednerd.toml", "line": 7, "message": "unknown key"},
            {"file": "/etc/mednerd/conf.d/a.toml", "message": "cannot be read"},
            {"message": "no model"},
            7
        ]});
        let detail = ErrorDetail {
            code: "bad_configuration".to_owned(),
            message: "the old one stays in force".to_owned(),
            details: details.as_object().unwrap().clone(),
        };
        assert_eq!(
            problems(&detail),
            [
                "two models are called disease",
                "/etc/mednerd/mednerd.toml:7: unknown key",
                "/etc/mednerd/conf.d/a.toml: cannot be read",
                "no model",
                "7"
            ]
        );
    }

    #[test]
    fn nothing_loaded_is_said() {
        let style = Style::default();
        let models = ModelsResponse { models: Vec::new() };
        let plugins = PluginsResponse { plugins: Vec::new() };
        assert_eq!(models_page(&models, style), "no models are loaded\n");
        assert_eq!(plugins_page(&plugins, style), "no plugins are loaded\n");
    }

    #[test]
    fn a_reload_names_what_changed() {
        let answer = ReloadResponse {
            loaded: vec!["chemical".to_owned()],
            kept: vec!["disease".to_owned(), "gene".to_owned()],
            unloaded: Vec::new(),
            plugins: PluginChanges::default(),
        };
        assert_eq!(
            reload_page(&answer, Style::default()),
            "loaded    chemical\nkept      disease, gene\nunloaded  none\n"
        );
        let plugins = PluginChanges {
            started: vec!["acme.drugs 1.1.0".to_owned()],
            kept: vec!["umls 1.0.0".to_owned()],
            stopped: Vec::new(),
        };
        let page = reload_page(&ReloadResponse { plugins, ..answer }, Style::default());
        assert!(page.contains("plugins started  acme.drugs 1.1.0\n"), "{page}");
        assert!(page.contains("plugins kept     umls 1.0.0\n"), "{page}");
        assert!(!page.contains("stopped"), "{page}");
    }
}
