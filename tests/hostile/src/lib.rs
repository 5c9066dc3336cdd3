//! A plugin that misbehaves as its settings say: `do` names the harm, which is done to documents that hold the
//! word POISON; others are linked, decoded and refined as they should be. `do = "told"` takes the harm from the document,
//! `POISON:harm`. `at_open = true` does it when the plugin is opened, `always = true` to every document.
//!
//! Where a harm is an attempt, what came of it is the name of a concept: `denied`, or what was gained.

// Crashes, forks and broken strings cannot be had in safe Rust, and a hostile plugin does not explain itself.
#![allow(unsafe_code, clippy::undocumented_unsafe_blocks, clippy::panic)]

use std::io::Write;
use std::time::Duration;

use mednerd_plugin::{
    Adapter, AdapterFiles, Call, Concept, Decoded, Document, DocumentFormat, Error, Host, Level,
    NormalizeOptions, Normalizer, Piece, Settings, Span, Task, Vocabulary,
};

mednerd_plugin::export! {
    id: "hostile",
    version: "1.0.0",
    normalizer: Hostile,
    adapter: Hostile,
    document: Hostile,
}

struct Hostile {
    harm: String,
    settings: Settings,
    always: bool,
    host: Host,
    kept: std::sync::Mutex<Vec<u8>>,
}

impl Hostile {
    fn make(settings: &Settings, host: Host) -> Result<Self, Error> {
        let hostile = Self {
            harm: settings.text("do").unwrap_or("nothing").to_owned(),
            settings: settings.clone(),
            always: settings.keys().any(|key| key == "always"),
            host,
            kept: std::sync::Mutex::default(),
        };
        if settings.keys().any(|key| key == "at_open") {
            hostile.harm(&hostile.harm, "");
        }
        // As long as this file is empty it cannot open.
        if let Ok(path) = settings.path("needs")
            && std::fs::read(path).is_ok_and(|bytes| bytes.is_empty())
        {
            return Err(Error::unavailable(3, "the licence server\ndoes not answer"));
        }
        Ok(hostile)
    }

    /// The version of its vocabulary: what is in the file that its settings name.
    fn version(&self) -> String {
        let path = self.settings.path("version").ok();
        let text = path.and_then(|path| std::fs::read_to_string(path).ok());
        text.map_or_else(|| "1".to_owned(), |text| text.trim().to_owned())
    }

    /// What is to be done to this document, if anything.
    fn wanted<'a>(&'a self, text: &'a str) -> Option<&'a str> {
        let told = text
            .split_once("POISON:")
            .and_then(|(_, rest)| rest.split_whitespace().next());
        match (&*self.harm, told) {
            ("told", harm) => harm,
            (harm, _) if self.always || text.contains("POISON") => Some(harm),
            _ => None,
        }
    }

    /// Does it, and says what came of it.
    fn harm(&self, harm: &str, text: &str) -> String {
        let (name, argument) = harm.split_once('=').unwrap_or((harm, ""));
        match name {
            "panic" => panic!("about {text}"),
            "segfault" => unsafe {
                std::ptr::null_mut::<u8>().wrapping_add(8).write_volatile(1);
            },
            // After so many milliseconds.
            "abort" => {
                std::thread::sleep(Duration::from_millis(argument.parse().unwrap_or(0)));
                std::process::abort()
            }
            "exit" => std::process::exit(0),
            "loop" => loop {
                std::hint::spin_loop();
            },
            "sleep" => std::thread::sleep(Duration::from_secs(1000)),
            "pause" => std::thread::sleep(Duration::from_millis(argument.parse().unwrap_or(0))),
            "memory" => {
                let mut hoard: Vec<Vec<u8>> = Vec::new();
                loop {
                    hoard.push(vec![1; 1 << 20]);
                }
            }
            "leak" => self
                .kept
                .lock()
                .map(|mut kept| kept.extend(vec![1; 1 << 10]))
                .unwrap_or(()),
            "fork" => return outcome(unsafe { libc::fork() }),
            "exec" => return attempt(std::process::Command::new("/bin/true").spawn()),
            "socket" => return outcome(unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM, 0) }),
            "unix" => return outcome(unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) }),
            "kill" => return outcome(unsafe { libc::kill(libc::getppid(), libc::SIGKILL) }),
            // The kernel is to send a signal when the file changes.
            "own" => return outcome(unsafe { libc::fcntl(0, libc::F_SETOWN, libc::getppid()) }),
            // Not a path of its own: those of the settings may be read.
            "read" => return attempt(std::fs::read(format!("/{argument}"))),
            "list" => return attempt(std::fs::read_dir(format!("/{argument}"))),
            "write" => return attempt(std::fs::write(format!("/{argument}"), text)),
            "stdout" => {
                print_all(text);
                return "written".to_owned();
            }
            "stdin" => {
                // The protocol's socket was here; a forged frame would end this process.
                let written = unsafe { libc::write(0, text.as_ptr().cast(), text.len()) };
                return outcome(i32::try_from(written).unwrap_or(0));
            }
            "log" => {
                self.host.log(Level::Error, text, &[1.0]);
                self.host.log(Level::Information, "known", &[42.0]);
                self.host.count(text, 1.0);
                self.host.count("known", 3.0);
                return "logged".to_owned();
            }
            "name" => {
                // Any user of the machine can read what a thread is called.
                let named = unsafe { libc::prctl(libc::PR_SET_NAME, c"POISON".as_ptr()) };
                return outcome(named);
            }
            "environment" => return format!("{} variables", std::env::vars_os().count()),
            _ => {}
        }
        String::new()
    }
}

