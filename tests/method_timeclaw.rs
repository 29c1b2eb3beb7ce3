//! TimeClaw's whole loop on forecasting, with a policy made of rules: explore without some of the tools, rank, write
//! down, and play the panel with what was written. No weight is ever touched: the policy has none.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use sdlab::config::JudgeSettings;
use sdlab::core::event::Level;
use sdlab::core::rng;
use sdlab::core::skill::Author;
use sdlab::core::{Episode, RunEvent, Split, TokenRecord};
use sdlab::engine::{
    AdamW, Engine, Filter, Finish, Finished, LossFn, ModelInfo, Next, Sample, SampleRequest, Sampler, ScoreRow, Scores,
    Update, WeightSet,
};
use sdlab::env::open_world;
use sdlab::env::prompt::Layout;
use sdlab::method::{Method, TimeClaw};
use sdlab::skill::draft::{Answer, Job, JobKey};
use sdlab::skill::evolve::Rules;
use sdlab::skill::{Bank, Contrast, Form, Retrieval, SkillBook, Way};
use sdlab::text::Text;
use sdlab::train::learn::{Course, Learning, Scribe, Writer};
use sdlab::train::rollout::Sampling;
use sdlab::train::{Record, Settings, Sink, Trainer, evaluate};

/// Submits what led most often by the notes in its prompt, else a method drawn by the seed; never one that is withheld.
struct Policy {
    text: Text,
}

const KNOWN: [&str; 6] = ["mean", "naive", "drift", "window 8", "smooth 0.5", "holt 0.5 0.3"];

impl Policy {
    fn reply(&self, request: &SampleRequest) -> Result<Sample> {
        let prompt = self.text.decode(&request.context)?;
        let withheld = prompt.split("Methods withheld today: ").nth(1).and_then(|rest| rest.split('.').next());
        let withheld: Vec<&str> = withheld.map(|names| names.split(", ").collect()).unwrap_or_default();
        let open = |method: &&str| !withheld.contains(&method.split(' ').next().unwrap());
        let notes: Vec<(&str, &str)> = prompt.lines().filter_map(|line| line.split_once(" did better than ")).collect();
        // how often it led, less how often it was left behind
        let praised = |method: &&str| {
            let named = format!("`submit {method}`");
            let (led, fell) =
                (notes.iter().filter(|n| n.0.ends_with(&named)), notes.iter().filter(|n| n.1.contains(&named)));
            led.count() as i64 - fell.count() as i64
        };
        let left: Vec<&str> = KNOWN.into_iter().filter(|m| open(m)).collect();
        let drawn = left.get(rng::seed(request.seed, "method", &[]) as usize % left.len().max(1)).copied();
        let best = left.iter().copied().max_by_key(|m| praised(m)).filter(|_| !notes.is_empty());
        let method = best.or(drawn).unwrap_or("seasonal 2");
        let mut ids = self.text.encode(&format!("<think>a plan</think><action>submit {method}</action>"))?;
        ids.push(self.text.end());
        let n = ids.len();
        Ok(Sample { ids, logp: vec![-0.5; n], entropy: vec![0.5; n], finish: Finish::Stop, ..Sample::default() })
    }
}

impl Engine for Policy {
    fn info(&self) -> ModelInfo {
        ModelInfo {
            name: "rules".into(),
            parameters: 0,
            trained: 0,
            vocab: self.text.vocab(),
            context: 100_000,
            device: "cpu".into(),
        }
    }

    fn sample(&mut self, _: &Sampler, first: Vec<SampleRequest>, next: &mut Next) -> Result<()> {
        let mut open = first;
        while let Some(request) = open.pop() {
            let sample = self.reply(&request)?;
            open.extend(next(Finished { slot: request.slot, sample })?);
        }
        Ok(())
    }

    fn sample_as(&mut self, _: WeightSet, s: &Sampler, first: Vec<SampleRequest>, next: &mut Next) -> Result<()> {
        self.sample(s, first, next)
    }

