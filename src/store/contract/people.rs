//! Friends, blocks, users.

use super::{assert_refused, at, read, try_write, write};
use crate::store::friends::{self, Friend, Requested};
use crate::store::users::{self, NewUser, UserChange};
use crate::store::{Refused, Store, StoreExt as _, blocks};

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub async fn a_friendship_from_request_to_end(store: &dyn Store) {
    assert_eq!(write!(store, friends::request(1, 2, text("Bo"), at(0))), Requested::Waiting);
    assert!(!read!(store, friends::are_friends(1, 2)));
    // Again: the remark is the new one.
    assert_eq!(write!(store, friends::request(1, 2, text("Bob"), at(1))), Requested::Waiting);
    // Without one it stays.
    write!(store, friends::request(1, 2, None, at(1)));
    write!(store, friends::request(3, 2, None, at(1)));
    let waiting = read!(store, friends::requests(2));
    assert_eq!(waiting.iter().map(|r| (r.from_user_id, r.at)).collect::<Vec<_>>(), [(1, at(1)), (3, at(1))]);

    write!(store, friends::accept(2, 1, text("Al"), at(2)));
    write!(store, friends::reject(2, 3));
    assert_eq!(read!(store, friends::requests(2)), []);
    let friend = |user_id, remark| Friend { user_id, remark, since: at(2) };
    assert_eq!(read!(store, friends::list(1)), [friend(2, text("Bob"))]);
    assert_eq!(read!(store, friends::list(2)), [friend(1, text("Al"))]);
    assert!(read!(store, friends::are_friends(1, 2)) && read!(store, friends::are_friends(2, 1)));
    assert!(!read!(store, friends::are_friends(2, 3)));

    write!(store, friends::set_remark(1, 2, None));
    assert_eq!(read!(store, friends::list(1)), [friend(2, None)]);
    assert_eq!(read!(store, friends::list(2)), [friend(1, text("Al"))]);
    write!(store, friends::remove(2, 1));
    assert_eq!((read!(store, friends::list(1)), read!(store, friends::list(2))), (vec![], vec![]));
    write!(store, friends::request(2, 1, None, at(3)));
}

pub async fn requests_that_cross_make_friends(store: &dyn Store) {
    write!(store, friends::request(1, 2, text("B"), at(0)));
    assert_eq!(write!(store, friends::request(2, 1, text("A"), at(1))), Requested::Friends);
    assert!(read!(store, friends::are_friends(1, 2)));
    assert_eq!(read!(store, friends::list(1))[0].remark, text("B"));
    assert_eq!(read!(store, friends::list(2))[0].remark, text("A"));
    assert_eq!((read!(store, friends::requests(1)), read!(store, friends::requests(2))), (vec![], vec![]));
}

pub async fn concurrent_requests_that_cross(store: &dyn Store) {
    for n in 0..20 {
        let (a, b) = (100 + 2 * n, 101 + 2 * n);
        let answers = [(a, b), (b, a)]
            .map(|(from, to)| store.writing(move |tx| Box::pin(friends::request(tx, from, to, None, at(0)))));
        for answer in answers {
            answer.await.unwrap();
        }
        assert!(read!(store, friends::are_friends(a, b)) && read!(store, friends::are_friends(b, a)));
        assert_eq!(
            (read!(store, friends::requests(a)), read!(store, friends::requests(b))),
            (vec![], vec![])
        );
    }
}

