//! How the bank changes by itself: what it takes in, and what it lets go of.
//!
//! 1. A draft that says what a skill of its category already says is counted for that skill and dropped.
//! 2. A skill whose utility fell below a limit is retired, whoever wrote it (UCOB); what it said does not come back.
//! 3. When there are more learned skills than allowed, those of least value go: least utility (or, unknown, least
//!    uplift), then least used, then oldest.
//!
//! All of it happens between steps and depends on nothing but the book, the answers and their order.

use std::collections::BTreeSet;

use super::SkillBook;
use super::bank::{GENERAL, MISTAKES, Skill};
use super::draft::{Answer, Draft};
use super::neutral::{neutralise, words};
use crate::core::skill::{Happened, Provenance};

/// The limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Most learned skills; 0 = no limit.
    pub max_skills: usize,
    /// Utility below which a skill is retired, in [-1, 1]; -1 = none is.
    pub retire_below: f64,
    /// Comparisons before it can be.
    pub min_trials: u64,
}

/// What came of one bringing up to date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub added: u64,
    /// Drafts that said what was known, or what was retired.
    pub known: u64,
    /// Drafts that said nothing.
    pub empty: u64,
    pub retired: u64,
    pub evicted: u64,
}

type Reason = (String, Happened, String);

impl SkillBook {
    /// Retires, takes in, evicts, in this order. `step` is the first whose teacher reads the result.
    pub fn evolve(&mut self, step: u64, answers: &[Answer], rules: &Rules) -> Taken {
        let mut taken = Taken::default();
        let mut reasons = self.retire(rules);
        taken.retired = reasons.len() as u64;
        let mut learned = self.learned().clone();
        reasons.iter().for_each(|(id, ..)| drop(learned.remove(id)));
        let mut said = Said::of(self);
        for answer in answers {
            for draft in &answer.drafts {
                let draft = tame(draft, &answer.provenance);
                if draft.text.is_empty() && draft.analyses.is_empty() {
                    taken.empty += 1;
                } else if let Some(id) = said.knows(&draft) {
                    taken.known += 1;
                    self.tally_mut().said(&id);
                } else {
                    let id = self.tally_mut().next_id();
                    reasons.push((id.clone(), Happened::Added, why(&answer.provenance)));
                    said.add(&draft, &id);
                    let category = draft.category.clone();
                    learned.add(&category, skill(draft, id, Provenance { step, ..answer.provenance.clone() }));
                    taken.added += 1;
                }
            }
        }
        let ids: Vec<String> = learned.skills().map(|(_, skill)| skill.id.clone()).collect();
        for (id, why) in self.superfluous(ids, rules.max_skills) {
            drop(learned.remove(&id));
            reasons.retain(|(other, ..)| *other != id);
            reasons.push((id, Happened::Evicted, why));
            taken.evicted += 1;
        }
        if !reasons.is_empty() {
            self.replace_learned(learned, reasons);
        }
        taken
    }

    /// Skills that do harm; from now on they are out, and what they say is barred.
    fn retire(&mut self, rules: &Rules) -> Vec<Reason> {
        let harmful = |id: &str| {
            let stats = self.statistics().get(id)?;
            let harm = stats.trials >= rules.min_trials.max(1) && stats.utility < rules.retire_below;
            harm.then(|| format!("utility {:.3} after {} comparisons", stats.utility, stats.trials))
        };
        let found = self.bank().skills().filter_map(|(group, skill)| {
            Some((skill.id.clone(), fingerprint(&group.category, skill), harmful(&skill.id)?))
        });
        let found: Vec<(String, String, String)> = found.collect();
        let retire = |(id, fingerprint, why): (String, String, String)| {
            self.tally_mut().retired.insert(id.clone(), fingerprint);
            (id, Happened::Retired, why)
        };
        found.into_iter().map(retire).collect()
    }

    /// Which of the learned skills have to go, and why.
    fn superfluous(&self, ids: Vec<String>, most: usize) -> Vec<(String, String)> {
        if most == 0 || ids.len() <= most {
            return vec![];
        }
        let excess = ids.len() - most;
        let mut valued: Vec<(f64, u64, u64, String)> = ids
            .into_iter()
            .map(|id| {
                let stats = self.stats_of(&id);
                let totals = stats.totals(1, 1.0);
                (totals.utility.or(totals.uplift()).unwrap_or(0.0), stats.uses, number(&id), id)
            })
            .collect();
        valued.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let why = |value: f64, uses: u64| format!("more than {most} learned skills: value {value:.3}, {uses} uses");
        valued.into_iter().take(excess).map(|(value, uses, _, id)| (id, why(value, uses))).collect()
    }
}

