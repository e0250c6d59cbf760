//! Providers on the command line: single keys of their tables, which win over the file.

use anyhow::{Context as _, bail};

use crate::config::Config;

/// Keys that can hold secrets: what stands on a command line is seen by everybody on the machine.
const FOR_THE_FILE: &[&str] = &["headers", "env"];

/// Sets `NAME.KEY=VALUE` in the tables of a configuration, and who runs turns by default.
///
/// # Errors
///
/// Which flag is not understood, and how it is written.
pub(super) fn apply(
    config: &mut Config,
    settings: &[String],
    default_provider: Option<&str>,
) -> anyhow::Result<()> {
    for setting in settings {
        let named = setting.split_once('=').and_then(|(name, value)| {
            let (name, key) = name.split_once('.')?;
            Some((name.trim(), key.trim(), value))
                .filter(|(name, key, _)| !name.is_empty() && !key.is_empty())
        });
        let (name, key, value) = named.with_context(|| {
            format!("--provider {setting} is not NAME.KEY=VALUE, such as local.kind=openai")
        })?;
        if FOR_THE_FILE.contains(&key.split('.').next().unwrap_or_default()) {
            bail!("--provider {name}.{key} can hold a secret; put it into the file of --config");
        }
        let table = config.providers.entry(name.to_owned()).or_default();
        table.insert(key.to_owned(), value_of(value));
    }
    if let Some(name) = default_provider {
        config.default_provider = Some(name.to_owned());
    }
    match &config.default_provider {
        Some(name) if !config.providers.contains_key(name) => bail!(
            "--default-provider {name} is not configured; configured are: {}",
            config.provider_names()
        ),
        _ => Ok(()),
    }
}

/// A number, a truth value, or a list as TOML writes them; any other text as it is.
fn value_of(text: &str) -> toml::Value {
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let value = parsed.ok().and_then(|mut table| table.remove("value"));
    value.filter(|value| !value.is_datetime()).unwrap_or_else(|| text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply_all(file: &str, settings: &[&str], default: Option<&str>) -> Result<Config, String> {
        let mut config = Config::parse(file, std::path::Path::new("s.toml")).unwrap();
        let settings: Vec<String> = settings.iter().map(|&text| text.to_owned()).collect();
        apply(&mut config, &settings, default).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn flags_make_providers_and_win_over_the_file() {
        let file = "[providers.local]\nkind = 'openai'\nmodel = 'small'\n";
        let settings = [
            "local.model=gemma",
            "local.base_url=http://127.0.0.1:1/v1?a=b",
            "local.connect_timeout_ms=50",
            "agent.kind=acp",
            "agent.command=[\"node\", \"agent.js\"]",
        ];
        let config = apply_all(file, &settings, Some("agent")).unwrap();
        let local = &config.providers["local"];
        assert_eq!(local["kind"].as_str(), Some("openai"));
        assert_eq!(local["model"].as_str(), Some("gemma"));
        assert_eq!(local["base_url"].as_str(), Some("http://127.0.0.1:1/v1?a=b"));
        assert_eq!(local["connect_timeout_ms"].as_integer(), Some(50));
        assert_eq!(config.providers["agent"]["command"].as_array().map(Vec::len), Some(2));
        assert_eq!(config.default_provider.as_deref(), Some("agent"));
    }

    #[test]
    fn a_flag_that_is_none_is_named() {
        for (setting, part) in [
            ("local", "local is not NAME.KEY=VALUE"),
            ("local=x", "not NAME.KEY"),
            (".kind=x", "not NAME.KEY"),
            ("a.headers={ x = 1 }", "can hold a secret"),
            ("a.env.KEY=x", "can hold a secret"),
        ] {
            let error = apply_all("", &[setting], None).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let error = apply_all("", &["a.kind=scripted"], Some("b")).unwrap_err();
        assert_eq!(error, "--default-provider b is not configured; configured are: a");
    }
}
