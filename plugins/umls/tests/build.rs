//! From input files to an index: what is taken, what is refused and with which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use common::{Release, build, dictionary, first, link, open};
use mednerd_umls::build::{Build, Filters, Input};
use mednerd_umls::index::Index;
use mednerd_umls::{Error, linker::Linker, linker::Settings};
use proptest::prelude::*;

fn message(outcome: Result<impl Sized, Error>) -> String {
    match outcome {
        Ok(_) => panic!("was accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn names_that_are_wanted_are_taken() {
    let release = Release::small();
    let linker = release.linker();
    let record = linker.index().record();
    assert_eq!(
        (record.kind.as_str(), record.release.as_str()),
        ("umls", "2026AA")
    );
    assert_eq!(record.concepts, 8);
    assert_eq!(record.retired, 1);
    assert!(
        record
            .vocabularies
            .iter()
            .any(|source| source.name == "MSH" && source.version == "2026" && source.rows > 5)
    );
    assert_eq!(first(&linker, "heart attack").unwrap().0, "C0000001");
    // Another language, and a suppressed name.
    assert!(!record.vocabularies.iter().any(|source| source.name == "MSHSPA"));
    assert_ne!(first(&linker, "old aspirin name").unwrap().1, "exact");
}

#[test]
fn filters_choose() {
    let release = Release::small();
    release.write();
    let with = |change: &dyn Fn(&mut Filters)| {
        let mut filters = Filters::default();
        change(&mut filters);
        release.build(filters, 1 << 20).unwrap()
    };
    assert_eq!(
        with(&|filters| filters.semantic_types = vec!["T121".to_owned()]).concepts,
        1
    );
    assert_eq!(
        with(&|filters| filters.vocabularies = vec!["RXNORM".to_owned()]).concepts,
        1
    );
    assert_eq!(
        with(&|filters| filters.without = vec!["MSH".to_owned()]).concepts,
        2
    );
    assert_eq!(
        with(&|filters| filters.suppressed = true).names,
        with(&|_| {}).names + 1
    );
    assert_eq!(
        with(&|filters| filters.languages.clear()).names,
        with(&|_| {}).names + 1
    );
    assert!(with(&|filters| filters.without_term_types = vec!["ET".to_owned()]).names < with(&|_| {}).names);
    let nothing = Filters {
        vocabularies: vec!["NONE".to_owned()],
        ..Filters::default()
    };
    let said = message(release.build(nothing, 1 << 20));
    assert!(
        said.contains("NONE, which --sab names") && said.contains("MSH"),
        "{said}"
    );
    let nothing = Filters {
        semantic_types: vec!["T121".to_owned(), "T999".to_owned()],
        ..Filters::default()
    };
    let said = message(release.build(nothing, 1 << 20));
    assert!(said.contains("T999, which --semantic-type names"), "{said}");
    for (change, expected) in [
        (
            &(|filters: &mut Filters| filters.without = vec!["SNOMEDCT".to_owned()]) as &dyn Fn(&mut Filters),
            "SNOMEDCT, which --without-sab names; there is ICD10CM, MSH,",
        ),
        (
            &|filters| filters.without_term_types = vec!["EX".to_owned()],
            "EX, which --without-tty names",
        ),
        (
            &|filters| filters.languages.push("SPX".to_owned()),
            "SPX, which --language names; there is ENG, SPA",
        ),
    ] {
        let mut filters = Filters::default();
        change(&mut filters);
        let said = message(release.build(filters, 1 << 20));
        assert!(said.contains(expected), "{said}");
    }
    // What is there, and is left out by another filter.
    let nothing = Filters {
        vocabularies: vec!["MSHSPA".to_owned()],
        ..Filters::default()
    };
    assert!(message(release.build(nothing, 1 << 20)).contains("no name is left"));
}

#[test]
fn columns_are_where_mrfiles_says() {
    let mut release = Release::small();
    // CUI goes to the end.
    let turn = |row: &str, separator: char| {
        let (cui, rest) = row.split_once(separator).unwrap();
        (cui.to_owned(), rest.to_owned())
    };
    let (cui, rest) = turn(release.columns("MRCONSO.RRF"), ',');
    *release.columns("MRCONSO.RRF") = format!("{rest},{cui}");
    let turned: String = release
        .text("MRCONSO.RRF")
        .lines()
        .map(|row| turn(row, '|'))
        .map(|(cui, rest)| format!("{rest}{cui}|\n"))
        .collect();
    *release.text("MRCONSO.RRF") = turned;
    assert_eq!(first(&release.linker(), "aspirin").unwrap().0, "C0000006");
}

#[test]
fn broken_releases_are_named_with_file_and_line() {
    let broken = |change: &dyn Fn(&mut Release), expected: &[&str]| {
        let mut release = Release::small();
        release.write();
        change(&mut release);
        let said = message(release.build(Filters::default(), 1 << 20));
        for part in expected {
            assert!(said.contains(part), "{said:?} does not say {part:?}");
        }
        assert!(!release.path("index").exists());
        // Nothing is left behind.
        assert!(
            !fs::read_dir(release.folder.path())
                .unwrap()
                .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with('.') })
        );
    };
    let overwrite = |release: &Release, file: &str, text: &[u8]| fs::write(release.path(file), text).unwrap();
    broken(
        &|release| overwrite(release, "MRCONSO.RRF", b""),
        &["MRCONSO.RRF", "empty", "MetamorphoSys"],
    );
    broken(
        &|release| {
            let text = release.text("MRCONSO.RRF").clone();
            overwrite(release, "MRCONSO.RRF", &text.as_bytes()[..text.len() - 9]);
        },
        &["MRCONSO.RRF:17:", "cut short"],
    );
    broken(
        &|release| {
            let text = release.text("MRCONSO.RRF").clone();
            let rows: Vec<&str> = text.lines().take(9).collect();
            overwrite(release, "MRCONSO.RRF", (rows.join("\n") + "\n").as_bytes());
        },
        &[
            "MRCONSO.RRF",
            "9 rows where MRFILES.RRF announces 17",
            "different releases",
        ],
    );
    broken(
        &|release| {
            let mut text = release.text("MRCONSO.RRF").clone().into_bytes();
            text[200] = 0xff;
            overwrite(release, "MRCONSO.RRF", &text);
        },
        &["MRCONSO.RRF:3:", "not UTF-8"],
    );
    broken(
        &|release| {
            let text = release.text("MRCONSO.RRF").replacen("|0|N|", "|0|", 1);
            overwrite(release, "MRCONSO.RRF", text.as_bytes());
        },
        &["MRCONSO.RRF:1:", "17 columns where 18 are announced"],
    );
    broken(
        &|release| {
            let text = release.text("MRCONSO.RRF").replace("|RXNORM|", "|NEWSAB|");
            overwrite(release, "MRCONSO.RRF", text.as_bytes());
        },
        &[
            "MRCONSO.RRF:14:",
            "NEWSAB is not listed in MRSAB.RRF",
            "different releases",
        ],
    );
    broken(
        &|release| {
            let text = release.text("MRCONSO.RRF").replace("C0000001|", "X1|");
            overwrite(release, "MRCONSO.RRF", text.as_bytes());
        },
        &["MRCONSO.RRF:1:", "not a CUI"],
    );
    broken(
        &|release| fs::remove_file(release.path("MRFILES.RRF")).unwrap(),
        &["holds no MRFILES.RRF", "META folder"],
    );
    broken(
        &|release| fs::remove_file(release.path("MRSTY.RRF")).unwrap(),
        &["cannot read", "MRSTY.RRF"],
    );
    broken(
        &|release| fs::rename(release.path("MRCONSO.RRF"), release.path("MRCONSO.RRF.gz")).unwrap(),
        &["MRCONSO.RRF.gz", "unpack it first"],
    );
    broken(
        &|release| {
            let listing = fs::read_to_string(release.path("MRFILES.RRF"))
                .unwrap()
                .replace("STR", "STRING");
            overwrite(release, "MRFILES.RRF", listing.as_bytes());
        },
        &["MRFILES.RRF", "MRCONSO.RRF has no column STR"],
    );
}

