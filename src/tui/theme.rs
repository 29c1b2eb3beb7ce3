//! Colours by meaning. A theme is a TOML table from roles to styles; panes only name roles.
//!
//! Every colour has a twin in shape (a glyph, a modifier), so that the `mono` theme, which has no colour at all,
//! loses nothing. Under `NO_COLOR` or `TERM=dumb` only `mono` is used: handing the terminal no colours is the
//! only way that keeps reversed text visible with crossterm 0.29.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

pub use super::colour::Depth;
use super::colour::reduce;

macro_rules! roles {
    ($($role:ident $name:literal),* $(,)?) => {
        /// What a piece of the screen means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Role { $(#[doc = $name] $role),* }

        impl Role {
            /// All roles, in the order of a theme file.
            pub const ALL: &[(Role, &str)] = &[$((Role::$role, $name)),*];
        }
    };
}

roles! {
    Text "text", Dim "dim", Faint "faint", Title "title", Border "border", Focus "focus", Accent "accent",
    Select "select", Key "key", Good "good", Bad "bad", Warn "warn", Info "info", Masked "masked", Think "think",
    Action "action", Bar "bar", Series1 "series-1", Series2 "series-2", Series3 "series-3", Raw "raw", Band "band", Eval "eval", Run1 "run-1", Run2 "run-2", Run3 "run-3", Run4 "run-4",
    Cross "cross", MarkConfig "mark-config", MarkCheckpoint "mark-checkpoint", MarkAlert "mark-alert",
    Endorse1 "endorse-1", Endorse2 "endorse-2", Endorse3 "endorse-3",
    Reject1 "reject-1", Reject2 "reject-2", Reject3 "reject-3",
    Heat1 "heat-1", Heat2 "heat-2", Heat3 "heat-3", Heat4 "heat-4", Heat5 "heat-5",
}

/// A named table of styles.
#[derive(Clone, Debug, PartialEq)]
pub struct Theme {
    pub name: String,
    styles: Vec<Style>,
}

impl Theme {
    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }

    /// Whether the theme has no colour.
    pub fn is_mono(&self) -> bool {
        self.styles.iter().all(|s| s.fg.is_none() && s.bg.is_none())
    }

    /// What is wrong with a theme file, with its place: `name:line:column: what`.
    pub fn error_at(name: &str, text: &str, error: &anyhow::Error) -> String {
        let what = format!("{error:#}");
        let span = error.downcast_ref::<toml::de::Error>().and_then(|error| error.span());
        // else the line that begins with the first thing named in backticks
        let named = || {
            let word = what.split('`').nth(1)?;
            let line = text.lines().find(|line| line.trim_start().starts_with(word))?;
            Some(line.as_ptr() as usize - text.as_ptr() as usize)
        };
        let span = span.or_else(|| named().map(|at| at..at));
        let what = error.downcast_ref::<toml::de::Error>().map_or(what.clone(), |error| error.message().to_owned());
        format!("{}: {what}", super::keymap::place(name, text, span))
    }

    /// Reads a theme file. Fails with the place and the nearest known name if a role or colour is unknown, and
    /// if a role is missing.
    pub fn parse(text: &str, depth: Depth) -> Result<Self> {
        let file: File = toml::from_str(text)?;
        for name in file.roles.keys() {
            if !Role::ALL.iter().any(|(_, known)| known == name) {
                bail!("unknown role `{name}` in theme `{}`{}", file.name, suggestion(name));
            }
        }
        let style = |(_, role): &(Role, &str)| {
            let spec = file.roles.get(*role).ok_or_else(|| anyhow!("role `{role}` is missing, add it to `[roles]`"))?;
            spec.style(&file.palette, depth).with_context(|| format!("role `{role}` of theme `{}`", file.name))
        };
        let styles = Role::ALL.iter().map(style).collect::<Result<_>>()?;
        Ok(Self { name: file.name, styles })
    }
}

/// The themes one can switch between, and the one in use.
#[derive(Clone, Debug)]
pub struct Themes {
    all: Vec<Theme>,
    current: usize,
    depth: Depth,
}

