// Socket.IO packets that are right and odd, and packets that are wrong: a wrong one closes the connection (Socket.IO
// protocol, "Packet encoding"; where the document is silent, the reference decoder decides).
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { conformanceWithBystanders } from '../support/bystanders.mjs';
import { PollingSession, SOCKET, assertSocketAlive, openSocket } from '../support/engine.mjs';

const handle = conformanceWithBystanders();

const odd = {
  'no arguments': '',
  'null, booleans and numbers': ',null,true,false,0,-1,1.5,1e21,-0.25',
  'empty values': ',"",[],{},[[]],[{}]',
  'escapes': ',"\\u0000\\u001f\\"\\\\\\/\\b\\f\\n\\r\\t\\u20ac"',
  'the packet separator, escaped': ',"\\u001e"',
  'text beyond ASCII': ',"é€😀\u2028\u2029\ufeff"',
  'a surrogate pair in escapes': ',"\\ud83d\\ude00"',
  'what looks like JSON inside a string': ',"[\\"message\\",{}]","]","}"',
  'white space between the values': ' , 1 ,\n[ 2 ]\t,{ "a" : 3 }',
  'keys of every object': ',{"__proto__":{"a":1},"constructor":1,"toString":2}',
  '100 levels': `,${'['.repeat(100)}${']'.repeat(100)}`,
  'a long array': `,[${Array.from({ length: 10_000 }, (_, i) => i).join()}]`,
};
for (const [what, args] of Object.entries(odd)) {
  check(`an event with ${what} comes back`, async () => {
    const ws = await openSocket(handle.port);
    ws.text(`42["message"${args}]`);
    const answer = await ws.receive();
    assert.match(answer, /^42\[/);
    assert.deepEqual(JSON.parse(answer.slice(2)), JSON.parse(`["message-back"${args}]`));
    await assertSocketAlive(ws);
    ws.destroy();
  });
}

check('events that nobody listens to, whatever their name, are passed over', async () => {
  const ws = await openSocket(handle.port);
  for (const name of ['nobody', '', ' ', '0', '1.5', '😀', 'a,b', '/', '__proto__', 'constructor', 'toString', 'error', 'message ', 'x'.repeat(5000)]) {
    ws.text(`42${JSON.stringify([name, 1])}`);
    ws.text(`4299${JSON.stringify([name])}`);
  }
  ws.text('42[7,"a number is a name too"]');
  await assertSocketAlive(ws);
  ws.destroy();
});

const wrong = {
  'an unknown type': '47',
  'a letter as type': '4a',
  'a sign as type': '4-1["message"]',
  'an empty message': '4',
  'EVENT with an empty array': '42[]',
  'EVENT with an object': '42{}',
  'EVENT with a text': '42"message"',
  'EVENT with null': '42null',
  'EVENT with null as name': '42[null]',
  'EVENT with a boolean as name': '42[true]',
  'EVENT with an object as name': '42[{"a":1}]',
  'EVENT with an array as name': '42[["message"]]',
  'EVENT that is not complete': '42["message"',
  'EVENT with a comma too many': '42["message",]',
  'EVENT with something behind': '42["message"]x',
  'EVENT with two payloads': '42["message"]["message"]',
  'EVENT with a bad escape': '42["message","\\x"]',
  'EVENT with a raw line end in a string': '42["message","\n"]',
  'EVENT with a number that JSON does not know': '42["message",01]',
  'EVENT with NaN': '42["message",NaN]',
  'EVENT with a negative ack id': '42-1["message-with-ack","x"]',
  'EVENT with a fraction as ack id': '421.5["message-with-ack","x"]',
  'EVENT with letters as ack id': '42abc["message-with-ack","x"]',
  'DISCONNECT with a payload': '41{"a":1}',
  'DISCONNECT with an array': '41["a"]',
  'ACK with an object': '430{"a":1}',
  'ACK that is not complete': '430["a"',
  'CONNECT_ERROR, which only the server sends': '44{"message":"x"}',
};
for (const name of ['connect', 'connect_error', 'disconnect', 'disconnecting', 'newListener', 'removeListener']) {
  wrong[`EVENT with the reserved name ${name}`] = `42["${name}","x"]`;
}
for (const [what, packet] of Object.entries(wrong)) {
  check(`closed: ${what}`, async () => {
    const ws = await openSocket(handle.port);
    ws.text(packet);
    const { before } = await ws.closed();
    assert.deepEqual(before, [], 'no answer to what is wrong');
  });
}

check('a wrong packet on polling closes the session', async () => {
  for (const packet of ['42{}', '47', '42["message"']) {
    const session = await PollingSession.open(handle.port, SOCKET);
    await session.send('40');
    await session.tryPost(packet);
    // CONNECT's answer and `auth` may still be handed out.
    for (let polls = 0; polls < 4; polls++) {
      const response = await session.get();
      if (response.status === 200) continue;
      assert.deepEqual(response.json(), { code: 1, message: 'Session ID unknown' });
      break;
    }
    await session.assertGone();
  }
});

check('an array 100,000 levels deep hurts no one else', { skipOnReference: 'the stack overflow ends its process' }, async () => {
  const ws = await openSocket(handle.port);
  ws.text(`42["message",${'['.repeat(100_000)}${']'.repeat(100_000)}]`);
  const answer = await ws.next();
  assert.ok(answer.opcode === 8 || answer.payload.length > 200_000, 'closed, or echoed whole');
  ws.destroy();
});
