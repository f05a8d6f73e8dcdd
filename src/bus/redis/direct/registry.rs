//! Who takes part in direct connections: a hash in Redis, with an entry for each node.
//!
//! Renewals are numbered, and an entry says up to which its node has seen the others'. Who comes, and sees that all others that may
//! leave Redis out have seen a later one than its own first, is known to them. Until then it is not there itself.

use std::net::SocketAddr;
use std::time::Duration;

use super::frame::Token;
use super::{Id, STALE};
use crate::bus::redis::resp::Value;

/// How long an entry lasts that is not renewed, by Redis' clock. A node that sleeps for less is still there for the others.
const TTL: Duration = Duration::from_secs(60);

/// The hash's key, behind the prefix.
pub const KEY: &str = "direct";

/// KEYS: the hash. ARGV: an id; the hash of the node's name; up to which renewal it has seen; where it is reached, or `-`; its token;
/// how long this lasts in milliseconds; `1` to forget who had the name before; how late, in milliseconds, who has not renewed its own
/// can't say that others are gone, for writes may have been refused to all. Answers with the number of this renewal and whether
/// the entry was there before, and with a line for each of the others.
const RENEW: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local number = redis.call('HINCRBY', KEYS[1], 'renewals', 1)
local was_there = 0
local lines = {}
local former = redis.call('HGET', KEYS[1], ARGV[1])
local renewed_before = former and string.match(former, '^(%d+) ')
local may_judge = renewed_before and now - renewed_before < tonumber(ARGV[8])
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local renewed, name, rest = string.match(all[at + 1], '^(%d+) (%x+) (.+)$')
  if all[at] == ARGV[1] then
    was_there = 1
  elseif renewed then
    local age = now - renewed
    if (may_judge and age > tonumber(ARGV[6])) or (ARGV[7] == '1' and name == ARGV[2]) then
      redis.call('HDEL', KEYS[1], all[at])
    else
      table.insert(lines, string.format('%s %d %s', all[at], math.max(age, 0), rest))
    end
  end
end
table.insert(lines, 1, string.format('%d %d', number, was_there))
local own = string.format('%d %s %s %s %s', now, ARGV[2], ARGV[3], ARGV[4], ARGV[5])
redis.call('HSET', KEYS[1], ARGV[1], own)
redis.call('PEXPIRE', KEYS[1], 10 * ARGV[6])
return lines
";

/// A node's own entry.
pub struct Own {
    pub id: Id,
    /// Told from others by the hash of its name.
    pub name: u64,
    pub address: Option<SocketAddr>,
    pub token: Token,
}

/// What a renewal tells.
#[derive(Debug, PartialEq, Eq)]
pub struct Renewal {
    pub number: u64,
    pub was_there: bool,
    pub others: Vec<Entry>,
}

/// Another node's entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub id: Id,
    /// How long ago it was renewed.
    pub age: Duration,
    /// The last renewal that it has seen.
    pub seen: u64,
    pub address: Option<SocketAddr>,
    pub token: Token,
}

impl Own {
    /// The command that renews it, of who has seen so many renewals; `key` with its prefix.
    pub fn renew(&self, key: &str, seen: u64, is_first: bool) -> [String; 12] {
        let text = |text: &str| text.to_owned();
        let address = self.address.map_or("-".into(), |address| address.to_string());
        let [id, name] = [self.id, self.name].map(|number| format!("{number:016x}"));
        let token = format!("{:032x}", u128::from_be_bytes(self.token));
        let first = if is_first { "1" } else { "0" };
        let [ttl, stale] = [TTL, STALE].map(|time| time.as_millis().to_string());
        let [seen, one] = [seen, 1].map(|number| number.to_string());
        [text("EVAL"), text(RENEW), one, text(key), id, name, seen, address, token, ttl, text(first), stale]
    }

    /// The command that ends it.
    pub fn remove(&self, key: &str) -> [String; 3] {
        ["HDEL".into(), key.into(), format!("{:016x}", self.id)]
    }
}

/// What a renewal tells, from Redis' answer.
pub fn parse(answer: &Value) -> Option<Renewal> {
    let Value::Array(lines) = answer else { return None };
    let (first, others) = lines.split_first()?;
    let (number, was_there) = first.text()?.split_once(' ')?;
    let others = others.iter().map(|line| entry(line.text()?)).collect::<Option<_>>()?;
    Some(Renewal { number: number.parse().ok()?, was_there: was_there == "1", others })
}

/// What a newer version may say otherwise makes a node that can't be reached.
fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let mut word = || words.next().unwrap_or_default();
    let (id, age) = (u64::from_str_radix(word(), 16).ok()?, word().parse().ok()?);
    let (seen, address, token) = (word().parse().unwrap_or(0), word().parse().ok(), word());
    let token = u128::from_str_radix(token, 16).unwrap_or(0).to_be_bytes();
    Some(Entry { id, age: Duration::from_millis(age), seen, address, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_nothing_else() {
        let text = |text: &str| Value::Text(text.to_owned().into());
        let answer = |lines: &[&str]| Value::Array(lines.iter().map(|line| text(line)).collect());
        let token = "000102030405060708090a0b0c0d0e0f";
        let lines =
            [format!("00000000000000ff 20 7 10.0.0.2:4000 {token}"), "0a 3000 8 - ?".into(), "0b 1 x".into()];
        let [first, second, third] = &lines;
        let renewal = parse(&answer(&["9 1", first, second, third])).unwrap();
        let entry = |id, age, seen, address: Option<SocketAddr>, token: Token| Entry {
            id,
            age: Duration::from_millis(age),
            seen,
            address,
            token,
        };
        let others = vec![
            entry(255, 20, 7, "10.0.0.2:4000".parse().ok(), std::array::from_fn(|n| n as u8)),
            entry(10, 3000, 8, None, [0; 16]),
            entry(11, 1, 0, None, [0; 16]),
        ];
        assert_eq!(renewal, Renewal { number: 9, was_there: true, others });
        assert!(!parse(&answer(&["1 0"])).unwrap().was_there);
        for broken in [&["9"][..], &["9 1", ""], &["9 1", "x 1 2 - 0"], &["9 1", "0a"], &[]] {
            assert_eq!(parse(&answer(broken)), None, "{broken:?}");
        }
        assert_eq!(parse(&Value::Null), None);
    }
}
