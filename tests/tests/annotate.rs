//! One note in, its entities out: shape, offsets, windows, echoes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

use mednerd_client::api::{AnnotateResponse, AssertionKind, Entity, OffsetUnit, Status};
use mednerd_tests::daemon::{root, tiny_model};
use mednerd_tests::notes::{SENTENCE, UNITS, flaw, long_note};
use mednerd_tests::{Config, Connection, Daemon};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

fn keys(value: &Value) -> BTreeSet<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    object.keys().map(String::as_str).collect()
}

fn is_disease(entity: &Entity) -> bool {
    entity.label.eq_ignore_ascii_case("disease")
}

fn is_drug(entity: &Entity) -> bool {
    ["chemical", "drug"]
        .iter()
        .any(|label| entity.label.eq_ignore_ascii_case(label))
}

fn both_models() -> Daemon {
    Daemon::start(&Config::default().model("tiny", &tiny_model(), false))
}

#[test]
fn an_answer_names_the_precision_of_each_model() {
    for asked in ["fp32", "auto"] {
        let config = Config::default().model("tiny", &tiny_model(), true);
        let daemon = Daemon::start(&config.engine(&format!("precision = \"{asked}\"\n")));
        let models = daemon.request("GET", "/v1/models", "").ok().json();
        let answer = daemon.annotate(SENTENCE);
        let listed = models["models"].as_array().unwrap().iter();
        let listed = listed.map(|model| {
            (
                model["name"].as_str().unwrap(),
                model["precision"].as_str().unwrap(),
            )
        });
        let said = answer
            .versions
            .precisions
            .iter()
            .map(|(name, precision)| (&**name, &**precision));
        let said: BTreeSet<_> = said.collect();
        assert!(!said.is_empty() && said.is_subset(&listed.collect()), "{said:?}");
        let known =
            |(_, precision): &(&str, &str)| *precision == "fp32" || asked == "auto" && *precision == "int8";
        assert!(said.iter().all(known), "{said:?}");
    }
}

#[test]
fn a_tick_box_is_in_no_mention() {
    let daemon = both_models();
    let names = ["Hypertension", "asthma", "metformin", "pneumonia", "nausea"];
    for form in [
        "[x] {}\n",
        "{} [ ] ",
        "\u{2611} {}\n",
        "\u{2611}{}\u{2610}\u{2713} ",
        "(X) {}, ",
    ] {
        let text: String = names.iter().map(|name| form.replace("{}", name)).collect();
        let answer = daemon.annotate(&text);
        assert_eq!(flaw(&text, &answer), None);
        let found: Vec<&str> = answer.entities.iter().map(|entity| &*entity.text).collect();
        let boxes = ['[', ']', '(', ')', '\u{2610}', '\u{2611}', '\u{2713}'];
        assert_eq!(found.iter().find(|text| text.contains(boxes)), None, "{form}");
        assert!(found.len() >= 4, "{form}: {found:?}");
        // A model that finds something nearly everywhere, in the boxes too: what it says is no error.
        let anything = daemon.ask(&json!({"text": text, "models": ["tiny"]}));
        assert_eq!(flaw(&text, &anything), None);
    }
}

#[test]
fn models_read_what_word_processors_and_printers_write() {
    let daemon = both_models();
    let plain = "Atrial fibrillation, renal failure, pulmonary fibrosis.\nGiven metformin for\ndiabetes and heart\nfailure.\n";
    let ask = |text: &str| {
        let answer = daemon.annotate(text);
        assert_eq!(flaw(text, &answer), None);
        let found = answer.entities.into_iter();
        found
            .map(|entity| {
                let text = entity
                    .text
                    .replace("\u{fb01}", "fi")
                    .replace(char::is_control, " ");
                let words: Vec<&str> = text.split_whitespace().collect();
                let text = words.join(" ");
                (text, entity.label, entity.score)
            })
            .collect::<Vec<_>>()
    };
    let expected = ask(plain);
    assert!(expected.len() >= 4, "{expected:?}");
    for end in ["\r\n", "\r", "\u{b}", "\u{c}", "\u{85}", "\u{2028}"] {
        assert_eq!(ask(&plain.replace('\n', end)), expected, "{end:?}");
    }
    for (sign, read) in [("fi", "\u{fb01}"), (" f", "\0f"), (" d", "\u{1f}d")] {
        assert_eq!(ask(&plain.replace(sign, read)), expected, "{read:?}");
    }
}