#[test]
fn rxnorm_has_its_own_files() {
    let folder = tempfile::tempdir().unwrap();
    let atom = |id: &str, tty: &str, name: &str| {
        format!("{id}|ENG||||||A|||{id}|RXNORM|{tty}|{id}|{name}||N|4096|\n")
    };
    let other = "1191|ENG||||||A|||D1|MSH|MH|D001241|acetylsalicylic acid||N|4096|\n";
    let text = other.replace("|MSH|MH|D001241|", "|SOME|PT|1|")
        + &atom("1191", "SY", "ASA")
        + &atom("1191", "IN", "aspirin")
        + &atom("243670", "SCD", "aspirin 81 MG Oral Tablet");
    fs::write(folder.path().join("RXNCONSO.RRF"), text).unwrap();
    fs::write(
        folder.path().join("RXNSTY.RRF"),
        "1191|T109|A|Organic Chemical|||\n",
    )
    .unwrap();
    fs::write(
        folder.path().join("RXNSAB.RRF"),
        ["RXNORM", "SOME"]
            .map(|sab| format!("||{sab}_2026|{sab}|||2026||||||||||||||||Y|||\n"))
            .concat(),
    )
    .unwrap();
    let out = folder.path().join("index");
    let building = || build(Input::Rrf(folder.path().to_owned()), &out);
    assert_eq!(building().unwrap().kind, "rxnorm");
    for file in ["RXNSTY.RRF", "RXNSAB.RRF"] {
        let (there, away) = (folder.path().join(file), folder.path().join("away"));
        fs::rename(&there, &away).unwrap();
        let said = message(building());
        assert!(said.contains(&format!("holds no {file}; copy")), "{said}");
        fs::rename(&away, &there).unwrap();
    }
    let own = link(&open(&out, None), "acetylsalicylic acid").remove(0);
    assert_eq!((own.name.as_str(), own.codings.len()), ("aspirin", 1));
    let candidate = link(&open(&out, None), "Aspirin").remove(0);
    assert_eq!(
        (candidate.id.as_str(), candidate.semantic_types.as_slice()),
        ("1191", &["T109".to_owned()][..])
    );
    assert_eq!(
        candidate.codings[0].system,
        "http://www.nlm.nih.gov/research/umls/rxnorm"
    );
}

