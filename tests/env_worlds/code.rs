use proptest::prelude::*;
use serde_json::{Value as Json, json};

use sdlab::env::apps::code::{Apis, Cell, Cells, Limits};

/// Apps with one that echoes, one that fails.
struct Echo(usize);

impl Apis for Echo {
    fn has(&self, app: &str) -> bool {
        app == "echo"
    }

    fn call(&mut self, _: &str, name: &str, plain: Vec<Json>, named: Vec<(String, Json)>) -> Result<Json, String> {
        self.0 += 1;
        match name {
            "fail" => Err("no luck".into()),
            _ => Ok(json!({ "name": name, "plain": plain, "named": named })),
        }
    }
}

fn run(source: &str) -> Cell {
    Cells::default().run(source, &mut Echo(0), &Limits::default())
}

fn says(source: &str) -> String {
    let cell = run(source);
    assert_eq!(cell.trouble, None, "{source}");
    cell.output.trim_end().to_owned()
}

#[test]
fn programs_print_what_python_prints() {
    for (source, expected) in [
        ("print(1 + 2 * 3 ** 2, 7 // 2, -7 // 2, -7 % 3, 7 / 2, 2 ** -1)", "19 3 -4 2 3.5 0.5"),
        ("print('a' + \"b\" * 3, 'x' 'y', [1, 'q\\n', None, True, 1.0])", "abbb xy [1, 'q\\n', None, True, 1.0]"),
        ("a, b = 1, 2\na, b = b, a\nprint(a, b, (a,), ())", "2 1 (2,) ()"),
        (
            "x = {'a': 1, 'b': [2]}\nx['b'].append(3)\nx['c'] = x['b']\nx['c'] += [4]\nprint(x, len(x), 'a' in x, x.get('z', 9))",
            "{'a': 1, 'b': [2, 3, 4], 'c': [2, 3, 4]} 3 True 9",
        ),
        ("for i, c in enumerate('abc', 1):\n    if i == 2:\n        continue\n    print(i, c, end=';')", "1 a;3 c;"),
        ("n = 0\nwhile True:\n    n += 1\n    if n > 4: break\nprint(n)", "5"),
        (
            "print([x * y for x in range(3) for y in range(3) if x < y], {k: v for k, v in [(1, 2)]}, {1, 1, 2})",
            "[0, 0, 2] {1: 2} {1, 2}",
        ),
        ("def f(a, b=2, c=3):\n    return a + b * c\nprint(f(1), f(1, c=1), f(b=0, a=5))", "7 3 5"),
        ("def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\nprint(fib(9))", "34"),
        ("def adder(n):\n    return lambda x: x + n\nadd = adder(3)\nprint(add(4), add)", "7 <function lambda>"),
        (
            "rows = [{'n': 3}, {'n': 1}]\nprint(sorted(rows, key=lambda r: r['n'])[0], max(rows, key=lambda r: r['n']))",
            "{'n': 1} {'n': 3}",
        ),
        ("print(f'{1 + 1} {{x}} {\"a\"} {3.14159:.2f} {[1][0]}')", "2 {x} a 3.14 1"),
        (
            "print('a,b'.split(','), ' x '.strip(), '-'.join(['p', 'q']), 'Ab'.lower(), 'abc'[1:], 'abc'[::-1], [1, 2, 3][-2:])",
            "['a', 'b'] x p-q ab bc cba [2, 3]",
        ),
        ("try:\n    print([][0])\nexcept Exception as e:\n    print('caught', e)", "caught index 0 of 0 items"),
        (
            "print(1 < 2 < 3, not 1, None is None, 1 == 1.0, 'a' != 'b', [1] == [1], {1: 2} == {1: 2})",
            "True False True True True True True",
        ),
        (
            "print(sum([1, 2.5]), min(3, 1), round(2.5), round(2.675, 1), abs(-2), int('7'), float('1'), str(1.0))",
            "3.5 1 2 2.7 2 7 1.0 1.0",
        ),
        (
            "print(list(zip([1, 2], 'ab')), any([]), all([]), list(reversed([1, 2])), sorted(['b', 'a'], reverse=True))",
            "[(1, 'a'), (2, 'b')] False True [2, 1] ['b', 'a']",
        ),
        ("if 0:\n    print(1)\nelif []:\n    print(2)\nelse:\n    print(3)  # a comment", "3"),
        ("x = (1 +\n     2)\ny = [\n  1,\n]\nprint(x, y); print('z')", "3 [1]\nz"),
        (
            "print(apis.echo.hello(1, [2], a={'b': None}))",
            "{'name': 'hello', 'plain': [1, [2]], 'named': [['a', {'b': None}]]}",
        ),
    ] {
        assert_eq!(says(source), expected, "{source}");
    }
}

