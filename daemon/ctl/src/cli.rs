//! The command line, defined once: the parser, the help, the completions and the man pages are all
//! made from it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, ValueHint};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::Offset;
use mednerd_client::api::{Aggregation, Label, LabelGroup, OffsetUnit};
use mednerd_client::{DEFAULT_ADMIN_SOCKET, DEFAULT_SOCKET};
use mednerd_plugin::package::{PLUGINS, TRUSTED_KEYS};
use serde::de::DeserializeOwned;
use serde::de::value::{Error as ValueError, StrDeserializer};

use crate::error::Error;
use crate::exit::Exit;

/// Where `mednerctl model install` puts models.
const MODELS: &str = "/var/lib/mednerd/models";

/// How long a question about the daemon itself may take.
pub const SHORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the work on a note, or a reload, may take.
pub const LONG_TIMEOUT: Duration = Duration::from_secs(600);

/// Finds biomedical entities in clinical notes through a running mednerd daemon.
#[derive(Debug, Parser)]
#[command(
    name = "mednerctl",
    version = mednerd_client::version(),
    after_long_help = exit_codes(),
    propagate_version = true,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// Socket of the daemon.
    #[arg(
        long,
        global = true,
        env = "MEDNERD_SOCKET",
        hide_env_values = true,
        value_name = "PATH",
        default_value = DEFAULT_SOCKET,
        value_hint = ValueHint::FilePath
    )]
    pub socket: PathBuf,

    /// Whether the command line or the environment named it.
    #[arg(skip)]
    pub socket_given: bool,

    /// Give up on the daemon's answer after so many seconds, for annotate with the waits for a daemon that is busy [default: 10
    /// for status, models, plugins, doctor and support-bundle; 600 for annotate, reload, load, unload and bench]. The others ask
    /// no daemon.
    #[arg(long, global = true, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The sub-commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find the entities in notes.
    #[command(after_long_help = exit_codes())]
    Annotate(Box<AnnotateOptions>),
    /// Show what the daemon is doing and how busy it is.
    #[command(after_long_help = exit_codes())]
    Status(InfoOptions),
    /// List the loaded models.
    #[command(after_long_help = exit_codes())]
    Models(InfoOptions),
    /// List the loaded plugins.
    #[command(after_long_help = exit_codes())]
    Plugins(InfoOptions),
    /// Check, sign, verify, install and remove plugins on this machine.
    #[command(after_long_help = exit_codes(), arg_required_else_help = true)]
    Plugin {
        /// What to do.
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Check, install, verify, sign and remove models and task adapters on this machine.
    #[command(after_long_help = exit_codes(), arg_required_else_help = true)]
    Model {
        /// What to do.
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Make the daemon read its configuration again.
    ///
    /// The daemon checks the whole configuration first. Where it finds a problem it changes nothing
    /// and each problem is printed. Needs the admin socket.
    #[command(after_long_help = exit_codes())]
    Reload(ReloadOptions),
    /// Load a model, or a task adapter over a loaded model, while requests run.
    ///
    /// It stays until the next reload or restart, which bring back what the configuration says. Needs the admin socket.
    #[command(after_long_help = exit_codes())]
    Load(LoadOptions),
    /// Unload a model or task adapter while requests run.
    ///
    /// It stays away until the next reload or restart, which bring back what the configuration says. Needs the admin
    /// socket.
    #[command(after_long_help = exit_codes())]
    Unload(UnloadOptions),
    /// Measure the daemon through its socket.
    ///
    /// Each connection sends the same note again as soon as it has the answer. A latency is the time
    /// from sending a request to having read its answer, so it holds the socket, the queue, the
    /// model and the parsing of the answer. Rates count answered notes over the whole run; that of
    /// tokens is the daemon's own count and includes other clients' notes. Each connection first
    /// sends one note that is not counted.
    #[command(after_long_help = exit_codes())]
    Bench(BenchOptions),
    /// Read the audit trail: verify it, show or export what is in it.
    ///
    /// The trail and its key are for root and the daemon alone. The daemon need not run.
    #[command(after_long_help = exit_codes())]
    Audit {
        /// What to do with it.
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Check this installation and print what to do about what is wrong.
    ///
    /// Run it as root: others cannot see everything.
    #[command(after_long_help = exit_codes())]
    Doctor(DoctorOptions),
    /// Collect what a supporter asks for, without any note text.
    #[command(after_long_help = exit_codes())]
    SupportBundle(BundleOptions),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
    /// Write the man pages into a directory.
    #[command(hide = true)]
    Man {
        /// The directory; made where it is not there.
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        directory: PathBuf,
    },
}

/// The sub-commands of `plugin`. A plugin is a directory with plugin.toml, plugin.toml.minisig and a library.
#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// Run the conformance suite: each test in a process of its own, confined as on a server.
    Check(CheckOptions),
    /// Say who signed a plugin, and whether that is a trusted key.
    Verify(VerifyOptions),
    /// Verify a plugin and copy it to where the daemon loads it from.
    ///
    /// Says which version it replaces. A plugin of another signer, or an older version, replaces one only where that is allowed.
    Install(InstallOptions),
    /// Remove an installed plugin.
    Remove {
        /// Its id.
        id: String,
        /// Where plugins are installed.
        #[arg(long, value_name = "DIR", default_value = PLUGINS, value_hint = ValueHint::DirPath)]
        into: PathBuf,
    },
    /// List the installed plugins and whether their signatures hold.
    ///
    /// Whether one opens with its settings only the daemon finds out: `mednerd validate`, `mednerctl plugins`.
    List {
        /// Where plugins are installed.
        #[arg(long, value_name = "DIR", default_value = PLUGINS, value_hint = ValueHint::DirPath)]
        into: PathBuf,
        /// Public keys of trusted vendors, *.pub.
        #[arg(long, value_name = "DIR", default_value = TRUSTED_KEYS, value_hint = ValueHint::DirPath)]
        trusted_keys: PathBuf,
    },
    /// Make a pair of keys to sign with: minisign's own format.
    ///
    /// The password is asked for, or taken from MEDNERD_KEY_PASSWORD; an empty one leaves the key open.
    Keygen(KeygenOptions),
    /// Write the library's digest into plugin.toml, and sign that.
    ///
    /// The key's password is asked for, or taken from MEDNERD_KEY_PASSWORD.
    Sign(SignOptions),
}

/// What `plugin check` can be told.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// The plugin's directory.
    #[arg(value_hint = ValueHint::DirPath)]
    pub path: PathBuf,
    /// Its settings, as a JSON object.
    #[arg(long, value_name = "JSON", value_parser = object)]
    pub settings: Option<String>,
    /// A document for plugins that decode a format.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sample: Option<PathBuf>,
    /// Mentions for plugins that link, one in each line: what their vocabulary knows.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub mentions: Option<PathBuf>,
    /// Seconds that one test may take.
    #[arg(long, value_name = "S", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub patience: u64,
    /// Write the report to a file, to be attached to a release.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub report: Option<PathBuf>,
    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,
    /// The program that runs the plugin [default: beside this one, or where the package puts it].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub host: Option<PathBuf>,
}

