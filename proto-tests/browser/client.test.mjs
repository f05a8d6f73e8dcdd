// The unmodified client libraries in a real browser, on a page of another origin: polling, the upgrade, WebSocket, binary.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';
import { open } from '../support/browser.mjs';
import { check } from '../support/check.mjs';
import { modes } from '../support/clients.mjs';
import { startServer } from '../support/server.mjs';

const require = createRequire(import.meta.url);
const libraries = Object.fromEntries(['socket.io-client', 'socket.io-client-40', 'socket.io-client-30'].map((name) => (
  [name, readFileSync(require.resolve(`${name}/dist/socket.io.js`), 'utf8')])));
let server;
let pages;
let origin;

before(async () => {
  server = await startServer('conformance');
  pages = createServer((request, response) => {
    const library = libraries[request.url.slice(1)];
    if (library) return response.writeHead(200, { 'Content-Type': 'text/javascript' }).end(library);
    response.writeHead(200, { 'Content-Type': 'text/html' });
    return response.end('<!doctype html><link rel="icon" href="data:,"><title>client</title>');
  });
  await new Promise((ready) => pages.listen(0, '127.0.0.1', ready));
  origin = `http://127.0.0.1:${pages.address().port}`;
});
after(async () => {
  pages?.close();
  await server?.stop();
});

for (const name of Object.keys(libraries)) {
  for (const [mode, options] of Object.entries(modes)) {
    check(`${name}, ${mode}`, async (t) => {
      const page = await open(t, `${origin}/`);
      await page.addScriptTag({ url: `${origin}/${name}` });
      const seen = await page.evaluate(talk, { url: server.url, options });
      assert.deepEqual(seen, {
        transport: options.transports.length > 1 ? 'websocket' : options.transports[0],
        echoed: ['text', 7, { nested: [true, null] }],
        acked: ['in the ack'],
        binary: { type: 'ArrayBuffer', bytes: [0, 1, 254, 255] },
        large: 200_000,
        custom: true,
      });
    });
  }
}

/** Runs in the page. */
async function talk({ url, options }) {
  /* global io */
  const next = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));
  const socket = io(url, { ...options, reconnection: false });
  await Promise.race([next(socket, 'connect'), next(socket, 'connect_error').then(([error]) => { throw error; })]);
  const { engine } = socket.io;
  if (options.transports.length > 1 && engine.transport.name !== 'websocket') await new Promise((done) => engine.once('upgrade', done));

  socket.emit('message', 'text', 7, { nested: [true, null] });
  const echoed = await next(socket, 'message-back');
  const acked = await new Promise((resolve) => socket.emit('message-with-ack', 'in the ack', (...args) => resolve(args)));
  socket.emit('message', new Uint8Array([0, 1, 254, 255]));
  const [bytes] = await next(socket, 'message-back');
  socket.emit('message', { blob: new Uint8Array(200_000) });
  const [{ blob }] = await next(socket, 'message-back');
  const custom = io(`${url}/custom`, { ...options, reconnection: false });
  await next(custom, 'connect');

  const result = {
    transport: engine.transport.name,
    echoed,
    acked,
    binary: { type: bytes.constructor.name, bytes: [...new Uint8Array(bytes)] },
    large: blob.byteLength,
    custom: custom.connected,
  };
  custom.disconnect();
  socket.disconnect();
  return result;
}
