//! What child processes send, the daemon to them as well: frames however they are cut, and their payloads. A payload that is read is written
//! and read again as it was, and takes memory in proportion to its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mednerd_fuzz::{Input, seeds};
use mednerd_gpu::protocol as gpu;
use mednerd_pipeline::{Candidate, Window, stretches};
use mednerd_plugin::{AdapterFiles, Decoded, Document, Mention, NormalizeOptions, Piece, Span, contract};
use mednerd_plugin_host::protocol as host;
use mednerd_worker::frame::{self, Frame, Kind, Splitter};
use serde::Serialize;

const LIMIT: usize = 1 << 12;

/// Reads a payload and looks at it; written, it is read again as it was (compared as words, as NaN is not itself).
macro_rules! payload {
    ($bytes:expr, $type:ty, $look:expr) => {
        if let Ok(read) = postcard::from_bytes::<$type>($bytes) {
            let written = postcard::to_allocvec(&read).unwrap();
            assert!(written.len() <= $bytes.len(), "more is written than was read");
            let again = postcard::from_bytes::<$type>(&written).unwrap();
            assert_eq!(format!("{again:?}"), format!("{read:?}"));
            let look: fn(&$type) = $look;
            look(&read);
        }
    };
}

fuzz_target!(init: seeds(samples()), |bytes: &[u8]| {
    let mut input = Input(bytes);
    let kind = input.below(8);
    let bytes = input.0;
    match kind {
        0 => frames(&mut input),
        1 => payload!(bytes, gpu::Request, |request| {
            if let gpu::Request::Forward(batch) = request {
                windows(batch);
            }
        }),
        2 => payload!(bytes, gpu::Reply, |reply| {
            if let gpu::Reply::Values(all) = reply {
                all.iter().take(8).for_each(scores);
            }
        }),
        3 => {
            payload!(bytes, gpu::Start, |_| {});
            payload!(bytes, gpu::Ready, |_| {});
            payload!(bytes, gpu::Fault, |_| {});
            payload!(bytes, host::Start, |_| {});
        }
        4 => payload!(bytes, host::Request<'_>, |request| {
            if let host::Request::Normalize { documents, .. } = request {
                for document in documents {
                    document.mentions.iter().for_each(|mention| drop(document.mention_text(mention).to_owned()));
                }
            }
        }),
        5 => payload!(bytes, host::Reply, answer),
        6 => {
            payload!(bytes, host::Event, |_| {});
            payload!(bytes, host::Fault, |fault| drop(fault.clone().mute().to_string()));
        }
        _ => payload!(bytes, host::Ready, |ready| {
            let _ = ready.vocabularies.as_deref().map(contract::vocabularies);
            let _ = ready.task.as_ref().map(contract::task);
            let _ = ready.formats.as_deref().map(contract::formats);
        }),
    }
});

fn samples() -> Vec<Vec<u8>> {
    fn sample(kind: u8, payload: &impl Serialize) -> Vec<u8> {
        [&[kind, 0][..], &postcard::to_allocvec(payload).unwrap()].concat()
    }
    let mut batch = gpu::Batch::default();
    batch.push(gpu::Window::new(&[1, 2], &[101, 7, 102]));
    let labels = gpu::Labels::Encoded {
        count: 1,
        vectors: &[0.5, 0.25],
    };
    batch.push(gpu::Window {
        words: &[1],
        labels,
        floor: Some(0.5),
        ..gpu::Window::new(&[3], &[101, 7, 102])
    });
    let mut framed = vec![0, 0, 5];
    for kind in [Kind::Start, Kind::Reply, Kind::Pong] {
        frame::encode(&mut framed, kind, 9, &[b"abc", b"de"], LIMIT).unwrap();
    }
    let mention = Mention {
        begin: 0,
        end: 4,
        label: "Disease",
        score: 0.5,
        section: None,
    };
    let document = Document {
        text: "gout and more",
        mentions: vec![mention],
    };
    let options = NormalizeOptions {
        top_k: 3,
        vocabularies: vec!["V".into()],
    };
    let reply = |outcome| host::Reply {
        plugin_ns: 7,
        outcome,
    };
    let piece = Piece {
        text_begin: 0,
        text_end: 4,
        source_begin: 2,
        source_end: 6,
    };
    let span = Span {
        begin: 0,
        end: 4,
        label: "A".into(),
        score: 0.5,
    };
    vec![
        framed,
        sample(1, &gpu::Request::Forward(batch)),
        sample(
            2,
            &gpu::Reply::Values(vec![
                gpu::Values::above(vec![0.0, 1.0, 2.0], Some(0.5)),
                gpu::Values::All(vec![0.5; 6]),
            ]),
        ),
        sample(
            3,
            &gpu::Ready {
                name: "GPU".into(),
                ..gpu::Ready::default()
            },
        ),
        sample(
            4,
            &host::Request::Normalize {
                options,
                documents: vec![document],
            },
        ),
        sample(
            4,
            &host::Request::Decode {
                format: "hl7v2",
                bytes: b"MSH",
                max_text: 9,
            },
        ),
        sample(
            5,
            &reply(host::Outcome::Linked(vec![
                Ok(vec![vec![]]),
                Err(host::Fault::Unsupported),
            ])),
        ),
        sample(
            5,
            &reply(host::Outcome::Decoded(Decoded {
                text: "gout".into(),
                pieces: vec![piece],
            })),
        ),
        sample(5, &reply(host::Outcome::Spans(vec![span]))),
        sample(
            5,
            &reply(host::Outcome::Files(AdapterFiles {
                config: b"{}".to_vec(),
                tensors: vec![1, 2],
            })),
        ),
        sample(
            6,
            &host::Event::Log {
                level: 1,
                event: "e".into(),
                values: vec![1.0],
            },
        ),
        sample(
            7,
            &host::Ready {
                formats: Some(vec!["hl7v2".into()]),
                ..host::Ready::default()
            },
        ),
    ]
}

