//! The terminal and the main loop: drain the feed, read input, draw. Nothing here decides what is shown.

use std::io::{IsTerminal, Write, stdout};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use crossterm::event::{self, DisableMouseCapture, EnableMouseCapture, Event, KeyEventKind, MouseEventKind};
use crossterm::execute;
use crossterm::terminal::{BeginSynchronizedUpdate, EndSynchronizedUpdate};
use ratatui::DefaultTerminal;

use super::app::{App, Effect, Exit, Options};
use super::feed::Feed;
use super::loader::Loader;
use super::picture;
use super::scene::Scene;
use super::screens;
use super::settings::Settings;

/// Shows a run until the person leaves. The terminal is restored on every way out: return, error, panic, signal.
///
/// # Errors
/// If the terminal cannot be set up, a theme file is wrong, or the feed fails.
pub fn run(mut feed: impl Feed, options: &Options) -> Result<Exit> {
    if !stdout().is_terminal() {
        bail!("cannot open the screen: standard output is not a terminal, use `--batch`");
    }
    let mut app = App::new(options)?;
    let mut settings = Settings::from_env();
    settings.restore(&mut app);
    if let Some(theme) = &options.theme {
        app.themes.choose(theme);
    }
    let asked = Arc::new(AtomicBool::new(false));
    watch_signals(Arc::clone(&asked))?;
    let mut terminal = open()?;
    capture(app.mouse)?;
    let result = show(&mut terminal, &mut app, &mut feed, (options, &asked, &mut settings));
    settings.keep(&app);
    drop(capture(false));
    let restored = ratatui::try_restore();
    let exit = result?;
    restored.context("cannot restore the terminal, run `reset`")?;
    Ok(exit)
}

/// Raw mode, the alternate screen and a panic hook that leaves both; all of it or nothing.
fn open() -> Result<DefaultTerminal> {
    ratatui::try_init().inspect_err(|_| drop(ratatui::try_restore())).context("cannot open the screen")
}

/// The loop itself: *drain feed, read input, draw*. Draws only when something changed, and never more often than
/// `options.fps`.
fn show(
    terminal: &mut DefaultTerminal,
    app: &mut App,
    feed: &mut dyn Feed,
    (options, asked, settings): (&Options, &AtomicBool, &mut Settings),
) -> Result<Exit> {
    let frame_time = Duration::from_millis(1000 / u64::from(options.fps.max(1)));
    let mut loader = Loader::default();
    let mut dirty = true;
    let mut drawn = Instant::now() - frame_time;
    let mut looked = Instant::now() - SETTINGS;
    loop {
        if looked.elapsed() >= SETTINGS {
            dirty |= settings.poll(app);
            looked = Instant::now();
        }
        dirty |= app.tick(now_ms());
        dirty |= loader.drain(app, feed)?;
        if asked.load(Ordering::Relaxed) {
            return Ok(Exit::Terminated);
        }
        if dirty && drawn.elapsed() >= frame_time {
            draw(terminal, app)?;
            (dirty, drawn) = (false, Instant::now());
        }
        let wait = if dirty { frame_time.saturating_sub(drawn.elapsed()) } else { IDLE };
        if !event::poll(wait)? {
            continue;
        }
        // Everything typed so far is handled before the next frame.
        while event::poll(Duration::ZERO)? {
            let effects = input(app, &event::read()?, &mut dirty);
            if let Some(exit) = carry_out(effects, terminal, app, feed)? {
                return Ok(exit);
            }
        }
    }
}

fn draw(terminal: &mut DefaultTerminal, app: &mut App) -> Result<()> {
    let size = terminal.size()?;
    app.size = (size.width, size.height);
    execute!(stdout(), BeginSynchronizedUpdate)?;
    let drawn = terminal.draw(|frame| screens::draw(frame, &Scene::of(app))).map(|_| ());
    execute!(stdout(), EndSynchronizedUpdate)?;
    Ok(drawn?)
}

fn input(app: &mut App, event: &Event, dirty: &mut bool) -> Vec<Effect> {
    *dirty = true;
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => app.on_key(*key),
        Event::Mouse(mouse) => {
            // a mouse that only passes over changes nothing
            *dirty = mouse.kind != MouseEventKind::Moved;
            app.on_mouse(*mouse)
        }
        Event::Paste(text) => {
            app.on_text(text);
            vec![]
        }
        _ => vec![],
    }
}

