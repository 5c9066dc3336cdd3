//! The conformance suite: `mednerd-plugin-host check DIRECTORY`. Each test runs in a process of its own, confined
//! as in production, so that one that crashes tells which it was. What a test says goes to the vendor.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mednerd_plugin::host::{Caller, DocumentFormat, Failure, Library, Linked, Normalizer};
use mednerd_plugin::package::{self, Policy};
use mednerd_plugin::{Document, ErrorKind, Mention, NormalizeOptions, Span, ability, contract};
use mednerd_plugin_host::protocol::{MAX_BATCH, MAX_TEXT, max_frame};
use mednerd_worker::child::Link;
use mednerd_worker::{Notice, Settings, StartError, Worker};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::serve;

/// How long a test may take where nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How late a cancelled or overdue call may return, of the time that the processor was this process's.
const LATE: Duration = Duration::from_millis(100);
/// How late it may return on a machine that is busy with other things, or where the plugin waits for something.
const MUCH_TOO_LATE: Duration = Duration::from_secs(2);
/// How much resident memory may grow over 10,000 calls.
const GROWTH: u64 = 2 << 20;
/// The longest message of a server that is as it comes; an adapter's files come in one as large as the plugin's memory.
const MAX_FRAME: usize = max_frame(MAX_TEXT);
/// Of the vendor's mentions, so many go into the note that every test has.
const IN_EVERY_NOTE: usize = 100;

/// What a vendor gives to be tried.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Samples {
    /// A document of its format.
    pub document: Option<Vec<u8>>,
    /// Mentions that its vocabulary knows.
    pub mentions: Vec<String>,
}

/// What a test needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Job {
    directory: PathBuf,
    settings: String,
    samples: Samples,
    test: String,
    patience: Duration,
}

/// A report.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The plugin, as its manifest names it.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the library.
    pub sha256: String,
    /// This program's version.
    pub checked_by: String,
    /// Whether every test passed.
    pub conforms: bool,
    /// By name in the order in which they ran.
    pub tests: Vec<Verdict>,
}

/// What came of a test.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// Its name.
    pub test: String,
    /// Whether it passed.
    pub passed: bool,
    /// What was seen, or what is wrong.
    pub detail: String,
    /// How long it took.
    pub ms: f64,
}

type Test = fn(&Bench) -> Result<String, String>;

/// The tests that every plugin takes, then those of each ability.
const TESTS: &[(&str, &str, Test)] = &[
    ("", "load", load),
    ("", "identity", identity),
    ("", "opening", opening),
    ("", "reopen", reopen),
    (ability::NORMALIZER, "normalizer.vocabularies", vocabularies),
    (ability::NORMALIZER, "normalizer.sample", mentions),
    (ability::NORMALIZER, "normalizer.empty", empty),
    (ability::NORMALIZER, "normalizer.huge", huge),
    (ability::NORMALIZER, "normalizer.many", many),
    (ability::NORMALIZER, "normalizer.unicode", unicode),
    (ability::NORMALIZER, "normalizer.options", options),
    (ability::NORMALIZER, "normalizer.batch", batch),
    (ability::NORMALIZER, "normalizer.deterministic", deterministic),
    (ability::NORMALIZER, "normalizer.threads", threads),
    (ability::NORMALIZER, "normalizer.cancel", cancel),
    (ability::NORMALIZER, "normalizer.deadline", deadline),
    (ability::NORMALIZER, "normalizer.leaks", leaks),
    (ability::ADAPTER, "adapter.files", adapter_files),
    (ability::ADAPTER, "adapter.refine", adapter_refine),
    (ability::DOCUMENT, "document.formats", formats),
    (ability::DOCUMENT, "document.sample", sample),
    (ability::DOCUMENT, "document.garbage", garbage),
    (ability::DOCUMENT, "document.leaks", document_leaks),
];

