// Settings of the service, made tight (SPEC, section 4): the rates of messages and of typing, users watched, friendship, recall, the
// grace of those who come back, members of a group, forbidden words.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as path } from 'node:path';
import { after } from 'node:test';
import { denied, done } from '../support/ask.mjs';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { command, createGroup, refused } from '../support/im.mjs';
import { heard, listener, send, settled, succeed } from '../support/listener.mjs';
import { startNode } from '../support/server.mjs';
import { pause, until } from '../support/wait.mjs';

const dir = mkdtempSync(path(tmpdir(), 'sio-words-'));
after(() => rmSync(dir, { recursive: true, force: true }));
const wordsFile = path(dir, 'words.txt');
const LIST = '# not these\nrubbish\nstupid cow\n坏蛋\n';
writeFileSync(wordsFile, LIST);

const settings = {
  'im.messages_per_second': 2, 'im.message_burst': 12, 'im.typing_per_second': 3, 'im.watch_limit': 3, 'im.require_friendship': true,
  'im.recall_window': '0ms', 'im.max_group_members': 3, 'im.max_content_chars': 20, 'im.words_file': wordsFile, 'cluster.presence_grace': '1m',
};
let nextUser = 1;

inBothForms({ settings }, (form) => {
  const user = () => nextUser++;
  const join = (t, id) => listener(t, form.next(), id);
  const friend = (who, what, friendId) => done(form.next(), who, 'POST', `/friend/${what}`, { friendId });
  const note = (socket, content, more) => send(socket, { toUserId: socket.userId }, content, more);

  check('messages beyond the burst are refused with the time to wait, and go through after it', async (t) => {
    const [socket, other] = [await join(t, user()), await join(t, user())];
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => command(socket, 'send_message', { toUserId: socket.userId, messageType: 1, content: `${i}` })));
    const late = answers.filter(({ success }) => !success);
    assert.ok(answers.length - late.length >= 12, 'the burst goes through');
    assert.ok(late.length > 0, 'and not all of 40');
    for (const { code, retryInMs } of late) {
      assert.equal(code, 'rate_limited');
      assert.ok(Number.isInteger(retryInMs) && retryInMs >= 1 && retryInMs <= 20_000, `in ${retryInMs} ms`);
    }
    await note(other, 'others may');
    await pause(late.at(-1).retryInMs);
    assert.equal((await note(socket, 'again')).seq, answers.length - late.length + 1, 'what was refused was not stored');
  });

  check('typing, too, for each connection', async (t) => {
    const one = user();
    const [socket, other] = [await join(t, one), await join(t, one)];
    const typing = () => command(socket, 'typing', { targetId: one, targetType: 1 });
    const answers = await Promise.all(Array.from({ length: 30 }, typing));
    const late = answers.filter(({ success }) => !success);
    assert.ok(late.length > 0 && answers.length - late.length >= 3);
    assert.ok(late.every(({ code, retryInMs }) => code === 'rate_limited' && retryInMs >= 1));
    await succeed(other, 'typing', { targetId: one, targetType: 1 });
    await pause(late.at(-1).retryInMs);
    await succeed(socket, 'stop_typing', { targetId: one, targetType: 1 });
  });

  check('a connection watches so many users, and others in their place', async (t) => {
    const [a, b, c, d] = [user(), user(), user(), user()];
    const watcher = await join(t, user());
    await succeed(watcher, 'watch_presence', { userIds: [a, b] });
    assert.equal(await refused(watcher, 'watch_presence', { userIds: [c, d] }), 'too_many');
    await succeed(watcher, 'watch_presence', { userIds: [a, b, c, c] });
    assert.equal(await refused(watcher, 'watch_presence', { userIds: [d] }), 'too_many');
    await succeed(watcher, 'unwatch_presence', { userIds: [a, c] });
    await succeed(watcher, 'watch_presence', { userIds: [d] });
    for (const who of [c, a, b, d]) await join(t, who);
    await until(() => watcher.heard.length >= 2, 'both come online');
    assert.deepEqual(watcher.heard.map(([event, { userId }]) => [event, userId]).sort(), [['user_online', b], ['user_online', d]]);
  });

  check('who is back within the grace was never away', async (t) => {
    const [one, two] = [user(), user()];
    const watcher = await join(t, user());
    await succeed(watcher, 'watch_presence', { userIds: [one, two] });
    for (let i = 0; i < 4; i++) {
      const socket = await join(t, one);
      await until(() => watcher.heard.length > 0, 'it is online');
      socket.disconnect();
    }
    await join(t, two);
    await until(() => watcher.heard.length > 1, 'the next thing to be told');
    assert.deepEqual(watcher.heard.map(([event, { userId }]) => [event, userId]), [['user_online', one], ['user_online', two]]);
    assert.deepEqual(await succeed(watcher, 'get_online_users', { userIds: [one] }), [one], 'it still counts as online');
  });

  check('only friends write to each other, and see each other type', async (t) => {
    const [one, two] = [user(), user()];
    const [first, second] = [await join(t, one), await join(t, two)];
    const strangers = async () => {
      for (const [socket, to] of [[first, two], [second, one]]) {
        assert.equal(await refused(socket, 'send_message', { toUserId: to, messageType: 1, content: 'hello' }), 'not_friends');
        // By another connection each time, for the rate.
        assert.equal(await refused(await join(t, socket.userId), 'typing', { targetId: to, targetType: 1 }), 'not_friends');
      }
    };
    await strangers();
    await friend(one, 'request', two);
    await strangers();
    await friend(two, 'reject', one);
    await strangers();
    await friend(one, 'request', two);
    await friend(two, 'accept', one);
    await send(first, { toUserId: two }, 'hello');
    await send(second, { toUserId: one }, 'hello you');
    await succeed(first, 'typing', { targetId: two, targetType: 1 });
    await settled(form.nodes, [first, second]);
    assert.deepEqual([first, second].map((socket) => heard(socket, 'private_message', 'user_typing').length), [1, 2]);
    await friend(two, 'remove', one);
    await strangers();
    await note(first, 'to myself');
    const groupId = await createGroup(form.next(), one, [two]);
    await send(second, { groupId }, 'in a group');
    await succeed(second, 'typing', { targetId: groupId, targetType: 2 });
  });

  check('after the time for it a message is not recalled any more, but deleted', async (t) => {
    const socket = await join(t, user());
    const sent = await note(socket, 'too late');
    assert.equal(await refused(socket, 'recall_message', { messageId: sent.messageId }), 'too_late');
    const groupId = await createGroup(form.next(), socket.userId, []);
    const inGroup = await send(socket, { groupId }, 'too late');
    assert.equal(await refused(socket, 'recall_message', { messageId: inGroup.messageId }), 'too_late', 'for the owner, too');
    const { messages } = await succeed(socket, 'sync_messages', { conversation: sent.conversation, afterSeq: 0 });
    assert.deepEqual(messages, [sent]);
    assert.equal((await succeed(socket, 'delete_message', { messageId: sent.messageId })).isDeleted, true);
  });

  check('groups, and contents, are as large as they may be', async (t) => {
    const owner = user();
    const groupId = await createGroup(form.next(), owner, [user(), user()]);
    assert.equal(await denied(form.next(), owner, 'POST', '/group/invite', { groupId, userIds: [user()] }), 'group_full');
    const socket = await join(t, owner);
    await note(socket, '€'.repeat(20));
    assert.equal(await refused(socket, 'send_message', { toUserId: owner, messageType: 1, content: 'x'.repeat(21) }), 'invalid_content');
  });

  check('words that are not wanted are masked, for everybody, and the list is read again on SIGHUP', async (t) => {
    const [socket, own] = await Promise.all([user()].flatMap((id) => [join(t, id), join(t, id)]));
    for (const [text, masked] of [['what Rubbish!', 'what *******!'], ['rubbishy', 'rubbishy'], ['STUPID COW', '**********'], ['你是坏蛋吗', '你是**吗'], ['new word', 'new word']]) {
      assert.equal((await note(socket, text)).content, masked);
    }
    await settled(form.nodes, [own]);
    assert.equal(own.inbox[0].content, 'what *******!');
    writeFileSync(wordsFile, 'new word\n');
    for (const node of form.nodes) node.signal('SIGHUP');
    for (const node of form.nodes) {
      // One user for each attempt, for the rate.
      await until(async () => (await note(await listener(t, node, user()), 'new word')).content === '********', 'the new list holds');
      assert.equal((await note(await listener(t, node, user()), 'rubbish')).content, 'rubbish');
    }
    // A list that can't be used changes nothing, and the log says why.
    writeFileSync(wordsFile, `right\n${'x'.repeat(101)}\n`);
    for (const node of form.nodes) {
      node.signal('SIGHUP');
      await until(() => /im\.words_file: .*line 2/.test(node.log()), 'the log says what is wrong');
      assert.equal((await note(await listener(t, node, user()), 'new word, right')).content, '********, right');
    }
    writeFileSync(wordsFile, LIST);
    for (const node of form.nodes) node.signal('SIGHUP');
  });
});

check('words that are not wanted are refused, where that is set', async (t) => {
  const node = await startNode({ args: ['--set', `im.words_file=${wordsFile}`, '--set', 'im.words_mode=refuse'] });
  t.after(() => node.stop());
  const [first, second] = [await listener(t, node, 1), await listener(t, node, 2)];
  assert.equal(await refused(first, 'send_message', { toUserId: 2, messageType: 1, content: 'such rubbish' }), 'forbidden_word');
  assert.equal(await denied(node, 1, 'POST', '/message/send', { toUserId: 2, messageType: 1, content: 'such rubbish' }), 'forbidden_word');
  const sent = await send(first, { toUserId: 2 }, 'such nonsense');
  assert.equal(sent.seq, 1);
  await settled([node], [second]);
  assert.deepEqual(second.inbox, [sent]);
});
