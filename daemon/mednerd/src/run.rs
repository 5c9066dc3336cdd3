//! The daemon from start to end, and the check of a configuration without serving it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mednerd_audit::Event;
use mednerd_client::api::Engine;
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::App;
use crate::audit::Audit;
use crate::config::{Config, Problem};
use crate::generation::{Generation, LISTED};
use crate::gpu::Gpus;
use crate::scheduler::Scheduler;
use crate::server::{Listening, SocketError};
use crate::{audit, health, http, logging, notify, server};

/// How often the daemon checks itself where no watchdog asks for it.
const CHECK_INTERVAL: Duration = Duration::from_secs(15);

/// How long a start waits for what may come yet, and how often it looks. Shorter than `TimeoutStartSec` of the unit; where it ends
/// in vain, systemd starts anew.
const TO_COME: Duration = Duration::from_secs(60);
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// How long after `drain_timeout` the answers to requests that were given up may take to be written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// As it should.
    Fine = 0,
    /// The system refused something, or had not got it yet; the log says what.
    Failure = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration, or something that it names, is wrong. `EX_CONFIG` of sysexits.h.
    Configuration = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Serves until SIGTERM or SIGINT.
pub fn serve(file: &Path) -> Exit {
    // For `status`: who asks stands elsewhere.
    let file = &std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let begun = Instant::now();
    let inherited = mednerd_sys::inherited_sockets();
    mednerd_sys::share_one_heap();
    logging::init();
    umask(Mode::from_bits_truncate(0o077));
    let inherited = match inherited {
        Ok(inherited) => inherited,
        Err(error) => {
            tracing::error!("the sockets that systemd passed cannot be used: {error}");
            return Exit::Failure;
        }
    };
    let generation = match first(file, begun) {
        Ok(generation) => generation,
        Err(exit) => return exit,
    };
    generation
        .warnings()
        .iter()
        .for_each(|warning| tracing::warn!("{warning}"));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let ended = runtime.map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(until_stopped(file, generation, inherited, begun));
        // A reload that was overtaken by the end is not waited for.
        runtime.shutdown_timeout(LAST_WORDS);
        ended
    });
    match ended {
        Ok(()) => Exit::Fine,
        Err(error) => {
            tracing::error!("{error}");
            match error.downcast_ref().is_some_and(SocketError::is_of_configuration) {
                true => Exit::Configuration,
                false => Exit::Failure,
            }
        }
    }
}

/// The state that the daemon begins with. Under systemd, what may come yet is waited for: after a loss of power the directory
/// of users may be up later than this server.
fn first(file: &Path, begun: Instant) -> Result<Generation, Exit> {
    let mut told = Vec::new();
    loop {
        let problems = match Generation::first(file) {
            Ok(generation) => return Ok(generation),
            Err(problems) => problems,
        };
        if problems != told {
            problems.iter().for_each(|problem| tracing::error!("{problem}"));
        }
        // What else is wrong may come of it: an encoder without a head, for one, whose plugin is late.
        let passing = problems.iter().any(|problem| problem.passing);
        if !(passing && notify::is_awaited() && begun.elapsed() < TO_COME) {
            tracing::error!(
                "not started; `mednerd validate --config {}` shows the same",
                file.display()
            );
            // Under systemd 1 means that it is tried again.
            return Err(match passing && notify::is_awaited() {
                true => Exit::Failure,
                false => Exit::Configuration,
            });
        }
        if problems != told {
            tracing::warn!("waiting for that, as it may come yet");
            let why = problems.first().map(ToString::to_string).unwrap_or_default();
            notify::waiting(&format!("waiting: {why}"));
        }
        told = problems;
        // Models are read again only where something else has changed.
        loop {
            std::thread::sleep(BETWEEN_TRIES);
            if begun.elapsed() >= TO_COME || Generation::begins_with(file) != told {
                break;
            }
        }
    }
}

