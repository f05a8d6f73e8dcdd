// /api/group: who is in, as what, and who may change that.
import assert from 'node:assert/strict';
import { check } from '../../support/check.mjs';
import { Rest } from '../../support/rest.mjs';

export function groups(form) {
  let last = 200;
  /** So many users whom no other test has met. */
  const people = (count) => Array.from({ length: count }, () => Rest.user(form, ++last));
  const create = (owner, members, more = {}) => owner.post('/group/create', { name: 'us', memberIds: members.map(({ userId }) => userId), ...more });
  const roles = async (who, id) => (await who.get(`/group/${id}/members`)).map(({ userId, role }) => [userId, role]);
  const write = (groupId) => ['POST', '/message/send', { groupId, messageType: 1, content: 'x' }];

  check('a group is created, seen by its members, changed by its admins, dissolved by its owner', async () => {
    const [owner, member, stranger] = people(3);
    const group = await create(owner, [member], { description: 'all of us', avatar: 'https://example.org/g.png' });
    const { id, createdAt, ...rest } = group;
    assert.deepEqual(rest, {
      name: 'us', description: 'all of us', avatar: 'https://example.org/g.png', ownerId: owner.userId, memberCount: 2, maxMembers: 500, isPublic: false,
    });
    assert.ok(Date.parse(createdAt) > 0);
    for (const who of [owner, member]) {
      assert.deepEqual(await who.get(`/group/${id}`), group);
      assert.deepEqual(await who.get(`/group/user/${who.userId}`), [group]);
      assert.deepEqual(await roles(who, id), [[owner.userId, 2], [member.userId, 0]]);
      assert.equal(await who.get(`/group/${id}/member/${member.userId}`), true);
      assert.equal(await who.get(`/group/${id}/member/${stranger.userId}`), false);
    }
    for (const path of [`/group/${id}`, `/group/${id}/members`, `/group/${id}/member/${member.userId}`]) {
      await stranger.refused('403 not_a_member', 'GET', path);
    }
    await stranger.refused('403 forbidden', 'GET', `/group/user/${owner.userId}`);

    await member.refused('403 forbidden', 'PUT', `/group/${id}`, { name: 'mine' });
    await stranger.refused('403 not_a_member', 'PUT', `/group/${id}`, { name: 'mine' });
    const changed = { ...group, name: 'we', isPublic: true, maxMembers: 10 };
    assert.deepEqual(await owner.put(`/group/${id}`, { name: 'we', isPublic: true, maxMembers: 10 }), changed);
    assert.deepEqual(await stranger.get(`/group/${id}`), changed, 'everybody sees a public group');

    await member.refused('403 forbidden', 'DELETE', `/group/${id}`);
    await owner.delete(`/group/${id}`);
    await owner.refused('404 group_not_found', 'GET', `/group/${id}`);
    await member.refused('404 group_not_found', ...write(id));
    assert.deepEqual(await member.get(`/group/user/${member.userId}`), []);
  });

  check('groups that are refused', async () => {
    const [owner] = people(1);
    for (const [expected, wrong] of [
      ['400 invalid_parameter', { name: undefined }],
      ['400 invalid_payload', { name: '' }],
      ['400 invalid_payload', { name: 'x'.repeat(101) }],
      ['400 invalid_payload', { description: 'x'.repeat(2001) }],
      ['400 invalid_payload', { avatar: 'x'.repeat(2001) }],
      ['400 invalid_payload', { maxMembers: 1 }],
      ['400 invalid_payload', { maxMembers: 501 }],
      ['400 invalid_parameter', { maxMembers: 'many' }],
      ['400 invalid_parameter', { isPublic: 'perhaps' }],
      ['400 invalid_parameter', { isPublic: 1 }],
      ['400 invalid_parameter', { memberIds: [0] }],
    ]) await owner.refused(expected, 'POST', '/group/create', { name: 'us', ...wrong });
    await owner.refused('404 group_not_found', 'GET', '/group/999999');
    await owner.refused('400 invalid_parameter', 'GET', '/group/none');
    await owner.refused('400 invalid_parameter', 'POST', '/group/join', {});
  });

  check('one joins public groups only, and leaves any but one\'s own', async () => {
    const [owner, member, guest] = people(3);
    const [open, closed] = [await create(owner, [member], { isPublic: true }), await create(owner, [member])];
    await guest.post('/group/join', { groupId: open.id });
    await guest.refused('409 already_a_member', 'POST', '/group/join', { groupId: open.id });
    await guest.refused('403 forbidden', 'POST', '/group/join', { groupId: closed.id });
    await guest.refused('404 group_not_found', 'POST', '/group/join', { groupId: 999_999 });
    assert.deepEqual(await roles(owner, open.id), [[owner.userId, 2], [member.userId, 0], [guest.userId, 0]]);
    await guest.post('/group/leave', { groupId: open.id });
    await guest.refused('403 not_a_member', 'POST', '/group/leave', { groupId: open.id });
    await owner.refused('409 owner_cannot_leave', 'POST', '/group/leave', { groupId: open.id });
    assert.equal((await owner.get(`/group/${open.id}`)).memberCount, 2);
  });

  check('admins invite; in a public group every member does', async () => {
    const [owner, member, one, two] = people(4);
    const [open, closed] = [await create(owner, [member], { isPublic: true }), await create(owner, [member])];
    const invite = (groupId) => ['/group/invite', { groupId, userIds: [member.userId, one.userId, two.userId] }];
    assert.deepEqual(await member.post(...invite(open.id)), [one.userId, two.userId]);
    assert.deepEqual(await member.post(...invite(open.id)), [], 'all are in already');
    await member.refused('403 forbidden', 'POST', ...invite(closed.id));
    await one.refused('403 not_a_member', 'POST', ...invite(closed.id));
    assert.deepEqual(await owner.post(...invite(closed.id)), [one.userId, two.userId]);
    assert.equal((await one.post('/message/send', { groupId: closed.id, messageType: 1, content: 'in' })).seq, 1);
    await owner.refused('400 invalid_parameter', 'POST', '/group/invite', { groupId: open.id });
  });

  check('no more members than the group may have', async () => {
    const [owner, one, two, three] = people(4);
    await owner.refused('409 group_full', 'POST', '/group/create', { name: 'us', memberIds: [one, two].map(({ userId }) => userId), maxMembers: 2 });
    const { id } = await create(owner, [one], { maxMembers: 3, isPublic: true });
    await owner.refused('409 group_full', 'POST', '/group/invite', { groupId: id, userIds: [two.userId, three.userId] });
    assert.equal((await owner.get(`/group/${id}`)).memberCount, 2, 'nobody of too many is let in');
    await two.post('/group/join', { groupId: id });
    await three.refused('409 group_full', 'POST', '/group/join', { groupId: id });
    await owner.put(`/group/${id}`, { maxMembers: 4 });
    await three.post('/group/join', { groupId: id });
  });

  check('of two who want the last place, on whichever nodes, one gets it', async () => {
    const [owner, ...others] = people(7);
    const { id } = await create(owner, [], { maxMembers: 2, isPublic: true });
    const answers = await Promise.all(others.map((who) => who.ask('POST', '/group/join', { groupId: id })));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409, 409, 409, 409, 409]);
    assert.equal((await owner.get(`/group/${id}`)).memberCount, 2);
  });

  check('roles: the owner makes admins, admins kick and mute members, nobody an equal', async () => {
    const [owner, admin, other, member] = people(4);
    const { id } = await create(owner, [admin, other, member]);
    const about = ({ userId }, more = {}) => ({ groupId: id, userId, ...more });
    await admin.refused('403 forbidden', 'POST', '/group/admin', about(other, { isAdmin: true }));
    await owner.post('/group/admin', about(admin, { isAdmin: true }));
    await owner.post('/group/admin', about(other, { isAdmin: true }));
    assert.deepEqual(await roles(member, id), [[owner.userId, 2], [admin.userId, 1], [other.userId, 1], [member.userId, 0]]);
    await owner.refused('400 invalid_parameter', 'POST', '/group/admin', about(admin));
    await admin.refused('403 forbidden', 'POST', '/group/admin', about(member, { isAdmin: true }));

    for (const path of ['/group/kick', '/group/mute', '/group/unmute']) {
      await member.refused('403 forbidden', 'POST', path, about(other, { muteDuration: 1 }));
      await admin.refused('403 forbidden', 'POST', path, about(other, { muteDuration: 1 }));
      await admin.refused('403 forbidden', 'POST', path, about(owner, { muteDuration: 1 }));
      await owner.refused('403 not_a_member', 'POST', path, about({ userId: 999_999 }, { muteDuration: 1 }));
    }
    for (const muteDuration of [undefined, 0, -1, 1.5, 10 ** 9]) {
      await admin.refused('400 invalid_parameter', 'POST', '/group/mute', about(member, { muteDuration }));
    }
    await admin.post('/group/mute', about(member, { muteDuration: 10 }));
    const { mutedUntil } = (await member.get(`/group/${id}/members`)).find(({ userId }) => userId === member.userId);
    assert.ok(Date.parse(mutedUntil) > Date.now());
    assert.match(await member.refused('403 muted', ...write(id)), new RegExp(mutedUntil), 'the refusal says until when');
    await admin.post('/group/unmute', about(member));
    await member.data(...write(id));

    await owner.post('/group/admin', about(other, { isAdmin: false }));
    await admin.post('/group/kick', about(other));
    await other.refused('403 not_a_member', ...write(id));
    assert.deepEqual(await roles(owner, id), [[owner.userId, 2], [admin.userId, 1], [member.userId, 0]]);
  });

  check('a group is handed over by its owner, who then is an admin, and may leave', async () => {
    const [owner, heir, member, stranger] = people(4);
    const { id } = await create(owner, [heir, member]);
    const to = ({ userId }) => ({ groupId: id, userId });
    await heir.refused('403 forbidden', 'POST', '/group/transfer', to(heir));
    await stranger.refused('403 not_a_member', 'POST', '/group/transfer', to(heir));
    await owner.refused('403 not_a_member', 'POST', '/group/transfer', to(stranger));
    await owner.refused('409 oneself', 'POST', '/group/transfer', to(owner));
    await owner.refused('409 owner_cannot_leave', 'POST', '/group/leave', { groupId: id });
    await owner.post('/group/transfer', to(heir));
    assert.equal((await member.get(`/group/${id}`)).ownerId, heir.userId);
    assert.deepEqual(await roles(member, id), [[owner.userId, 1], [heir.userId, 2], [member.userId, 0]]);
    await owner.refused('403 forbidden', 'POST', '/group/transfer', to(member));
    await owner.post('/group/leave', { groupId: id });
    await heir.delete(`/group/${id}`);
  });

  check('who is muted stays so, also who leaves and comes back, or is put out and invited', async () => {
    const [owner, one, two] = people(3);
    const { id } = await create(owner, [one, two], { isPublic: true });
    for (const { userId } of [one, two]) await owner.post('/group/mute', { groupId: id, userId, muteDuration: 10 });
    await one.post('/group/leave', { groupId: id });
    await one.post('/group/join', { groupId: id });
    await owner.post('/group/kick', { groupId: id, userId: two.userId });
    await owner.post('/group/invite', { groupId: id, userIds: [two.userId] });
    for (const who of [one, two]) await who.refused('403 muted', ...write(id));
    await owner.post('/group/unmute', { groupId: id, userId: one.userId });
    await one.data(...write(id));
  });

  check('everybody may ask whether they are in a group themselves', async () => {
    const [owner, stranger] = people(2);
    const { id } = await create(owner, []);
    assert.equal(await stranger.get(`/group/${id}/member/${stranger.userId}`), false);
    assert.equal(await owner.get(`/group/${id}/member/${owner.userId}`), true);
    await stranger.refused('403 not_a_member', 'GET', `/group/${id}/member/${owner.userId}`);
    await stranger.refused('404 group_not_found', 'GET', `/group/999999/member/${stranger.userId}`);
  });

  check('members come page by page', async () => {
    const [owner, ...others] = people(6);
    const { id } = await create(owner, others);
    const page = async (query) => (await owner.get(`/group/${id}/members`, query)).map(({ userId }) => userId);
    const all = [owner, ...others].map(({ userId }) => userId);
    assert.deepEqual(await page({ limit: 4 }), all.slice(0, 4));
    assert.deepEqual(await page({ after: all[3], limit: 4 }), all.slice(4));
    await owner.refused('400 invalid_parameter', 'GET', `/group/${id}/members`, { limit: 0 });
    await owner.refused('400 invalid_parameter', 'GET', `/group/${id}/members`, { limit: 1001 });
  });
}
