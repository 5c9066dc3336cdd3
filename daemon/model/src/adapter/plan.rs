//! Which tensor of an adapter's file goes where: the low-rank changes, the tensors of the base that are replaced, and the
//! check that there is neither more nor less in the file than the configuration says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::Change;
use super::config::{Biases, Settings};
use crate::architecture::{Architecture, Linear, TensorSpec};
use crate::checkpoint::Checkpoint;
use crate::error::ModelError;
use crate::weights::Weights;

/// What the names of all tensors in the file begin with; the complete model's name of the module follows.
const PREFIX: &str = "base_model.model.";

pub(super) struct Plan<'a> {
    weights: &'a Weights,
    /// As in [`Adapter`](super::Adapter).
    pub(super) replaced: BTreeMap<String, String>,
    /// As in [`Adapter`](super::Adapter).
    pub(super) changes: BTreeMap<String, Change>,
}

/// The base's parts by the names they have in the complete model, whatever they are called in its files.
struct Modules<'a> {
    linears: BTreeMap<String, &'a Linear>,
    /// From a tensor's name in the complete model to the one in the base's files.
    tensors: BTreeMap<String, String>,
    /// What is said of a module that is not here.
    foreign: &'static str,
    /// What modules are called that are in the base's files and compute nothing.
    idle: &'static [&'static str],
}

impl<'a> Modules<'a> {
    fn of(base: &'a Checkpoint, weights: &Weights) -> Self {
        let architecture = base.architecture();
        let head: BTreeSet<String> = architecture.head.tensors().into_iter().map(|t| t.name).collect();
        // Of a GLiNER the encoder alone can be adapted. It was trained by itself, or as a part of the model, or that of
        // the class around it.
        let inner = base.root().map(|root| {
            let root = root.trim_start_matches("model.");
            let outer = ["model.", ""].into_iter().find(|outer| {
                let place = format!("{PREFIX}{outer}{root}");
                weights.names().any(|name| name.starts_with(&place))
            });
            outer.map_or_else(String::new, |outer| format!("{outer}{root}"))
        });
        let full = |name: &str| {
            // Conversions from TensorFlow call a norm's weight `gamma` and its bias `beta`.
            let name = match name.rsplit_once('.') {
                Some((module, "gamma")) => format!("{module}.weight"),
                Some((module, "beta")) => format!("{module}.bias"),
                _ => name.to_owned(),
            };
            if let (Some(inner), Some(root)) = (&inner, base.root()) {
                return format!("{inner}{}", name.strip_prefix(root).unwrap_or(&name));
            }
            if head.contains(&name) || name.starts_with(base.prefix()) {
                name
            } else {
                format!("{}{name}", base.prefix())
            }
        };
        let mut linears = architecture.linears();
        let mut tensors = architecture.tensors();
        if inner.is_some() {
            linears.retain(|linear| !head.contains(&linear.weight));
            tensors.retain(|tensor| !head.contains(&tensor.name));
        }
        let (linears, tensors) = (linears.into_iter(), tensors.into_iter());
        Self {
            linears: linears
                .map(|l| (module(&full(&l.weight)).to_owned(), l))
                .collect(),
            tensors: tensors.map(|t| (full(&t.name), t.name)).collect(),
            foreign: match inner {
                Some(_) => {
                    "of a zero-shot model only the text encoder can be adapted, and it has no such module; train the \
                     adapter with target_modules of that encoder, or merge it with merge_and_unload"
                }
                None => "the base has no such module; the adapter was made for another base",
            },
            idle: base.idle(),
        }
    }
}

