//! Every family and every kind of adapter through the GPU engine, on emulated kernels: logits are those of the Python reference,
//! alone and packed with others, and nothing that was not written is read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mednerd_emulated_gpu::Emulated;
use mednerd_engine_gpu::{GpuEngine, checks};
use mednerd_engine_tract::{Asked, GlinerModel};
use mednerd_gpu::Engine;
use mednerd_gpu::protocol::{Fault, Labels, Load, Precision, Values, Window};
use mednerd_model::{Adapter, Checkpoint};
use mednerd_worker::child::Token;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures")
}

fn token() -> Token {
    Token::new(
        Instant::now() + Duration::from_secs(600),
        Arc::new(AtomicBool::new(false)),
    )
}

#[test]
fn every_family_is_the_reference_in_every_precision() {
    let variants = checks::variants(&fixtures());
    assert!(variants.len() >= 28, "{variants:?}");
    for (index, dir) in variants.iter().enumerate() {
        let name = dir.strip_prefix(fixtures()).unwrap().display().to_string();
        let first = index == 0 || variants[index - 1].parent() != dir.parent();
        // Emulation is slow: one variant of each family in half precision.
        let precisions = [Precision::Fp32, Precision::Fp16, Precision::Bf16];
        for precision in precisions.into_iter().take(if first { 3 } else { 1 }) {
            let device = Emulated::new(precision, index as u64 * 77 + 5);
            let (worst, share) = checks::family(device, dir, 2, f32::MIN_POSITIVE);
            let precise = precision.name();
            println!("{name} {precise}: largest difference {worst:.1e}, share of the norm {share:.1e}");
            // Random weights amplify rounding as no trained model does.
            assert!(share < precision.tolerance(), "{name} {precise}: {share}");
            assert!(precision != Precision::Fp32 || worst < 1e-4, "{name}: {worst}");
        }
    }
}

