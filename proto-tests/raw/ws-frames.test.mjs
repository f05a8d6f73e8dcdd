// WebSocket framing (RFC 6455, section 5): what is allowed works however it is cut, what is not closes with 1002.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { openWebSocketSession } from '../support/engine.mjs';
import { OP, frame } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();
const open = () => openWebSocketSession(handle.port);

check('text and binary of every length class come back', async () => {
  const ws = await open();
  for (const length of [0, 1, 123, 124, 125, 126, 127, 65_533, 65_534, 65_535, 65_536, 200_000]) {
    ws.text(`4${'x'.repeat(length)}`);
    await ws.expect(`4${'x'.repeat(length)}`);
    const bytes = Buffer.alloc(length, 0xfe);
    ws.binary(bytes);
    assert.ok(bytes.equals(await ws.receiveBinary()), `${length} bytes`);
  }
  ws.destroy();
});

check('a frame cut into single bytes', async () => {
  const ws = await open();
  await ws.tcp.writeSlowly(frame(OP.TEXT, '4one byte at a time €'));
  await ws.expect('4one byte at a time €');
  await ws.tcp.writeSlowly(frame(OP.BINARY, 'x'.repeat(130)));
  assert.equal((await ws.receiveBinary()).length, 130);
  ws.destroy();
});

check('many frames in one segment', async () => {
  const ws = await open();
  const count = 300;
  ws.write(Buffer.concat(Array.from({ length: count }, (_, i) => frame(OP.TEXT, `4${i}`))));
  for (let i = 0; i < count; i++) await ws.expect(`4${i}`);
  ws.destroy();
});

check('a fragmented text, with a character cut in two and a ping in between', async () => {
  const ws = await open();
  const bytes = Buffer.from('4a€b');
  ws.send(OP.TEXT, bytes.subarray(0, 3), { fin: false });
  ws.send(OP.PING, 'between');
  ws.send(OP.CONTINUATION, bytes.subarray(3, 4), { fin: false });
  ws.send(OP.CONTINUATION, '', { fin: false });
  ws.send(OP.CONTINUATION, bytes.subarray(4));
  const pong = await ws.next();
  assert.deepEqual([pong.opcode, pong.payload.toString()], [OP.PONG, 'between']);
  await ws.expect('4a€b');
  ws.destroy();
});

check('a fragmented binary message of 1,000 fragments', async () => {
  const ws = await open();
  const parts = Array.from({ length: 1000 }, (_, i) => Buffer.alloc(i % 7, i));
  ws.write(Buffer.concat(parts.map((part, i) => frame(i === 0 ? OP.BINARY : OP.CONTINUATION, part, { fin: i === 999 }))));
  assert.ok(Buffer.concat(parts).equals(await ws.receiveBinary()));
  ws.destroy();
});

check('a ping gets a pong with the same payload', async () => {
  const ws = await open();
  for (const payload of [Buffer.alloc(0), Buffer.from('hi'), Buffer.alloc(125, 0xff)]) {
    ws.send(OP.PING, payload);
    const { opcode, payload: back } = await ws.next();
    assert.equal(opcode, OP.PONG);
    assert.ok(payload.equals(back));
  }
  ws.destroy();
});

check('a pong that nobody asked for is passed over (5.5.3)', async () => {
  const ws = await open();
  ws.send(OP.PONG, 'unasked');
  ws.text('4after');
  await ws.expect('4after');
  ws.destroy();
});

const violations = {
  'an unmasked text frame (5.1)': [frame(OP.TEXT, '4hello', { masked: false })],
  'an unmasked ping': [frame(OP.PING, 'x', { masked: false })],
  'a control frame over 125 bytes (5.5)': [frame(OP.PING, 'x'.repeat(126))],
  'a close frame over 125 bytes': [frame(OP.CLOSE, Buffer.concat([Buffer.of(3, 232), Buffer.alloc(124, 97)]))],
  'a fragmented ping (5.5)': [frame(OP.PING, 'x', { fin: false })],
  'a fragmented close': [frame(OP.CLOSE, '', { fin: false })],
  'a continuation of nothing (5.4)': [frame(OP.CONTINUATION, 'x')],
  'a last continuation of nothing': [frame(OP.CONTINUATION, 'x', { fin: false })],
  'a text frame inside a fragmented message (5.4)': [frame(OP.TEXT, '4a', { fin: false }), frame(OP.TEXT, '4b')],
  'a binary frame inside a fragmented message': [frame(OP.TEXT, '4a', { fin: false }), frame(OP.BINARY, 'b')],
  'a continuation after the message ended': [frame(OP.TEXT, '4a', { fin: false }), frame(OP.CONTINUATION, 'b'), frame(OP.CONTINUATION, 'c')],
};
for (const rsv of [1, 2, 4, 7]) violations[`reserved bits ${rsv.toString(2).padStart(3, '0')} (5.2)`] = [frame(OP.TEXT, '4x', { rsv })];
for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) violations[`reserved opcode ${opcode} (5.2)`] = [frame(opcode, 'x')];

for (const [what, frames] of Object.entries(violations)) {
  check(`closed with 1002: ${what}`, async () => {
    const ws = await open();
    ws.write(Buffer.concat(frames));
    const { code } = await ws.closed();
    assert.equal(code, 1002);
    await ws.tcp.rest();
  });
}

check('a violation is judged by the frame\'s head, without waiting for its payload', async () => {
  const ws = await open();
  ws.write(frame(3, 'x'.repeat(100)).subarray(0, 2));
  assert.equal((await ws.closed()).code, 1002);
});

check('what follows a violation in the same segment is not delivered', async () => {
  const ws = await open();
  ws.write(Buffer.concat([frame(OP.TEXT, '4before'), frame(3, 'x'), frame(OP.TEXT, '4after')]));
  const { code, before } = await ws.closed();
  assert.equal(code, 1002);
  assert.deepEqual(before.filter((text) => text === '4after'), []);
});

check('frames cut off by the end of the connection', async () => {
  const whole = frame(OP.TEXT, `4${'x'.repeat(300)}`);
  for (const length of [1, 2, 3, 4, 7, 8, 9, 100, whole.length - 1]) {
    const ws = await open();
    ws.write(whole.subarray(0, length));
    ws.tcp.end();
  }
  const ws = await open();
  ws.send(OP.TEXT, '4never finished', { fin: false });
  ws.destroy();
});