/// The module that a tensor belongs to.
fn module(tensor: &str) -> &str {
    tensor.rsplit_once('.').map_or(tensor, |(module, _)| module)
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        settings: &Settings,
        base: &Checkpoint,
        weights: &'a Weights,
    ) -> Result<Self, ModelError> {
        let modules = Modules::of(base, weights);
        let mut plan = Self {
            weights,
            replaced: BTreeMap::new(),
            changes: BTreeMap::new(),
        };
        let mut left: BTreeSet<&str> = weights.names().collect();
        let mut adapted = BTreeSet::new();
        for (module, linear) in &modules.linears {
            if settings.adapts(module, true)? {
                let change = plan.change(settings, module, &mut left)?;
                plan.changes.insert(linear.weight.clone(), change);
                adapted.insert(module.as_str());
            }
        }
        for tensor in modules.tensors.keys() {
            let module = module(tensor);
            if !modules.linears.contains_key(module) && settings.adapts(module, false)? {
                return Err(plan.fault(format!(
                    "adapter_config.json adapts \"{module}\", which is no linear layer; mednerd runs changes of linear \
                     layers only. Merge the adapter into its base with merge_and_unload, or train it without"
                )));
            }
        }
        for name in left {
            let place = place(settings, &modules, &adapted, name)
                .map_err(|problem| plan.fault(format!("tensor \"{name}\": {problem}")))?;
            if let Some(tensor) = place {
                plan.replace(tensor, name)?;
            }
        }
        for (full, tensor) in &modules.tensors {
            let module = module(full);
            let key = if settings.saves(module) {
                "modules_to_save"
            } else if full.ends_with(".bias")
                && (settings.biases == Biases::All
                    || settings.biases == Biases::Adapted && adapted.contains(module))
            {
                "bias"
            } else {
                continue;
            };
            if !plan.replaced.contains_key(tensor) {
                return Err(plan.missing(&format!("{PREFIX}{full}"), key));
            }
        }
        Ok(plan)
    }

    /// What the adapter computes over this base, and its labels in the order of the logits: `own`, which `config` says,
    /// or else the base's.
    pub(super) fn head(
        &self,
        base: &Checkpoint,
        own: Option<Vec<String>>,
        config: &Path,
    ) -> Result<(Architecture, Vec<String>), ModelError> {
        let fault = |problem: String| ModelError::Labels {
            path: config.to_owned(),
            problem,
        };
        let mut architecture = base.architecture().clone();
        if base.gliner().is_some() {
            // Its labels come with the request.
            return Ok((architecture, Vec::new()));
        }
        let classifier = &mut architecture.head.classifier;
        let Some(name) = self.replaced.get(&classifier.weight) else {
            if base.headless() {
                return Err(self.fault(format!(
                    "holds no classification head, and the base in {} has none either. Name the classifier in \
                     \"modules_to_save\" when the adapter is trained, or use a base that has a head",
                    base.dir().display()
                )));
            }
            return match own {
                Some(labels) if labels != base.labels() => Err(fault(format!(
                    "differs from the base's, whose head the adapter uses; remove it, or train the adapter with a head \
                     of its own (\"modules_to_save\"). The base has {}",
                    base.labels().join(", ")
                ))),
                _ => Ok((architecture, base.labels().to_vec())),
            };
        };
        let outputs = self
            .weights
            .shape(name)
            .and_then(|shape| shape.first())
            .copied()
            .unwrap_or(0);
        let labels = match own {
            Some(labels) if labels.len() == outputs => labels,
            Some(labels) => {
                return Err(fault(format!(
                    "has {} labels, but the adapter's head, tensor \"{name}\", has {outputs} outputs",
                    labels.len()
                )));
            }
            None if base.labels().len() == outputs && !base.headless() => base.labels().to_vec(),
            None => {
                return Err(fault(format!(
                    "is missing: the adapter's head has {outputs} outputs and the base {} labels. Put the config.json \
                     of the trained model into the adapter's directory; model.config.save_pretrained writes it. \
                     \"id2label\" in adapter_config.json does as well",
                    base.labels().len()
                )));
            }
        };
        classifier.outputs = outputs;
        Ok((architecture, labels))
    }

    /// Checks that every tensor has the shape that the base and `adapter_config.json` give it, and can be read.
    pub(super) fn check_shapes(
        &self,
        base: &Checkpoint,
        architecture: &Architecture,
    ) -> Result<(), ModelError> {
        let head = architecture.head.tensors();
        let own: Vec<TensorSpec> = base.architecture().tensors();
        let specs = match base.gliner() {
            Some(_) => architecture.trunk_tensors(),
            None => architecture.tensors(),
        };
        for spec in specs {
            match self.replaced.get(&spec.name) {
                Some(name) => self.check(name, &spec.shape, "the base has it so")?,
                // A part of the head that the base has for another number of labels.
                None if !own.contains(&spec) => {
                    return Err(self.missing(&format!("{PREFIX}{}", spec.name), "modules_to_save"));
                }
                None if !base.headless() || !head.contains(&spec) => {}
                // A head for masked tokens has a part in common with one for labels, which the reference takes over.
                None if base.weights().contains(&spec.name) => {
                    base.weights().expect(&spec.name, &spec.shape)?;
                }
                None => return Err(self.without(&spec.name, base)),
            }
        }
        for linear in architecture.linears() {
            let Some(change) = self.changes.get(&linear.weight) else {
                continue;
            };
            let Change { rank, .. } = *change;
            let Linear { inputs, outputs, .. } = *linear;
            let why = format!(
                "adapter_config.json gives rank {rank}, and the base's layer has {inputs} inputs and {outputs} outputs"
            );
            self.check(&change.down, &[rank, inputs], &why)?;
            self.check(&change.up, &[outputs, rank], &why)?;
            for name in change.magnitude.iter().chain(&change.bias) {
                self.check(name, &[outputs], &why)?;
            }
        }
        Ok(())
    }

    /// Takes the tensors of one module's change out of those that are left.
    fn change(
        &self,
        settings: &Settings,
        module: &str,
        left: &mut BTreeSet<&str>,
    ) -> Result<Change, ModelError> {
        let mut take = |names: &[&str]| {
            let all = || names.iter().map(|part| format!("{PREFIX}{module}.{part}"));
            let found = all().find(|name| left.remove(name.as_str()));
            found.ok_or_else(|| self.missing(&all().next().unwrap_or_default(), "target_modules"))
        };
        let (rank, scale) = settings.rank_and_scale(module)?;
        Ok(Change {
            down: take(&["lora_A.weight"])?,
            up: take(&["lora_B.weight"])?,
            rank,
            scale,
            magnitude: settings
                .magnitudes
                .then(|| take(&["lora_magnitude_vector", "lora_magnitude_vector.weight"]))
                .transpose()?,
            bias: settings.up_bias.then(|| take(&["lora_B.bias"])).transpose()?,
        })
    }

    fn replace(&mut self, tensor: &str, name: &str) -> Result<(), ModelError> {
        let Some(first) = self.replaced.insert(tensor.to_owned(), name.to_owned()) else {
            return Ok(());
        };
        // With "bias": "all", `peft` writes the bias of a module that is saved whole twice.
        let values = |name: &str| {
            self.weights
                .read(name, self.weights.shape(name).unwrap_or_default())
        };
        if values(&first)? == values(name)? {
            return Ok(());
        }
        Err(self.fault(format!(
            "tensors \"{first}\" and \"{name}\" are the same parameter with different values"
        )))
    }

    fn check(&self, name: &str, expected: &[usize], why: &str) -> Result<(), ModelError> {
        match self.weights.shape(name) {
            Some(found) if found != expected => Err(self.fault(format!(
                "tensor \"{name}\" has shape {found:?}, expected is {expected:?}: {why}. The adapter belongs to another \
                 base or to another adapter_config.json"
            ))),
            _ => self.weights.expect(name, expected),
        }
    }

    fn missing(&self, name: &str, key: &str) -> ModelError {
        self.fault(format!(
            "tensor \"{name}\" is missing; \"{key}\" of adapter_config.json asks for it. The file is incomplete or \
             belongs to another adapter_config.json"
        ))
    }

    /// A part of the head is neither here nor in the base.
    fn without(&self, name: &str, base: &Checkpoint) -> ModelError {
        let module = module(name);
        self.fault(format!(
            "tensor \"{PREFIX}{name}\" is missing, and the base in {} has no \"{name}\" either: the adapter was trained over \
             random values. Name \"{module}\" in \"modules_to_save\" when the adapter is trained, or use a base that has it",
            base.dir().display()
        ))
    }

    fn fault(&self, problem: String) -> ModelError {
        ModelError::Adapter {
            path: self.weights.path().to_owned(),
            problem,
        }
    }
}