pub async fn requests_are_refused(store: &dyn Store) {
    assert_refused(try_write!(store, friends::request(1, 1, None, at(0))), Refused::Oneself);
    assert_refused(try_write!(store, friends::accept(1, 2, None, at(0))), Refused::RequestNotFound);
    assert_refused(try_write!(store, friends::reject(1, 2)), Refused::RequestNotFound);
    assert_refused(try_write!(store, friends::remove(1, 2)), Refused::NotFriends);
    assert_refused(try_write!(store, friends::set_remark(1, 2, text("x"))), Refused::NotFriends);
    write!(store, friends::request(1, 2, None, at(0)));
    // One cannot accept one's own.
    assert_refused(try_write!(store, friends::accept(1, 2, None, at(0))), Refused::RequestNotFound);
    write!(store, friends::accept(2, 1, None, at(0)));
    for (from, to) in [(1, 2), (2, 1)] {
        assert_refused(try_write!(store, friends::request(from, to, None, at(0))), Refused::AlreadyFriends);
    }
    write!(store, blocks::block(4, 3, at(0)));
    assert_refused(try_write!(store, friends::request(3, 4, None, at(0))), Refused::Blocked);
    write!(store, friends::request(4, 3, None, at(0)));
}

pub async fn blocks_are_one_sided(store: &dyn Store) {
    assert_refused(try_write!(store, blocks::block(1, 1, at(0))), Refused::Oneself);
    for user in [3, 2, 3] {
        write!(store, blocks::block(1, user, at(0)));
    }
    assert_eq!(read!(store, blocks::list(1)), [2, 3]);
    assert!(read!(store, blocks::is_blocked(1, 2)));
    assert!(!read!(store, blocks::is_blocked(2, 1)));
    let mut pairs = read!(store, blocks::blockers_of(vec![2, 3, 99]));
    pairs.sort_unstable();
    assert!(pairs.contains(&(2, 1)) && pairs.contains(&(3, 1)) && pairs.is_sorted(), "{pairs:?}");
    assert!(pairs.iter().all(|(user, _)| [2, 3].contains(user)), "{pairs:?}");
    for _ in 0..2 {
        write!(store, blocks::unblock(1, 2));
    }
    assert_eq!(read!(store, blocks::list(1)), [3]);
    assert!(!read!(store, blocks::is_blocked(1, 2)));
}

fn user(username: &str, phone: Option<&str>, email: Option<&str>) -> NewUser {
    NewUser {
        username: username.to_owned(),
        phone: phone.map(str::to_owned),
        email: email.map(str::to_owned),
        nickname: None,
        avatar: None,
        password_hash: format!("hash of {username}"),
        is_admin: false,
    }
}

pub async fn a_user_is_found_by_each_account_name(store: &dyn Store) {
    let ann = || NewUser {
        nickname: text("Ann 你好"),
        avatar: text("/ann.png"),
        is_admin: true,
        ..user("ann", Some("+491234"), Some("ann@example.org"))
    };
    let ann = write!(store, users::create(ann(), at(3)));
    // Without phone number and address, as often as one likes.
    let bob = write!(store, users::create(user("bob", None, None), at(4)));
    write!(store, users::create(user("cid", None, None), at(4)));
    assert_ne!(ann.id, bob.id);
    assert_eq!(
        (ann.username.as_str(), ann.nickname.as_deref(), ann.is_admin),
        ("ann", Some("Ann 你好"), true)
    );
    assert_eq!((ann.created_at, bob.phone.as_deref(), bob.is_admin), (at(3), None, false));
    for (name, found) in [("ann", &ann), ("+491234", &ann), ("ann@example.org", &ann), ("bob", &bob)] {
        let credentials = read!(store, users::by_account(name.to_owned())).unwrap();
        assert_eq!(
            (&credentials.user, credentials.password_hash),
            (found, format!("hash of {}", found.username))
        );
        assert!(read!(store, users::is_taken(name.to_owned())));
    }
    // Byte for byte.
    for name in ["", "Ann", "ann ", "änn", "ann@example", "491234"] {
        assert!(read!(store, users::by_account(name.to_owned())).is_none(), "{name:?}");
        assert!(!read!(store, users::is_taken(name.to_owned())), "{name:?}");
    }
    let (id, none) = (ann.id, 999_999);
    assert_eq!(read!(store, users::get(id)), Some(ann));
    assert_eq!(read!(store, users::get(none)), None);
}