#[test]
fn every_kind_of_adapter_is_the_reference_and_all_go_in_one_batch() {
    for family in checks::ADAPTED {
        let worst = checks::adapters(
            Emulated::new(Precision::Fp32, 3),
            &fixtures(),
            family,
            1e-4,
            f32::MIN_POSITIVE,
        );
        println!("adapters on {family}: largest difference {worst:.1e}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let dir = fixtures().join("bert/fp32");
    let checkpoint = Checkpoint::open(&dir).unwrap();
    let engine = |budget| GpuEngine::new(Emulated::new(Precision::Fp32, 1), budget);
    let mut load = Load {
        model: 1,
        path: dir,
        digest: checkpoint.digest().to_owned(),
        base: None,
    };
    assert_eq!(engine(1000).load(&load), Err(Fault::OutOfMemory));
    let engine = engine(1 << 30);
    engine.load(&load).unwrap();
    let refused = |windows: &[Window<'_>]| engine.forward(windows, &token()).unwrap_err();
    let long = vec![1; checkpoint.context() + 1];
    assert!(matches!(
        refused(&[Window::new(&[1], &[1]), Window::new(&[1], &long)]),
        Fault::Refused(_)
    ));
    assert!(matches!(
        refused(&[Window::new(&[1], &[1 << 30])]),
        Fault::Refused(_)
    ));
    assert_eq!(refused(&[Window::new(&[1, 2], &[1])]), Fault::UnknownModel);
    load.digest = "0".repeat(64);
    assert!(matches!(engine.load(&load), Err(Fault::Refused(_))));
}

/// The fixtures' heads are narrower than tensor cores take them.
#[test]
fn attention_on_tensor_cores_is_attention() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/models/biomed-small");
    let checkpoint = Checkpoint::open_base(&dir).unwrap();
    let attention = &checkpoint.architecture().layers[0].attention;
    assert!(
        [32, 64, 128].contains(&attention.head_dim),
        "{}",
        attention.head_dim
    );
    for precision in [Precision::Fp16, Precision::Bf16] {
        let (half, single) = (Emulated::new(precision, 3), Emulated::new(Precision::Fp32, 3));
        let share = checks::apart(half, single, &dir, &[70, 1, 2]);
        println!("biomed-small {}: {share:.1e} of the norm", precision.name());
        assert!(share < precision.tolerance() / 4.0, "{share}");
    }
}

fn base() -> PathBuf {
    fixtures().join("modernbert/fp32")
}

/// A base of five layers with an adapter over all of them, 2, and one over the last two, 3.
fn two_adapters(device: Emulated, base: &Path, budget: u64, folder: &Path) -> GpuEngine<Emulated> {
    let checkpoint = Checkpoint::open_base(base).unwrap();
    let (all, upper) = (folder.join("all"), folder.join("upper"));
    checks::write_adapter(&all, &checkpoint, 0, 4);
    checks::write_adapter(&upper, &checkpoint, 3, 2);
    let engine = GpuEngine::new(device, budget);
    let load = |model, path: &Path, digest: &str| {
        let load = Load {
            model,
            path: path.to_owned(),
            digest: digest.to_owned(),
            base: (model > 1).then_some(1),
        };
        engine.load(&load).unwrap().own
    };
    let adapter = |path: &Path| Adapter::open(path, &checkpoint).unwrap();
    assert_eq!(load(1, base, checkpoint.digest()), 0.0);
    assert_eq!(load(2, &all, adapter(&all).digest()), 1.0);
    assert_eq!(load(3, &upper, adapter(&upper).digest()), 0.4);
    engine
}

/// Of a layer and of a head in `two_adapters`: products.
const PRODUCTS: (u64, u64) = (4, 2);

#[test]
fn what_models_share_of_a_window_is_computed_once() {
    let folder = tempfile::tempdir().unwrap();
    let device = Emulated::new(Precision::Fp32, 1);
    let counts = device.counts();
    let engine = two_adapters(device, &base(), u64::MAX, folder.path());
    // Layers that a token goes through, and heads.
    for (models, layers, heads) in [
        (&[1][..], 5, 1),
        (&[2], 5, 1),
        (&[3], 5, 1),
        (&[1, 3], 5 + 2, 2),
        (&[3, 1], 5 + 2, 2),
        (&[2, 3], 5 + 5, 2),
        (&[1, 2, 3], 5 + 5 + 2, 3),
        (&[3, 3], 5 + 2, 2),
    ] {
        let before = counts.rows.load(Ordering::Relaxed);
        engine
            .forward(
                &[Window::new(models, &[5, 6, 7]), Window::new(&[1], &[8])],
                &token(),
            )
            .unwrap();
        let rows = counts.rows.load(Ordering::Relaxed) - before;
        let of = |layers: u64, heads: u64| layers * PRODUCTS.0 + heads * PRODUCTS.1;
        assert_eq!(rows, 3 * of(layers, heads) + of(5, 1), "{models:?}");
    }
}

#[test]
fn a_batch_takes_no_more_memory_than_it_was_counted_to_take() {
    let (folder, wide) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    checks::widen(&base(), wide.path(), 16, 150);
    let ids: Vec<u32> = (0..40).collect();
    let models = [&[1][..], &[3], &[1, 3], &[1, 2, 3], &[1, 1, 1, 1, 1, 1]];
    let in_8_bits = [&models[0], &models[3]].map(|models| (wide.path(), Precision::Fp8, models));
    let base = base();
    let all = models
        .iter()
        .map(|models| (base.as_path(), Precision::Fp32, models));
    for (base, precision, models) in all.chain(in_8_bits) {
        let device = Emulated::new(precision, 1);
        let counts = device.counts();
        let engine = two_adapters(device, base, u64::MAX, folder.path());
        let held = counts.held.load(Ordering::Relaxed);
        counts.most.store(held, Ordering::Relaxed);
        engine.forward(&[Window::new(models, &ids)], &token()).unwrap();
        let most = counts.most.load(Ordering::Relaxed) - held;
        assert_eq!(counts.held.load(Ordering::Relaxed), held);
        let used = engine.health().unwrap().0;
        let within = |bytes: u64| {
            let device = Emulated::new(precision, 1);
            let engine = two_adapters(device, base, used + bytes, folder.path());
            engine.forward(&[Window::new(models, &ids)], &token()).map(drop)
        };
        assert_eq!(
            within(most - 1),
            Err(Fault::OutOfMemory),
            "{models:?} take {most}"
        );
        assert_eq!(within(2 * most), Ok(()), "{models:?} take {most}");
    }
}

/// Norms before and after, gated or not, turned, with a convolution and adapters: near single precision, in the half of the memory, and what
/// else is in a batch changes no bit of a text, so that scales are of its own rows alone.
#[test]
fn products_in_8_bits_are_near_and_a_text_is_alone_in_them() {
    let folder = tempfile::tempdir().unwrap();
    for variant in [
        "bert/fp32",
        "modernbert/fp32",
        "eurobert/fp32",
        "deberta-v2/v2-xlarge",
    ] {
        let dir = tempfile::tempdir().unwrap();
        checks::widen(&fixtures().join(variant), dir.path(), 16, 150);
        let [eight, single] = [Precision::Fp8, Precision::Fp32].map(|of| Emulated::new(of, 3));
        let share = checks::apart(eight, single, dir.path(), &[20, 1, 2]);
        println!("{variant} in 8 bits: {share:.1e} of the norm");
        assert!(share > 0.0 && share < Precision::Fp8.tolerance() / 2.0, "{share}");
        if variant != "modernbert/fp32" {
            continue;
        }
        let engine = |of| two_adapters(Emulated::new(of, 1), dir.path(), u64::MAX, folder.path());
        let (eight, sixteen) = (engine(Precision::Fp8), engine(Precision::Bf16));
        let used = |engine: &GpuEngine<Emulated>| engine.health().unwrap().0;
        assert!(used(&eight) < used(&sixteen), "{} bytes", used(&eight));
        let texts: [&[u32]; 3] = [&[5, 6, 7], &[8; 33], &[9, 10]];
        let windows = texts.map(|ids| Window::new(&[1, 2, 3], ids));
        let together = checks::values(&eight, &windows);
        let alone = texts.iter().flat_map(|ids| {
            let of = |model: &u64| checks::values(&eight, &[Window::new(&[*model], ids)]);
            [1, 2, 3].iter().flat_map(of).collect::<Vec<f32>>()
        });
        let alone: Vec<f32> = alone.collect();
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&together), bits(&alone));
    }
}

