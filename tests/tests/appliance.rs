//! The parts of the package that can be checked without installing it. `make appliance-test` does the rest.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

use std::fs;
use std::process::{Command, Output};

use mednerd_tests::daemon::root;

/// What a command says that succeeds; fails with all of that where it does not.
#[track_caller]
fn succeeds(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(output.status.success(), "{out}{err}");
    output
}

fn there(program: &str) -> bool {
    let found = Command::new("sh")
        .args(["-c", &format!("command -v {program}")])
        .output();
    let found = found.unwrap().status.success();
    if !found {
        mednerd_skip::skipped(format_args!("{program} is not installed"));
    }
    found
}

fn unit(name: &str) -> String {
    root().join("packaging/systemd").join(name).display().to_string()
}

#[test]
fn the_units_exposure_is_at_most_1_5() {
    exposure_is_at_most(15, &unit("mednerd.service"));
}

#[test]
fn with_a_gpu_the_units_exposure_is_at_most_2_5() {
    let folder = tempfile::tempdir().unwrap();
    let both = ["mednerd.service", "mednerd-cuda.conf"].map(|name| fs::read_to_string(unit(name)).unwrap());
    let whole = folder.path().join("mednerd.service");
    fs::write(&whole, both.concat()).unwrap();
    exposure_is_at_most(25, whole.to_str().unwrap());
}

fn exposure_is_at_most(threshold: u32, unit: &str) {
    if !there("systemd-analyze") {
        return;
    }
    let output = succeeds(
        Command::new("systemd-analyze")
            .args(["security", "--offline=yes", "--no-pager"])
            .arg(format!("--threshold={threshold}"))
            .arg(unit),
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        !errors.contains("Unknown") && !errors.contains("ignoring"),
        "{errors}"
    );
}

#[test]
fn the_units_promise_what_the_guide_says() {
    let service = fs::read_to_string(unit("mednerd.service")).unwrap();
    for line in [
        "Type=notify",
        "ExecReload=/usr/bin/mednerd validate",
        "RestartPreventExitStatus=78",
        "PrivateNetwork=yes",
        "RestrictAddressFamilies=AF_UNIX",
        "CapabilityBoundingSet=",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "MemorySwapMax=0",
        "LimitCORE=1",
        "NoExecPaths=/",
        "LoadCredential=audit.key:/etc/mednerd/audit.key",
    ] {
        assert!(service.lines().any(|found| found == line), "{line}");
    }
    let socket = fs::read_to_string(unit("mednerd.socket")).unwrap();
    assert!(socket.contains(&format!("ListenStream={}\n", mednerd_client::DEFAULT_SOCKET)));
    let admin = fs::read_to_string(unit("mednerd-admin.socket")).unwrap();
    assert!(admin.contains(&format!(
        "ListenStream={}\n",
        mednerd_client::DEFAULT_ADMIN_SOCKET
    )));
    assert!(admin.contains("SocketMode=0600\n"));
}

#[test]
fn maintainer_scripts_and_profile_are_well_formed() {
    let folders = ["packaging/debian", "packaging/admin"].map(|folder| root().join(folder));
    let files = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let scripts: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| fs::read_to_string(path).unwrap().starts_with("#!/bin/sh"))
        .collect();
    assert!(scripts.len() >= 12, "{scripts:?}");
    for script in &scripts {
        succeeds(Command::new("sh").arg("-n").arg(script));
    }
    if there("shellcheck") {
        succeeds(Command::new("shellcheck").arg("--shell=sh").args(&scripts));
    }
    if there("apparmor_parser") && std::path::Path::new("/etc/apparmor.d/tunables/global").exists() {
        let profile = root().join("packaging/apparmor/usr.bin.mednerd");
        succeeds(Command::new("apparmor_parser").arg("-QTK").arg(profile));
    }
}
