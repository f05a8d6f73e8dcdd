// Acknowledgements (Socket.IO protocol, "Acknowledgement") both ways, and answers that nobody waits for.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { assertSocketAlive, openSocket } from '../support/engine.mjs';

const handle = conformanceWithBystanders();

check('an event with an id is answered under that id', async () => {
  const ws = await openSocket(handle.port);
  for (const id of [0, 1, 12, 999_999_999, Number.MAX_SAFE_INTEGER]) {
    ws.text(`42${id}["message-with-ack",1,"2",{"3":[false]}]`);
    await ws.expect(`43${id}[1,"2",{"3":[false]}]`);
  }
  ws.text('425["message-with-ack"]');
  await ws.expect('435[]');
  ws.destroy();
});

check('in a namespace', async () => {
  const ws = await openSocket(handle.port, { namespace: '/custom' });
  ws.text('42/custom,456["message-with-ack","x"]');
  await ws.expect('43/custom,456["x"]');
  ws.destroy();
});

check('the same id twice is answered twice', async () => {
  const ws = await openSocket(handle.port);
  ws.text('421["message-with-ack","a"]');
  ws.text('421["message-with-ack","b"]');
  await ws.expect('431["a"]', '431["b"]');
  ws.destroy();
});

check('an id beyond every integer: closed, or answered under the same number', async () => {
  const ws = await openSocket(handle.port);
  const id = '123456789012345678901234567890';
  ws.text(`42${id}["message-with-ack","x"]`);
  const { opcode, payload } = await ws.next();
  if (opcode === 1) {
    const answered = /^43([0-9.e+]+)\["x"\]$/.exec(payload.toString());
    assert.equal(Number(answered?.[1]), Number(id), payload.toString());
  } else assert.equal(opcode, 8);
  ws.destroy();
});

/** Makes the server emit with an ack; gives the id that it waits for. */
async function requestAck(ws, args) {
  ws.text(`42["request-ack",${args}]`);
  const answer = await ws.receive();
  const match = /^42(\d+)(\[.*\])$/.exec(answer);
  assert.ok(match, answer);
  assert.deepEqual(JSON.parse(match[2]), JSON.parse(`["ack-me",${args}]`));
  return Number(match[1]);
}

check('the server\'s event is answered by the client', async () => {
  const ws = await openSocket(handle.port);
  const id = await requestAck(ws, '"q",1');
  ws.text(`43${id}["answer",{"a":[2]}]`);
  await ws.expect('42["ack-result","answer",{"a":[2]}]');
  ws.destroy();
});

check('an empty answer', async () => {
  const ws = await openSocket(handle.port);
  const id = await requestAck(ws, '"q"');
  ws.text(`43${id}[]`);
  await ws.expect('42["ack-result"]');
  ws.destroy();
});

check('several open questions, answered in another order', async () => {
  const ws = await openSocket(handle.port);
  const ids = [];
  for (let i = 0; i < 5; i++) ids.push(await requestAck(ws, String(i)));
  assert.equal(new Set(ids).size, 5);
  for (const i of [3, 0, 4, 1, 2]) {
    ws.text(`43${ids[i]}[${i}]`);
    await ws.expect(`42["ack-result",${i}]`);
  }
  ws.destroy();
});

check('the second answer to one question is passed over', async () => {
  const ws = await openSocket(handle.port);
  const id = await requestAck(ws, '"q"');
  ws.text(`43${id}["first"]`);
  ws.text(`43${id}["second"]`);
  await ws.expect('42["ack-result","first"]');
  await assertSocketAlive(ws);
  ws.destroy();
});

check('an answer that nobody waits for is passed over', async () => {
  const ws = await openSocket(handle.port);
  for (const id of ['0', '1', '77', '9007199254740991', '4294967296']) ws.text(`43${id}["x"]`);
  await assertSocketAlive(ws);
  ws.destroy();
});

check('an answer to another connection\'s question is passed over', async () => {
  const [asked, other] = [await openSocket(handle.port), await openSocket(handle.port)];
  const id = await requestAck(asked, '"q"');
  other.text(`43${id}["stolen"]`);
  await assertSocketAlive(other);
  asked.text(`43${id}["mine"]`);
  await asked.expect('42["ack-result","mine"]');
  asked.destroy();
  other.destroy();
});

check('a connection that ends with questions open', async () => {
  const ws = await openSocket(handle.port);
  for (let i = 0; i < 50; i++) await requestAck(ws, String(i));
  ws.destroy();
});
