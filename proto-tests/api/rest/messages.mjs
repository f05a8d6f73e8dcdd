// /api/message: sending, history, read marks, recall and deletion.
import assert from 'node:assert/strict';
import { io } from 'socket.io-client';
import { check } from '../../support/check.mjs';
import { client } from '../../support/clients.mjs';
import { assertMessage } from '../../support/im.mjs';
import { Rest } from '../../support/rest.mjs';
import { once } from '../../support/wait.mjs';

export function messages(form) {
  const say = (from, to, content, more = {}) => from.post('/message/send', { toUserId: to.userId, messageType: 1, content, ...more });
  const privately = (peer, more = {}) => ({ targetId: peer.userId, conversationType: 1, ...more });

  check('a message is stored once, and pushed', async (t) => {
    const [ann, bob] = [101, 102].map((id) => Rest.user(form, id));
    const socket = client(t, io, form.next().url, { auth: { token: bob.token }, transports: ['websocket'] });
    await once(socket, 'connected');
    const pushed = once(socket, 'private_message');
    const sent = await say(ann, bob, 'hello', { clientMessageId: 'c-1', fromUserId: 999 });
    assertMessage(sent, { seq: 1, fromUserId: 101, toUserId: 102, content: 'hello', conversation: 'p:101:102' });
    assert.deepEqual(await pushed, [sent]);
    assert.deepEqual(await say(ann, bob, 'hello again', { clientMessageId: 'c-1' }), sent);
    const picture = {
      messageType: 2, fileUrl: 'https://example.org/cat.png', fileSize: 1234, fileName: 'cat.png', replyToMessageId: sent.messageId,
    };
    assertMessage(await say(bob, ann, 'a cat', picture), { seq: 2, fromUserId: 102, toUserId: 101, content: 'a cat', ...picture });
    for (const id of [sent.id, sent.messageId]) assert.deepEqual(await bob.get(`/message/${id}`), sent);
  });

  check('messages that are refused', async () => {
    const ann = Rest.user(form, 101);
    const good = { toUserId: 102, messageType: 1, content: 'x' };
    for (const [expected, change] of [
      ['400 invalid_payload', { groupId: 1 }],
      ['400 invalid_payload', { toUserId: undefined }],
      ['400 invalid_parameter', { toUserId: 0 }],
      ['400 invalid_parameter', { toUserId: 2 ** 53 }],
      ['400 invalid_parameter', { messageType: 6 }],
      ['400 invalid_parameter', { messageType: undefined }],
      ['400 invalid_parameter', { content: undefined }],
      ['400 invalid_parameter', { content: 5 }],
      ['400 invalid_content', { content: '' }],
      ['400 invalid_content', { content: 'x'.repeat(5001) }],
      ['400 invalid_payload', { fileUrl: 'x'.repeat(2049) }],
      ['400 invalid_payload', { clientMessageId: 'x'.repeat(256) }],
      ['404 group_not_found', { toUserId: undefined, groupId: 999_999 }],
    ]) await ann.refused(expected, 'POST', '/message/send', { ...good, ...change });
    await ann.refused('404 message_not_found', 'GET', '/message/999999');
    await ann.refused('404 message_not_found', 'GET', '/message/00000000-0000-4000-8000-000000000000');
    await ann.refused('400 invalid_parameter', 'GET', '/message/no-message');
  });

  check('history, by page and from a message on', async () => {
    const [ann, bob] = [111, 112].map((id) => Rest.user(form, id));
    const sent = [];
    for (let i = 0; i < 25; i++) sent.unshift(await say(i % 2 ? bob : ann, i % 2 ? ann : bob, `number ${i}`));
    const history = (who, peer, more) => who.post('/message/private/history', privately(peer, more));

    const first = await history(bob, ann, { page: 1, size: 10 });
    assert.deepEqual(first, { records: sent.slice(0, 10), total: 25, page: 1, size: 10, hasMore: true });
    assert.deepEqual(await history(ann, bob, { page: 3, size: 10 }), { records: sent.slice(20), total: 25, page: 3, size: 10, hasMore: false });
    assert.deepEqual((await history(ann, bob, { page: 4, size: 10 })).records, []);
    assert.equal((await history(ann, bob)).records.length, 20, 'a page when none is asked for');
    for (const name of ['id', 'messageId']) {
      const { records, hasMore } = await history(ann, bob, { size: 5, lastMessageId: sent[9][name] });
      assert.deepEqual([records, hasMore], [sent.slice(10, 15), true]);
    }
    for (const wrong of [{ page: 0 }, { size: 0 }, { size: 101 }, { page: 'x' }, { conversationType: 3 }, { targetId: undefined }]) {
      await ann.refused('400 invalid_parameter', 'POST', '/message/private/history', privately(bob, wrong));
    }
    const elsewhere = await say(ann, { userId: 113 }, 'elsewhere');
    await ann.refused('404 message_not_found', 'POST', '/message/private/history', privately(bob, { lastMessageId: elsewhere.id }));
    await bob.refused('403 forbidden', 'POST', '/message/private/history', privately(ann, { lastMessageId: elsewhere.id }));
    assert.deepEqual(await history(Rest.user(form, 118), Rest.user(form, 119)), { records: [], total: 0, page: 1, size: 20, hasMore: false });
  });

  check('what is read counts no longer as unread', async () => {
    const [ann, bob] = [121, 122].map((id) => Rest.user(form, id));
    const unread = () => bob.get('/message/unread/count', privately(ann));
    const sent = [];
    for (let i = 0; i < 6; i++) sent.push(await say(ann, bob, `number ${i}`));
    assert.equal(await unread(), 6);
    assert.equal(await ann.get('/message/unread/count', privately(bob)), 0, 'one has read what one has written');
    await bob.post('/message/read', { messageId: sent[1].id });
    assert.equal(await unread(), 4);
    assert.deepEqual([(await ann.get(`/message/${sent[1].id}`)).isRead, (await ann.get(`/message/${sent[2].id}`)).isRead], [true, false]);
    await bob.post('/message/read/batch', { messageIds: [sent[2].messageId, sent[3].id] });
    assert.equal(await unread(), 2);
    await bob.post('/message/read/batch', [sent[4].id]);
    assert.equal(await unread(), 1);
    await bob.post('/message/read', { messageId: sent[0].id });
    assert.equal(await unread(), 1, 'a position moves forward only');
    await bob.refused('404 message_not_found', 'POST', '/message/read', { messageId: 999_999 });
    await bob.refused('400 invalid_parameter', 'POST', '/message/read', {});
    await bob.refused('400 invalid_parameter', 'POST', '/message/read/batch', { messageIds: ['x'] });
    await bob.refused('400 invalid_payload', 'POST', '/message/read/batch', Array.from({ length: 1001 }, (_, i) => i + 1));
    await bob.refused('400 invalid_parameter', 'GET', '/message/unread/count');
  });

  check('a message is recalled or deleted by its sender, and keeps its place', async () => {
    const [ann, bob] = [131, 132].map((id) => Rest.user(form, id));
    const file = { messageType: 3, fileUrl: 'https://example.org/f', fileSize: 1, fileName: 'f' };
    const [one, two] = [await say(ann, bob, 'one', file), await say(ann, bob, 'two')];
    await bob.refused('403 forbidden', 'POST', `/message/${one.id}/recall`);
    await bob.refused('403 forbidden', 'DELETE', `/message/${two.id}`);
    const emptied = (message) => ({ ...message, content: '', fileUrl: null, fileSize: null, fileName: null, isDeleted: true });
    assert.deepEqual(await ann.post(`/message/${one.messageId}/recall`), emptied(one));
    assert.deepEqual(await ann.delete(`/message/${two.id}`), emptied(two));
    assert.deepEqual((await bob.post('/message/private/history', privately(ann))).records, [emptied(two), emptied(one)]);
    await ann.refused('404 message_not_found', 'DELETE', '/message/999999');
    await ann.refused('404 message_not_found', 'POST', '/message/999999/recall');
  });

  check('messages of a group are for its members', async () => {
    const [owner, member, stranger] = [141, 142, 143].map((id) => Rest.user(form, id));
    const { id } = await owner.post('/group/create', { name: 'us', memberIds: [142] });
    const sent = await member.post('/message/send', { groupId: id, messageType: 1, content: 'to all' });
    assertMessage(sent, { seq: 1, fromUserId: 142, groupId: id, toUserId: null, conversation: `g:${id}`, content: 'to all' });
    const inGroup = { targetId: id, conversationType: 2 };
    assert.deepEqual((await owner.post('/message/group/history', inGroup)).records, [sent]);
    assert.equal(await owner.get('/message/unread/count', inGroup), 1);
    await owner.post('/message/read', { messageId: sent.id });
    assert.equal(await owner.get('/message/unread/count', inGroup), 0);

    await stranger.refused('403 not_a_member', 'POST', '/message/send', { groupId: id, messageType: 1, content: 'let me in' });
    await stranger.refused('403 not_a_member', 'POST', '/message/group/history', inGroup);
    await stranger.refused('404 group_not_found', 'POST', '/message/group/history', { targetId: 999_999 });
    const [own, admins] = [await owner.post('/message/send', { groupId: id, messageType: 1, content: 'mine' }), sent];
    await member.refused('403 forbidden', 'DELETE', `/message/${own.id}`);
    assert.equal((await owner.post(`/message/${admins.id}/recall`)).isDeleted, true, 'an owner recalls what members wrote');
  });
}
