// The upgrade from polling to WebSocket (Engine.IO protocol, "Upgrade"): the probe, what is under way meanwhile, and
// probes that come to nothing.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { ENGINE, PollingSession, SEPARATOR } from '../support/engine.mjs';
import { readResponse, request } from '../support/http.mjs';
import { OP, RawWebSocket, upgradeHeaders } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();
const open = () => PollingSession.open(handle.port);

async function assertEchoes(ws) {
  const text = `4echo ${Math.random()}`;
  ws.text(text);
  await ws.expect(text);
}

check('probe, upgrade, and then messages on the WebSocket', async () => {
  const session = await open();
  const ws = await session.upgrade();
  ws.text('4text');
  await ws.expect('4text');
  ws.binary(Buffer.of(1, 2, 3));
  assert.deepEqual([...await ws.receiveBinary()], [1, 2, 3]);
  ws.destroy();
});

check('the heartbeat goes on on the WebSocket', async () => {
  const session = await open();
  const ws = await session.upgrade();
  for (let i = 0; i < 4; i++) {
    const { payload } = await ws.frame();
    assert.equal(payload.toString(), '2');
    ws.text('3');
  }
  await assertEchoes(ws);
  ws.destroy();
});

check('a poll that waits is answered with a noop when the upgrade comes', async () => {
  const session = await open();
  const poll = await session.begin();
  const ws = await session.openWebSocket();
  ws.text('2probe');
  await ws.expect('3probe');
  const { status, text } = await readResponse(poll);
  assert.equal(status, 200);
  assert.ok(['6', '2'].includes(text), `a noop (or a ping that was just due), not ${text}`);
  if (text === '2') await session.send('3');
  ws.text('5');
  await assertEchoes(ws);
  ws.destroy();
});

check('a poll that still waits when the upgrade is complete is let go', async () => {
  const session = await open();
  const ws = await session.openWebSocket();
  ws.text('2probe');
  await ws.expect('3probe');
  const poll = await session.begin();
  ws.text('5');
  const { status, text } = await readResponse(poll);
  // Polls that come after the upgrade are refused; which of the two this one was is a race.
  if (status === 200) assert.ok(['6', '2', '1'].includes(text), text);
  else assert.equal(status, 400);
  ws.destroy();
});

check('what waits for a poll is delivered on the WebSocket, in order and once', async () => {
  const session = await open();
  await session.send('4a', '4b', 'bAQI=');
  const ws = await session.openWebSocket();
  ws.text('2probe');
  await ws.expect('3probe');
  await session.send('4c');
  ws.text('5');
  ws.text('4d');
  await ws.expect('4a', '4b');
  assert.deepEqual([...await ws.receiveBinary()], [1, 2]);
  await ws.expect('4c', '4d');
  ws.destroy();
});

check('a poll under way during the probe: each message once, in order, by one way or the other', async () => {
  const session = await open();
  const ws = await session.openWebSocket();
  ws.text('2probe');
  await ws.expect('3probe');
  const got = [];
  for (let i = 0; i < 10; i++) {
    const poll = await session.begin();
    await session.send(`4${i}`);
    for (const packet of (await readResponse(poll)).text.split(SEPARATOR)) {
      if (packet === '2') await session.send('3');
      else if (packet !== '6') got.push(packet);
    }
  }
  ws.text('5');
  ws.text('4end');
  for (;;) {
    const packet = await ws.receive();
    if (packet === '4end') break;
    got.push(packet);
  }
  assert.deepEqual(got, Array.from({ length: 10 }, (_, i) => `4${i}`));
  ws.destroy();
});

check('polling after the upgrade: error 3, and the session lives on', async () => {
  const session = await open();
  const ws = await session.upgrade();
  await assertEchoes(ws);
  for (const response of [await session.get(), await session.post('4no')]) {
    assert.equal(response.status, 400);
    assert.deepEqual(response.json(), { code: 3, message: 'Bad request' });
  }
  await assertEchoes(ws);
  ws.destroy();
});

