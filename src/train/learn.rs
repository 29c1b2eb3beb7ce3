//! Skills between and around steps: the bank is brought up to date before a step, counted after it, and the step's
//! episodes are handed to whoever makes skills of them.
//!
//! ```text
//! step n     ... -> count what came of the skills -> hand the finished episodes in (never waits)
//! step n+1   take in what is answered -> retire, evict -> BankChanged -> retrieve -> play ...
//! ```
//!
//! The distiller's and the policy's skills of step n are always there at step n+1, so a run on a CPU repeats exactly.
//! An endpoint's come when they come; the records say when that was, and a resumed run takes them from there.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use rand::seq::SliceRandom;

use super::jobs::jobs;
use super::lesson::Lesson;
use super::rollout::Played;
use super::{Sink, Trainer};
use crate::core::event::{Level, SkillUse};
use crate::core::skill::{Author, BankChange, Choice, Happened};
use crate::core::{Ending, EpisodeId, Metrics, RunEvent, Task, rng};
use crate::engine::{SampleRequest, Sampler};
use crate::method::view::View;
use crate::skill::ask;
use crate::skill::draft::{Answer, Draft, Job, JobKey, Task as Asked};
use crate::skill::evolve::{Rules, Taken};
use crate::skill::{Context, Contrast, Form, Lived};
use crate::text::Message;

/// Makes skills of episodes in the background.
pub trait Scribe: Send {
    /// Hands jobs in. Returns how many older ones had to give way.
    fn queue(&mut self, jobs: Vec<Job>) -> u64;

    /// What is done since this was last asked, in the order of the jobs; whoever needs no network has done everything.
    fn take(&mut self) -> Vec<Answer>;

    /// Jobs that are not done or not taken, in order.
    fn waiting(&self) -> Vec<JobKey>;

    /// Whether what [`Scribe::take`] gives depends on how fast somebody answers.
    fn depends_on_time(&self) -> bool;

    /// What a person should know of since.
    fn alerts(&mut self) -> Vec<(Level, String)>;
}

/// Who makes skills.
#[derive(Default)]
pub enum Writer {
    #[default]
    Nobody,
    Background(Box<dyn Scribe>),
    /// The policy, between steps: at most so many jobs of a step, answers of at most so many tokens.
    Policy {
        per_step: usize,
        max_tokens: usize,
    },
}

/// What is made of which episodes, and what the bank keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Course {
    pub form: Form,
    pub contrast: Contrast,
    /// Difference in score from which a ranking says something.
    pub margin: f32,
    pub rules: Rules,
    /// Success below which a task type gets skills from its failures.
    pub below: f64,
    /// Steps between those updates; 0 = none.
    pub every: u64,
}

/// The state of learning skills.
pub struct Learning {
    pub course: Course,
    writer: Writer,
    /// Jobs for the policy.
    jobs: Vec<Job>,
    /// What the records say came in at steps that a resumed run repeats.
    replay: BTreeMap<u64, Vec<Answer>>,
    /// Episodes that it came from.
    replayed: BTreeSet<EpisodeId>,
    counts: Counts,
}

/// What happened for the step at hand.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    taken: Taken,
    malformed: u64,
    fallbacks: u64,
    passed_over: u64,
}

impl Learning {
    pub fn new(course: Course, writer: Writer) -> Self {
        let (jobs, replay, replayed) = (vec![], BTreeMap::new(), BTreeSet::new());
        Self { course, writer, jobs, replay, replayed, counts: Counts::default() }
    }

    /// Whether anybody makes skills.
    pub fn is_on(&self) -> bool {
        !matches!(self.writer, Writer::Nobody)
    }

    /// Whether what comes in at a step depends on how fast somebody answers.
    pub fn depends_on_time(&self) -> bool {
        match &self.writer {
            Writer::Background(scribe) => scribe.depends_on_time(),
            _ => false,
        }
    }

    /// Jobs that a checkpoint has to remember.
    pub fn waiting(&self) -> Vec<JobKey> {
        match &self.writer {
            Writer::Nobody => vec![],
            Writer::Background(scribe) => scribe.waiting(),
            Writer::Policy { .. } => self.jobs.iter().map(Job::key).collect(),
        }
    }