#[test]
fn an_answer_has_every_field_of_the_interface_even_at_its_default() {
    let daemon = Daemon::start(&Config::default());
    for text in [SENTENCE, ""] {
        let answer = daemon
            .request("POST", "/v1/annotate", json!({ "text": text }).to_string())
            .ok()
            .json();
        let expected = [
            "context",
            "degraded",
            "document_id",
            "engine",
            "entities",
            "error",
            "offset_unit",
            "status",
            "text_length",
            "text_sha256",
            "timing_ms",
            "versions",
        ];
        assert_eq!(keys(&answer), BTreeSet::from(expected));
        assert_eq!(
            keys(&answer["text_length"]),
            BTreeSet::from(["unicode_code_point", "utf16_code_unit", "utf8_byte"])
        );
        assert_eq!(
            keys(&answer["versions"]),
            BTreeSet::from([
                "mednerd",
                "models",
                "plugin_vocabularies",
                "plugins",
                "precisions",
                "settings",
                "vocabularies"
            ])
        );
        assert_eq!(
            keys(&answer["timing_ms"]),
            BTreeSet::from(["decoding", "inference", "linking", "queue", "refining", "total"])
        );
        for entity in answer["entities"].as_array().unwrap() {
            assert_eq!(
                keys(entity),
                BTreeSet::from([
                    "assertions",
                    "begin",
                    "concepts",
                    "decoded",
                    "end",
                    "id",
                    "label",
                    "model",
                    "score",
                    "text"
                ])
            );
        }
        assert_eq!(answer["status"], "ok");
        assert_eq!(answer["engine"], "tract");
        assert_eq!(answer["offset_unit"], "unicode_code_point", "the default");
        assert_eq!(answer["context"], Value::Null);
        assert_eq!(answer["document_id"], Value::Null);
        assert_eq!(answer["entities"].as_array().unwrap().is_empty(), text.is_empty());
    }
}

#[test]
fn an_answer_says_what_the_note_says_of_a_mention() {
    let daemon = Daemon::start(&Config::default());
    let text = "\u{1f600} PMH: asthma.\r\n\r\nDenies nausea. No evidence of pneumonia; hypertension is treated.\r\n\
                Suspected sepsis. His mother had breast cancer. Return if vomiting.\r\n";
    let answer = daemon.annotate(text);
    assert_eq!(flaw(text, &answer), None);
    for (mention, kinds, cue) in [
        ("asthma", &[AssertionKind::Historical][..], "pmh"),
        ("nausea", &[AssertionKind::Negated], "denies"),
        ("pneumonia", &[AssertionKind::Negated], "no evidence of"),
        ("hypertension", &[], ""),
        ("sepsis", &[AssertionKind::Uncertain], "suspected"),
        ("breast cancer", &[AssertionKind::Family], "mother"),
        ("vomiting", &[AssertionKind::Hypothetical], "return if"),
    ] {
        let found = answer.entities.iter().find(|entity| entity.text == mention);
        let said = &found
            .unwrap_or_else(|| panic!("{mention} was not found"))
            .assertions;
        let found: Vec<AssertionKind> = said.iter().map(|assertion| assertion.kind).collect();
        assert_eq!(found, kinds, "{mention}");
        assert!(said.iter().all(|assertion| assertion.cue == cue), "{said:?}");
    }
}