/// The base's tensor that the tensor `name` of the file stands for; `None` for one that has no effect. `Err` is what is
/// wrong with it.
fn place<'m>(
    settings: &Settings,
    modules: &'m Modules<'_>,
    adapted: &BTreeSet<&str>,
    name: &str,
) -> Result<Option<&'m str>, String> {
    let Some(full) = name.strip_prefix(PREFIX) else {
        return Err(format!("expected a name that begins with \"{PREFIX}\""));
    };
    let find = |full: &str| {
        let tensor = modules.tensors.get(full);
        let tensor = tensor.map(|tensor| Some(tensor.as_str()));
        tensor.ok_or_else(|| "the base has no such tensor; the adapter was made for another base".to_owned())
    };
    if full.split('.').any(|part| modules.idle.contains(&part)) {
        return Ok(None);
    }
    if let Some((module, part)) = full.split_once(".base_layer.")
        && adapted.contains(module)
    {
        return find(&format!("{module}.{part}"));
    }
    if let Some((module, _)) = full.split_once(".original_module.")
        && settings.saves(module)
    {
        return Ok(None);
    }
    if let Some((module, part)) = full.split_once(".modules_to_save.")
        && settings.saves(module)
    {
        return find(&format!(
            "{module}.{}",
            part.strip_prefix("default.").unwrap_or(part)
        ));
    }
    if let Some((module, _)) = full.split_once(".lora_") {
        let known = modules
            .tensors
            .keys()
            .any(|tensor| self::module(tensor) == module);
        return Err(if adapted.contains(module) {
            "adapter_config.json does not ask for it".to_owned()
        } else if known {
            "adapter_config.json does not adapt this module".to_owned()
        } else {
            modules.foreign.to_owned()
        });
    }
    if adapted.contains(module(full)) {
        return Err(
            "the module has a low-rank change, beside which its own tensors are under \"base_layer\"; peft \
                    before 0.6 wrote them elsewhere. Load and save the adapter with a later one"
                .to_owned(),
        );
    }
    find(full)
}
