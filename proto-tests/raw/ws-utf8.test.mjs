// Text frames hold UTF-8 (RFC 6455, 8.1 and RFC 3629): valid text in any cut, invalid text closes with 1007.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { openWebSocketSession } from '../support/engine.mjs';
import { OP, frame } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();
const open = () => openWebSocketSession(handle.port);

const valid = ['', '\0', 'é', '€', '😀', '\u07ff\u0800', '\ud7ff\ue000', '\ufffe\uffff', '\u{10ffff}', 'e\u0301', '\u2028\u2029', '\ufeffbom'];
check('valid text, whole and cut at every byte', async () => {
  const ws = await open();
  const text = `4${valid.join('|')}`;
  const bytes = Buffer.from(text);
  ws.text(text);
  await ws.expect(text);
  for (let cut = 1; cut < bytes.length; cut++) {
    ws.write(Buffer.concat([frame(OP.TEXT, bytes.subarray(0, cut), { fin: false }), frame(OP.CONTINUATION, bytes.subarray(cut))]));
    await ws.expect(text);
  }
  ws.destroy();
});

const invalid = {
  'a lone continuation byte': [0x80],
  'a byte that never occurs': [0xff],
  'a first byte without its second': [0xc3],
  'a character cut short': [0xe2, 0x82],
  'a first byte followed by ASCII': [0xe2, 0x28, 0xa1],
  'an overlong slash of two bytes': [0xc0, 0xaf],
  'an overlong slash of three bytes': [0xe0, 0x80, 0xaf],
  'an overlong zero': [0xc0, 0x80],
  'a surrogate': [0xed, 0xa0, 0x80],
  'a pair of surrogates': [0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80],
  'a code point above U+10FFFF': [0xf4, 0x90, 0x80, 0x80],
  'a sequence of five bytes': [0xf8, 0x88, 0x80, 0x80, 0x80],
};
for (const [what, bytes] of Object.entries(invalid)) {
  check(`closed with 1007: ${what}`, async () => {
    const payload = Buffer.concat([Buffer.from('4abc'), Buffer.from(bytes)]);
    const whole = await open();
    whole.send(OP.TEXT, payload);
    assert.equal((await whole.closed()).code, 1007);

    const cut = await open();
    cut.send(OP.TEXT, payload.subarray(0, 5), { fin: false });
    cut.send(OP.PING, 'between');
    cut.send(OP.CONTINUATION, payload.subarray(5));
    assert.equal((await cut.closed()).code, 1007);
  });
}

check('the reason of a close frame is UTF-8 too (5.5.1)', async () => {
  const ws = await open();
  ws.send(OP.CLOSE, Buffer.of(0x03, 0xe8, 0xff, 0xfe));
  assert.equal((await ws.closed()).code, 1007);
});

check('binary frames may hold anything', async () => {
  const ws = await open();
  const bytes = Buffer.from(Object.values(invalid).flat());
  ws.binary(bytes);
  assert.ok(bytes.equals(await ws.receiveBinary()));
  ws.destroy();
});