#[test]
fn calls_that_come_together_give_what_they_give_alone_and_take_as_much_as_the_larger() {
    let folder = tempfile::tempdir().unwrap();
    let device = Emulated::new(Precision::Fp32, 1);
    let counts = device.counts();
    let engine = two_adapters(device, &base(), u64::MAX, folder.path());
    let held = counts.held.load(Ordering::Relaxed);
    let (long, short): (Vec<u32>, Vec<u32>) = ((0..40).collect(), (5..9).collect());
    let calls = [
        vec![Window::new(&[1, 2, 3], &long)],
        vec![Window::new(&[3], &short), Window::new(&[1], &long)],
        vec![Window::new(&[2], &short)],
    ];
    let ask = |call: &[Window<'_>]| engine.forward(call, &token()).unwrap();
    counts.most.store(held, Ordering::Relaxed);
    let alone = calls.each_ref().map(|call| ask(call));
    let most = counts.most.swap(held, Ordering::Relaxed);
    for _ in 0..3 {
        // The first one is not copied back before the second one is launched.
        let copies = counts.copies.load(Ordering::SeqCst);
        counts.awaited.store(copies + 2, Ordering::SeqCst);
        std::thread::scope(|scope| {
            for (call, alone) in calls.iter().zip(&alone) {
                scope.spawn(move || assert_eq!(&ask(call), alone));
            }
        });
    }
    assert!(counts.most.load(Ordering::Relaxed) <= most);
    assert_eq!(counts.held.load(Ordering::Relaxed), held);
    // A model that goes meanwhile goes when nothing computes it any more.
    let copies = counts.copies.load(Ordering::SeqCst);
    counts.awaited.store(copies + 2, Ordering::SeqCst);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(ask(&calls[2]), alone[2]));
        while counts.copies.load(Ordering::SeqCst) == copies {
            std::thread::yield_now();
        }
        engine.unload(2);
        // What the call took beside it is given back behind its copy.
        let until = Instant::now() + Duration::from_secs(20);
        let is_held = || counts.held.load(Ordering::Relaxed) == held;
        while !is_held() && Instant::now() < until {
            std::thread::yield_now();
        }
        let was_held = is_held();
        // Which the first call waits for, whatever was found.
        let found = ask(&calls[1]);
        assert!(was_held, "the model is gone, or the call's memory is not");
        assert_eq!(found, alone[1]);
    });
    assert!(counts.held.load(Ordering::Relaxed) < held);
}

