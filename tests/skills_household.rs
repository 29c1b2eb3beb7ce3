//! The household's skill bank says what its environment's scripted players obey, word for word: the starter model
//! learned to read exactly these sentences.

use std::path::Path;

use sdlab::env::household::advice::Advice;
use sdlab::env::household::priors::true_where;
use sdlab::skill::Bank;

#[test]
fn whereabouts_are_those_of_the_environment() {
    let bank = Bank::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("skills/household")).unwrap();
    let mut objects = 0;
    for (_, skill) in bank.skills().filter(|(_, s)| s.id.starts_with("where-")) {
        let object = skill.id.trim_start_matches("where-");
        assert_eq!(skill.text, Advice::Where(object.into(), true_where(object)).text());
        objects += 1;
    }
    assert!(objects > 40, "only {objects} objects");
}
