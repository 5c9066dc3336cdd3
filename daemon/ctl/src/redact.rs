//! What of a configuration stays in the hospital: the settings of plugins, among which passwords and names may be.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What stands in place of a value.
const REDACTED: &str = "\"(left out)\"";

/// A configuration as it stands, with the strings under `plugins.settings` left out that are no absolute paths. Of a
/// file that is no TOML, nothing from the first line on that may be about plugins.
pub fn without_secrets(text: &str) -> String {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return before_plugins(text);
    }
    let mut secrets = Vec::new();
    if let Some(DeValue::Array(plugins)) = value(table.get_ref(), "plugins") {
        for plugin in plugins.iter() {
            if let DeValue::Table(plugin) = plugin.get_ref()
                && let Some(settings) = spanned(plugin, "settings")
            {
                collect(settings, &mut secrets);
            }
        }
    }
    secrets.sort_by_key(|span| span.start);
    let mut redacted = text.to_owned();
    for span in secrets.into_iter().rev() {
        redacted.replace_range(span, REDACTED);
    }
    redacted
}

fn spanned<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    let mut entries = table.iter();
    let found = entries.find(|(name, _)| name.get_ref().as_ref() == key);
    found.map(|(_, value)| value)
}

fn value<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t DeValue<'i>> {
    spanned(table, key).map(Spanned::get_ref)
}

/// Where strings stand that are no absolute paths.
fn collect(value: &Spanned<DeValue<'_>>, found: &mut Vec<Range<usize>>) {
    match value.get_ref() {
        DeValue::String(text) if !text.starts_with('/') => found.push(value.span()),
        DeValue::Array(items) => items.iter().for_each(|item| collect(item, found)),
        DeValue::Table(table) => table.iter().for_each(|(_, value)| collect(value, found)),
        _ => {}
    }
}

fn before_plugins(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.contains("plugins"));
    let mut kept: Vec<&str> = lines.collect();
    kept.push("# the rest is left out: this is no TOML, and what are settings of plugins cannot be told");
    kept.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_plugins_stay_but_for_paths_and_numbers() {
        let text = "[server] # kept\nsocket = \"a.sock\"\n[[plugins]]\npath = \"drugs\" # kept\n[plugins.settings]\n\
            index = \"/srv/drugs/index\"\npassword = \"geheim\"\nport = 7\non = true\nlist = [\"eins\", '/zwei', 3]\n\
            [plugins.settings.inner]\n\"a key\" = '''drei'''\n[[plugins]]\npath = \"/q\"\nsettings = { token = \"vier\" }\n";
        let kept = without_secrets(text);
        for secret in ["geheim", "eins", "drei", "vier"] {
            assert!(!kept.contains(secret), "{secret}: {kept}");
        }
        for word in [
            "a.sock",
            "# kept",
            "\"drugs\"",
            "/srv/drugs/index",
            "password",
            "port = 7",
            "on = true",
            "'/zwei', 3",
        ] {
            assert!(kept.contains(word), "{word}: {kept}");
        }
        assert_eq!(kept.lines().count(), text.lines().count());
        assert_eq!(without_secrets(&kept), kept, "it is TOML still");
    }

    #[test]
    fn of_what_is_no_toml_nothing_about_plugins_is_kept() {
        let kept =
            without_secrets("[server]\nsocket = \"s\"\n[[plugins]]\n[plugins.settings]\nword = \"geheim\n");
        assert!(kept.starts_with("[server]\nsocket = \"s\"\n#"), "{kept}");
        assert!(!kept.contains("geheim"), "{kept}");
        assert_eq!(without_secrets("models = 1\n"), "models = 1\n");
    }
}