#[test]
fn a_concept_id_is_a_cui() {
    for id in ["0000001", "C1", "C00000001", "C000000x"] {
        let mut release = Release::small();
        let row = format!("{id}|ENG|P|L1|PF|S1|Y|A1||||MSH|MH|D1|a name|0|N||\n");
        release.text("MRCONSO.RRF").push_str(&row);
        release.write();
        let said = message(release.build(Filters::default(), 1 << 20));
        assert!(
            said.contains("MRCONSO.RRF:") && said.contains("C and seven digits"),
            "{id}: {said}"
        );
    }
}

#[test]
fn a_byte_order_mark_is_no_part_of_the_first_id() {
    let mut release = Release::small();
    release.text("MRCONSO.RRF").insert(0, '\u{feff}');
    assert_eq!(release.linker().index().record().concepts, 8);
}

#[test]
fn what_a_killed_build_left_goes_with_the_next_one() {
    let release = Release::small();
    release.write();
    let (left, busy) = (
        release.path(".mednerd-umls-left"),
        release.path(".mednerd-umls-busy"),
    );
    fs::write(&left, "half an index").unwrap();
    let held = fs::File::create(&busy).unwrap();
    held.lock().unwrap();
    release.build(Filters::default(), 1 << 20).unwrap();
    assert!(!left.exists() && busy.exists());
    drop(held);
    release.build(Filters::default(), 1 << 20).unwrap();
    assert!(!busy.exists());
}

