//! `bench`: the same note over and over through the socket, and how long the answers took. A closed
//! loop: each connection sends its next request when it has the answer to the last one.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mednerd_client::api::{AnnotateRequest, Status, Timing};
use mednerd_client::{Client, ClientError};
use serde::Serialize;
use tokio::task::LocalSet;

use crate::cli::BenchOptions;
use crate::error::Error;
use crate::exit::Exit;
use crate::format::{count, json};
use crate::input::Input;
use crate::output::Output;
use crate::table::{Column, Table};
use crate::{progress_is_welcome, within};

/// How long the measurement takes where nothing else is said.
const DEFAULT_SECONDS: u64 = 10;
/// The longest pause after an answer that says when to try again.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause after any other failure, so that a broken daemon is not hammered.
const PAUSE: Duration = Duration::from_millis(100);

/// What is sent where no text is named: an invented note.
const SAMPLE: &str = "\
Progress note. A 63-year-old man with type 2 diabetes mellitus, hypertension and chronic
obstructive pulmonary disease was admitted with fever, productive cough and dyspnea. Chest
radiograph showed right lower lobe pneumonia. He received intravenous ceftriaxone and oral
azithromycin; metformin was paused because of acute kidney injury, and insulin was given
instead. On day two he developed atrial fibrillation, which was treated with metoprolol and
apixaban. No pulmonary embolism on computed tomography. Potassium chloride was given for
hypokalemia. He was allergic to penicillin (rash). At discharge: metoprolol 50 mg twice daily,
apixaban 5 mg twice daily, lisinopril 10 mg daily, albuterol as needed for wheezing.
";

/// Measures as the options say and prints the figures.
pub async fn run(socket: &Path, patience: Duration, options: BenchOptions) -> Result<Exit, Error> {
    let text = match &options.text {
        Some(path) => Input::named(path).read().await.map_err(|error| error.of(path))?,
        None => SAMPLE.to_owned(),
    };
    let mut request = AnnotateRequest::new(text);
    request.models = options.model.clone().map(|model| vec![model]);

    let stop = match options.requests {
        Some(requests) => Stop::Requests(requests),
        None => Stop::After(Duration::from_secs(options.seconds.unwrap_or(DEFAULT_SECONDS))),
    };
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        clients.push(warm_up(socket, patience, &request).await?);
    }
    let mut observer = Client::new(socket);
    let before = tokens(&mut observer, patience).await;
    let bar = progress(stop);
    let measured = LocalSet::new()
        .run_until(measure(clients, patience, Rc::new(request.clone()), stop, &bar))
        .await;
    bar.finish_and_clear();

    let (mut sample, took) = measured?;
    let after = tokens(&mut observer, patience).await;
    let computed = before
        .zip(after)
        .and_then(|(before, after)| after.checked_sub(before));
    let report = Report::new(&request, &options, &mut sample, took, computed);
    let text = if options.json {
        json(&report, true)? + "\n"
    } else {
        report.page()
    };
    Output::Stdout.last(text.as_bytes(), sample.exit())
}

/// Opens a connection and sends one note that does not count. A daemon that is merely busy will do.
async fn warm_up(socket: &Path, patience: Duration, request: &AnnotateRequest) -> Result<Client, Error> {
    let mut client = Client::new(socket);
    match within(patience, client.annotate(request)).await {
        Ok(_) | Err(Error::Client(ClientError::Refused { status: 429, .. })) => Ok(client),
        Err(error) => Err(error),
    }
}

/// How many tokens the daemon has computed so far, for every client, where its metrics say.
async fn tokens(client: &mut Client, patience: Duration) -> Option<u64> {
    let metrics = within(patience, client.metrics()).await.ok()?;
    token_counter(&metrics)
}

fn token_counter(metrics: &str) -> Option<u64> {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix("mednerd_tokens_total "))
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
}

/// When a measurement ends. A request that is under way then is waited for and counted.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Requests(u64),
    After(Duration),
}

/// What is shared by the connections of one measurement.
struct Course {
    started: Instant,
    stop: Stop,
    /// Requests sent so far.
    sent: Cell<u64>,
    /// Requests answered so far, well or badly.
    done: Cell<u64>,
}

