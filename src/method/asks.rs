//! What a method asks for, in words.

use super::Needs;
use super::needs::{Extra, Taught, Verdict};

impl Needs {
    /// What is asked for, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let mut asks = vec![];
        if let Some(teacher) = &self.teacher {
            let rows = match teacher.rows {
                Taught::All => "every row",
                Taught::Failed => "rows of lost episodes",
                Taught::Mixed => "rows of groups with both outcomes",
                Taught::Extra => "rows of extra rollouts",
            };
            asks.push(format!(
                "a teacher: weights `{}`, reading `{}`, for {rows}",
                teacher.weights.name(),
                teacher.context.name()
            ));
        }
        if self.reference {
            asks.push("log-probs of the frozen reference".into());
        }
        if self.top.k > 0 {
            asks.push(format!("{} tokens listed per position, the {}'s likeliest", self.top.k, self.top.of.name()));
        }
        if self.given {
            asks.push("log-probs of the environment's answers".into());
        }
        if self.skilled_share > 0.0 {
            asks.push(format!("skills in the student's own prompt for {:.0}% of a group", 100.0 * self.skilled_share));
        }
        if self.frozen {
            asks.push("no update: the weights stay as they are".into());
        }
        if self.tool_dropout > 0.0 {
            asks.push(format!("tools withheld from an execution with a chance of {} on average", self.tool_dropout));
        }
        if self.memory.is_some() {
            asks.push("a memory: notes in the bank, written by `skills.learn.author` or else the distiller".into());
        }
        match self.judge {
            Some(Verdict::Roles) => asks.push("a judge of what every turn did (`judge.by`)".into()),
            Some(Verdict::Failures(n)) => asks.push(format!("a judge who names up to {n} failing turns (`judge.by`)")),
            None => {}
        }
        asks.extend(self.extra.map(|extra| match extra {
            Extra::Cliff(n) => format!("{n} more episodes with the context in the prompt where a whole group lost"),
            Extra::Taught(n) => format!("{n} more episodes per group with the context in the prompt"),
            Extra::Mirrored => "every episode once more under the other prompt".into(),
            Extra::Offline(n) => format!("{n} candidate actions at every step of an expert's trajectory"),
            Extra::Recite(n) => format!("{n} texts of the bank, recited in the place of play"),
        }));
        asks.extend(self.generate.map(|generate| {
            format!(
                "a hypernetwork from skills to adapters of rank {}, trained in the model's place; {:.0}% of the bank held out",
                generate.rank,
                100.0 * generate.held_out
            )
        }));
        asks
    }
}
