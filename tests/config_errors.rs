//! What a person sees when a recipe is broken: the whole text.

use sdlab::config::{Overrides, parse};
use sdlab::method::METHODS;

fn refusal(text: &str) -> String {
    let error = parse("my.toml", text, &Overrides::default()).expect_err("the recipe is broken");
    format!("\n{error}\n")
}

#[test]
fn unknown_key() {
    let text = "# mine\n\n[rollout]\ngroups = 4\ntemprature = 1.0\n";
    assert_eq!(
        refusal(text),
        r#"
my.toml:5:1: unknown key `temprature`, did you mean `temperature`?
  |
5 | temprature = 1.0
  | ^^^^^^^^^^
"#
    );
}

#[test]
fn unknown_table() {
    assert_eq!(
        refusal("[optimizer]\nlr = 1.0\n"),
        r#"
my.toml:1:2: unknown key `optimizer`, did you mean `optim`?
  |
1 | [optimizer]
  |  ^^^^^^^^^
"#
    );
}

#[test]
fn key_of_another_table() {
    assert_eq!(
        refusal("[rollout]\nlr = 1.0\n"),
        r#"
my.toml:2:1: unknown key `lr`, did you mean `optim.lr`?
  |
2 | lr = 1.0
  | ^^
"#
    );
}

#[test]
fn wrong_type() {
    assert_eq!(
        refusal("[optim]\nlr = \"fast\" # please\n"),
        r#"
my.toml:2:6: expected a number, found string "fast"
  |
2 | lr = "fast" # please
  |      ^^^^^^
"#
    );
}

#[test]
fn bad_enum() {
    assert_eq!(
        refusal("[skills]\nretrieval = \"keywrd\"\n"),
        r#"
my.toml:2:13: unknown value `keywrd`, expected `keyword`, `keyword-any`, `keyword-all`, `keyword-substring`, `task-type`, `ucb`, `full`, `random`, `bm25`, `embedding` or `none`, did you mean `keyword`?
  |
2 | retrieval = "keywrd"
  |             ^^^^^^^^
"#
    );
}

#[test]
fn unknown_device() {
    assert_eq!(
        refusal("[model]\ndevice = \"gpu\"\n"),
        r#"
my.toml:2:10: `gpu` is not a device, expected `auto`, `cpu` or `cuda:0`
  |
2 | device = "gpu"
  |          ^^^^^
"#
    );
}

