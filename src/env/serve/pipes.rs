//! Serving over standard input and output: JSON lines.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{Host, Refusal, Session, no_message, refuse};
use crate::env::bridge::link::MOST_BYTES;

/// Answers JSON lines until the input ends or the client says goodbye. A message may carry the number of its `game`, and
/// several may come in one line, as [`crate::env::bridge::shared`] says.
pub fn lines(host: &Arc<Host>, input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
    let mut games = BTreeMap::new();
    loop {
        let mut line = Vec::new();
        if (&mut *input).take(MOST_BYTES as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        if text.trim().is_empty() {
            continue;
        }
        let answer = match serde_json::from_str(&text) {
            Ok(message) => routed(host, &mut games, &message),
            Err(_) => Some(refuse(&no_message())),
        };
        let Some(answer) = answer else { return Ok(()) };
        output.write_all(format!("{answer}\n").as_bytes())?;
        output.flush()?;
    }
}

/// The answer of the game that a message is for, or of all games of a batch; `None` if the client says goodbye.
fn routed(host: &Arc<Host>, games: &mut BTreeMap<u64, Session>, message: &Map<String, Value>) -> Option<Value> {
    if message.get("type").is_some_and(|kind| kind == "batch") {
        let parts = message.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let one = |part: &Value| match part.as_object().filter(|part| part.get("type").is_some_and(|t| t != "batch")) {
            Some(part) => routed(host, games, part).unwrap_or_else(|| json!({ "type": "closed" })),
            None => refuse(&no_message()),
        };
        let answers: Vec<Value> = parts.iter().map(one).collect();
        return Some(json!({ "id": message.get("id"), "type": "batch", "data": answers }));
    }
    let number = message.get("game").and_then(Value::as_u64).unwrap_or(0);
    let session = match games.entry(number) {
        Entry::Occupied(taken) => taken.into_mut(),
        Entry::Vacant(free) => match host.session() {
            Some(session) => free.insert(session),
            None => {
                let mut full = refuse(&Refusal("CAPACITY_REACHED", "all sessions are in use".to_owned()));
                full["id"] = message.get("id").cloned().unwrap_or_default();
                return Some(full);
            }
        },
    };
    session.reply(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_hold_messages_of_several_games() {
        let world = crate::env::open_world("sokoban", &toml::Table::new()).unwrap();
        let host = Host::new(world, "", 2);
        let input = concat!(
            r#"{"id": 1, "type": "batch", "data": [{"game": 4, "type": "reset", "data": {"index": 1}}, 3, {"type": "reset", "data": {"index": 2}}]}"#,
            "\n",
            r#"{"id": 2, "game": 4, "type": "state"}"#,
            "\n",
            r#"{"id": 3, "game": 5, "type": "reset"}"#,
            "\nx\n",
        );
        let mut output = Vec::new();
        lines(&host, &mut input.as_bytes(), &mut output).unwrap();
        let answers: Vec<Value> = output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
        let task = |n: usize| &answers[0]["data"][n]["data"]["observation"]["task"];
        assert_eq!((task(0), task(2)), (&json!("sokoban/train/1"), &json!("sokoban/train/2")));
        assert_eq!(answers[0]["data"][1]["data"]["code"], "INVALID_JSON");
        assert_eq!((&answers[1]["id"], &answers[1]["data"]["task"]), (&json!(2), &json!("sokoban/train/1")));
        assert_eq!(answers[2]["data"]["code"], "CAPACITY_REACHED");
        assert_eq!(answers[3]["data"]["code"], "INVALID_JSON");
    }
}