/// Checks the plugin in `directory`; no test may take longer than `patience`.
///
/// # Errors
/// Where it has no manifest or library to check, or this program cannot run itself.
pub fn run(directory: &Path, settings: &str, samples: Samples, patience: Duration) -> Result<Report, String> {
    let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(settings);
    object.map_err(|error| format!("the settings are no JSON object: {error}"))?;
    let directory = std::path::absolute(directory).map_err(|error| error.to_string())?;
    let policy = Policy::development(package::TRUSTED_KEYS.into());
    let package = package::verify(&directory, &policy).map_err(|error| error.to_string())?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut tests = vec![Verdict {
        test: "manifest".to_owned(),
        passed: package.manifest.sha256.is_some(),
        detail: match (&package.manifest.sha256, &package.key_id) {
            (None, _) => "sha256 is missing: `mednerctl plugin sign` fills it in".to_owned(),
            (Some(_), None) => "complete; not signed by a key that is trusted here".to_owned(),
            (Some(_), Some(key)) => format!("complete; signed by key {key}"),
        },
        ms: 0.0,
    }];
    for (ability, test, _) in TESTS {
        if !ability.is_empty() && !package.manifest.abilities.iter().any(|has| has == ability) {
            continue;
        }
        let job = Job {
            directory: directory.clone(),
            settings: settings.to_owned(),
            samples: samples.clone(),
            test: (*test).to_owned(),
            patience,
        };
        tests.push(one(&own, &job)?);
    }
    Ok(Report {
        plugin: package.manifest.id,
        version: package.manifest.version,
        sha256: package.sha256,
        checked_by: format!("mednerd-plugin-host {}", env!("CARGO_PKG_VERSION")),
        conforms: tests.iter().all(|verdict| verdict.passed),
        tests,
    })
}

/// Runs a test in a process of its own. `Ready` means that it passed, `Refused` that it failed.
fn one(program: &Path, job: &Job) -> Result<Verdict, String> {
    let begun = Instant::now();
    let mut settings = Settings::new("check", program);
    settings.arguments = vec!["check-one".into()];
    settings.start_timeout = job.patience;
    // Where a plugin panics, it says why there.
    settings.stderr = true;
    settings.start = postcard::to_allocvec(job).map_err(|error| error.to_string())?;
    let (sender, detail) = std::sync::mpsc::channel();
    let observer = move |notice: Notice<'_>| {
        if let Notice::Ready(payload) = notice {
            let _ = sender.send(String::from_utf8_lossy(payload).into_owned());
        }
    };
    let worker = Worker::launch(settings, Box::new(observer)).map_err(|error| error.to_string())?;
    let (passed, detail) = match worker.wait_ready() {
        Ok(()) => (true, detail.try_recv().unwrap_or_default()),
        Err(StartError::Refused(why)) => (false, why),
        Err(StartError::Died(cause)) => (false, format!("its process died: {cause}")),
        Err(StartError::TimedOut(time)) => (
            false,
            format!(
                "it did not come back within {time:?}: poll Call::check in every loop, and never wait for anything else"
            ),
        ),
        Err(error) => return Err(error.to_string()),
    };
    Ok(Verdict {
        test: job.test.clone(),
        passed,
        detail,
        ms: (begun.elapsed().as_secs_f64() * 1e4).round() / 10.0,
    })
}

/// The process of one test.
pub fn run_one() -> std::io::Result<()> {
    let (link, start) = Link::begin(1 << 30)?;
    let job: Job = postcard::from_bytes(&start).map_err(std::io::Error::other)?;
    let test = TESTS.iter().find(|(_, name, _)| *name == job.test);
    let Some((_, _, test)) = test else {
        return link.refuse("there is no such test");
    };
    let link = Arc::new(link);
    let result = Bench::open(job).and_then(|bench| test(&bench));
    match result {
        Ok(detail) => {
            link.ready(detail.as_bytes())?;
            // Ends with the parent, which has seen enough.
            link.serve(1, |_, _| Err(Vec::new()))
        }
        Err(why) => link.refuse(&why),
    }
}

/// A loaded plugin.
struct Bench {
    job: Job,
    library: Library,
    manifest: package::Manifest,
    /// How long loading the library took.
    loading: Duration,
}

impl Bench {
    fn open(job: Job) -> Result<Self, String> {
        let policy = Policy::development(package::TRUSTED_KEYS.into());
        let package = package::verify(&job.directory, &policy).map_err(|error| error.to_string())?;
        let manifest = package.manifest.clone();
        let max_frame = match manifest.abilities.iter().any(|id| id == ability::ADAPTER) {
            true => MAX_FRAME.max(usize::try_from(manifest.memory_mb << 20).unwrap_or(MAX_FRAME)),
            false => MAX_FRAME,
        };
        let confined = serve::confine(&job.directory, &package, &job.settings, max_frame);
        let begun = Instant::now();
        confined
            .and_then(|_| serve::load(package, Box::new(|_| {})))
            .map_err(|refusal| refusal.to_string())
            .map(|library| Self::with(job, library, manifest, begun.elapsed()))
    }

