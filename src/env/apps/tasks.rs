//! The kinds of tasks of [`super::scenario`], easy ones first.

use serde_json::{Value, json};

use super::db::Row;
use super::people::Desk;
use super::scenario::{Draft, added, all, contact, enter, paid, set, text};

pub fn count_unread(desk: &mut Desk) -> Option<Draft> {
    let me = desk.me();
    let unread = desk.office.db.of("postbox.messages", "to", &me).filter(|(_, row)| row["read"] == false).count();
    Some(Draft {
        instruction: "How many unread messages are in my Postbox inbox?".into(),
        changes: vec![],
        answer: Some(json!(unread)),
        solution: vec![
            enter("postbox"),
            all("postbox", "list_messages", "", "messages"),
            "unread = len([m for m in messages if not m['read']])\nprint(unread)".into(),
        ],
        told: "unread",
    })
}

pub fn pay_person(desk: &mut Desk) -> Option<Draft> {
    let (who, amount) = (desk.other(), desk.number(5, 90));
    let (to, note) = (desk.people[who].clone(), desk.pick(&desk.words.notes));
    Some(Draft {
        instruction: format!("Send {amount} credits to {to} on Ledger with the note \"{note}\"."),
        changes: paid(desk, &[(to.clone(), amount, Some(note.clone()))]),
        answer: None,
        solution: vec![
            enter("ledger"),
            format!("print(apis.ledger.pay(access_token=token, to={to:?}, amount={amount}, note={note:?}))"),
        ],
        told: "None",
    })
}

pub fn add_event(desk: &mut Desk) -> Option<Draft> {
    let ((date, start), title, place) = (desk.moment(), desk.pick(&desk.words.events), desk.pick(&desk.words.places));
    let title = format!("{title} with {}", desk.name(1));
    let event = json!({ "owner": desk.me(), "title": title, "date": date, "start": start, "place": place });
    Some(Draft {
        instruction: format!("Put the event \"{title}\" into my Agenda: on {date} at {start}, place \"{place}\"."),
        changes: vec![added("agenda.events", event)],
        answer: None,
        solution: vec![
            enter("agenda"),
            format!(
                "print(apis.agenda.create_event(access_token=token, title={title:?}, date={date:?}, start={start:?}, place={place:?}))"
            ),
        ],
        told: "None",
    })
}

pub fn finish_chore(desk: &mut Desk) -> Option<Draft> {
    let me = desk.me();
    let (id, row) = desk.office.db.of("chores.items", "owner", &me).find(|(_, row)| row["done"] == false)?;
    let (title, list) = (text(row, "title"), text(row, "list"));
    Some(Draft {
        instruction: format!("Tick off the chore \"{title}\" on my list \"{list}\"."),
        changes: vec![set("chores.items", id, "done", json!(true))],
        answer: None,
        solution: vec![
            enter("chores"),
            all("chores", "list_chores", &format!("list={list:?}, "), "items"),
            format!(
                "for item in items:\n    if item['title'] == {title:?}:\n        print(apis.chores.finish_chore(access_token=token, chore_id=item['chore_id']))"
            ),
        ],
        told: "None",
    })
}

pub fn order_cheapest(desk: &mut Desk) -> Option<Draft> {
    let (category, count, me) = (desk.pick(&desk.words.categories), desk.number(1, 6), desk.me());
    let price = |row: &Row| row["price"].as_i64().unwrap_or(0);
    let (id, row) = desk.office.db.of("basket.products", "category", &category).min_by_key(|(_, row)| price(row))?;
    let order = json!({ "owner": me, "lines": [{ "product_id": id, "quantity": count }], "total": price(row) * count });
    Some(Draft {
        instruction: format!(
            "Order {count} of the cheapest product of the category \"{category}\" in the Basket shop."
        ),
        changes: vec![added("basket.orders", order)],
        answer: None,
        solution: vec![
            enter("basket"),
            all("basket", "search_products", &format!("query={category:?}, "), "products")
                .replace("access_token=token, ", ""),
            format!(
                "cheapest = min([p for p in products if p['category'] == {category:?}], key=lambda p: p['price'])\napis.basket.add_to_basket(access_token=token, product_id=cheapest['product_id'], quantity={count})\nprint(apis.basket.place_order(access_token=token))"
            ),
        ],
        told: "None",
    })
}

