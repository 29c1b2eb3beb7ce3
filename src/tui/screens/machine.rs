//! The machine: how busy it is, what the trainer and this screen take, what the trainer's memory is for.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

use super::panes::nothing;
use crate::tui::machine::Load;
use crate::tui::scene::Scene;
use crate::tui::theme::Role;
use crate::tui::{glyph, text};

/// ` cpu  ▇▇▇▇   41 %  moderate  ▁▂▃▅` and so on.
pub fn machine(frame: &mut Frame, area: Rect, scene: &Scene, focused: bool) {
    let loads = &scene.app.states.system.loads;
    let inner = scene.pane(frame, area, scene.title("machine", focused).into(), focused);
    let Some(now) = loads.last() else {
        return scene.lines(frame, inner, nothing(scene, "nothing was measured here yet"));
    };
    let cells = usize::from(inner.width);
    let course = |of: fn(&Load) -> Option<f64>| -> Vec<f64> { loads.iter().filter_map(of).collect() };
    let memory = |load: &Load| load.memory.map(|(used, total)| used as f64 / total.max(1) as f64);
    let mut lines = Vec::new();
    if let Some(cpu) = now.cpu {
        lines.push(gauge(scene, ("cpu", format!("{} cores", now.cores)), cpu, &course(|l| l.cpu), cells));
    }
    if let Some((used, total)) = now.memory {
        let share = used as f64 / total.max(1) as f64;
        lines.push(gauge(
            scene,
            ("memory", format!("{} of {}", size(used), size(total))),
            share,
            &course(memory),
            cells,
        ));
    }
    for (at, gpu) in now.accelerators.iter().enumerate() {
        let watts = gpu.watts.map_or(String::new(), |w| format!(" {w:.0} W"));
        let heat = gpu.celsius.map_or(String::new(), |c| format!(" {c:.0} °C"));
        let note = format!("{}{watts}{heat}", text::fit(&gpu.name, 20));
        lines.push(gauge(scene, (&format!("gpu {at}"), note), gpu.busy.unwrap_or(f64::NAN), &[], cells));
        if let Some((used, total)) = gpu.used.zip(gpu.total) {
            let share = used as f64 / total.max(1) as f64;
            lines.push(gauge(scene, ("  memory", format!("{} of {}", size(used), size(total))), share, &[], cells));
        }
    }
    if let Some((free, total)) = now.disk {
        let share = 1.0 - free as f64 / total.max(1) as f64;
        lines.push(gauge(scene, ("disk", format!("{} left", size(free))), share, &[], cells));
    }
    let fact = |name: &'static str, value: String| {
        Line::from(vec![scene.span(Role::Dim, format!(" {name:<9}")), scene.span(Role::Text, value)])
    };
    if let Some((memory, share)) = now.trainer {
        lines
            .push(fact("trainer", format!("{} · {:.1} cores · process {}", size(memory), share, scene.view.facts.pid)));
    }
    if let Some(memory) = now.screen {
        lines.push(fact("screen", size(memory)));
    }
    lines.extend(split(scene, cells));
    scene.lines(frame, inner, lines);
}

/// What the trainer itself says its memory is for, where it does.
fn split<'a>(scene: &Scene<'a>, cells: usize) -> Vec<Line<'a>> {
    let names: Vec<&str> = scene.view.steps.last().map_or(vec![], |s| s.metrics.names().collect());
    let parts: Vec<(&str, f64)> =
        names.into_iter().filter_map(|n| Some((n.strip_prefix("memory/")?, scene.metric(n)?))).collect();
    let most = parts.iter().map(|(_, bytes)| *bytes).fold(1.0, f64::max);
    let line = |(name, bytes): &(&str, f64)| {
        let bar = glyph::gauge(bytes / most, cells.saturating_sub(34).min(24));
        Line::from(vec![
            scene.span(Role::Dim, format!("   {:<16}", text::fit(name, 16))),
            scene.span(Role::Text, format!("{:>10} ", size(*bytes as u64))),
            scene.span(Role::Bar, bar),
        ])
    };
    parts.iter().map(line).collect()
}

/// A gauge with the word for its load (light, moderate, heavy) and its course.
fn gauge<'a>(scene: &Scene<'a>, (name, note): (&str, String), share: f64, course: &[f64], cells: usize) -> Line<'a> {
    let (word, role) = match share {
        s if s.is_nan() => ("", Role::Dim),
        s if s < 0.1 => ("light", Role::Dim),
        s if s < 0.8 => ("moderate", Role::Bar),
        _ => ("heavy", Role::Warn),
    };
    let bar = (cells / 4).clamp(4, 24);
    let percent = if share.is_nan() { "  —  ".into() } else { format!("{:>4.0} %", share * 100.0) };
    Line::from(vec![
        scene.span(Role::Dim, format!(" {name:<9}")),
        scene.span(role, format!("{:<bar$}", glyph::gauge(share, bar))),
        scene.span(Role::Text, format!("{percent} ")),
        scene.span(role, format!("{word:<9}")),
        scene.span(Role::Dim, format!("{note}  ")),
        scene.span(Role::Series1, course_of(course, cells.saturating_sub(bar + 46))),
    ])
}

/// Shares as bars on a fixed scale, so that a quiet machine looks quiet.
fn course_of(values: &[f64], cells: usize) -> String {
    values[values.len().saturating_sub(cells.min(60))..].iter().map(|share| glyph::bar(*share)).collect()
}

fn size(bytes: u64) -> String {
    match bytes as f64 {
        b if b >= (1u64 << 30) as f64 => format!("{:.1} GiB", b / (1u64 << 30) as f64),
        b => format!("{:.0} MiB", b / (1u64 << 20) as f64),
    }
}
