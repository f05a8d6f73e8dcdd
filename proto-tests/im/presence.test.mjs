// Who is online, which is the same on every node (SPEC, section 4: get_online_users, watch_presence).
import assert from 'node:assert/strict';
import { check } from '../support/check.mjs';
import { inBothForms } from '../support/forms.mjs';
import { command, device, refused } from '../support/im.mjs';
import { until } from '../support/wait.mjs';

/** What a socket is told of others' presence: ['user_online', 2], … */
function presenceOf(socket) {
  const told = [];
  for (const event of ['user_online', 'user_offline']) {
    socket.on(event, ({ userId, timestamp }) => {
      assert.ok(!Number.isNaN(Date.parse(timestamp)), `a time, not ${timestamp}`);
      told.push([event, userId]);
    });
  }
  return told;
}

async function succeed(socket, event, payload) {
  const answer = await command(socket, event, payload);
  assert.equal(answer.success, true, JSON.stringify(answer));
  return answer;
}

async function online(socket, payload = {}) { return (await succeed(socket, 'get_online_users', payload)).data; }

/** Short, so that who goes is soon offline. That a quick return is no flap is seen in limits.test.mjs, where it is long. */
const settings = { 'cluster.presence_grace': '300ms' };

inBothForms({ settings }, (form) => {
  check('a watcher is told of the first and the last device of a user, on whichever nodes', async (t) => {
    const watcher = await device(t, form.next(), 101);
    const told = presenceOf(watcher);
    await succeed(watcher, 'watch_presence', { userIds: [102, 103] });
    const first = await device(t, form.next(), 102);
    await until(() => told.length === 1, 'user 102 comes online');
    const second = await device(t, form.next(), 102, 'polling only');
    first.disconnect();
    // Events of one user come in order, so what user 103 does shows that nothing was told of user 102 before.
    const other = await device(t, form.next(), 103);
    await until(() => told.length === 2, 'user 103 comes online');
    assert.deepEqual(told, [['user_online', 102], ['user_online', 103]]);
    second.disconnect();
    await until(() => told.length === 3, 'user 102 goes offline');
    other.disconnect();
    await until(() => told.length === 4, 'user 103 goes offline');
    assert.deepEqual(told.slice(2), [['user_offline', 102], ['user_offline', 103]]);
  });

  check('who has stopped watching is told nothing', async (t) => {
    const watcher = await device(t, form.next(), 111);
    const told = presenceOf(watcher);
    await succeed(watcher, 'watch_presence', { userIds: [112, 113] });
    await succeed(watcher, 'unwatch_presence', { userIds: [112] });
    await device(t, form.next(), 112);
    await until(async () => (await online(watcher, { userIds: [112] })).length === 1, 'user 112 is online');
    await device(t, form.next(), 113);
    await until(() => told.length > 0, 'user 113 comes online');
    assert.deepEqual(told, [['user_online', 113]]);
  });

  check('every node knows who is online anywhere', async (t) => {
    const users = [121, 122, 123, 124, 125, 126];
    const sockets = [];
    for (const [i, user] of users.entries()) sockets.push(await device(t, form.next(), user));
    for (const socket of sockets.slice(0, 3)) {
      await until(async () => (await online(socket, { userIds: [...users, 199] })).length === users.length, 'all six are online');
      assert.deepEqual((await online(socket, { userIds: [199, ...users] })).sort(), users);
      // Page by page: each once, in whatever order pages come.
      const seen = [];
      let cursor;
      do {
        const page = await succeed(socket, 'get_online_users', { limit: 2, ...(cursor !== undefined && { cursor }) });
        assert.ok(page.data.length <= 2);
        seen.push(...page.data);
        cursor = page.nextCursor ?? undefined;
      } while (cursor !== undefined);
      assert.equal(new Set(seen).size, seen.length, 'nobody twice');
      assert.deepEqual(users.filter((user) => !seen.includes(user)), [], 'nobody left out');
    }
    sockets[4].disconnect();
    await until(async () => !(await online(sockets[0], { userIds: users })).includes(125), 'user 125 is offline on another node');
  });

  check('watching is of one connection, and wrong payloads watch nobody', async (t) => {
    const [watcher, twin] = [await device(t, form.next(), 131), await device(t, form.next(), 131)];
    const [told, twinTold] = [presenceOf(watcher), presenceOf(twin)];
    for (const event of ['watch_presence', 'unwatch_presence']) {
      for (const payload of [null, {}, [132], { userIds: 132 }, { userIds: [0] }, { userIds: [-1] }, { userIds: ['x'] }, { userIds: [null] }, { userIds: [[132]] },
        { userIds: [2 ** 53] }, { userIds: Array(1001).fill(132) }]) assert.equal(await refused(watcher, event, payload), 'invalid_payload');
      await succeed(watcher, event, { userIds: [] });
    }
    for (const payload of [[], 'x', { userIds: 1 }, { userIds: ['x'] }, { cursor: {} }, { limit: 'x' }, { limit: -1 }]) {
      assert.equal(await refused(watcher, 'get_online_users', payload), 'invalid_payload');
    }
    await succeed(watcher, 'watch_presence', { userIds: [132, 133, 132] });
    await succeed(watcher, 'watch_presence', { userIds: [132] });
    await succeed(twin, 'unwatch_presence', { userIds: [133] });
    await device(t, form.next(), 132);
    await device(t, form.next(), 133);
    await until(() => told.length >= 2, 'both come online');
    assert.deepEqual(told.sort(), [['user_online', 132], ['user_online', 133]], 'each once');
    assert.deepEqual(twinTold, []);
  });
});
