//! Apps about money: `ledger` (payments) and `basket` (shopping).

use serde_json::{Value, json};

use super::office::{Answer, Api, App, Call, LIMIT, PAGE, Parameter, Type, log_in, login, show};

/// Both apps.
pub const APPS: &[App] = &[
    App {
        name: "ledger",
        about: "Pay other people and answer their requests for money. Amounts are whole credits.",
        apis: &[
            log_in(|call| login(call, "ledger")),
            Api {
                name: "show_balance",
                about: "Show how much money you have.",
                private: true,
                parameters: &[],
                returns: "{balance}",
                run: |call| Ok(json!({ "balance": balance(call, &call.user)?.1 })),
            },
            Api {
                name: "list_payments",
                about: "List payments from you and to you, oldest first.",
                private: true,
                parameters: &[PAGE, LIMIT],
                returns: "list of {payment_id, from, to, amount, note}",
                run: |call| {
                    let mine =
                        |row: &super::db::Row| row["from"] == call.user.as_str() || row["to"] == call.user.as_str();
                    let rows = call.office.db.rows("ledger.payments").filter(|(_, row)| mine(row)).collect();
                    call.page("payment_id", rows, &[])
                },
            },
            Api {
                name: "pay",
                about: "Send money to someone.",
                private: true,
                parameters: &[
                    Parameter("to", Type::Text, "email address of who gets it", ""),
                    Parameter("amount", Type::Int, "credits, 1 or more", ""),
                    Parameter("note", Type::Text, "what it is for", "\"\""),
                ],
                returns: "{payment_id, message}",
                run: |call| {
                    let (to, amount, note) =
                        (call.text("to").to_owned(), call.int("amount"), call.text("note").to_owned());
                    pay(call, &to, amount, &note)
                },
            },
            Api {
                name: "list_requests",
                about: "List the requests for money that others have sent you.",
                private: true,
                parameters: &[
                    Parameter("status", Type::Text, "open, accepted or declined; null for all", "null"),
                    PAGE,
                    LIMIT,
                ],
                returns: "list of {request_id, from, to, amount, note, status}",
                run: |call| {
                    let wanted =
                        |row: &super::db::Row| call.args["status"].is_null() || row["status"] == call.args["status"];
                    let rows =
                        call.office.db.of("ledger.requests", "to", &call.user).filter(|(_, row)| wanted(row)).collect();
                    call.page("request_id", rows, &[])
                },
            },
            Api {
                name: "accept_request",
                about: "Pay what a request asks for.",
                private: true,
                parameters: &[Parameter("request_id", Type::Int, "which request", "")],
                returns: "{payment_id, message}",
                run: |call| {
                    let (id, row) = open_request(call)?;
                    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
                    let paid = pay(call, &text("from"), row["amount"].as_i64().unwrap_or(0), &text("note"))?;
                    call.office.db.set("ledger.requests", id, "status", json!("accepted"));
                    Ok(paid)
                },
            },
            Api {
                name: "decline_request",
                about: "Turn a request down.",
                private: true,
                parameters: &[Parameter("request_id", Type::Int, "which request", "")],
                returns: "{message}",
                run: |call| {
                    let (id, _) = open_request(call)?;
                    call.office.db.set("ledger.requests", id, "status", json!("declined"));
                    Ok(json!({ "message": "The request was declined." }))
                },
            },
        ],
    },
    App {
        name: "basket",
        about: "A grocery shop: look for products, fill your basket, order.",
        apis: &[
            log_in(|call| login(call, "basket")),
            Api {
                name: "search_products",
                about: "Find products by words in their name or category.",
                private: false,
                parameters: &[Parameter("query", Type::Text, "words; empty for all", "\"\""), PAGE, LIMIT],
                returns: "list of {product_id, name, category, price}",
                run: |call| {
                    let query = call.text("query").to_lowercase();
                    let holds = |row: &super::db::Row, field: &str| {
                        row[field].as_str().is_some_and(|t| t.to_lowercase().contains(&query))
                    };
                    let rows = call.office.db.rows("basket.products");
                    let rows = rows.filter(|(_, row)| holds(row, "name") || holds(row, "category")).collect();
                    call.page("product_id", rows, &[])
                },
            },
            Api {
                name: "add_to_basket",
                about: "Put a product into your basket.",
                private: true,
                parameters: &[
                    Parameter("product_id", Type::Int, "which product", ""),
                    Parameter("quantity", Type::Int, "how many, 1 to 50", "1"),
                ],
                returns: "{line_id, message}",
                run: add_to_basket,
            },
            Api {
                name: "show_basket",
                about: "Show what is in your basket.",
                private: true,
                parameters: &[],
                returns: "list of {line_id, product_id, quantity}",
                run: |call| {
                    let lines = call.office.db.of("basket.lines", "owner", &call.user);
                    Ok(lines.map(|(id, row)| show("line_id", id, row, &["owner"])).collect())
                },
            },
            Api {
                name: "remove_from_basket",
                about: "Take a line out of your basket.",
                private: true,
                parameters: &[Parameter("line_id", Type::Int, "which line", "")],
                returns: "{message}",
                run: |call| {
                    let (id, _) = call.own("basket.lines", "line_id", "owner")?;
                    call.office.db.remove("basket.lines", id);
                    Ok(json!({ "message": "The line was removed." }))
                },
            },
            Api {
                name: "place_order",
                about: "Order what is in your basket, and empty it.",
                private: true,
                parameters: &[],
                returns: "{order_id, total, message}",
                run: place_order,
            },
            Api {
                name: "list_orders",
                about: "List your orders, oldest first.",
                private: true,
                parameters: &[PAGE, LIMIT],
                returns: "list of {order_id, lines, total}",
                run: |call| {
                    let rows = call.office.db.of("basket.orders", "owner", &call.user).collect();
                    call.page("order_id", rows, &["owner"])
                },
            },
        ],
    },
];

