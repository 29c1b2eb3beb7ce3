//! Menus and pages that are the same on every screen: what to copy, what to export, the configuration.

use super::app::{App, Effect, Export, Form, Subject};
use super::keys::ScreenId;
use super::overlay::{MenuItem, Overlay};

/// The configuration as a page: what changed last, then every key with when a change of it takes effect.
pub fn config_page(app: &mut App, text: &str) {
    let mut lines = String::new();
    let changes = &app.view().last_changes;
    if !changes.is_empty() {
        lines.push_str("changed last:\n");
        let line = |c: &crate::core::event::KeyChange| {
            format!("  {} {} -> {} ({})\n", c.key, c.before, c.after, scope(c.scope))
        };
        lines.extend(changes.iter().map(line));
        lines.push('\n');
    }
    let mut table = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match (line.strip_prefix('[').and_then(|l| l.strip_suffix(']')), line.split_once('=')) {
            (Some(name), _) => table = name.to_owned(),
            (None, Some((key, value))) => {
                let key = if table.is_empty() { key.trim().to_owned() } else { format!("{table}.{}", key.trim()) };
                let when = scope(crate::config::scope_of(&key));
                lines.push_str(&format!("{key:<36} {:<40} {when}\n", value.trim()));
            }
            _ => {}
        }
    }
    lines.push_str("\nedit `config.toml` in the run's folder, or type `:set KEY=VALUE`");
    app.overlay = Overlay::page("configuration", &lines);
}

fn scope(scope: crate::core::event::Scope) -> &'static str {
    use crate::core::event::Scope;
    match scope {
        Scope::Live => "live",
        Scope::NextStep => "next step",
        Scope::NextRun => "next run",
    }
}

/// Opens the menu of what can be copied here.
pub fn copy_menu(app: &mut App) {
    let items = (app.screen.screen().copied)(app).into_iter();
    let item = |(name, text): (&str, String)| MenuItem {
        name: name.to_owned(),
        note: super::text::fit(&super::text::clean(&text), 48),
        effects: vec![Effect::Copy(text)],
    };
    app.overlay = Overlay::menu("copy what?", items.map(item).collect());
}

/// Opens the menu of pictures: of the screen, of the focused chart, of the rollout's tokens.
pub fn export_menu(app: &mut App) {
    let has_chart = app.screen.screen().chart.is_some_and(|chart| chart(app).is_some());
    let has_tokens = matches!(app.screen, ScreenId::Rollouts | ScreenId::Tokens) && !app.rollout_tokens().is_empty();
    let shown = |of: &Subject| match of {
        Subject::Screen => true,
        Subject::Chart => has_chart,
        Subject::Tokens => has_tokens,
    };
    let item = |(name, note, of, form): (&str, &str, Subject, Form)| MenuItem {
        name: name.into(),
        note: note.into(),
        effects: vec![Effect::Export(Export { of, form })],
    };
    app.overlay =
        Overlay::menu("export what?", PICTURES.into_iter().filter(|(_, _, of, _)| shown(of)).map(item).collect());
}

const PICTURES: [(&str, &str, Subject, Form); 10] = [
    ("screen as PNG", "a picture of these cells", Subject::Screen, Form::Png),
    ("screen as SVG", "the same, to be scaled", Subject::Screen, Form::Svg),
    ("screen as HTML", "the same cells as text one can search", Subject::Screen, Form::Html),
    ("screen as text", "without colours", Subject::Screen, Form::Text),
    ("chart as PNG", "the focused chart as it is drawn, larger", Subject::Chart, Form::Png),
    ("chart as SVG", "its metrics, exact values", Subject::Chart, Form::Svg),
    ("chart as HTML", "the same, with a table of the values", Subject::Chart, Form::Html),
    ("tokens as PNG", "every token of this rollout", Subject::Tokens, Form::Png),
    ("tokens as SVG", "the same, to be scaled", Subject::Tokens, Form::Svg),
    ("tokens as HTML", "the same as text one can search", Subject::Tokens, Form::Html),
];
