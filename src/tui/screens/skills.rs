//! Screen 4: the bank of skills and what each is worth.
//!
//! ```text
//! bank, as of the step                       | text, where it comes from, what came of it
//! ● check-closed  uses 81 .64 +.12 gap gate  |---------------------------------------------
//! ◇ two-objects                              | rollouts whose teacher read it
//! changes of the bank, newest first          |
//! ```

use ratatui::Frame;
use ratatui::layout::Direction::{Horizontal, Vertical};
use ratatui::layout::{Constraint, Layout, Rect};

use super::skill_panes::{bank, changes, users, words};
use super::tabs::tabs;
use super::{Room, Screen};
use crate::core::EpisodeId;
use crate::tui::app::{App, Effect};
use crate::tui::browse;
use crate::tui::errands::Errand;
use crate::tui::feed::Feed;
use crate::tui::find::Find;
use crate::tui::keys::{Action, Action as A, Binding, ScreenId, ch, row};
use crate::tui::mouse::Target;
use crate::tui::scene::Scene;
use crate::tui::update;
use crate::tui::worth::{self, By, Status, Worth};

/// The row of this screen.
pub const SCREEN: Screen = Screen {
    act,
    find,
    copied,
    load,
    bindings: OWN,
    ..Screen::new(ScreenId::Skills, ("Skills", "Skill"), &["bank", "text", "used by", "changes"], draw)
};

/// What this screen remembers.
#[derive(Debug, Default)]
pub struct State {
    /// Every skill at the step, and what that was made of: walking all steps for every frame would be too much.
    pub all: Vec<Worth>,
    made: Option<(u64, usize, usize, By)>,
    /// Id of the selected skill; the first of the list if it is not there.
    chosen: String,
    pub by: By,
    /// Rollouts whose teacher read the selected skill, newest first, and what they were made of.
    pub used: Vec<u32>,
    used_of: (String, u64),
    pub used_at: usize,
    /// Success with and without the selected skill.
    pub measured: ((u64, u64), (u64, u64)),
}

const OWN: &[Binding] = &[
    row(&[ch('r')], "skill-order", A::Own("order"), "order: uses, uplift, gap, gate, UCB, newest", "data")
        .on(HERE)
        .foot(10),
    row(&[ch('e')], "skill-edit", A::Own("edit"), "edit: its file in $EDITOR, read again at once", "data")
        .on(HERE)
        .foot(11),
    row(&[ch('D')], "skill-switch", A::Own("switch"), "disable: retrieve it no more, or again", "data")
        .on(HERE)
        .foot(12),
];
const HERE: &[ScreenId] = &[ScreenId::Skills];

/// Makes the list anew if anything it is made of changed.
fn make(app: &mut App) -> bool {
    let (view, step, by) = (app.view(), app.step(), app.states.skills.by);
    let key = Some((step, view.steps.len(), view.bank.changes(u64::MAX).count(), by));
    if app.states.skills.made == key {
        return false;
    }
    let all = worth::list(view, step, by);
    let state = &mut app.states.skills;
    (state.all, state.made) = (all, key);
    true
}

/// Where the selected skill stands in the list.
fn place(app: &App) -> usize {
    let state = &app.states.skills;
    state.all.iter().position(|w| w.id == state.chosen).unwrap_or(0)
}

fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    let focus = app.focus[ScreenId::Skills as usize];
    match action {
        Action::Own("order") => {
            let state = &mut app.states.skills;
            state.by = state.by.next();
            let said = format!("largest first: {}", state.by.name());
            app.notify(said);
        }
        Action::Own(name) => return Some(errand(app, name)),
        Action::Enter if focus < 2 => app.focus[ScreenId::Skills as usize] = 2,
        Action::Enter if focus == 2 => jump(app),
        Action::Escape if focus > 0 && !app.zoomed => app.focus[ScreenId::Skills as usize] = 0,
        Action::Row(at) if focus == 0 => choose(app, at),
        Action::Row(at) => app.states.skills.used_at = at,
        _ => {
            let to = update::vertical(action)?;
            match focus {
                0 => {
                    let at = to.from(place(app), app.states.skills.all.len());
                    choose(app, at);
                }
                2 => {
                    let state = &mut app.states.skills;
                    state.used_at = to.from(state.used_at, state.used.len());
                }
                _ => drop(update::scroll(app, action)),
            }
        }
    }
    Some(vec![])
}

