use std::collections::BTreeSet;

use sdlab::core::Split;
use sdlab::env::apps::AppsWorld;
use sdlab::env::{SPLITS, World};

fn world(settings: &str) -> AppsWorld {
    AppsWorld::from_table(&settings.parse().unwrap()).unwrap()
}

#[test]
fn the_solution_solves_every_task_and_doing_nothing_none() {
    let world = world("");
    for split in SPLITS {
        for index in 0..36 {
            let task = world.task(split, index).unwrap();
            let mut game = world.open(&task).unwrap();
            let mut lazy = game.snapshot();
            let plan = game.expert();
            assert!(plan.len() <= world.max_turns(), "{}: {} cells", task.kind, plan.len());
            for (n, cell) in plan.iter().enumerate() {
                assert_eq!(game.expert(), plan[n..], "{}", task.kind);
                let step = game.step(cell);
                assert!(step.valid, "{} {}\n{cell}\n{}", task.id, task.kind, step.observation);
                assert_eq!(
                    (step.done, step.won),
                    (n + 1 == plan.len(), n + 1 == plan.len()),
                    "{} {}",
                    task.id,
                    task.goal
                );
            }
            let step = lazy.step("apis.supervisor.complete_task()");
            assert!(step.done && !step.won && step.reward == 0.0, "{}", task.kind);
        }
    }
}

#[test]
fn one_change_too_many_is_no_success() {
    let world = world("");
    for index in 0..18 {
        let task = world.task(Split::Train, index).unwrap();
        let mut game = world.open(&task).unwrap();
        let mut plan = game.expert();
        let last = plan.pop().unwrap();
        plan.iter().for_each(|cell| assert!(game.step(cell).valid));
        let chore = "p = [p for p in apis.supervisor.show_account_passwords() if p['app_name'] == 'chores'][0]['password']\n\
             t = apis.chores.login(username=apis.supervisor.show_profile()['email'], password=p)['access_token']\n\
             apis.chores.add_chore(access_token=t, title='Extra', list='x')";
        let step = game.step(chore);
        assert!(step.valid && step.effective && game.expert().is_empty(), "{}", step.observation);
        let step = game.step(&last);
        assert!(step.done && !step.won && step.score < 1.0, "{}", task.kind);
    }
}

#[test]
fn splits_and_difficulties_have_their_own_tasks() {
    let kinds = |settings: &str, split| {
        let world = world(settings);
        (0..24).map(|i| world.task(split, i).unwrap().kind).collect::<BTreeSet<_>>()
    };
    let [train, seen, unseen] = SPLITS.map(|split| kinds("", split));
    assert_eq!((&train, train.len()), (&seen, 9));
    assert!(unseen.is_disjoint(&train) && unseen.len() == 3);
    assert!(kinds("difficulty = 2", Split::Train).iter().all(|kind| kind.starts_with("2-")));
    let goals = |split| (0..60).map(|i| world("").task(split, i).unwrap().goal).collect::<BTreeSet<_>>();
    assert!(goals(Split::Train).len() > 40);
    assert_eq!(world("").task(Split::Train, 5).unwrap(), world("").task(Split::Train, 5).unwrap());
    assert!(AppsWorld::from_table(&"difficulty = 4".parse().unwrap()).is_err());
}

#[test]
fn apps_answer_mistakes_in_words() {
    let world = world("");
    let mut game = world.open(&world.task(Split::Train, 0).unwrap()).unwrap();
    for (cell, expected) in [
        (
            "apis.ledger.show_balance(access_token='x')",
            "you are not authorized to access this; log in to the ledger app first",
        ),
        ("apis.ledger.show_balance()", "parameter 'access_token' is required"),
        ("apis.ledger.fly()", "no API named 'fly' found in the ledger app"),
        ("apis.ledger.login(username='a', password='b')", "wrong username or password"),
        ("apis.ledger.login(username='a', pass_word='b')", "there is no parameter named 'pass_word'"),
        ("apis.ledger.login('a', 'b', 'c')", "3 arguments were given, there are 2"),
        ("apis.ledger.login('a', username='b')", "parameter 'username' was given twice"),
        ("apis.api_docs.show_api_doc(app_name=3, api_name='x')", "parameter 'app_name' must be of type string"),
        ("apis.basket.search_products(page_limit=21)", "page_index starts at 0, page_limit is from 1 to 20"),
    ] {
        let step = game.step(cell);
        assert!(
            !step.valid && !step.done && step.observation.ends_with(&format!("Exception: {expected}")),
            "{}",
            step.observation
        );
    }
    for cell in ["", "   \n# nothing", "x = 1"] {
        assert_eq!(game.step(cell).observation, "Execution successful.");
    }
    let docs = game.step("for app in apis.api_docs.show_app_descriptions():\n    for api in apis.api_docs.show_api_descriptions(app_name=app['name']):\n        doc = apis.api_docs.show_api_doc(app_name=app['name'], api_name=api['name'])\nprint(doc)");
    assert!(docs.valid && docs.observation.contains("'api_name': 'change_phone'"), "{}", docs.observation);
}

#[test]
fn nobody_touches_what_belongs_to_others() {
    let world = world("");
    for index in 0..6 {
        let mut game = world.open(&world.task(Split::Train, index).unwrap()).unwrap();
        let login = "pw = {p['app_name']: p['password'] for p in apis.supervisor.show_account_passwords()}\nme = apis.supervisor.show_profile()['email']\nt = {a: apis.chores.login(username=me, password=pw[a])['access_token'] for a in ['chores']}['chores']";
        assert!(game.step(login).valid);
        let mine = game.step("rows = []\npage = 0\nwhile apis.chores.list_chores(access_token=t, page_index=page):\n    rows += apis.chores.list_chores(access_token=t, page_index=page)\n    page += 1\nids = [r['chore_id'] for r in rows]\nprint(len(ids))");
        assert!(mine.valid, "{}", mine.observation);
        let others = game.step("lost = 0\nfor i in range(1, 40):\n    if i not in ids:\n        try:\n            apis.chores.delete_chore(access_token=t, chore_id=i)\n        except Exception as e:\n            lost += 1\nprint(lost, len(ids))");
        let numbers: Vec<i64> = others.observation.split(' ').map(|n| n.parse().unwrap()).collect();
        assert_eq!(numbers[0] + numbers[1], 39);
        assert!(!others.effective);
    }
}