#[test]
fn codes_that_are_none_are_left_out() {
    let mut release = Release::small();
    for (sab, code) in [
        ("ICD10CM", "I20-I25"),
        ("LNC", "MTHU000123"),
        ("SNOMEDCT_US", "NOCODE"),
    ] {
        let row = format!("C0000008|ENG|P|L1|PF|S1|Y|A1||||{sab}|PT|{code}|Hypertension, {sab}|0|N||\n");
        release.text("MRCONSO.RRF").push_str(&row);
    }
    release.text("MRSAB.RRF").push_str("||LNC_2026|LNC||||2026|Y|\n");
    let codings = link(&release.linker(), "hypertension").remove(0).codings;
    let codes: Vec<&str> = codings.iter().map(|coding| coding.code.as_str()).collect();
    assert_eq!(codes, ["C0000008", "D006973"]);
}

#[test]
fn codes_are_taken_whatever_their_names_are() {
    let mut release = Release::small();
    // Before its names and behind them; a translation has the codes of what it translates.
    let row = |language: &str, sab: &str, code: &str, name: &str| {
        format!("C0000008|{language}|P|L1|PF|S1|Y|A1||||{sab}|PT|{code}|{name}|0|N||\n")
    };
    let rows = row("ENG", "ICD10CM", "I10", "Essential hypertension")
        + &row("GER", "MSHGER", "D006973", "Hypertonie")
        + &row("SPA", "SCTSPA", "38341003", "hipertensión")
        + &row("GER", "DMDICD10", "I10-I15", "Hypertonie");
    release.text("MRCONSO.RRF").push_str(&rows);
    for sab in ["MSHGER", "SCTSPA", "DMDICD10"] {
        let line = format!("||{sab}_2026|{sab}||||2026|Y|\n");
        release.text("MRSAB.RRF").push_str(&line);
    }
    release.write();
    let codes = |change: &dyn Fn(&mut Filters), name: &str| -> Vec<String> {
        let mut filters = Filters::default();
        change(&mut filters);
        release.build(filters, 1 << 20).unwrap();
        let best = link(&open(&release.path("index"), None), name).remove(0);
        let code = |coding: mednerd_umls::codings::Coding| {
            let system = coding.system.rsplit('/').next().unwrap_or_default().to_owned();
            format!("{system} {}", coding.code)
        };
        let mut codes: Vec<String> = best.codings.into_iter().map(code).collect();
        codes.sort();
        codes
    };
    let all = ["icd-10-cm I10", "mesh D006973", "sct 38341003", "umls C0000008"];
    assert_eq!(
        codes(
            &|filters| filters.languages = vec!["GER".to_owned()],
            "Hypertonie"
        ),
        all
    );
    assert_eq!(codes(&|_| {}, "Hypertension"), all);
    assert_eq!(
        codes(
            &|filters| filters.without_term_types = vec!["MH".to_owned()],
            "Essential hypertension"
        ),
        all
    );
    // What is left out as a vocabulary gives no codes either: its licence may be the reason.
    assert_eq!(
        codes(
            &|filters| filters.without = vec!["SCTSPA".to_owned(), "ICD10CM".to_owned()],
            "Hypertension"
        ),
        ["mesh D006973", "umls C0000008"]
    );
    assert_eq!(
        codes(
            &|filters| {
                filters.languages.clear();
                filters.vocabularies = vec!["MSHGER".to_owned()];
            },
            "Hypertonie"
        ),
        ["mesh D006973", "umls C0000008"]
    );
}

#[test]
fn a_subset_may_have_empty_files() {
    let mut release = Release::small();
    for file in ["MRDEF.RRF", "MRCUI.RRF", "MRRANK.RRF"] {
        release.text(file).clear();
    }
    release.write();
    assert_eq!(release.build(Filters::default(), 1 << 20).unwrap().concepts, 8);
    // One that is announced as empty and is not is of another release.
    fs::write(
        release.path("MRDEF.RRF"),
        "C0000001|A1|AT1||MSH|Death of muscle.|N||\n",
    )
    .unwrap();
    let said = message(release.build(Filters::default(), 1 << 20));
    assert!(said.contains("1 rows where MRFILES.RRF announces 0"), "{said}");
}

