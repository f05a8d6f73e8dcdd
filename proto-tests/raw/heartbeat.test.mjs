// The heartbeat (Engine.IO protocol, "Heartbeat"): the server pings every 300 ms, and closes a session whose pong is
// not there 200 ms later, whatever else the client says.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { ENGINE, PollingSession, SOCKET, openWebSocketSession } from '../support/engine.mjs';
import { OP } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();

check('websocket: a client that answers stays, over several intervals', async () => {
  const ws = await openWebSocketSession(handle.port);
  for (let i = 0; i < 4; i++) {
    const { opcode, payload } = await ws.frame();
    assert.deepEqual([opcode, payload.toString()], [OP.TEXT, '2']);
    ws.text('3');
  }
  ws.text('4still here');
  await ws.expect('4still here');
  ws.destroy();
});

check('polling: a client that answers stays, over several intervals', async () => {
  const session = await PollingSession.open(handle.port);
  for (let i = 0; i < 4; i++) {
    assert.equal((await session.get()).text, '2');
    await session.send('3');
  }
  await session.assertAlive();
});

check('websocket: a client that does not answer is closed', async () => {
  const ws = await openWebSocketSession(handle.port, ENGINE, { heartbeat: false });
  await ws.closed();
});

check('websocket: a client that talks but does not answer is closed', async () => {
  const ws = await openWebSocketSession(handle.port, ENGINE, { heartbeat: false });
  const talk = setInterval(() => { ws.text('4talk'); ws.send(OP.PING); }, 20);
  try {
    await ws.closed();
  } finally {
    clearInterval(talk);
  }
});

check('polling: a client that polls but does not answer is closed', async () => {
  const session = await PollingSession.open(handle.port);
  let response;
  let pings = 0;
  do {
    response = await session.get();
    if (response.text === '2') pings += 1;
  } while (response.status === 200);
  assert.equal(pings, 1);
  assert.deepEqual(response.json(), { code: 1, message: 'Session ID unknown' });
});

check('polling: a client that never comes back is forgotten', async () => {
  const session = await PollingSession.open(handle.port);
  let response;
  // A method that is refused on a live session (see polling.test.mjs) asks after it without serving its heartbeat.
  do response = await session.get({ method: 'PUT', body: '' }); while (!response.text.includes('"code":1'));
  assert.equal(response.status, 400);
});

check('Socket.IO on both transports is closed in the same way', async () => {
  const ws = await openWebSocketSession(handle.port, SOCKET, { heartbeat: false });
  ws.text('40');
  await ws.closed();
  const session = await PollingSession.open(handle.port, SOCKET);
  await session.send('40');
  let response;
  do response = await session.get(); while (response.status === 200);
  assert.deepEqual(response.json(), { code: 1, message: 'Session ID unknown' });
});
