//! A client that comes back to what it had, as socket.io-client 4.6 and later do.

use std::net::SocketAddr;

use super::Client;

/// What a client keeps over its connections.
pub struct Comeback {
    address: SocketAddr,
    namespace: &'static str,
    client: Option<Client>,
    shard: u16,
    pub sid: String,
    pub pid: String,
    /// The last event that it had.
    pub offset: Option<String>,
}

impl Comeback {
    /// Joins the root namespace.
    pub async fn join(address: SocketAddr) -> Comeback {
        Self::join_at(address, "/").await
    }

    /// Joins a namespace.
    pub async fn join_at(address: SocketAddr, namespace: &'static str) -> Comeback {
        let (client, (sid, pid)) = (Client::open(address).await, Default::default());
        let shard = client.shard();
        let mut comeback =
            Comeback { address, namespace, client: Some(client), shard, sid, pid, offset: None };
        comeback.connect("").await;
        comeback
    }

    /// Its connection.
    pub fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("it is connected")
    }

    fn prefix(&self) -> String {
        if self.namespace == "/" { String::new() } else { format!("{},", self.namespace) }
    }

    async fn connect(&mut self, auth: &str) {
        let prefix = self.prefix();
        self.client().send(&format!("40{prefix}{auth}")).await;
        let answer = self.client().text().await;
        let answer = answer.strip_prefix(&format!("40{prefix}")).unwrap_or_else(|| panic!("{answer}"));
        let answer: serde_json::Value = serde_json::from_str(answer).unwrap();
        self.sid = answer["sid"].as_str().unwrap().to_owned();
        self.pid = answer["pid"].as_str().unwrap_or_else(|| panic!("no pid in {answer}")).to_owned();
    }

    /// The next event without its offset, which is noted.
    pub async fn event(&mut self) -> String {
        let text = self.client().text().await;
        let prefix = format!("42{}", self.prefix());
        let json = text.strip_prefix(&prefix).unwrap_or_else(|| panic!("{text} where an event is due"));
        let mut args: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
        let offset = args.pop().unwrap();
        self.offset = Some(offset.as_str().unwrap_or_else(|| panic!("no offset in {text}")).to_owned());
        serde_json::to_string(&args).unwrap()
    }

    /// The next events must be these.
    pub async fn expect(&mut self, events: &[&str]) {
        for event in events {
            assert_eq!(self.event().await, *event);
        }
    }

    /// Its claim to what it had.
    pub fn claim(&self) -> String {
        let offset = self.offset.as_deref().expect("it had an event");
        format!(r#"{{"pid":"{}","offset":"{offset}"}}"#, self.pid)
    }

    /// Its connection breaks.
    pub fn cut(&mut self) {
        self.client = None;
    }

    /// Its connection is no good any more, but the server does not notice: for as long as what is returned lives.
    pub fn fall_silent(&mut self) -> Client {
        self.client.take().expect("it is connected")
    }

    /// Comes back with its claim, by a new connection; whether it is back to what it had.
    pub async fn back(&mut self) -> bool {
        self.back_to(self.address, |_| true).await
    }

    /// The same, on another shard than its former one.
    pub async fn back_on_another_shard(&mut self) -> bool {
        let shard = self.shard;
        self.back_to(self.address, |client| client.shard() != shard).await
    }

    /// The same, by a server at this address and a session that is right.
    pub async fn back_to(&mut self, address: SocketAddr, is_right: impl Fn(&Client) -> bool) -> bool {
        self.address = address;
        let client = loop {
            let client = Client::open(address).await;
            if is_right(&client) {
                break client;
            }
        };
        self.shard = client.shard();
        self.client = Some(client);
        let former = (self.sid.clone(), self.pid.clone());
        self.connect(&self.claim()).await;
        assert_eq!(former.0 == self.sid, former.1 == self.pid, "both ids are the former ones, or neither");
        former.1 == self.pid
    }
}