/// What `plugin verify` can be told.
#[derive(Debug, Args)]
pub struct VerifyOptions {
    /// The plugin's directory.
    #[arg(value_hint = ValueHint::DirPath)]
    pub path: PathBuf,
    /// Public keys of trusted vendors, *.pub.
    #[arg(long, value_name = "DIR", default_value = TRUSTED_KEYS, value_hint = ValueHint::DirPath)]
    pub trusted_keys: PathBuf,
}

/// What `plugin install` can be told.
#[derive(Debug, Args)]
pub struct InstallOptions {
    /// The plugin's directory.
    #[arg(value_hint = ValueHint::DirPath)]
    pub path: PathBuf,
    /// Where plugins are installed.
    #[arg(long, value_name = "DIR", default_value = PLUGINS, value_hint = ValueHint::DirPath)]
    pub into: PathBuf,
    /// Public keys of trusted vendors, *.pub.
    #[arg(long, value_name = "DIR", default_value = TRUSTED_KEYS, value_hint = ValueHint::DirPath)]
    pub trusted_keys: PathBuf,
    /// Replace a plugin that another key has signed.
    #[arg(long)]
    pub other_key: bool,
    /// Replace a plugin by an older version.
    #[arg(long)]
    pub older: bool,
}

/// What `plugin keygen` can be told.
#[derive(Debug, Args)]
pub struct KeygenOptions {
    /// The secret key to write; the public one gets the extension pub.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key: PathBuf,
}

