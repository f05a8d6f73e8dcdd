// What is no HTTP/1.1 request: refused with 4xx/5xx and the end of the connection, or just the end (RFC 9112, sections
// 2.2, 3, 5, 6 and 11), and never a second answer smuggled behind it.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { ENGINE, PollingSession } from '../support/engine.mjs';
import { encode, readResponse, request } from '../support/http.mjs';
import { Tcp } from '../support/tcp.mjs';
import { pause } from '../support/wait.mjs';

const handle = conformanceWithBystanders();
const target = `${ENGINE}?EIO=4&transport=polling`;
const SMUGGLED = `GET ${target}&smuggled=1 HTTP/1.1\r\nHost: x\r\n\r\n`;

/** Sends, and reads to the end of the connection: at most one answer, and that one of `statuses`. */
async function refused(bytes, statuses = [400]) {
  const tcp = await Tcp.open(handle.port);
  tcp.write(bytes);
  const everything = (await tcp.rest()).toString('latin1');
  const answers = everything.match(/^HTTP\/1\.[01] \d{3}/gm) ?? [];
  assert.ok(answers.length <= 1, `one answer at most, not ${JSON.stringify(everything)}`);
  if (answers.length === 1) {
    assert.ok(statuses.includes(Number(answers[0].slice(-3))), `one of ${statuses}, not ${JSON.stringify(everything)}`);
  } else assert.equal(everything, '', 'no answer, or an HTTP answer');
}

const head = (...lines) => [`GET ${target} HTTP/1.1`, ...lines, '', ''].join('\r\n');
const post = (...lines) => [`POST ${target}&sid=x HTTP/1.1`, 'Host: x', ...lines, '', ''].join('\r\n');

const malformed = {
  'garbage with line ends': 'hello\r\nworld\r\n\r\n',
  'zero bytes': Buffer.alloc(64),
  'a TLS ClientHello': Buffer.concat([Buffer.from('16030100c6010000c20303', 'hex'), Buffer.alloc(190, 7)]),
  'an HTTP/2 preface': ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', [400, 405, 501, 505]],
  'a version that does not exist': [head('Host: x').replace('HTTP/1.1', 'HTTP/9.9'), [400, 505]],
  'a lower-case protocol name': head('Host: x').replace('HTTP', 'http'),
  'a method with a bad character': head('Host: x').replace('GET', 'G(T'),
  'no target': 'GET  HTTP/1.1\r\nHost: x\r\n\r\n',
  'a control character in the target': head('Host: x').replace('polling', 'poll\x01ing'),
  'no Host in HTTP/1.1 (RFC 9112, 3.2)': head('User-Agent: x'),
  'a space before the colon (5.1)': head('Host: x', 'X-A : b'),
  'a header line without a colon': head('Host: x', 'broken'),
  'an empty header name': head('Host: x', ': b'),
  'a zero byte in a header value (5.5)': head('Host: x', 'X-A: a\0b'),
  'a bare CR in a header value (2.2)': head('Host: x', 'X-A: a\rb'),
  'two lengths that differ (6.3)': post('Content-Length: 1', 'Content-Length: 2') + '4' + SMUGGLED,
  'a negative length': post('Content-Length: -1') + SMUGGLED,
  'a length with a sign': post('Content-Length: +1') + '4' + SMUGGLED,
  'a length in hex': post('Content-Length: 0x1') + '4' + SMUGGLED,
  'an empty length': post('Content-Length: ') + SMUGGLED,
  'a length with two numbers': post('Content-Length: 1 2') + '4' + SMUGGLED,
  'a length of 30 digits': [post(`Content-Length: ${'9'.repeat(30)}`) + '4', [400, 413]],
  'a transfer coding that is not known (6.1)': [post('Transfer-Encoding: xchunked') + '0\r\n\r\n' + SMUGGLED, [400, 501]],
  'chunked that is not last (6.1)': [post('Transfer-Encoding: chunked, gzip') + '0\r\n\r\n' + SMUGGLED, [400, 501]],
};
for (const [what, value] of Object.entries(malformed)) {
  const [bytes, statuses] = Array.isArray(value) ? value : [value];
  check(`refused: ${what}`, () => refused(bytes, statuses));
}

