// A user of the HTTP API, by token. Each request goes to another node where there are several, and each answer is held against
// the OpenAPI document of the node that gave it.
import assert from 'node:assert/strict';
import { conforms } from './openapi.mjs';
import { tokenOf } from './tokens.mjs';

export class Rest {
  /** `form`: what `inBothForms` gives. `token`: whose it is; `null` for nobody. */
  constructor(form, token) {
    Object.assign(this, { form, token });
  }

  static user(form, userId, claims) {
    return Object.assign(new Rest(form, tokenOf(userId, claims)), { userId });
  }

  /** One request and its answer: `{status, headers, body}`. `parameters` are the query of a GET, else the JSON body. */
  async ask(method, path, parameters) {
    const isQuery = method === 'GET' && parameters;
    const node = this.form.next();
    const answer = await fetch(`${node.httpUrl}/api${path}${isQuery ? `?${new URLSearchParams(parameters)}` : ''}`, {
      method,
      headers: {
        ...(this.token && { Authorization: `Bearer ${this.token}` }),
        ...(parameters && !isQuery && { 'Content-Type': 'application/json' }),
      },
      ...(parameters && !isQuery && { body: JSON.stringify(parameters) }),
    });
    const { status, headers } = answer;
    const body = await answer.json();
    assert.equal(body.code, status, `${method} ${path}: the code is the status`);
    await conforms(node, method, `/api${path}`, status, body);
    return { status, headers, body };
  }

  /** What is asked for. */
  async data(method, path, parameters) {
    const { status, body } = await this.ask(method, path, parameters);
    assert.equal(status, 200, `${method} ${path} ${JSON.stringify(parameters)}: ${JSON.stringify(body)}`);
    return body.data;
  }

  get(path, query) { return this.data('GET', path, query); }
  post(path, parameters = {}) { return this.data('POST', path, parameters); }
  put(path, parameters) { return this.data('PUT', path, parameters); }
  delete(path) { return this.data('DELETE', path); }

  /** It must be refused: with this status and this code. */
  async refused(expected, method, path, parameters) {
    const { status, body } = await this.ask(method, path, parameters);
    assert.equal(`${status} ${body.error}`, expected, `${method} ${path} ${JSON.stringify(parameters)?.slice(0, 300)}: ${body.message}`);
    assert.equal(body.data, null);
    return body.message;
  }
}