/// What `plugin sign` and `model sign` can be told.
#[derive(Debug, Args)]
pub struct SignOptions {
    /// The plugin's or model's directory.
    #[arg(value_hint = ValueHint::DirPath)]
    pub path: PathBuf,
    /// The secret key.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub key: PathBuf,
}

/// The sub-commands of `model`. A model is a Hugging Face checkpoint, an adapter a PEFT directory.
#[derive(Debug, Subcommand)]
pub enum ModelCommand {
    /// Check a model or adapter and copy it to where the daemon loads it from.
    ///
    /// The daemon's program loads it, has it read a sentence and compares its goldens.jsonl, where it has one. Only files that
    /// the daemon or a person reads are copied, weights in safetensors alone. SHA256SUMS records them; where the directory
    /// brings its own, it must fit, and so must its signature. What is there under the same name is replaced in one step, and
    /// stays where anything fails.
    Install(ModelInstall),
    /// Compare an installed model with its record, and load it.
    Verify {
        /// Its name.
        name: String,
        /// Where it is.
        #[command(flatten)]
        place: ModelPlace,
        /// How to load it.
        #[command(flatten)]
        check: ModelCheck,
    },
    /// List the installed models and whether they are as they were installed.
    List {
        /// Where they are.
        #[command(flatten)]
        place: ModelPlace,
    },
    /// Remove an installed model.
    Remove {
        /// Its name.
        name: String,
        /// Where models are installed.
        #[arg(long, value_name = "DIR", default_value = MODELS, value_hint = ValueHint::DirPath)]
        into: PathBuf,
    },
    /// Record a model's files in SHA256SUMS and sign that, with a key of `mednerctl plugin keygen`.
    ///
    /// The key's password is asked for, or taken from MEDNERD_KEY_PASSWORD.
    Sign(SignOptions),
}

/// Where models are installed.
#[derive(Debug, Args)]
pub struct ModelPlace {
    /// Where models are installed.
    #[arg(long, value_name = "DIR", default_value = MODELS, value_hint = ValueHint::DirPath)]
    pub into: PathBuf,
    /// Public keys of trusted vendors, *.pub.
    #[arg(long, value_name = "DIR", default_value = TRUSTED_KEYS, value_hint = ValueHint::DirPath)]
    pub trusted_keys: PathBuf,
}

/// How a model is loaded to be checked.
#[derive(Debug, Args)]
pub struct ModelCheck {
    /// The base of an adapter: the name of an installed or shipped model, or a directory.
    #[arg(long, value_name = "NAME|DIR", value_hint = ValueHint::DirPath)]
    pub base: Option<PathBuf>,
    /// The daemon's program [default: beside this one, or where the package puts it].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub daemon: Option<PathBuf>,
}

/// What `model install` can be told.
#[derive(Debug, Args)]
pub struct ModelInstall {
    /// The directory: a checkpoint, an adapter, or a snapshot in a hub's cache.
    #[arg(value_hint = ValueHint::DirPath)]
    pub path: PathBuf,
    /// What its folder is called [default: as the directory, or the repository in the hub's cache].
    #[arg(long)]
    pub name: Option<String>,
    /// Split larger weights into shards. Adapters that name a base by its digest do not know it any more when it is split.
    #[arg(long, value_name = "N", default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub max_file_mb: u64,
    /// Where to.
    #[command(flatten)]
    pub place: ModelPlace,
    /// How to check it.
    #[command(flatten)]
    pub check: ModelCheck,
}

