//! The program: its exit codes and what it prints.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mednerd-umls"))
        .args(arguments)
        .output()
        .unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A release with all its names, none of which has a code.
fn copy_without_codes(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut text = std::fs::read_to_string(&path).unwrap();
        if name == "MRCONSO.RRF" {
            let bare = |row: &str| {
                let mut cells: Vec<&str> = row.split('|').collect();
                cells[13] = "NOCODE";
                cells.join("|") + "\n"
            };
            text = text.lines().map(bare).collect();
        }
        std::fs::write(to.join(name), text).unwrap();
    }
}

#[test]
fn every_command_does_its_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (index, gold) = (path("index"), path("gold"));
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let built = program(&["build", "--rrf", demo.to_str().unwrap(), "--out", &index]);
    assert_eq!(built.status.code(), Some(0));
    assert!(built.stderr.is_empty(), "no progress where there is no terminal");
    assert!(!String::from_utf8_lossy(&built.stdout).contains("no codes"));
    // What is taken may have none; that is said.
    let (release, bare) = (path("META"), path("bare"));
    copy_without_codes(&demo, Path::new(&release));
    let built = program(&["build", "--rrf", &release, "--out", &bare]);
    let said = String::from_utf8_lossy(&built.stdout);
    assert!(
        said.contains(" 0 codes from ") && said.contains("\nno codes: "),
        "{said}"
    );

    let query = json(&program(&[
        "query",
        "--index",
        &index,
        "--json",
        "high blood pressure",
    ]));
    let best = &query["queries"][0]["candidates"][0];
    assert_eq!(
        (best["name"].as_str(), best["match"].as_str()),
        (Some("Hypertension"), Some("exact"))
    );
    assert!(best["codings"].is_array() && best["reason"].is_string() && best["score"].is_number());
    let list = path("list.tsv");
    let listed = program(&["terms", "--index", &index, "--out", &list, "--language", "en"]);
    assert_eq!(listed.status.code(), Some(0));
    let list = std::fs::read_to_string(&list).unwrap();
    assert_eq!(list.lines().next(), Some("name\tlabel\tlanguage"));
    assert!(
        list.contains("\nhigh blood pressure\tDisease\ten\n")
            || list.contains("\nHigh blood pressure\tDisease\ten\n")
    );
    assert!(
        !list.to_lowercase().contains("\nfurosemide\t"),
        "a drug is no disease"
    );
    let said = String::from_utf8(listed.stdout).unwrap();
    assert!(
        said.ends_with(&format!(": {} names\n", list.lines().count() - 1)),
        "{said}"
    );
    let info = json(&program(&["info", "--index", &index, "--json"]));
    assert_eq!(info["record"]["kind"], "umls");

    let text = "1|t|Fever and COPD.\n1|a|Chills.\n1\t0\t5\tFever\tDisease\tX1|X2\n1\t10\t14\tCOPD\tDisease\tX9\n\
                1\t16\t22\tChills\tDisease\t-1\n";
    std::fs::write(&gold, text).unwrap();
    let id = json(&program(&["query", "--index", &index, "--json", "fever"]));
    let id = id["queries"][0]["candidates"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let map = path("map");
    std::fs::write(&map, format!("X2\t{id}\n")).unwrap();
    let (errors, svg) = (path("errors.tsv"), path("reliability.svg"));
    let arguments = [
        "eval",
        "--index",
        &index,
        "--gold",
        &gold,
        "--map",
        &map,
        "--errors",
        &errors,
        "--reliability",
        &svg,
        "--json",
    ];
    let outcome = json(&program(&arguments));
    assert_eq!(
        (outcome["mentions"].as_u64(), outcome["coverage"].as_f64()),
        (Some(2), Some(0.5))
    );
    for figure in ["accuracy_at_1", "recall_at_10", "recall_at_50"] {
        assert_eq!(outcome[figure], 1.0, "{figure}");
    }
    assert_eq!(outcome["stages"][0]["stage"], "exact");
    assert!(std::fs::read_to_string(svg).unwrap().starts_with("<svg"));
    assert!(std::fs::read_to_string(errors).unwrap().starts_with("count\t"));
}

#[test]
fn exit_codes_tell_what_happened() {
    assert_eq!(program(&["--help"]).status.code(), Some(0));
    assert_eq!(program(&[]).status.code(), Some(2));
    assert_eq!(program(&["build", "--out", "x"]).status.code(), Some(2));
    assert_eq!(
        program(&["build", "--rrf", "a", "--csv", "b", "--out", "x"])
            .status
            .code(),
        Some(2)
    );
    let failed = program(&["info", "--index", "/nonexistent/index"]);
    assert_eq!(failed.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("cannot read /nonexistent/index"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index");
    std::fs::write(&path, "hello").unwrap();
    let failed = program(&["query", "--index", path.to_str().unwrap(), "pain"]);
    assert_eq!(failed.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("this is no index"));
}

#[test]
fn an_output_is_no_input_and_replaces_an_older_file_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [index, gold, list, link, twin] = ["index", "gold", "list", "link", "twin"].map(path);
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo");
    let built = program(&["build", "--rrf", demo.to_str().unwrap(), "--out", &index]);
    assert_eq!(built.status.code(), Some(0));
    std::fs::write(
        &gold,
        "1|t|Fever.\n1|a|Chills.\n1\t0\t5\tFever\tDisease\tC0015967\n",
    )
    .unwrap();
    std::fs::hard_link(&gold, &twin).unwrap();
    std::os::unix::fs::symlink(&index, &link).unwrap();
    let files = [&index, &gold].map(|file| (file, std::fs::read(file).unwrap()));
    let eval = ["eval", "--index", &index, "--gold", &gold];
    let with = |more: &[&str]| program(&[&eval[..], more].concat());
    let new = path("new");
    for refused in [
        program(&["terms", "--index", &index, "--out", &index]),
        program(&["terms", "--index", &index, "--out", &link]),
        with(&["--errors", &gold]),
        with(&["--errors", &twin]),
        with(&["--reliability", &index]),
        with(&["--errors", &new, "--reliability", &new]),
    ] {
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(5), "{said}");
        assert!(said.contains("is what this command reads; give --"), "{said}");
    }
    for (file, before) in &files {
        assert_eq!(&std::fs::read(file).unwrap(), before);
    }
    assert!(!Path::new(&new).exists());

    // Whoever has the older one open keeps all of it.
    std::fs::write(&list, "an older list").unwrap();
    std::fs::set_permissions(&list, std::fs::Permissions::from_mode(0o640)).unwrap();
    let mut older = std::fs::File::open(&list).unwrap();
    let listed = program(&["terms", "--index", &index, "--out", &list]);
    assert_eq!(listed.status.code(), Some(0));
    let mut kept = String::new();
    older.read_to_string(&mut kept).unwrap();
    assert_eq!(kept, "an older list");
    assert!(std::fs::read_to_string(&list).unwrap().starts_with("name\t"));
    assert_eq!(
        std::fs::metadata(&list).unwrap().permissions().mode() & 0o777,
        0o640
    );
    // A terminal or pipe gets it as it comes.
    let shown = program(&["terms", "--index", &index, "--out", "/dev/stdout"]);
    assert!(shown.stdout.starts_with(b"name\tlabel\tlanguage\n"));
}
