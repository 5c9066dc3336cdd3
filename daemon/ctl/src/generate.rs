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

/// Writes the page of `mednerctl` and one of each sub-command, and of each of theirs, into `directory`.
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
    let mut commands = Vec::new();
    add(&root, 0, &mut commands);
    let names: Vec<(usize, String)> = commands
        .iter()
        .map(|(depth, sub)| (*depth, page_name(sub)))
        .collect();
    commands
        .into_iter()
        .zip(&names)
        .map(|((_, command), (_, name))| Ok((format!("{name}.1"), page(command, &related(name, &names))?)))
        .collect()
}

/// A command and what is below it, each with how deep it stands.
fn add(command: &Command, depth: usize, all: &mut Vec<(usize, Command)>) {
    let mut own = command.clone();
    let shown = |sub: &&Command| !sub.is_hide_set() && sub.get_name() != "help";
    if depth > 0 {
        // It has no page.
        if own.find_subcommand("help").is_some() {
            own = own.mut_subcommand("help", |help| help.hide(true));
        }
    }
    all.push((depth, own));
    for sub in command.get_subcommands().filter(shown) {
        add(sub, depth + 1, all);
    }
}

/// Pages to refer to: those of the commands, and those of the same command's parts.
fn related(name: &str, all: &[(usize, String)]) -> Vec<String> {
    let family = |of: &str| of.split('-').nth(1).map(ToOwned::to_owned);
    all.iter()
        .filter(|(depth, other)| other != name && (*depth < 2 || family(other) == family(name)))
        .map(|(_, other)| other.clone())
        .collect()
}

/// `mednerctl-annotate`, as clap's build step names a sub-command for display.
fn page_name(command: &Command) -> String {
    let name = command.get_display_name();
    name.unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: Command, related: &[String]) -> io::Result<Vec<u8>> {
    let name = page_name(&command);
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
    page.extend_from_slice(see_also(related).as_bytes());
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
        (
            "MEDNERD_KEY_PASSWORD",
            "Password of the key that plugin keygen makes, and that plugin sign and model sign use, where no terminal shall be asked; empty for a key without one.",
        ),
        ("NO_COLOR", "Where set and not empty, no colours."),
    ];
    let mut text = String::from(".SH ENVIRONMENT\n");
    for (name, meaning) in variables {
        text.push_str(&format!(".TP\n\\fB{name}\\fR\n{}\n", roff(meaning)));
    }
    text
}

fn see_also(related: &[String]) -> String {
    let others: Vec<String> = related
        .iter()
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
                "mednerctl-audit-export.1",
                "mednerctl-audit-show.1",
                "mednerctl-audit-verify.1",
                "mednerctl-audit.1",
                "mednerctl-bench.1",
                "mednerctl-completions.1",
                "mednerctl-doctor.1",
                "mednerctl-load.1",
                "mednerctl-model-install.1",
                "mednerctl-model-list.1",
                "mednerctl-model-remove.1",
                "mednerctl-model-sign.1",
                "mednerctl-model-verify.1",
                "mednerctl-model.1",
                "mednerctl-models.1",
                "mednerctl-plugin-check.1",
                "mednerctl-plugin-install.1",
                "mednerctl-plugin-keygen.1",
                "mednerctl-plugin-list.1",
                "mednerctl-plugin-remove.1",
                "mednerctl-plugin-sign.1",
                "mednerctl-plugin-verify.1",
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
    fn pages_refer_to_pages_that_there_are_and_have_every_option() {
        let pages = pages().unwrap();
        let names: Vec<&str> = pages
            .iter()
            .map(|(name, _)| name.trim_end_matches(".1"))
            .collect();
        for (name, page) in &pages {
            let page = String::from_utf8_lossy(page)
                .replace("\\-", "-")
                .replace("\\fB", "")
                .replace("\\fR", "");
            for (at, _) in page.match_indices("(1)") {
                let from = page[..at]
                    .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                    .map_or(0, |at| at + 1);
                assert!(
                    names.contains(&&page[from..at]),
                    "{name} refers to {}",
                    &page[from..at]
                );
            }
        }
        let mut root = cli::command().disable_help_subcommand(true);
        root.build();
        let mut commands = Vec::new();
        add(&root, 0, &mut commands);
        let mut options = 0;
        for (_, command) in &commands {
            let name = format!("{}.1", page_name(command));
            let (_, page) = pages.iter().find(|(found, _)| *found == name).unwrap();
            let page = String::from_utf8_lossy(page).replace("\\-", "-");
            for option in command.get_arguments().filter(|option| !option.is_hide_set()) {
                let Some(long) = option.get_long() else { continue };
                let words = page.split(|c: char| c != '-' && !c.is_ascii_alphanumeric());
                // The font's name stands right before it.
                let found = words.into_iter().any(|word| word.ends_with(&format!("--{long}")));
                assert!(found, "{name} lacks --{long}");
                options += 1;
            }
        }
        assert!(options > 100, "{options} options were looked for");
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