async fn until_stopped(
    file: &Path,
    generation: Generation,
    inherited: Vec<std::os::fd::OwnedFd>,
    begun: Instant,
) -> Result<(), Box<dyn std::error::Error>> {
    // Before the sockets: a signal from here on is heard.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    let server = generation.config.server.clone();
    let sockets = server::open(&server, inherited, &generation.policy)?;
    let engine = generation.config.engine.clone();
    let gpus = Arc::new(tokio::task::block_in_place(|| Gpus::start(&engine)));
    let scheduler = Scheduler::start(engine.worker_threads(), Arc::clone(&gpus))?;
    let audit = Audit::open(&generation.config.audit)?;
    let files = sockets.iter().map(Listening::file).collect();
    let app = Arc::new(App::new(
        file.to_owned(),
        generation,
        scheduler,
        gpus,
        audit,
        files,
    ));
    // Before anybody is served: nothing waits that the check could wait for.
    health::check_models(&app).await?;
    let (stop, stopped) = watch::channel(false);
    let mut serving = tokio::task::JoinSet::new();
    for socket in sockets {
        serving.spawn(server::serve(Arc::clone(&app), socket, stopped.clone()));
    }
    let watchdog = notify::watchdog_interval();
    let interval = watchdog.map_or(CHECK_INTERVAL, |limit| (limit / 3).min(CHECK_INTERVAL));
    let watch = tokio::spawn(health::watch(Arc::clone(&app), interval, watchdog.is_some()));
    let synced = tokio::spawn(audit::keep_synced(Arc::clone(&app)));
    let (_, reason) = app.gpus.reason();
    if app.gpus.is_wanting() {
        tracing::warn!("the configuration asks for a GPU: {reason}");
    }
    tracing::info!(
        version = mednerd_client::version(),
        models = %app.generation().names().join(", "),
        threads = app.scheduler.threads(),
        "ready on {} after {} ms; {reason}",
        server.socket.display(),
        begun.elapsed().as_millis(),
    );
    notify::ready(&status_line(&app));
    // Beside the loop: what is slow to load keeps nobody from stopping.
    let mut reloads = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                notify::reloading();
                let app = Arc::clone(&app);
                // One that has ended waits for nothing more.
                while reloads.try_join_next().is_some() {}
                // One that waits sees what all those signals were about.
                if reloads.len() < 2 {
                    // Told in the log and kept for `status`; where it is refused, the old state serves on.
                    reloads.spawn(async move {
                        let reloaded = app.reload().await;
                        let outcome = if reloaded.is_ok() { "ok" } else { "failed" };
                        audit::note(&app, Event::Administration, None, "SIGHUP", outcome).await;
                    });
                }
            }
            Some(_) = reloads.join_next() => {
                if reloads.is_empty() {
                    notify::ready(&status_line(&app));
                }
            }
        }
    }
    drop(reloads);
    tracing::info!(
        documents = app.documents.inside(),
        "stopping: finishing the requests under way"
    );
    notify::stopping();
    app.health.stop();
    watch.abort();
    // Nobody is left to hear it only where both sockets have ended by themselves.
    let _ = stop.send(true);
    let drain_timeout = app.generation().config.server.drain_timeout;
    let drained = tokio::time::timeout(drain_timeout, async {
        while serving.join_next().await.is_some() {}
    });
    if drained.await.is_err() {
        tracing::warn!(
            "some requests did not finish within {} s",
            drain_timeout.as_secs()
        );
    }
    synced.abort();
    let ending = Arc::clone(&app);
    tokio::task::spawn_blocking(move || ending.scheduler.stop()).await?;
    // Who was given up is told so: their answers are ready now.
    let told = async { while serving.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST_WORDS, told).await;
    http::tell_untold(&app).await;
    if let Some(audit) = &app.audit {
        audit.finish().await;
    }
    tracing::info!("stopped");
    Ok(())
}

fn status_line(app: &App) -> String {
    let on = match app.gpus.reason().0 {
        Engine::Cuda => "the GPU",
        Engine::Tract => "the CPU",
    };
    format!("serving {} on {on}", app.generation().names().join(", "))
}

/// Checks a configuration with all it names: every file, user, group and model; each model reads one
/// sentence.
///
/// # Errors
/// Every problem.
pub fn validate(file: &Path) -> Result<Vec<String>, Vec<Problem>> {
    let loaded = Generation::load(file, None);
    let sockets = server::check(&Config::load(file).0);
    let generation = match loaded {
        Ok((generation, _)) if sockets.is_empty() => generation,
        Ok(_) => return Err(sockets),
        Err(problems) => return Err(problems.into_iter().chain(sockets).collect()),
    };
    let warnings = generation
        .warnings()
        .into_iter()
        .map(|warning| format!("warning: {warning}"));
    let infos = generation.models(&Gpus::none()).into_iter();
    let models = infos.filter(|info| info.family != LISTED).map(|info| {
        let labels = info.labels.join(", ");
        let finds = match (info.zero_shot, info.labels.is_empty()) {
            (true, true) => "finds what requests name".to_owned(),
            (true, false) => format!("finds what requests name, or else {labels}"),
            (false, true) => "no head of its own".to_owned(),
            (false, false) => format!("finds {labels}"),
        };
        let (name, parameters) = (info.name, info.parameters);
        match info.base {
            None => format!(
                "model \"{name}\": {} with {parameters} parameters, {finds}",
                info.family
            ),
            Some(base) => format!("adapter \"{name}\" over \"{base}\": {parameters} parameters, {finds}"),
        }
    });
    let lists = generation.terms.iter().map(|named| {
        let (terms, labels) = (
            named.list.terms(),
            named.list.terms().labels().collect::<Vec<_>>(),
        );
        let finds = match labels.is_empty() {
            true => "hides or joins what others find".to_owned(),
            false => format!("finds {}", labels.join(", ")),
        };
        let twice = named
            .list
            .twice()
            .map(|twice| format!("; {twice}"))
            .unwrap_or_default();
        let names = match terms.len() {
            0 => "words that are right as they are".to_owned(),
            1 => format!("1 name, {finds}"),
            count => format!("{count} names, {finds}"),
        };
        format!("terms \"{}\": {names}{twice}", named.name)
    });
    let plugins = generation.plugins.iter().map(|plugin| {
        let signer = plugin.info().signed_by;
        format!(
            "plugin \"{}\": version {}, {}",
            plugin.id(),
            plugin.version(),
            signer.map_or("not signed".to_owned(), |key| format!("signed by key {key}"))
        )
    });
    Ok(models.chain(lists).chain(plugins).chain(warnings).collect())
}
