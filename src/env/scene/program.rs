//! The scene language: a program makes a picture of plain shapes.
//!
//! ```text
//! background white
//! add sun circle yellow 80 20 10      name, shape, colour, centre x and y, size (half its width)
//! move sun 70 20 · color sun orange · resize sun 12 · remove sun · clear
//! ```
//!
//! The canvas is 100 by 100, x to the right and y down.

/// A shape in a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub name: String,
    pub shape: String,
    pub color: String,
    pub x: i32,
    pub y: i32,
    pub size: i32,
}

/// A picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    pub background: String,
    pub items: Vec<Item>,
}

pub const SHAPES: &[&str] = &["circle", "square", "triangle", "diamond"];
/// Colours by name, as SVG draws them.
pub const COLORS: &[(&str, &str)] = &[
    ("red", "#d62828"),
    ("orange", "#f77f00"),
    ("yellow", "#fcbf49"),
    ("green", "#2a9d4a"),
    ("blue", "#1d5fbf"),
    ("purple", "#7b2cbf"),
    ("black", "#1a1a1a"),
    ("white", "#fafafa"),
];
/// Most shapes of a picture.
const MOST: usize = 24;

impl Scene {
    /// Does a program, line by line; `;` separates lines, too. A line that cannot be done ends it, and what came before
    /// stays done.
    pub fn run(&mut self, program: &str) -> Result<usize, String> {
        let mut done = 0;
        for line in program.split(['\n', ';']).map(str::trim).filter(|line| !line.is_empty()) {
            let shown = || line.chars().filter(|c| !c.is_control()).take(60).collect::<String>();
            self.line(line).map_err(|why| format!("\"{}\": {why}", shown()))?;
            done += 1;
        }
        Ok(done)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["background", color] => self.background = known(color, COLORS.iter().map(|c| c.0))?,
            ["clear"] => self.items.clear(),
            ["add", name, shape, color, x, y, size] => {
                if self.items.iter().any(|item| item.name == *name) {
                    return Err("that name is taken".into());
                }
                if self.items.len() >= MOST || name.len() > 20 {
                    return Err(format!("a picture has at most {MOST} shapes, a name at most 20 letters"));
                }
                let item = Item {
                    name: (*name).to_owned(),
                    shape: known(shape, SHAPES.iter().copied())?,
                    color: known(color, COLORS.iter().map(|c| c.0))?,
                    x: number(x, 0, 100)?,
                    y: number(y, 0, 100)?,
                    size: number(size, 1, 50)?,
                };
                self.items.push(item);
            }
            ["move", name, x, y] => {
                let (x, y) = (number(x, 0, 100)?, number(y, 0, 100)?);
                let item = self.item(name)?;
                (item.x, item.y) = (x, y);
            }
            ["color", name, color] => self.item(name)?.color = known(color, COLORS.iter().map(|c| c.0))?,
            ["resize", name, size] => self.item(name)?.size = number(size, 1, 50)?,
            ["remove", name] => {
                self.item(name)?;
                self.items.retain(|item| item.name != *name);
            }
            _ => return Err("this is no line of a program".into()),
        }
        Ok(())
    }

    fn item(&mut self, name: &str) -> Result<&mut Item, String> {
        self.items.iter_mut().find(|item| item.name == name).ok_or_else(|| "there is no shape of that name".into())
    }

    /// The program that makes it.
    pub fn program(&self) -> String {
        let lines =
            self.items.iter().map(|i| format!("add {} {} {} {} {} {}", i.name, i.shape, i.color, i.x, i.y, i.size));
        [format!("background {}", self.background)].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
    }

    /// The picture as SVG.
    pub fn svg(&self) -> String {
        let code = |name: &str| COLORS.iter().find(|(color, _)| *color == name).map_or("none", |(_, code)| code);
        let mut out = String::from("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 100 100\">\n");
        out.push_str(&format!("<rect width=\"100\" height=\"100\" fill=\"{}\"/>\n", code(&self.background)));
        for Item { shape, color, x, y, size, .. } in &self.items {
            let (left, top, right, bottom, fill) = (x - size, y - size, x + size, y + size, code(color));
            out.push_str(&match shape.as_str() {
                "circle" => format!("<circle cx=\"{x}\" cy=\"{y}\" r=\"{size}\" fill=\"{fill}\"/>\n"),
                "square" => {
                    let side = 2 * size;
                    format!("<rect x=\"{left}\" y=\"{top}\" width=\"{side}\" height=\"{side}\" fill=\"{fill}\"/>\n")
                }
                "triangle" => {
                    format!("<polygon points=\"{x},{top} {right},{bottom} {left},{bottom}\" fill=\"{fill}\"/>\n")
                }
                _ => format!("<polygon points=\"{x},{top} {right},{y} {x},{bottom} {left},{y}\" fill=\"{fill}\"/>\n"),
            });
        }
        out.push_str("</svg>");
        out
    }
}

impl Item {
    /// Whether it lies within the canvas.
    pub fn inside(&self) -> bool {
        let fits = |at: i32| at - self.size >= 0 && at + self.size <= 100;
        fits(self.x) && fits(self.y)
    }

    /// Whether the squares around two shapes share more than an edge.
    pub fn overlaps(&self, other: &Item) -> bool {
        let apart = |a: i32, b: i32| (a - b).abs() >= self.size + other.size;
        !apart(self.x, other.x) && !apart(self.y, other.y)
    }
}

fn known<'a>(word: &str, mut words: impl Iterator<Item = &'a str> + Clone) -> Result<String, String> {
    let all = words.clone().collect::<Vec<_>>().join(", ");
    if words.any(|known| known == word) { Ok(word.to_owned()) } else { Err(format!("expected one of {all}")) }
}

fn number(word: &str, low: i32, high: i32) -> Result<i32, String> {
    let number = word.parse().ok().filter(|n| (low..=high).contains(n));
    number.ok_or_else(|| format!("expected a whole number from {low} to {high}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_make_pictures() {
        let mut scene = Scene::default();
        assert_eq!(
            scene.run("background blue\nadd sun circle yellow 80 20 10; move sun 70 20\n\nresize sun 12"),
            Ok(4)
        );
        assert_eq!(scene.program(), "background blue\nadd sun circle yellow 70 20 12");
        let svg = scene.svg();
        assert!(
            svg.contains("fill=\"#1d5fbf\"") && svg.contains("<circle cx=\"70\" cy=\"20\" r=\"12\" fill=\"#fcbf49\"/>"),
            "{svg}"
        );
        let mut again = Scene::default();
        again.run(&scene.program()).unwrap();
        assert_eq!(again, scene);
    }

    #[test]
    fn lines_that_cannot_be_done_say_why() {
        let mut scene = Scene::default();
        scene.run("add a circle red 50 50 10").unwrap();
        for (line, expected) in [
            ("add a circle red 50 50 10", "that name is taken"),
            ("add b blob red 50 50 10", "expected one of circle, "),
            ("add b circle pink 50 50 10", "expected one of red, "),
            ("add b circle red 101 50 10", "from 0 to 100"),
            ("add b circle red 1 1 99999999999", "from 1 to 50"),
            ("move c 1 1", "no shape of that name"),
            ("paint \u{1b}[2J", "no line of a program"),
        ] {
            assert!(scene.run(line).unwrap_err().contains(expected), "{line}");
        }
        let many: String = (0..40).map(|n| format!("add x{n} circle red 1 1 1;")).collect();
        assert!(scene.run(&many).unwrap_err().contains("at most 24 shapes"));
    }
}