/// What `annotate` can be told.
#[derive(Debug, Args)]
pub struct AnnotateOptions {
    /// Notes as UTF-8, or documents of --document-format; `-` is standard input, which is also read where no file is named.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// How to print the answers.
    #[arg(long, short, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// The format of the documents, for a plugin that decodes it, such as hl7v2; `mednerctl plugins` lists them [default:
    /// plain text].
    #[arg(long, value_name = "NAME")]
    pub document_format: Option<String>,

    /// The document's id, which the audit trail keeps as it is where it is an identifier: a number, never a name [default: none].
    #[arg(long, value_name = "ID", conflicts_with = "document_id_from_name")]
    pub document_id: Option<String>,

    /// Send the name of each file, as it is given here, as its document's id. Only where no name says of whom the document is: the
    /// audit trail keeps it.
    #[arg(long)]
    pub document_id_from_name: bool,

    /// Names of the models to ask, comma between [default: the daemon's default models].
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub models: Option<Vec<String>>,

    /// Leave out entities with a lower score, 0 to 1.
    #[arg(long, value_name = "SCORE", value_parser = score)]
    pub threshold: Option<f32>,

    /// How word pieces become entities, as Hugging Face defines the names [default: simple].
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(Aggregation::NAMES))]
    pub aggregation: Option<String>,

    /// What zero-shot models shall look for, comma between; LABEL=WORD|WORD asks for other words beside the label.
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = label)]
    pub labels: Option<Vec<Label>>,

    /// Let entities of a zero-shot model lie within one another.
    #[arg(long)]
    pub nested: bool,

    /// Let the same words have several labels from a zero-shot model.
    #[arg(long)]
    pub multi_label: bool,

    /// What begin and end count [default: unicode_code_point; html always uses utf8_byte; of documents that are not UTF-8, bytes].
    #[arg(long, value_name = "UNIT", value_parser = PossibleValuesParser::new(OffsetUnit::NAMES))]
    pub offset_unit: Option<String>,

    /// Link entities to the concepts of the daemon's vocabularies.
    #[arg(long)]
    pub link: bool,

    /// Concepts for each entity at most [default: 5].
    #[arg(long, value_name = "N", requires = "link", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub top_k: Option<u32>,

    /// Only concepts of these vocabularies, comma between; `mednerctl plugins` lists them [default: all].
    #[arg(long, value_name = "NAMES", requires = "link", value_delimiter = ',')]
    pub vocabularies: Option<Vec<String>>,

    /// Only codes of these systems, by name (SNOMEDCT, ICD-10-CM) or FHIR URI, comma between [default: all].
    #[arg(long, value_name = "SYSTEMS", requires = "link", value_delimiter = ',')]
    pub code_systems: Option<Vec<String>>,

    /// Milliseconds that the daemon may spend on one note [default: the daemon's].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub deadline_ms: Option<u64>,

    /// Write to a file; a new one is readable by its owner alone, since it holds note text, and an older one is replaced when all is
    /// written.
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,

    /// Connections to use at once for many files.
    #[arg(long, short, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
}

impl AnnotateOptions {
    /// The aggregation that was asked for.
    pub fn aggregation(&self) -> Option<Aggregation> {
        self.aggregation.as_deref().and_then(by_api_name)
    }

    /// The offset unit that was asked for.
    pub fn offset_unit(&self) -> Option<OffsetUnit> {
        self.offset_unit.as_deref().and_then(by_api_name)
    }
}

/// What `status`, `models` and `plugins` can be told.
#[derive(Clone, Copy, Debug, Args)]
pub struct InfoOptions {
    /// Print the daemon's answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// Parses one command line, program name first.
///
/// # Errors
/// What clap says; and `--socket` is refused for what goes to the admin socket and would otherwise
/// reach another daemon than the one that was meant.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(arguments)?;
    if let Some((name @ ("reload" | "load" | "unload"), given)) = matches.subcommand()
        && given.value_source("socket") == Some(ValueSource::CommandLine)
    {
        let why = format!("{name} goes to the admin socket: use --admin-socket in place of --socket");
        return Err(command.error(ErrorKind::ArgumentConflict, why));
    }
    // Of the sub-command: there it is known wherever it stood.
    let given = matches
        .subcommand()
        .and_then(|(_, given)| given.value_source("socket"));
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.socket_given = matches!(given, Some(ValueSource::CommandLine | ValueSource::EnvVariable));
    Ok(cli)
}