pub fn reply(desk: &mut Desk) -> Option<Draft> {
    let (me, body) = (desk.me(), desk.pick(&desk.words.sentences));
    let (_, row) = desk.office.db.of("postbox.messages", "to", &me).next()?;
    let (subject, from) = (text(row, "subject"), text(row, "from"));
    let answer = json!({ "from": me, "to": from, "subject": format!("Re: {subject}"), "body": body });
    Some(Draft {
        instruction: format!(
            "Answer the message \"{subject}\" in my Postbox: write to its sender with the subject \"Re: {subject}\" and the text \"{body}\"."
        ),
        changes: vec![added("postbox.messages", answer)],
        answer: None,
        solution: vec![
            enter("postbox"),
            all("postbox", "list_messages", "", "messages"),
            format!(
                "sender = [m['from'] for m in messages if m['subject'] == {subject:?}][0]\nprint(apis.postbox.send_message(access_token=token, to=sender, subject={:?}, body={body:?}))",
                format!("Re: {subject}")
            ),
        ],
        told: "None",
    })
}

pub fn pay_contact(desk: &mut Desk) -> Option<Draft> {
    let (name, to) = contact(desk)?;
    let amount = desk.number(5, 90);
    Some(Draft {
        instruction: format!(
            "Send {amount} credits to {name} on Ledger; the address is in my Rolodex. The note does not matter."
        ),
        changes: paid(desk, &[(to, amount, None)]),
        answer: None,
        solution: vec![
            enter("rolodex"),
            all("rolodex", "list_contacts", "", "contacts"),
            enter("ledger"),
            format!(
                "to = [c['email'] for c in contacts if c['name'] == {name:?}][0]\nprint(apis.ledger.pay(access_token=token, to=to, amount={amount}))"
            ),
        ],
        told: "None",
    })
}

pub fn sum_paid(desk: &mut Desk) -> Option<Draft> {
    let ((name, to), me) = (contact(desk)?, desk.me());
    let mine = desk.office.db.of("ledger.payments", "from", &me).filter(|(_, row)| row["to"] == to.as_str());
    let sum: i64 = mine.filter_map(|(_, row)| row["amount"].as_i64()).sum();
    Some(Draft {
        instruction: format!("How many credits have I paid to {name} on Ledger in all? The address is in my Rolodex."),
        changes: vec![],
        answer: Some(json!(sum)),
        solution: vec![
            enter("rolodex"),
            all("rolodex", "list_contacts", "", "contacts"),
            enter("ledger"),
            all("ledger", "list_payments", "", "payments"),
            format!(
                "to = [c['email'] for c in contacts if c['name'] == {name:?}][0]\nme = apis.supervisor.show_profile()['email']\ntotal = sum([p['amount'] for p in payments if p['from'] == me and p['to'] == to])\nprint(total)"
            ),
        ],
        told: "total",
    })
}

pub fn settle_requests(desk: &mut Desk) -> Option<Draft> {
    let (most, me) = (desk.number(20, 45), desk.me());
    let db = &desk.office.db;
    let known = |email: &Value| db.of("rolodex.contacts", "owner", &me).any(|(_, row)| row["email"] == *email);
    let (mut changes, mut payments) = (vec![], vec![]);
    for (id, row) in db.of("ledger.requests", "to", &me).filter(|(_, row)| row["status"] == "open") {
        let amount = row["amount"].as_i64()?;
        let yes = amount <= most && known(&row["from"]);
        changes.push(set("ledger.requests", id, "status", json!(if yes { "accepted" } else { "declined" })));
        if yes {
            payments.push((text(row, "from"), amount, Some(text(row, "note"))));
        }
    }
    changes.extend(paid(desk, &payments));
    Some(Draft {
        instruction: format!(
            "Go through the open requests for money on Ledger: accept those of at most {most} credits that come from people in my Rolodex, decline all others."
        ),
        changes,
        answer: None,
        solution: vec![
            enter("rolodex"),
            all("rolodex", "list_contacts", "", "contacts"),
            enter("ledger"),
            all("ledger", "list_requests", "status='open', ", "requests"),
            format!(
                "known = [c['email'] for c in contacts]\nfor r in requests:\n    if r['amount'] <= {most} and r['from'] in known:\n        apis.ledger.accept_request(access_token=token, request_id=r['request_id'])\n    else:\n        apis.ledger.decline_request(access_token=token, request_id=r['request_id'])\nprint(len(requests))"
            ),
        ],
        told: "None",
    })
}

