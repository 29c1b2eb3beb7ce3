//! Pictures of the screen, of charts and of the tokens of a rollout, written beside where the person works.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::{Frame, Terminal};

use super::app::{App, Export, Form, Subject};
use super::flow::{Flow, FlowLine};
use super::overlay::Overlay;
use super::scene::Scene;
use super::screens;
use super::screens::curves::{self, ChartSpec};
use super::theme::Role;
use crate::export;
use crate::export::cells::{self, Paper};

/// Writes a picture into the current folder and says where it is.
///
/// # Errors
/// The file cannot be written, or what it is to show is not chosen.
pub fn write(app: &mut App, what: Export) -> Result<String> {
    let bytes = bytes(app, what)?;
    let (name, end) = (name(app, what.of), end(what.form));
    let path = free(&format!("{}-{}-{}", app.view().facts.run, name, app.step()), end);
    std::fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(format!("written: {}", path.display()))
}

/// The picture as the content of a file.
///
/// # Errors
/// What it is to show is not chosen.
pub fn bytes(app: &mut App, what: Export) -> Result<Vec<u8>> {
    let title = format!("{} step {}", app.view().facts.run, app.step());
    let buffer = match (what.of, what.form) {
        // exact values in place of cells
        (Subject::Chart, Form::Svg) => return Ok(export::chart(app.view(), &metrics(&chart(app)?)).into_bytes()),
        (Subject::Chart, Form::Html) => return Ok(export::chart_page(app.view(), &metrics(&chart(app)?)).into_bytes()),
        (Subject::Screen, _) => frame(app),
        (Subject::Chart, _) => {
            let title = chart(app)?;
            let own = [(title.as_str(), "")];
            drawn(app, CHART, &|frame, area, scene| curves::chart(frame, area, scene, &spec(&title, &own), (0, false)))
        }
        (Subject::Tokens, _) => strip(app)?,
    };
    let paper = paper(app);
    Ok(match what.form {
        Form::Svg => cells::svg(&buffer, paper).into_bytes(),
        Form::Html => cells::html(&buffer, paper, &title).into_bytes(),
        Form::Png => cells::png(&buffer, paper),
        Form::Text => cells::text(&buffer).into_bytes(),
    })
}

/// The frame as it would be drawn now, without what lies on top.
pub fn frame(app: &mut App) -> Buffer {
    let overlay = std::mem::replace(&mut app.overlay, Overlay::None);
    let size = app.size;
    let buffer = drawn(app, size, &|frame, _, scene| screens::draw(frame, scene));
    app.overlay = overlay;
    buffer
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

/// What is drawn into memory, in a picture of this size.
fn drawn(app: &App, (width, height): (u16, u16), draw: &dyn Fn(&mut Frame, Rect, &Scene)) -> Buffer {
    // a backend that draws into memory cannot fail
    let buffer = Terminal::new(TestBackend::new(width.max(1), height.max(1))).and_then(|mut terminal| {
        terminal.draw(|frame| draw(frame, frame.area(), &Scene::of(app)))?;
        Ok(terminal.backend().buffer().clone())
    });
    buffer.unwrap_or_default()
}

/// The tokens of the whole rollout under each other, as wide as the screen, with headings and the legend.
fn strip(app: &mut App) -> Result<Buffer> {
    if app.rollout_tokens().is_empty() {
        bail!("no tokens were kept of this rollout: there is nothing to draw");
    }
    let lines = Flow::of(app).lay(app.rollout_tokens(), &app.labels);
    let rows = lines.iter().map(|line| if matches!(line, FlowLine::Heading(_)) { 1 } else { 3 }).sum::<usize>();
    let size = (app.size.0.max(20), (rows + 3).min(LONGEST) as u16);
    Ok(drawn(app, size, &|frame, area, scene| screens::stream::draw(frame, area, scene, false)))
}

/// The title of the focused chart.
fn chart(app: &App) -> Result<String> {
    let title = app.screen.screen().chart.and_then(|chart| chart(app));
    title.context("no chart is chosen here: go to one with Tab first")
}

/// What a chart shows: one of the dash's, or the metric it is called after.
fn spec<'a>(title: &'a str, own: &'a [(&'a str, &'a str)]) -> ChartSpec<'a> {
    let known = curves::CHARTS.into_iter().find(|spec| spec.title == title);
    known.unwrap_or(ChartSpec { title, metrics: own, eval: None })
}

fn metrics(title: &str) -> Vec<&str> {
    let known = curves::CHARTS.iter().find(|spec| spec.title == title);
    known.map_or(vec![title], |spec| spec.metrics.iter().map(|m| m.0).collect())
}

fn name(app: &App, of: Subject) -> String {
    match of {
        Subject::Screen => app.screen.screen().short.to_lowercase(),
        Subject::Chart => "chart".into(),
        Subject::Tokens => "tokens".into(),
    }
}

fn end(form: Form) -> &'static str {
    ["svg", "html", "png", "txt"][form as usize]
}

/// A name that is not taken, of letters that every file system knows.
fn free(stem: &str, end: &str) -> PathBuf {
    let stem: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let first = PathBuf::from(format!("{stem}.{end}"));
    let other = (2..).map(|n| PathBuf::from(format!("{stem}-{n}.{end}")));
    std::iter::once(first).chain(other).find(|path| !path.exists()).unwrap_or_default()
}

/// Cells of the picture of a chart.
const CHART: (u16, u16) = (120, 30);
/// Lines of the longest strip of tokens.
const LONGEST: usize = 2000;