check('a second probe while one is pending is closed, and the first goes on', async () => {
  const session = await open();
  const first = await session.openWebSocket();
  first.text('2probe');
  await first.expect('3probe');
  const second = await RawWebSocket.openIfAllowed(handle.port, session.upgradeTarget);
  if (second) await second.closed();
  first.text('5');
  await assertEchoes(first);
  first.destroy();
});

check('a WebSocket for a session that is already upgraded is closed, and the session lives on', async () => {
  const session = await open();
  const ws = await session.upgrade();
  await assertEchoes(ws);
  const second = await RawWebSocket.openIfAllowed(handle.port, session.upgradeTarget);
  if (second) {
    second.text('2probe');
    const { before } = await second.closed();
    assert.deepEqual(before, []);
  }
  await assertEchoes(ws);
  ws.destroy();
});

check('a probe that never says a word leaves polling working', async () => {
  const session = await open();
  const ws = await session.openWebSocket();
  await session.assertAlive();
  ws.destroy();
});

const abandonments = {
  'ends before the probe': async () => {},
  'ends after the probe': async (ws) => { ws.text('2probe'); await ws.expect('3probe'); },
  'closes properly after the probe': async (ws) => {
    ws.text('2probe');
    await ws.expect('3probe');
    ws.send(OP.CLOSE, Buffer.of(3, 232));
    await ws.closed();
  },
};
for (const [what, act] of Object.entries(abandonments)) {
  check(`a probe that ${what} leaves polling working, and a later upgrade too`, async () => {
    const session = await open();
    const ws = await session.openWebSocket();
    await act(ws);
    ws.destroy();
    await session.assertAlive();
    // The server may notice the end of the first only after the second has come: then that one is closed, and a later one is not.
    for (;;) {
      const next = await RawWebSocket.openIfAllowed(handle.port, session.upgradeTarget);
      next?.text('2probe');
      const answer = await next?.next().catch(() => null);
      if (answer?.payload.toString() !== '3probe') continue;
      next.text('5');
      await assertEchoes(next);
      next.destroy();
      return;
    }
  });
}

for (const [what, send] of Object.entries({
  'a message': (ws) => ws.text('4not yet'),
  'a ping that is no probe': (ws) => ws.text('2'),
  'another word than probe': (ws) => ws.text('2prob'),
  'an unknown packet': (ws) => ws.text('xyz'),
  'binary data': (ws) => ws.binary(Buffer.of(1)),
  'a frame that breaks the rules': (ws) => ws.send(3, 'x'),
})) {
  check(`a probe that begins with ${what} is closed, and polling goes on`, async () => {
    const session = await open();
    const ws = await session.openWebSocket();
    send(ws);
    await ws.closed();
    await session.assertAlive();
  });
}

check('the session\'s end ends the probe', async () => {
  const session = await open();
  const ws = await session.openWebSocket();
  ws.text('2probe');
  await ws.expect('3probe');
  await session.send('1');
  await ws.closed();
  await session.assertGone();
});

check('an upgrade with an unknown sid: 400 Session ID unknown', async () => {
  const response = await request(handle.port, { path: `${ENGINE}?EIO=4&transport=websocket&sid=nobody`, headers: upgradeHeaders });
  assert.equal(response.status, 400);
  assert.match(response.text, /Session ID unknown/);
});

check('an upgrade request that says transport=polling changes nothing', async () => {
  const session = await open();
  const ws = await RawWebSocket.openIfAllowed(handle.port, session.target);
  if (ws) await ws.closed();
  await session.assertAlive();
});

check('a session that began as WebSocket can\'t be taken over with its sid', async () => {
  const { openWebSocketSession } = await import('../support/engine.mjs');
  const ws = await openWebSocketSession(handle.port);
  const thief = await RawWebSocket.openIfAllowed(handle.port, `${ENGINE}?EIO=4&transport=websocket&sid=${ws.handshake.sid}`);
  thief?.text('4mine');
  if (thief) await thief.closed();
  await assertEchoes(ws);
  ws.destroy();
});
