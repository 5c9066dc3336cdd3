//! `annotate`: reads notes, asks the daemon over a few connections at once, checks that each answer
//! fits its note, and writes the answers in the order of the files.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::error::ErrorKind;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mednerd_client::api::{
    AnnotateRequest, AnnotateResponse, Encoding, Link, LinkChoice, OffsetUnit, Status,
};
use mednerd_client::{Client, ClientError};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::cli::{self, AnnotateOptions, Format};
use crate::error::Error;
use crate::exit::Exit;
use crate::format::{Document, Writer, count};
use crate::input::Input;
use crate::interrupt::Interrupted;
use crate::output::{Output, overwrites};
use crate::{progress_is_welcome, warn, within};

/// The daemon's code where it cannot write a record of the document.
const AUDIT_UNAVAILABLE: &str = "audit_unavailable";
/// Where the daemon asks for a longer wait, the person decides. It is asked again as long as there is patience.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Answers per connection that may wait for an earlier file.
const AHEAD: usize = 4;

/// Annotates what the options name.
pub async fn run(socket: &Path, patience: Duration, options: AnnotateOptions) -> Result<Exit, Error> {
    // A crash would put notes into a core dump.
    nix::sys::prctl::set_dumpable(false).map_err(|error| Error::Runtime(error.into()))?;
    let inputs = inputs(&options, std::io::stdin().is_terminal())?;
    if options.document_id.is_some() && inputs.len() > 1 {
        return usage(
            ErrorKind::ArgumentConflict,
            "--document-id is for one document; --document-id-from-name gives several their names",
        );
    }
    if let Some(output) = &options.output {
        refuse_overwriting(output, &inputs)?;
    }
    let bar = progress(inputs.len());
    let several = inputs.len() > 1;
    let output = Output::new(options.output.clone());
    let interrupted = match output.comes_at_the_end() {
        true => Interrupted::new().map_err(Error::Runtime)?,
        false => Interrupted::default(),
    };
    let writer = Writer::new(options.format, output, several);
    let job = Job {
        socket: socket.to_owned(),
        patience,
        template: template(&options),
        id_from_name: options.document_id_from_name,
        told: AtomicBool::new(false),
        bar: bar.clone(),
    };
    let all = annotate_all(
        Arc::new(job),
        inputs,
        usize::from(options.jobs),
        writer,
        interrupted,
    );
    let outcome = all.await;
    bar.finish_and_clear();
    outcome
}

/// What every connection needs to know.
struct Job {
    socket: PathBuf,
    patience: Duration,
    /// The request without text.
    template: AnnotateRequest,
    /// Whether each file's name is its document's id.
    id_from_name: bool,
    /// Whether it was said that the daemon is waited for.
    told: AtomicBool,
    bar: ProgressBar,
}

type Answered = Result<(Document, AnnotateResponse), Error>;

async fn annotate_all(
    job: Arc<Job>,
    inputs: Vec<Input>,
    jobs: usize,
    mut writer: Writer,
    mut interrupted: Interrupted,
) -> Result<Exit, Error> {
    let bar = job.bar.clone();
    let jobs = jobs.min(inputs.len());
    let inputs = Arc::new(inputs);
    let next = Arc::new(AtomicUsize::new(0));
    // A permit goes with each file from before it is read until it is written, so that memory is
    // bounded; they are taken in the order of the files, so the one that is waited for has one.
    let window = Arc::new(Semaphore::new(jobs * AHEAD));
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut connections = JoinSet::new();
    for _ in 0..jobs {
        connections.spawn(serve(
            Arc::clone(&job),
            Arc::clone(&inputs),
            Arc::clone(&next),
            Arc::clone(&window),
            sender.clone(),
        ));
    }
    drop(sender);

    let mut tally = Tally::default();
    let mut early: BTreeMap<usize, Answered> = BTreeMap::new();
    let mut due = 0;
    loop {
        let received = tokio::select! {
            () = interrupted.wait() => {
                let kept = writer.interrupted()?;
                bar.suspend(|| warn(&format!("interrupted; {kept}")));
                return Ok(Exit::Partly);
            }
            received = receiver.recv() => received,
        };
        let Some((at, answered)) = received else { break };
        early.insert(at, answered);
        while let Some(answered) = early.remove(&due) {
            let name = inputs.get(due).map(Input::name).unwrap_or_default();
            due += 1;
            let hopeless = match answered {
                Ok((document, answer)) => {
                    tally.answered(&answer);
                    let written = bar.suspend(|| {
                        if answer.status == Status::Partial {
                            let stages = answer.degraded.join(", ");
                            warn(&format!("{name}: answered in part, without {stages}"));
                        }
                        writer.document(document, answer)
                    });
                    match written {
                        // Who reads it has seen enough, and still has to know of what failed.
                        Err(error) if error.is_closed_pipe() => return Ok(tally.exit()),
                        written => written?,
                    }
                    false
                }
                Err(error) => {
                    tally.failures.push(error.exit());
                    let hopeless = error.concerns_every_document();
                    bar.suspend(|| warn(&format!("{name}: {error}")));
                    hopeless
                }
            };
            bar.inc(1);
            window.add_permits(1);
            if hopeless {
                let rest = inputs.len() - due;
                if rest > 0 {
                    let rest = count(rest, "more file was", "more files were");
                    bar.suspend(|| warn(&format!("stopped here; {rest} not tried")));
                }
                return ended(writer, &tally);
            }
        }
    }
    ended(writer, &tally)
}