/// Frames are the same whether they are read or split, and however they are cut; written again they are the same bytes.
fn frames(input: &mut Input<'_>) {
    let piece = 1 + input.below(64);
    let bytes = input.0;
    let mut whole = Vec::new();
    let mut reader = bytes;
    let fault = loop {
        match frame::read(&mut reader, LIMIT) {
            Ok(Some(frame)) => whole.push(frame),
            Ok(None) => break None,
            Err(error) => break Some(error.kind()),
        }
    };
    let mut splitter = Splitter::default();
    let mut found: Vec<Frame> = Vec::new();
    let mut broken = false;
    'pieces: for piece in bytes.chunks(piece) {
        splitter.push(piece);
        loop {
            match splitter.next(LIMIT) {
                Ok(Some(frame)) => found.push(frame),
                Ok(None) => break,
                Err(_) => {
                    broken = true;
                    break 'pieces;
                }
            }
        }
    }
    assert_eq!(found, whole);
    assert_eq!(broken, fault == Some(std::io::ErrorKind::InvalidData));
    let mut again = Vec::new();
    for frame in &found {
        frame::encode(&mut again, frame.kind, frame.id, &[&frame.payload], LIMIT).unwrap();
    }
    assert!(bytes.starts_with(&again));
}

fn windows(batch: &gpu::Batch) {
    if let Some(windows) = batch.windows() {
        let mut again = gpu::Batch::default();
        for window in &windows {
            assert!(!window.ids.is_empty() && !window.models.is_empty());
            assert!(window.answers() > 0);
            again.push(*window);
        }
        assert_eq!(format!("{:?}", again.windows().unwrap()), format!("{windows:?}"));
    }
}

/// Scores are read as the daemon reads them, where they fit.
fn scores(values: &gpu::Values) {
    let window = Window {
        tokens: 3..9,
        owned: 3..9,
    };
    for (count, floor) in [(6, None), (12, Some(0.0)), (36, Some(0.0))] {
        if !values.fits(count, floor) {
            continue;
        }
        if let gpu::Values::All(scores) = values
            && count == 36
        {
            let inside = stretches::inside(scores, 2, 0.5, &window);
            if let Ok(found) = stretches::of_words(inside, 0.5) {
                selected(found);
            }
        }
    }
}

fn selected(found: Vec<Candidate>) {
    for (nested, several_labels) in [(false, false), (false, true), (true, false), (true, true)] {
        let chosen = stretches::select(
            found.clone(),
            mednerd_pipeline::Overlaps {
                nested,
                several_labels,
            },
        );
        assert!(chosen.len() <= found.len());
    }
}

fn answer(reply: &host::Reply) {
    match &reply.outcome {
        host::Outcome::Decoded(decoded) => {
            let source = "MSH|^~\\&| caf\u{e9} and gout of the toe";
            if contract::decoded(decoded, source.as_bytes(), LIMIT).is_ok() {
                for (begin, _) in decoded.text.char_indices() {
                    let (from, to) = decoded.source(begin, begin + 1).unwrap();
                    assert!(from <= to && to <= source.len());
                }
                let _ = contract::on_characters(decoded, source);
            }
        }
        host::Outcome::Spans(spans) => {
            let task = mednerd_plugin::Task {
                name: "t".into(),
                base: String::new(),
                labels: vec!["A".into()],
                refines: true,
            };
            if contract::spans(spans, "gout and more", 3, &task).is_ok() {
                assert!(
                    spans
                        .iter()
                        .all(|span| "gout and more".get(span.begin..span.end).is_some())
                );
            }
        }
        host::Outcome::Linked(all) => {
            let options = NormalizeOptions {
                top_k: 3,
                vocabularies: Vec::new(),
            };
            for found in all.iter().flatten() {
                let _ = contract::concepts(found, 1, &options, &[]);
            }
        }
        host::Outcome::Files(_) => {}
    }
}
