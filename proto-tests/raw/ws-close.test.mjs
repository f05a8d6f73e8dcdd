// The closing handshake (RFC 6455, sections 5.5.1 and 7).
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { ENGINE, openWebSocketSession } from '../support/engine.mjs';
import { request } from '../support/http.mjs';
import { OP, frame } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();
const open = () => openWebSocketSession(handle.port);
const closeFrame = (code, reason = '') => frame(OP.CLOSE, Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]));

for (const code of [1000, 1001, 1002, 1003, 1007, 1011, 1012, 3000, 4999]) {
  check(`a close with ${code} is echoed, and the server ends the connection`, async () => {
    const ws = await open();
    ws.write(closeFrame(code, 'bye €'));
    assert.equal((await ws.closed()).code, code);
    await ws.tcp.rest();
  });
}

check('a close without a code is answered, and the server ends the connection', async () => {
  const ws = await open();
  ws.send(OP.CLOSE);
  assert.ok([1000, 1005].includes((await ws.closed()).code));
  await ws.tcp.rest();
});

for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65_535]) {
  check(`a close with ${code}, which may not be sent: 1002 (7.4)`, async () => {
    const ws = await open();
    ws.write(closeFrame(code));
    assert.equal((await ws.closed()).code, 1002);
  });
}

check('a close with half a code: 1002', async () => {
  const ws = await open();
  ws.send(OP.CLOSE, Buffer.of(3));
  assert.equal((await ws.closed()).code, 1002);
});

check('what comes after the close frame is not answered', async () => {
  const ws = await open();
  ws.write(Buffer.concat([frame(OP.TEXT, '4before'), closeFrame(1000), frame(OP.TEXT, '4after'), frame(OP.PING, 'after')]));
  const { before, code } = await ws.closed();
  assert.equal(code, 1000);
  assert.deepEqual(before.filter((text) => text === '4after'), []);
});

check('the session is gone after a close, and after an end without one', async () => {
  for (const leave of [(ws) => ws.write(closeFrame(1000)), (ws) => ws.tcp.end(), (ws) => ws.tcp.socket.resetAndDestroy()]) {
    const ws = await open();
    leave(ws);
    if (!ws.tcp.socket.destroyed) await ws.tcp.rest();
    const path = `${ENGINE}?EIO=4&transport=websocket&sid=${ws.handshake.sid}`;
    for (;;) {
      const { status, text } = await request(handle.port, { path });
      assert.equal(status, 400);
      if (JSON.parse(text).code === 1) break;
    }
  }
});
