//! `adapter_config.json`: what an adapter changes and by which rule, matched as `peft` 0.21 matches it (its
//! `check_target_module_exists` and `get_pattern_key`). A key that changes the computation in a way that mednerd does not
//! know is refused; so is a key that nobody here has heard of, unless it says nothing.

use std::fmt;
use std::path::PathBuf;

use fancy_regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::error::ModelError;
use crate::files::Small;
use crate::json::Object;

/// Largest rank, far above any real one.
const RANK_LIMIT: usize = 1 << 16;
/// Most entries of one list or table.
const ENTRY_LIMIT: usize = 1 << 12;

/// Keys that say nothing about what is computed at inference.
const HARMLESS: [&str; 14] = [
    "auto_mapping",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "inference_mode",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

/// Keys that are read, here and, `id2label`, with the labels.
const READ: [&str; 18] = [
    "alpha_pattern",
    "base_model_name_or_path",
    "bias",
    "exclude_modules",
    "fan_in_fan_out",
    "id2label",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "lora_alpha",
    "lora_bias",
    "modules_to_save",
    "peft_type",
    "r",
    "rank_pattern",
    "target_modules",
    "use_dora",
    "use_rslora",
];

/// Initialisations that leave the base as it is.
const PLAIN_STARTS: [&str; 4] = ["gaussian", "eva", "orthogonal", "mica"];

/// Initialisations that take something out of the base's weights, so that the adapter counts from other weights than
/// those in the base's files.
const SHIFTED_STARTS: [&str; 5] = ["pissa", "corda", "olora", "lora_ga", "loftq"];

/// What `adapter_config.json` says.
pub(super) struct Settings {
    targets: Targets,
    excluded: Option<Targets>,
    /// Of the modules that are saved whole, for they are not adapted.
    kept_whole: Vec<Pattern>,
    layers: Option<Layers>,
    /// Modules whose names end like this are in the file whole.
    saved: Vec<String>,
    rank: usize,
    ranks: Vec<(Pattern, usize)>,
    alpha: f64,
    alphas: Vec<(Pattern, f64)>,
    stabilised: bool,
    /// Whether there are magnitudes (DoRA).
    pub(super) magnitudes: bool,
    /// Whether the `up` layers have a bias.
    pub(super) up_bias: bool,
    /// Which of the base's biases are in the file.
    pub(super) biases: Biases,
    /// What the base is called.
    pub(super) base: Option<String>,
}

/// Which of the base's biases an adapter replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Biases {
    None,
    All,
    /// Those of the layers it adapts.
    Adapted,
}

impl Settings {
    pub(super) fn read(file: &Small) -> Result<Self, ModelError> {
        let config = Object::parse(&file.path, &file.bytes)?;
        refuse_other_methods(&config)?;
        refuse_unknown_keys(&config)?;
        let Order {
            rank_pattern,
            alpha_pattern,
        } = Order::of(file)?;
        let mut saved = names(&config, "modules_to_save")?;
        let kept_whole = saved
            .iter()
            .map(|name| {
                Pattern::new(
                    &config,
                    "modules_to_save",
                    format!(r"\A(?:(^|.*\.){name}($|\..*))"),
                )
            })
            .collect::<Result<_, _>>()?;
        if config.string("task_type")? == Some("TOKEN_CLS") {
            saved.extend(["classifier", "score"].map(str::to_owned));
        }
        let targets = Targets::read(&config, "target_modules")?.ok_or_else(|| {
            let expected = "a list of module names or a pattern, as save_pretrained writes it";
            config.wrong("target_modules", expected, &Value::Null)
        })?;
        let settings = Self {
            layers: Layers::read(&config, &targets)?,
            targets,
            excluded: Targets::read(&config, "exclude_modules")?,
            kept_whole,
            saved,
            rank: config.count("r", 8, RANK_LIMIT)?,
            ranks: patterns(&config, "rank_pattern", rank_pattern, |value| {
                let rank = value.as_u64().and_then(|n| usize::try_from(n).ok());
                rank.filter(|n| (1..=RANK_LIMIT).contains(n))
            })?,
            alpha: config.get("lora_alpha").map_or(Ok(8.0), |value| {
                let finite = value.as_f64().filter(|n| n.is_finite());
                finite.ok_or_else(|| config.wrong("lora_alpha", "a number", value))
            })?,
            alphas: patterns(&config, "alpha_pattern", alpha_pattern, Value::as_f64)?,
            stabilised: config.flag("use_rslora")?.unwrap_or(false),
            magnitudes: config.flag("use_dora")?.unwrap_or(false),
            up_bias: config.flag("lora_bias")?.unwrap_or(false),
            biases: match config.string("bias")?.unwrap_or("none") {
                "none" => Biases::None,
                "all" => Biases::All,
                "lora_only" => Biases::Adapted,
                other => {
                    let expected = "\"none\", \"all\" or \"lora_only\"";
                    return Err(config.wrong("bias", expected, &Value::from(other)));
                }
            },
            base: config.string("base_model_name_or_path")?.map(str::to_owned),
        };
        if settings.magnitudes && settings.up_bias {
            let expected = "false, because \"use_dora\" is true";
            return Err(config.wrong("lora_bias", expected, &Value::from(true)));
        }
        Ok(settings)
    }

