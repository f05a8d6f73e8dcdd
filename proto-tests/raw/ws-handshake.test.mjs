// The WebSocket opening handshake (RFC 6455, section 4.2).
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { ENGINE } from '../support/engine.mjs';
import { encode, readResponse, request } from '../support/http.mjs';
import { Tcp } from '../support/tcp.mjs';
import { RawWebSocket, upgradeHeaders } from '../support/websocket.mjs';

const handle = conformanceWithBystanders();
const path = `${ENGINE}?EIO=4&transport=websocket`;
const upgrade = (headers, options = {}) => request(handle.port, { path, headers: { ...upgradeHeaders, ...headers }, ...options });

check('the accept key, for a key of the client\'s own', async () => {
  const key = Buffer.from('0123456789abcdef').toString('base64');
  const tcp = await Tcp.open(handle.port);
  tcp.write(encode({ path, headers: { ...upgradeHeaders, 'Sec-WebSocket-Key': key } }));
  const { status, headers } = await readResponse(tcp);
  assert.equal(status, 101);
  assert.equal(headers.upgrade.toLowerCase(), 'websocket');
  assert.match(headers.connection, /upgrade/i);
  const expected = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  assert.equal(headers['sec-websocket-accept'], expected);
  assert.equal(headers['sec-websocket-extensions'], undefined, 'nothing was offered');
  assert.equal(headers['sec-websocket-protocol'], undefined, 'nothing was offered');
  tcp.destroy();
});

for (const version of ['0', '7', '12', '14', '99', '', 'abc', '013x']) {
  check(`version ${version || '(empty)'}: 426 or 400, naming 13 (4.4)`, async () => {
    const response = await upgrade({ 'Sec-WebSocket-Version': version });
    assert.ok([400, 426].includes(response.status), String(response.status));
    assert.match(response.headers['sec-websocket-version'], /\b13\b/);
  });
}

for (const key of ['', 'abc', 'dGhlIHNhbXBsZSBub25jZQ', `${Buffer.alloc(15).toString('base64')}`,
  `${Buffer.alloc(17).toString('base64')}`, '!!!!!!!!!!!!!!!!!!!!!!==', 'x'.repeat(5000)]) {
  check(`key ${JSON.stringify(key.slice(0, 30))}: 400`, async () => {
    assert.equal((await upgrade({ 'Sec-WebSocket-Key': key })).status, 400);
  });
}

check('the first subprotocol that is offered is chosen (4.2.2)', async () => {
  for (const [offered, chosen] of [['chat', 'chat'], ['v1.chat, other', 'v1.chat']]) {
    const tcp = await Tcp.open(handle.port);
    tcp.write(encode({ path, headers: { ...upgradeHeaders, 'Sec-WebSocket-Protocol': offered } }));
    const { status, headers } = await readResponse(tcp);
    assert.deepEqual([status, headers['sec-websocket-protocol']], [101, chosen]);
    tcp.destroy();
  }
});

check('no key: 400', async () => {
  const { 'Sec-WebSocket-Key': _, ...headers } = upgradeHeaders;
  assert.equal((await request(handle.port, { path, headers })).status, 400);
});

check('no version: 400 or 426', async () => {
  const { 'Sec-WebSocket-Version': _, ...headers } = upgradeHeaders;
  assert.ok([400, 426].includes((await request(handle.port, { path, headers })).status));
});

check('another protocol in Upgrade: no 101', async () => {
  for (const protocol of ['h2c', 'websockets', 'TLS/1.0']) {
    const response = await upgrade({ Upgrade: protocol });
    assert.equal(response.status, 400, protocol);
  }
});

check('POST with upgrade headers: no 101', async () => {
  const response = await upgrade({}, { method: 'POST', body: '' });
  assert.ok([400, 405].includes(response.status), String(response.status));
});

check('header names and tokens in any case, Connection as a list', async () => {
  const ws = await RawWebSocket.open(handle.port, path, {
    headers: { Connection: 'keep-alive, UPGRADE', Upgrade: 'WebSocket', Origin: 'https://chat.example.org' },
  });
  assert.match(await ws.receive(), /^0\{/);
  ws.destroy();
});

check('frames sent in the same segment as the handshake are not lost', async () => {
  const tcp = await Tcp.open(handle.port);
  const { frame, OP } = await import('../support/websocket.mjs');
  tcp.write(Buffer.concat([encode({ path, headers: upgradeHeaders }), frame(OP.TEXT, '4early')]));
  assert.equal((await readResponse(tcp)).status, 101);
  const ws = new RawWebSocket(tcp, true);
  assert.match(await ws.receive(), /^0\{/);
  await ws.expect('4early');
  ws.destroy();
});

check('extension offers: declined, or permessage-deflate with right parameters (RFC 7692)', async () => {
  for (const offer of ['permessage-deflate; client_max_window_bits', 'x-unknown', 'permessage-deflate; server_max_window_bits=99']) {
    const tcp = await Tcp.open(handle.port);
    tcp.write(encode({ path, headers: { ...upgradeHeaders, 'Sec-WebSocket-Extensions': offer } }));
    const { status, headers } = await readResponse(tcp);
    if (status === 101) {
      assert.ok([undefined].includes(headers['sec-websocket-extensions'])
        || /^permessage-deflate/.test(headers['sec-websocket-extensions']) && offer.startsWith('permessage-deflate; client'),
      `answer ${headers['sec-websocket-extensions']} to ${offer}`);
    } else assert.equal(status, 400);
    tcp.destroy();
  }
});

check('the handshake byte by byte', async () => {
  const tcp = await Tcp.open(handle.port);
  await tcp.writeSlowly(encode({ path, headers: upgradeHeaders }));
  assert.equal((await readResponse(tcp)).status, 101);
  tcp.destroy();
});

check('CORS header on the upgrade answer is allowed, cookies are not set unasked', async () => {
  const tcp = await Tcp.open(handle.port);
  tcp.write(encode({ path, headers: { ...upgradeHeaders, Origin: 'https://chat.example.org' } }));
  const { status, headers } = await readResponse(tcp);
  assert.equal(status, 101);
  assert.equal(headers['set-cookie'], undefined);
  tcp.destroy();
});
