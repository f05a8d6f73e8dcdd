// How the page is served: types, caching, the policy that forbids everything it does not need, and where it says the
// Socket.IO endpoint is.
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { check } from '../support/check.mjs';
import { startNode } from '../support/server.mjs';

let node;
let url;
before(async () => {
  node = await startNode();
  url = `http://127.0.0.1:${node.ports[1]}`;
});
after(() => node?.stop());

check('the page and its files have their types', async () => {
  for (const [path, type] of [['/', 'text/html'], ['/app/js/main.js', 'text/javascript'], ['/app/css/base.css', 'text/css'],
    ['/app/icon.svg', 'image/svg+xml'], ['/app/vendor/socket.io.esm.min.js', 'text/javascript'], ['/app/config.json', 'application/json']]) {
    const answer = await fetch(url + path);
    assert.equal(answer.status, 200, path);
    assert.ok(answer.headers.get('content-type').startsWith(type), `${path}: ${answer.headers.get('content-type')}`);
  }
  for (const path of ['/app/', '/app/nothing.js', '/app/../Cargo.toml', '/app/js%2F..%2Findex.html', '/app/package.json']) {
    assert.equal((await fetch(url + path)).status, 404, path);
  }
});

check('a file that the browser holds is not sent again', async () => {
  const first = await fetch(`${url}/app/js/main.js`);
  const etag = first.headers.get('etag');
  assert.match(etag, /^"[0-9a-f]{20}"$/);
  assert.equal(first.headers.get('cache-control'), 'no-cache');
  const second = await fetch(`${url}/app/js/main.js`, { headers: { 'If-None-Match': etag } });
  assert.equal(second.status, 304);
  assert.equal(await second.text(), '');
  const head = await fetch(`${url}/`, { method: 'HEAD' });
  assert.equal(head.status, 200);
  assert.ok(Number(head.headers.get('content-length')) > 0);
});

check('the policy allows scripts, styles and connections of the node, and nothing else', async () => {
  const answer = await fetch(url);
  const policy = answer.headers.get('content-security-policy');
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, new RegExp(`connect-src 'self'[^;]* ws://\\*:${node.port}`));
  assert.doesNotMatch(policy, /unsafe/);
  assert.doesNotMatch(await answer.text(), /<script(?![^>]*src=)|\son\w+=|style=/, 'nothing inline');
});

check('the node says where its Socket.IO port is, and whether a proxy stands between', async () => {
  const config = async (headers) => (await fetch(`${url}/app/config.json`, { headers })).json();
  const direct = await config({});
  assert.deepEqual(direct, {
    nodeId: 'node-1', httpPort: node.ports[1], socketioPort: node.port, socketioPath: '/socket.io/', authMode: 'open',
    maxContentChars: 5000, proxied: false, version: direct.version,
  });
  assert.equal((await config({ 'X-Forwarded-For': '10.0.0.1' })).proxied, true);
  assert.equal((await config({ Forwarded: 'for=10.0.0.1' })).proxied, true);
});