    /// Whether the module of this name, a linear layer or not, gets a low-rank change.
    pub(super) fn adapts(&self, module: &str, linear: bool) -> Result<bool, ModelError> {
        if let Some(excluded) = &self.excluded
            && excluded.matches(module, linear)?
        {
            return Ok(false);
        }
        for pattern in &self.kept_whole {
            if pattern.matches(module)? {
                return Ok(false);
            }
        }
        match (&self.targets, &self.layers) {
            (Targets::Names(names), Some(layers)) if !names.iter().any(|name| name == module) => {
                Ok(self.targets.matches(module, linear)? && layers.contain(module)?)
            }
            _ => self.targets.matches(module, linear),
        }
    }

    /// Whether the module of this name, or one that it is a part of, is saved whole.
    pub(super) fn saves(&self, module: &str) -> bool {
        let ends = module.match_indices('.').map(|(at, _)| at).chain([module.len()]);
        ends.filter_map(|end| module.get(..end))
            .any(|part| self.saved.iter().any(|name| part.ends_with(name.as_str())))
    }

    /// The rank of a module's change, and the factor on it.
    pub(super) fn rank_and_scale(&self, module: &str) -> Result<(usize, f32), ModelError> {
        let rank = first(&self.ranks, module)?.unwrap_or(self.rank);
        let alpha = first(&self.alphas, module)?.unwrap_or(self.alpha);
        #[allow(clippy::cast_precision_loss)] // A rank is at most 65,536.
        let width = rank as f64;
        let scale = alpha / if self.stabilised { width.sqrt() } else { width };
        #[allow(clippy::cast_possible_truncation)] // The reference multiplies in single precision, too.
        Ok((rank, scale as f32))
    }
}

/// Names of modules, whole or by their ends; a pattern for whole names; or every linear layer.
enum Targets {
    Names(Vec<String>),
    Pattern(Pattern),
    Linear,
}

impl Targets {
    fn read(config: &Object, key: &'static str) -> Result<Option<Self>, ModelError> {
        match config.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("all-linear") => Ok(Some(Self::Linear)),
            Some(Value::String(text)) => {
                Pattern::new(config, key, format!(r"\A(?:{text})\z")).map(|p| Some(Self::Pattern(p)))
            }
            Some(_) => names(config, key).map(|names| Some(Self::Names(names))),
        }
    }

    fn matches(&self, module: &str, linear: bool) -> Result<bool, ModelError> {
        let ends = |name: &String| {
            let before = module.strip_suffix(name.as_str());
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        match self {
            Self::Names(names) => Ok(names.iter().any(ends)),
            Self::Pattern(pattern) => pattern.matches(module),
            Self::Linear => Ok(linear),
        }
    }
}