/// What `reload` can be told.
#[derive(Debug, Args)]
pub struct ReloadOptions {
    /// Where to send it.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// What every command to the admin socket can be told.
#[derive(Debug, Args)]
pub struct AdminOptions {
    /// Admin socket of the daemon.
    #[arg(
        long,
        env = "MEDNERD_ADMIN_SOCKET",
        hide_env_values = true,
        value_name = "PATH",
        default_value = DEFAULT_ADMIN_SOCKET,
        value_hint = ValueHint::FilePath
    )]
    pub admin_socket: PathBuf,

    /// Print the daemon's answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `load` can be told.
#[derive(Debug, Args)]
pub struct LoadOptions {
    /// What requests shall call it.
    pub name: String,

    /// Its directory: a Hugging Face checkpoint or, with --base, a PEFT adapter. The daemon must be able to read it.
    #[arg(value_hint = ValueHint::DirPath)]
    pub path: PathBuf,

    /// The loaded model that it is an adapter over.
    #[arg(long, value_name = "NAME")]
    pub base: Option<String>,

    /// Requests that name no model get it.
    #[arg(long)]
    pub default: bool,

    /// What a zero-shot model looks for where a request does not say; as for annotate.
    #[arg(long, value_name = "LABELS", value_delimiter = ',', value_parser = label)]
    pub labels: Option<Vec<Label>>,

    /// Where to send it.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// What `unload` can be told.
#[derive(Debug, Args)]
pub struct UnloadOptions {
    /// The name of the model or adapter.
    pub name: String,

    /// Where to send it.
    #[command(flatten)]
    pub admin: AdminOptions,
}

/// The sub-commands of `audit`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Find every change that was made to the trail.
    Verify {
        /// Where it is.
        #[command(flatten)]
        place: AuditPlace,
        /// A chain value noted elsewhere, from the journal say, that must be in the trail: shows that its end was not
        /// cut off.
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
        /// Print the result as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show records as a table.
    Show {
        /// Where the trail is.
        #[command(flatten)]
        place: AuditPlace,
        /// Which records.
        #[command(flatten)]
        filter: AuditFilter,
    },
    /// Write records for another program.
    Export {
        /// Where the trail is.
        #[command(flatten)]
        place: AuditPlace,
        /// Which records.
        #[command(flatten)]
        filter: AuditFilter,
        /// How to write them.
        #[arg(long, short, value_enum, default_value_t = AuditFormat::Ndjson)]
        format: AuditFormat,
        /// Write to a file, readable by its owner alone.
        #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
        output: Option<PathBuf>,
    },
}

/// Where an audit trail is.
#[derive(Debug, Args)]
pub struct AuditPlace {
    /// Its folder; or files of it, oldest first.
    #[arg(long, value_name = "PATH", default_value = "/var/lib/mednerd/audit", num_args = 1.., value_hint = ValueHint::AnyPath)]
    pub path: Vec<PathBuf>,

    /// Its key.
    #[arg(long, value_name = "FILE", default_value = "/etc/mednerd/audit.key", value_hint = ValueHint::FilePath)]
    pub key: PathBuf,
}

/// Which records of an audit trail.
#[derive(Debug, Args)]
pub struct AuditFilter {
    /// From this time on: a day such as 2026-11-21, or 2026-11-21T08:00; in UTC, or with an offset as in
    /// 2026-11-21T08:00+02:00.
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub since: Option<Timestamp>,

    /// Before this time; a day alone is the last that counts.
    #[arg(long, value_name = "TIME", value_parser = until)]
    pub until: Option<Timestamp>,

    /// Of this user.
    #[arg(long, value_name = "UID")]
    pub uid: Option<u32>,

