//! `/api/user`: registration, login, and what users say of themselves.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::answer::{Data, Failure};
use super::params::Params;
use super::{Sources, actor, client};
use crate::im::Id;
use crate::store::Timestamp;
use crate::store::users::{NewUser, User, UserChange};

/// The longest name, phone number or address, in bytes.
pub const MAX_BYTES: usize = 255;

#[derive(Deserialize)]
struct Register {
    username: String,
    password: String,
    nickname: Option<String>,
    phone: Option<String>,
    email: Option<String>,
}

/// Registers a user.
pub async fn register(
    State(sources): State<Sources>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<User>, Failure> {
    let Register { username, password, nickname, phone, email } = params.decode()?;
    check("username", Some(&username), 1)?;
    let (phone, email, nickname) = (given(phone), given(email), given(nickname));
    for (name, text) in [("nickname", &nickname), ("phone", &phone), ("email", &email)] {
        check(name, text.as_ref(), 0)?;
    }
    check_email(email.as_ref())?;
    let password_hash = String::new();
    let new = NewUser { username, phone, email, nickname, avatar: None, password_hash, is_admin: false };
    let from = client::address(&sources, peer, &headers);
    Ok(Data(sources.accounts.register(from, new, password).await?))
}

#[derive(Deserialize)]
struct Login {
    account: String,
    password: String,
}

/// The answer to a login.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggedIn {
    token: Option<String>,
    expires_at: Option<Timestamp>,
    user: User,
}

/// Logs a user in.
pub async fn login(
    State(sources): State<Sources>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<LoggedIn>, Failure> {
    let Login { account, password } = params.decode()?;
    let from = client::address(&sources, peer, &headers);
    let done = sources.accounts.login(from, account, password).await?;
    let (token, expires_at) = done.token.unzip();
    Ok(Data(LoggedIn { token, expires_at, user: done.user }))
}

/// A user as others see it: what one can be reached by is the user's own business.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    id: u64,
    username: String,
    nickname: Option<String>,
    avatar: Option<String>,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

/// A user.
pub async fn get(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<Profile>, Failure> {
    let Id(id) = params.get("id")?;
    let is_own = match actor::of(&sources, &headers, &params) {
        Ok(actor) => actor.id() == id,
        Err(failure) if sources.is_open() && failure.code() == actor::NOBODY => false,
        Err(failure) => return Err(failure),
    };
    let user = sources.accounts.get(id).await?;
    let (phone, email) = if is_own { (user.phone, user.email) } else { (None, None) };
    Ok(Data(Profile {
        id,
        username: user.username,
        nickname: user.nickname,
        avatar: user.avatar,
        created_at: user.created_at,
        phone,
        email,
    }))
}

#[derive(Deserialize)]
struct Update {
    nickname: Option<String>,
    avatar: Option<String>,
    phone: Option<String>,
    email: Option<String>,
    password: Option<String>,
}

/// Changes a user's own data.
pub async fn update(
    State(sources): State<Sources>,
    headers: HeaderMap,
    params: Params,
) -> Result<Data<User>, Failure> {
    let Id(id) = params.get("id")?;
    if actor::of_or(&sources, &headers, &params, id)?.id() != id {
        return Err(Failure::new("forbidden", "users change their own data only"));
    }
    let Update { nickname, avatar, phone, email, password } = params.decode()?;
    for (name, text) in [("nickname", &nickname), ("avatar", &avatar), ("phone", &phone), ("email", &email)] {
        check(name, text.as_ref(), 0)?;
    }
    check_email(email.as_ref().filter(|email| !email.is_empty()))?;
    let change = UserChange { phone, email, nickname, avatar, password_hash: None };
    Ok(Data(sources.accounts.update(id, change, password).await?))
}

/// Whether a user name is free.
pub async fn is_username_free(State(sources): State<Sources>, params: Params) -> Result<Data<bool>, Failure> {
    is_free(&sources, "username", params).await
}

/// Whether an e-mail address is free.
pub async fn is_email_free(State(sources): State<Sources>, params: Params) -> Result<Data<bool>, Failure> {
    is_free(&sources, "email", params).await
}

/// Whether a phone number is free.
pub async fn is_phone_free(State(sources): State<Sources>, params: Params) -> Result<Data<bool>, Failure> {
    is_free(&sources, "phone", params).await
}

/// What nobody could register with is refused here, too.
async fn is_free(sources: &Sources, name: &str, params: Params) -> Result<Data<bool>, Failure> {
    let account: String = params.get(name)?;
    check(name, Some(&account), 1)?;
    check_email(Some(&account).filter(|_| name == "email"))?;
    Ok(Data(!sources.accounts.is_taken(account).await?))
}

/// An empty text is none.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

fn check_email(email: Option<&String>) -> Result<(), Failure> {
    match email {
        Some(email) if !email.contains('@') => {
            Err(Failure::new("invalid_parameter", "email is no e-mail address"))
        }
        _ => Ok(()),
    }
}

fn check(name: &str, text: Option<&String>, least: usize) -> Result<(), Failure> {
    match text {
        Some(text) if !(least..=MAX_BYTES).contains(&text.len()) => {
            let message = format!("{name} must have {least} to {MAX_BYTES} bytes");
            Err(Failure::new("invalid_parameter", message))
        }
        _ => Ok(()),
    }
}
