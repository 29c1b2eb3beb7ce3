use super::*;
use crate::env::household::priors::TEXT;

const STYLE: &str = "verl-agent";

const OPENING: &str = "-= Welcome to TextWorld, ALFRED! =-\n\nYou are in the middle of a room. Looking quickly around \
                       you, you see a bed 1, and a desk 1.\n\nYour task is to: put a pen in desk.";

#[test]
fn transcript_is_short() {
    let prompts = Prompts::load(TEXT, STYLE).unwrap();
    assert_eq!(
        prompts.first("put a pen in desk.", OPENING, None),
        "You act in a home. Think, then act.\nTask: put a pen in desk.\nYou see a bed 1, and a desk 1."
    );
    assert_eq!(
        prompts.first("put a pen in desk.", OPENING, Some("- Look twice.")),
        "You act in a home. Think, then act.\nTask: put a pen in desk.\n- Look twice.\nYou see a bed 1, and a desk 1."
    );
    assert_eq!(prompts.next("Nothing happens."), "Nothing happens.");
}

#[test]
fn history_shows_the_last_pairs() {
    let prompts = Prompts::load(TEXT, STYLE).unwrap();
    let pairs: Vec<_> = (1..=3).map(|k| (format!("o{k}"), format!("a{k}"))).collect();
    let text = prompts.history("g.", &pairs, "now", &["go".into(), "help".into(), "look".into()], None);
    assert!(text.contains("Steps taken: 3. The last 2:\n[Observation 2: 'o2', Action 2: 'a2']\n[Observation 3:"));
    assert!(text.contains("Step 4. now\nPossible actions: ['go'\n 'look'].") && !text.contains("o1"), "{text}");
}

#[test]
fn bad_templates_are_refused() {
    for (bad, expected) in [("{{ gaol }}", "cannot be filled in"), ("{% if %}", "cannot be read")] {
        let text = TEXT.replace("{{ observation }}'''\nhistory_first", &format!("{bad}'''\nhistory_first"));
        let error = Prompts::load(&text, STYLE);
        assert!(format!("{:#}", error.err().unwrap()).contains(expected));
    }
}

#[test]
fn styles_are_named() {
    assert_eq!(styles(TEXT).unwrap(), [STYLE]);
    let error = format!("{:#}", Prompts::load(TEXT, "baroque").err().unwrap());
    assert!(error.contains("no style `baroque`, only `verl-agent`"), "{error}");
}

#[test]
fn a_line_of_history_can_show_the_answer_and_long_prompts_give_way() {
    let mut templates = Templates::load(TEXT, STYLE).unwrap();
    templates.set("history_line", "{{ number }}:{{ action }}>{{ answer }}".into()).unwrap();
    templates.set("history_next", "{{ action_history }}".into()).unwrap();
    templates.set("history_first", "short {{ actions | length }}".into()).unwrap();
    templates.max_chars = 20;
    assert!(templates.set("middle", String::new()).is_err());
    let prompts = Prompts::new(templates).unwrap().with_history(2);
    let pairs = |n: usize| (0..n).map(|k| (format!("o{k}"), format!("a{k}"))).collect::<Vec<_>>();
    let show = |n, now: &str| prompts.history("g.", &pairs(n), now, &["help".into(), "look".into()], None);
    assert_eq!(show(3, "now"), "2:a1>o2\n3:a2>now");
    assert_eq!(show(3, "now, and much more than fits"), "short 1");
    assert_eq!(show(0, "now"), "short 1");
}
