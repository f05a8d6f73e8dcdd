// What holds for every path of the API: where parameters stand, what is no request, and how that is said.
import assert from 'node:assert/strict';
import { check } from '../../support/check.mjs';
import { encode, readResponse } from '../../support/http.mjs';
import { documentOf } from '../../support/openapi.mjs';
import { Rest } from '../../support/rest.mjs';
import { Tcp } from '../../support/tcp.mjs';

const json = { 'Content-Type': 'application/json' };

export function requests(form) {
  const ann = Rest.user(form, 501);
  const send = async (path, { headers = {}, ...request } = {}) => {
    const answer = await fetch(`${form.next().httpUrl}/api${path}`, { method: 'POST', headers: { Authorization: `Bearer ${ann.token}`, ...headers }, ...request });
    return { status: answer.status, headers: answer.headers, ...await answer.json() };
  };

  check('a parameter may stand in the query, a form or the JSON body', async () => {
    const parameters = { toUserId: 502, messageType: 1, content: 'hällo & all', fileSize: 7 };
    const form = new URLSearchParams(parameters).toString();
    for (const answer of [
      await send(`/message/send?${form}`),
      await send(`/message/send?${form}`, { headers: json }),
      await send('/message/send', { headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: form }),
      await send('/message/send?toUserId=502&messageType=1', { headers: json, body: JSON.stringify({ toUserId: 999, content: parameters.content, fileSize: 7 }) }),
      await send('/message/send', { headers: { 'Content-Type': 'application/json; charset=utf-8' }, body: JSON.stringify({ ...parameters, toUserId: '502', unknown: true }) }),
      await send('/message/send', { headers: json, body: JSON.stringify(parameters).replace('502', '502.0').replace('7}', '7.0}') }),
      await send('/message/send', { body: Buffer.from(JSON.stringify(parameters)) }),
    ]) {
      assert.equal(answer.status, 200, answer.message);
      assert.deepEqual([answer.data.toUserId, answer.data.messageType, answer.data.content, answer.data.fileSize], [502, 1, 'hällo & all', 7]);
    }
    const { data: { id } } = await send('/group/create?name=us&memberIds=502,503&isPublic=1&maxMembers=9');
    assert.deepEqual((await ann.get(`/group/${id}/members`)).map(({ userId }) => userId), [501, 502, 503]);
  });

  check('a body that is no JSON object is refused', async () => {
    for (const body of ['{', '{"a":1}}', 'null', '1', '"text"', '[]', '{"a":"\\ud800"}', '[1']) {
      const { status, error } = await send('/message/send', { headers: json, body });
      assert.deepEqual([status, error], [400, 'invalid_body'], body);
    }
    const { status, error } = await send('/message/send', { headers: json, body: Buffer.from([0x7b, 0xff, 0x7d]) });
    assert.deepEqual([status, error], [400, 'invalid_body'], 'no UTF-8');
  });

  check('a body of another type is refused', async () => {
    for (const type of ['text/plain', 'application/xml', 'multipart/form-data; boundary=x', 'nonsense']) {
      const { status, error } = await send('/message/send', { headers: { 'Content-Type': type }, body: '{"toUserId":502,"messageType":1,"content":"x"}' });
      assert.deepEqual([status, error], [415, 'unsupported_media_type'], type);
    }
  });

  check('a body over 1 MiB is refused, whether that is said or not', async () => {
    const body = (bytes) => {
      const empty = JSON.stringify({ toUserId: 502, messageType: 1, content: '' });
      return empty.replace('""', `"${'x'.repeat(bytes - empty.length)}"`);
    };
    const { status, error } = await send('/message/send', { headers: json, body: body(1 << 20) });
    assert.deepEqual([status, error], [400, 'invalid_content'], '1 MiB is read');
    const tooLarge = body((1 << 20) + 1);
    const chunked = `${tooLarge.length.toString(16)}\r\n${tooLarge}\r\n0\r\n\r\n`;
    for (const [headers, sent] of [[{}, tooLarge], [{ 'Transfer-Encoding': 'chunked' }, chunked]]) {
      const tcp = await Tcp.open(form.next().ports[1]);
      tcp.write(encode({ method: 'POST', path: '/api/message/send', headers: { ...json, Authorization: `Bearer ${ann.token}`, ...headers }, body: sent }));
      const answer = await readResponse(tcp);
      tcp.destroy();
      assert.deepEqual([answer.status, answer.json().error], [413, 'body_too_large'], JSON.stringify(headers));
    }
  });

  check('what is served is what the document has: another path is 404, another method 405 that names the right ones', async () => {
    for (const path of ['/', '/nothing', '/user', '/user/1/2', '/group/create/more', '/message/1/read', '//user/1', '/openapi']) {
      const { status, error, message } = await send(path, { method: 'GET' });
      assert.deepEqual([status, error], [404, 'not_found'], `${path}: ${message}`);
    }
    const { document: { paths } } = await documentOf(form.next());
    for (const [path, operations] of Object.entries(paths)) {
      const answer = await fetch(`${form.next().httpUrl}${path.replaceAll(/\{\w+\}/g, '1')}`, { method: 'PATCH' });
      assert.deepEqual([answer.status, (await answer.json()).error], [405, 'method_not_allowed'], path);
      const methods = Object.keys(operations).map((method) => method.toUpperCase());
      const allowed = [...methods, ...(methods.includes('GET') ? ['HEAD'] : [])].sort();
      assert.deepEqual(answer.headers.get('allow')?.split(',').map((name) => name.trim()).sort(), allowed, path);
    }
  });

  check('every answer is JSON in the envelope', async () => {
    for (const path of ['/cluster/nodes', '/nothing', '/user/none']) {
      const { headers, code, message, timestamp } = await send(path, { method: 'GET' });
      assert.equal(headers.get('content-type'), 'application/json', path);
      assert.equal(headers.get('cache-control'), 'no-store', path);
      assert.equal(typeof message, 'string');
      assert.equal(new Date(timestamp).toISOString(), timestamp);
      assert.ok(Number.isInteger(code));
    }
    const { status, headers } = await send('/cluster/nodes', { method: 'GET', headers: { Authorization: 'Basic YTpi' } });
    assert.deepEqual([status, headers.get('www-authenticate')], [401, 'Bearer']);
  });
}