pub fn prepare_day(desk: &mut Desk) -> Option<Draft> {
    let (me, list) = (desk.me(), desk.pick(&desk.words.lists));
    let date = desk.office.db.of("agenda.events", "owner", &me).next().map(|(_, row)| text(row, "date"))?;
    let events = desk.office.db.of("agenda.events", "owner", &me).filter(|(_, row)| row["date"] == date.as_str());
    let chore = |row: &Row| json!({ "owner": me, "title": format!("Prepare: {}", text(row, "title")), "list": list, "due": date, "done": false });
    Some(Draft {
        instruction: format!(
            "For each event in my Agenda on {date}, add a chore \"Prepare: TITLE\" (with the event's title) to my list \"{list}\", due on that date."
        ),
        changes: events.map(|(_, row)| added("chores.items", chore(row))).collect(),
        answer: None,
        solution: vec![
            enter("agenda"),
            all("agenda", "list_events", &format!("date={date:?}, "), "events"),
            enter("chores"),
            format!(
                "for event in events:\n    title = f\"Prepare: {{event['title']}}\"\n    apis.chores.add_chore(access_token=token, title=title, list={list:?}, due={date:?})\nprint(len(events))"
            ),
        ],
        told: "None",
    })
}

pub fn shop_for_chores(desk: &mut Desk) -> Option<Draft> {
    let me = desk.me();
    let mut lines = vec![];
    let (mut total, mut changes) = (0, vec![]);
    for _ in 0..desk.number(2, 4) {
        let name = format!("{} {}", desk.pick(&desk.words.kinds), desk.pick(&desk.words.categories));
        let (id, row) = desk.office.db.of("basket.products", "name", &name).next()?;
        if lines.contains(&id) {
            continue;
        }
        total += row["price"].as_i64()?;
        lines.push(id);
        let chore = json!({ "owner": me, "title": name, "list": "shopping trip", "due": "", "done": false });
        let chore = desk.office.db.add("chores.items", chore);
        changes.push(set("chores.items", chore, "done", json!(true)));
    }
    lines.sort_unstable();
    let lines: Value = lines.iter().map(|id| json!({ "product_id": id, "quantity": 1 })).collect();
    changes.push(added("basket.orders", json!({ "owner": me, "lines": lines, "total": total })));
    Some(Draft {
        instruction: "The titles on my Chores list \"shopping trip\" are products of the Basket shop. Order one of each in a single order, and tick the chores off.".into(),
        changes,
        answer: None,
        solution: vec![enter("chores"), all("chores", "list_chores", "list='shopping trip', ", "items"), "for item in items:\n    apis.chores.finish_chore(access_token=token, chore_id=item['chore_id'])".into(), enter("basket"), "for item in items:\n    found = apis.basket.search_products(query=item['title'], page_limit=20)\n    product = [p for p in found if p['name'] == item['title']][0]\n    apis.basket.add_to_basket(access_token=token, product_id=product['product_id'])\nprint(apis.basket.place_order(access_token=token))".into()],
        told: "None",
    })
}

pub fn write_to_group(desk: &mut Desk) -> Option<Draft> {
    let me = desk.me();
    let relation = desk.office.db.of("rolodex.contacts", "owner", &me).next().map(|(_, row)| text(row, "relation"))?;
    let (_, event) = desk.office.db.of("agenda.events", "owner", &me).last()?;
    let (title, place) = (text(event, "title"), text(event, "place"));
    let group =
        desk.office.db.of("rolodex.contacts", "owner", &me).filter(|(_, row)| row["relation"] == relation.as_str());
    let message = |row: &Row| json!({ "from": me, "to": row["email"], "subject": title, "body": place });
    Some(Draft {
        instruction: format!(
            "Send everyone in my Rolodex with the relation \"{relation}\" a Postbox message: the subject is \"{title}\", the text is just the place of that event in my Agenda."
        ),
        changes: group.map(|(_, row)| added("postbox.messages", message(row))).collect(),
        answer: None,
        solution: vec![
            enter("agenda"),
            all("agenda", "list_events", "", "events"),
            format!("place = [e['place'] for e in events if e['title'] == {title:?}][0]"),
            enter("rolodex"),
            all("rolodex", "list_contacts", &format!("relation={relation:?}, "), "group"),
            enter("postbox"),
            format!(
                "for person in group:\n    apis.postbox.send_message(access_token=token, to=person['email'], subject={title:?}, body=place)\nprint(len(group))"
            ),
        ],
        told: "None",
    })
}