    fn with(job: Job, library: Library, manifest: package::Manifest, loading: Duration) -> Self {
        // Tests make many calls; what limits one call is not measured here.
        let _ = crate::sandbox::allow_cpu(job.patience);
        Self {
            job,
            library,
            manifest,
            loading,
        }
    }

    /// A note with words of ours and of the vendor's.
    fn note(&self) -> Note {
        let own = self.job.samples.mentions.iter().take(IN_EVERY_NOTE);
        let words: Vec<&str> = CLINICAL.into_iter().chain(own.map(String::as_str)).collect();
        Note::new(&words)
    }

    /// What `call` gives, where that comes in the time that a server allows: at best, since a busy machine is slow now and then.
    fn in_call<T>(&self, call: impl Fn() -> Result<T, String>) -> Result<T, String> {
        at_best(|| {
            let begun = Instant::now();
            let result = call()?;
            let (took, allowed) = (begun.elapsed(), self.manifest.call_time());
            match took > allowed {
                true => Err(format!(
                    "it took {} ms, and its call_ms is {}: a server gives it up then",
                    took.as_millis(),
                    allowed.as_millis()
                )),
                false => Ok(result),
            }
        })
    }

    fn normalizer(&self) -> Result<Normalizer, String> {
        let opened = self.library.normalizer(&self.job.settings);
        opened.map_err(|error| format!("it does not open: {error}"))
    }

    fn document(&self) -> Result<DocumentFormat, String> {
        let opened = self.library.document(&self.job.settings);
        opened.map_err(|error| format!("it does not open: {error}"))
    }
}

/// A caller of the tests' own.
struct Patient {
    cancelled: AtomicBool,
    deadline: Instant,
}

impl Patient {
    /// One who waits: what takes too long is ended from outside.
    fn new() -> Self {
        Self::until(Duration::from_secs(86_400))
    }

    fn until(time: Duration) -> Self {
        Self {
            cancelled: AtomicBool::new(false),
            deadline: Instant::now() + time,
        }
    }
}

impl Caller for Patient {
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed) || self.remaining().is_zero()
    }

    fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

fn any(top_k: usize) -> NormalizeOptions {
    NormalizeOptions {
        top_k,
        vocabularies: Vec::new(),
    }
}

/// A note of words, each of them a mention.
struct Note {
    text: String,
    words: Vec<(usize, usize)>,
}

impl Note {
    fn new(words: &[&str]) -> Self {
        let (mut text, mut places) = (String::new(), Vec::new());
        for word in words {
            let begin = text.len();
            text.push_str(word);
            places.push((begin, text.len()));
            text.push(' ');
        }
        Self { text, words: places }
    }

    fn document(&self) -> Document<'_> {
        let mentions = self
            .words
            .iter()
            .enumerate()
            .map(|(index, &(begin, end))| Mention {
                begin,
                end,
                label: ["DISEASE", "CHEMICAL"]
                    .get(index % 2)
                    .copied()
                    .unwrap_or_default(),
                score: 0.9,
                section: (index % 3 == 0).then_some("medications"),
            });
        Document {
            text: &self.text,
            mentions: mentions.collect(),
        }
    }
}

/// Words of notes that many vocabularies know.
const CLINICAL: [&str; 8] = [
    "metformin",
    "diabetes mellitus",
    "heart failure",
    "aspirin",
    "asthma",
    "HbA1c",
    "pneumonia",
    "COPD",
];