fn skill(draft: Draft, id: String, provenance: Provenance) -> Skill {
    Skill {
        id,
        title: draft.title,
        text: draft.text,
        when: draft.when,
        keywords: draft.keywords,
        analyses: draft.analyses,
        disabled: false,
        provenance,
    }
}

fn why(provenance: &Provenance) -> String {
    let task = provenance.task.as_deref().unwrap_or("a task");
    let score = provenance.score.map_or(String::new(), |score| format!(", score {score:.2}"));
    format!("by the {} from {task}{score}", provenance.author.name())
}

/// Counter in the id of a learned skill.
fn number(id: &str) -> u64 {
    id.rsplit('-').next().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// Neutralised, with a category, a title and a condition that files may have.
fn tame(draft: &Draft, provenance: &Provenance) -> Draft {
    let mut draft = draft.clone();
    let analyses = &mut draft.analyses;
    let texts = [&mut draft.category, &mut draft.title, &mut draft.text];
    let parts = [&mut analyses.success_analysis, &mut analyses.mistake_analysis, &mut analyses.golden_workflow];
    texts.into_iter().chain(parts).for_each(|text| *text = neutralise(text));
    draft.when = draft.when.map(|when| neutralise(&when)).filter(|when| !when.is_empty());
    draft.keywords = draft.keywords.iter().map(|k| words(k).join(" ")).filter(|k| !k.is_empty()).collect();
    if draft.category.is_empty() || (draft.keywords.is_empty() && draft.category != GENERAL) {
        draft.category = MISTAKES.to_owned();
    }
    if draft.title.is_empty() {
        draft.title = format!("From {}", provenance.task.as_deref().unwrap_or("an episode"));
    }
    draft
}

/// What the bank says, and what it must not say again.
struct Said {
    /// Fingerprint and id of the skill that says it.
    known: Vec<(String, BTreeSet<String>, String)>,
}

impl Said {
    fn of(book: &SkillBook) -> Self {
        let skills = book.bank().skills().map(|(group, skill)| (fingerprint(&group.category, skill), skill.id.clone()));
        let retired = book.tally().retired.iter().map(|(id, print)| (print.clone(), id.clone()));
        let known = skills.chain(retired).map(|(print, id)| (print.clone(), set(&print), id)).collect();
        Self { known }
    }

    /// The skill that says the same, or nearly: nine of ten words.
    fn knows(&self, draft: &Draft) -> Option<String> {
        let print = print_of(&draft.category, &draft.text, &draft.analyses.parts().map(|(_, text)| text));
        if let Some((.., id)) = self.known.iter().find(|(known, ..)| *known == print) {
            return Some(id.clone());
        }
        let own = set(&print);
        let near = |known: &BTreeSet<String>| {
            // the sets cannot be near if their sizes are not
            let (few, many) = (known.len().min(own.len()) as f64, known.len().max(own.len()) as f64);
            few >= NEAR * many && {
                let common = known.intersection(&own).count() as f64;
                common >= NEAR * (known.len() + own.len()) as f64 - NEAR * common
            }
        };
        self.known.iter().find(|(_, known, _)| near(known)).map(|(.., id)| id.clone())
    }

    fn add(&mut self, draft: &Draft, id: &str) {
        let print = print_of(&draft.category, &draft.text, &draft.analyses.parts().map(|(_, text)| text));
        self.known.push((print.clone(), set(&print), id.to_owned()));
    }
}

fn fingerprint(category: &str, skill: &Skill) -> String {
    print_of(category, &skill.text, &skill.analyses.parts().map(|(_, text)| text))
}

/// Category (as one word) and all words of a skill; what it says decides, not how it is punctuated.
fn print_of(category: &str, text: &str, analyses: &[&str; 3]) -> String {
    let category = words(category).join("_");
    format!("{category}: {}", words(&format!("{text} {}", analyses.join(" "))).join(" "))
}

fn set(print: &str) -> BTreeSet<String> {
    print.split(' ').map(str::to_owned).collect()
}

/// Share of common words (Jaccard) from which two skills say the same.
const NEAR: f64 = 0.9;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::EpisodeId;
    use crate::core::skill::{Author, BankChange};
    use crate::skill::draft::{JobKey, Task};
    use crate::skill::{Bank, Way};

    const RULES: Rules = Rules { max_skills: 0, retire_below: -0.1, min_trials: 3 };

    fn book(files: &str) -> SkillBook {
        let files = if files.is_empty() { Bank::default() } else { Bank::parse(&[("a", files)]).unwrap() };
        let mut book = SkillBook::new(files, Way { decay: 0.5, ..Way::default() });
        book.tell();
        book
    }

    /// An answer with these sentences, for goals with `mug`.
    fn answer(texts: &[&str]) -> Answer {
        let draft = |text: &&str| Draft {
            category: "where".into(),
            keywords: vec!["Mug!".into()],
            title: "T".into(),
            text: (*text).to_owned(),
            ..Draft::default()
        };
        let episode = EpisodeId { step: 1, group: 0, member: 0 };
        let provenance = Provenance { author: Author::Distiller, episode: Some(episode), ..Provenance::default() };
        let key = JobKey { task: Task::Episode, episodes: vec![episode] };
        Answer { key, provenance, drafts: texts.iter().map(draft).collect(), malformed: 0, fallback: None }
    }

    fn happened(changes: &[BankChange]) -> Vec<(Happened, &str)> {
        changes.iter().map(|change| (change.happened, change.skill.text.as_str())).collect()
    }

    #[test]
    fn what_is_known_is_counted_and_not_added() {
        let mut book = book("");
        let first = [answer(&["A mug is often in a cabinet.", "a MUG is often in a cabinet", "<|im_end|>", ""])];
        let taken = book.evolve(4, &first, &RULES);
        assert_eq!((taken.added, taken.known, taken.empty), (2, 1, 1));
        let skill = book.learned().skill("dyn-0001").unwrap();
        assert_eq!((skill.keywords.as_slice(), skill.provenance.step), (&["mug".to_owned()][..], 4));
        assert_eq!(book.stats_of("dyn-0001").said, 1);
        assert_eq!(book.learned().skill("dyn-0002").unwrap().text, "< |im_end| >");
        let news = book.news();
        assert_eq!(news.len(), 2);
        assert!(news.iter().all(|c| c.happened == Happened::Added && c.reason.starts_with("by the distiller")));
        assert_eq!(book.evolve(5, &first, &RULES).added, 0);
        assert!(book.news().is_empty());
    }

    #[test]
    fn poison_is_retired_whoever_wrote_it_and_does_not_come_back() {
        let file =
            "category = 'where'\n[[skill]]\nid = 'f'\ntitle = 'F'\ntext = 'A mug is in the sea.'\nkeywords = ['mug']\n";
        let mut book = book(file);
        book.evolve(2, &[answer(&["A mug is on the moon."])], &RULES);
        book.news();
        let shown = ["f".to_owned(), "dyn-0001".to_owned()];
        for trial in 0..3 {
            assert_eq!(book.evolve(3, &[], &RULES).retired, 0, "{trial} comparisons are too few");
            book.compare(&[(&shown, -0.5)]);
        }
        assert_eq!(book.evolve(6, &[], &RULES).retired, 2);
        let news = book.news();
        assert_eq!(
            happened(&news),
            [(Happened::Retired, "A mug is in the sea."), (Happened::Retired, "A mug is on the moon.")]
        );
        assert_eq!(news[0].reason, "utility -0.438 after 3 comparisons");
        assert!(book.shelf().is_empty());
        let again = book.evolve(7, &[answer(&["A mug is on the moon.", "A mug is in the sea."])], &RULES);
        assert_eq!((again.added, again.known, again.retired), (0, 2, 0));
    }

    #[test]
    fn the_least_useful_give_way() {
        let mut book = book("");
        let places: Vec<String> = (0..4).map(|n| format!("A mug is often in place{n} of room{n}.")).collect();
        let places: Vec<&str> = places.iter().map(String::as_str).collect();
        book.evolve(1, &[answer(&places)], &RULES);
        book.compare(&[(&["dyn-0002".to_owned()], -1.0), (&["dyn-0003".to_owned()], 1.0)]);
        let tight = Rules { max_skills: 2, retire_below: -1.0, ..RULES };
        assert_eq!(book.evolve(2, &[], &tight).evicted, 2);
        let left: Vec<&str> = book.learned().skills().map(|(_, skill)| skill.id.as_str()).collect();
        assert_eq!(left, ["dyn-0003", "dyn-0004"], "the harmful one went, then the oldest of equals");
        book.evolve(3, &[answer(&["A mug is often under table9 in hall9."])], &tight);
        assert!(book.learned().len() == 2 && book.learned().skill("dyn-0005").is_some(), "names are not used twice");
    }
}
