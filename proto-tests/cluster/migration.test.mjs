// What a netty-socketio sample application has in its tables is there after deploy/migration/from-java-sample.sql, and goes on.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startMariaDb } from '../support/backends.mjs';
import { check } from '../support/check.mjs';
import { assertGapless, command, device, history, refused, sendText } from '../support/im.mjs';
import { programOf, startNode } from '../support/server.mjs';

const read = (path) => readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8');
const script = read('../../deploy/migration/from-java-sample.sql');

let mariadb, node;
before(async () => { mariadb = await startMariaDb(); });
after(async () => {
  await node?.stop();
  await mariadb?.stop();
});

/** Runs SQL as the operator does; gives what it prints. */
function sql(text, { fails = false } = {}) {
  const done = spawnSync(programOf('mariadb', 'mysql'), [
    '--no-defaults', '--socket', `${mariadb.dir}/data/mariadb.sock`, '--user=root', '--batch', '--default-character-set=utf8mb4', 'im',
  ], { input: text, encoding: 'utf8' });
  assert.equal(done.status !== 0, fails, done.error?.message ?? done.stderr + done.stdout);
  return fails ? done.stderr : done.stdout;
}

/** Everything that the script may write. */
const everything = () => ['conversations', 'messages', 'read_positions', 'users', 'im_groups', 'group_members', 'friends', 'friend_requests']
  .map((table) => sql(`SELECT * FROM ${table} ORDER BY 1, 2;`)).join('\n');

async function withNode(use) {
  node = await startNode({ store: mariadb.url });
  await node.ready();
  await use(node);
  await node.terminate();
}

const get = async (path) => (await (await fetch(`${node.httpUrl}/api${path}`)).json()).data;

