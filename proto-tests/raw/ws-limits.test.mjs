// maxPayload on WebSocket (1,000,000 bytes in `conformance`): a message over it closes with 1009, and a claimed length is
// judged before its bytes come (RFC 6455, 7.4.1).
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { openWebSocketSession } from '../support/engine.mjs';
import { OP, frame } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();
const MAX = 1_000_000;
const open = () => openWebSocketSession(handle.port);

check('text and binary of exactly the limit', async () => {
  const ws = await open();
  ws.text(`4${'x'.repeat(MAX - 1)}`);
  assert.equal((await ws.receive()).length, MAX);
  ws.binary(Buffer.alloc(MAX, 7));
  assert.equal((await ws.receiveBinary()).length, MAX);
  ws.destroy();
});

check('the limit in fragments', async () => {
  const ws = await open();
  const half = Buffer.alloc(MAX / 2, 120);
  ws.send(OP.BINARY, half, { fin: false });
  ws.send(OP.CONTINUATION, half);
  assert.equal((await ws.receiveBinary()).length, MAX);
  ws.destroy();
});

for (const length of [MAX + 1, 2 ** 32, 2 ** 40, 2 ** 53, 2n ** 63n - 1n]) {
  check(`a claimed length of ${length}: 1009 without its data`, async () => {
    const ws = await open();
    ws.write(frame(OP.BINARY, '', { length }));
    assert.equal((await ws.closed()).code, 1009);
    await ws.tcp.rest();
  });
}

check('a length with its highest bit set: 1002 or 1009 (5.2)', async () => {
  const ws = await open();
  ws.write(frame(OP.BINARY, '', { length: 2n ** 64n - 1n }));
  assert.ok([1002, 1009].includes((await ws.closed()).code));
});

check('fragments that add up to more than the limit: 1009', async () => {
  const ws = await open();
  ws.send(OP.BINARY, Buffer.alloc(MAX / 2), { fin: false });
  ws.send(OP.CONTINUATION, Buffer.alloc(MAX / 2), { fin: false });
  ws.write(frame(OP.CONTINUATION, '', { length: 1, fin: false }));
  assert.equal((await ws.closed()).code, 1009);
});

check('fragments without end and without bytes', async () => {
  const ws = await open();
  ws.send(OP.TEXT, '4', { fin: false });
  ws.write(Buffer.concat(Array(5000).fill(frame(OP.CONTINUATION, '', { fin: false }))));
  ws.send(OP.CONTINUATION, 'end');
  await ws.expect('4end');
  ws.destroy();
});