/// Links one batch, all of which must come.
fn link(
    normalizer: &Normalizer,
    batch: &[Document<'_>],
    options: &NormalizeOptions,
) -> Result<Vec<Linked>, String> {
    let results = normalizer
        .normalize(batch, options, &Patient::new())
        .map_err(told)?;
    results.into_iter().map(|result| result.map_err(told)).collect()
}

fn told(failure: Failure) -> String {
    match &failure {
        Failure::Plugin(error) if error.kind == ErrorKind::Panic => {
            "it panicked: return an error instead".to_owned()
        }
        _ => failure.to_string(),
    }
}

fn load(bench: &Bench) -> Result<String, String> {
    let id = &bench.library.about().id;
    Ok(format!(
        "root module and layout are those of ABI 1; it says that it is {id}"
    ))
}

fn identity(bench: &Bench) -> Result<String, String> {
    serve::check_identity(&bench.library, &bench.manifest).map_err(|refusal| refusal.to_string())?;
    Ok("id, version and abilities are those of the manifest".to_owned())
}

/// Opens an ability, and closes it.
fn open(bench: &Bench, id: &str) -> Result<(), String> {
    let settings = &bench.job.settings;
    match id {
        ability::NORMALIZER => bench.library.normalizer(settings).map(drop),
        ability::ADAPTER => bench.library.adapter(settings).map(drop),
        _ => bench.library.document(settings).map(drop),
    }
    .map_err(|error| format!("{id} does not open: {error}"))
}

fn opening(bench: &Bench) -> Result<String, String> {
    let begun = Instant::now();
    bench
        .manifest
        .abilities
        .iter()
        .try_for_each(|id| open(bench, id))?;
    let took = (bench.loading + begun.elapsed()).as_millis();
    match took > bench.manifest.start_time().as_millis() {
        true => Err(format!(
            "it took {took} ms to load and open, and its start_ms is {}: a server would not have it",
            bench.manifest.start_ms
        )),
        false => Ok(format!("loaded and opened in {took} ms")),
    }
}

fn reopen(bench: &Bench) -> Result<String, String> {
    for id in &bench.manifest.abilities {
        (0..10).try_for_each(|_| open(bench, id))?;
    }
    Ok("each ability was opened and closed 10 times".to_owned())
}

fn vocabularies(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let declared: Vec<String> = normalizer
        .vocabularies()
        .iter()
        .map(|vocabulary| format!("{} {}", vocabulary.name, vocabulary.version))
        .collect();
    match declared.is_empty() {
        true => Err("it declares no vocabulary".to_owned()),
        false => Ok(declared.join(", ")),
    }
}

fn mentions(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let own = &bench.job.samples.mentions;
    let found = |note: &Note| -> Result<usize, String> {
        let linked = bench.in_call(|| link(&normalizer, &[note.document()], &any(5)))?;
        Ok(linked
            .iter()
            .flatten()
            .filter(|candidates| !candidates.is_empty())
            .count())
    };
    let ours = found(&Note::new(&CLINICAL))?;
    let mut theirs = 0;
    for mentions in own.chunks(IN_EVERY_NOTE) {
        let words: Vec<&str> = mentions.iter().map(String::as_str).collect();
        theirs += found(&Note::new(&words))?;
    }
    match (own.len(), ours, theirs) {
        (0, 0, _) => Err(format!(
            "NOTHING WAS LINKED: of our {} words it knows none, so that nothing it does with its own was tried; pass mentions \
             that its vocabulary knows, one in each line, by --mentions FILE",
            CLINICAL.len()
        )),
        (0, ours, _) => Ok(format!(
            "{ours} of our {} words were linked; --mentions FILE tries yours, one in each line",
            CLINICAL.len()
        )),
        (given, _, 0) => Err(format!(
            "not one of the {given} mentions that you gave was linked"
        )),
        (given, ours, theirs) => Ok(format!(
            "{theirs} of the {given} mentions that you gave and {ours} of our {} words were linked",
            CLINICAL.len()
        )),
    }
}

fn empty(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    link(&normalizer, &[], &any(5))?;
    let nothing = Note::new(&[]);
    link(&normalizer, &[nothing.document()], &any(5))?;
    let silent = Note {
        text: "No mention at all.".to_owned(),
        words: Vec::new(),
    };
    link(&normalizer, &[silent.document(), nothing.document()], &any(5))?;
    Ok("an empty batch, an empty note and a note without mentions".to_owned())
}

fn huge(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let mut long = bench.note();
    long.text
        .push_str(&"She was seen again on the ward. ".repeat(30_000));
    // The whole text is one mention.
    long.words.push((0, long.text.len()));
    let note = bench.note();
    let begun = Instant::now();
    link(&normalizer, &vec![note.document(); MAX_BATCH], &any(100))?;
    link(&normalizer, &[long.document()], &any(100))?;
    let time = begun.elapsed().as_secs_f64() * 1e3;
    Ok(format!(
        "{MAX_BATCH} notes in one batch, and one of a megabyte, in {time:.0} ms"
    ))
}

/// Ten times the mentions may take ten times the time, with plenty to spare for a busy machine.
fn many(bench: &Bench) -> Result<String, String> {
    const FEW: usize = 2_000;
    const MANY: usize = 20_000;
    const MOST: u32 = 40;
    const SLACK: Duration = Duration::from_secs(1);
    let normalizer = bench.normalizer()?;
    let own = &bench.job.samples.mentions;
    let words: Vec<&str> = own.iter().take(IN_EVERY_NOTE).map(String::as_str).collect();
    let words: Vec<&str> = words.into_iter().chain(CLINICAL).chain(["PNA", "DVT"]).collect();
    let time = |mentions: usize| {
        let words: Vec<&str> = words.iter().copied().cycle().take(mentions).collect();
        let note = Note::new(&words);
        let begun = Instant::now();
        link(&normalizer, &[note.document()], &any(5)).map(|_| begun.elapsed())
    };
    at_best(|| {
        let (few, all) = (time(FEW)?, time(MANY)?);
        let said = format!(
            "a note of {FEW} mentions took {} ms, one of {MANY} {} ms",
            few.as_millis(),
            all.as_millis()
        );
        match all > MOST * few + SLACK {
            true => Err(format!(
                "{said}: its time must grow with the mentions, not with their square"
            )),
            false => Ok(said),
        }
    })
}

fn unicode(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let note = Note::new(&[
        "Sjögren",
        "Sj\u{6f}\u{308}gren",
        "β-blocker",
        "😷",
        "👩\u{200d}⚕\u{fe0f}",
        "糖尿病",
        "السكري",
        "\u{0}",
        "\u{feff}",
        "ﬁbrosis",
        "İ",
        "\r\n",
        "\u{10ffff}",
    ]);
    link(&normalizer, &[note.document()], &any(5))?;
    Ok("13 mentions in 6 scripts, with combining marks, joiners, NUL and the last code point".to_owned())
}

fn options(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let note = bench.note();
    // The contract's checks compare each answer with what was asked for.
    for top_k in [1, 2, 100] {
        link(&normalizer, &[note.document()], &any(top_k))?;
    }
    for vocabulary in normalizer.vocabularies() {
        let wanted = NormalizeOptions {
            top_k: 3,
            vocabularies: vec![vocabulary.name.clone()],
        };
        link(&normalizer, &[note.document()], &wanted)?;
    }
    let none = NormalizeOptions {
        top_k: 3,
        vocabularies: vec!["no such vocabulary".to_owned()],
    };
    let found = link(&normalizer, &[note.document()], &none)?;
    match found.iter().flatten().any(|candidates| !candidates.is_empty()) {
        true => Err("it gave concepts of a vocabulary that it does not have".to_owned()),
        false => Ok("top_k and the choice of vocabularies are kept".to_owned()),
    }
}

fn batch(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let (one, two) = (bench.note(), Note::new(&["aspirin", "metformin", "unheard-of"]));
    let (one, two) = (one.document(), two.document());
    let apart = [
        link(&normalizer, std::slice::from_ref(&one), &any(5))?,
        link(&normalizer, std::slice::from_ref(&two), &any(5))?,
    ];
    let together = link(&normalizer, &[one, two], &any(5))?;
    match apart.concat() == together {
        true => Ok("a note is linked in a batch as it is alone".to_owned()),
        false => Err("what a note is linked to depends on the other notes in the batch".to_owned()),
    }
}

fn deterministic(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let note = bench.note();
    let first = link(&normalizer, &[note.document()], &any(10))?;
    for _ in 0..20 {
        if link(&normalizer, &[note.document()], &any(10))? != first {
            return Err("the same note is linked to something else the next time".to_owned());
        }
    }
    let again = link(&bench.normalizer()?, &[note.document()], &any(10))?;
    match again == first {
        true => Ok("21 times the same, and once more after opening it again".to_owned()),
        false => Err("after opening it again the same note is linked to something else".to_owned()),
    }
}

fn threads(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let note = bench.note();
    let expected = link(&normalizer, &[note.document()], &any(5))?;
    let wrong: Vec<Result<bool, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                std::thread::Builder::new().spawn_scoped(scope, || {
                    for _ in 0..200 {
                        if link(&normalizer, &[note.document()], &any(5))? != expected {
                            return Ok(true);
                        }
                    }
                    Ok(false)
                })
            })
            .collect();
        let joined = threads.into_iter().map(|thread| {
            let panicked = Err("a thread of the test panicked".to_owned());
            thread.map_err(no_thread)?.join().unwrap_or(panicked)
        });
        joined.collect()
    });
    for result in wrong {
        if result? {
            return Err("called from 4 threads at once it gives other answers than from one".to_owned());
        }
    }
    Ok("800 calls from 4 threads at once".to_owned())
}

