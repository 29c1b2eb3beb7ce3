//! What a person keeps between sessions: keymap and themes in the configuration folder, read again when they change;
//! how charts and panes were left, in the state folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::app::App;
use super::keymap;
use super::lens::{Clip, Lens, XAxis};
use super::screens::dash::Preset;
use super::splits::Splits;
use super::theme::Theme;

/// The files of a person, and when they were read.
#[derive(Debug, Default)]
pub struct Settings {
    /// `keymap.toml` and `themes/*.toml`; `None` has none.
    folder: Option<PathBuf>,
    /// Where the layout is kept.
    layout: Option<PathBuf>,
    read: BTreeMap<PathBuf, Option<SystemTime>>,
}

impl Settings {
    /// The folders of the XDG base directory specification, under `sdlab`.
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let home = set("HOME");
        let base = |name: &str, below: &str| set(name).or_else(|| Some(home.as_ref()?.join(below)));
        Self {
            folder: base("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("sdlab")),
            layout: base("XDG_STATE_HOME", ".local/state").map(|dir| dir.join("sdlab/screen.toml")),
            read: BTreeMap::new(),
        }
    }

    /// The files of these folders, for tests.
    pub fn at(folder: &Path, layout: &Path) -> Self {
        Self { folder: Some(folder.into()), layout: Some(layout.into()), read: BTreeMap::new() }
    }

    /// Reads what changed since the last call; true if something did. A file that is wrong changes nothing, and the
    /// notice says where.
    pub fn poll(&mut self, app: &mut App) -> bool {
        let Some(folder) = self.folder.clone() else { return false };
        let mut files = vec![folder.join("keymap.toml")];
        let themes = fs::read_dir(folder.join("themes")).into_iter().flatten().flatten().map(|entry| entry.path());
        files.extend(themes.filter(|path| path.extension().is_some_and(|end| end == "toml")));
        let mut changed = false;
        for path in files {
            let stamp = fs::metadata(&path).and_then(|meta| meta.modified()).ok();
            let known = self.read.insert(path.clone(), stamp);
            if known.unwrap_or(None) == stamp {
                continue;
            }
            changed = true;
            let text = fs::read_to_string(&path).unwrap_or_default();
            if let Err(error) = take(app, &path, &text) {
                app.notify(error);
            }
        }
        changed
    }

    /// Puts charts and panes as they were left. A file that cannot be read is as none.
    pub fn restore(&self, app: &mut App) {
        let text = self.layout.as_ref().and_then(|path| fs::read_to_string(path).ok());
        if let Some(kept) = text.and_then(|text| toml::from_str::<Kept>(&text).ok()) {
            kept.put(app);
        }
    }

    /// Keeps how charts and panes are now. What cannot be written is lost, and harms nobody.
    pub fn keep(&self, app: &App) {
        let Some((path, text)) = self.layout.as_ref().zip(toml::to_string(&Kept::of(app)).ok()) else { return };
        let folder = path.parent().map(fs::create_dir_all);
        if matches!(folder, Some(Ok(()))) {
            drop(crate::run::atomic_write(path, text.as_bytes()));
        }
    }
}

fn take(app: &mut App, path: &Path, text: &str) -> Result<(), String> {
    let name = path.display().to_string();
    if path.ends_with("keymap.toml") {
        app.keymap = keymap::parse(&name, text)?;
    } else {
        let theme = Theme::parse(text, app.themes.depth()).map_err(|error| Theme::error_at(&name, text, &error))?;
        app.themes.put(theme);
    }
    Ok(())
}

/// What is kept of a session.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    theme: String,
    layout: String,
    smooth: usize,
    x: String,
    log_x: bool,
    log: Vec<String>,
    clip: usize,
    linked: bool,
    mouse: bool,
    /// Metrics of the grid of one's own.
    charts: Vec<String>,
    /// Borders that were moved.
    panes: BTreeMap<String, f64>,
    /// Lines typed before.
    typed: BTreeMap<String, Vec<String>>,
}