#[test]
fn a_clinical_sentence_yields_its_disease_and_its_drug() {
    let daemon = Daemon::start(&Config::default());
    let answer = daemon.annotate(SENTENCE);
    assert_eq!(flaw(SENTENCE, &answer), None);
    let entities = &answer.entities;
    assert!(
        entities
            .iter()
            .any(|entity| is_drug(entity) && entity.text == "metformin"),
        "{entities:?}"
    );
    assert!(
        entities
            .iter()
            .any(|entity| is_disease(entity) && entity.text.contains("diabetes mellitus")),
        "{entities:?}"
    );
}

#[test]
fn the_text_of_an_entity_is_the_slice_at_its_offsets_in_every_unit() {
    let daemon = both_models();
    let texts = [
        "\u{feff}Metformin for diabetes.".to_owned(),
        "Given metformin.\r\n\r\nHas diabetes mellitus.\r\nEnd\r".to_owned(),
        "😀👩🏽‍⚕️ metformin 💊 for diabetes 🩸🩸".to_owned(),
        "de\u{301}compensated he\u{301}art failure, me\u{308}tformin".to_owned(),
        "a\0metformin\0 for\0diabetes mellitus\0".to_owned(),
        "metformin\u{a0}500\u{202f}mg for\u{2003}diabetes\u{200b}mellitus\u{2028}x".to_owned(),
        "ﬁbrillation and ﬂuoxetine, ﬃ, Straße, İstanbul, ŉ, K".to_owned(),
        "糖尿病の患者にメトホルミン metformin 投与, السكري diabetes עברית".to_owned(),
        format!("{}metformin for diabetes", "a\u{300}\u{301}\u{302}".repeat(40)),
        format!("metformin {}", "x".repeat(5000)),
        "\u{1d400}\u{10ffff}\u{fffd}\u{e000}metformin".to_owned(),
    ];
    for text in &texts {
        for unit in UNITS {
            let request = json!({"text": text, "offset_unit": unit, "models": ["shipped", "tiny"]});
            let answer = daemon.ask(&request);
            assert_eq!(answer.offset_unit, unit);
            assert_eq!(flaw(text, &answer), None, "in {text:?}");
            let models: BTreeSet<_> = answer.entities.iter().map(|entity| &*entity.model).collect();
            assert!(models.contains("tiny"), "nothing was found in {text:?}");
        }
    }
}

#[test]
fn the_check_of_offsets_notices_what_is_wrong() {
    let daemon = Daemon::start(&Config::default());
    let text = format!("💊 {SENTENCE}");
    let right = daemon.annotate(&text);
    assert_eq!(flaw(&text, &right), None);
    let broken = |damage: &dyn Fn(&mut AnnotateResponse)| {
        let mut answer = right.clone();
        damage(&mut answer);
        flaw(&text, &answer)
    };
    let cases: [&dyn Fn(&mut AnnotateResponse); 7] = [
        &|answer| answer.offset_unit = OffsetUnit::Utf16CodeUnit,
        &|answer| answer.offset_unit = OffsetUnit::Utf8Byte,
        &|answer| answer.entities[0].begin += 1,
        &|answer| answer.entities[0].text.push(' '),
        &|answer| answer.entities.reverse(),
        &|answer| answer.text_length.utf16_code_unit -= 1,
        &|answer| answer.text_sha256 = right.text_sha256.to_uppercase(),
    ];
    for (number, damage) in cases.iter().enumerate() {
        assert_ne!(broken(damage), None, "case {number}");
    }
}

/// Letters of every kind that offsets have ever gone wrong with, between words that are entities.
fn note() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "metformin", "type 2 diabetes mellitus", "Heart failure", "HYPERTENSION", "naloxone", "pneumonia",
            "nausea", "aspirin", "breast cancer", "500 mg", "was given for",
        ])
        .prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            " ", "\r\n", "\n", "\t", "\u{a0}", "\u{200b}", "\u{feff}", "\0", ".", ", ", "-", "/", "\u{2028}", "(", ")",
        ])
        .prop_map(str::to_owned),
        2 => prop::sample::select(vec![
            "😀", "👩🏽‍⚕️", "🇩🇪", "e\u{301}", "\u{301}", "ﬁ", "ß", "İ", "\u{1d400}", "漢", "क्षि", "ش", "\u{200d}", "\u{fe0f}",
        ])
        .prop_map(str::to_owned),
        2 => any::<String>(),
        1 => "[a-zA-Z0-9 ]{0,40}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