#[test]
fn names_live_on_and_failures_keep_what_was_done() {
    let (mut cells, mut echo) = (Cells::default(), Echo(0));
    let mut run = |source: &str| cells.run(source, &mut echo, &Limits::default());
    run("a = [1]\nb = a\ndef f(x):\n    return x + len(a)");
    let failed = run("a.append(2)\nc = missing\na.append(3)");
    assert_eq!(failed.trouble.unwrap().to_string(), "NameError: name 'missing' is not defined");
    assert_eq!(run("print(b, f(10))").output, "[1, 2] 12\n");
    assert_eq!(run("print(apis.echo.fail())").trouble.unwrap().to_string(), "Exception: no luck");
}

#[test]
fn what_is_not_of_the_language_is_named_with_its_line() {
    for (source, line, expected) in [
        ("x = 1\nimport os", 2, "SyntaxError: `import` is not available here"),
        ("print('a", 1, "SyntaxError: a text has no end"),
        ("if True:\nprint(1)", 2, "SyntaxError: expected an indented block"),
        ("x = = 1", 1, "SyntaxError: expected a value, found `=`"),
        ("  x = 1\n y = 2", 2, "SyntaxError: this line's indentation fits no other"),
        ("\nopen('/etc/passwd')", 2, "NameError: name 'open' is not defined"),
        ("().__class__", 1, "AttributeError: '__class__' of a tuple can only be called"),
        ("''.__class__()", 1, "AttributeError: a str has no method '__class__' for these arguments"),
        ("apis.other.x()", 1, "AttributeError: there is no app named 'other'"),
        ("1 + 'a'", 1, "TypeError: `+` does not join a int and a str"),
        ("9223372036854775807 + 1", 1, "OverflowError: the number is too large"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero"),
        ("{}['a']", 1, "KeyError: 'a'"),
        ("{[]: 1}", 1, "TypeError: a list cannot be a key"),
        ("break", 1, "SyntaxError: `return`, `break` and `continue` have no place here"),
        ("\u{1b}[2J", 1, "SyntaxError: '\\u{1b}' is not understood here"),
        ("x = 99999999999999999999", 1, "SyntaxError: `99999999999999999999` is no number, or too large a one"),
        ("raise 'enough'", 1, "Exception: enough"),
    ] {
        let trouble = run(source).trouble.unwrap();
        assert_eq!((trouble.line, trouble.to_string().as_str()), (line, expected), "{source:?}");
    }
}

#[test]
fn hostile_cells_meet_a_limit() {
    let deep = |open: &str, close: &str| format!("x = {}1{}", open.repeat(10_000), close.repeat(10_000));
    for (source, kind) in [
        ("while True:\n    pass".to_owned(), "LimitError"),
        ("for i in range(10 ** 12):\n    pass".into(), "LimitError"),
        ("while True:\n    try:\n        x = 1 / 0\n    except:\n        pass".into(), "LimitError"),
        ("def f(): return f()\nf()".into(), "RecursionError"),
        ("def f():\n    try:\n        f()\n    except:\n        f()\nf()".into(), "RecursionError"),
        ("f = lambda g: g(g)\nf(f)".into(), "RecursionError"),
        ("x = 'a'\nwhile True:\n    x = x + x".into(), "MemoryError"),
        ("x = [0]\nwhile True:\n    x += x".into(), "MemoryError"),
        ("x = 'ab' * 10 ** 15".into(), "MemoryError"),
        ("x = [[0] * 1000000] * 1000000".into(), "MemoryError"),
        ("x = 'a' * 1000000\nx = x.replace('a', x)".into(), "MemoryError"),
        ("x = []\nx.append(x)\nprint(x)\nprint(x == [x])".into(), "RecursionError"),
        ("t = ()\nwhile True:\n    t = (t, t)".into(), "LimitError"),
        ("d = {}\ni = 0\nwhile True:\n    d[i] = i\n    i += 1".into(), "LimitError"),
        (deep("(", ")"), "SyntaxError"),
        (deep("[", "]"), "SyntaxError"),
        (format!("x = {}1", "-".repeat(20_000)), "SyntaxError"),
        (format!("x = {}1", "not ".repeat(5000)), "SyntaxError"),
        (format!("x = 1{}", " + 1".repeat(5000)), "SyntaxError"),
        (format!("x{}", "[0]".repeat(8000)), "SyntaxError"),
        (format!("x{}", ".a".repeat(8000)), "SyntaxError"),
        (format!("{}pass", "if 1: ".repeat(4000)), "SyntaxError"),
        (format!("x = {}1", "1 if 1 else ".repeat(2000)), "SyntaxError"),
        (format!("x = {}1", "2 ** ".repeat(4000)), "SyntaxError"),
        (format!("x = {}1", "lambda: ".repeat(3000)), "SyntaxError"),
        ("x".repeat(1 << 20), "SyntaxError"),
        (format!("print(f'{}')", "{f".repeat(2000)), "SyntaxError"),
    ] {
        let trouble = run(&source).trouble.unwrap_or_else(|| panic!("{source:.60} came through"));
        assert_eq!(trouble.kind, kind, "{source:.60}: {trouble}");
    }
    let cell = run("while True:\n    print('x' * 1000)");
    assert!(cell.output.len() < 4100 && cell.output.ends_with("[output cut]"), "{}", cell.output.len());
}

#[test]
fn values_that_hold_themselves_do_no_harm() {
    assert_eq!(says("x = []\nx.append(x)\nprint(x)").matches('[').count(), 12);
    assert!(
        run("x = []\nx.append(x)\napis.echo.hello(x)").trouble.unwrap().message.contains("cannot be given to an app")
    );
    let (mut cells, mut echo) = (Cells::default(), Echo(0));
    for _ in 0..300 {
        // garbage does not pile up from cell to cell
        assert_eq!(cells.run("x = [1] * 10000\nx = 1", &mut echo, &Limits::default()).trouble, None);
    }
    cells.run("a = [[1, 2], {'k': (3, [4])}]\nb = a[0]\ndef f():\n    return a", &mut echo, &Limits::default());
    assert_eq!(
        cells.run("b.append(9)\nprint(f(), x)", &mut echo, &Limits::default()).output,
        "[[1, 2, 9], {'k': (3, [4])}] 1\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_text_breaks_it(source in "\\PC{0,60}", words in proptest::collection::vec(0usize..WORDS.len(), 0..40)) {
        let limits = Limits { work: 5_000, memory: 1 << 16, ..Limits::default() };
        let mixed: String = words.into_iter().map(|w| WORDS[w]).collect();
        for source in [source.as_str(), &mixed] {
            let first = Cells::default().run(source, &mut Echo(0), &limits);
            prop_assert!(first.output.chars().count() <= limits.output + 20);
            prop_assert_eq!(first, Cells::default().run(source, &mut Echo(0), &limits));
        }
    }
}

const WORDS: &[&str] = &[
    "x",
    " = ",
    "1",
    "'a'",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ":",
    ",",
    "\n",
    "\n    ",
    "for ",
    " in ",
    "if ",
    "else",
    "print",
    "range",
    "def ",
    "return ",
    "lambda ",
    "+",
    "-",
    "*",
    "**",
    " and ",
    "not ",
    ".append",
    "apis.echo.a",
    "f'{x}'",
    "9",
    "while ",
    "break",
    "True",
    "sorted",
    "try",
    "except",
    "\t",
    "\u{0}",
    "é",
];