#[test]
fn missing_bracket() {
    assert_eq!(
        refusal("[run]\nsteps = 3\n\n[optim\nlr = 1.0\n"),
        r#"
my.toml:4:7: unclosed table, expected `]`
  |
4 | [optim
  |       ^
"#
    );
}

#[test]
fn negative_count() {
    assert_eq!(
        refusal("[rollout]\ngroups = -3\n"),
        r#"
my.toml:2:10: expected a whole number from 0 to 4294967295, found integer `-3`
  |
2 | groups = -3
  |          ^^
"#
    );
}

#[test]
fn negative_rate() {
    assert_eq!(
        refusal("[optim]\nlr = -0.1\n"),
        r#"
my.toml:2:6: `optim.lr` must be at least 0
  |
2 | lr = -0.1
  |      ^^^^
"#
    );
}

#[test]
fn unknown_constant_of_a_method() {
    assert_eq!(
        refusal("[method.sdar]\nbta = 3\n"),
        r#"
my.toml:2:1: unknown key `bta`, did you mean `beta`?
  |
2 | bta = 3
  | ^^^
"#
    );
}

#[test]
fn unknown_method() {
    let text = refusal("[method.sadr]\nbeta = 3\n");
    let names: Vec<_> = METHODS.iter().map(|method| format!("`{}`", method.name)).collect();
    assert!(names.iter().all(|name| text.contains(name)), "{text}");
    let (first, rest) = text.trim_start().split_once('\n').unwrap();
    assert!(first.starts_with("my.toml:1:9: unknown value `sadr`, expected `sdar`, "), "{first}");
    assert!(first.ends_with(", did you mean `sdar`?"), "{first}");
    assert_eq!(
        rest,
        r#"  |
1 | [method.sadr]
  |         ^^^^
"#
    );
}

#[test]
fn two_methods() {
    assert_eq!(
        refusal("[method.sdar]\nbeta = 3.0\n[method.grpo]\n"),
        r#"
my.toml:1:2: expected exactly one table of this kind, such as `[method.sdar]` or `[env.household]`
  |
1 | [method.sdar]
  |  ^^^^^^
"#
    );
}

#[test]
fn constant_out_of_range() {
    assert_eq!(
        refusal("[method.sdar]\nbeta = -3.0\n"),
        r#"
my.toml:2:8: `-3` is out of range, use a finite number >= 0
  |
2 | beta = -3.0
  |        ^^^^
"#
    );
}

#[test]
fn constant_of_the_inner_method_out_of_range() {
    assert_eq!(
        refusal("[method.sdar.grpo]\ndual_clip = 0.5\n"),
        r#"
my.toml:2:13: `0.5` is out of range, use a finite number > 1, or 0 to switch it off
  |
2 | dual_clip = 0.5
  |             ^^^
"#
    );
}

#[test]
fn a_method_by_name_alone() {
    assert_eq!(
        refusal("method = \"grpo\"\n"),
        r#"
my.toml:1:10: write it as a table: `[method.grpo]`
  |
1 | method = "grpo"
  |          ^^^^^^
"#
    );
    assert!(refusal("env = 'shop'\n").contains("my.toml:1:7: write it as a table: `[env.shop]`"));
    assert!(refusal("method = 'gropo'\n").contains("did you mean `grpo`?"));
    assert!(refusal("method = 3\n").contains("my.toml:1:10: expected a table, such as `[method.sdar]`"));
    let stages = "[method.sparse-to-dense]\nstages = ['opd']\n";
    assert!(!refusal(stages).contains("variant"), "{}", refusal(stages));
    let argument = Overrides { set: vec!["method=grpo".into()], ..Overrides::default() };
    let error = parse("my.toml", "[method.sdar]\n", &argument).unwrap_err().to_string();
    assert!(error.starts_with("--set: write it as a table: `[method.grpo]`\n"), "{error}");
}

#[test]
fn a_list_for_a_table() {
    assert_eq!(
        refusal("[run]\n\n[[rollout]]\ngroups = 3\n"),
        r#"
my.toml:3:1: `rollout` is a table, not a list: write `[rollout]` and a key a line
  |
3 | [[rollout]]
  | ^^^^^^^^^^^
"#
    );
    for (text, place, name) in [
        ("optim = [0.001, 0.9]", "1:9", "optim"),
        ("rollout = [3, 2]", "1:11", "rollout"),
        ("[model]\nlora = [1]", "2:8", "model.lora"),
        ("[method]\nsdar = [1]", "2:8", "method.sdar"),
        ("[env]\nshop = [1]", "2:8", "env.shop"),
    ] {
        let said = refusal(text);
        assert!(said.starts_with(&format!("\nmy.toml:{place}: `{name}` is a table, not a list")), "{said}");
    }
    assert!(refusal("[alerts]\nrules = [['a']]").contains("my.toml:2:10: a rule is a table"));
}

#[test]
fn a_schedule_of_another_form() {
    let forms = "a number, or `{ linear = { from = 0.5, to = 0.0, steps = 100 } }` (or `cosine`)";
    let said = refusal("[method.sdar]\ncoef = \"a\"\n");
    assert!(said.starts_with(&format!("\nmy.toml:2:8: expected {forms}, found string \"a\"\n")), "{said}");
    let said = refusal("[method.sdar]\ncoef = { fom = 1 }\n");
    assert!(said.starts_with("\nmy.toml:2:") && said.contains("`fom` is no schedule, expected"), "{said}");
    assert!(refusal("[method.sdar]\ncoef = -1\n").contains("my.toml:2:8: `-1` is out of range"));
}
