//! The apps as their users meet them: documents, logins, pages, and errors in words.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::code::Apis;
use super::db::{Db, Row};
use super::{daily, general, money};

/// An app.
pub struct App {
    pub name: &'static str,
    pub about: &'static str,
    pub apis: &'static [Api],
}

/// One thing an app can do.
pub struct Api {
    pub name: &'static str,
    pub about: &'static str,
    /// Whether it takes an `access_token`.
    pub private: bool,
    pub parameters: &'static [Parameter],
    /// What it returns, in words.
    pub returns: &'static str,
    pub run: fn(&mut Call) -> Answer,
}

/// A parameter: name, type, what it means, and its default as JSON, empty if it must be given.
pub struct Parameter(pub &'static str, pub Type, pub &'static str, pub &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    Text,
    Int,
    Bool,
    Any,
}

/// What an app answers; an error is a sentence.
pub type Answer = Result<Value, String>;

/// A call in progress.
pub struct Call<'a> {
    pub office: &'a mut Office,
    /// The email of whoever is logged in; empty for public apis.
    pub user: String,
    pub args: Row,
}

/// All apps with their state.
#[derive(Clone, Debug)]
pub struct Office {
    pub db: Db,
    /// Whom the agent works for: an id of the table `people`.
    pub supervisor: u64,
    /// Access tokens: app and email.
    tokens: BTreeMap<String, (String, String)>,
    /// The answer of `complete_task`, once it was called.
    pub completed: Option<Value>,
}

impl Office {
    pub fn new(db: Db, supervisor: u64) -> Office {
        Office { db, supervisor, tokens: BTreeMap::new(), completed: None }
    }

    /// A field of the supervisor.
    pub fn me(&self, field: &str) -> &str {
        self.db
            .row("people", self.supervisor)
            .and_then(|row| row.get(field))
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}

/// Every app, those for all tasks first.
pub fn apps() -> impl Iterator<Item = &'static App> {
    general::APPS.iter().chain(money::APPS).chain(daily::APPS)
}

impl Apis for Office {
    fn has(&self, app: &str) -> bool {
        apps().any(|known| known.name == app)
    }

    fn call(&mut self, app: &str, name: &str, plain: Vec<Value>, named: Vec<(String, Value)>) -> Answer {
        if self.completed.is_some() {
            return Err("the task was completed, nothing more can be done".into());
        }
        let found = apps().find(|known| known.name == app);
        let api = found.and_then(|app| app.apis.iter().find(|api| api.name == name));
        let api = api.ok_or_else(|| format!("no API named '{name}' found in the {app} app"))?;
        let token = Parameter("access_token", Type::Text, "", "");
        let parameters: Vec<&Parameter> = api.private.then_some(&token).into_iter().chain(api.parameters).collect();
        let args = arguments(&parameters, plain, named)?;
        let user = if api.private { self.user(app, &args)? } else { String::new() };
        (api.run)(&mut Call { office: self, user, args })
    }
}

impl Office {
    fn user(&self, app: &str, args: &Row) -> Result<String, String> {
        let token = args.get("access_token").and_then(Value::as_str).unwrap_or_default();
        match self.tokens.get(token) {
            Some((of, user)) if of == app => Ok(user.clone()),
            Some((of, _)) => Err(format!("this access token is of the {of} app, not of {app}")),
            None => Err(format!("you are not authorized to access this; log in to the {app} app first")),
        }
    }
}

/// Arguments by name, checked. Fails on one that is missing, unknown, twice, or of another type.
fn arguments(parameters: &[&Parameter], plain: Vec<Value>, named: Vec<(String, Value)>) -> Result<Row, String> {
    if plain.len() > parameters.len() {
        return Err(format!("{} arguments were given, there are {}", plain.len(), parameters.len()));
    }
    let by_place = parameters.iter().zip(plain).map(|(parameter, value)| (parameter.0.to_owned(), value));
    let mut args = Row::new();
    for (name, value) in by_place.chain(named) {
        let Some(parameter) = parameters.iter().find(|p| p.0 == name) else {
            return Err(format!("there is no parameter named '{name}'"));
        };
        let fits = match parameter.1 {
            Type::Text => value.is_string(),
            Type::Int => value.is_i64() || value.is_u64(),
            Type::Bool => value.is_boolean(),
            Type::Any => true,
        };
        let absent = value.is_null() && parameter.3 == "null";
        if !fits && !absent {
            return Err(format!("parameter '{name}' must be of type {}", parameter.1.name()));
        }
        if args.insert(name.clone(), value).is_some() {
            return Err(format!("parameter '{name}' was given twice"));
        }
    }
    for Parameter(name, _, _, default) in parameters {
        if !args.contains_key(*name) {
            // defaults are JSON; none at all means that it is required
            let default = serde_json::from_str(default).map_err(|_| format!("parameter '{name}' is required"))?;
            args.insert((*name).to_owned(), default);
        }
    }
    Ok(args)
}