/// Where the test itself cannot have a thread, which says nothing of the plugin.
fn no_thread(error: std::io::Error) -> String {
    format!(
        "the test cannot start a thread of its own ({error}); end other programs of this user, and check again"
    )
}

/// A batch that keeps a plugin busy for a while.
fn work() -> Vec<Note> {
    (0..2000).map(|_| Note::new(&CLINICAL)).collect()
}

/// Whether a call that nobody waits for any more came back in time: `late`, and after so much time of the processor. Whatever it gave is right.
fn in_time(
    result: Result<Vec<Result<Linked, Failure>>, Failure>,
    late: Duration,
    computed: Duration,
) -> Result<String, String> {
    if late.min(computed) > LATE || late > MUCH_TOO_LATE {
        return Err(format!(
            "it went on for {} ms; poll Call::check at least every few milliseconds",
            late.as_millis()
        ));
    }
    if let Err(failure) = result
        && !matches!(&failure, Failure::Plugin(error) if error.kind == ErrorKind::Cancelled)
    {
        return Err(told(failure));
    }
    Ok(format!("back after {} ms", late.as_millis()))
}

/// How much time of the processor this process has had, all its threads together; `/proc` cannot be read here.
fn computed() -> Duration {
    let time = |usage: Usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    let microseconds = getrusage(UsageWho::RUSAGE_SELF).map_or(0, time);
    Duration::from_micros(u64::try_from(microseconds).unwrap_or(0))
}