/// Carries out what the app asked for; an exit ends the loop.
fn carry_out(
    effects: Vec<Effect>,
    terminal: &mut DefaultTerminal,
    app: &mut App,
    feed: &mut dyn Feed,
) -> Result<Option<Exit>> {
    for effect in effects {
        match effect {
            Effect::Exit(exit) => return Ok(Some(exit)),
            Effect::Send(command) => {
                if let Err(error) = feed.send(command) {
                    app.notify(format!("the trainer does not answer: {error:#}"));
                }
            }
            Effect::Redraw => terminal.clear()?,
            Effect::Suspend => suspend(terminal, app.mouse)?,
            Effect::Copy(text) => copy(&text)?,
            Effect::Mouse(on) => capture(on)?,
            Effect::Export(what) => {
                let said = picture::write(app, what).unwrap_or_else(|error| format!("{error:#}"));
                app.notify(said);
            }
            Effect::Edit(path) => edit(terminal, app, &path)?,
            Effect::Errand(errand) => {
                let effects = super::errands::run(app, feed, errand);
                if let Some(exit) = carry_out(effects, terminal, app, feed)? {
                    return Ok(Some(exit));
                }
            }
            Effect::Open(name) => match feed.switch(&name) {
                Ok(mode) => app.switch(mode),
                Err(error) => app.notify(format!("{error:#}")),
            },
            Effect::Config => match feed.config() {
                Ok(text) => super::menus::config_page(app, &text),
                Err(error) => app.notify(format!("{error:#}")),
            },
            Effect::Act(action) => {
                let effects = app.update(action);
                if let Some(exit) = carry_out(effects, terminal, app, feed)? {
                    return Ok(Some(exit));
                }
            }
        }
    }
    Ok(None)
}

/// Takes the mouse, or leaves it to the terminal, which then selects text with it.
fn capture(on: bool) -> Result<()> {
    if on {
        execute!(stdout(), EnableMouseCapture)?
    } else {
        execute!(stdout(), DisableMouseCapture)?
    }
    Ok(())
}

/// Opens a file in the person's editor, and the screen again when it is closed.
fn edit(terminal: &mut DefaultTerminal, app: &mut App, path: &Path) -> Result<()> {
    let editor = ["VISUAL", "EDITOR"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    let Some(editor) = editor else {
        app.notify(format!("`EDITOR` is not set; the file is `{}`", path.display()));
        return Ok(());
    };
    capture(false)?;
    ratatui::try_restore()?;
    let mut words = editor.split_whitespace();
    let result = std::process::Command::new(words.next().unwrap_or("vi")).args(words).arg(path).status();
    *terminal = open()?;
    capture(app.mouse)?;
    match result {
        Ok(status) if status.success() => {}
        Ok(status) => app.notify(format!("`{editor}` ended with {status}")),
        Err(error) => app.notify(format!("cannot start `{editor}`: {error}")),
    }
    Ok(terminal.clear()?)
}

/// Stops this process alone, not its group: whoever trains goes on.
fn suspend(terminal: &mut DefaultTerminal, mouse: bool) -> Result<()> {
    capture(false)?;
    ratatui::try_restore()?;
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP)?;
    *terminal = open()?;
    capture(mouse)?;
    Ok(terminal.clear()?)
}

/// Puts text on the clipboard of the terminal (OSC 52), which works over SSH too.
fn copy(text: &str) -> Result<()> {
    let mut out = stdout();
    write!(out, "\x1b]52;c;{}\x07", base64(text.as_bytes()))?;
    Ok(out.flush()?)
}

/// RFC 4648 with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let word = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * digit) & 63) as usize];
            out.push(if digit <= chunk.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Raises a flag on SIGTERM and SIGHUP, so that the loop leaves in order. When the terminal itself is gone, reading
/// from it never returns and the loop cannot see the flag: then the process ends here.
fn watch_signals(asked: Arc<AtomicBool>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            let (Ok(mut term), Ok(mut hangup)) = (signal(SignalKind::terminate()), signal(SignalKind::hangup())) else {
                return;
            };
            tokio::select! { _ = term.recv() => {}, _ = hangup.recv() => {} }
            asked.store(true, Ordering::Relaxed);
            tokio::time::sleep(PATIENCE).await;
            drop(capture(false));
            drop(ratatui::try_restore());
            std::process::exit(crate::core::exit::Exit::Terminated.code());
        });
    })?;
    Ok(())
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// How long the loop may take to leave after a signal.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the loop sleeps when nothing happens; new records are seen after this at the latest.
const IDLE: Duration = Duration::from_millis(100);

/// How often the person's own files are looked at.
const SETTINGS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::base64;

    /// The test vectors of RFC 4648, section 10.
    #[test]
    fn base64_follows_the_rfc() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (text, encoded) in pairs {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }
}