#[test]
fn a_release_in_parts_or_packed_says_what_to_do() {
    let release = Release::small();
    release.write();
    fs::rename(release.path("MRCONSO.RRF"), release.path("MRCONSO.RRF.aa.gz")).unwrap();
    let said = message(release.build(Filters::default(), 1 << 20));
    assert!(
        said.contains("MRCONSO.RRF.aa.gz") && said.contains("join them first"),
        "{said}"
    );
    fs::rename(release.path("MRFILES.RRF"), release.path("MRFILES.RRF.gz")).unwrap();
    let said = message(release.build(Filters::default(), 1 << 20));
    assert!(
        said.contains("MRFILES.RRF.gz") && said.contains("unpack it first"),
        "{said}"
    );
}

#[test]
fn a_vocabulary_has_its_current_version() {
    let mut release = Release::small();
    let sources = release.text("MRSAB.RRF");
    *sources = format!("{sources}||MSH_2020|MSH||||2020|N|\n");
    let linker = release.linker();
    let sources = &linker.index().record().vocabularies;
    assert!(
        sources
            .iter()
            .any(|source| source.name == "MSH" && source.version == "2026")
    );
}

#[test]
fn an_index_is_not_written_over_what_it_is_made_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.csv");
    fs::write(&path, "id,name\nD1,fever\n").unwrap();
    let link = folder.path().join("other name");
    fs::hard_link(&path, &link).unwrap();
    let release = Release::small();
    release.write();
    for (input, out) in [
        (Input::Csv(path.clone()), &path),
        (Input::Csv(path.clone()), &link),
        (
            Input::Rrf(release.folder.path().to_owned()),
            &release.path("MRCONSO.RRF"),
        ),
    ] {
        let before = fs::read(out).unwrap();
        let said = message(build(input, out));
        assert!(said.contains("is what this command reads; give --out"), "{said}");
        assert_eq!(fs::read(out).unwrap(), before);
    }
}

#[test]
fn an_index_replaces_files_alone_and_a_link_stays_one() {
    let release = Release::small();
    release.write();
    let building = |out: &Path| build(Input::Rrf(release.folder.path().to_owned()), out);
    let folder = tempfile::tempdir().unwrap();
    let [pipe, to_pipe, first, link, new, to_new] =
        ["pipe", "to pipe", "v1", "current", "v2", "next"].map(|name| folder.path().join(name));
    nix::unistd::mkfifo(
        &pipe,
        nix::sys::stat::Mode::S_IRUSR | nix::sys::stat::Mode::S_IWUSR,
    )
    .unwrap();
    std::os::unix::fs::symlink(&pipe, &to_pipe).unwrap();
    for out in [&pipe, &to_pipe] {
        let said = message(building(out));
        assert!(said.contains("device or pipe and no file"), "{said}");
    }
    assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo() && to_pipe.is_symlink());
    let said = message(building(folder.path()));
    assert!(said.contains("is a folder; give --out"), "{said}");

    fs::write(&first, "an older one").unwrap();
    for (link, target, written) in [(&link, "v1", &first), (&to_new, "v2", &new)] {
        std::os::unix::fs::symlink(target, link).unwrap();
        building(link).unwrap();
        assert!(link.is_symlink() && written.symlink_metadata().unwrap().is_file());
        Index::open(written).unwrap();
        // As the plugin's user must be able to read it.
        assert_eq!(written.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    }
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 6, "nothing is left beside them");
    // A pipe is no index either, and nobody waits for what comes out of it.
    let said = message(Index::open(&pipe));
    assert!(said.contains("pipe or device and no index"), "{said}");
}

