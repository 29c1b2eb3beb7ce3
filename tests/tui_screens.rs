//! The screen as a whole: frames at fixed sizes, any input at any size, and what every key does.

#[path = "tui_screens/behaviour.rs"]
mod behaviour;
#[path = "tui_screens/browse.rs"]
mod browse;
#[path = "tui_screens/fixture.rs"]
mod fixture;
#[path = "tui_screens/frames.rs"]
mod frames;
#[path = "tui_screens/fuzz.rs"]
mod fuzz;
#[path = "tui_screens/said.rs"]
mod said;
#[path = "tui_screens/workbench.rs"]
mod workbench;