    /// About the document with this id.
    #[arg(long, value_name = "ID")]
    pub document: Option<String>,

    /// About this very text, to the byte.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub text: Option<PathBuf>,
}

/// How records are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AuditFormat {
    /// One JSON object a line.
    Ndjson,
    /// For a spreadsheet.
    Csv,
}

/// Where an installation is, if not where its configuration says.
#[derive(Clone, Debug, Args)]
pub struct InstallationPlace {
    /// The daemon's configuration [default: the running daemon's, else /etc/mednerd/mednerd.toml].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,

    /// Admin socket of the daemon [default: the configuration's].
    #[arg(long, env = "MEDNERD_ADMIN_SOCKET", hide_env_values = true, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub admin_socket: Option<PathBuf>,

    /// Folder of the audit trail [default: the configuration's].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub audit: Option<PathBuf>,

    /// Key of the audit trail [default: the configuration's].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub audit_key: Option<PathBuf>,
}

/// What `doctor` can be told.
#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// What to look at.
    #[command(flatten)]
    pub place: InstallationPlace,

    /// Print the findings as JSON.
    #[arg(long)]
    pub json: bool,
}

/// What `support-bundle` can be told.
#[derive(Debug, Args)]
pub struct BundleOptions {
    /// What to look at.
    #[command(flatten)]
    pub place: InstallationPlace,

    /// The archive (.tar.gz) or, with any other name, folder to make; it must not exist.
    #[arg(long, short, value_name = "PATH", default_value = "mednerd-support.tar.gz", value_hint = ValueHint::AnyPath)]
    pub output: PathBuf,

    /// At most so many lines of the journal.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    pub lines: u32,
}

/// What `bench` can be told.
#[derive(Debug, Args)]
pub struct BenchOptions {
    /// The model to ask [default: the daemon's default models].
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// The note to send [default: a short built-in one].
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub text: Option<PathBuf>,

    /// Stop after so many requests.
    #[arg(long, value_name = "N", conflicts_with = "seconds",
          value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub requests: Option<u64>,

    /// Stop after so many seconds [default: 10].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: Option<u64>,

    /// Connections to use at once.
    #[arg(long, short, value_name = "C", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub connections: u16,

    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for people.
    Table,
    /// The daemon's answer, indented; an array where there are several files.
    Json,
    /// The daemon's answer, one line for each file.
    Ndjson,
    /// One page that shows the notes with their entities; needs nothing else to be viewed.
    Html,
}

/// The shells with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash.
    Bash,
    /// Zsh.
    Zsh,
    /// Fish.
    Fish,
}

/// The whole definition, for completions, man pages and tests.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The error of options of the sub-command at `path` that contradict each other in a way the definition cannot say.
pub fn usage(path: &[&str], kind: ErrorKind, sentence: &str) -> Error {
    let mut command = command();
    // For the usage line of the sub-command.
    command.build();
    let found = path
        .iter()
        .try_fold(&mut command, |at, name| at.find_subcommand_mut(name));
    Error::Usage(match found {
        Some(found) => found.error(kind, sentence),
        None => command.error(kind, sentence),
    })
}

/// A value by the name it has in the API.
fn by_api_name<T: DeserializeOwned>(name: &str) -> Option<T> {
    T::deserialize(StrDeserializer::<ValueError>::new(name)).ok()
}

fn exit_codes() -> String {
    let mut text = String::from("Exit codes:");
    for exit in Exit::ALL {
        text.push_str(&format!("\n  {}  {}", exit.code(), exit.meaning()));
    }
    text
}

fn score(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(score) if (0.0..=1.0).contains(&score) => Ok(score),
        _ => Err("must be a number from 0 to 1".to_owned()),
    }
}

/// A label, or a label with other words behind a `=`, bars between.
fn label(text: &str) -> Result<Label, String> {
    let Some((name, synonyms)) = text.split_once('=') else {
        return Ok(Label::Name(text.to_owned()));
    };
    Ok(Label::Group(LabelGroup {
        name: name.to_owned(),
        synonyms: synonyms.split('|').map(ToOwned::to_owned).collect(),
    }))
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("must be a number of seconds above 0, at most 86400".to_owned()),
    }
}

