// Clients of the HTTP port that do not say what they want: nobody waits for them for ever.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { forms } from '../support/forms.mjs';
import { encode, readResponse } from '../support/http.mjs';
import { Tcp } from '../support/tcp.mjs';

check('a slow head, a slow body and an idle connection are given up', async (t) => {
  const { nodes: [node], stop } = await forms[0].start({ settings: { 'limits.head_timeout': '300ms', 'limits.keep_alive_timeout': '600ms' } });
  t.after(stop);
  const port = node.ports[1];
  const ended = async (tcp) => {
    await tcp.read((_, isEnded) => isEnded || undefined, 'the end of the connection');
    tcp.destroy();
  };
  const [silent, head, body, idle] = await Promise.all(Array.from({ length: 4 }, () => Tcp.open(port)));
  head.write('GET /healthz HTTP/1.1\r\nHost: x\r\n');
  body.write('POST /api/message/send?operatorId=1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{');
  idle.write(encode({ path: '/healthz' }));
  assert.equal((await readResponse(idle)).text, 'ok\n');
  const answer = await readResponse(body);
  assert.deepEqual([answer.status, answer.json().error], [408, 'request_timeout']);
  await Promise.all([silent, head, body, idle].map(ended));
  assert.equal((await fetch(`${node.httpUrl}/healthz`)).status, 200);
});