check('refused: no version (HTTP/0.9)', { skipOnReference: 'its HTTP parser still speaks HTTP/0.9' }, () =>
  refused(`GET ${target}\r\n\r\n`, [400, 505]));

const brokenChunks = {
  'a chunk size that is no number': 'zz\r\nabc\r\n',
  'a chunk size beyond every limit': 'ffffffffffffffffff\r\nabc',
  'a chunk without its line end': '3\r\nabcXX0\r\n\r\n',
  'a negative chunk size': '-1\r\n\r\n',
};
for (const [what, body] of Object.entries(brokenChunks)) {
  check(`refused: ${what}`, async () => {
    const session = await PollingSession.open(handle.port);
    const bytes = [`POST ${session.target} HTTP/1.1`, 'Host: x', 'Transfer-Encoding: chunked', '', body].join('\r\n');
    await refused(bytes + SMUGGLED, [400, 413]);
  });
}

check('both Content-Length and Transfer-Encoding: refused, or chunked alone counts and the connection ends (6.3)', async () => {
  const session = await PollingSession.open(handle.port);
  const bytes = [`POST ${session.target} HTTP/1.1`, 'Host: x', 'Content-Length: 4', 'Transfer-Encoding: chunked', '',
    '2\r\n4a\r\n0\r\n\r\n'].join('\r\n');
  await refused(bytes + SMUGGLED, [200, 400]);
});

check('line folding is refused or read as spaces, never as a header of its own (5.2)', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(head('Host: x', 'X-A: b', ' Content-Length: 40', 'Connection: close'));
  const { status } = await readResponse(tcp);
  assert.ok([200, 400].includes(status), String(status));
  tcp.destroy();
});

check('a head that never ends: 431 at its limit', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n`);
  // Paced, so that the answer is not lost in a reset for what was still under way.
  for (let sent = 0; sent < 2_000_000 && tcp.buffer.length === 0 && !tcp.ended; sent += 1000) {
    tcp.write(`X-${sent}: ${'a'.repeat(988)}\r\n`);
    await pause(1);
  }
  assert.equal((await readResponse(tcp)).status, 431);
  await tcp.rest();
});

check('a request line that never ends: 414 or 431 at its limit', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(`GET ${target}&x=`);
  for (let sent = 0; sent < 2_000_000 && tcp.buffer.length === 0 && !tcp.ended; sent += 1000) {
    tcp.write('a'.repeat(1000));
    await pause(1);
  }
  const { status } = await readResponse(tcp);
  assert.ok([400, 414, 431].includes(status), String(status));
  await tcp.rest();
});

check('line ends in the query, escaped, do not reach the answer\'s head', async () => {
  for (const bad of ['%0d%0aX-Evil:%201', '%0aX-Evil:1', '%00']) {
    for (const query of [`&sid=${bad}`, `&sid=a&t=${bad}`, `&j=${bad}`]) {
      const response = await request(handle.port, { path: target + query });
      assert.equal(response.headers['x-evil'], undefined);
    }
  }
});

check('random bytes on 100 connections', async () => {
  for (let i = 0; i < 100; i++) {
    const tcp = await Tcp.open(handle.port);
    tcp.write(randomBytes(1 + Math.floor(Math.random() * 2000)));
    tcp.end();
    await tcp.rest();
  }
});

check('random damage to a right request', async () => {
  const right = encode({ path: target, headers: { 'User-Agent': 'x', Accept: '*/*' } });
  for (let i = 0; i < 200; i++) {
    const tcp = await Tcp.open(handle.port);
    const damaged = Buffer.from(right);
    for (let n = 0; n < 3; n++) damaged[Math.floor(Math.random() * damaged.length)] = Math.floor(Math.random() * 256);
    tcp.write(damaged);
    tcp.end();
    await tcp.rest();
  }
});
