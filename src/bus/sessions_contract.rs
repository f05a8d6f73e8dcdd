//! What every [`Sessions`] must do, as tests that an implementation runs with [`sessions_contract_tests!`].
//!
//! The integration tests of those in Redis include this file, too, so it names the library's types through its parent
//! module.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Sessions;

const LONG: Duration = Duration::from_secs(60);

/// One `#[tokio::test]` for each rule of the contract. `$open` is an expression that makes an `Arc<impl Sessions>` of
/// its own, behind what must live as long. `contract` must be in scope.
macro_rules! sessions_contract_tests {
    ($open:expr) => { contract::sessions_contract_tests! { @each
        $open => is_taken_once
        $open => the_last_put_holds
        $open => goes_when_its_time_is_over
        $open => one_of_many_gets_it
        $open => any_bytes_will_do
    } };
    (@each $($open:expr => $name:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let (_alive, sessions) = $open;
            contract::$name(sessions).await;
        }
    )* };
}
pub(crate) use sessions_contract_tests;

pub async fn is_taken_once(sessions: Arc<impl Sessions>) {
    sessions.put("a", "1".into(), LONG).await.unwrap();
    sessions.put("b", "2".into(), LONG).await.unwrap();
    assert_eq!(sessions.take("a").await, Ok(Some("1".into())));
    assert_eq!(sessions.take("a").await, Ok(None));
    assert_eq!(sessions.take("b").await, Ok(Some("2".into())));
    assert_eq!(sessions.take("never put").await, Ok(None));
}

pub async fn the_last_put_holds(sessions: Arc<impl Sessions>) {
    sessions.put("a", "1".into(), LONG).await.unwrap();
    sessions.put("a", "2".into(), LONG).await.unwrap();
    assert_eq!(sessions.take("a").await, Ok(Some("2".into())));
    assert_eq!(sessions.take("a").await, Ok(None));
}

pub async fn goes_when_its_time_is_over(sessions: Arc<impl Sessions>) {
    sessions.put("a", "1".into(), Duration::from_millis(10)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sessions.take("a").await, Ok(None));
}

pub async fn one_of_many_gets_it(sessions: Arc<impl Sessions>) {
    for round in 0..20 {
        let pid = round.to_string();
        sessions.put(&pid, "1".into(), LONG).await.unwrap();
        let takers: Vec<_> = (0..8)
            .map(|_| {
                let (sessions, pid) = (sessions.clone(), pid.clone());
                tokio::spawn(async move { sessions.take(&pid).await.unwrap() })
            })
            .collect();
        let mut got = 0;
        for taker in takers {
            got += usize::from(taker.await.unwrap().is_some());
        }
        assert_eq!(got, 1);
    }
}

pub async fn any_bytes_will_do(sessions: Arc<impl Sessions>) {
    for session in [Bytes::new(), Bytes::from_static(b"\0\r\n\xff"), Bytes::from(vec![7; 100_000])] {
        sessions.put("a", session.clone(), LONG).await.unwrap();
        assert_eq!(sessions.take("a").await, Ok(Some(session)));
    }
}