impl Course {
    /// Whether one more request is due; if so, it is taken.
    fn take(&self) -> bool {
        let more = match self.stop {
            Stop::Requests(requests) => self.sent.get() < requests,
            Stop::After(time) => self.started.elapsed() < time,
        };
        if more {
            self.sent.set(self.sent.get() + 1);
        }
        more
    }
}

async fn measure(
    clients: Vec<Client>,
    patience: Duration,
    request: Rc<AnnotateRequest>,
    stop: Stop,
    bar: &ProgressBar,
) -> Result<(Sample, Duration), Error> {
    let course = Rc::new(Course {
        started: Instant::now(),
        stop,
        sent: Cell::new(0),
        done: Cell::new(0),
    });
    let connections: Vec<_> = clients
        .into_iter()
        .map(|client| {
            let (course, request) = (Rc::clone(&course), Rc::clone(&request));
            tokio::task::spawn_local(hammer(client, patience, request, course))
        })
        .collect();
    let watcher = tokio::task::spawn_local(watch(bar.clone(), Rc::clone(&course)));
    let mut whole = Sample::default();
    for connection in connections {
        let part = connection
            .await
            .map_err(|error| Error::Runtime(std::io::Error::other(error)))?;
        whole.add(part);
    }
    let took = course.started.elapsed();
    watcher.abort();
    Ok((whole, took))
}

async fn hammer(
    mut client: Client,
    patience: Duration,
    request: Rc<AnnotateRequest>,
    course: Rc<Course>,
) -> Sample {
    let mut sample = Sample::default();
    while course.take() {
        let sent = Instant::now();
        let answer = within(patience, client.annotate(&request)).await;
        let took = sent.elapsed();
        course.done.set(course.done.get() + 1);
        match answer {
            Ok(answer) if answer.status == Status::Failed => {
                let code = answer.error.map_or_else(|| "unknown".to_owned(), |e| e.code);
                sample.failed(code, Exit::Refused);
                tokio::time::sleep(PAUSE).await;
            }
            Ok(answer) => {
                sample.partial += u64::from(answer.status == Status::Partial);
                sample.answered(took, &answer.timing_ms);
            }
            Err(error) => {
                let pause = match &error {
                    Error::Client(ClientError::Refused {
                        retry_after: Some(seconds),
                        ..
                    }) => Duration::from_secs(*seconds).clamp(PAUSE, LONGEST_PAUSE),
                    _ => PAUSE,
                };
                sample.failed(code(&error), error.exit());
                tokio::time::sleep(pause).await;
            }
        }
    }
    sample
}

fn code(error: &Error) -> String {
    match error {
        Error::Client(ClientError::Refused { detail, .. }) => detail.code.clone(),
        Error::Client(ClientError::Connect { .. }) => "cannot_connect".to_owned(),
        Error::Client(ClientError::Connection(_)) => "connection_broken".to_owned(),
        Error::NoAnswer { .. } => "no_answer_in_time".to_owned(),
        _ => "unusable_answer".to_owned(),
    }
}

/// What one connection, or all of them, saw.
#[derive(Debug, Default)]
struct Sample {
    latencies: Vec<Duration>,
    partial: u64,
    daemon: Timing,
    errors: BTreeMap<String, u64>,
    worst: Option<Exit>,
}

impl Sample {
    fn answered(&mut self, took: Duration, timing: &Timing) {
        self.latencies.push(took);
        self.spent(timing);
    }

    fn spent(&mut self, timing: &Timing) {
        self.daemon.decoding += timing.decoding;
        self.daemon.queue += timing.queue;
        self.daemon.inference += timing.inference;
        self.daemon.refining += timing.refining;
        self.daemon.linking += timing.linking;
        self.daemon.total += timing.total;
    }

    fn failed(&mut self, code: String, exit: Exit) {
        *self.errors.entry(code).or_default() += 1;
        // What cannot be reached comes before what refuses, where both were seen.
        self.worst = Some(self.worst.map_or(exit, |worst| worst.min(exit)));
    }

    fn add(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.partial += other.partial;
        self.spent(&other.daemon);
        for (code, number) in other.errors {
            *self.errors.entry(code).or_default() += number;
        }
        self.worst = match (self.worst, other.worst) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
    }

