//! `/api/user`.

use serde_json::{Value, json};

use super::operation::{Operation, get, post, put};
use super::schema::{Field, field, flag, id, named, text};
use crate::api::users::{self, MAX_BYTES};
use crate::config::Config;

pub fn operations(config: &Config) -> Vec<Operation> {
    let auth = &config.auth;
    let password = || text(auth.password_min_chars, auth.password_max_chars);
    vec![
        post("/api/user/register", users::register, "register", "Registers a user")
            .public()
            .takes([
                field("username", text(1, MAX_BYTES), "Name to log in by, at most 255 bytes").example("anna"),
                field("password", password(), "Password").example("correct horse"),
                nickname().example("Anna"),
                phone(),
                email(),
            ])
            .gives(named("User"))
            .refuses(&[
                "registration_closed",
                "password_too_short",
                "password_too_long",
                "username_taken",
                "phone_taken",
                "email_taken",
                "rate_limited",
                "overloaded",
            ]),
        post("/api/user/login", users::login, "logIn", "Gives a token for an account and its password")
            .public()
            .takes([
                field("account", json!({ "type": "string" }), "User name, phone number or e-mail address")
                    .example("anna"),
                field("password", json!({ "type": "string" }), "Password").example("correct horse"),
            ])
            .gives(named("Login"))
            .refuses(&["login_closed", "wrong_credentials", "rate_limited", "overloaded"]),
        get(
            "/api/user/check/username",
            users::is_username_free,
            "isUsernameFree",
            "Whether a user name is free",
        )
        .public()
        .takes([field("username", text(1, MAX_BYTES), "The name").example("anna")])
        .gives(flag()),
        get(
            "/api/user/check/email",
            users::is_email_free,
            "isEmailFree",
            "Whether an e-mail address is free",
        )
        .public()
        .takes([field("email", address(1, "@"), "The address").example("anna@example.org")])
        .gives(flag()),
        get("/api/user/check/phone", users::is_phone_free, "isPhoneFree", "Whether a phone number is free")
            .public()
            .takes([field("phone", text(1, MAX_BYTES), "The number").example("+44 20 7946 0000")])
            .gives(flag()),
        get("/api/user/{id}", users::get, "getUser", "A user")
            .about("`phone` and `email` are there when it is the one who asks.")
            .by_the_concerned()
            .takes([who()])
            .gives(named("Profile"))
            .refuses(&["user_not_found"]),
        put("/api/user/{id}", users::update, "updateUser", "Changes a user's own data")
            .by_the_concerned()
            .takes([
                who(),
                nickname().example("Anna B."),
                field("avatar", text(0, MAX_BYTES), "Where the user's picture is").optional(),
                phone(),
                email(),
                field("password", password(), "New password").optional(),
            ])
            .gives(named("User"))
            .refuses(&[
                "forbidden",
                "user_not_found",
                "password_too_short",
                "password_too_long",
                "phone_taken",
                "email_taken",
                "overloaded",
            ]),
    ]
}

fn who() -> Field {
    field("id", id(), "The user").example(1)
}

fn nickname() -> Field {
    field("nickname", text(0, MAX_BYTES), "Name that others see").optional()
}

fn phone() -> Field {
    field("phone", text(0, MAX_BYTES), "Phone number; empty for none").optional()
}

fn email() -> Field {
    field("email", address(0, "^$|@"), "E-mail address; empty for none").optional()
}

fn address(least: usize, pattern: &str) -> Value {
    let mut schema: Value = text(least, MAX_BYTES);
    schema["pattern"] = pattern.into();
    schema
}