#[test]
fn a_batch_that_does_not_fit_beside_another_waits_for_it() {
    let dir = fixtures().join("gliner/span");
    let digest = Checkpoint::open(&dir).unwrap().digest().to_owned();
    let open = |budget| {
        let device = Emulated::new(Precision::Fp32, 9);
        let counts = device.counts();
        let engine = GpuEngine::new(device, budget);
        let load = Load {
            model: 1,
            path: dir.clone(),
            digest: digest.clone(),
            base: None,
        };
        engine.load(&load).unwrap();
        (engine, counts)
    };
    let (ids, words): (Vec<u32>, Vec<u32>) = ((0..60).collect(), (10..60).collect());
    // Few of whose scores are copied back; they stay on the device until these have been seen.
    let text = [Window {
        words: &words,
        labels: Labels::At(&[0, 2, 4, 6]),
        floor: Some(f32::MAX),
        ..Window::new(&[1], &ids)
    }];
    let (engine, _) = open(u64::MAX);
    let (used, expected) = (
        engine.health().unwrap().0,
        engine.forward(&text, &token()).unwrap(),
    );
    let fits = |bytes: u64| open(used + bytes).0.forward(&text, &token()).is_ok();
    // The least that it is computed with.
    let (mut less, mut enough) = (0, 1 << 24);
    while enough - less > 1 {
        let middle = u64::midpoint(less, enough);
        match fits(middle) {
            true => enough = middle,
            false => less = middle,
        }
    }
    let (engine, counts) = open(used + enough);
    counts.awaited.store(u64::MAX, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let ask = || assert_eq!(engine.forward(&text, &token()).unwrap(), expected);
        scope.spawn(ask);
        while counts.copies.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        scope.spawn(ask);
        // Time for it to be refused, if it were.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(counts.copies.load(Ordering::SeqCst), 1);
        counts.awaited.store(0, Ordering::SeqCst);
    });
}

/// DeBERTa's in all its kinds: places by buckets and one by one, either term and both, keys of places of their own, a convolution
/// beside. In single precision, each is the reference in the test of every family.
#[test]
fn disentangled_attention_on_tensor_cores_is_attention() {
    let wide = [
        ("v3-fp32", 32),
        ("v3-fp32", 64),
        ("v2-xlarge", 32),
        ("own-projections", 32),
        ("c2p-only", 64),
    ];
    for (variant, head) in wide {
        let dir = tempfile::tempdir().unwrap();
        checks::widen(
            &fixtures().join("deberta-v2").join(variant),
            dir.path(),
            head,
            150,
        );
        for precision in [Precision::Fp16, Precision::Bf16] {
            let (half, single) = (Emulated::new(precision, 3), Emulated::new(Precision::Fp32, 3));
            let share = checks::apart(half, single, dir.path(), &[100, 1, 2]);
            println!(
                "{variant} with heads of {head} {}: {share:.1e} of the norm",
                precision.name()
            );
            assert!(share < precision.tolerance() / 4.0, "{share}");
        }
    }
}

/// The rows of distances are counted from the longest sequence that there is, which is not what the positions allow.
#[test]
fn a_tokenizer_that_stops_before_the_positions_do_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixtures().join("deberta-v2/v3-fp32")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
    }
    let config = dir.path().join("tokenizer_config.json");
    let shorter = fs::read_to_string(&config).unwrap().replace("112", "60");
    fs::write(&config, shorter).unwrap();
    assert_eq!(Checkpoint::open(dir.path()).unwrap().context(), 60);
    let (worst, _) = checks::family(
        Emulated::new(Precision::Fp32, 1),
        dir.path(),
        2,
        f32::MIN_POSITIVE,
    );
    assert!(worst < 1e-4, "{worst}");
}