/// The best of a few tries: a busy machine is late now and then, a plugin that does not poll every time.
fn at_best<T>(attempt: impl Fn() -> Result<T, String>) -> Result<T, String> {
    let mut last = attempt();
    for _ in 0..4 {
        if last.is_ok() {
            break;
        }
        last = attempt();
    }
    last
}

fn cancel(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let notes = work();
    let documents: Vec<Document<'_>> = notes.iter().map(Note::document).collect();
    at_best(|| cancelled(&normalizer, &documents))
}

fn cancelled(normalizer: &Normalizer, documents: &[Document<'_>]) -> Result<String, String> {
    let patient = Patient::new();
    std::thread::scope(|scope| {
        let waiting = std::thread::Builder::new().spawn_scoped(scope, || {
            std::thread::sleep(Duration::from_millis(2));
            patient.cancelled.store(true, Ordering::Relaxed);
            Instant::now()
        });
        let cancelled_at = waiting.map_err(no_thread)?;
        let before = computed();
        let result = normalizer.normalize(documents, &any(5), &patient);
        let (returned, computed) = (Instant::now(), computed() - before);
        let cancelled_at = cancelled_at
            .join()
            .map_err(|_| "the test's own thread panicked")?;
        in_time(result, returned.saturating_duration_since(cancelled_at), computed)
    })
}

fn deadline(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let notes = work();
    let documents: Vec<Document<'_>> = notes.iter().map(Note::document).collect();
    at_best(|| {
        let (before, patient) = (computed(), Patient::until(Duration::from_millis(2)));
        let result = normalizer.normalize(&documents, &any(5), &patient);
        let late = Instant::now().saturating_duration_since(patient.deadline);
        in_time(result, late, computed() - before)
    })
}

/// The most memory that was resident so far; `/proc` cannot be read here.
fn resident() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    let kilobytes = usage.map_or(0, |usage| usage.max_rss());
    u64::try_from(kilobytes).unwrap_or(0) << 10
}

/// Calls `call` 1,000 times to warm up, then 10,000 times, and looks at what memory did.
fn steady(mut call: impl FnMut() -> Result<(), String>) -> Result<String, String> {
    for _ in 0..1000 {
        call()?;
    }
    let before = resident();
    for _ in 0..10_000 {
        call()?;
    }
    let grown = resident().saturating_sub(before);
    match grown > GROWTH {
        true => Err(format!("10,000 calls took {} kB more memory", grown >> 10)),
        false => Ok(format!("10,000 calls took {} kB more memory", grown >> 10)),
    }
}

fn leaks(bench: &Bench) -> Result<String, String> {
    let normalizer = bench.normalizer()?;
    let note = bench.note();
    steady(|| link(&normalizer, &[note.document()], &any(5)).map(drop))
}