fn ended(writer: Writer, tally: &Tally) -> Result<Exit, Error> {
    match writer.finish() {
        Err(error) if !error.is_closed_pipe() => Err(error),
        _ => Ok(tally.exit()),
    }
}

/// Works off files over one connection until there are none left or nobody wants the answers.
async fn serve(
    job: Arc<Job>,
    inputs: Arc<Vec<Input>>,
    next: Arc<AtomicUsize>,
    window: Arc<Semaphore>,
    answers: mpsc::UnboundedSender<(usize, Answered)>,
) {
    let mut client = Client::new(&job.socket);
    while let Ok(permit) = window.acquire().await {
        permit.forget();
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(input) = inputs.get(at) else { break };
        let answered = annotate_one(&job, &mut client, input).await;
        if answers.send((at, answered)).is_err() {
            break;
        }
    }
}

async fn annotate_one(job: &Job, client: &mut Client, input: &Input) -> Answered {
    let mut request = job.template.clone();
    put(&mut request, input.bytes().await?)?;
    // Otherwise the name stays here: it may be a patient's, and the audit trail keeps ids as they are.
    if job.id_from_name {
        request.document_id = Some(input.name());
    }
    let deadline = Instant::now() + job.patience;
    let mut attempt = 1;
    let mut answer = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let refusal = match within(left, client.annotate(&request)).await {
            Err(Error::Client(refusal)) => refusal,
            Err(Error::NoAnswer { .. }) => {
                return Err(Error::NoAnswer {
                    patience: job.patience,
                });
            }
            other => break other?,
        };
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = retry_after(&refusal, attempt).filter(|wait| *wait < left);
        let Some(wait) = wait else {
            return Err(refusal.into());
        };
        if !job.told.swap(true, Ordering::Relaxed) {
            let sentence = format!(
                "{refusal}; it is asked again as it says, for {} s in all",
                job.patience.as_secs_f64()
            );
            job.bar.suspend(|| warn(&sentence));
        }
        tokio::time::sleep(wait).await;
        attempt += 1;
    };
    let unit = request.offset_unit.unwrap_or_default();
    check(&request.text, unit, &answer)?;
    // Which answer is which is told all the same.
    answer.document_id.get_or_insert_with(|| input.name());
    let document = Document {
        name: input.name(),
        text: std::mem::take(&mut request.text),
    };
    Ok((document, answer))
}