/// Each kind of head and text encoder, with labels before the text or encoded by themselves, packed beside others and with an adapter:
/// scores are those of the CPU engine, which are the reference's.
#[test]
fn scores_of_zero_shot_models_are_those_of_the_cpu() {
    let gliner = fixtures().join("gliner");
    let mut compared = 0;
    for (variant, precision) in [
        ("span", Precision::Fp32),
        ("span-rnn", Precision::Fp16),
        ("marker", Precision::Bf16),
        ("older", Precision::Fp32),
        ("token", Precision::Fp16),
        ("token-modernbert", Precision::Fp32),
        ("bi-span", Precision::Fp32),
        ("bi-marker", Precision::Fp32),
        ("bi-token", Precision::Bf16),
    ] {
        let dir = gliner.join(variant);
        let checkpoint = Checkpoint::open(&dir).unwrap();
        let cpu = GlinerModel::load(&checkpoint).unwrap();
        let adapted = gliner.join("adapters/encoder");
        let adapter = (variant == "span").then(|| Adapter::open(&adapted, &checkpoint).unwrap());
        let open = |budget| {
            let device = Emulated::new(precision, 9);
            let counts = device.counts();
            let engine = GpuEngine::new(device, budget);
            let load = |model, path: &Path, digest: &str, base| {
                let (path, digest) = (path.to_owned(), digest.to_owned());
                let load = Load {
                    model,
                    path,
                    digest,
                    base,
                };
                engine.load(&load).unwrap();
            };
            load(1, &dir, checkpoint.digest(), None);
            if let Some(adapter) = &adapter {
                load(2, &adapted, adapter.digest(), Some(1));
            }
            (engine, counts)
        };
        let (engine, counts) = open(u64::MAX);
        let mut models = vec![(1, cpu.clone())];
        models.extend(
            adapter
                .iter()
                .map(|adapter| (2, cpu.adapt(&checkpoint, adapter).unwrap())),
        );
        let numbers: Vec<u64> = models.iter().map(|(number, _)| *number).collect();
        let ids: Vec<Vec<u32>> = [2_u32, 40, 17, 60]
            .map(|count| (0..count).map(|n| n * 7 % 60).collect())
            .into();
        let words: [Vec<u32>; 4] = [
            vec![1],
            (6..40).collect(),
            vec![3, 4, 7, 16],
            (30..60).step_by(2).collect(),
        ];
        let places: [Vec<u32>; 4] = [vec![0], vec![0, 2, 5], vec![1], (0..20).collect()];
        let sets = match cpu.encodes_labels() {
            false => Vec::new(),
            true => [1, 20]
                .map(|count| {
                    let vectors = (1..=count).map(|n| cpu.encode_label(&[2, n, 3]).unwrap());
                    let vectors: Vec<Vec<f32>> = vectors.collect();
                    cpu.label_set(&vectors.iter().map(Vec::as_slice).collect::<Vec<_>>())
                        .unwrap()
                })
                .into(),
        };
        let set = |index: usize| sets.get(index % 2);
        let windows = ids.iter().zip(&words).zip(&places).enumerate();
        let windows = windows.map(|(index, ((ids, words), places))| Window {
            models: &numbers,
            ids,
            words,
            labels: match set(index) {
                None => Labels::At(places),
                Some(set) => Labels::Encoded {
                    count: set.len(),
                    vectors: set.vectors(),
                },
            },
            floor: None,
        });
        let windows: Vec<Window<'_>> = windows.collect();
        let expected = |window: &Window<'_>, index: usize, cpu: &GlinerModel| {
            let asked = match (window.labels, set(index)) {
                (Labels::At(places), _) => Asked::At(places),
                (_, set) => Asked::Encoded(set.unwrap()),
            };
            cpu.forward(window.ids, window.words, asked).unwrap()
        };
        let mut all = Vec::new();
        for (index, window) in windows.iter().enumerate() {
            for (_, cpu) in &models {
                all.extend(expected(window, index, cpu));
            }
        }
        let held = counts.held.load(Ordering::Relaxed);
        counts.most.store(held, Ordering::Relaxed);
        let found = checks::values(&engine, &windows);
        let most = counts.most.load(Ordering::Relaxed) - held;
        assert_eq!(found.len(), all.len(), "{variant}");
        let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
        let share = norm(&mut found.iter().zip(&all).map(|(a, b)| a - b)) / norm(&mut all.iter().copied());
        println!("{variant} {}: {share:.1e} of the norm", precision.name());
        assert!(
            share < precision.tolerance() / 4.0,
            "{variant} {}: {share}",
            precision.name()
        );
        if precision == Precision::Fp32 {
            assert!(
                found.iter().zip(&all).all(|(a, b)| (a - b).abs() < 1e-4),
                "{variant}"
            );
        }
        // A text gives the same alone.
        let alone: Vec<f32> = windows
            .iter()
            .flat_map(|window| checks::values(&engine, &[*window]))
            .collect();
        if precision == Precision::Fp32 {
            assert_eq!(found, alone, "{variant}");
        }
        compared += found.len();
        // What is below a floor may be left out, whether a few numbers are left, none, or more than there is room for.
        let floors = [-1e9, 4.0, 1e9, f32::NEG_INFINITY];
        let all = engine.forward(&windows, &token()).unwrap();
        for floor in floors.into_iter().filter(|_| variant == "span") {
            let mut some = windows.clone();
            some.iter_mut()
                .skip(1)
                .for_each(|window| window.floor = Some(floor));
            let left = engine.forward(&some, &token()).unwrap();
            let floors = some
                .iter()
                .flat_map(|window| numbers.iter().map(|_| window.floor));
            for ((left, all), floor) in left.iter().zip(&all).zip(floors) {
                assert!(left.fits(all.values().len(), floor), "{variant}");
                let dense = |values: &Values| match values {
                    Values::All(all) => Values::above(all.clone(), floor),
                    above => above.clone(),
                };
                assert_eq!(dense(left), dense(all), "{variant} {floor:?}");
            }
        }
        // It takes no more memory than was counted. The room for a label encoder, which the GPU is not given, is left aside.
        if !cpu.encodes_labels() {
            let used = engine.health().unwrap().0;
            let within = |bytes| open(used + bytes).0.forward(&windows, &token()).map(drop);
            assert_eq!(
                within(most - 1),
                Err(Fault::OutOfMemory),
                "{variant} takes {most}"
            );
            assert_eq!(within(3 * most), Ok(()), "{variant} takes {most}");
        }
    }
    assert!(compared > 20_000, "{compared}");
}