/// Number and balance of someone's account.
fn balance(call: &Call, email: &str) -> Result<(u64, i64), String> {
    let account = call.office.db.of("ledger.balances", "email", email).next();
    let found = account.map(|(id, row)| (id, row["balance"].as_i64().unwrap_or(0)));
    found.ok_or_else(|| format!("nobody with the email address '{email}' has a ledger account"))
}

fn pay(call: &mut Call, to: &str, amount: i64, note: &str) -> Answer {
    let user = call.user.clone();
    let ((mine, have), (theirs, had)) = (balance(call, &user)?, balance(call, to)?);
    if to == user {
        return Err("you cannot pay yourself".into());
    }
    if amount < 1 || amount > have {
        return Err(format!("the amount must be from 1 to your balance, {have}"));
    }
    let db = &mut call.office.db;
    db.set("ledger.balances", mine, "balance", json!(have - amount));
    db.set("ledger.balances", theirs, "balance", json!(had + amount));
    let id = db.add("ledger.payments", json!({ "from": user, "to": to, "amount": amount, "note": note }));
    Ok(json!({ "payment_id": id, "message": "The money was sent." }))
}

fn open_request(call: &Call) -> Result<(u64, super::db::Row), String> {
    let (id, row) = call.own("ledger.requests", "request_id", "to")?;
    match row["status"].as_str() {
        Some("open") => Ok((id, row)),
        other => Err(format!("this request is {}", other.unwrap_or("closed"))),
    }
}

fn add_to_basket(call: &mut Call) -> Answer {
    let (product, quantity) = (call.int("product_id"), call.int("quantity"));
    if call.office.db.row("basket.products", product.max(0) as u64).is_none() {
        return Err(format!("there is no product_id {product}"));
    }
    if !(1..=50).contains(&quantity) {
        return Err("quantity must be from 1 to 50".into());
    }
    let line = json!({ "owner": call.user, "product_id": product, "quantity": quantity });
    let id = call.office.db.add("basket.lines", line);
    Ok(json!({ "line_id": id, "message": "The product is in your basket." }))
}

fn place_order(call: &mut Call) -> Answer {
    let user = call.user.clone();
    let lines: Vec<(u64, i64, i64)> = {
        let number = |row: &super::db::Row, field: &str| row[field].as_i64().unwrap_or(0);
        let rows = call.office.db.of("basket.lines", "owner", &user);
        rows.map(|(id, row)| (id, number(row, "product_id"), number(row, "quantity"))).collect()
    };
    if lines.is_empty() {
        return Err("your basket is empty".into());
    }
    let db = &mut call.office.db;
    let price =
        |product: i64| db.row("basket.products", product as u64).and_then(|row| row["price"].as_i64()).unwrap_or(0);
    let total: i64 = lines.iter().map(|(_, product, quantity)| price(*product) * quantity).sum();
    // the same products in whatever order they were put in
    let mut ordered: Vec<(i64, i64)> = lines.iter().map(|(_, product, quantity)| (*product, *quantity)).collect();
    ordered.sort_unstable();
    let shown: Value = ordered.iter().map(|(p, q)| json!({ "product_id": p, "quantity": q })).collect();
    lines.iter().for_each(|(id, ..)| db.remove("basket.lines", *id));
    let id = db.add("basket.orders", json!({ "owner": user, "lines": shown, "total": total }));
    Ok(json!({ "order_id": id, "total": total, "message": "The order was placed." }))
}