fn attempt<T>(result: std::io::Result<T>) -> String {
    match result {
        Ok(_) => "gained".to_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => "denied".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn outcome(number: i32) -> String {
    match number {
        0.. => "gained".to_owned(),
        _ => attempt(Err::<(), _>(std::io::Error::last_os_error())),
    }
}

fn print_all(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn concept(name: &str) -> Concept {
    Concept {
        id: "H1".to_owned(),
        vocabulary: "HOSTILE".to_owned(),
        name: name.to_owned(),
        semantic_types: Vec::new(),
        score: 0.5,
        match_kind: "exact".to_owned(),
        codings: Vec::new(),
    }
}

/// Waits as a plugin does that asks whether it is still wanted.
fn wait(time: Duration, call: &Call<'_>) -> Result<(), Error> {
    let until = std::time::Instant::now() + time;
    while std::time::Instant::now() < until {
        call.check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Bytes that are no UTF-8 in a string that says they are.
fn broken() -> String {
    unsafe { String::from_utf8_unchecked(vec![0xff, 0xfe]) }
}

impl Normalizer for Hostile {
    fn open(settings: &Settings, host: Host) -> Result<Self, Error> {
        Self::make(settings, host)
    }

    fn vocabularies(&self) -> Result<Vec<Vocabulary>, Error> {
        Ok(vec![Vocabulary {
            name: "HOSTILE".to_owned(),
            version: self.version(),
        }])
    }

    fn normalize(
        &self,
        document: &Document<'_>,
        options: &NormalizeOptions,
        call: &Call<'_>,
    ) -> Result<Vec<Vec<Concept>>, Error> {
        if !options.wants("HOSTILE") {
            return Ok(vec![Vec::new(); document.mentions.len()]);
        }
        if let Some(time) = self.harm.strip_prefix("slow=") {
            // No harm: it keeps every rule, and takes its time.
            wait(Duration::from_millis(time.parse().unwrap_or(0)), call)?;
        }
        let Some(harm) = self.wanted(document.text) else {
            return Ok(vec![vec![concept("harmless")]; document.mentions.len()]);
        };
        let gained = self.harm(harm, document.text);
        let mut linked = vec![vec![concept(&gained)]; document.mentions.len()];
        let Some(first) = linked.first_mut() else {
            return Ok(linked);
        };
        match harm {
            "thousands" => *first = vec![concept("x"); 10_000],
            "million" => *first = vec![concept("x"); 1_000_000],
            "few" => linked.truncate(0),
            "order" => {
                let better = Concept {
                    score: 0.9,
                    ..concept("x")
                };
                first.push(better);
            }
            "score" => first.iter_mut().for_each(|concept| concept.score = f32::NAN),
            "vocabulary" => first
                .iter_mut()
                .for_each(|concept| concept.vocabulary = "UMLS".to_owned()),
            "utf8" => first.iter_mut().for_each(|concept| concept.name = broken()),
            "long" => first
                .iter_mut()
                .for_each(|concept| concept.name = "x".repeat(1 << 20)),
            "control" => first
                .iter_mut()
                .for_each(|concept| concept.name = "a\nb".to_owned()),
            "error" => return Err(Error::unavailable(7, document.text)),
            // Each is as it may be, and together they are 20 MB.
            "heavy" => {
                let heavy = Concept {
                    semantic_types: vec!["T".repeat(4096); 1024],
                    ..concept("heavy")
                };
                *first = vec![heavy; 5];
            }
            "internal" => return Err(Error::internal(5)),
            "input" => return Err(Error::input(3)),
            _ => {}
        }
        Ok(linked)
    }
}

impl Adapter for Hostile {
    fn open(settings: &Settings, host: Host) -> Result<Self, Error> {
        Self::make(settings, host)
    }

    fn task(&self) -> Result<Task, Error> {
        let text = |key, or: &str| self.settings.text(key).unwrap_or(or).to_owned();
        Ok(Task {
            name: text("name", "hostile"),
            base: text("base", &"0".repeat(64)),
            labels: text("labels", "DRUG").split(',').map(str::to_owned).collect(),
            refines: true,
        })
    }

    fn files(&self, _: &Call<'_>) -> Result<AdapterFiles, Error> {
        if self.harm == "files" {
            return Err(Error::unavailable(9, "not today"));
        }
        let Ok(folder) = self.settings.path("path") else {
            return Ok(AdapterFiles {
                config: b"{}".to_vec(),
                tensors: Vec::new(),
            });
        };
        let read = |name| std::fs::read(folder.join(name)).map_err(|_| Error::internal(1));
        Ok(AdapterFiles {
            config: read("adapter_config.json")?,
            tensors: read("adapter_model.safetensors")?,
        })
    }

    fn refine(&self, text: &str, mut spans: Vec<Span>, _: &Call<'_>) -> Result<Vec<Span>, Error> {
        let Some(harm) = self.wanted(text) else {
            return Ok(spans);
        };
        self.harm(harm, text);
        let Some(first) = spans.first_mut() else {
            return Ok(spans);
        };
        match harm {
            "beyond" => first.end = text.len() + 1,
            "backwards" => first.end = first.begin,
            // The document that is refined begins with a letter of two bytes.
            "midchar" => (first.begin, first.end) = (1, 2),
            "label" => "UNDECLARED".clone_into(&mut first.label),
            "utf8" => first.label = broken(),
            "score" => first.score = f32::NAN,
            "many" => spans = vec![first.clone(); 100_000],
            "drop" => spans.clear(),
            "error" => return Err(Error::unavailable(7, text)),
            _ => {}
        }
        Ok(spans)
    }
}

impl DocumentFormat for Hostile {
    fn open(settings: &Settings, host: Host) -> Result<Self, Error> {
        Self::make(settings, host)
    }

    fn formats(&self) -> Result<Vec<String>, Error> {
        Ok(vec!["hostile".to_owned()])
    }

    fn decode(&self, _: &str, bytes: &[u8], _: &Call<'_>) -> Result<Decoded, Error> {
        let source = String::from_utf8_lossy(bytes);
        let mut decoded = Decoded::default();
        decoded.copy(&source, 0);
        let Some(harm) = self.wanted(&source) else {
            return Ok(decoded);
        };
        self.harm(harm, &source);
        let end = decoded.text.len();
        let piece = |text: (usize, usize), source: (usize, usize)| Piece {
            text_begin: text.0,
            text_end: text.1,
            source_begin: source.0,
            source_end: source.1,
        };
        // The text begins with "é".
        let pieces = match harm {
            "gap" => vec![piece((0, 2), (0, 2)), piece((3, end), (3, end))],
            "short" => vec![piece((0, 2), (0, 2))],
            "overlap" => vec![piece((0, 4), (0, 4)), piece((3, end), (4, end))],
            "back" => vec![piece((0, 2), (2, 4)), piece((2, end), (0, 2))],
            "backwards" => vec![piece((0, end), (4, 2))],
            "beyond" => vec![piece((0, end), (0, end + 1))],
            "far" => vec![piece((0, end), (0, usize::MAX))],
            "midchar" => vec![piece((0, 1), (0, 2)), piece((1, end), (2, end))],
            "midsource" => vec![piece((0, 2), (0, 1)), piece((2, end), (1, end))],
            "empty" => vec![piece((0, 0), (0, 0)), piece((0, end), (0, end))],
            "none" => Vec::new(),
            _ => decoded.pieces,
        };
        decoded.pieces = pieces;
        match harm {
            "utf8" => decoded.text = broken(),
            "huge" => {
                decoded = Decoded::default();
                decoded.replace(&"x".repeat(8 << 20), 0, 0);
            }
            "input" => return Err(Error::input(3)),
            "error" => return Err(Error::unavailable(7, &*source)),
            _ => {}
        }
        Ok(decoded)
    }
}
