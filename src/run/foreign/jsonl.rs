//! One rollout a line: verl's dumps, the traces of verifiers and prime-rl, and their older results.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde_json::{Map, Value};

use super::messages::{Message, episode, message, messages, number, rendered};
use super::{Rollout, step_of_path};
use crate::core::TokenRecord;
use crate::run::error::{Result, RunError};

/// Tool, rollouts, and how many lines could not be read.
pub(super) fn read(path: &Path) -> Result<(&'static str, Vec<Rollout>, usize)> {
    let file = File::open(path).map_err(RunError::io("read", path))?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let (mut tool, mut rollouts, mut skipped) = ("unknown", Vec::new(), 0);
    let step = step_of_path(path).unwrap_or(1);
    let mut line = Vec::new();
    while next_line(&mut reader, &mut line).map_err(RunError::io("read", path))? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        // Broken UTF-8 must not cost the rollout: what is not text is shown as such.
        match serde_json::from_str::<Value>(&String::from_utf8_lossy(&line)).ok().and_then(|row| rollout(&row, step)) {
            Some((kind, rollout)) => {
                tool = kind;
                rollouts.push(rollout);
            }
            None => skipped += 1,
        }
    }
    Ok((tool, rollouts, skipped))
}

/// Reads a line whole, or its first [`LONGEST`] bytes (which then are no JSON) and passes over the rest.
fn next_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<bool> {
    line.clear();
    if reader.by_ref().take(LONGEST).read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    let mut rest = Vec::new();
    while line.len() as u64 >= LONGEST && rest.last().or(line.last()) != Some(&b'\n') {
        rest.clear();
        if reader.by_ref().take(LONGEST).read_until(b'\n', &mut rest)? == 0 {
            break;
        }
    }
    Ok(true)
}

fn rollout(row: &Value, step: u64) -> Option<(&'static str, Rollout)> {
    let row = row.as_object()?;
    let step = row.get("step").and_then(Value::as_u64).unwrap_or(step);
    if row.contains_key("nodes") {
        return Some(("verifiers", trace(row, step)?));
    }
    if row.contains_key("input") && row.contains_key("output") {
        return Some(("verl", verl(row, step)));
    }
    let both = row.contains_key("prompt") && row.contains_key("completion");
    both.then(|| ("verifiers-v0", result(row, step)))
}

/// verl: `input` and `output` are texts, `score` is the reward; any other number is kept by its name.
fn verl(row: &Map<String, Value>, step: u64) -> Rollout {
    let prompt = messages(&row["input"], "user");
    let conversation = [prompt.as_slice(), &messages(&row["output"], "assistant")].concat();
    let reward = row.get("score").and_then(number).unwrap_or(0.0);
    plain(row, step, &conversation, prompt.len(), reward, &["step", "input", "output"])
}

/// verifiers before version 1: `prompt` and `completion` are lists of messages.
fn result(row: &Map<String, Value>, step: u64) -> Rollout {
    let prompt = messages(&row["prompt"], "user");
    let conversation = [prompt.as_slice(), &messages(&row["completion"], "assistant")].concat();
    let reward = row.get("reward").and_then(number).unwrap_or(0.0);
    plain(row, step, &conversation, prompt.len(), reward, &["step", "prompt", "completion", "example_id"])
}

fn plain(
    row: &Map<String, Value>,
    step: u64,
    conversation: &[Message],
    prompt: usize,
    reward: f64,
    fixed: &[&str],
) -> Rollout {
    let said = |at: usize| at >= prompt && conversation[at].role == "assistant";
    let mut episode = episode(conversation, said, reward as f32);
    let task = row.get("example_id").map_or_else(|| rendered(&conversation[..prompt]), Value::to_string);
    episode.task.id = row.get("example_id").map_or(String::new(), Value::to_string);
    let numbers = row.iter().filter(|(name, _)| !fixed.contains(&name.as_str()));
    let numbers = numbers.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?))).collect();
    Rollout { step, task, episode, tokens: vec![], numbers }
}