#[test]
fn for_any_unicode_text_offsets_digest_and_length_are_exact_in_every_unit() {
    let daemon = both_models();
    let client = RefCell::new(daemon.connect());
    let found = Cell::new(0);
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 200,
        // A failing text is told in full; there is no file of old failures to keep.
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let ask = |text: &str, unit: OffsetUnit, aggregation: &str| -> AnnotateResponse {
        let request = json!({
            "text": text, "offset_unit": unit, "aggregation": aggregation, "models": ["shipped", "tiny"],
        });
        let reply = client
            .borrow_mut()
            .request("POST", "/v1/annotate", request.to_string());
        reply.unwrap_or_else(|error| panic!("{error}")).ok().decode()
    };
    let strategy = (
        note(),
        prop::sample::select(vec!["simple", "first", "average", "max"]),
    );
    let result = runner.run(&strategy, |(text, aggregation)| {
        let answers = UNITS.map(|unit| ask(&text, unit, aggregation));
        for answer in &answers {
            prop_assert_eq!(flaw(&text, answer), None);
            prop_assert_eq!(answer.status, Status::Ok);
        }
        let texts = answers.each_ref().map(|answer| {
            answer
                .entities
                .iter()
                .map(|entity| (&entity.text, &entity.label))
                .collect::<Vec<_>>()
        });
        prop_assert_eq!(&texts[0], &texts[1], "the unit changes offsets and nothing else");
        prop_assert_eq!(&texts[0], &texts[2], "the unit changes offsets and nothing else");
        found.set(found.get() + texts[0].len());
        Ok(())
    });
    result.unwrap_or_else(|failure| panic!("{failure}"));
    assert!(
        found.get() > 400,
        "only {} entities were found to look at",
        found.get()
    );
}

#[test]
fn a_note_of_100_000_characters_comes_back_whole_with_nothing_twice() {
    let daemon = Daemon::start(&Config::default());
    let (text, places) = long_note(100_000);
    let short = daemon.annotate(SENTENCE).entities;
    assert!(
        short.len() >= 2,
        "the planted sentence has something to find: {short:?}"
    );
    let answer = daemon.ask(&json!({"text": text, "offset_unit": "utf8_byte"}));
    assert_eq!(flaw(&text, &answer), None);
    for place in &places {
        for planted in &short {
            let (begin, end) = (*place as u64 + planted.begin, *place as u64 + planted.end);
            let hits: Vec<_> = answer
                .entities
                .iter()
                .filter(|entity| entity.begin < end && begin < entity.end)
                .map(|entity| (entity.begin, entity.end, &*entity.label))
                .collect();
            assert_eq!(
                hits,
                [(begin, end, &*planted.label)],
                "{:?} planted at {begin} of {} bytes",
                planted.text,
                text.len()
            );
        }
    }
    assert!(
        daemon.metric("mednerd_windows_total") > 10.0,
        "it took many windows"
    );
}

#[test]
fn a_text_without_words_has_an_answer_without_entities() {
    let daemon = Daemon::start(&Config::tiny());
    for text in ["", " ", "\r\n\t \u{a0}", "\u{feff}", "\0"] {
        let answer = daemon.annotate(text);
        assert_eq!(answer.status, Status::Ok);
        assert_eq!(flaw(text, &answer), None);
        assert_eq!(answer.entities, [], "in {text:?}");
    }
}