    /// Hands jobs in.
    pub fn queue(&mut self, mut jobs: Vec<Job>) {
        jobs.retain(|job| !job.episodes.first().is_some_and(|episode| self.replayed.contains(&episode.id)));
        match &mut self.writer {
            Writer::Nobody => {}
            Writer::Background(scribe) => self.counts.passed_over += scribe.queue(jobs),
            Writer::Policy { .. } => self.jobs.extend(jobs),
        }
    }

    /// What an earlier process of the run recorded beyond the state that is resumed: by step, what came in. It is taken
    /// from there, not asked for again.
    pub fn replay(&mut self, changes: Vec<(u64, BankChange)>) {
        for (step, change) in changes.into_iter().filter(|(_, change)| change.happened == Happened::Added) {
            let skill = change.skill;
            let Some(episode) = skill.provenance.episode else { continue };
            let draft = Draft {
                category: skill.category,
                keywords: skill.keywords,
                title: skill.title,
                text: skill.text,
                when: skill.when,
                analyses: skill.analyses,
            };
            self.replayed.insert(episode);
            let key = JobKey { task: Asked::Episode, episodes: vec![episode] };
            let provenance = skill.provenance;
            let answer = Answer { key, provenance, drafts: vec![draft], malformed: 0, fallback: None };
            self.replay.entry(step).or_default().push(answer);
        }
    }

    /// Numbers of the step; none if nobody makes skills.
    pub(super) fn metrics(&mut self, bank: usize) -> Metrics {
        let counts = std::mem::take(&mut self.counts);
        if !self.is_on() {
            return Metrics::new();
        }
        let numbers = [
            ("skills/bank", bank as u64),
            ("skills/added", counts.taken.added),
            ("skills/known", counts.taken.known),
            ("skills/retired", counts.taken.retired),
            ("skills/evicted", counts.taken.evicted),
            ("skills/malformed", counts.malformed + counts.taken.empty),
            ("skills/fallbacks", counts.fallbacks),
            ("skills/passed_over", counts.passed_over),
            ("skills/waiting", self.waiting().len() as u64),
        ];
        numbers.into_iter().map(|(name, n)| (name.to_owned(), Some(n as f64))).collect()
    }
}

impl Trainer {
    /// Before a step: takes in what was learned, tells how the bank changed, and places skills and goals where
    /// retrieval asks for it.
    pub(super) fn bring_up(&mut self, step: u64, tasks: &[Task], sink: &mut dyn Sink) -> Result<()> {
        let answers = self.answers(step, sink)?;
        let counts = &mut self.learning.counts;
        counts.malformed += answers.iter().map(|answer| answer.malformed).sum::<u64>();
        counts.fallbacks += answers.iter().filter(|answer| answer.fallback.is_some()).count() as u64;
        counts.taken = self.skills.evolve(step, &answers, &self.learning.course.rules);
        let changes = self.skills.news();
        if !changes.is_empty() {
            sink.event(RunEvent::BankChanged { step, changes });
        }
        self.embed(tasks)
    }

    fn answers(&mut self, step: u64, sink: &mut dyn Sink) -> Result<Vec<Answer>> {
        if let Some(last) = self.learning.replay.last_key_value().map(|(last, _)| *last)
            && last >= step
        {
            return Ok(self.learning.replay.remove(&step).unwrap_or_default());
        }
        match &mut self.learning.writer {
            Writer::Nobody => Ok(vec![]),
            Writer::Policy { .. } => self.ask_policy(step),
            Writer::Background(scribe) => {
                let answers = scribe.take();
                for (level, message) in scribe.alerts() {
                    sink.event(RunEvent::Alerted { step, level, rule: ENDPOINT_RULE.into(), message, value: None });
                }
                Ok(answers)
            }
        }
    }

    /// After a step: counts what came of the skills, and hands the finished episodes in.
    pub(super) fn learn(&mut self, step: u64, played: &[Played], lessons: &[Lesson]) -> Vec<SkillUse> {
        if self.learning.is_on() {
            let jobs = jobs(step, played, &self.learning.course);
            self.learning.queue(jobs);
        }
        self.skills.learn(&lived(played, lessons))
    }