/// verifiers and prime-rl: `nodes` is a graph of messages; the path to its last leaf is the conversation. Each node
/// carries the tokens it adds, and numbers for those of them that were sampled.
fn trace(row: &Map<String, Value>, step: u64) -> Option<Rollout> {
    let nodes = row["nodes"].as_array()?;
    let path = path(nodes);
    let conversation: Vec<Message> = path.iter().map(|&at| message(&nodes[at]["message"])).collect();
    let sampled = |at: usize| match nodes[path[at]].get("sampled").and_then(Value::as_bool) {
        Some(sampled) => sampled,
        None => conversation[at].role == "assistant",
    };
    let rewards = rewards(row);
    let reward = rewards.values().sum::<f64>();
    let mut episode = episode(&conversation, sampled, reward as f32);
    let mut tokens = Vec::new();
    let mut turn = 0;
    for (at, &node) in path.iter().enumerate() {
        node_tokens(&nodes[node], turn, &mut tokens);
        if sampled(at) {
            if let Some(turn) = episode.turns.get_mut(turn as usize) {
                turn.tokens =
                    nodes[node]["mask"].as_array().map_or(0, |m| m.iter().filter(|x| is_true(x)).count()) as u32;
            }
            turn += 1;
        }
    }
    let key = |name: &str| row.get("task").and_then(|task| task.get(name)).filter(|v| !v.is_null());
    let identity = key("key").or_else(|| key("hash")).or_else(|| key("data")).or_else(|| row.get("task"));
    let task = identity.map_or_else(|| episode.prompt.clone(), Value::to_string);
    episode.task.id = key("key").and_then(Value::as_str).unwrap_or_default().to_owned();
    let metrics = row.get("metrics").and_then(Value::as_object).into_iter().flatten();
    let metrics = metrics.filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)));
    let numbers = metrics.chain(rewards.into_iter().map(|(name, value)| (format!("reward/{name}"), value))).collect();
    Some(Rollout { step, task, episode, tokens, numbers })
}

/// `rewards` by name, each `{score, weight}` or a number; else the single `reward`.
fn rewards(row: &Map<String, Value>) -> BTreeMap<String, f64> {
    let weighted = |value: &Value| {
        let score = value.get("score").map_or_else(|| number(value), number)?;
        Some(score * value.get("weight").and_then(number).unwrap_or(1.0))
    };
    match row.get("rewards").and_then(Value::as_object) {
        Some(rewards) => rewards.iter().filter_map(|(name, value)| Some((name.clone(), weighted(value)?))).collect(),
        None => row.get("reward").and_then(number).map(|reward| ("reward".to_owned(), reward)).into_iter().collect(),
    }
}

/// Indices from the root to the last node, by `parent`; files without parents are one path. A parent lies before its
/// child, so that a damaged file has no circle.
fn path(nodes: &[Value]) -> Vec<usize> {
    if nodes.iter().all(|node| node.get("parent").is_none_or(Value::is_null)) {
        return (0..nodes.len()).collect();
    }
    let mut at = nodes.len().checked_sub(1);
    let mut path = Vec::new();
    while let Some(node) = at {
        path.push(node);
        let parent = nodes[node].get("parent").and_then(Value::as_u64).map(|parent| parent as usize);
        at = parent.filter(|parent| *parent < node);
    }
    path.reverse();
    path
}

fn node_tokens(node: &Value, turn: u32, into: &mut Vec<TokenRecord>) {
    let list = |name: &str| node.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let (ids, mask) = (list("token_ids"), list("mask"));
    let number = |name: &str, nth: usize| list(name).get(nth).and_then(Value::as_f64).map(|x| x as f32);
    let mut nth = 0;
    for (at, id) in ids.iter().enumerate() {
        let sampled = mask.get(at).is_some_and(is_true);
        let of = |name: &str| if sampled { number(name, nth) } else { None };
        into.push(TokenRecord {
            position: into.len() as u32,
            turn,
            id: id.as_u64().unwrap_or(0) as u32,
            mask: sampled,
            sampled: of("logprobs"),
            old: of("logprobs"),
            student: of("trainer_logprobs"),
            reference: of("reference_logprobs"),
            entropy: of("entropies"),
            advantage: of("advantages"),
            ..TokenRecord::default()
        });
        nth += usize::from(sampled);
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false) || value.as_u64() == Some(1)
}