#[test]
fn scores_of_zero_shot_models_are_the_references() {
    for variant in ["span-rnn", "marker", "token"] {
        let dir = fixtures().join("gliner").join(variant);
        let (worst, share) = checks::zero_shot(Emulated::new(Precision::Fp32, 5), &dir);
        println!("{variant}: largest difference {worst:.1e}, share of the norm {share:.1e}");
        assert!(worst < 1e-4, "{variant}: {worst}");
    }
}

/// More texts than are given a block each.
#[test]
fn many_texts_share_what_is_read_of_the_recurrence() {
    let dir = fixtures().join("gliner/span-rnn");
    let engine = GpuEngine::new(Emulated::new(Precision::Fp32, 9), u64::MAX);
    let digest = Checkpoint::open(&dir).unwrap().digest().to_owned();
    let load = Load {
        model: 1,
        path: dir,
        digest,
        base: None,
    };
    engine.load(&load).unwrap();
    let ids: Vec<Vec<u32>> = (0..37).map(|n| (0..3 + n % 4).collect()).collect();
    let words: Vec<Vec<u32>> = ids.iter().map(|ids| (1..ids.len() as u32).collect()).collect();
    let texts = ids.iter().zip(&words).map(|(ids, words)| Window {
        words,
        labels: Labels::At(&[0]),
        ..Window::new(&[1], ids)
    });
    let texts: Vec<Window<'_>> = texts.collect();
    let together = engine.forward(&texts, &token()).unwrap();
    for (text, together) in texts.iter().zip(together) {
        assert_eq!(engine.forward(&[*text], &token()).unwrap(), [together]);
    }
}