    fn keep(&mut self, _: WeightSet) -> Result<()> {
        Ok(())
    }

    fn forget(&mut self, _: WeightSet) {}

    // a frozen method must ask for none of these
    fn score(&mut self, _: WeightSet, _: &[ScoreRow], _: f32) -> Result<Vec<Scores>> {
        bail!("scored")
    }

    fn forward_backward(&mut self, _: &[ScoreRow], _: f32, _: &mut LossFn) -> Result<()> {
        bail!("a gradient was asked for")
    }

    fn optim_step(&mut self, _: &AdamW) -> Result<Update> {
        bail!("an update was asked for")
    }

    fn restart(&mut self, _: WeightSet) -> Result<()> {
        bail!("restarted")
    }

    fn keep_folder(&mut self, _: WeightSet, _: &Path) -> Result<()> {
        bail!("loaded")
    }

    fn blend(&mut self, _: WeightSet, _: [WeightSet; 2], _: f64) -> Result<()> {
        bail!("blended")
    }

    fn average(&mut self, _: Option<f64>) -> Result<()> {
        bail!("averaged")
    }

    fn keeps(&self, _: WeightSet) -> bool {
        false
    }

    fn save(&self, _: &Path, _: bool) -> Result<()> {
        bail!("saved")
    }

    fn restore(&mut self, _: &Path) -> Result<()> {
        bail!("restored")
    }
}

/// The distiller, at once.
#[derive(Default)]
struct AtOnce(Vec<Answer>);

impl Scribe for AtOnce {
    fn queue(&mut self, jobs: Vec<Job>) -> u64 {
        self.0.extend(jobs.iter().map(|job| Answer::distilled(job, Form::Lessons)));
        0
    }

    fn take(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.0)
    }

    fn waiting(&self) -> Vec<JobKey> {
        vec![]
    }

    fn depends_on_time(&self) -> bool {
        false
    }

    fn alerts(&mut self) -> Vec<(Level, String)> {
        vec![]
    }
}

#[derive(Default)]
struct Kept {
    events: Vec<RunEvent>,
    episodes: Vec<Episode>,
    panel: Vec<Episode>,
}

impl Sink for Kept {
    fn event(&mut self, event: RunEvent) {
        self.events.push(event);
    }

    fn live(&mut self, _: &Episode) {}

    fn close_step(&mut self, _: u64, episodes: &[Episode], tokens: &[TokenRecord]) {
        assert!(tokens.iter().any(|token| token.mask && token.coefficient.is_none()), "nothing was updated");
        self.episodes.extend_from_slice(episodes);
    }

    fn close_eval(&mut self, _: u64, episodes: &[Episode]) {
        self.panel = episodes.to_vec();
    }
}

fn settings() -> Settings {
    let sampling = Sampling {
        layout: Layout::Transcript,
        history: 2,
        max_new_tokens: 64,
        temperature: 1.0,
        filter: Filter::NONE,
        stop: vec![],
        concurrent: 0,
        cache_bytes: 0,
        reserve: 0,
        seed: 3,
    };
    let eval = evaluate::Panel {
        every: 0,
        games: 60,
        split: Split::ValidSeen,
        temperature: 1.0,
        filter: Filter::NONE,
        with_skills: true,
        first: false,
    };
    let optim = AdamW { lr: 1.0, beta1: 0.9, beta2: 0.9, eps: 1e-8, weight_decay: 0.0, max_grad_norm: 1.0 };
    Settings {
        seed: 7,
        groups: 6,
        members: 6,
        sampling,
        optim,
        minibatches: 1,
        warmup_steps: 0,
        skill_budget: 0,
        eval,
        record: Record { tokens: true, ..Record::default() },
        judge: JudgeSettings::default(),
    }
}