/// Puts a document into a request, as text, or as bytes where a plugin decodes it and it is no text.
fn put(request: &mut AnnotateRequest, document: Vec<u8>) -> Result<(), Error> {
    match String::from_utf8(document) {
        Ok(text) => request.text = text,
        Err(error) if request.format.is_some() => {
            let unit = OffsetUnit::Byte;
            if request
                .offset_unit
                .replace(unit)
                .is_some_and(|asked| asked != unit)
            {
                return Err(Error::OnlyBytes);
            }
            request.encoding = Some(Encoding::Base64);
            request.text = base64::encode(error.as_bytes());
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// How long to wait before the next attempt, if there is to be one: as long as the daemon says,
/// else a second that doubles each time.
fn retry_after(error: &ClientError, attempt: u32) -> Option<Duration> {
    let ClientError::Refused {
        status,
        retry_after,
        detail,
    } = error
    else {
        return None;
    };
    // A daemon that starts or drains names a time too.
    let busy = *status == 429 || (*status == 503 && retry_after.is_some());
    // Of a full disk or a folder that is closed a person has to know.
    let busy = busy && detail.code != AUDIT_UNAVAILABLE;
    let seconds = retry_after.unwrap_or_else(|| 1 << (attempt - 1).min(5));
    let wait = Duration::from_secs(seconds).max(Duration::from_millis(100));
    (busy && wait <= LONGEST_WAIT).then_some(wait)
}

/// Whether the answer is about this text: its length is right, every entity lies inside, and where
/// offsets are bytes each mention is what stands there.
fn check(text: &str, unit: OffsetUnit, answer: &AnnotateResponse) -> Result<(), Error> {
    if answer.status == Status::Failed {
        let (code, message) = match &answer.error {
            Some(error) => (error.code.clone(), error.message.clone()),
            None => ("unknown".to_owned(), "it gave no reason".to_owned()),
        };
        return Err(Error::Failed { code, message });
    }
    let misfit = |what: String| Err(Error::Misfit { what });
    if answer.offset_unit != unit {
        return misfit("its offsets are in another unit than was asked for".to_owned());
    }
    let lengths = answer.text_length;
    let size = match unit {
        // The text is base64: three bytes in four letters.
        OffsetUnit::Byte => {
            (text.len() / 4 * 3).saturating_sub(text.len() - text.trim_end_matches('=').len())
        }
        _ => text.len(),
    };
    if lengths.utf8_byte != size as u64 {
        return misfit(format!("it is about {} bytes, not {size}", lengths.utf8_byte));
    }
    let length = match unit {
        OffsetUnit::UnicodeCodePoint => lengths.unicode_code_point,
        OffsetUnit::Utf16CodeUnit => lengths.utf16_code_unit,
        OffsetUnit::Utf8Byte | OffsetUnit::Byte => lengths.utf8_byte,
    };
    for (at, entity) in answer.entities.iter().enumerate() {
        let (begin, end) = (entity.begin, entity.end);
        let inside = begin <= end && end <= length;
        let same = unit != OffsetUnit::Utf8Byte || slice(text, begin, end) == Some(&entity.text);
        if !inside || !same {
            return misfit(format!("entity {} from {begin} to {end} of {length}", at + 1));
        }
    }
    Ok(())
}

fn slice(text: &str, begin: u64, end: u64) -> Option<&str> {
    text.get(usize::try_from(begin).ok()?..usize::try_from(end).ok()?)
}

/// What became of the documents.
#[derive(Debug, Default)]
struct Tally {
    whole: usize,
    partial: usize,
    failures: Vec<Exit>,
}

impl Tally {
    fn answered(&mut self, answer: &AnnotateResponse) {
        match answer.status {
            Status::Ok => self.whole += 1,
            Status::Partial | Status::Failed => self.partial += 1,
        }
    }

    /// One kind of failure and nothing else keeps its own code; any mixture is "partly".
    fn exit(&self) -> Exit {
        let all_alike = self
            .failures
            .first()
            .filter(|first| self.failures.iter().all(|exit| exit == *first));
        match all_alike {
            Some(&exit) if self.whole + self.partial == 0 => exit,
            None if self.failures.is_empty() && self.partial == 0 => Exit::Fine,
            _ => Exit::Partly,
        }
    }
}

/// The inputs that were named, or standard input where none was and it is not the keyboard.
fn inputs(options: &AnnotateOptions, stdin_is_terminal: bool) -> Result<Vec<Input>, Error> {
    if options.format == Format::Html
        && options
            .offset_unit()
            .is_some_and(|unit| unit != OffsetUnit::Utf8Byte)
    {
        return usage(
            ErrorKind::ArgumentConflict,
            "--format html always uses --offset-unit utf8_byte",
        );
    }
    if options.files.is_empty() {
        return if stdin_is_terminal {
            usage(
                ErrorKind::MissingRequiredArgument,
                "no note: name a FILE, or pipe one to standard input",
            )
        } else {
            Ok(vec![Input::Stdin])
        };
    }
    let inputs: Vec<Input> = options.files.iter().map(|file| Input::named(file)).collect();
    if inputs.iter().filter(|input| **input == Input::Stdin).count() > 1 {
        return usage(
            ErrorKind::ArgumentConflict,
            "standard input (-) can be read only once",
        );
    }
    Ok(inputs)
}

/// `--output note.txt note.txt` would cost the note.
fn refuse_overwriting(output: &Path, inputs: &[Input]) -> Result<(), Error> {
    if overwrites(output, inputs.iter().map(Input::metadata)) {
        return usage(
            ErrorKind::ArgumentConflict,
            "--output names one of the notes and would overwrite it",
        );
    }
    Ok(())
}

fn usage<T>(kind: ErrorKind, sentence: &str) -> Result<T, Error> {
    Err(cli::usage(&["annotate"], kind, sentence))
}

fn template(options: &AnnotateOptions) -> AnnotateRequest {
    AnnotateRequest {
        document_id: options.document_id.clone(),
        format: options.document_format.clone(),
        models: options.models.clone(),
        threshold: options.threshold,
        aggregation: options.aggregation(),
        labels: options.labels.clone(),
        nested: options.nested.then_some(true),
        multi_label: options.multi_label.then_some(true),
        offset_unit: match options.format {
            Format::Html => Some(OffsetUnit::Utf8Byte),
            _ => options.offset_unit(),
        },
        link: options.link.then(|| link(options)),
        deadline_ms: options.deadline_ms,
        ..AnnotateRequest::default()
    }
}

fn link(options: &AnnotateOptions) -> Link {
    let choice = LinkChoice {
        top_k: options.top_k,
        vocabularies: options.vocabularies.clone(),
        code_systems: options.code_systems.clone(),
    };
    if choice == LinkChoice::default() {
        Link::All(true)
    } else {
        Link::Choice(choice)
    }
}

fn progress(files: usize) -> ProgressBar {
    if files < 2 || !progress_is_welcome() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(files as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos} of {len} notes, {eta} left") {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use mednerd_client::api::{Entity, ErrorDetail, TextLength, Timing, Versions};

    use super::*;
    use crate::cli::{Cli, Command};

    fn options(line: &str) -> AnnotateOptions {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Annotate(options) => *options,
            other => panic!("{other:?}"),
        }
    }

    fn answer(text: &str, begin: u64, end: u64, mention: &str) -> AnnotateResponse {
        AnnotateResponse {
            document_id: None,
            status: Status::Ok,
            degraded: Vec::new(),
            offset_unit: OffsetUnit::Utf8Byte,
            text_sha256: String::new(),
            text_length: TextLength {
                utf8_byte: text.len() as u64,
                utf16_code_unit: text.encode_utf16().count() as u64,
                unicode_code_point: text.chars().count() as u64,
            },
            entities: vec![Entity {
                id: "e1".to_owned(),
                begin,
                end,
                text: mention.to_owned(),
                decoded: None,
                label: "DISEASE".to_owned(),
                score: 1.0,
                model: "m".to_owned(),
                assertions: Vec::new(),
                concepts: Vec::new(),
            }],
            versions: Versions::default(),
            engine: None,
            timing_ms: Timing::default(),
            context: serde_json::Value::Null,
            error: None,
        }
    }

    #[test]
    fn a_pipe_is_read_and_a_keyboard_is_not() {
        let nothing = options("mednerctl annotate");
        assert_eq!(inputs(&nothing, false).unwrap(), [Input::Stdin]);
        assert_eq!(inputs(&nothing, true).unwrap_err().exit(), Exit::Usage);
        let twice = options("mednerctl annotate - a -");
        assert_eq!(inputs(&twice, true).unwrap_err().exit(), Exit::Usage);
        let unit = options("mednerctl annotate a -f html --offset-unit utf16_code_unit");
        assert_eq!(inputs(&unit, true).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn html_asks_for_bytes_and_the_rest_for_what_was_said() {
        assert_eq!(
            template(&options("mednerctl annotate a -f html")).offset_unit,
            Some(OffsetUnit::Utf8Byte)
        );
        assert_eq!(template(&options("mednerctl annotate a")).offset_unit, None);
    }

    #[test]
    fn an_answer_must_fit_its_text() {
        let text = "é flu";
        let bytes = OffsetUnit::Utf8Byte;
        check(text, bytes, &answer(text, 3, 6, "flu")).unwrap();
        for wrong in [
            answer(text, 2, 5, "flu"),
            answer(text, 3, 7, "flu"),
            answer(text, 1, 3, "?"),
            answer(text, 6, 3, ""),
            answer("another", 3, 6, "flu"),
        ] {
            let error = check(text, bytes, &wrong).unwrap_err();
            assert!(matches!(error, Error::Misfit { .. }), "{error}");
            assert!(!error.to_string().contains("flu"));
        }
        let points = OffsetUnit::UnicodeCodePoint;
        assert!(check(text, points, &answer(text, 2, 5, "flu")).is_err());
    }

    #[test]
    fn what_is_no_text_is_sent_as_bytes_for_a_plugin_to_decode() {
        let put = |line: &str, document: &[u8]| {
            let mut request = template(&options(line));
            put(&mut request, document.to_vec()).map(|()| request)
        };
        let line = "mednerctl annotate a --document-format hl7v2";
        let sent = put(line, b"caf\xe9").unwrap();
        assert_eq!(
            (&*sent.text, sent.encoding, sent.offset_unit),
            ("Y2Fm6Q==", Some(Encoding::Base64), Some(OffsetUnit::Byte))
        );
        for (sent, length) in [("Y2Fm6Q==", 4), ("Y2Fm6QA=", 5), ("Y2Fm6QAA", 6), ("", 0)] {
            let mut bytes = answer("", 0, length, "café");
            bytes.offset_unit = OffsetUnit::Byte;
            bytes.text_length = TextLength {
                utf8_byte: length,
                utf16_code_unit: length,
                unicode_code_point: length,
            };
            check(sent, OffsetUnit::Byte, &bytes).unwrap();
            bytes.text_length.utf8_byte += 1;
            assert!(check(sent, OffsetUnit::Byte, &bytes).is_err());
        }
        let sent = put(line, "café".as_bytes()).unwrap();
        assert_eq!(
            (&*sent.text, sent.encoding, sent.offset_unit),
            ("café", None, None)
        );
        let refused = |line: &str| put(line, b"caf\xe9").unwrap_err();
        assert!(matches!(
            refused("mednerctl annotate a"),
            Error::NotUtf8 { position: 3 }
        ));
        for more in ["--format html", "--offset-unit utf8_byte"] {
            assert!(
                matches!(refused(&format!("{line} {more}")), Error::OnlyBytes),
                "{more}"
            );
        }
    }

    #[test]
    fn a_failed_document_is_no_empty_answer() {
        let mut failed = answer("flu", 0, 3, "flu");
        failed.status = Status::Failed;
        let error = check("flu", OffsetUnit::Utf8Byte, &failed).unwrap_err();
        assert_eq!(error.exit(), Exit::Refused);
    }

    #[test]
    fn a_busy_daemon_is_asked_again_as_it_says() {
        let coded = |status, retry_after, code: &str| ClientError::Refused {
            status,
            detail: ErrorDetail {
                code: code.to_owned(),
                message: "busy".to_owned(),
                details: serde_json::Map::new(),
            },
            retry_after,
        };
        let refused = |status, retry_after| coded(status, retry_after, "busy");
        let seconds = Duration::from_secs;
        assert_eq!(retry_after(&refused(429, Some(7)), 1), Some(seconds(7)));
        assert_eq!(retry_after(&refused(429, None), 3), Some(seconds(4)));
        assert_eq!(retry_after(&refused(503, Some(2)), 1), Some(seconds(2)));
        assert_eq!(
            retry_after(&refused(429, Some(0)), 1),
            Some(Duration::from_millis(100))
        );
        assert_eq!(
            retry_after(&refused(429, None), 40),
            Some(seconds(32)),
            "as long as there is patience"
        );
        for (error, attempt) in [
            (refused(429, Some(3_600)), 1),
            (refused(503, None), 1),
            (coded(503, Some(1), AUDIT_UNAVAILABLE), 1),
            (refused(403, Some(1)), 1),
            (ClientError::Protocol(String::new()), 1),
        ] {
            assert_eq!(retry_after(&error, attempt), None, "{error}");
        }
    }

    #[test]
    fn the_exit_code_tells_all_from_some() {
        let exit = |whole, partial, failures: &[Exit]| {
            Tally {
                whole,
                partial,
                failures: failures.to_vec(),
            }
            .exit()
        };
        assert_eq!(exit(3, 0, &[]), Exit::Fine);
        assert_eq!(exit(2, 1, &[]), Exit::Partly);
        assert_eq!(exit(0, 0, &[Exit::Refused; 2]), Exit::Refused);
        assert_eq!(exit(0, 0, &[Exit::Unreachable]), Exit::Unreachable);
        assert_eq!(exit(0, 0, &[Exit::Partly]), Exit::Partly);
        assert_eq!(exit(1, 0, &[Exit::Refused]), Exit::Partly);
        assert_eq!(exit(0, 0, &[Exit::Partly, Exit::Unreachable]), Exit::Partly);
    }

    #[test]
    fn a_note_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let note = folder.path().join("note.txt");
        std::fs::write(&note, "flu").unwrap();
        let [roundabout, hard, soft, new] =
            ["./note.txt", "hard", "soft", "new"].map(|name| folder.path().join(name));
        std::fs::hard_link(&note, &hard).unwrap();
        std::os::unix::fs::symlink(&note, &soft).unwrap();
        let inputs = [Input::File(note)];
        for output in [roundabout, hard, soft] {
            let refused = refuse_overwriting(&output, &inputs).unwrap_err();
            assert_eq!(refused.exit(), Exit::Usage, "{}", output.display());
        }
        refuse_overwriting(&new, &inputs).unwrap();
        refuse_overwriting("/dev/null".as_ref(), &[Input::File("/dev/null".into())]).unwrap();
    }
}