    fn exit(&self) -> Exit {
        match self.worst {
            Some(worst) if self.latencies.is_empty() => worst,
            Some(_) => Exit::Partly,
            None if self.partial > 0 => Exit::Partly,
            None => Exit::Fine,
        }
    }
}

/// The figures. Rates are of answered notes over the whole time, but for that of tokens, which is
/// the daemon's own count over the same time and so holds the work of other clients too.
#[derive(Debug, Serialize)]
struct Report {
    model: Option<String>,
    connections: u16,
    text_characters: usize,
    text_words: usize,
    seconds: f64,
    answered: usize,
    partial: u64,
    errors: BTreeMap<String, u64>,
    notes_per_second: f64,
    tokens_per_second: Option<f64>,
    words_per_second: f64,
    characters_per_second: f64,
    latency_ms: Option<Latency>,
    daemon_mean_ms: Option<Timing>,
}

/// From sending a request to having read its answer.
#[derive(Debug, Serialize)]
struct Latency {
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Report {
    fn new(
        request: &AnnotateRequest,
        options: &BenchOptions,
        sample: &mut Sample,
        took: Duration,
        tokens: Option<u64>,
    ) -> Self {
        sample.latencies.sort_unstable();
        let answered = sample.latencies.len();
        let seconds = took.as_secs_f64();
        let per_second = |number: f64| number / seconds.max(f64::MIN_POSITIVE);
        let rate = per_second(answered as f64);
        let characters = request.text.chars().count();
        let words = request.text.split_whitespace().count();
        let mean = |sum: f64| sum / answered as f64;
        Self {
            model: options.model.clone(),
            connections: options.connections,
            text_characters: characters,
            text_words: words,
            seconds,
            answered,
            partial: sample.partial,
            errors: sample.errors.clone(),
            notes_per_second: rate,
            tokens_per_second: tokens.map(|tokens| per_second(tokens as f64)),
            words_per_second: rate * words as f64,
            characters_per_second: rate * characters as f64,
            latency_ms: Latency::of(&sample.latencies),
            daemon_mean_ms: (answered > 0).then(|| Timing {
                decoding: mean(sample.daemon.decoding),
                queue: mean(sample.daemon.queue),
                inference: mean(sample.daemon.inference),
                refining: mean(sample.daemon.refining),
                linking: mean(sample.daemon.linking),
                total: mean(sample.daemon.total),
            }),
        }
    }

    fn page(&self) -> String {
        let mut page = format!(
            "{} answered in {:.2} s over {}; the note has {} and {}\n\n",
            count(self.answered, "note", "notes"),
            self.seconds,
            count(self.connections.into(), "connection", "connections"),
            count(self.text_words, "word", "words"),
            count(self.text_characters, "character", "characters"),
        );
        let mut table = Table::new([
            Column::text("measure"),
            Column::number("value"),
            Column::text("unit"),
        ]);
        let mut line = |name: &str, value: String, unit: &str| {
            table.row([name.into(), value.into(), unit.into()]);
        };
        line("throughput", format!("{:.1}", self.notes_per_second), "notes/s");
        if let Some(tokens) = self.tokens_per_second {
            line("", format!("{tokens:.0}"), "tokens/s");
        }
        line("", format!("{:.0}", self.words_per_second), "words/s");
        line("", format!("{:.0}", self.characters_per_second), "characters/s");
        if let Some(latency) = &self.latency_ms {
            for (name, value) in [
                ("latency p50", latency.p50),
                ("latency p95", latency.p95),
                ("latency p99", latency.p99),
                ("latency max", latency.max),
                ("latency mean", latency.mean),
            ] {
                line(name, format!("{value:.2}"), "ms");
            }
        }
        if let Some(daemon) = &self.daemon_mean_ms {
            for (name, value) in [
                ("of it decoding", daemon.decoding),
                ("of it queueing", daemon.queue),
                ("of it inference", daemon.inference),
                ("of it refining", daemon.refining),
                ("of it linking", daemon.linking),
            ] {
                line(name, format!("{value:.2}"), "ms");
            }
        }
        if self.partial > 0 {
            line("answered in part", self.partial.to_string(), "notes");
        }
        for (code, number) in &self.errors {
            line(&format!("error {code}"), number.to_string(), "requests");
        }
        page.push_str(&table.render(crate::table::Style::default()));
        page.push_str(
            "\nA latency is the time from sending a request to having read its answer; its parts are the \
             daemon's.\nTokens are the daemon's count and include other clients' notes. One note per \
             connection went ahead\nand is not counted.\n",
        );
        page
    }
}

impl Latency {
    /// `None` where nothing was answered. Takes them sorted.
    fn of(sorted: &[Duration]) -> Option<Self> {
        let total: Duration = sorted.iter().sum();
        Some(Self {
            mean: milliseconds(total) / sorted.len() as f64,
            p50: milliseconds(percentile(sorted, 50)?),
            p95: milliseconds(percentile(sorted, 95)?),
            p99: milliseconds(percentile(sorted, 99)?),
            max: milliseconds(*sorted.last()?),
        })
    }
}

/// The nearest-rank percentile: the smallest value that at least `percent` % of all do not exceed.
/// Always one that was measured; `None` where nothing was.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn progress(stop: Stop) -> ProgressBar {
    if !progress_is_welcome() {
        return ProgressBar::hidden();
    }
    let (length, template) = match stop {
        Stop::Requests(requests) => (requests, "{wide_bar} {pos} of {len} notes, {eta} left"),
        Stop::After(time) => (time.as_secs(), "{wide_bar} {pos} of {len} s"),
    };
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

async fn watch(bar: ProgressBar, course: Rc<Course>) {
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        bar.set_position(match course.stop {
            Stop::Requests(_) => course.done.get(),
            Stop::After(time) => course.started.elapsed().min(time).as_secs(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(milliseconds: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        milliseconds.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let hundred = times(1..=100);
        for percent in [1, 50, 95, 99, 100] {
            assert_eq!(
                percentile(&hundred, percent),
                Some(Duration::from_millis(percent as u64))
            );
        }
        let five = times([15, 20, 35, 40, 50]);
        for (percent, expected) in [(5, 15), (30, 20), (40, 20), (50, 35), (100, 50)] {
            assert_eq!(percentile(&five, percent), Some(Duration::from_millis(expected)));
        }
        assert_eq!(percentile(&times([7]), 99), Some(Duration::from_millis(7)));
        assert_eq!(percentile(&[], 50), None);
        assert!(Latency::of(&[]).is_none());
    }

    #[test]
    fn failures_decide_the_exit_code() {
        let mut sample = Sample::default();
        assert_eq!(sample.exit(), Exit::Fine);
        sample.failed("busy".to_owned(), Exit::Refused);
        assert_eq!(sample.exit(), Exit::Refused);
        sample.failed("cannot_connect".to_owned(), Exit::Unreachable);
        assert_eq!(sample.exit(), Exit::Unreachable);
        sample.answered(Duration::from_millis(1), &Timing::default());
        assert_eq!(sample.exit(), Exit::Partly);
    }

    #[test]
    fn samples_add_up() {
        let part = || {
            let mut sample = Sample::default();
            sample.answered(
                Duration::from_millis(2),
                &Timing {
                    decoding: 1.0,
                    queue: 2.0,
                    inference: 3.0,
                    refining: 4.0,
                    linking: 5.0,
                    total: 6.0,
                },
            );
            sample.failed("busy".to_owned(), Exit::Refused);
            sample
        };
        let mut whole = part();
        whole.add(part());
        assert_eq!(whole.latencies.len(), 2);
        assert_eq!(whole.errors["busy"], 2);
        let Timing {
            decoding,
            queue,
            inference,
            refining,
            linking,
            total,
        } = whole.daemon;
        let sums = [decoding, queue, inference, refining, linking, total];
        assert_eq!(sums.map(|sum| sum as u64), [2, 4, 6, 8, 10, 12]);
    }

    #[test]
    fn the_token_counter_is_found_among_the_metrics() {
        let metrics = "# HELP mednerd_tokens Tokens\nmednerd_tokens_total 1234\n# EOF\n";
        assert_eq!(token_counter(metrics), Some(1_234));
        assert_eq!(token_counter("mednerd_tokens_total 7 1700000000\n"), Some(7));
        assert_eq!(token_counter("# EOF\n"), None);
    }

    #[test]
    fn the_built_in_note_is_one() {
        assert!(SAMPLE.split_whitespace().count() > 80);
        assert!(!SAMPLE.contains('\r'));
    }
}
