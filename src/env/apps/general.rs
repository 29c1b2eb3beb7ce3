//! Apps that every task has: `api_docs` and `supervisor`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::office::{Answer, Api, App, Call, Parameter, Type, apps};

/// Both apps.
pub const APPS: &[App] = &[
    App {
        name: "api_docs",
        about: "Documents of all apps and what they can do.",
        apis: &[
            Api {
                name: "show_app_descriptions",
                about: "List all apps.",
                private: false,
                parameters: &[],
                returns: "list of {name, description}",
                run: |_| Ok(apps().map(|app| json!({ "name": app.name, "description": app.about })).collect()),
            },
            Api {
                name: "show_api_descriptions",
                about: "List what an app can do.",
                private: false,
                parameters: &[Parameter("app_name", Type::Text, "name of the app", "")],
                returns: "list of {name, description}",
                run: |call| {
                    let apis = known(call.text("app_name"))?.apis.iter();
                    Ok(apis.map(|api| json!({ "name": api.name, "description": api.about })).collect())
                },
            },
            Api {
                name: "show_api_doc",
                about: "Show the document of one API.",
                private: false,
                parameters: &[
                    Parameter("app_name", Type::Text, "name of the app", ""),
                    Parameter("api_name", Type::Text, "name of the API", ""),
                ],
                returns: "{app_name, api_name, description, parameters, returns}",
                run: document,
            },
        ],
    },
    App {
        name: "supervisor",
        about: "Your supervisor: who they are, their passwords, and where tasks are reported as completed.",
        apis: &[
            Api {
                name: "show_profile",
                about: "Show your supervisor's name, email and phone number.",
                private: false,
                parameters: &[],
                returns: "{first_name, last_name, email, phone}",
                run: |call| {
                    Ok(json!(
                        ["first_name", "last_name", "email", "phone"]
                            .map(|f| (f, call.office.me(f)))
                            .into_iter()
                            .collect::<BTreeMap<_, _>>()
                    ))
                },
            },
            Api {
                name: "show_account_passwords",
                about: "Show your supervisor's passwords for all apps.",
                private: false,
                parameters: &[],
                returns: "list of {app_name, password}",
                run: |call| {
                    let email = call.office.me("email");
                    let accounts = call.office.db.of("accounts", "email", email);
                    Ok(accounts
                        .map(|(_, row)| json!({ "app_name": row["app"], "password": row["password"] }))
                        .collect())
                },
            },
            Api {
                name: "complete_task",
                about: "Report the task as completed, with its answer if it asks for one. Nothing can be done after that.",
                private: false,
                parameters: &[Parameter("answer", Type::Any, "the answer, a number or a text", "null")],
                returns: "{message}",
                run: |call| {
                    call.office.completed = call.args.get("answer").cloned();
                    Ok(json!({ "message": "The task was reported as completed." }))
                },
            },
        ],
    },
];

fn known(name: &str) -> Result<&'static App, String> {
    apps().find(|app| app.name == name).ok_or_else(|| format!("no app named '{name}' found"))
}

fn document(call: &mut Call) -> Answer {
    let (app, name) = (known(call.text("app_name"))?, call.text("api_name"));
    let api = app.apis.iter().find(|api| api.name == name);
    let api = api.ok_or_else(|| format!("no API named '{name}' found in the {} app", app.name))?;
    let token = Parameter("access_token", Type::Text, "what login returned", "");
    let parameters = api.private.then_some(&token).into_iter().chain(api.parameters);
    let parameters: Value = parameters
        .map(|Parameter(name, kind, about, default)| {
            let required = default.is_empty();
            let default: Value = serde_json::from_str(default).unwrap_or_default();
            json!({ "name": name, "type": kind.name(), "required": required, "description": about, "default": default })
        })
        .collect();
    Ok(json!({
        "app_name": app.name, "api_name": api.name, "description": api.about, "parameters": parameters, "returns": api.returns,
    }))
}
