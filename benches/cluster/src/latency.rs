//! From a client on one node to a client on another, one message after the other, beside a bare PUBLISH.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::client::{Client, Said};
use crate::process::{calls, difference};
use crate::{Options, Work, median, p99, report};

pub async fn run(options: &Options, work: Work) -> Result<()> {
    let [first, second] = options.ports[..] else { anyhow::bail!("--ports names two") };
    let mut sender = Client::connect(first, 1_000_001).await?;
    let mut receiver = Client::connect(second, 1_000_002).await?;
    // Warm, and the sender known to be on one node only.
    for _ in 0..200 {
        typing(&mut sender, &mut receiver).await?;
        message(&mut sender, &mut receiver).await?;
    }
    let (mut bare, mut events, mut pushes, mut acks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut per_message = Vec::new();
    for _ in 0..options.rounds {
        bare.extend(publish(options).await?);
        for _ in 0..options.messages {
            events.push(typing(&mut sender, &mut receiver).await?);
        }
        let before = calls(&options.redis).await?;
        for _ in 0..options.messages {
            let (pushed, acked) = message(&mut sender, &mut receiver).await?;
            pushes.push(pushed);
            acks.push(acked);
        }
        let called = difference(&before, &calls(&options.redis).await?);
        per_message.push(called.get("publish").copied().unwrap_or(0) as f64 / options.messages as f64);
    }
    let after_ack: Vec<_> = pushes.iter().zip(&acks).map(|(pushed, acked)| pushed - acked).collect();
    report(
        options,
        work,
        match work {
            Work::CrossNodeBusy => "the same, of nodes with `node.busy_poll = \"200us\"`",
            _ => "one message after the other, client to client on another node",
        },
        &[
            ("publish_median_us", median(bare.clone())),
            ("publish_p99_us", p99(bare)),
            ("typing_median_us", median(events.clone())),
            ("typing_p99_us", p99(events)),
            ("send_message_median_us", median(pushes.clone())),
            ("send_message_p99_us", p99(pushes)),
            ("send_message_to_its_ack_median_us", median(acks.clone())),
            ("send_message_to_its_ack_p99_us", p99(acks)),
            ("push_after_ack_median_us", median(after_ack)),
            ("redis_commands_per_message", median(per_message)),
        ],
        "publish: a bare Redis PUBLISH to a subscriber, the floor; typing: an event that is not stored",
    );
    Ok(())
}

async fn typing(sender: &mut Client, receiver: &mut Client) -> Result<f64> {
    let start = Instant::now();
    sender.emit(None, "typing", &json!({ "targetId": 1_000_002, "targetType": 1 })).await?;
    receiver.event("user_typing").await?;
    Ok(start.elapsed().as_secs_f64() * 1e6)
}

/// Until it was pushed, and until it was acked.
async fn message(sender: &mut Client, receiver: &mut Client) -> Result<(f64, f64)> {
    let start = Instant::now();
    let payload = json!({ "toUserId": 1_000_002, "messageType": 1, "content": "x".repeat(64) });
    sender.emit(Some(1), "send_message", &payload).await?;
    let (pushed, acked) = tokio::join!(
        async {
            receiver.event("private_message").await?;
            anyhow::Ok(start.elapsed())
        },
        async {
            loop {
                if let Said::Ack(answer) = sender.next().await? {
                    ensure!(answer["success"] == Value::Bool(true), "refused: {answer}");
                    return Ok(start.elapsed());
                }
            }
        }
    );
    Ok((pushed?.as_secs_f64() * 1e6, acked?.as_secs_f64() * 1e6))
}

/// Round trips of a PUBLISH: on one connection out, on another one in.
async fn publish(options: &Options) -> Result<Vec<f64>> {
    let client = redis::Client::open(options.redis.as_str())?;
    let mut out = client.get_multiplexed_async_connection().await?;
    let mut subscriber = client.get_async_pubsub().await?;
    subscriber.subscribe("bench").await?;
    let mut messages = subscriber.on_message();
    let mut all = Vec::new();
    for _ in 0..options.messages {
        let start = Instant::now();
        let mut publish = redis::cmd("PUBLISH");
        publish.arg("bench").arg("x".repeat(300));
        let (sent, got) = tokio::join!(publish.query_async::<i64>(&mut out), messages.next());
        sent?;
        got.context("the subscription is over")?;
        all.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(all)
}