impl Type {
    pub fn name(self) -> &'static str {
        match self {
            Type::Text => "string",
            Type::Int => "integer",
            Type::Bool => "boolean",
            Type::Any => "any",
        }
    }
}

impl Call<'_> {
    /// A text argument.
    pub fn text(&self, name: &str) -> &str {
        self.args.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A number argument.
    pub fn int(&self, name: &str) -> i64 {
        self.args.get(name).and_then(Value::as_i64).unwrap_or_default()
    }

    /// A row that is the user's own: its `owner` field, or another one, is their email.
    pub fn own(&self, table: &str, parameter: &str, field: &str) -> Result<(u64, Row), String> {
        let id = self.int(parameter);
        let row = u64::try_from(id).ok().and_then(|id| Some((id, self.office.db.row(table, id)?)));
        match row.filter(|(_, row)| row.get(field).and_then(Value::as_str) == Some(&self.user)) {
            Some((id, row)) => Ok((id, row.clone())),
            None => Err(format!("there is no {parameter} {id} of yours")),
        }
    }

    /// A page of what was found: rows with their numbers, without the fields in `hidden`.
    pub fn page(&self, id: &str, rows: Vec<(u64, &Row)>, hidden: &[&str]) -> Answer {
        let (page, size) = (self.int("page_index"), self.int("page_limit"));
        if page < 0 || !(1..=MOST_PAGE).contains(&size) {
            return Err(format!("page_index starts at 0, page_limit is from 1 to {MOST_PAGE}"));
        }
        let start = page.saturating_mul(size) as usize;
        Ok(rows.into_iter().skip(start).take(size as usize).map(|(n, row)| show(id, n, row, hidden)).collect())
    }
}

/// A row with its number first.
pub fn show(id: &str, number: u64, row: &Row, hidden: &[&str]) -> Value {
    let mut shown = Row::new();
    shown.insert(id.to_owned(), number.into());
    shown
        .extend(row.iter().filter(|(field, _)| !hidden.contains(&field.as_str())).map(|(k, v)| (k.clone(), v.clone())));
    shown.into()
}

/// The api by which every app is entered; `run` is [`login`] with the app's name.
pub const fn log_in(run: fn(&mut Call) -> Answer) -> Api {
    const PARAMETERS: &[Parameter] = &[
        Parameter("username", Type::Text, "your email address", ""),
        Parameter("password", Type::Text, "your password for this app", ""),
    ];
    Api {
        name: "login",
        about: "Log in to your account.",
        private: false,
        parameters: PARAMETERS,
        returns: "{access_token, token_type}",
        run,
    }
}

/// Logs in to the app `name`.
pub fn login(call: &mut Call, name: &str) -> Answer {
    let (email, password) = (call.text("username").to_owned(), call.text("password").to_owned());
    let account = call.office.db.of("accounts", "email", &email).find(|(_, row)| row["app"] == name);
    if account.is_none_or(|(_, row)| row["password"] != password.as_str()) {
        return Err("wrong username or password".into());
    }
    let token =
        format!("{name}-{:016x}", crate::core::rng::seed(call.office.supervisor, &format!("{name}/{email}"), &[]));
    call.office.tokens.insert(token.clone(), (name.to_owned(), email));
    Ok(json!({ "access_token": token, "token_type": "Bearer" }))
}

pub const PAGE: Parameter = Parameter("page_index", Type::Int, "which page, from 0", "0");
pub const LIMIT: Parameter = Parameter("page_limit", Type::Int, "rows on a page, 1 to 20", "5");
const MOST_PAGE: i64 = 20;