#[test]
fn dictionaries_are_read_as_people_write_them() {
    let (folder, record) = dictionary(
        "\u{feff}id,name,semantic_type,source\r\nMESH:D003920,Diabetes Mellitus,Disease,MEDIC\r\n\
         MESH:D003920,\"Diabetes, \"\"sugar\"\"\",Disease,MEDIC\r\nlocal-1,Ménière's disease,Disease,\r\n",
    );
    assert_eq!(record.unwrap().concepts, 2);
    let linker = open(&folder.path().join("index"), None);
    assert_eq!(link(&linker, "sugar diabetes")[0].name, "Diabetes Mellitus");
    assert_eq!(link(&linker, "diabetes mellitus")[0].codings[0].code, "D003920");
    assert_eq!(first(&linker, "Meniere disease").unwrap().0, "local-1");
    // Columns by other spellings of their names, in another order; synonyms in a column of their own.
    let (folder, record) =
        dictionary("Name,ID,Semantic Type,Synonyms\nFever,D1,Symptom,\"pyrexia|febrile, state\"\n");
    record.unwrap();
    let linker = open(&folder.path().join("index"), None);
    for name in ["fever", "Pyrexia", "febrile state"] {
        let best = link(&linker, name).remove(0);
        assert_eq!(
            (best.id.as_str(), best.semantic_types[0].as_str()),
            ("D1", "Symptom"),
            "{name}"
        );
    }

    // Ids are codes of the source where that is a code system, or of the system that a column names.
    for (text, system, code) in [
        (
            "id,name,semantic_type,source\nI21.9,Herzinfarkt,T047,ICD10GM\n",
            "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
            "I21.9",
        ),
        (
            "id,name\nICD10GM:I21.9,Herzinfarkt\n",
            "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
            "I21.9",
        ),
        (
            "id,name,source,system\n8-98,Herzinfarkt,haus,OPS\n",
            "http://fhir.de/CodeSystem/bfarm/ops",
            "8-98",
        ),
        (
            "id,name,system\nx7,Herzinfarkt,urn:oid:1.2.3\n",
            "urn:oid:1.2.3",
            "x7",
        ),
    ] {
        let (folder, record) = dictionary(text);
        let record = record.unwrap();
        let best = link(&open(&folder.path().join("index"), None), "Herzinfarkt").remove(0);
        assert_eq!(best.codings.len(), 1, "{text}");
        let coding = &best.codings[0];
        assert_eq!(
            (
                coding.system.as_str(),
                coding.code.as_str(),
                coding.display.as_str()
            ),
            (system, code, "Herzinfarkt")
        );
        assert_eq!(record.sources().count(), 1);
    }
    // A line has the number that an editor shows, whatever ends it.
    for end in ["\n", "\r\n", "\r"] {
        for mark in ["", "\u{feff}"] {
            for (blank, number) in [("", 4), (end, 5)] {
                let rows = ["id,name", "D1,Fever", "D2,\"Cough, dry\""].join(end);
                let said =
                    message(dictionary(&format!("{mark}{rows}{end}{blank},nothing{end}D3,Rash{end}")).1);
                let place = format!("dictionary.csv:{number}: the id is empty");
                assert!(said.contains(&place), "{end:?}: {said}");
            }
        }
    }
    let said = message(dictionary("id,name,system\nx7,Herzinfarkt,OPSS\n").1);
    assert!(
        said.contains("dictionary.csv:2: \"OPSS\" is no code system"),
        "{said}"
    );

    // Without a source names are of the vocabulary "dictionary"; empty cells at the end are nothing; what no answer may have is a
    // space.
    let (folder, record) = dictionary("id,name\nD1,Fever,,\nD2,\"Dry\u{b} \tcough\",\n");
    let record = record.unwrap();
    let sources: Vec<&str> = record
        .vocabularies
        .iter()
        .map(|source| source.name.as_str())
        .collect();
    assert_eq!(sources, ["dictionary"]);
    let linker = open(&folder.path().join("index"), None);
    assert_eq!(link(&linker, "dry cough")[0].name, "Dry cough");

    for (text, expected) in [
        ("", "empty"),
        (
            "id,name,semantic_type,source\nD1,ok,T047,X\nD2,Diabetes, type 2,T047,X\n",
            "dictionary.csv:3: 5 columns where the header has 4; a cell with a comma",
        ),
        (
            "id,name\nD\u{7}1,ok\n",
            "dictionary.csv:2: the id, semantic type, source or system has a control",
        ),
        (
            "id,name,source\nD1,ok,\"a\tb\"\n",
            "dictionary.csv:2: the id, semantic type, source or system has a control",
        ),
        ("a,b\n1,2\n", "dictionary.csv:1:"),
        ("id,name\nD1,\n", "no name is left"),
        ("id,name\n", "no row holds a name"),
        ("id\tname\nD1\tfever\n", "separated by commas"),
        (
            "id,name\nD1,\"fever\nD2,cough\n",
            "dictionary.csv:2: the name goes on in the next line",
        ),
        ("id,name\nD1,ok\nD2\n", "dictionary.csv:3:"),
        ("id,name\n,nameless\n", "dictionary.csv:2: the id is empty"),
        (
            &*format!("id,name,semantic_type\nD1,ok,T047|{}\n", "T".repeat(256)),
            "dictionary.csv:2: the source or a semantic type is longer than 255 bytes",
        ),
        (
            &*format!("id,name,source\nD1,ok,X\nD2,ok,{}\n", "X".repeat(256)),
            "dictionary.csv:3: the source or a semantic type is longer than 255 bytes",
        ),
    ] {
        let said = message(dictionary(text).1);
        assert!(said.contains(expected), "{text:?}: {said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.csv");
    fs::write(&path, b"id,name\nD1,caf\xe9\n").unwrap();
    let said = message(build(Input::Csv(path), &folder.path().join("index")));
    assert!(said.contains("d.csv:2: column 2 is not UTF-8"), "{said}");
}

#[test]
fn every_flipped_bit_is_found() {
    let release = Release::small();
    let linker = release.linker();
    let path = release.path("index");
    drop(linker);
    let good = fs::read(&path).unwrap();
    let damaged = release.path("damaged");
    let settings = Settings {
        index: damaged.clone(),
        ..Settings::default()
    };
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&damaged, &bytes).unwrap();
        let opened = Linker::open(settings.clone());
        assert!(
            opened.is_err(),
            "byte {at} of {} was changed and nothing noticed",
            good.len()
        );
    }
    for length in [0, 10, 100, good.len() / 2, good.len() - 1] {
        fs::write(&damaged, &good[..length]).unwrap();
        assert!(Index::open(&damaged).is_err(), "{length}");
    }
}

