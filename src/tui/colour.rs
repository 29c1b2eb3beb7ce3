//! How many colours a terminal has, and what a colour becomes where there are fewer.

use ratatui::style::Color;

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

/// The nearest colour the terminal can show.
pub(super) fn reduce(colour: Color, depth: Depth) -> Color {
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
