//! Rate of whole connects: TCP, Engine.IO handshake, namespace connect, and the upgrade where asked. Afterwards,
//! outside of the measured window, every client makes one round trip to show that it really is connected.

use anyhow::{Context, Result, ensure};

use super::{Setup, echo::Echo};
use crate::{
    proto::payload,
    report::{Report, Window},
};

pub fn run(setup: Setup, connections: usize) -> Result<Report> {
    ensure!(connections > 0, "--connections must be positive");
    let concurrency = setup.concurrency;
    let mut report = setup.report("connect", connections, None, &format!(", {concurrency} at a time"));
    let (mut engine, server) = setup.engine()?;
    let window = Window::open(&server)?;
    engine.connect_to(connections, concurrency)?;
    window.close(&server, connections as u64, &mut report)?;

    let mut check = Echo::new(connections, 1, payload::MIN_SIZE);
    check.stop();
    for client in 0..connections {
        engine.say(client, &mut check, |check, out| check.begin(client, out))?;
    }
    engine.finish(&mut check).with_context(|| format!("{} clients got no answer", check.missing()))?;
    Ok(report)
}
