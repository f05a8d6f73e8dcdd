// schemathesis makes requests out of the node's own OpenAPI document, right and wrong ones, and holds every answer against it: no
// 5xx, no status, header or body that the document does not have, nothing accepted that it forbids, nothing refused that it allows,
// no answer without the token that it asks for. The same requests on every run.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe } from 'node:test';
import { fileURLToPath } from 'node:url';
import { check } from '../support/check.mjs';
import { forms } from '../support/forms.mjs';
import { tokenOf, wantTokens } from '../support/tokens.mjs';

const suite = dirname(dirname(fileURLToPath(import.meta.url)));
const program = join(suite, '.venv', 'bin', 'schemathesis');
/** No limits of how often: what is refused for that says nothing about the document. */
const unhurried = { 'auth.logins_per_minute': 0, 'auth.registrations_per_hour': 0, 'im.messages_per_second': 0 };
const token = tokenOf(1, { admin: true });

const modes = {
  // Who acts is all that differs, so the systematic phase is for one of the two.
  open: [{}, {}, 'examples,fuzzing'],
  jwt: [wantTokens, { Authorization: `Bearer ${token}` }, 'examples,coverage,fuzzing'],
};
describe('the API is as its document says', { concurrency: true }, () => {
  for (const [mode, [settings, headers, phases]] of Object.entries(modes)) check(`auth.mode = ${mode}`, { timeout: 120_000 }, async (t) => {
    assert.ok(existsSync(program), 'no schemathesis in proto-tests/.venv: run scripts/setup.sh first');
    const { nodes: [node], stop } = await forms[0].start({ settings: { ...unhurried, ...settings } });
    t.after(stop);
    await seed(node, headers);
    const { code, output } = await run(program, [
      '--config-file', join(suite, 'api', 'schemathesis.toml'), 'run', `${node.httpUrl}/api/openapi.json`, '--checks', 'all', '--phases', phases,
      ...Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`]),
    ], node.dir);
    assert.equal(code, 0, output);
    node.assertAlive();
  });
});

/** What the document's examples speak of: users 1 and 2, group 1 of both, message 1 from the one to the other. */
async function seed(node, headers) {
  const post = async (path, body) => {
    const answer = await fetch(`${node.httpUrl}/api${path}`, { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body) });
    assert.equal(answer.status, 200, await answer.text());
  };
  for (const username of ['anna', 'bo']) await post('/user/register', { username, password: 'correct horse' });
  await post('/group/create?operatorId=1', { name: 'us', memberIds: [2] });
  await post('/message/send?operatorId=1', { toUserId: 2, messageType: 1, content: 'hello' });
}

function run(command, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, NO_COLOR: '1', COLUMNS: '160' }, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => { output += chunk; });
    child.once('error', reject).once('close', (code) => resolve({ code, output }));
  });
}
