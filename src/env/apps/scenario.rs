//! Kinds of tasks. Each writes an instruction, says what must have changed and what must be answered, and gives a
//! solution in code, which finds everything out through the apps.

use serde_json::{Value, json};

use super::db::{Change, Row};
use super::people::Desk;
use super::tasks;

/// A kind of task.
pub struct Scenario {
    pub name: &'static str,
    /// 1 to 3.
    pub difficulty: u8,
    /// Only in `valid-unseen`.
    pub held_out: bool,
    /// `None` if this world has no such task.
    pub draft: fn(&mut Desk) -> Option<Draft>,
}

/// A task in a world.
#[derive(Clone, Debug)]
pub struct Draft {
    pub instruction: String,
    /// What is different in the end, and nothing else.
    pub changes: Vec<Change>,
    /// What `complete_task` is to be told; `None` = it does not matter.
    pub answer: Option<Value>,
    /// Cells that solve it, without the last one.
    pub solution: Vec<String>,
    /// What the last one tells.
    pub told: &'static str,
}

/// Every kind of task.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "count-unread", difficulty: 1, held_out: false, draft: tasks::count_unread },
    Scenario { name: "pay-person", difficulty: 1, held_out: false, draft: tasks::pay_person },
    Scenario { name: "add-event", difficulty: 1, held_out: false, draft: tasks::add_event },
    Scenario { name: "finish-chore", difficulty: 1, held_out: true, draft: tasks::finish_chore },
    Scenario { name: "order-cheapest", difficulty: 2, held_out: false, draft: tasks::order_cheapest },
    Scenario { name: "reply", difficulty: 2, held_out: false, draft: tasks::reply },
    Scenario { name: "pay-contact", difficulty: 2, held_out: false, draft: tasks::pay_contact },
    Scenario { name: "sum-paid", difficulty: 2, held_out: true, draft: tasks::sum_paid },
    Scenario { name: "settle-requests", difficulty: 3, held_out: false, draft: tasks::settle_requests },
    Scenario { name: "prepare-day", difficulty: 3, held_out: false, draft: tasks::prepare_day },
    Scenario { name: "shop-for-chores", difficulty: 3, held_out: false, draft: tasks::shop_for_chores },
    Scenario { name: "write-to-group", difficulty: 3, held_out: true, draft: tasks::write_to_group },
];

/// A contact's name and address.
pub fn contact(desk: &mut Desk) -> Option<(String, String)> {
    let (me, nth) = (desk.me(), desk.number(0, 4) as usize);
    let (_, row) = desk.office.db.of("rolodex.contacts", "owner", &me).nth(nth)?;
    Some((text(row, "name"), text(row, "email")))
}

/// Changes by payments of the supervisor: to whom, how much, and the note if it matters.
pub fn paid(desk: &Desk, payments: &[(String, i64, Option<String>)]) -> Vec<Change> {
    let mut changes = vec![];
    let me = desk.me();
    for (to, amount, note) in payments {
        let mut row = json!({ "from": me, "to": to, "amount": amount });
        if let Some(note) = note {
            row["note"] = json!(note);
        }
        changes.push(added("ledger.payments", row));
    }
    for (id, row) in desk.office.db.rows("ledger.balances") {
        let own = row["email"] == me.as_str();
        let mine = payments.iter().filter(|(to, ..)| own || row["email"] == to.as_str());
        let sum: i64 = mine.map(|(_, amount, _)| if own { -amount } else { *amount }).sum();
        if sum != 0 {
            changes.push(set("ledger.balances", id, "balance", json!(row["balance"].as_i64().unwrap_or(0) + sum)));
        }
    }
    changes
}

/// A cell that logs in.
pub fn enter(app: &str) -> String {
    format!(
        "passwords = {{p['app_name']: p['password'] for p in apis.supervisor.show_account_passwords()}}\n\
         me = apis.supervisor.show_profile()['email']\n\
         token = apis.{app}.login(username=me, password=passwords['{app}'])['access_token']"
    )
}

/// A cell that collects all pages.
pub fn all(app: &str, api: &str, arguments: &str, into: &str) -> String {
    format!(
        "{into} = []\npage = 0\nwhile True:\n    rows = apis.{app}.{api}(access_token=token, {arguments}page_index=page)\n    \
         if not rows:\n        break\n    {into} += rows\n    page += 1\nprint(len({into}))"
    )
}

pub fn added(table: &'static str, row: Value) -> Change {
    Change::Added(table, row.as_object().cloned().unwrap_or_default())
}

pub fn set(table: &'static str, id: u64, field: &str, value: Value) -> Change {
    Change::Set(table, id, field.to_owned(), value)
}

pub fn text(row: &Row, field: &str) -> String {
    row.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
