//! Conversations as episodes: what the model said are the replies, everything between them is observation.

use serde_json::Value;

use crate::core::{Ending, Episode, EpisodeId, Stop, Task, Turn};

/// One message of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Message {
    pub role: String,
    pub text: String,
}

/// A text, or a list of messages, as messages; a bare text is one message of `role`.
pub(super) fn messages(value: &Value, role: &str) -> Vec<Message> {
    match value {
        Value::String(text) => vec![Message { role: role.into(), text: text.clone() }],
        Value::Array(items) => items.iter().map(message).collect(),
        _ => Vec::new(),
    }
}

/// `{role, content, reasoning_content?, tool_calls?}`, with the content as text or as parts.
pub(super) fn message(value: &Value) -> Message {
    let role = value.get("role").and_then(Value::as_str).unwrap_or("user").to_owned();
    let thought = value.get("reasoning_content").map(content).filter(|text| !text.is_empty());
    let calls = value.get("tool_calls").filter(|calls| calls.as_array().is_some_and(|c| !c.is_empty()));
    let parts = [
        thought.map(|text| format!("<think>\n{text}\n</think>")),
        value.get("content").map(content).filter(|text| !text.is_empty()),
        calls.map(Value::to_string),
    ];
    Message { role, text: parts.into_iter().flatten().collect::<Vec<_>>().join("\n") }
}

fn content(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(part).collect::<Vec<_>>().join("\n"),
        _ => String::new(),
    }
}

/// A part is its text; a picture or a sound is named by its kind.
fn part(value: &Value) -> String {
    let text = value.as_str().or_else(|| value.get("text").and_then(Value::as_str));
    let kind = || format!("[{}]", value.get("type").and_then(Value::as_str).unwrap_or("part"));
    text.map_or_else(kind, str::to_owned)
}

/// A prompt as one text.
pub(super) fn rendered(messages: &[Message]) -> String {
    match messages {
        [only] => only.text.clone(),
        _ => messages.iter().map(|m| format!("[{}]\n{}", m.role, m.text)).collect::<Vec<_>>().join("\n\n"),
    }
}

/// An episode from a conversation. `said` tells which messages the model wrote; the reward belongs to the last turn.
pub(super) fn episode(conversation: &[Message], said: impl Fn(usize) -> bool, reward: f32) -> Episode {
    let first = (0..conversation.len()).find(|&at| said(at)).unwrap_or(conversation.len());
    let mut turns: Vec<Turn> = Vec::new();
    let mut between: Vec<Message> = conversation[..first].to_vec();
    for (at, message) in conversation.iter().enumerate().skip(first) {
        if !said(at) {
            between.push(message.clone());
            continue;
        }
        turns.push(turn(rendered(&between), message.text.clone()));
        between.clear();
    }
    if let Some(last) = turns.last_mut() {
        last.reward = reward;
    }
    let prompt = rendered(&conversation[..first]);
    let goal = conversation[..first].last().map_or(String::new(), |m| first_line(&m.text));
    Episode {
        id: EpisodeId { step: 0, group: 0, member: 0 },
        task: Task { id: String::new(), kind: "imported".into(), goal },
        last_observation: rendered(&between),
        ending: if reward >= 1.0 { Ending::Won } else { Ending::Lost },
        reward,
        score: reward.clamp(0.0, 1.0),
        advantage: None,
        prompt,
        teacher_prompt: String::new(),
        skills: vec![],
        turns,
    }
}

fn turn(observation: String, reply: String) -> Turn {
    let action = reply.trim().to_owned();
    Turn { observation, reply, action, valid: true, reward: 0.0, tokens: 0, stop: Stop::Closed }
}

fn first_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().take(GOAL).collect()
}

/// Most characters of a goal that is taken from a prompt.
const GOAL: usize = 160;

/// A finite number, also one that was written as text.
pub(super) fn number(value: &Value) -> Option<f64> {
    let found = value.as_f64().or_else(|| value.as_bool().map(f64::from)).or_else(|| value.as_str()?.parse().ok());
    found.filter(|x| x.is_finite())
}
