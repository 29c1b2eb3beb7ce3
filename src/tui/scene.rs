//! What a pane is given to draw: the app, read-only, with the words panes are made of.

use ratatui::Frame;
use ratatui::layout::{Direction, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Clear, Paragraph};

use super::app::App;
use super::mouse::Target;
use super::splits::Border;
use super::text;
use super::theme::{Role, Theme};
use super::tokens::Channel;
use crate::core::TokenRecord;
use crate::run::view::RunView;

/// One moment to be drawn.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    pub app: &'a App,
    pub view: &'a RunView,
    pub theme: &'a Theme,
}

impl<'a> Scene<'a> {
    /// The moment an app is in.
    pub fn of(app: &'a App) -> Self {
        Self { app, view: app.view(), theme: app.themes.current() }
    }

    /// The style of a role.
    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// Text of a role. The text must be ours or cleaned.
    pub fn span(&self, role: Role, text: impl Into<std::borrow::Cow<'a, str>>) -> Span<'a> {
        Span::styled(text, self.style(role))
    }

    /// The latest finite value of a metric up to the selected step.
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.app.series.latest(self.view, name, self.app.step())
    }

    /// A metric as short text.
    pub fn figure(&self, name: &str) -> String {
        self.metric(name).map_or("—".into(), text::number)
    }

    /// Says what the mouse reaches in an area of the frame being drawn; later calls lie over earlier ones.
    pub fn hit(&self, area: Rect, target: Target) {
        self.app.hits.add(area, target);
    }

    /// Divides an area at a border that the mouse can move; `usual` cells are the first part's.
    pub fn split(&self, name: &'static str, area: Rect, direction: Direction, usual: u16) -> [Rect; 2] {
        let border = Border { name, area, direction };
        let parts = self.app.splits.divide(&border, usual);
        let [a, b] = parts;
        // the last line of the one and the first of the other
        let seam = match direction {
            Direction::Horizontal => Rect { x: b.x.saturating_sub(1), width: 2, ..area },
            Direction::Vertical => Rect { y: b.y.saturating_sub(1), height: 2, ..area },
        };
        if !a.is_empty() && !b.is_empty() {
            self.app.hits.add_border(seam.intersection(area), border);
        }
        parts
    }

    /// Draws a pane's frame and returns what is inside. The focused one has a bold frame and a mark.
    pub fn pane(&self, frame: &mut Frame, area: Rect, title: Line<'a>, focused: bool) -> Rect {
        self.pane_with(frame, area, title, Line::default(), focused)
    }

    /// Like [`Scene::pane`] with a second title at the right, which is dropped if there is no room.
    pub fn pane_with(&self, frame: &mut Frame, area: Rect, left: Line<'a>, right: Line<'a>, focused: bool) -> Rect {
        let (role, border) =
            if focused { (Role::Focus, BorderType::Thick) } else { (Role::Border, BorderType::Rounded) };
        let fits = left.width() + right.width() + 4 <= usize::from(area.width);
        let mut block = Block::bordered().border_type(border).border_style(self.style(role)).title(left);
        if fits && right.width() > 0 {
            block = block.title(right.right_aligned());
        }
        let inner = block.inner(area);
        frame.render_widget(block, area);
        inner
    }

    /// A title ` text ` in the title's style.
    pub fn title(&self, text: &str, focused: bool) -> Span<'a> {
        self.span(if focused { Role::Focus } else { Role::Title }, format!(" {text} "))
    }

    /// Writes lines into an area, cut at its edges.
    pub fn lines(&self, frame: &mut Frame, area: Rect, lines: Vec<Line<'a>>) {
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// A cleared box in the middle of the screen, for what lies on top.
    pub fn popup(&self, frame: &mut Frame, width: u16, height: u16, title: &str) -> Rect {
        let whole = frame.area();
        let (width, height) = (width.min(whole.width), height.min(whole.height));
        let area = Rect { x: (whole.width - width) / 2, y: (whole.height - height) / 2, width, height };
        frame.render_widget(Clear, area);
        self.pane(frame, area, self.title(title, true).into(), true)
    }
}

/// First line shown of a list so that `chosen` stays near the middle.
pub fn window(len: usize, chosen: usize, height: usize) -> usize {
    chosen.saturating_sub(height / 2).min(len.saturating_sub(height))
}

/// Every recorded signal of a token, name and value.
pub fn signals(token: &TokenRecord) -> Vec<(&'static str, Option<f32>)> {
    let ratio = token.student.zip(token.old).map(|(now, old)| (now - old).exp());
    let apart = [Channel::Reference, Channel::Ratio, Channel::LossShare, Channel::Lens];
    let channels = Channel::ALL.iter().filter(|c| !apart.contains(c));
    let mut out: Vec<_> = channels.map(|c| (c.name(), c.value(token))).collect();
    out.extend([("lp sampled", token.sampled), ("lp old", token.old), ("lp ref", token.reference), ("ratio", ratio)]);
    if let Some(push) = out.iter_mut().find(|(name, _)| *name == Channel::Coefficient.name()) {
        push.1 = token.coefficient;
    }
    out
}
