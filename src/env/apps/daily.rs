//! Apps of every day: `postbox` (mail), `agenda` (events), `chores` (things to do), `rolodex` (people).

use serde_json::{Value, json};

use super::db::Row;
use super::office::{Answer, Api, App, Call, LIMIT, PAGE, Parameter, Type, log_in, login, show};

/// All four apps.
pub const APPS: &[App] = &[
    App {
        name: "postbox",
        about: "Messages between people.",
        apis: &[
            log_in(|call| login(call, "postbox")),
            Api {
                name: "list_messages",
                about: "List messages without their text, newest first.",
                private: true,
                parameters: &[Parameter("folder", Type::Text, "inbox or sent", "\"inbox\""), PAGE, LIMIT],
                returns: "list of {message_id, from, to, subject, read}",
                run: |call| {
                    let field = match call.text("folder") {
                        "inbox" => "to",
                        "sent" => "from",
                        other => return Err(format!("there is no folder '{other}', only inbox and sent")),
                    };
                    let rows = call.office.db.of("postbox.messages", field, &call.user).rev().collect();
                    call.page("message_id", rows, &["body"])
                },
            },
            Api {
                name: "show_message",
                about: "Show a message that was sent to you. It does not become read by that.",
                private: true,
                parameters: &[Parameter("message_id", Type::Int, "which message", "")],
                returns: "{message_id, from, to, subject, body, read}",
                run: |call| {
                    call.own("postbox.messages", "message_id", "to").map(|(id, row)| show("message_id", id, &row, &[]))
                },
            },
            Api {
                name: "mark_as_read",
                about: "Mark a message as read.",
                private: true,
                parameters: &[Parameter("message_id", Type::Int, "which message", "")],
                returns: "{message}",
                run: |call| {
                    let (id, _) = call.own("postbox.messages", "message_id", "to")?;
                    call.office.db.set("postbox.messages", id, "read", json!(true));
                    Ok(json!({ "message": "The message is marked as read." }))
                },
            },
            Api {
                name: "delete_message",
                about: "Delete a message that was sent to you.",
                private: true,
                parameters: &[Parameter("message_id", Type::Int, "which message", "")],
                returns: "{message}",
                run: |call| {
                    let (id, _) = call.own("postbox.messages", "message_id", "to")?;
                    call.office.db.remove("postbox.messages", id);
                    Ok(json!({ "message": "The message was deleted." }))
                },
            },
            Api {
                name: "send_message",
                about: "Send a message to one person.",
                private: true,
                parameters: &[
                    Parameter("to", Type::Text, "email address", ""),
                    Parameter("subject", Type::Text, "subject", ""),
                    Parameter("body", Type::Text, "text of the message", ""),
                ],
                returns: "{message_id, message}",
                run: |call| {
                    let (to, subject, body) = (call.text("to"), call.text("subject"), call.text("body"));
                    if call.office.db.of("people", "email", to).next().is_none() {
                        return Err(format!("nobody has the email address '{to}'"));
                    }
                    let row = json!({ "from": call.user, "to": to, "subject": subject, "body": body, "read": false });
                    let id = call.office.db.add("postbox.messages", row);
                    Ok(json!({ "message_id": id, "message": "The message was sent." }))
                },
            },
        ],
    },
    App {
        name: "agenda",
        about: "Events with date, time and place. Dates are written 2031-05-14, times 09:30.",
        apis: &[
            log_in(|call| login(call, "agenda")),
            Api {
                name: "list_events",
                about: "List your events, those of one date or all.",
                private: true,
                parameters: &[Parameter("date", Type::Text, "which date; null for all", "null"), PAGE, LIMIT],
                returns: "list of {event_id, title, date, start, place}",
                run: |call| list(call, "agenda.events", "event_id", &["date"]),
            },
            Api {
                name: "create_event",
                about: "Put an event into your agenda.",
                private: true,
                parameters: &[
                    Parameter("title", Type::Text, "what it is", ""),
                    Parameter("date", Type::Text, "on which date", ""),
                    Parameter("start", Type::Text, "at what time", ""),
                    Parameter("place", Type::Text, "where", "\"\""),
                ],
                returns: "{event_id, message}",
                run: |call| {
                    check_time(call)?;
                    insert(call, "agenda.events", "event_id", &["title", "date", "start", "place"], json!({}))
                },
            },
            Api {
                name: "move_event",
                about: "Move an event to another date and time.",
                private: true,
                parameters: &[
                    Parameter("event_id", Type::Int, "which event", ""),
                    Parameter("date", Type::Text, "to which date", ""),
                    Parameter("start", Type::Text, "to what time", ""),
                ],
                returns: "{message}",
                run: |call| {
                    check_time(call)?;
                    let (id, _) = call.own("agenda.events", "event_id", "owner")?;
                    for field in ["date", "start"] {
                        let value = call.args[field].clone();
                        call.office.db.set("agenda.events", id, field, value);
                    }
                    Ok(json!({ "message": "The event was moved." }))
                },
            },
            Api {
                name: "cancel_event",
                about: "Take an event out of your agenda.",
                private: true,
                parameters: &[Parameter("event_id", Type::Int, "which event", "")],
                returns: "{message}",
                run: |call| remove(call, "agenda.events", "event_id"),
            },
        ],
    },
    App {
        name: "chores",
        about: "Lists of things to do.",
        apis: &[
            log_in(|call| login(call, "chores")),
            Api {
                name: "list_chores",
                about: "List your chores, those of one list or all.",
                private: true,
                parameters: &[Parameter("list", Type::Text, "name of the list; null for all", "null"), PAGE, LIMIT],
                returns: "list of {chore_id, title, list, due, done}",
                run: |call| list(call, "chores.items", "chore_id", &["list"]),
            },
            Api {
                name: "add_chore",
                about: "Add a chore to a list.",
                private: true,
                parameters: &[
                    Parameter("title", Type::Text, "what is to be done", ""),
                    Parameter("list", Type::Text, "name of the list", ""),
                    Parameter("due", Type::Text, "until which date; empty for none", "\"\""),
                ],
                returns: "{chore_id, message}",
                run: |call| {
                    insert(call, "chores.items", "chore_id", &["title", "list", "due"], json!({ "done": false }))
                },
            },
            Api {
                name: "finish_chore",
                about: "Tick a chore off.",
                private: true,
                parameters: &[Parameter("chore_id", Type::Int, "which chore", "")],
                returns: "{message}",
                run: |call| {
                    let (id, _) = call.own("chores.items", "chore_id", "owner")?;
                    call.office.db.set("chores.items", id, "done", json!(true));
                    Ok(json!({ "message": "The chore is done." }))
                },
            },
            Api {
                name: "delete_chore",
                about: "Delete a chore.",
                private: true,
                parameters: &[Parameter("chore_id", Type::Int, "which chore", "")],
                returns: "{message}",
                run: |call| remove(call, "chores.items", "chore_id"),
            },
        ],
    },
    App {
        name: "rolodex",
        about: "The people you know: email addresses, phone numbers, and what they are to you.",
        apis: &[
            log_in(|call| login(call, "rolodex")),
            Api {
                name: "list_contacts",
                about: "List your contacts, those of one relation or all.",
                private: true,
                parameters: &[
                    Parameter("relation", Type::Text, "what they are to you; null for all", "null"),
                    PAGE,
                    LIMIT,
                ],
                returns: "list of {contact_id, name, email, phone, relation}",
                run: |call| list(call, "rolodex.contacts", "contact_id", &["relation"]),
            },
            Api {
                name: "change_phone",
                about: "Change the phone number of a contact.",
                private: true,
                parameters: &[
                    Parameter("contact_id", Type::Int, "which contact", ""),
                    Parameter("phone", Type::Text, "the new number", ""),
                ],
                returns: "{message}",
                run: |call| {
                    let (id, _) = call.own("rolodex.contacts", "contact_id", "owner")?;
                    let phone = call.args["phone"].clone();
                    call.office.db.set("rolodex.contacts", id, "phone", phone);
                    Ok(json!({ "message": "The phone number was changed." }))
                },
            },
        ],
    },
];

