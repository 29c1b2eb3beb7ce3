//! Edited skills: what differs between two banks, as changes of the configuration.

use std::collections::BTreeMap;

use crate::core::event::{KeyChange, Scope};
use crate::skill::Bank;

/// Every skill that was added, removed or reworded, by id. The teacher reads the new bank from the next step on.
pub(super) fn differences(before: &Bank, after: &Bank) -> Vec<KeyChange> {
    let (was, is) = (texts(before), texts(after));
    let ids: std::collections::BTreeSet<&String> = was.keys().chain(is.keys()).collect();
    let text = |side: &BTreeMap<String, String>, id: &String| side.get(id).map_or("absent".into(), String::clone);
    let changed = ids.into_iter().filter(|id| was.get(*id) != is.get(*id));
    changed
        .map(|id| KeyChange {
            key: format!("skills/{id}"),
            before: text(&was, id),
            after: text(&is, id),
            scope: Scope::NextStep,
        })
        .collect()
}

/// What the teacher may read of each skill, and for which goals.
fn texts(bank: &Bank) -> BTreeMap<String, String> {
    let all = |own: &[String], group: &[String]| [group, own].concat().join(", ");
    bank.skills()
        .map(|(group, skill)| {
            let when = skill.when.as_ref().map_or(String::new(), |when| format!(" ({when})"));
            let goals = all(&skill.keywords, &group.keywords);
            let goals = if goals.is_empty() { goals } else { format!(" [{goals}]") };
            (skill.id.clone(), format!("{}: {}{when}{goals}", skill.title, skill.text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::differences;
    use crate::skill::Bank;

    #[test]
    fn added_removed_and_reworded_skills_are_named() {
        let bank = |skills: &str| Bank::parse(&[("a.toml", format!("category = \"general\"\n{skills}"))]).unwrap();
        let skill = |id: &str, text: &str| format!("[[skill]]\nid = \"{id}\"\ntitle = \"T\"\ntext = \"{text}\"\n");
        let before = bank(&(skill("a", "one") + &skill("b", "two")));
        let after = bank(&(skill("b", "three") + &skill("c", "four")));
        let found = differences(&before, &after);
        let words: Vec<_> = found.iter().map(|c| (c.key.as_str(), c.before.as_str(), c.after.as_str())).collect();
        assert_eq!(
            words,
            [("skills/a", "T: one", "absent"), ("skills/b", "T: two", "T: three"), ("skills/c", "absent", "T: four")]
        );
        assert!(differences(&after, &after).is_empty());
    }
}