#[test]
fn context_comes_back_to_the_letter() {
    let daemon = Daemon::start(&Config::tiny());
    for context in [
        r#"{"b" :  1.000000000000000000000001,"a":[ ],"b":-0, "\u00e9\ud83d\ude00": "\/"}"#,
        "123456789012345678901234567890.5e-7",
        r#""text""#,
        "[[[[[]]]]]",
        "true",
    ] {
        let reply = daemon
            .request(
                "POST",
                "/v1/annotate",
                format!(r#"{{"context": {context} ,"text":"a"}}"#),
            )
            .ok();
        assert!(
            reply.text().contains(&format!(r#""context":{context}"#)),
            "{context} became {}",
            reply.text()
        );
    }
}

#[test]
fn the_document_id_comes_back_and_models_are_named_with_their_digests() {
    let daemon = both_models();
    let answer = daemon
        .ask(&json!({"text": SENTENCE, "document_id": "ärztlich/7", "models": ["tiny", "shipped", "tiny"]}));
    assert_eq!(answer.document_id.as_deref(), Some("ärztlich/7"));
    let asked: Vec<_> = answer.versions.models.keys().map(String::as_str).collect();
    assert_eq!(asked, ["shipped", "tiny"]);
    let found: BTreeSet<_> = answer.entities.iter().map(|entity| &*entity.model).collect();
    assert_eq!(found, BTreeSet::from(["shipped", "tiny"]));

    let default = daemon.annotate(SENTENCE);
    let asked: Vec<_> = default.versions.models.keys().map(String::as_str).collect();
    assert_eq!(asked, ["shipped"], "the default model alone");
    assert_eq!(
        default.versions.models["shipped"],
        answer.versions.models["shipped"]
    );
    assert_eq!(default.versions.mednerd, daemon.status().version);
}

#[test]
fn a_threshold_leaves_out_exactly_what_scores_less() {
    let daemon = Daemon::start(&Config::default());
    let note = std::fs::read_to_string(root().join("configs/samples/discharge.txt")).unwrap();
    let all = daemon.annotate(&note).entities;
    let mut scores: Vec<f32> = all.iter().map(|entity| entity.score).collect();
    scores.sort_by(f32::total_cmp);
    let middle = scores[scores.len() / 2];
    let kept = daemon.ask(&json!({"text": note, "threshold": middle})).entities;
    let expected: Vec<_> = all
        .iter()
        .filter(|entity| entity.score >= middle)
        .map(|entity| entity.begin)
        .collect();
    assert_eq!(
        kept.iter().map(|entity| entity.begin).collect::<Vec<_>>(),
        expected
    );
    assert!(
        expected.len() < all.len(),
        "the threshold is one that matters: {scores:?}"
    );
}

#[test]
fn an_answer_does_not_depend_on_what_else_is_computed() {
    let daemon = both_models();
    let (long, _) = long_note(20_000);
    let request = json!({"text": SENTENCE.repeat(9), "models": ["shipped", "tiny"]});
    let alone = daemon.ask(&request).entities;
    assert!(!alone.is_empty());
    std::thread::scope(|scope| {
        let busy: Vec<_> = (0..3).map(|_| scope.spawn(|| daemon.annotate(&long))).collect();
        while !busy.iter().all(|thread| thread.is_finished()) {
            assert_eq!(daemon.ask(&request).entities, alone);
        }
        let answers: Vec<_> = busy
            .into_iter()
            .map(|thread| thread.join().unwrap().entities)
            .collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    });
}

#[test]
fn a_connection_serves_many_requests_in_order() {
    let daemon = Daemon::start(&Config::tiny());
    let mut client = Connection::open(&daemon.site().socket()).unwrap();
    // All sent before any answer is read.
    for number in 0..50 {
        let body = json!({"text": SENTENCE, "document_id": number.to_string()}).to_string();
        client
            .send(mednerd_tests::http::message("POST", "/v1/annotate", body))
            .unwrap();
    }
    for number in 0..50 {
        let answer: AnnotateResponse = client.reply().unwrap().ok().decode();
        assert_eq!(answer.document_id, Some(number.to_string()));
    }
}
