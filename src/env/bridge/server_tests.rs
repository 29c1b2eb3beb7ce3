use super::*;
use serde_json::json;

const TABLE: &str = r#"
[server.a]
url = "ws://127.0.0.1:1/ws"
reset = { seed = "{seed}", name = "{split}-{index}", level = 3 }
action = { type = "call", arguments = { text = "do {action}" } }
train = 10
fields = { text = "/observation/messages/0", won = "/observation/won", admissible = "/observation/moves" }
"#;

#[test]
fn tables_say_what_is_sent_and_read() {
    let server = Server::load(TABLE, "a").unwrap();
    assert_eq!(server.offset(Split::ValidSeen), 10);
    let sent = server.reset_data("bridge/valid-seen/2", "valid-seen", 10, 2);
    assert_eq!(sent, json!({ "seed": 12, "name": "valid-seen-12", "level": 3 }));
    let action = json!({ "type": "call", "arguments": { "text": "do \"x\"\n" } });
    assert_eq!(server.action_data("\"x\"\n"), action);
    let data = json!({ "observation": { "messages": ["hi"], "won": true, "moves": ["a", 2] }, "reward": null });
    let seen = server.read(&data).unwrap();
    assert_eq!((seen.text.as_str(), seen.reward, seen.done, seen.won), ("hi", 0.0, false, Some(true)));
    assert_eq!(seen.admissible, ["a", "2"]);
}

#[test]
fn what_is_wrong_is_named() {
    let server = Server::load(TABLE, "a").unwrap();
    let error = server.read(&json!({ "observation": {} })).unwrap_err();
    assert_eq!(error, "its observation has no `/observation/messages/0` (`fields.text`)");
    let error = server.read(&json!({ "observation": { "messages": [1] }, "reward": "much" })).unwrap_err();
    assert_eq!(error, "its observation has much at `/reward` (`fields.reward`), expected a number");
    for (from, to, expected) in [
        ("server.a", "server.b", "there is no server `a`, only `b`"),
        ("ws://127.0.0.1:1/ws", "http://x", "write it like `ws://"),
        ("/observation/won", "won", "`fields.won` is `won`"),
        ("train = 10", "trian = 10", "unknown field `trian`"),
        ("train = 10", "command = ['x']", "either `url` or `command`"),
    ] {
        let error = Server::load(&TABLE.replace(from, to), "a").unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
    }
}
