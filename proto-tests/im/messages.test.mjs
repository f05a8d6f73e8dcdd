// Private messages between two programs, over every pair of transports: the ack, the push, the devices, the order.
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { modes } from '../support/clients.mjs';
import { inBothForms } from '../support/forms.mjs';
import { assertGapless, assertMessage, command, device, history, sendText } from '../support/im.mjs';
import { once, until } from '../support/wait.mjs';

let nextUser = 1;

/** User ids that no other test has. */
const users = (count) => Array.from({ length: count }, () => nextUser++);

inBothForms({}, (form) => {
  check('the greeting', async (t) => {
    const socket = await device(t, form.next(), nextUser++);
    const again = once(socket, 'connected');
    socket.disconnect().connect();
    const [{ userId, nodeId, serverTime }] = await again;
    assert.equal(userId, nextUser - 1);
    assert.ok(['string', 'number'].includes(typeof nodeId), `nodeId ${nodeId}`);
    assert.ok(serverTime !== undefined && !Number.isNaN(new Date(serverTime).getTime()), `serverTime ${serverTime}`);
  });

  for (const senderMode of Object.keys(modes)) {
    for (const receiverMode of Object.keys(modes)) {
      check(`${senderMode} to ${receiverMode}`, async (t) => {
        const [one, two] = users(2);
        const sender = await device(t, form.next(), one, senderMode);
        const receiver = await device(t, form.next(), two, receiverMode);
        const pushed = once(receiver, 'private_message');
        const stored = await sendText(sender, two, 'Hallo, 世界 😀 \u2028 "quoted"');
        assertMessage(stored, { fromUserId: one, toUserId: two, groupId: null, messageType: 1, content: 'Hallo, 世界 😀 \u2028 "quoted"', seq: 1 });
        assert.deepEqual((await pushed)[0], stored);

        const answered = once(sender, 'private_message');
        const reply = await sendText(receiver, one, 'reply', { replyToMessageId: stored.messageId, clientMessageId: 'c-1' });
        assertMessage(reply, { fromUserId: two, toUserId: one, conversation: stored.conversation, seq: 2, replyToMessageId: stored.messageId, clientMessageId: 'c-1' });
        assert.deepEqual((await answered)[0], reply);
      });
    }
  }

  check('the five message types and their file fields', async (t) => {
    const [one, two] = users(2);
    const [sender, receiver] = [await device(t, form.next(), one), await device(t, form.next(), two)];
    for (const messageType of [1, 2, 3, 4, 5]) {
      const file = messageType === 1 ? {} : { fileUrl: 'https://files.example/é.bin', fileSize: 123_456_789_012, fileName: 'é 世.bin' };
      const stored = await sendText(sender, two, `type ${messageType}`, { messageType, ...file });
      assertMessage(stored, { messageType, ...file });
    }
    await until(() => receiver.inbox.length === 5, 'all five are pushed');
    assert.deepEqual(receiver.inbox, await history(receiver, receiver.inbox[0].conversation));
  });

  check('all devices of the receiver and the other devices of the sender get it, the sending one does not', async (t) => {
    const [one, two, three] = users(3);
    const [sending, other, first, second, stranger] = [await device(t, form.next(), one), await device(t, form.next(), one, 'polling only'),
      await device(t, form.next(), two, 'websocket only'), await device(t, form.next(), two), await device(t, form.next(), three)];
    const stored = await sendText(sending, two, 'to all of you');
    for (const socket of [other, first, second]) {
      await until(() => socket.inbox.length > 0, 'the message is pushed');
    }
    // A second message behind the first shows that nothing came twice, or to the wrong one, in between.
    const last = await sendText(sending, two, 'and this');
    for (const socket of [other, first, second]) {
      await until(() => socket.inbox.length > 1, 'the second message is pushed');
      assert.deepEqual(socket.inbox, [stored, last]);
    }
    await command(stranger, 'sync_messages', { conversation: stored.conversation, afterSeq: 0 });
    assert.deepEqual(sending.inbox, []);
    assert.deepEqual(stranger.inbox, []);
  });

  check('both write at once, in the middle of the upgrade: each gets everything once, in seq order', async (t) => {
    const [one, two] = users(2);
    const sockets = await Promise.all([device(t, form.next(), one, 'polling only'), device(t, form.next(), two, 'polling only')]);
    const late = [device(t, form.next(), one), device(t, form.next(), two)];
    const stored = [];
    for (let round = 0; round < 20; round++) {
      stored.push(...await Promise.all(sockets.flatMap((socket, i) => [1, 2, 3].map((n) => sendText(socket, i === 0 ? two : one, `${round} ${i} ${n}`)))));
    }
    const devices = await Promise.all(late);
    const closing = await sendText(devices[0], two, 'end');
    for (const socket of [sockets[0], sockets[1], devices[1]]) {
      await until(() => socket.inbox.at(-1)?.seq === closing.seq, 'the last message is pushed');
      const seqs = socket.inbox.map(({ seq }) => seq);
      assert.deepEqual(seqs, [...new Set(seqs)].sort((a, b) => a - b), 'increasing, each once');
    }
    const all = await history(devices[0], closing.conversation, 17);
    assertGapless(all);
    assert.equal(all.length, 121);
    assert.deepEqual([...stored, closing].sort((a, b) => a.seq - b.seq), all);
  });

  check('a client that was away syncs what it missed', async (t) => {
    const [one, two] = users(2);
    const sender = await device(t, form.next(), one);
    const sent = [];
    for (let i = 0; i < 5; i++) sent.push(await sendText(sender, two, `while away ${i}`));
    const receiver = await device(t, form.next(), two);
    const { data } = await command(receiver, 'sync_messages', { conversation: sent[0].conversation, afterSeq: 2 });
    assert.deepEqual(data, { messages: sent.slice(2), hasMore: false });
    const page = await command(receiver, 'sync_messages', { conversation: sent[0].conversation, afterSeq: 0, limit: 3 });
    assert.deepEqual(page.data, { messages: sent.slice(0, 3), hasMore: true });
    const nothing = await command(receiver, 'sync_messages', { conversation: sent[0].conversation, afterSeq: 5 });
    assert.deepEqual(nothing.data, { messages: [], hasMore: false });
  });

  check('the same clientMessageId is stored once, and answered with the first message', async (t) => {
    const [one, two] = users(2);
    const [sender, receiver] = [await device(t, form.next(), one), await device(t, form.next(), two)];
    const first = await sendText(sender, two, 'first', { clientMessageId: 'same' });
    assert.deepEqual(await sendText(sender, two, 'first', { clientMessageId: 'same' }), first);
    const again = await device(t, form.next(), one, 'websocket only');
    assert.deepEqual(await sendText(again, two, 'first', { clientMessageId: 'same' }), first);
    const byOther = await sendText(receiver, one, 'mine', { clientMessageId: 'same' });
    assert.notEqual(byOther.messageId, first.messageId);
    assert.deepEqual(await history(sender, first.conversation), [first, byOther]);
    assert.deepEqual(receiver.inbox, [first]);
  });

  check('the same clientMessageId twenty times at once is stored once', async (t) => {
    const [one, two] = users(2);
    const devices = await Promise.all([device(t, form.next(), one), device(t, form.next(), one, 'polling only')]);
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => sendText(devices[i % 2], two, 'once', { clientMessageId: 'once' })));
    for (const answer of answers) assert.deepEqual(answer, answers[0]);
    assert.deepEqual(await history(devices[0], answers[0].conversation), [answers[0]]);
  });

  check('messages without an ack are stored and pushed too', async (t) => {
    const [one, two] = users(2);
    const [sender, receiver] = [await device(t, form.next(), one), await device(t, form.next(), two)];
    sender.emit('send_message', { toUserId: two, messageType: 1, content: 'no ack' });
    await until(() => receiver.inbox.length === 1, 'the message is pushed');
    assertMessage(receiver.inbox[0], { content: 'no ack', seq: 1 });
  });

  check('nobody reads the conversation of others', async (t) => {
    const [one, two, three] = users(3);
    const { conversation } = await sendText(await device(t, form.next(), one), two, 'between us');
    const stranger = await device(t, form.next(), three);
    const answer = await command(stranger, 'sync_messages', { conversation, afterSeq: 0 });
    assert.equal(answer.success, false);
    assert.match(answer.code, /^\w+$/);
    assert.doesNotMatch(JSON.stringify(answer), /between us/);
  });
});