check('a dump of the sample is carried over, and conversations go on', { timeout: 120_000 }, async (t) => {
  await withNode(() => {}); // makes the tables
  sql(read('../support/java-sample.sql'));
  const report = sql(script);
  assert.match(report, /^3\t1\t7\t1$/m, 'users, groups, messages, messages to nobody');
  const carried = everything();
  sql(script);
  assert.equal(everything(), carried, 'a second run changes nothing');

  await withNode(async () => {
    const [anna, bo, chen] = await Promise.all([1, 2, 3].map((user) => device(t, node, user)));

    const messages = await history(anna, 'p:1:2', 2);
    assertGapless(messages);
    assert.deepEqual(messages.map(({ content }) => content), ['first 😀', '第二条', 'a picture', '', 'of a type of its own']);
    assert.deepEqual(messages.map(({ fromUserId }) => fromUserId), [1, 2, 1, 2, 2]);
    assert.deepEqual(messages.map(({ messageType }) => messageType), [1, 1, 2, 1, 1]);
    assert.deepEqual(messages.map(({ isDeleted }) => isDeleted), [false, false, false, true, false]);
    assert.equal(messages[0].messageId, '7c9e6679-7425-40de-944b-e07fc1f90ae7', 'a UUID stays');
    assert.equal(messages[1].replyToMessageId, messages[0].messageId, 'a reply to a message_id');
    assert.equal(messages[2].replyToMessageId, messages[1].messageId, 'a reply to an id');
    assert.equal(messages[4].replyToMessageId, null, 'a reply to nothing');
    assert.equal(new Date(messages[0].createdAt).toISOString(), '2024-05-01T02:00:00.000Z', 'local times of +08:00');
    const { fileUrl, fileSize, fileName } = messages[2];
    assert.deepEqual([fileUrl, fileSize, fileName], ['https://files.example/p.png', 1234, 'p.png']);

    const overview = async (socket) => (await command(socket, 'get_conversations', {})).data
      .map(({ conversation, lastSeq, unreadCount }) => [conversation, lastSeq, unreadCount]);
    assert.deepEqual(await overview(anna), [['g:77', 2, 0], ['p:1:2', 5, 2]], 'unread from the first unread message on');
    assert.deepEqual(await overview(bo), [['g:77', 2, 0], ['p:1:2', 5, 0]]);
    assert.deepEqual(await overview(chen), [['g:77', 2, 0]]);

    const members = await get('/group/77/members?userId=1');
    assert.deepEqual(members.map(({ userId, role }) => [userId, role]).sort(), [[1, 2], [2, 1], [3, 0]]);
    assert.equal(await refused(chen, 'send_message', { groupId: 77, messageType: 1, content: 'muted' }), 'muted');
    const people = async (user) => {
      const { friends, requests } = await get(`/friend/list?userId=${user}`);
      return [friends.map(({ userId, remark }) => [userId, remark]), requests.map(({ fromUserId }) => fromUserId)];
    };
    assert.deepEqual(await people(1), [[[2, 'my Bo']], [3]], 'a friend by her name for him, and a request');
    assert.deepEqual(await people(2), [[[1, null]], []]);

    assert.equal((await get('/user/2')).nickname, '小波');
    const login = await fetch(`${node.httpUrl}/api/user/login`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ account: 'anna', password: '123456' }),
    });
    assert.equal((await login.json()).error, 'wrong_credentials', 'old passwords do not work, and do no harm');

    const next = await sendText(anna, 2, 'and on');
    assert.deepEqual([next.seq, next.conversation], [6, 'p:1:2']);
    const inGroup = await command(bo, 'send_message', { groupId: 77, messageType: 1, content: 'and on' });
    assert.equal(inGroup.data.seq, 3);
  });

  // Run again after messages were written here, with one more in the old tables.
  sql(`INSERT INTO java_im.messages VALUES
    (18, 'msg_late', 2, 1, NULL, 1, 'late', NULL, NULL, NULL, 0, 0, NULL, '2024-05-02 10:00:00'),
    (19, 'msg_gone', 40, 50, NULL, 1, 'between users who are gone', NULL, NULL, NULL, 0, 0, NULL, '2024-05-02 10:00:01'),
    (20, 'msg_gone_group', 41, NULL, 90, 1, 'in a group that is gone', NULL, NULL, NULL, 0, 0, NULL, '2024-05-02 10:00:02');`);
  sql(script);
  await withNode(async () => {
    const [anna, bo] = await Promise.all([1, 2].map((user) => device(t, node, user)));
    const messages = await history(anna, 'p:1:2');
    assertGapless(messages);
    assert.deepEqual(messages.slice(-2).map(({ content }) => content), ['and on', 'late']);
    const unread = async (socket) => Object.fromEntries((await command(socket, 'get_conversations', {})).data
      .map(({ conversation, unreadCount }) => [conversation, unreadCount]));
    assert.deepEqual(await unread(anna), { 'p:1:2': 3, 'g:77': 1 });
    assert.deepEqual(await unread(bo), { 'p:1:2': 1, 'g:77': 0 }, 'what was written here stays unread');

    // Nobody comes upon what was of users and groups that are gone.
    const post = async (path, body) => (await (await fetch(`${node.httpUrl}/api${path}`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
    })).json()).data;
    assert.equal((await post('/user/register', { username: 'new', password: 'a password' })).id, 51);
    assert.equal((await post('/group/create', { operatorId: 1, name: 'new' })).id, 91);
    assert.equal(sql("SELECT COUNT(*) FROM users WHERE username = '';").trim(), 'COUNT(*)\n0');
  });
});

check('another user or group of the same id stops it, and nothing is changed', async () => {
  sql("UPDATE java_im.users SET username = 'somebody else' WHERE id = 3;");
  let before = everything();
  assert.match(sql(script, { fails: true }), /a_user_id_is_taken_by_another_user/);
  assert.equal(everything(), before);
  sql(`UPDATE java_im.users SET username = 'chen' WHERE id = 3;
    INSERT INTO java_im.users (id, username, password) VALUES (9007199254740993, 'too high', '');`);
  before = everything();
  assert.match(sql(script, { fails: true }), /a_user_id_is_not_within_1_to_2_pow_53/);
  assert.equal(everything(), before);
});
