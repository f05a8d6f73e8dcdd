// What was read, and what is still to be (SPEC, section 4): read positions of each member, `message_read`, `isRead`, unread counts,
// and the list of conversations.
import assert from 'node:assert/strict';
import { done } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { command, createGroup, history, refused } from '../support/im.mjs';
import { heard, listener, send, settled, succeed } from '../support/listener.mjs';

let nextUser = 1;

inBothForms({}, (form) => {
  const user = () => nextUser++;
  const join = (t, id) => listener(t, form.next(), id);
  const unread = (who, targetId, conversationType) => done(form.next(), who, 'GET', '/message/unread/count', { targetId, conversationType });
  const listed = async (socket, conversation) => (await succeed(socket, 'get_conversations')).find((one) => one.conversation === conversation);

  check('message_read goes to the sender\'s devices and the reader\'s other ones', async (t) => {
    const [one, two, three] = [user(), user(), user()];
    const [sender, senders, reader, readers, other] = [await join(t, one), await join(t, one), await join(t, two), await join(t, two), await join(t, three)];
    const sent = [];
    for (let i = 1; i <= 3; i++) sent.push(await send(sender, { toUserId: two }, `number ${i}`));
    const { conversation } = sent[0];
    assert.equal(await unread(two, one, 1), 3);
    assert.equal(await unread(one, two, 1), 0);

    await succeed(reader, 'mark_read', { messageIds: [sent[1].messageId] });
    await settled(form.nodes, [sender, senders, reader, readers, other]);
    const read = { conversation, userId: two, seq: 2 };
    for (const socket of [sender, senders, readers]) assert.deepEqual(heard(socket, 'message_read'), [read]);
    assert.deepEqual(heard(reader, 'message_read'), [], 'who said it need not be told');
    assert.deepEqual(other.heard, []);
    assert.deepEqual((await history(sender, conversation)).map(({ isRead }) => isRead), [true, true, false]);
    assert.equal(await unread(two, one, 1), 1);
    assert.equal((await listed(readers, conversation)).unreadCount, 1);
    assert.equal((await listed(sender, conversation)).unreadCount, 0);

    await succeed(readers, 'mark_read', { messageIds: [sent[0].id, sent[2].id] });
    await settled(form.nodes, [sender, reader]);
    assert.deepEqual(heard(sender, 'message_read').at(-1), { conversation, userId: two, seq: 3 });
    assert.deepEqual(heard(reader, 'message_read'), [{ conversation, userId: two, seq: 3 }]);
    assert.equal(await unread(two, one, 1), 0);
  });

  check('a read position moves forward only, and never past the end', async (t) => {
    const [one, two] = [user(), user()];
    const [sender, reader] = [await join(t, one), await join(t, two)];
    const { conversation } = await send(sender, { toUserId: two }, 'one');
    await send(sender, { toUserId: two }, 'two');
    await succeed(reader, 'mark_read', { conversation, seq: 9007199254740991 });
    await succeed(reader, 'mark_read', { conversation, seq: 1 });
    await succeed(reader, 'mark_read', { conversation, seq: 2 });
    await succeed(reader, 'mark_read', { conversation, seq: 0 });
    await settled(form.nodes, [sender]);
    assert.deepEqual(heard(sender, 'message_read'), [{ conversation, userId: two, seq: 2 }], 'told once, and where the end was');
    await send(sender, { toUserId: two }, 'three');
    assert.equal(await unread(two, one, 1), 1, 'what came later is unread');
    assert.deepEqual((await history(reader, conversation)).map(({ isRead }) => isRead), [true, true, false]);
  });

  check('both ways: what I have read says nothing of what you have', async (t) => {
    const [one, two] = [user(), user()];
    const [first, second] = [await join(t, one), await join(t, two)];
    const hello = await send(first, { toUserId: two }, 'hello');
    const reply = await send(second, { toUserId: one }, 'hello yourself');
    assert.deepEqual([await unread(one, two, 1), await unread(two, one, 1)], [1, 1], 'one\'s own messages are not unread');
    await succeed(first, 'mark_read', { messageIds: [reply.messageId] });
    assert.deepEqual([await unread(one, two, 1), await unread(two, one, 1)], [0, 1]);
    assert.deepEqual((await history(second, hello.conversation)).map(({ isRead }) => isRead), [false, true]);
  });

  check('in a group each member has a count of its own, and the senders are told', async (t) => {
    const [one, two, three] = [user(), user(), user()];
    const groupId = await createGroup(form.next(), one, [two, three]);
    const devices = [await join(t, one), await join(t, two), await join(t, three), await join(t, three)];
    const [first, second, third, thirds] = devices;
    for (const socket of [first, second, first]) await send(socket, { groupId }, 'x');
    const conversation = (await send(third, { groupId }, 'my own')).conversation;
    const counts = () => Promise.all([one, two, three].map((who) => unread(who, groupId, 2)));
    assert.deepEqual(await counts(), [2, 3, 3]);
    await succeed(third, 'mark_read', { conversation, seq: 2 });
    await settled(form.nodes, devices);
    const read = { conversation, userId: three, seq: 2 };
    assert.deepEqual(devices.map((socket) => heard(socket, 'message_read')), [[read], [read], [], [read]]);
    assert.deepEqual(await counts(), [2, 3, 1]);
    await succeed(second, 'mark_read', { conversation, seq: 4 });
    assert.deepEqual(await counts(), [2, 0, 1]);
    for (const [socket, count, seq] of [[first, 2, 0], [second, 0, 4], [thirds, 1, 2]]) {
      const { unreadCount, readSeq, lastSeq } = await listed(socket, conversation);
      assert.deepEqual({ unreadCount, readSeq, lastSeq }, { unreadCount: count, readSeq: seq, lastSeq: 4 });
    }
  });

  check('who joins a group begins with everything read', async (t) => {
    const [one, two] = [user(), user()];
    const groupId = await createGroup(form.next(), one, []);
    const owner = await join(t, one);
    await send(owner, { groupId }, 'before');
    await done(form.next(), one, 'POST', '/group/invite', { groupId, userIds: [two] });
    assert.equal(await unread(two, groupId, 2), 0);
    await send(owner, { groupId }, 'after');
    assert.equal(await unread(two, groupId, 2), 1);
  });

  check('marking what is unknown or somebody else\'s changes nothing and tells nobody', async (t) => {
    const [one, two, three] = [user(), user(), user()];
    const [first, third] = [await join(t, one), await join(t, three)];
    const sent = await send(first, { toUserId: two }, 'for two');
    await succeed(third, 'mark_read', { messageIds: [sent.messageId, sent.id, '00000000-0000-7000-8000-000000000000', 999_999_999] });
    await succeed(third, 'mark_read', { messageIds: [] });
    await refused(third, 'mark_read', { conversation: sent.conversation, seq: 1 });
    for (const payload of [{}, { messageIds: 'x' }, { messageIds: [{}] }, { messageIds: [null] }, { messageIds: [''] }, { messageIds: Array(1001).fill(1) },
      { conversation: sent.conversation }, { seq: 1 }, { conversation: sent.conversation, seq: -1 }, { conversation: 'p:2', seq: 1 },
      { messageIds: [1], conversation: sent.conversation, seq: 1 }]) {
      assert.equal(await refused(third, 'mark_read', payload), 'invalid_payload');
    }
    await settled(form.nodes, [first, third]);
    assert.deepEqual(first.heard, []);
    assert.deepEqual((await history(first, sent.conversation)).map(({ isRead }) => isRead), [false]);
  });

  check('get_conversations: the newest first, page by page, with the last message', async (t) => {
    const [me, ...others] = [user(), user(), user(), user(), user(), user()];
    const groupId = await createGroup(form.next(), others[0], [me]);
    await createGroup(form.next(), me, [others[0]]); // nobody has written there
    const mine = await join(t, me);
    const last = [];
    for (const other of others) {
      const socket = await join(t, other);
      await send(socket, { toUserId: me }, `from ${other}`);
      last.unshift(await send(socket, { toUserId: me }, `again from ${other}`));
      if (other === others[0]) last.unshift(await send(socket, { groupId }, 'to the group'));
    }
    last.unshift(last.pop()); // who wrote first writes again
    last[0] = await send(mine, { toUserId: others[0] }, 'an answer');
    const seen = [];
    let cursor;
    do {
      const page = await command(mine, 'get_conversations', { limit: 4, ...(cursor && { cursor }) });
      assert.equal(page.success, true, JSON.stringify(page));
      assert.ok(page.data.length <= 4);
      seen.push(...page.data);
      cursor = page.nextCursor;
    } while (cursor);
    assert.deepEqual(seen.map(({ lastMessage }) => lastMessage), last);
    assert.deepEqual(seen.map(({ conversation }) => conversation), last.map(({ conversation }) => conversation));
    assert.deepEqual(seen.map(({ lastSeq }) => lastSeq), last.map(({ seq }) => seq));
    assert.deepEqual(seen.map(({ unreadCount }) => unreadCount), [2, 2, 2, 2, 2, 1]);
    assert.deepEqual(await succeed(mine, 'get_conversations', { limit: 100 }), seen);
    assert.deepEqual(await succeed(mine, 'get_conversations'), seen, 'no payload is needed');

    await succeed(mine, 'recall_message', { messageId: last[0].messageId });
    const [top] = await succeed(mine, 'get_conversations', { limit: 1 });
    assert.deepEqual(top.lastMessage, { ...last[0], content: '', isDeleted: true });
    for (const payload of [{ limit: 'x' }, { limit: -1 }, { cursor: {} }, { cursor: 'x' }, [], 'x']) await refused(mine, 'get_conversations', payload);
  });

  check('history over any gap, page by page, from any node', async (t) => {
    const [one, two] = [user(), user()];
    const groupId = await createGroup(form.next(), one, [two]);
    const sender = await join(t, one);
    const sent = [];
    for (let i = 0; i < 25; i++) sent.push(await send(sender, { groupId }, `number ${i}`));
    const reader = await join(t, two);
    const { conversation } = sent[0];
    assert.deepEqual(await history(reader, conversation, 7), sent);
    for (const [afterSeq, limit] of [[0, 1], [12, 5], [20, 5], [20, 100], [24, 1], [25, 1], [26, 1], [2 ** 53 - 1, 1]]) {
      const { messages, hasMore } = await succeed(reader, 'sync_messages', { conversation, afterSeq, limit });
      assert.deepEqual(messages, sent.slice(afterSeq, afterSeq + limit));
      assert.equal(hasMore, afterSeq + limit < 25, `after ${afterSeq}, at most ${limit}`);
    }
    assert.equal(await refused(reader, 'sync_messages', { conversation, afterSeq: 0, limit: 0 }), 'invalid_payload');
  });
});