/// `layers_to_transform` and `layers_pattern`.
struct Layers {
    indices: Vec<i64>,
    /// How the number of a layer is found in a module's name, the last where none matches.
    patterns: Vec<Pattern>,
}

impl Layers {
    fn read(config: &Object, targets: &Targets) -> Result<Option<Self>, ModelError> {
        let key = "layers_to_transform";
        let wrong = |value: &Value| config.wrong(key, "the number of a layer or a list of them", value);
        let indices = match config.get(key) {
            None => return Ok(None),
            Some(Value::Array(list)) => {
                let list: Option<Vec<i64>> = list.iter().map(Value::as_i64).collect();
                list.ok_or_else(|| wrong(&Value::Null))?
            }
            Some(value) => vec![value.as_i64().ok_or_else(|| wrong(value))?],
        };
        if indices.is_empty() {
            return Ok(None);
        }
        if !matches!(targets, Targets::Names(_)) {
            let expected = "absent, because \"target_modules\" is a pattern";
            return Err(config.wrong(key, expected, &Value::from(indices)));
        }
        let key = "layers_pattern";
        let names = match config.get(key) {
            Some(Value::String(name)) if !name.is_empty() => vec![name.clone()],
            Some(Value::String(_)) | None => Vec::new(),
            Some(_) => names(config, key)?,
        };
        let mut patterns = Vec::new();
        for name in &names {
            let pattern = format!(r"\A(?:(?:^|.*?\.){name}\.(?P<idx>\d+)\.)");
            patterns.push(Pattern::new(config, key, pattern)?);
        }
        if names.is_empty() {
            let any = r"\A.*?\.[^.]*\.(?P<idx>\d+)\.".to_owned();
            patterns.push(Pattern::new(config, key, any)?);
        }
        Ok(Some(Self { indices, patterns }))
    }

    fn contain(&self, module: &str) -> Result<bool, ModelError> {
        for pattern in &self.patterns {
            if let Some(index) = pattern.capture(module, "idx")? {
                let index = index.parse();
                return Ok(index.is_ok_and(|index| self.indices.contains(&index)));
            }
        }
        Ok(false)
    }
}

/// A pattern of `adapter_config.json`, which is written for Python's `re`.
struct Pattern {
    regex: Regex,
    path: PathBuf,
    key: &'static str,
}

impl Pattern {
    fn new(config: &Object, key: &'static str, pattern: String) -> Result<Self, ModelError> {
        let fault = |error: fancy_regex::Error| {
            let expected = format!("a pattern that can be read ({error})");
            config.wrong(key, expected, &Value::from(pattern.as_str()))
        };
        Ok(Self {
            regex: Regex::new(&pattern).map_err(fault)?,
            path: config.path().to_owned(),
            key,
        })
    }

    fn matches(&self, module: &str) -> Result<bool, ModelError> {
        self.regex.is_match(module).map_err(|error| self.fault(&error))
    }

    fn capture<'t>(&self, module: &'t str, group: &str) -> Result<Option<&'t str>, ModelError> {
        let found = self.regex.captures(module).map_err(|error| self.fault(&error))?;
        Ok(found
            .and_then(|found| found.name(group))
            .map(|group| group.as_str()))
    }

    fn fault(&self, error: &fancy_regex::Error) -> ModelError {
        ModelError::Value {
            path: self.path.clone(),
            key: self.key.to_owned(),
            expected: "a pattern that takes a bounded number of steps".to_owned(),
            found: error.to_string(),
        }
    }
}

/// The value of the first pattern that matches a module's name or its end.
fn first<T: Copy>(patterns: &[(Pattern, T)], module: &str) -> Result<Option<T>, ModelError> {
    for (pattern, value) in patterns {
        if pattern.matches(module)? {
            return Ok(Some(*value));
        }
    }
    Ok(None)
}

