//! Pictures of the screen and of charts, written beside where the person works.

use std::path::PathBuf;

use anyhow::{Context, Result};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use super::app::{App, Export};
use super::overlay::Overlay;
use super::scene::Scene;
use super::screens;
use super::screens::curves::CHARTS;
use super::theme::Role;
use crate::export::cells::{self, Paper};

/// Writes a picture into the current folder and says where it is.
///
/// # Errors
/// The file cannot be written, or no chart is chosen.
pub fn write(app: &mut App, what: Export) -> Result<String> {
    let (text, end) = match what {
        Export::ScreenSvg => (cells::svg(&frame(app), paper(app)), "svg"),
        Export::ScreenHtml => (cells::html(&frame(app), paper(app), &app.view().facts.run), "html"),
        Export::ScreenText => (cells::text(&frame(app)), "txt"),
        Export::ChartSvg => (chart(app)?, "svg"),
    };
    let name = if what == Export::ChartSvg { "chart" } else { app.screen.screen().short };
    let path = free(&format!("{}-{}-{}", app.view().facts.run, name.to_lowercase(), app.step()), end);
    std::fs::write(&path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(format!("written: {}", path.display()))
}

/// The frame as it would be drawn now, without what lies on top.
pub fn frame(app: &mut App) -> Buffer {
    let overlay = std::mem::replace(&mut app.overlay, Overlay::None);
    let (width, height) = app.size;
    // a backend that draws into memory cannot fail
    let buffer = Terminal::new(TestBackend::new(width.max(1), height.max(1))).and_then(|mut terminal| {
        terminal.draw(|frame| screens::draw(frame, &Scene::of(app)))?;
        Ok(terminal.backend().buffer().clone())
    });
    app.overlay = overlay;
    buffer.unwrap_or_default()
}

/// The ground a theme was made for: bright text wants a dark one.
pub fn paper(app: &App) -> Paper {
    let ink = app.themes.current().style(Role::Text).fg;
    let bright = match ink {
        Some(Color::Rgb(r, g, b)) => u32::from(r) + u32::from(g) + u32::from(b) > 3 * 128,
        Some(Color::Black | Color::DarkGray) | None => false,
        Some(_) => true,
    };
    if bright { Paper::DARK } else { Paper::LIGHT }
}

fn chart(app: &App) -> Result<String> {
    let title = app.screen.screen().chart.and_then(|chart| chart(app));
    let title = title.context("no chart is chosen here: go to one with Tab first")?;
    let known = CHARTS.iter().find(|spec| spec.title == title);
    let metrics: Vec<&str> = known.map_or(vec![title.as_str()], |spec| spec.metrics.iter().map(|m| m.0).collect());
    Ok(crate::export::chart(app.view(), &metrics))
}

/// A name that is not taken, of letters that every file system knows.
fn free(stem: &str, end: &str) -> PathBuf {
    let stem: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let first = PathBuf::from(format!("{stem}.{end}"));
    let other = (2..).map(|n| PathBuf::from(format!("{stem}-{n}.{end}")));
    std::iter::once(first).chain(other).find(|path| !path.exists()).unwrap_or_default()
}
