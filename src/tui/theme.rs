//! Colours by meaning. A theme is a TOML table from roles to styles; panes only name roles.
//!
//! Every colour has a twin in shape (a glyph, a modifier), so that the `mono` theme, which has no colour at all,
//! loses nothing. Under `NO_COLOR` or `TERM=dumb` only `mono` is used: handing the terminal no colours is the
//! only way that keeps reversed text visible with crossterm 0.29.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

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

/// How many colours the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// None at all.
    Mono,
    /// The sixteen named ones.
    Sixteen,
    /// The 256-colour cube.
    Cube,
    /// 24 bits.
    True,
}

impl Depth {
    /// Reads `NO_COLOR`, `TERM` and `COLORTERM` through `env`.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Self {
        let term = env("TERM").unwrap_or_default();
        let colour = env("COLORTERM").unwrap_or_default();
        match () {
            () if env("NO_COLOR").is_some_and(|v| !v.is_empty()) || term == "dumb" => Depth::Mono,
            () if colour == "truecolor" || colour == "24bit" || term.contains("direct") => Depth::True,
            () if term.contains("256") || term.contains("kitty") || term.contains("alacritty") => Depth::Cube,
            () => Depth::Sixteen,
        }
    }
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

/// The nearest colour the terminal can show.
fn reduce(colour: Color, depth: Depth) -> Color {
    let Color::Rgb(r, g, b) = colour else { return colour };
    match depth {
        Depth::True | Depth::Mono => colour,
        Depth::Cube => Color::Indexed(cube(r, g, b)),
        Depth::Sixteen => sixteen(r, g, b),
    }
}

/// Entry of the 6x6x6 cube, or of the grey ramp when that is nearer.
fn cube(r: u8, g: u8, b: u8) -> u8 {
    const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let near = |v: u8| (0..6u8).min_by_key(|i| LEVELS[usize::from(*i)].abs_diff(v)).unwrap_or(0);
    let [cr, cg, cb] = [r, g, b].map(near);
    let grey = ((u32::from(r) + u32::from(g) + u32::from(b)) / 3).saturating_sub(3) / 10;
    let grey = grey.min(23) as u8;
    let far = |x: u8, y: u8, z: u8| {
        [(x, r), (y, g), (z, b)].iter().map(|(p, q)| u32::from(p.abs_diff(*q)).pow(2)).sum::<u32>()
    };
    let of_cube = far(LEVELS[usize::from(cr)], LEVELS[usize::from(cg)], LEVELS[usize::from(cb)]);
    let of_grey = far(8 + 10 * grey, 8 + 10 * grey, 8 + 10 * grey);
    if of_grey < of_cube { 232 + grey } else { 16 + 36 * cr + 6 * cg + cb }
}

fn sixteen(r: u8, g: u8, b: u8) -> Color {
    let far = |(_, (x, y, z)): &&(Color, (u8, u8, u8))| {
        [(*x, r), (*y, g), (*z, b)].iter().map(|(p, q)| u32::from(p.abs_diff(*q)).pow(2)).sum::<u32>()
    };
    NAMED.iter().min_by_key(far).map_or(Color::Reset, |(colour, _)| *colour)
}

const MODIFIERS: [(&str, Modifier); 5] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underline", Modifier::UNDERLINED),
    ("reverse", Modifier::REVERSED),
];

const NAMED: [(Color, (u8, u8, u8)); 10] = [
    (Color::Black, (0, 0, 0)),
    (Color::DarkGray, (110, 110, 110)),
    (Color::Gray, (190, 190, 190)),
    (Color::White, (255, 255, 255)),
    (Color::Blue, (40, 80, 170)),
    (Color::LightBlue, (86, 156, 230)),
    (Color::Cyan, (60, 190, 200)),
    (Color::Yellow, (205, 130, 20)),
    (Color::LightYellow, (240, 190, 80)),
    (Color::Magenta, (190, 110, 190)),
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

    #[test]
    fn the_environment_decides_the_depth() {
        let with = |pairs: &'static [(&str, &str)]| {
            Depth::detect(move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(with(&[("TERM", "xterm-256color")]), Depth::Cube);
        assert_eq!(with(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::True);
        assert_eq!(with(&[("COLORTERM", "truecolor"), ("NO_COLOR", "1")]), Depth::Mono);
        assert_eq!(with(&[("TERM", "dumb")]), Depth::Mono);
        assert_eq!(with(&[("NO_COLOR", ""), ("TERM", "linux")]), Depth::Sixteen);
    }
}
