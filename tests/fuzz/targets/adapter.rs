//! A task adapter's folder of which one file is not as `peft` saved it, over its base: what is taken fits every layer that it changes.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::models::{Models, weights};
use mednerd_fuzz::{Input, seeds, tree};
use mednerd_model::{Adapter, Checkpoint};

static MODELS: LazyLock<Models> = LazyLock::new(|| {
    Models::of(
        &[
            "dora",
            "lora",
            "bias-all",
            "layer",
            "lora-on-head",
            "patterns",
            "regex",
            "rslora",
            "lora-no-head",
        ]
        .map(|variant| format!("tests/fixtures/adapters/bert/{variant}"))
        .each_ref()
        .map(|folder| &**folder),
    )
});
static BASE: LazyLock<Checkpoint> =
    LazyLock::new(|| Checkpoint::open(&tree("tests/fixtures/bert/fp32")).unwrap());

fuzz_target!(init: seeds(MODELS.seeds()), |bytes: &[u8]| {
    let folder = MODELS.changed(&mut Input(bytes));
    let adapter = match Adapter::open(&folder, &BASE) {
        Ok(adapter) => adapter,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let parts = ["adapter_config.json", "adapter_model.safetensors"].map(|name| std::fs::read(folder.join(name)).unwrap());
    let [config, tensors] = parts;
    if !folder.join("config.json").exists() {
        let other = Adapter::from_memory(&folder, config, tensors, &BASE).unwrap();
        assert_eq!((other.digest(), other.labels()), (adapter.digest(), adapter.labels()));
    }
    let architecture = adapter.architecture();
    for linear in architecture.linears() {
        if let Ok(Some(change)) = adapter.low_rank(linear) {
            let (inputs, outputs) = (linear.inputs, linear.outputs);
            assert_eq!((change.down.len(), change.up.len()), (change.rank * inputs, outputs * change.rank));
            assert!(change.magnitude.iter().chain(&change.bias).all(|values| values.len() == outputs));
            if let Ok(weight) = BASE.weights().read(&linear.weight, &[outputs, inputs]) {
                let _ = change.gain(&weight, inputs);
            }
        }
    }
    for tensor in architecture.tensors() {
        if adapter.replaces(&tensor.name)
            && let Ok(values) = adapter.read(&tensor.name, &tensor.shape)
        {
            assert_eq!(values.len(), tensor.shape.iter().product::<usize>());
        }
    }
    weights(BASE.architecture(), BASE.weights());
    let _ = (adapter.parameters(), adapter.languages(), adapter.license());
});