/// The first moment of a day, or a moment.
fn since(text: &str) -> Result<Timestamp, String> {
    moment(text, Some)
}

/// The end of a day, or a moment.
fn until(text: &str) -> Result<Timestamp, String> {
    moment(text, |day| day.tomorrow().ok())
}

/// A moment with its offset from UTC, else in UTC; of a day alone the midnight before the day that `bound` makes of it.
fn moment(text: &str, bound: impl FnOnce(Date) -> Option<Date>) -> Result<Timestamp, String> {
    // A zone in brackets would be read over, and so would an offset without a time.
    let read = || match text.contains(['T', 't', ' ', ':', '[', '+']) {
        false => {
            let day = bound(text.parse().ok()?);
            let midnight = day.and_then(|day| Offset::UTC.to_timestamp(day.into()).ok());
            // The last days that there are mean the end of time.
            Some(midnight.unwrap_or(Timestamp::MAX))
        }
        true if text.contains('[') => None,
        true => match text.parse::<Timestamp>() {
            Ok(moment) => Some(moment),
            Err(_) => Offset::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok(),
        },
    };
    read().ok_or_else(|| {
        "must be a day such as 2026-11-21, or a time such as 2026-11-21T08:00 or 2026-11-21T08:00:00+02:00".to_owned()
    })
}

