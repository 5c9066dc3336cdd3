//! Completions and man pages, from the definition in [`crate::cli`].

use std::fs;
use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::generate;
use clap_complete::shells;
use clap_mangen::Man;

use crate::cli::{self, Shell};
use crate::error::Error;
use crate::exit::Exit;
use crate::output::Output;

/// Prints the completion script for a shell.
pub fn completions(shell: Shell) -> Result<Exit, Error> {
    let mut output = Output::Stdout;
    output.write(&completion_script(shell))?;
    Ok(Exit::Fine)
}

fn completion_script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let mut command = cli::command();
    let name = command.get_name().to_owned();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, name, &mut script),
        Shell::Zsh => generate(shells::Zsh, &mut command, name, &mut script),
        Shell::Fish => generate(shells::Fish, &mut command, name, &mut script),
    }
    script
}

/// Writes the page of `mednerctl` and one of each sub-command into `directory`.
pub fn man_pages(directory: &Path) -> Result<Exit, Error> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Generate { path, source }
    };
    fs::create_dir_all(directory).map_err(failed(directory))?;
    for (name, page) in pages().map_err(failed(directory))? {
        let path = directory.join(name);
        fs::write(&path, page).map_err(failed(&path))?;
    }
    Ok(Exit::Fine)
}

/// File name and content of every page. The same definition gives the same bytes.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = cli::command().disable_help_subcommand(true);
    root.build();
    let mut commands = vec![root.clone()];
    commands.extend(root.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned());
    let names: Vec<String> = commands.iter().map(page_name).collect();
    commands
        .into_iter()
        .zip(&names)
        .map(|(command, name)| Ok((format!("{name}.1"), page(command, name, &names)?)))
        .collect()
}

/// `mednerctl-annotate`, as clap's build step names a sub-command for display.
fn page_name(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: Command, name: &str, all: &[String]) -> io::Result<Vec<u8>> {
    let version = env!("CARGO_PKG_VERSION");
    let has_commands = command.get_subcommands().any(|sub| !sub.is_hide_set());
    let man = Man::new(command)
        .title(name.to_uppercase())
        .source(format!("mednerd {version}"))
        .manual("mednerd");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend_from_slice(exit_status().as_bytes());
    page.extend_from_slice(environment().as_bytes());
    page.extend_from_slice(see_also(name, all).as_bytes());
    Ok(page)
}

fn exit_status() -> String {
    let mut text = String::from(".SH \"EXIT STATUS\"\n");
    for exit in Exit::ALL {
        text.push_str(&format!(
            ".TP\n\\fB{}\\fR\n{}\n",
            exit.code(),
            roff(exit.meaning())
        ));
    }
    text
}

fn environment() -> String {
    let variables = [
        (
            "MEDNERD_SOCKET",
            "Socket of the daemon, where --socket is not given.",
        ),
        (
            "MEDNERD_ADMIN_SOCKET",
            "Admin socket of the daemon, where --admin-socket is not given.",
        ),
        ("NO_COLOR", "Where set and not empty, no colours."),
    ];
    let mut text = String::from(".SH ENVIRONMENT\n");
    for (name, meaning) in variables {
        text.push_str(&format!(".TP\n\\fB{name}\\fR\n{}\n", roff(meaning)));
    }
    text
}

fn see_also(name: &str, all: &[String]) -> String {
    let others: Vec<String> = all
        .iter()
        .filter(|other| *other != name)
        .map(|other| format!("\\fB{}\\fR(1)", roff(other)))
        .collect();
    format!(".SH \"SEE ALSO\"\n{}\n", others.join(", "))
}

/// Text for a roff source: no character of it is a command.
fn roff(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completion_script(shell)).unwrap();
            for word in ["annotate", "reload", "bench", "offset-unit", "ndjson"] {
                assert!(script.contains(word), "{shell:?} lacks {word}");
            }
        }
    }

    #[test]
    fn there_is_a_page_for_every_command_but_the_hidden_one() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("man1");
        assert_eq!(man_pages(&directory).unwrap(), Exit::Fine);
        let mut names: Vec<String> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "mednerctl-annotate.1",
                "mednerctl-audit.1",
                "mednerctl-bench.1",
                "mednerctl-completions.1",
                "mednerctl-doctor.1",
                "mednerctl-load.1",
                "mednerctl-model.1",
                "mednerctl-models.1",
                "mednerctl-plugin.1",
                "mednerctl-plugins.1",
                "mednerctl-reload.1",
                "mednerctl-status.1",
                "mednerctl-support-bundle.1",
                "mednerctl-unload.1",
                "mednerctl.1"
            ]
        );
    }

    #[test]
    fn pages_are_whole_and_the_same_every_time() {
        let pages = pages().unwrap();
        assert_eq!(pages, super::pages().unwrap());
        for (name, page) in pages {
            let page = String::from_utf8(page).unwrap();
            for section in [
                ".SH NAME",
                ".SH SYNOPSIS",
                ".SH DESCRIPTION",
                ".SH OPTIONS",
                ".SH \"EXIT STATUS\"",
                ".SH ENVIRONMENT",
                ".SH \"SEE ALSO\"",
            ] {
                assert!(page.contains(section), "{name} lacks {section}");
            }
        }
    }
}