#[test]
fn a_failed_build_leaves_the_old_index() {
    let release = Release::small();
    drop(release.linker());
    let before = fs::read(release.path("index")).unwrap();
    fs::write(release.path("MRCONSO.RRF"), "").unwrap();
    assert!(release.build(Filters::default(), 1 << 20).is_err());
    assert_eq!(fs::read(release.path("index")).unwrap(), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn bytes_depend_on_the_input_alone(names in prop::collection::vec("[a-zA-Z]{1,8}( [a-z0-9]{1,9}){0,4}", 1..400)) {
        let rows: String = names.iter().enumerate().map(|(i, name)| format!("D{},{name},T,S{}\n", i / 3, i % 4)).collect();
        let text = format!("id,name,semantic_type,source\n{rows}");
        let (first, outcome) = dictionary(&text);
        outcome.unwrap();
        let (second, _) = dictionary(&text);
        let bytes = fs::read(first.path().join("index")).unwrap();
        prop_assert_eq!(&bytes, &fs::read(second.path().join("index")).unwrap());
        // Sorted in small runs outside memory, too.
        let out = second.path().join("small");
        let build = Build {
            input: Input::Csv(second.path().join("dictionary.csv")),
            out: out.clone(),
            filters: Filters::default(),
            memory: 0,
        };
        build.run(&mut ()).unwrap();
        prop_assert_eq!(&bytes, &fs::read(out).unwrap());
        // Every name that is one concept's alone finds it.
        let linker = open(&first.path().join("index"), None);
        for (i, name) in names.iter().enumerate() {
            let same = |other: &&String| other.eq_ignore_ascii_case(name);
            if names.iter().filter(same).count() > 1 {
                continue;
            }
            let found = link(&linker, name);
            let id = format!("D{}", i / 3);
            prop_assert_eq!(found.first().map(|candidate| &candidate.id), Some(&id), "{}", name);
        }
    }
}
