// Payloads that are wrong: refused with a code, stored nowhere, and the connection lives on (SPEC, section 4).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { assertGapless, command, device, history, refused, sendText } from '../support/im.mjs';

const right = { toUserId: 2, messageType: 1, content: 'right' };
const without = (key) => { const { [key]: _, ...rest } = right; return rest; };

const wrong = {
  'no payload': [],
  null: [null],
  'a number': [1],
  'a text': ['text'],
  'an array': [[]],
  'an empty object': [{}],
  'binary': [Buffer.of(1, 2, 3)],
  'binary where the content belongs': [{ ...right, content: Buffer.of(1) }],
  'no receiver': [without('toUserId')],
  'two receivers': [{ ...right, groupId: 1 }],
  'receiver 0': [{ ...right, toUserId: 0 }],
  'a negative receiver': [{ ...right, toUserId: -1 }],
  'a receiver beyond 2^53': [{ ...right, toUserId: 2 ** 53 }],
  'a receiver with a fraction': [{ ...right, toUserId: 1.5 }],
  'a receiver that is an object': [{ ...right, toUserId: {} }],
  'no message type': [without('messageType')],
  'message type 0': [{ ...right, messageType: 0 }],
  'message type 6': [{ ...right, messageType: 6 }],
  'message type 256 + 1': [{ ...right, messageType: 257 }],
  'message type as text': [{ ...right, messageType: 'text' }],
  'no content': [without('content')],
  'empty content': [{ ...right, content: '' }],
  'content that is a number': [{ ...right, content: 5 }],
  'content of 5,001 characters': [{ ...right, content: '€'.repeat(5001) }],
  'a negative file size': [{ ...right, messageType: 3, fileSize: -1 }],
  'a file URL that is no text': [{ ...right, messageType: 3, fileUrl: 1 }],
  'a clientMessageId that is an object': [{ ...right, clientMessageId: {} }],
};

const events = ['send_message', 'sync_messages', 'mark_read', 'get_conversations', 'recall_message', 'delete_message', 'join_room', 'leave_room', 'typing',
  'stop_typing', 'get_online_users', 'watch_presence', 'unwatch_presence', 'no_such_event'];
const nested = (depth) => (depth === 0 ? 1 : [nested(depth - 1)]);
const names = ['toUserId', 'groupId', 'messageType', 'content', 'clientMessageId', 'conversation', 'afterSeq', 'limit', 'cursor', 'messageIds', 'messageId', 'seq', 'targetId',
  'roomType', 'targetType', 'userIds'];
const all = (value) => Object.fromEntries(names.map((name) => [name, value]));
/** What no event can use, whatever its payload should be. */
const junk = [true, false, 0, -1, 1.5, 1e308, 'x', '', [], [{}], [[1]], nested(1500), Buffer.alloc(100), 'y'.repeat(100_000), all({}), all([null]), all(true), all(-1),
  all(2 ** 53), all(1e308), all('x'.repeat(20_000)), all(nested(500)), all('\u0000'), all('\ud800'), { ...all(null), messageIds: nested(200), userIds: nested(200), content: 5, targetId: {} }];