fn adapter_files(bench: &Bench) -> Result<String, String> {
    let adapter = bench
        .library
        .adapter(&bench.job.settings)
        .map_err(|error| format!("it does not open: {error}"))?;
    let files = adapter.files(&Patient::new()).map_err(told)?;
    let config: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&files.config)
        .map_err(|_| "its adapter_config.json is no JSON object".to_owned())?;
    for key in ["r", "lora_alpha", "target_modules"] {
        if !config.contains_key(key) {
            return Err(format!("its adapter_config.json has no {key}"));
        }
    }
    let task = adapter.task();
    if let Some(map) = config.get("id2label") {
        let mut types = entity_types(map)?;
        let mut declared = task.labels.clone();
        types.sort();
        types.dedup();
        declared.sort();
        if types != declared {
            let (types, declared) = (types.join(", "), declared.join(", "));
            return Err(format!(
                "its id2label has {types}, and it declares the labels {declared}"
            ));
        }
    }
    let tensors = tensors(&files.tensors)?;
    if !tensors.keys().any(|name| name.contains("lora_")) {
        return Err("its tensors hold no LoRA matrix".to_owned());
    }
    Ok(format!(
        "task {} over base {}: {} tensors, labels {}",
        task.name,
        task.base.get(..12).unwrap_or_default(),
        tensors.len(),
        task.labels.join(", ")
    ))
}

/// The entity types of an `id2label`.
fn entity_types(map: &serde_json::Value) -> Result<Vec<String>, String> {
    let map: BTreeMap<String, String> =
        serde_json::from_value(map.clone()).map_err(|_| "its id2label is no object of strings".to_owned())?;
    let labels = map.into_values().filter(|label| label != "O");
    Ok(labels
        .map(|label| match label.split_once('-') {
            Some((prefix, rest)) if prefix.len() == 1 => rest.to_owned(),
            _ => label,
        })
        .collect())
}

/// The header of a safetensors file, whose tensors must lie within it.
fn tensors(bytes: &[u8]) -> Result<BTreeMap<String, serde_json::Value>, String> {
    let wrong = || "its adapter_model.safetensors is no safetensors file".to_owned();
    let (length, rest) = bytes.split_first_chunk().ok_or_else(wrong)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| wrong())?;
    let header = rest.get(..length).ok_or_else(wrong)?;
    let data = (rest.len() - length) as u64;
    let mut header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|_| wrong())?;
    header.remove("__metadata__");
    for tensor in header.values() {
        let end = tensor
            .pointer("/data_offsets/1")
            .and_then(serde_json::Value::as_u64);
        if end.is_none_or(|end| end > data) {
            return Err("its adapter_model.safetensors ends before its tensors do".to_owned());
        }
    }
    Ok(header)
}

fn adapter_refine(bench: &Bench) -> Result<String, String> {
    let adapter = bench
        .library
        .adapter(&bench.job.settings)
        .map_err(|error| format!("it does not open: {error}"))?;
    let task = adapter.task().clone();
    if !task.refines {
        return Ok("it does not post-process".to_owned());
    }
    let note = bench.note();
    let spans: Vec<Span> = note
        .words
        .iter()
        .zip(task.labels.iter().cycle())
        .map(|(&(begin, end), label)| Span {
            begin,
            end,
            label: label.clone(),
            score: 0.5,
        })
        .collect();
    let refine = |spans: &[Span]| adapter.refine(&note.text, spans, &Patient::new()).map_err(told);
    refine(&[])?;
    let first = bench.in_call(|| refine(&spans))?;
    match refine(&spans)? == first {
        true => Ok(format!("{} spans became {}", spans.len(), first.len())),
        false => Err("the same spans become something else the next time".to_owned()),
    }
}

fn formats(bench: &Bench) -> Result<String, String> {
    let document = bench.document()?;
    match document.formats() {
        [] => Err("it declares no format".to_owned()),
        formats => Ok(formats.join(", ")),
    }
}