fn patterns<T>(
    config: &Object,
    key: &'static str,
    entries: Option<Entries>,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Vec<(Pattern, T)>, ModelError> {
    let entries = entries.map_or_else(Vec::new, |entries| entries.0);
    if entries.len() > ENTRY_LIMIT {
        let expected = format!("at most {ENTRY_LIMIT} entries");
        return Err(config.wrong(key, expected, &Value::from(entries.len())));
    }
    let one = |(name, value): (String, Value)| {
        let expected = "an object from module name or pattern to a number";
        let number = read(&value).ok_or_else(|| config.wrong(key, expected, &value))?;
        Ok((
            Pattern::new(config, key, format!(r"\A(?:(.*\.)?({name})$)"))?,
            number,
        ))
    };
    entries.into_iter().map(one).collect()
}

/// A list of names; none where the key is absent.
fn names(config: &Object, key: &str) -> Result<Vec<String>, ModelError> {
    let Some(value) = config.get(key) else {
        return Ok(Vec::new());
    };
    let name = |name: &Value| name.as_str().filter(|n| !n.is_empty()).map(str::to_owned);
    value
        .as_array()
        .filter(|list| list.len() <= ENTRY_LIMIT)
        .and_then(|list| list.iter().map(name).collect())
        .ok_or_else(|| config.wrong(key, format!("a list of at most {ENTRY_LIMIT} names"), value))
}

/// The two tables whose order counts, because the first pattern that matches does.
#[derive(Deserialize)]
struct Order {
    rank_pattern: Option<Entries>,
    alpha_pattern: Option<Entries>,
}

impl Order {
    fn of(file: &Small) -> Result<Self, ModelError> {
        serde_json::from_slice(&file.bytes).map_err(|error| ModelError::Json {
            path: file.path.clone(),
            problem: error.to_string(),
        })
    }
}

/// An object's entries as the file has them.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object from module name or pattern to number")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

/// Refuses other methods than low-rank adaptation of linear layers, and adapters that count from other weights than the
/// base's.
fn refuse_other_methods(config: &Object) -> Result<(), ModelError> {
    let method = config.get("peft_type").unwrap_or(&Value::Null);
    if method != "LORA" {
        return Err(config.wrong("peft_type", "\"LORA\", the method mednerd runs", method));
    }
    if let Some(task) = config.get("task_type")
        && task != "TOKEN_CLS"
        && task != "FEATURE_EXTRACTION"
    {
        let expected = "\"TOKEN_CLS\": mednerd runs adapters for token classification";
        return Err(config.wrong("task_type", expected, task));
    }
    if config.flag("fan_in_fan_out")? == Some(true) {
        let expected = "false: the base's weights are stored with outputs first";
        return Err(config.wrong("fan_in_fan_out", expected, &Value::from(true)));
    }
    match config.get("init_lora_weights") {
        None | Some(Value::Bool(_)) => Ok(()),
        Some(Value::String(start)) if PLAIN_STARTS.contains(&start.to_lowercase().as_str()) => Ok(()),
        Some(value) => {
            let start = value.as_str().unwrap_or_default().to_lowercase();
            let shifted = SHIFTED_STARTS.iter().any(|known| start.starts_with(known));
            let expected = if shifted {
                "an adapter that counts from the base's own weights. Convert it once where it was trained: \
                 save_pretrained(DIR, path_initial_model_for_weight_conversion=START), where START is the adapter \
                 as it was saved before the training"
            } else {
                "true, false, \"gaussian\", \"eva\", \"orthogonal\" or \"mica\""
            };
            Err(config.wrong("init_lora_weights", expected, value))
        }
    }
}

fn refuse_unknown_keys(config: &Object) -> Result<(), ModelError> {
    for (key, value) in config.iter() {
        let empty = match value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::String(text) => text.is_empty(),
            Value::Number(_) => false,
        };
        if !empty && !HARMLESS.contains(&key) && !READ.contains(&key) {
            let expected = "null: mednerd does not compute what this asks for. Merge the adapter into its base with \
                            merge_and_unload, or train it without";
            return Err(config.wrong(key, expected, value));
        }
    }
    Ok(())
}
