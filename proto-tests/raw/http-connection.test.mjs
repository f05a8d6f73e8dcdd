// How HTTP/1.1 connections are kept, shared and ended (RFC 9112, section 9).
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { ENGINE, PollingSession } from '../support/engine.mjs';
import { encode, readResponse, request } from '../support/http.mjs';
import { Tcp } from '../support/tcp.mjs';

const handle = conformanceWithBystanders();
const handshake = { path: `${ENGINE}?EIO=4&transport=polling` };

check('many requests, of several sessions, one after the other on one connection', async () => {
  const sessions = [await PollingSession.open(handle.port), await PollingSession.open(handle.port)];
  const tcp = await Tcp.open(handle.port);
  for (let i = 0; i < 4; i++) {
    for (const session of sessions) {
      tcp.write(encode({ method: 'POST', path: session.target, body: `4${i} ${session.sid}` }));
      assert.equal((await readResponse(tcp)).text, 'ok');
      tcp.write(encode({ path: session.target }));
      const packets = (await readResponse(tcp)).text.split('\x1e').filter((packet) => packet !== '2');
      assert.deepEqual(packets, [`4${i} ${session.sid}`]);
    }
  }
  tcp.destroy();
});

check('pipelined requests are answered in order', async () => {
  const session = await PollingSession.open(handle.port);
  const tcp = await Tcp.open(handle.port);
  tcp.write(Buffer.concat([
    encode({ method: 'POST', path: session.target, body: '4pipelined' }),
    encode({ path: session.target }),
    encode(handshake),
    encode({ path: '/nope' }),
  ]));
  assert.equal((await readResponse(tcp)).text, 'ok');
  assert.equal((await readResponse(tcp)).text, '4pipelined');
  assert.equal((await readResponse(tcp)).text[0], '0');
  assert.equal((await readResponse(tcp)).status, 404);
  tcp.destroy();
});

check('a request pipelined behind a waiting poll does not overtake it', async () => {
  const session = await PollingSession.open(handle.port);
  const tcp = await session.begin();
  tcp.write(encode({ path: '/nope' }));
  await session.send('4late');
  const first = await readResponse(tcp);
  assert.equal(first.status, 200);
  assert.match(first.text, /4late|^2$/);
  assert.equal((await readResponse(tcp)).status, 404);
  tcp.destroy();
});

check('Connection: close ends the connection after the answer', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(encode({ ...handshake, headers: { Connection: 'close' } }));
  const response = await readResponse(tcp);
  assert.equal(response.status, 200);
  assert.match(response.headers.connection ?? '', /close/i);
  assert.equal((await tcp.rest()).length, 0);
});

check('HTTP/1.0: answered without chunks, and the connection ends', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(encode({ ...handshake, version: '1.0' }));
  const response = await readResponse(tcp);
  assert.equal(response.status, 200);
  assert.equal(response.headers['transfer-encoding'], undefined);
  assert.equal(response.text[0], '0');
  assert.equal((await tcp.rest()).length, 0);
});

check('a head that comes byte by byte', async () => {
  const tcp = await Tcp.open(handle.port);
  await tcp.writeSlowly(encode({ ...handshake, headers: { 'User-Agent': 'slow' } }));
  assert.equal((await readResponse(tcp)).text[0], '0');
  tcp.destroy();
});

check('a body that comes byte by byte', async () => {
  const session = await PollingSession.open(handle.port);
  const tcp = await Tcp.open(handle.port);
  await tcp.writeSlowly(encode({ method: 'POST', path: session.target, body: '4slow €' }));
  assert.equal((await readResponse(tcp)).text, 'ok');
  await session.expect('4slow €');
  tcp.destroy();
});

check('an empty line before the request line is passed over (RFC 9112, 2.2)', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(Buffer.concat([Buffer.from('\r\n'), encode(handshake)]));
  assert.equal((await readResponse(tcp)).status, 200);
  tcp.destroy();
});

check('an absolute-form target is understood (RFC 9112, 3.2.2)', {
  skipOnReference: 'matches the path only at the start of the target',
}, async () => {
  const response = await request(handle.port, { path: `http://localhost${handshake.path}` });
  assert.equal(response.status, 200);
});

check('Expect: 100-continue gets its answer, with or without the interim one', async () => {
  const session = await PollingSession.open(handle.port);
  const response = await session.post('4expected', { headers: { Expect: '100-continue' } });
  assert.equal(response.text, 'ok');
  await session.expect('4expected');
});

check('connections that open and end without a word disturb no one', async () => {
  for (let i = 0; i < 50; i++) {
    const tcp = await Tcp.open(handle.port);
    if (i % 2) tcp.write('GET ');
    if (i % 3) tcp.destroy(); else tcp.end();
  }
});

check('every answer of the server says when it was given (RFC 9110, 6.6.1)', async () => {
  for (const options of [handshake, { path: '/nope' }, { path: `${ENGINE}?EIO=3&transport=polling` }, { ...handshake, method: 'OPTIONS' }]) {
    const { headers, status } = await request(handle.port, options);
    const date = headers.date;
    assert.match(date ?? '', /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT$/, `${options.path}: ${status}`);
    assert.ok(Math.abs(Date.parse(date) - Date.now()) < 3_600_000, date);
  }
});