impl Kept {
    fn of(app: &App) -> Self {
        let lens = &app.lens;
        Self {
            theme: app.themes.current().name.clone(),
            layout: Preset::ALL[app.states.dash.preset as usize].1.into(),
            smooth: lens.smooth,
            x: lens.x.name().into(),
            log_x: lens.log_x,
            log: lens.log.iter().cloned().collect(),
            clip: lens.clip as usize,
            linked: lens.linked,
            mouse: app.mouse,
            charts: app.states.dash.own.clone(),
            panes: app.splits.0.clone(),
            typed: app.recall.lines.clone(),
        }
    }

    fn put(self, app: &mut App) {
        app.themes.choose(&self.theme);
        let preset = Preset::ALL.iter().find(|(_, name)| *name == self.layout);
        app.states.dash.preset = preset.map_or(Preset::default(), |(preset, _)| *preset);
        app.lens = Lens {
            smooth: self.smooth,
            x: XAxis::ALL.into_iter().find(|axis| axis.name() == self.x).unwrap_or_default(),
            log_x: self.log_x,
            log: self.log.into_iter().collect(),
            clip: [Clip::None, Clip::P99, Clip::P95][self.clip.min(2)],
            linked: self.linked,
            ..Lens::default()
        };
        app.mouse = self.mouse;
        app.states.dash.own = self.charts;
        app.splits = Splits(self.panes.into_iter().filter(|(_, share)| (0.0..=1.0).contains(share)).collect());
        app.recall.lines = self.typed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keys::{Action, ScreenId};
    use crate::tui::theme::{Depth, EMBEDDED};
    use crate::tui::{Mode, Options};

    fn app() -> App {
        let (theme, theme_files) = (None, vec![]);
        App::new(&Options { mode: Mode::Live, theme, theme_files, depth: Depth::True, ascii: false, fps: 30 }).unwrap()
    }

    #[test]
    fn files_are_read_again_and_wrong_ones_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::at(folder.path(), &folder.path().join("x/screen.toml"));
        let mut app = app();
        assert!(!settings.poll(&mut app), "no file is no change");
        fs::create_dir(folder.path().join("themes")).unwrap();
        fs::write(folder.path().join("keymap.toml"), "[keys]\nzoom = \"F4\"\n").unwrap();
        let mine = EMBEDDED[0].replace("name = \"dark\"", "name = \"mine\"");
        fs::write(folder.path().join("themes/mine.toml"), &mine).unwrap();
        assert!(settings.poll(&mut app) && !settings.poll(&mut app));
        assert!(app.themes.choose("mine") && app.notice.is_none());
        let f4 = crossterm::event::KeyEvent::from(crossterm::event::KeyCode::F(4));
        app.on_key(f4);
        assert!(app.zoomed);
        let later = SystemTime::now() + std::time::Duration::from_secs(5);
        let wrong = |path: PathBuf, text: &str| {
            fs::write(&path, text).unwrap();
            fs::File::open(path).unwrap().set_modified(later).unwrap();
        };
        wrong(folder.path().join("themes/mine.toml"), &mine.replace("\ngood", "\ngod"));
        assert!(settings.poll(&mut app));
        let line = mine.lines().position(|line| line.starts_with("good")).unwrap() + 1;
        let said = app.notice.as_ref().unwrap().0.clone();
        assert!(said.contains(&format!("mine.toml:{line}:1: unknown role `god`")), "{said}");
        wrong(folder.path().join("keymap.toml"), "[keys]\nzom = \"F5\"\n");
        settings.poll(&mut app);
        assert!(app.notice.as_ref().unwrap().0.contains("keymap.toml:2:1"));
        app.on_key(f4);
        assert!(!app.zoomed, "the old keys still work");
    }

    #[test]
    fn a_layout_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::at(folder.path(), &folder.path().join("x/screen.toml"));
        let mut before = app();
        for action in [Action::Smooth(1), Action::XAxis, Action::Log, Action::Outliers, Action::Link, Action::Theme] {
            before.update(action);
        }
        before.update(Action::Layout);
        settings.keep(&before);
        let mut after = app();
        settings.restore(&mut after);
        assert_eq!((&after.lens, after.states.dash.preset), (&before.lens, before.states.dash.preset));
        assert_eq!((after.themes.current(), after.screen), (before.themes.current(), ScreenId::Dash));
    }
}