/// A JSON object, as it stands.
fn object(text: &str) -> Result<String, String> {
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "must be a JSON object such as {{\"terms\": \"/srv/terms.csv\"}}: {error}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        super::parse(line.split(' ').map(OsString::from))
    }

    fn annotate(line: &str) -> AnnotateOptions {
        match parse(line).unwrap().command {
            Command::Annotate(options) => *options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn sockets_default_to_those_of_the_package() {
        let cli = parse("mednerctl reload").unwrap();
        assert_eq!(cli.socket, PathBuf::from(DEFAULT_SOCKET));
        let Command::Reload(options) = cli.command else {
            panic!()
        };
        assert_eq!(options.admin.admin_socket, PathBuf::from(DEFAULT_ADMIN_SOCKET));
    }

    #[test]
    fn the_socket_may_stand_before_or_after_the_command() {
        for line in [
            "mednerctl --socket /tmp/s status",
            "mednerctl status --socket /tmp/s",
        ] {
            assert_eq!(parse(line).unwrap().socket, PathBuf::from("/tmp/s"));
        }
    }

    #[test]
    fn administration_takes_the_admin_socket_alone() {
        for line in [
            "mednerctl --socket /tmp/s reload",
            "mednerctl reload --socket /tmp/s",
            "mednerctl load a /a --socket /tmp/s",
            "mednerctl --socket /tmp/s unload a",
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
            assert!(error.to_string().contains("--admin-socket"), "{error}");
        }
        assert!(parse("mednerctl reload --admin-socket /tmp/s").is_ok());
    }

    #[test]
    fn annotate_takes_lists_and_names_of_the_api() {
        let options = annotate(
            "mednerctl annotate a.txt - --models x,y --labels drug=medicine|pill,dose --nested --threshold 0.5 \
             --aggregation max --offset-unit utf16_code_unit --deadline-ms 250 --link --top-k 2 --vocabularies UMLS \
             --code-systems SNOMEDCT,http://loinc.org -f ndjson -j 8",
        );
        assert_eq!(options.files, [PathBuf::from("a.txt"), PathBuf::from("-")]);
        assert_eq!(options.models.as_deref().unwrap(), ["x", "y"]);
        let drug = Label::Group(LabelGroup {
            name: "drug".to_owned(),
            synonyms: vec!["medicine".to_owned(), "pill".to_owned()],
        });
        let labels = [drug, Label::Name("dose".to_owned())];
        assert_eq!(options.labels.as_deref().unwrap(), labels);
        assert!(options.nested && !options.multi_label);
        assert_eq!(options.threshold, Some(0.5));
        assert_eq!(options.aggregation(), Some(Aggregation::Max));
        assert_eq!(options.offset_unit(), Some(OffsetUnit::Utf16CodeUnit));
        assert_eq!(options.deadline_ms, Some(250));
        assert!(options.link);
        assert_eq!(
            (options.top_k, options.vocabularies.as_deref().unwrap()),
            (Some(2), &["UMLS".to_owned()][..])
        );
        assert_eq!(
            options.code_systems.as_deref().unwrap(),
            ["SNOMEDCT", "http://loinc.org"]
        );
        assert!(
            parse("mednerctl annotate a.txt --code-systems SNOMEDCT").is_err(),
            "without --link"
        );
        assert_eq!(options.format, Format::Ndjson);
        assert_eq!(options.jobs, 8);
    }

    #[test]
    fn every_name_of_the_api_is_understood() {
        for name in OffsetUnit::NAMES {
            assert!(by_api_name::<OffsetUnit>(name).is_some(), "{name}");
        }
        for name in Aggregation::NAMES {
            assert!(by_api_name::<Aggregation>(name).is_some(), "{name}");
        }
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for line in [
            "mednerctl",
            "mednerctl frobnicate",
            "mednerctl annotate --threshold 1.5 a",
            "mednerctl annotate --threshold NaN a",
            "mednerctl annotate --aggregation median a",
            "mednerctl annotate --jobs 0 a",
            "mednerctl annotate --deadline-ms 0 a",
            "mednerctl annotate --timeout 0 a",
            "mednerctl bench --requests 5 --seconds 5",
            "mednerctl bench --requests 0",
            "mednerctl completions tcsh",
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.use_stderr(), "{line}");
        }
    }

    #[test]
    fn times_are_utc_or_have_an_offset_and_a_day_alone_is_all_of_it() {
        let seconds =
            |read: fn(&str) -> Result<Timestamp, String>, text: &str| read(text).map(|time| time.to_string());
        for (text, from, to) in [
            ("2026-11-21", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("2026-11-21T08:00", "2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z"),
            ("2026-11-21 08:00", "2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z"),
            (
                "2026-11-21T08:00:01.5Z",
                "2026-11-21T08:00:01.5Z",
                "2026-11-21T08:00:01.5Z",
            ),
            (
                "2026-11-21T08:00+02:00",
                "2026-11-21T06:00:00Z",
                "2026-11-21T06:00:00Z",
            ),
            (
                "2026-11-21 00:30-05:00",
                "2026-11-21T05:30:00Z",
                "2026-11-21T05:30:00Z",
            ),
        ] {
            assert_eq!(seconds(since, text).as_deref(), Ok(from), "{text}");
            assert_eq!(seconds(until, text).as_deref(), Ok(to), "{text}");
        }
        assert_eq!(until("9999-12-31"), Ok(Timestamp::MAX));
        for text in [
            "",
            "yesterday",
            "2026-11",
            "2026-13-01",
            "21.11.2026",
            "2026-11-21T25:00",
            "2026-11-21+02:00",
            "08:00",
            "2026-11-21T08:00[Europe/Oslo]",
            "2026-11-21T08:00 noon",
            "2026-11-21T08:00+99:00",
            "1763712000",
        ] {
            assert!(since(text).is_err() && until(text).is_err(), "{text}");
            let line = ["mednerctl", "audit", "show", "--since", text].map(OsString::from);
            assert!(super::parse(line).unwrap_err().use_stderr(), "{text}");
        }
    }

    #[test]
    fn settings_are_an_object() {
        assert_eq!(object(" {\"a\": 1}").unwrap(), " {\"a\": 1}");
        for text in ["x", "", "[]", "3", "{\"a\"}"] {
            let line = ["mednerctl", "plugin", "check", ".", "--settings", text].map(OsString::from);
            assert!(super::parse(line).unwrap_err().use_stderr(), "{text}");
        }
    }

    #[test]
    fn help_names_every_exit_code() {
        let help = command().render_long_help().to_string();
        for exit in Exit::ALL {
            assert!(help.contains(&format!("  {}  ", exit.code())), "{help}");
        }
    }
}
