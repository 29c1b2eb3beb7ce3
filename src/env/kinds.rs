//! The kinds of environments, and the files that word them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{World, apps, bridge, household, scene, search, series, shop, sokoban};

/// One row of the table of kinds.
pub struct Kind {
    /// Name in `[env.<name>]`.
    pub name: &'static str,
    /// One sentence for lists.
    pub about: &'static str,
    /// The built-in text of `envs/<name>.toml`.
    pub text: &'static str,
    /// The setting that names a file of games, if games can be read from one.
    pub data: Option<&'static str>,
    /// Whether its games know how they are won ([`super::Env::expert`]).
    pub expert: bool,
    /// Builds the world from its settings table.
    pub open: fn(&toml::Table) -> Result<Box<dyn World>>,
}

/// Every kind of environment there is.
pub const KINDS: &[Kind] = &[
    Kind {
        name: household::KIND,
        about: "find, clean, heat, cool and place things in rooms; the interface and rules of ALFWorld",
        text: household::priors::TEXT,
        data: Some("games"),
        expert: true,
        open: |settings| Ok(Box::new(household::HouseholdWorld::from_table(settings)?)),
    },
    Kind {
        name: shop::KIND,
        about: "find what an instruction asks for in an online shop and buy it; the pages and rewards of WebShop",
        text: shop::TEXT,
        data: Some("products"),
        expert: true,
        open: |settings| Ok(Box::new(shop::ShopWorld::from_table(settings)?)),
    },
    Kind {
        name: sokoban::KIND,
        about: "push boxes onto targets; the levels, interface and rewards of verl-agent's Sokoban, or RAGEN's interface",
        text: sokoban::TEXT,
        data: Some("levels"),
        expert: true,
        open: |settings| Ok(Box::new(sokoban::SokobanWorld::from_table(settings)?)),
    },
    Kind {
        name: search::KIND,
        about: "answer a question by looking things up, perhaps several times; the interface of Search-R1",
        text: search::TEXT,
        data: Some("questions"),
        expert: true,
        open: |settings| Ok(Box::new(search::SearchWorld::from_table(settings)?)),
    },
    Kind {
        name: apps::KIND,
        about: "do what someone asks for in the apps of their everyday life, by writing code; of AppWorld's kind",
        text: apps::TEXT,
        data: None,
        expert: true,
        open: |settings| Ok(Box::new(apps::AppsWorld::from_table(settings)?)),
    },
    Kind {
        name: series::KIND,
        about: "forecast numbers with tools, measured by error; of TimeClaw's kind",
        text: series::TEXT,
        data: Some("data"),
        expert: true,
        open: |settings| Ok(Box::new(series::SeriesWorld::from_table(settings)?)),
    },
    Kind {
        name: scene::KIND,
        about: "write a program that draws a picture as asked for, judged by conditions; of GenEvolve's kind",
        text: scene::TEXT,
        data: None,
        expert: true,
        open: |settings| Ok(Box::new(scene::SceneWorld::from_table(settings)?)),
    },
    Kind {
        name: bridge::KIND,
        about: "an environment that runs elsewhere: an OpenEnv server, or a program that speaks JSON lines",
        text: bridge::TEXT,
        data: Some("replay"),
        expert: false,
        open: |settings| Ok(Box::new(bridge::BridgeWorld::from_table(settings)?)),
    },
];

/// The row of a kind. Fails on an unknown name.
pub fn kind(name: &str) -> Result<&'static Kind> {
    KINDS.iter().find(|row| row.name == name).with_context(|| {
        let names: Vec<_> = KINDS.iter().map(|row| format!("`{}`", row.name)).collect();
        format!("no environment is called `{name}`; there is {}", names.join(", "))
    })
}

/// Builds the world of a kind. Fails on an unknown kind or a setting it does not have.
pub fn open_world(name: &str, settings: &toml::Table) -> Result<Box<dyn World>> {
    (kind(name)?.open)(settings).with_context(|| format!("in the settings of environment `{name}`"))
}

/// The file of a kind: its prompts, and whatever else the kind keeps there.
pub struct EnvFile {
    /// TOML.
    pub text: Cow<'static, str>,
    /// Where the text is from, for messages.
    pub place: String,
    /// The file, if it is not the built-in text.
    pub path: Option<PathBuf>,
}

/// The file of a kind: `envs/<name>.toml` of the working folder, so that it can be edited, else the built-in text.
/// Fails on an unknown kind or an unreadable file.
pub fn file(name: &str) -> Result<EnvFile> {
    file_in(Path::new("envs"), name)
}

/// Where the file of a kind lies, if there is one.
pub fn path(name: &str) -> PathBuf {
    Path::new("envs").join(name).with_extension("toml")
}

fn file_in(folder: &Path, name: &str) -> Result<EnvFile> {
    let built_in = kind(name)?.text;
    let path = folder.join(name).with_extension("toml");
    let place = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(EnvFile { text: text.into(), place, path: Some(path) }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Ok(EnvFile { text: built_in.into(), place: format!("{place} (built in)"), path: None })
        }
        Err(error) => bail!("{place} cannot be read: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::prompt::{Prompts, styles};
    use super::*;

    #[test]
    fn a_file_of_the_working_folder_wins() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(file_in(folder.path(), "household").unwrap().text, household::priors::TEXT);
        std::fs::write(folder.path().join("household.toml"), "x = 1").unwrap();
        let found = file_in(folder.path(), "household").unwrap();
        assert_eq!((&*found.text, found.path.is_some()), ("x = 1", true));
        std::fs::write(folder.path().join("household.toml"), [0xff]).unwrap();
        assert!(file_in(folder.path(), "household").is_err());
    }

    #[test]
    fn every_kind_opens_with_its_defaults_and_all_its_styles_are_readable() {
        for kind in KINDS {
            let world = open_world(kind.name, &toml::Table::new()).unwrap();
            assert_eq!(world.kind(), kind.name);
            let styles = styles(kind.text).unwrap();
            assert!(styles.iter().any(|s| s == world.style()), "{}", kind.name);
            for style in styles {
                Prompts::load(kind.text, &style).unwrap_or_else(|e| panic!("{}: {e:#}", kind.name));
            }
        }
    }

    #[test]
    fn unknown_kinds_and_settings_are_named() {
        let error = open_world("kitchen", &toml::Table::new()).err().unwrap().to_string();
        assert!(error.starts_with("no environment is called `kitchen`; there is `household`, "), "{error}");
        let error = open_world("household", &"room = 'small'".parse().unwrap()).err().unwrap();
        assert!(format!("{error:#}").contains("unknown field `room`"), "{error:#}");
    }
}