/// Labels as the model does not take them, no words, logits.
#[test]
fn a_zero_shot_model_refuses_what_it_does_not_take() {
    for (variant, labels) in [
        (
            "span",
            Labels::Encoded {
                count: 1,
                vectors: &[0.0; 24],
            },
        ),
        ("bi-span", Labels::At(&[1])),
        (
            "bi-span",
            Labels::Encoded {
                count: 1,
                vectors: &[0.0; 7],
            },
        ),
    ] {
        let dir = fixtures().join("gliner").join(variant);
        let engine = GpuEngine::new(Emulated::new(Precision::Fp32, 9), u64::MAX);
        let load = Load {
            model: 1,
            digest: Checkpoint::open(&dir).unwrap().digest().to_owned(),
            path: dir,
            base: None,
        };
        engine.load(&load).unwrap();
        let asked = Window {
            words: &[2],
            labels,
            ..Window::new(&[1], &[5, 6, 7])
        };
        for window in [asked, Window::new(&[1], &[5])] {
            let refused = engine.forward(&[window], &token());
            assert!(
                matches!(refused, Err(Fault::Refused(_))),
                "{variant}: {refused:?}"
            );
        }
    }
}

/// What `tests/gpu/run fast` tells of each kernel: taking its time changes nothing, and there is a floor for every one.
#[test]
fn what_is_timed_is_computed_all_the_same() {
    let wide = tempfile::tempdir().unwrap();
    checks::widen(&fixtures().join("deberta-v2/v2-xlarge"), wide.path(), 32, 150);
    for (dir, precision) in [
        (fixtures().join("modernbert/fp32"), Precision::Fp32),
        (wide.path().to_owned(), Precision::Bf16),
        (wide.path().to_owned(), Precision::Fp8),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open_base(&dir).unwrap();
        checks::write_adapter(folder.path(), &checkpoint, 0, 4);
        let device = || checks::Profiled::new(Emulated::new(precision, 3), (1, 5));
        let logits = |device: checks::Profiled<Emulated>| {
            let engine = GpuEngine::new(device, u64::MAX);
            let adapter = Adapter::open(folder.path(), &checkpoint).unwrap();
            for (model, path, digest) in [
                (1, dir.as_path(), checkpoint.digest()),
                (2, folder.path(), adapter.digest()),
            ] {
                let load = Load {
                    model,
                    path: path.to_owned(),
                    digest: digest.to_owned(),
                    base: (model > 1).then_some(1),
                };
                engine.load(&load).unwrap();
            }
            let windows = [Window::new(&[1, 2], &[5, 6, 7, 8, 9])];
            engine.forward(&windows, &token()).unwrap()
        };
        let (off, on) = (device(), device());
        on.switch().store(true, Ordering::Relaxed);
        let (nothing, spent) = (off.spent(), on.spent());
        assert_eq!(logits(off), logits(on));
        assert!(nothing.lock().unwrap().is_empty());
        let spent = spent.lock().unwrap();
        assert!(spent.values().all(|one| one.calls > 0 && one.bytes > 0.0));
        let calls = |start: &str| -> u64 {
            let named = spent.iter().filter(|(name, _)| name.starts_with(start));
            named.map(|(_, one)| one.calls).sum()
        };
        let layers = checkpoint.architecture().layers.len() as u64;
        assert_eq!(calls("attend"), layers);
        assert!(calls("lora_shrink") >= layers && calls("product") > 4 * layers);
    }
    for (variant, kernel) in [("span-rnn", "recur"), ("bi-token", "score_words")] {
        let device = Emulated::new(Precision::Bf16, 3);
        let dir = fixtures().join("gliner").join(variant);
        let (spent, _) = checks::floors(device, &dir, (2, 10), 0, 16);
        assert!(
            spent[kernel].bytes > 0.0 && spent[kernel].operations > 0.0,
            "{spent:?}"
        );
    }
    let device = Emulated::new(Precision::Fp32, 3);
    let (spent, (bytes, operations)) = checks::floors(device, &fixtures().join("bert/fp32"), (2, 5), 2, 16);
    assert!(bytes.is_finite() && operations.is_finite());
    assert!(spent.keys().any(|name| name == "lora_expand"), "{spent:?}");
}