fn sample(bench: &Bench) -> Result<String, String> {
    let document = bench.document()?;
    let Some(sample) = &bench.job.samples.document else {
        return Err("no sample was given: pass a document of its format by --sample".to_owned());
    };
    let mut why = String::new();
    for format in document.formats() {
        let decode = || document.decode(format, sample, MAX_TEXT, &Patient::new());
        let decoded = match bench.in_call(|| decode().map_err(told)) {
            Ok(decoded) => decoded,
            Err(failure) => {
                why.push_str(&format!("; {format}: {failure}"));
                continue;
            }
        };
        if decoded.text.is_empty() {
            return Err("the sample became an empty text".to_owned());
        }
        if decode().ok().as_ref() != Some(&decoded) {
            return Err("the same sample becomes another text the next time".to_owned());
        }
        if let Ok(text) = std::str::from_utf8(sample)
            && contract::on_characters(&decoded, text).is_err()
        {
            return Err("a piece begins or ends within a character of the sample".to_owned());
        }
        let whole = match indivisible(&decoded, sample) {
            0 => String::new(),
            count => format!(
                "; {count} pieces are as long as their source and differ from it, so that no word in them has its own place"
            ),
        };
        let (bytes, text) = (sample.len(), decoded.text.len());
        return Ok(format!(
            "{bytes} bytes of {format} became {text} bytes of text{whole}"
        ));
    }
    Err(format!("no format of it decodes the sample{why}"))
}

/// Pieces of several characters that are as long as their source and not equal to it: allowed, and often a slip.
fn indivisible(decoded: &mednerd_plugin::Decoded, source: &[u8]) -> usize {
    let differs = |piece: &&mednerd_plugin::Piece| {
        let text = decoded
            .text
            .get(piece.text_begin..piece.text_end)
            .unwrap_or_default();
        piece.is_copy()
            && text.chars().nth(1).is_some()
            && Some(text.as_bytes()) != source.get(piece.source_begin..piece.source_end)
    };
    decoded.pieces.iter().filter(differs).count()
}

/// Bytes of no format, the same in each run.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[0]
        })
        .collect()
}

fn garbage(bench: &Bench) -> Result<String, String> {
    let document = bench.document()?;
    let sample = bench.job.samples.document.clone().unwrap_or_default();
    let mut inputs = vec![
        Vec::new(),
        noise(1),
        noise(100_000),
        vec![b'\\'; 10_000],
        vec![0; 1000],
    ];
    // The sample with a byte changed here and there, and cut off.
    for at in 0..200.min(sample.len()) {
        let mut changed = sample.clone();
        if let Some(byte) = changed.get_mut(at * sample.len() / 200.min(sample.len()).max(1)) {
            *byte ^= 0xff;
        }
        inputs.push(changed);
        inputs.push(sample.get(..at).unwrap_or_default().to_vec());
    }
    for format in document.formats() {
        for input in &inputs {
            match document.decode(format, input, MAX_TEXT, &Patient::new()) {
                Ok(_) => {}
                Err(Failure::Plugin(error)) if error.kind != ErrorKind::Panic => {}
                Err(failure) => return Err(told(failure)),
            }
        }
    }
    Ok(format!(
        "{} broken documents were refused or decoded",
        inputs.len()
    ))
}

fn document_leaks(bench: &Bench) -> Result<String, String> {
    let document = bench.document()?;
    let sample = bench.job.samples.document.clone().unwrap_or_else(|| noise(1000));
    let formats = document.formats().to_vec();
    steady(|| {
        for format in &formats {
            // Whether it can be decoded another test says.
            let _ = document.decode(format, &sample, MAX_TEXT, &Patient::new());
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use mednerd_plugin::Decoded;

    use super::*;

    #[test]
    fn a_busy_machine_is_no_plugin_that_goes_on() {
        let [short, long, ever] = [3, 500, 3000].map(Duration::from_millis);
        let passes = |late, computed| in_time(Ok(Vec::new()), late, computed).is_ok();
        assert!(passes(short, short) && passes(Duration::ZERO, long));
        // Others had the processor.
        assert!(passes(long, short));
        assert!(!passes(long, long));
        // It waits for something, and asks nobody whether it may.
        assert!(!passes(ever, short));
    }

    #[test]
    fn pieces_that_are_only_as_long_as_their_source_are_counted() {
        let mut decoded = Decoded::default();
        decoded.replace("EUR", 0, 3);
        decoded.copy(" ab", 3);
        decoded.replace("&", 6, 7);
        decoded.replace("and", 7, 12);
        assert_eq!(indivisible(&decoded, "€ ab+PLUS!".as_bytes()), 1);
        assert_eq!(
            indivisible(&decoded, "€ ba+PLUS!".as_bytes()),
            2,
            "a copy of something else"
        );
    }
}