/// Longer lines are passed over (64 MiB).
const LONGEST: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read;
    use crate::run::foreign;

    const TRACE: &str = r#"{"version":1,"id":"a","task":{"type":"T","key":"k1","data":{}},"nodes":[
        {"parent":null,"message":{"role":"user","content":"go"},"token_ids":[5,6],"mask":[false,false],"logprobs":[]},
        {"parent":0,"message":{"role":"assistant","content":"dead end"},"sampled":true,"token_ids":[1],"mask":[true]},
        {"parent":0,"message":{"role":"assistant","content":"left","reasoning_content":"hm"},"sampled":true,
         "token_ids":[7,8],"mask":[false,true],"logprobs":[-0.5],"entropies":[0.25]},
        {"parent":2,"message":{"role":"tool","content":[{"type":"text","text":"a wall"}]},"token_ids":[9],"mask":[false]}],
        "rewards":{"win":{"score":1.0,"weight":0.5},"form":0.25},"metrics":{"len":3}}"#;

    fn file(text: &str, name: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn a_trace_is_the_path_to_its_last_leaf() {
        let (_folder, path) = file(&TRACE.replace('\n', " "), "traces.jsonl");
        let dump = foreign::read(&path).unwrap();
        let episode = &dump.episodes[0];
        assert_eq!((episode.turns.len(), episode.turns[0].reply.as_str()), (1, "<think>\nhm\n</think>\nleft"));
        assert_eq!((episode.prompt.as_str(), episode.last_observation.as_str()), ("go", "a wall"));
        assert_eq!((episode.reward, episode.turns[0].tokens, episode.id.step), (0.75, 1, 1));
        let tokens = &dump.tokens[&1];
        assert_eq!(
            tokens.iter().map(|t| (t.id, t.mask)).collect::<Vec<_>>(),
            [(5, false), (6, false), (7, false), (8, true), (9, false)]
        );
        assert_eq!((tokens[3].sampled, tokens[3].entropy, tokens[2].sampled), (Some(-0.5), Some(0.25), None));
        assert_eq!(dump.numbers[0]["reward/win"], 0.5);
    }

    #[test]
    fn verl_lines_are_grouped_by_input_and_bad_lines_are_counted() {
        let line = |input: &str, score: f64| {
            format!("{{\"input\":\"{input}\",\"output\":\"x\\u001b[2J\",\"score\":{score},\"acc\":true,\"len\":4}}")
        };
        let text = [line("a", 1.0), line("b", 0.0), "rubbish".into(), "[1]".into(), line("a", 0.5)].join("\n");
        let (_folder, path) = file(&text, "12.jsonl");
        let dump = foreign::read(&path).unwrap();
        let ids: Vec<_> = dump.episodes.iter().map(|e| (e.id.step, e.id.group, e.id.member)).collect();
        assert_eq!(ids, [(12, 0, 0), (12, 1, 0), (12, 0, 1)]);
        assert_eq!((dump.skipped, dump.tools, dump.numbers[2]["len"]), (2, vec!["verl"], 4.0));
        assert!(dump.episodes[0].won() && !dump.episodes[2].won());
    }

    #[test]
    fn a_line_of_ten_megabytes_and_broken_utf8_are_read() {
        let long = "a".repeat(10 << 20);
        let mut text = format!("{{\"input\":\"{long}\",\"output\":\"").into_bytes();
        text.extend(b"\xff\xfe\"}\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.jsonl");
        std::fs::write(&path, text).unwrap();
        let (_, rollouts, skipped) = read(&path).unwrap();
        assert_eq!((skipped, rollouts[0].episode.prompt.len()), (0, 10 << 20));
        assert_eq!(rollouts[0].episode.turns[0].reply, "\u{fffd}\u{fffd}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]
        #[test]
        fn damaged_traces_never_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), parent in any::<u64>()) {
            let mut bytes = TRACE.replace("\"parent\":2", &format!("\"parent\":{parent}")).replace('\n', " ").into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let (_folder, path) = file("", "traces.jsonl");
            std::fs::write(&path, &bytes).unwrap();
            let (_, rollouts, skipped) = read(&path).unwrap();
            prop_assert!(rollouts.len() + skipped <= 2);
        }
    }
}