fn trainer() -> Trainer {
    let text = || Text::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("runs/starter/model")).unwrap();
    let world = open_world("series", &toml::Table::new()).unwrap();
    let prompts = world.prompts().unwrap();
    let rules = Rules { max_skills: 0, retire_below: -1.0, min_trials: 3 };
    let course = Course { form: Form::Lessons, contrast: Contrast::Ranked, margin: 0.05, rules, below: 0.0, every: 0 };
    let way = Way { retrieval: Retrieval::Keyword, ..Way::default() };
    Trainer {
        settings: settings(),
        engine: Box::new(Policy { text: text() }),
        text: text(),
        world,
        prompts,
        skills: SkillBook::new(Bank::default(), way),
        method: Box::new(TimeClaw::default()),
        learning: Learning::new(course, Writer::Background(Box::new(AtOnce::default()))),
        habits: Default::default(),
        generator: None,
        done: 0,
        updating: false,
        trouble: String::new(),
    }
}

#[test]
fn ranked_executions_become_a_memory_that_helps() {
    let (mut trainer, mut sink) = (trainer(), Kept::default());
    for _ in 0..20 {
        trainer.step(&mut sink, &AtomicBool::new(false)).unwrap();
    }
    assert!(TimeClaw::default().needs().frozen);
    // the first of a group has every tool, the others differ in what they lack
    let lack = |e: &Episode| e.turns[0].observation.split("withheld today: ").nth(1).map(str::to_owned);
    assert!(sink.episodes.iter().filter(|e| e.id.member == 0).all(|e| lack(e).is_none()));
    let differ: BTreeSet<Option<String>> = sink.episodes.iter().filter(|e| e.id.step == 1).map(lack).collect();
    assert!(differ.len() > 5, "{differ:?}");
    // nothing that is withheld was used: every execution ended with its first command
    assert!(sink.episodes.iter().all(|e| e.turns.len() == 1 && e.turns[0].reward > 0.0));

    let notes: Vec<_> = trainer.skills.learned().skills().filter(|(_, s)| s.text.contains("did better than")).collect();
    assert!(notes.len() > 5, "{}", notes.len());
    let from = &notes[0].1.provenance;
    assert!(from.author == Author::Distiller && from.task.is_some() && from.score.is_some(), "{from:?}");

    evaluate::evaluate(&mut trainer, 20, &mut sink, &AtomicBool::new(false)).unwrap();
    let panels = sink.events.iter().filter_map(|event| match event {
        RunEvent::Evaluated { with_skills, metrics, .. } => Some((*with_skills, metrics["score/mean"].unwrap())),
        _ => None,
    });
    let [(false, without), (true, with)] = panels.collect::<Vec<_>>()[..] else {
        panic!("one panel without, one with")
    };
    assert!(with > without + 0.05, "{with} {without}");
    assert!(sink.panel.iter().all(|e| lack(e).is_none()), "nothing is withheld from the panel");
    let shares = sink.events.iter().filter_map(|event| match event {
        RunEvent::Stepped { metrics, .. } => Some(metrics["tools/top_share"].unwrap()),
        _ => None,
    });
    assert!(shares.clone().count() == 20 && shares.into_iter().all(|share| share < 0.9));
}

#[test]
fn a_withheld_tool_is_refused_and_the_measure_stays() {
    let world = open_world("series", &toml::Table::new()).unwrap();
    let task = world.task(Split::Train, 4).unwrap();
    let (mut with, mut without) = (world.open(&task).unwrap(), world.open(&task).unwrap());
    assert!(with.tools().len() > 5);
    without.withhold(&["holt".into(), "mean".into()]);
    assert!(
        !without.tools().contains(&"holt".to_owned()) && without.observation().contains("withheld today: mean, holt.")
    );
    assert!(!without.step("try holt 0.5 0.3").valid);
    let score = |game: &mut dyn sdlab::env::Env| game.step("submit naive").score;
    assert_eq!(score(&mut *with), score(&mut *without), "measured against the same");
    let mut bare = world.open(&task).unwrap();
    bare.withhold(&bare.tools());
    assert!(!bare.tools().is_empty(), "one stays");
}