/// What is asked of the selected skill's file.
fn errand(app: &mut App, name: &str) -> Vec<Effect> {
    let Some(worth) = app.states.skills.all.get(place(app)) else {
        app.notify("no skill is selected");
        return vec![];
    };
    let id = worth.id.clone();
    vec![Effect::Errand(match (name, worth.status) {
        ("edit", _) => Errand::EditSkill(id),
        (_, status) => Errand::AskSwitch { id, disable: status != Status::Disabled },
    })]
}

fn choose(app: &mut App, at: usize) {
    let state = &mut app.states.skills;
    if let Some(id) = state.all.get(at).map(|w| w.id.clone()) {
        (state.chosen, state.used_at) = (id, 0);
        app.scroll = 0;
    }
}

/// To the selected rollout of those that used the skill.
fn jump(app: &mut App) {
    match used(app, app.states.skills.used_at) {
        Some(id) => {
            update::go(app, ScreenId::Rollouts);
            app.focus[ScreenId::Rollouts as usize] = 2;
            browse::show(app, id, 0);
        }
        None => app.notify("no recorded rollout used this skill"),
    }
}

fn used(app: &App, at: usize) -> Option<EpisodeId> {
    let place = *app.states.skills.used.get(at)? as usize;
    app.states.rollouts.list.rows().get(place).map(|r| r.id)
}

fn find(app: &mut App, find: &Find, by: i32) -> bool {
    let all = &app.states.skills.all;
    let words = |at: usize| {
        let w: &Worth = &all[at];
        format!("{} {} {}", w.id, w.title, w.card.as_ref().map_or("", |c| c.text.as_str()))
    };
    let found = find.next(place(app), all.len(), by, words);
    if let Some(at) = found {
        choose(app, at);
    }
    found.is_some()
}

fn copied(app: &App) -> Vec<(&'static str, String)> {
    let Some(worth) = app.states.skills.all.get(place(app)) else { return vec![] };
    let card = worth.card.as_ref();
    vec![
        ("text", card.map_or(worth.title.clone(), |c| c.text.clone())),
        ("skill", card.map_or(worth.id.clone(), |c| serde_json::to_string_pretty(c).unwrap_or_default())),
    ]
}

/// Which rollouts used the selected skill.
fn load(app: &mut App, feed: &mut dyn Feed) -> bool {
    let found = feed.rows();
    let mut changed = !found.is_empty();
    app.states.rollouts.list.extend(found);
    changed |= make(app);
    let id = app.states.skills.all.get(place(app)).map_or(String::new(), |w| w.id.clone());
    let rows = &app.states.rollouts.list;
    let state = &mut app.states.skills;
    if state.used_of != (id.clone(), rows.version) {
        let with = rows.rows().iter().enumerate().rev().filter(|(_, r)| r.skills.contains(&id));
        state.used = with.map(|(at, _)| at as u32).collect();
        state.measured = worth::measured(rows.rows(), &id);
        state.used_at = state.used_at.min(state.used.len().saturating_sub(1));
        state.used_of = (id, rows.version);
        changed = true;
    }
    changed
}

/// Draws one pane: the skills with the place of the selected one, and whether the pane has the focus.
type Pane = fn(&mut Frame, Rect, &Scene, (&[Worth], usize), bool);

fn draw(frame: &mut Frame, area: Rect, scene: &Scene) {
    let room = Room::of(frame.area());
    let focus = scene.app.focus[ScreenId::Skills as usize].min(3);
    let all = &scene.app.states.skills.all;
    let at = place(scene.app);
    let panes: [Pane; 4] = [bank, words, users, changes];
    let mut body = area;
    if room <= Room::One {
        let [top, rest] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
        tabs(frame, top, scene);
        body = rest;
    }
    if room <= Room::One || scene.app.zoomed {
        return panes[focus](frame, body, scene, (all, at), true);
    }
    let [left, right] = scene.split("skills", body, Horizontal, body.width * 4 / 7);
    let [a, d] = scene.split("skills-bank", left, Vertical, left.height * 5 / 7);
    let [b, c] = scene.split("skills-text", right, Vertical, right.height.div_ceil(2));
    for (at_pane, area) in [a, b, c, d].into_iter().enumerate() {
        panes[at_pane](frame, area, scene, (all, at), focus == at_pane);
        scene.hit(area, Target::Pane(at_pane));
    }
}
