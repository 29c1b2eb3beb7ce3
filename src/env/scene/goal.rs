//! What a picture is asked to be: constraints that a hidden picture meets.

use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::program::{COLORS, Item, SHAPES, Scene};

/// Colours by the part they play.
#[derive(Clone, Debug, PartialEq)]
pub struct Palette {
    pub name: String,
    /// Background, main colour, accent.
    pub colors: [String; 3],
}

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Exactly so many shapes of a sort.
    Count(String, usize),
    /// Nothing but so many shapes in all.
    Total(usize),
    /// The background has the palette's first colour.
    Background(String, String),
    /// All shapes of a sort have this colour, which is the palette's main colour or accent.
    Color {
        shape: String,
        color: String,
        words: String,
    },
    Left(String, String),
    Above(String, String),
    Larger(String, String),
    /// The only two of their sorts have their centres at one height.
    Level(String, String),
    Inside,
    Apart,
}

impl Rule {
    /// As the task says it.
    pub fn words(&self) -> String {
        match self {
            Rule::Count(shape, 1) => format!("there is exactly one {shape}"),
            Rule::Count(shape, n) => format!("there are exactly {n} {shape}s"),
            Rule::Total(n) => format!("there are {n} shapes in all"),
            Rule::Background(palette, _) => format!("the background is that of the palette \"{palette}\""),
            Rule::Color { words, .. } => words.clone(),
            Rule::Left(a, b) => format!("every {a} is left of every {b}"),
            Rule::Above(a, b) => format!("every {a} is above every {b}"),
            Rule::Larger(a, b) => format!("every {a} is larger than every {b}"),
            Rule::Level(a, b) => format!("the centres of every {a} and every {b} are at the same height"),
            Rule::Inside => "everything is inside the canvas".into(),
            Rule::Apart => "no two shapes overlap".into(),
        }
    }

    /// Whether a picture meets it. A condition about shapes that are not there is not met.
    pub fn holds(&self, scene: &Scene) -> bool {
        let of = |shape: &String| scene.items.iter().filter(|item| item.shape == *shape).collect::<Vec<_>>();
        let all = |a: &String, b: &String, holds: fn(&Item, &Item) -> bool| {
            let (a, b) = (of(a), of(b));
            !a.is_empty() && !b.is_empty() && a.iter().all(|x| b.iter().all(|y| holds(x, y)))
        };
        match self {
            Rule::Count(shape, n) => of(shape).len() == *n,
            Rule::Total(n) => scene.items.len() == *n,
            Rule::Background(_, color) => scene.background == *color,
            Rule::Color { shape, color, .. } => {
                let items = of(shape);
                !items.is_empty() && items.iter().all(|item| item.color == *color)
            }
            Rule::Left(a, b) => all(a, b, |a, b| a.x + a.size <= b.x - b.size),
            Rule::Above(a, b) => all(a, b, |a, b| a.y + a.size <= b.y - b.size),
            Rule::Larger(a, b) => all(a, b, |a, b| a.size > b.size),
            Rule::Level(a, b) => all(a, b, |a, b| a.y == b.y),
            Rule::Inside => !scene.items.is_empty() && scene.items.iter().all(Item::inside),
            Rule::Apart => {
                let items = &scene.items;
                !items.is_empty()
                    && items.iter().enumerate().all(|(n, a)| items[n + 1..].iter().all(|b| !a.overlaps(b)))
            }
        }
    }
}

/// A hidden picture, and `count` conditions that it meets beside those of numbers and colours.
pub fn draft(rng: &mut ChaCha8Rng, palettes: &[Palette], count: usize) -> Option<(Scene, Vec<Rule>)> {
    let palette = palettes.choose(rng)?;
    let mut shapes: Vec<&str> = SHAPES.to_vec();
    shapes.shuffle(rng);
    shapes.truncate(rng.random_range(2..=3));
    let mut scene = Scene { background: palette.colors[0].clone(), items: Vec::new() };
    let mut rules = vec![Rule::Background(palette.name.clone(), palette.colors[0].clone())];
    for (n, shape) in shapes.iter().enumerate() {
        let part = 1 + n % 2;
        let role = if part == 1 { "main colour" } else { "accent" };
        let words = format!("every {shape} has the {role} of the palette \"{}\"", palette.name);
        let copies = rng.random_range(1..=2);
        let size = rng.random_range(4..=12);
        for copy in 0..copies {
            let name = format!("{shape}{}", copy + 1);
            let item = place(rng, &scene, name, shape, &palette.colors[part], size)?;
            scene.items.push(item);
        }
        rules.push(Rule::Count((*shape).to_owned(), copies));
        rules.push(Rule::Color { shape: (*shape).to_owned(), color: palette.colors[part].clone(), words });
    }
    let mut more = vec![Rule::Total(scene.items.len()), Rule::Inside, Rule::Apart];
    for a in &shapes {
        for b in shapes.iter().filter(|b| a != *b) {
            let (a, b) = ((*a).to_owned(), (*b).to_owned());
            more.extend([
                Rule::Left(a.clone(), b.clone()),
                Rule::Above(a.clone(), b.clone()),
                Rule::Larger(a.clone(), b.clone()),
                Rule::Level(a, b),
            ]);
        }
    }
    more.retain(|rule| rule.holds(&scene));
    more.shuffle(rng);
    rules.extend(more.into_iter().take(count));
    rules.iter().all(|rule| rule.holds(&scene)).then_some((scene, rules))
}

/// A shape somewhere free; `None` if there is no room.
fn place(rng: &mut ChaCha8Rng, scene: &Scene, name: String, shape: &str, color: &str, size: i32) -> Option<Item> {
    (0..50).find_map(|_| {
        let (x, y) = (rng.random_range(size..=100 - size), rng.random_range(size..=100 - size));
        let item = Item { name: name.clone(), shape: shape.to_owned(), color: color.to_owned(), x, y, size };
        scene.items.iter().all(|other| !item.overlaps(other)).then_some(item)
    })
}

/// Whether a colour is known.
pub fn is_color(name: &str) -> bool {
    COLORS.iter().any(|(color, _)| *color == name)
}