const documented = new Set(readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8').match(/(?<=`)\w+(?=`)/g));

inBothForms({}, (form) => {
  for (const mode of ['polling only', 'websocket only']) {
    check(`send_message refuses every wrong payload: ${mode}`, async (t) => {
      const socket = await device(t, form.next(), 1, mode);
      for (const [what, args] of Object.entries(wrong)) {
        await refused(socket, 'send_message', ...args).catch((error) => { throw new Error(`${what}: ${error.message}`); });
      }
      const stored = await sendText(socket, 2, 'right');
      const all = await history(socket, stored.conversation);
      assertGapless(all);
      assert.deepEqual([...new Set(all.map(({ content }) => content))], ['right'], 'nothing wrong was stored');
    });
  }

  check('sync_messages refuses wrong payloads', async (t) => {
    const socket = await device(t, form.next(), 1);
    const { conversation } = await sendText(socket, 2, 'right');
    for (const args of [[], [null], [{}], [[]], ['x'], [{ conversation: 1, afterSeq: 0 }], [{ conversation: '', afterSeq: 0 }],
      [{ conversation, afterSeq: -1 }], [{ conversation, afterSeq: 'x' }], [{ conversation, afterSeq: 0, limit: -1 }],
      [{ conversation: 'x'.repeat(10_000), afterSeq: 0 }], [{ conversation: "'; DROP TABLE message; --", afterSeq: 0 }]]) {
      await refused(socket, 'sync_messages', ...args);
    }
  });

  check('wrong payloads without an ack end nothing either', async (t) => {
    const socket = await device(t, form.next(), 1);
    for (const args of Object.values(wrong)) socket.emit('send_message', ...args);
    socket.emit('sync_messages');
    socket.emit('nobody knows this', { a: 1 });
    await sendText(socket, 2, 'right');
  });

  check('every event refuses what it cannot use, with a code that is documented, and the connection lives on', async (t) => {
    const [socket, other] = [await device(t, form.next(), 11), await device(t, form.next(), 12, 'polling only')];
    for (const event of events) {
      for (const payload of junk) {
        // Those two need no payload, and see none in binary.
        if (Buffer.isBuffer(payload) && ['get_conversations', 'get_online_users'].includes(event)) continue;
        for (const one of [socket, other]) {
          const answer = await command(one, event, payload);
          const what = `${event} ${JSON.stringify(payload).slice(0, 100)}: ${JSON.stringify(answer)}`;
          assert.equal(answer.success, false, what);
          assert.ok(documented.has(answer.code), what);
          assert.ok(answer.message.length < 1000, 'the answer is no echo of what was sent');
        }
      }
      for (const one of [socket, other]) one.emit(event, null, [], 1, 'too many', {}, Buffer.alloc(9));
    }
    assert.deepEqual((await command(socket, 'get_conversations', {})).data, []);
    assert.deepEqual((await command(other, 'get_conversations', {})).data, []);
    await sendText(socket, 12, 'right');
  });

  check('content of 5,000 characters is right', async (t) => {
    const socket = await device(t, form.next(), 1);
    const content = '€'.repeat(5000);
    assert.equal((await sendText(socket, 2, content)).content, content);
  });

  check('numbers may be written as digits, as some clients do', async (t) => {
    const [sender, other] = [await device(t, form.next(), 21), await device(t, form.next(), 22)];
    const stored = [];
    for (const [toUserId, messageType, fileSize] of [['22', '3', '7'], [22, 3, 7]]) {
      const answer = await command(sender, 'send_message', { toUserId, messageType, content: 'x', fileSize });
      assert.equal(answer.success, true, JSON.stringify(answer));
      assert.deepEqual([answer.data.toUserId, answer.data.messageType, answer.data.fileSize], [22, 3, 7]);
      stored.push(answer.data);
    }
    const { conversation } = stored[0];
    for (const [event, payload] of [['sync_messages', { conversation, afterSeq: '1', limit: '1' }], ['mark_read', { conversation, seq: '2' }],
      ['typing', { targetId: '21', targetType: '1' }], ['join_room', { targetId: '22', roomType: '1' }], ['get_conversations', { limit: '5' }], ['get_online_users', { limit: '5' }]]) {
      const answer = await command(other, event, payload);
      assert.equal(answer.success, true, `${event}: ${JSON.stringify(answer)}`);
      if (event === 'sync_messages') assert.deepEqual(answer.data.messages.map(({ seq }) => seq), [2]);
    }
  });

  check('a refusal names the field', async (t) => {
    const socket = await device(t, form.next(), 1);
    for (const [event, payload, field] of [['send_message', { ...right, messageType: 'x' }, 'messageType'], ['send_message', { ...right, content: 7 }, 'content'],
      ['send_message', { ...right, toUserId: -1 }, 'toUserId'], ['send_message', without('content'), 'content'], ['mark_read', { messageIds: [1, {}] }, 'messageIds[1]'],
      ['watch_presence', { userIds: [1, 'x'] }, 'userIds[1]'], ['sync_messages', { conversation: 'x', afterSeq: 0 }, 'conversation']]) {
      const answer = await command(socket, event, payload);
      assert.equal(answer.code, 'invalid_payload');
      assert.ok(answer.message.includes(field), `${event}: ${answer.message} names ${field}`);
    }
  });

  check('a sender cannot be somebody else', async (t) => {
    const socket = await device(t, form.next(), 1);
    const stored = await sendText(socket, 2, 'right', { fromUserId: 3, id: 99_999, seq: 77, isDeleted: true, conversation: 'x' });
    assert.equal(stored.fromUserId, 1);
    assert.equal(stored.isDeleted, false);
    assert.notEqual(stored.conversation, 'x');
  });
});