/// The user's rows, those whose `filters` are as asked for.
fn list(call: &mut Call, table: &'static str, id: &str, filters: &[&str]) -> Answer {
    let wanted =
        |row: &Row| filters.iter().all(|field| call.args[*field].is_null() || row[*field] == call.args[*field]);
    let rows = call.office.db.of(table, "owner", &call.user).filter(|(_, row)| wanted(row)).collect();
    call.page(id, rows, &["owner"])
}

/// Adds a row of the user's, made of arguments and `more`.
fn insert(call: &mut Call, table: &'static str, id: &str, fields: &[&str], more: Value) -> Answer {
    let mut row = json!({ "owner": call.user });
    if let Value::Object(row) = &mut row {
        row.extend(fields.iter().map(|field| ((*field).to_owned(), call.args[*field].clone())));
        row.extend(more.as_object().cloned().unwrap_or_default());
    }
    let number = call.office.db.add(table, row);
    Ok(json!({ id: number, "message": "It was added." }))
}

fn remove(call: &mut Call, table: &'static str, parameter: &str) -> Answer {
    let (id, _) = call.own(table, parameter, "owner")?;
    call.office.db.remove(table, id);
    Ok(json!({ "message": "It was removed." }))
}

fn check_time(call: &Call) -> Result<(), String> {
    let like = |text: &str, form: &str| {
        let fits = |(c, f): (char, char)| if f == '0' { c.is_ascii_digit() } else { c == f };
        text.len() == form.len() && text.chars().zip(form.chars()).all(fits)
    };
    if !like(call.text("date"), "0000-00-00") || !like(call.text("start"), "00:00") {
        return Err("dates are written 2031-05-14, times 09:30".into());
    }
    Ok(())
}