    /// The policy reads its own episodes; where it answers in another form, the distiller stands in.
    fn ask_policy(&mut self, step: u64) -> Result<Vec<Answer>> {
        let Writer::Policy { per_step, max_tokens } = self.learning.writer else { return Ok(vec![]) };
        let mut jobs = std::mem::take(&mut self.learning.jobs);
        let all = jobs.len();
        jobs.shuffle(&mut rng::stream(self.settings.seed, "summaries", &[step]));
        jobs.truncate(per_step);
        jobs.sort_by_key(Job::key);
        self.learning.counts.passed_over += (all - jobs.len()) as u64;
        let questions: Vec<String> = jobs.iter().map(ask::question).collect();
        let replies = self.replies(step, &questions, max_tokens)?;
        let form = self.learning.course.form;
        let answer = |((job, question), reply): ((&Job, &String), Option<String>)| {
            let read = reply.ok_or("the question does not fit the context".to_owned());
            match read.and_then(|reply| ask::read(job, &reply)) {
                Ok(drafts) => {
                    let mut provenance = job.provenance(Author::Policy);
                    provenance.prompt = Some(ask::hash(question));
                    Answer { key: job.key(), provenance, drafts, malformed: 0, fallback: None }
                }
                Err(why) => Answer { malformed: 1, fallback: Some(why), ..Answer::distilled(job, form) },
            }
        };
        Ok(jobs.iter().zip(&questions).zip(replies).map(answer).collect())
    }

    /// What the policy says to each question; `None` where the question is too long.
    fn replies(&mut self, step: u64, questions: &[String], max_tokens: usize) -> Result<Vec<Option<String>>> {
        let longest = self.engine.info().context;
        let mut first = vec![];
        for (slot, question) in questions.iter().enumerate() {
            let context = self.text.open(&[Message::user(question.clone())])?;
            if context.len() + max_tokens <= longest {
                let seed = rng::seed(self.settings.seed, "summary", &[step, slot as u64]);
                first.push(SampleRequest { slot, context, limit: max_tokens, seed });
            }
        }
        let mut replies: Vec<Option<Vec<u32>>> = vec![None; questions.len()];
        let stops = self.text.closing(&[]);
        let sampler = Sampler { longest, ..Sampler::new(self.settings.sampling.temperature, &stops) };
        self.engine.sample(&sampler, first, &mut |finished| {
            replies[finished.slot] = Some(finished.sample.ids);
            Ok(vec![])
        })?;
        replies.into_iter().map(|ids| ids.map(|ids| self.text.decode(&ids)).transpose()).collect()
    }
}

/// What the groups were shown, from the contexts of their episodes.
pub(super) fn choices(played: &[Played], contexts: &[Option<Context>]) -> Vec<Choice> {
    let mut choices: BTreeMap<u32, Choice> = BTreeMap::new();
    for (p, context) in played.iter().zip(contexts) {
        let Some(context) = context.as_ref().filter(|c| !c.ids.is_empty() || c.lost_tokens > 0) else { continue };
        let group = p.episode.id.group;
        let lost_tokens = context.lost_tokens as u64;
        choices.entry(group).or_insert_with(|| Choice { group, picks: context.picks(), lost_tokens });
    }
    choices.into_values().collect()
}

/// The episodes of a step as the statistics see them; not those whose environment failed.
fn lived(played: &[Played], lessons: &[Lesson]) -> Vec<Lived> {
    let mut signals: BTreeMap<EpisodeId, Lived> = BTreeMap::new();
    for lesson in lessons {
        let (Some(teacher), Some(seen)) = (&lesson.teacher, &lesson.seen) else { continue };
        let entry = signals.entry(lesson.id).or_default();
        let taught = teacher.iter().zip(&seen.student).filter(|(t, _)| !t.is_nan());
        taught.for_each(|(t, s)| entry.gap.add(f64::from(t - s), 1.0));
        seen.gate.iter().flatten().for_each(|gate| entry.gate.add(f64::from(*gate), 1.0));
    }
    let one = |p: &Played| Lived {
        group: p.episode.id.group,
        kind: p.episode.task.kind.clone(),
        skills: p.episode.skills.clone(),
        read: p.view == View::Skilled,
        won: p.episode.won(),
        score: f64::from(p.episode.score),
        ..signals.get(&p.episode.id).cloned().unwrap_or_default()
    };
    played.iter().filter(|p| p.episode.ending != Ending::EnvError).map(one).collect()
}

/// Name under which an endpoint's troubles stand among the alerts.
pub const ENDPOINT_RULE: &str = "skills/endpoint";