pub async fn account_names_are_taken_once(store: &dyn Store) {
    write!(store, users::create(user("ann", Some("1"), Some("a@x")), at(0)));
    for (user, refused) in [
        (user("ann", None, None), Refused::UsernameTaken),
        (user("bob", Some("1"), None), Refused::PhoneTaken),
        (user("bob", None, Some("a@x")), Refused::EmailTaken),
        // Names of one kind are not to lead to who has them as another kind.
        (user("a@x", None, None), Refused::UsernameTaken),
        (user("1", None, None), Refused::UsernameTaken),
        (user("bob", Some("ann"), None), Refused::PhoneTaken),
    ] {
        assert_refused(try_write!(store, users::create(user.clone(), at(0))), refused);
    }
    for (username, phone, email) in [("Ann", Some("2"), Some("A@x")), ("ann ", None, None)] {
        write!(store, users::create(user(username, phone, email), at(0)));
    }
}

pub async fn concurrent_registrations_of_one_name(store: &dyn Store) {
    let answers: Vec<_> = (0..10)
        .map(|_| store.writing(|tx| Box::pin(users::create(tx, user("ann", None, Some("a@x")), at(0)))))
        .collect();
    let mut created = 0;
    for answer in answers {
        match answer.await {
            Ok(_) => created += 1,
            refused => assert_refused(refused, Refused::UsernameTaken),
        }
    }
    assert_eq!(created, 1);
}

pub async fn concurrent_registrations_that_cross(store: &dyn Store) {
    for round in 0..20 {
        let [a, b] = ["a", "b"].map(|name| format!("{name}{round}@x"));
        let answers: Vec<_> = [(&a, &b), (&b, &a)]
            .map(|(username, email)| {
                let new = user(username, None, Some(email));
                store.writing(move |tx| Box::pin(users::create(tx, new.clone(), at(0))))
            })
            .into();
        let mut created = 0;
        for answer in answers {
            match answer.await {
                Ok(_) => created += 1,
                refused => assert_refused(refused, Refused::UsernameTaken),
            }
        }
        assert_eq!(created, 1, "each name leads to one user");
    }
}

pub async fn users_change(store: &dyn Store) {
    let ann = write!(store, users::create(user("ann", Some("1"), Some("a@x")), at(0)));
    write!(store, users::create(user("bob", Some("2"), None), at(0)));
    let (id, none) = (ann.id, 999_999);
    let change = || UserChange { nickname: text("A."), email: text("ann@x"), ..UserChange::default() };
    let changed = write!(store, users::update(id, change()));
    assert_eq!(changed, users::User { nickname: text("A."), email: text("ann@x"), ..ann });
    assert_eq!(read!(store, users::get(id)), Some(changed));
    assert_refused(try_write!(store, users::update(none, change())), Refused::EmailTaken);
    let other = || UserChange { nickname: text("?"), ..UserChange::default() };
    assert_refused(try_write!(store, users::update(none, other())), Refused::UserNotFound);
    let taken = || UserChange { phone: text("2"), nickname: text("lost"), ..UserChange::default() };
    assert_refused(try_write!(store, users::update(id, taken())), Refused::PhoneTaken);
    // An empty text takes away what there was, and takes nothing from others.
    let nothing = || UserChange { phone: text(""), nickname: text(""), ..UserChange::default() };
    let without = write!(store, users::update(id, nothing()));
    assert_eq!((without.phone, without.nickname, without.email), (None, None, text("ann@x")));
    assert!(read!(store, users::by_account(String::new())).is_none());
    let back = || UserChange { phone: text("1"), nickname: text("A."), ..UserChange::default() };
    write!(store, users::update(id, back()));
    // What one has already is no obstacle; the password is what it is changed to.
    let same = || UserChange { phone: text("1"), password_hash: text("new hash"), ..UserChange::default() };
    write!(store, users::update(id, same()));
    let credentials = read!(store, users::by_account("1".to_owned())).unwrap();
    assert_eq!(
        (credentials.password_hash.as_str(), credentials.user.nickname.as_deref()),
        ("new hash", Some("A."))
    );
}
