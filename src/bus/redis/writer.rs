//! Sends what the outbox holds: pipelines of PUBLISH, of which the next is written before the last is answered.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use redis::{Pipeline, RedisError, RedisResult, RedisWrite, ServerError, ToRedisArgs, Value};
use tokio::task::unconstrained;
use tracing::warn;

use super::add;
use super::connection::{Connection, Over};
use super::link::Link;
use super::outbox::Outgoing;

/// Pipelines that may wait for their answers. Fewer than the requests that a connection takes without waiting.
const IN_FLIGHT: usize = 16;

/// Answers that mean that this is not the server to talk to, or not now.
const OVER: [&str; 7] = ["MOVED", "ASK", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING", "NOAUTH"];

/// A pipeline on its way.
struct Sent {
    server: usize,
    count: usize,
    answer: Pin<Box<dyn Future<Output = RedisResult<Vec<Value>>> + Send>>,
}

/// Sends until the link is over, or the outbox is closed and all that was in it is answered for.
pub(super) async fn write(link: &Link) -> Over {
    let mut writer = Writer { link, in_flight: VecDeque::new(), complained: false };
    let mut closed = false;
    while !closed || !writer.in_flight.is_empty() {
        let may_send = !closed && writer.in_flight.len() < IN_FLIGHT;
        let result = tokio::select! {
            answer = front(&mut writer.in_flight) => writer.answered(answer),
            batch = link.listener.shared.outbox.take(), if may_send => {
                closed = batch.is_empty();
                writer.send(batch).await
            }
        };
        if let Err(over) = result {
            return over;
        }
    }
    Over::Closed
}

/// Waits for the oldest answer; for ever, if none is due.
async fn front(in_flight: &mut VecDeque<Sent>) -> (usize, usize, RedisResult<Vec<Value>>) {
    poll_fn(|cx| {
        let Some(Sent { server, count, answer }) = in_flight.front_mut() else { return Poll::Pending };
        let (server, count) = (*server, *count);
        answer.as_mut().poll(cx).map(|answer| {
            in_flight.pop_front();
            (server, count, answer)
        })
    })
    .await
}

struct Writer<'a> {
    link: &'a Link,
    /// The oldest first.
    in_flight: VecDeque<Sent>,
    /// A refusal was logged.
    complained: bool,
}

impl Writer<'_> {
    async fn send(&mut self, batch: Vec<Outgoing>) -> Result<(), Over> {
        let Link { topology, listener, publishers, .. } = self.link;
        let command = if topology.sharded { "SPUBLISH" } else { "PUBLISH" };
        let mut pipelines: Vec<Pipeline> = publishers.iter().map(|_| Pipeline::new()).collect();
        for Outgoing { channel, message } in batch {
            let channel = format!("{}{channel}", listener.prefix);
            let payload = Payload { origin: &listener.origin, message: &message };
            pipelines[topology.server_of(&channel)].cmd(command).arg(channel).arg(payload);
        }
        for (server, pipeline) in pipelines.into_iter().enumerate() {
            let count = pipeline.len();
            if count == 0 {
                continue;
            }
            add(&self.link.listener.shared.counters.commands, count);
            let mut redis = publishers[server].redis.clone();
            // Unconstrained, so that the first poll puts it into the connection's queue, behind those before it: tokio
            // might make it wait for its turn otherwise, and a later one might overtake.
            let mut answer: Pin<Box<dyn Future<Output = _> + Send>> =
                Box::pin(unconstrained(async move { redis.send_packed_commands(&pipeline, 0, count).await }));
            match poll_fn(|cx| Poll::Ready(answer.as_mut().poll(cx))).await {
                Poll::Ready(answer) => self.answered((server, count, answer))?,
                Poll::Pending => self.in_flight.push_back(Sent { server, count, answer }),
            }
        }
        Ok(())
    }

    fn answered(
        &mut self,
        (server, count, answer): (usize, usize, RedisResult<Vec<Value>>),
    ) -> Result<(), Over> {
        let connection = &self.link.publishers[server];
        let counters = &self.link.listener.shared.counters;
        let answers = match answer {
            Ok(answers) => answers,
            Err(error) => {
                add(&counters.dropped_down, count);
                return Err(Over::Redis { server: Arc::clone(&connection.server), error });
            }
        };
        connection.inbox.touch();
        let mut refused = 0;
        for answer in answers {
            if let Value::ServerError(error) = answer {
                refused += 1;
                self.refused(connection, error)?;
            }
        }
        add(&counters.published, count - refused);
        Ok(())
    }

    fn refused(&mut self, connection: &Connection, error: ServerError) -> Result<(), Over> {
        add(&self.link.listener.shared.counters.dropped_refused, 1);
        let over = OVER.contains(&error.code());
        let error = RedisError::from(error);
        if over {
            return Err(Over::Redis { server: Arc::clone(&connection.server), error });
        }
        if !std::mem::replace(&mut self.complained, true) {
            warn!(server = %connection.server, %error, "Redis refuses messages of the cluster bus");
        }
        Ok(())
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        // Whether Redis took them, nobody knows.
        let lost = self.in_flight.iter().map(|sent| sent.count).sum();
        add(&self.link.listener.shared.counters.dropped_down, lost);
    }
}

/// A message behind its bus's mark, as one argument.
struct Payload<'a> {
    origin: &'a [u8],
    message: &'a [u8],
}

impl ToRedisArgs for Payload<'_> {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        let mut argument = out.writer_for_next_arg();
        // It writes to memory, which does not fail.
        let _ = argument.write_all(self.origin);
        let _ = argument.write_all(self.message);
    }
}