impl Themes {
    /// The embedded themes, or only `mono` where there is no colour; `overrides` are theme files that replace an
    /// embedded theme of the same name or are added. `wanted` chooses the first, `dark` if there is none such.
    pub fn load(depth: Depth, overrides: &[String], wanted: Option<&str>) -> Result<Self> {
        let mut all: Vec<Theme> = Vec::new();
        for text in EMBEDDED.iter().copied().chain(overrides.iter().map(String::as_str)) {
            let theme = Theme::parse(text, depth)?;
            match all.iter_mut().find(|known| known.name == theme.name) {
                Some(known) => *known = theme,
                None => all.push(theme),
            }
        }
        if depth == Depth::Mono {
            all.retain(|theme| theme.name == "mono");
        }
        let place = |name: &str| all.iter().position(|theme| theme.name == name);
        let current = match wanted {
            Some(name) if depth != Depth::Mono => place(name).ok_or_else(|| anyhow!("no theme is called `{name}`"))?,
            _ => 0,
        };
        Ok(Self { all, current, depth })
    }

    /// The theme in use.
    pub fn current(&self) -> &Theme {
        &self.all[self.current]
    }

    /// How many colours the themes were read for.
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// Adds a theme, or replaces the one of its name. Without colours there is only `mono`.
    pub fn put(&mut self, theme: Theme) {
        match self.all.iter_mut().find(|known| known.name == theme.name) {
            Some(known) => *known = theme,
            None if self.depth != Depth::Mono => self.all.push(theme),
            None => {}
        }
    }

    /// Names of all themes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|theme| theme.name.as_str())
    }

    /// Switches to a theme by name; false if there is none such.
    pub fn choose(&mut self, name: &str) -> bool {
        let found = self.all.iter().position(|theme| theme.name == name);
        self.current = found.unwrap_or(self.current);
        found.is_some()
    }

    /// Switches to the next theme.
    pub fn next(&mut self) {
        self.current = (self.current + 1) % self.all.len();
    }
}

/// The texts of the built-in themes; the first is the default.
pub const EMBEDDED: [&str; 5] = [
    include_str!("../../themes/dark.toml"),
    include_str!("../../themes/light.toml"),
    include_str!("../../themes/okabe-ito.toml"),
    include_str!("../../themes/high-contrast.toml"),
    include_str!("../../themes/mono.toml"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    #[serde(default)]
    palette: BTreeMap<String, String>,
    roles: BTreeMap<String, Spec>,
}

/// One role: colours by palette name, colour name or `#rrggbb`; modifiers by name.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Spec {
    fg: Option<String>,
    bg: Option<String>,
    with: Vec<String>,
}

impl Spec {
    fn style(&self, palette: &BTreeMap<String, String>, depth: Depth) -> Result<Style> {
        let colour = |name: &Option<String>| -> Result<Option<Color>> {
            let Some(name) = name else { return Ok(None) };
            let text = palette.get(name).unwrap_or(name);
            let colour = text.parse::<Color>().map_err(|_| anyhow!("`{text}` is not a colour"))?;
            Ok((depth != Depth::Mono).then(|| reduce(colour, depth)))
        };
        let mut style = Style { fg: colour(&self.fg)?, bg: colour(&self.bg)?, ..Style::default() };
        for name in &self.with {
            let known = MODIFIERS.iter().find(|(known, _)| known == name);
            style = style.add_modifier(known.ok_or_else(|| anyhow!("`{name}` is not a modifier"))?.1);
        }
        Ok(style)
    }
}

fn suggestion(name: &str) -> String {
    let near = Role::ALL.iter().min_by_key(|(_, known)| strsim::damerau_levenshtein(known, name));
    near.map_or(String::new(), |(_, known)| format!(", did you mean `{known}`?"))
}

const MODIFIERS: [(&str, Modifier); 5] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underline", Modifier::UNDERLINED),
    ("reverse", Modifier::REVERSED),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_themes_parse_at_every_depth() {
        for depth in [Depth::Mono, Depth::Sixteen, Depth::Cube, Depth::True] {
            let mut themes = Themes::load(depth, &[], None).expect("embedded themes are valid");
            assert_eq!(themes.current().is_mono(), depth == Depth::Mono, "{depth:?}");
            assert_eq!(themes.all.len(), if depth == Depth::Mono { 1 } else { 5 });
            themes.next();
        }
    }

    #[test]
    fn a_wrong_role_is_answered_with_the_nearest() {
        let text = EMBEDDED[0].replace("\ngood", "\ngod");
        let error = Theme::parse(&text, Depth::True).expect_err("`god` is no role").to_string();
        assert_eq!(error, "unknown role `god` in theme `dark`, did you mean `good`?");
    }

    #[test]
    fn an_override_replaces_the_theme_of_its_name() {
        let mine = EMBEDDED[0].replace("bold", "italic");
        let themes = Themes::load(Depth::True, &[mine], Some("dark")).expect("a valid override");
        assert_eq!(themes.all.len(), 5);
        assert_ne!(themes.current(), &Theme::parse(EMBEDDED[0], Depth::True).expect("valid"));
    }
}
