// /api/user: accounts, their names, and what others see of them.
import assert from 'node:assert/strict';
import { check } from '../../support/check.mjs';
import { Rest } from '../../support/rest.mjs';

const password = 'correct horse battery';

export function users(form) {
  const nobody = new Rest(form, null);
  const registered = (name) => nobody.post('/user/register', {
    username: name, password, nickname: `${name} N.`, phone: `+44 ${name}`, email: `${name}@example.org`,
  });
  const loggedIn = async (account, itsPassword = password) => {
    const { token, user } = await nobody.post('/user/login', { account, password: itsPassword });
    return Object.assign(new Rest(form, token), { userId: user.id });
  };

  check('a user registers, and logs in by any of three names', async () => {
    const { id, createdAt, ...user } = await registered('ada');
    assert.ok(Number.isSafeInteger(id) && id >= 1);
    assert.ok(Math.abs(Date.parse(createdAt) - Date.now()) < 3_600_000, createdAt);
    assert.deepEqual(user, {
      username: 'ada', phone: '+44 ada', email: 'ada@example.org', nickname: 'ada N.', avatar: null, isAdmin: false,
    });
    for (const account of ['ada', '+44 ada', 'ada@example.org']) {
      const { token, expiresAt, user: same } = await nobody.post('/user/login', { account, password });
      assert.deepEqual(same, { id, createdAt, ...user });
      assert.ok(Date.parse(expiresAt) > Date.now());
      assert.equal((await new Rest(form, token).get(`/user/${id}`)).email, 'ada@example.org');
    }
  });

  check('a name leads to one user only', async () => {
    await registered('bea');
    const again = (change) => ({ username: 'bea2', password, ...change });
    await nobody.refused('409 username_taken', 'POST', '/user/register', again({ username: 'bea' }));
    await nobody.refused('409 username_taken', 'POST', '/user/register', again({ username: '+44 bea' }));
    await nobody.refused('409 phone_taken', 'POST', '/user/register', again({ phone: '+44 bea' }));
    await nobody.refused('409 email_taken', 'POST', '/user/register', again({ email: 'bea@example.org' }));
    for (const [kind, taken] of [['username', 'bea'], ['phone', '+44 bea'], ['email', 'bea@example.org']]) {
      assert.equal(await nobody.get(`/user/check/${kind}`, { [kind]: taken }), false, `${taken} is free`);
      assert.equal(await nobody.get(`/user/check/${kind}`, { [kind]: 'new@example.org' }), true);
      await nobody.refused('400 invalid_parameter', 'GET', `/user/check/${kind}`);
    }
    for (const [kind, name] of [['username', ''], ['username', 'x'.repeat(256)], ['email', 'nowhere']]) {
      await nobody.refused('400 invalid_parameter', 'GET', `/user/check/${kind}`, { [kind]: name });
    }
    await nobody.refused('404 not_found', 'GET', '/user/check/nickname', { nickname: 'x' });
  });

  check('registrations and logins that are refused', async () => {
    const register = (expected, change) => nobody.refused(expected, 'POST', '/user/register', { username: 'cid', password, ...change });
    await register('400 invalid_parameter', { username: undefined });
    await register('400 invalid_parameter', { username: '' });
    await register('400 invalid_parameter', { username: 'x'.repeat(256) });
    await register('400 invalid_parameter', { username: 7 });
    await register('400 invalid_parameter', { password: undefined });
    await register('400 invalid_parameter', { email: 'nowhere' });
    await register('400 password_too_short', { password: 'short' });
    await register('400 password_too_long', { password: 'x'.repeat(257) });
    await registered('cid');
    const wrong = await nobody.refused('401 wrong_credentials', 'POST', '/user/login', { account: 'cid', password: 'wrong horse' });
    const unknown = await nobody.refused('401 wrong_credentials', 'POST', '/user/login', { account: 'nobody', password });
    assert.equal(wrong, unknown, 'nobody learns which names there are');
    await nobody.refused('400 invalid_parameter', 'POST', '/user/login', { account: 'cid' });
  });

  check('a user sees and changes their own data, others see a profile', async () => {
    await registered('dot');
    const dot = await loggedIn('dot');
    const other = Rest.user(form, 900);
    const path = `/user/${dot.userId}`;
    const profile = await other.get(path);
    assert.deepEqual(Object.keys(profile).sort(), ['avatar', 'createdAt', 'id', 'nickname', 'username']);
    assert.deepEqual([profile.id, profile.username], [dot.userId, 'dot']);

    const changed = await dot.put(path, { nickname: 'Dorothy', avatar: 'https://example.org/d.png', phone: '112', password: 'another password' });
    assert.deepEqual([changed.nickname, changed.avatar, changed.phone, changed.email], ['Dorothy', 'https://example.org/d.png', '112', 'dot@example.org']);
    assert.equal((await other.get(path)).nickname, 'Dorothy');
    await nobody.refused('401 wrong_credentials', 'POST', '/user/login', { account: 'dot', password });
    assert.equal((await loggedIn('112', 'another password')).userId, dot.userId);

    await other.refused('403 forbidden', 'PUT', path, { nickname: 'mine' });
    await dot.refused('400 invalid_parameter', 'PUT', path, { nickname: 'x'.repeat(256) });
    await dot.refused('400 invalid_parameter', 'PUT', path, { email: 'nowhere' });
    await dot.refused('400 password_too_short', 'PUT', path, { password: 'x' });
    const emptied = await dot.put(path, { phone: '', avatar: '' });
    assert.deepEqual([emptied.phone, emptied.avatar, emptied.nickname, emptied.email], [null, null, 'Dorothy', 'dot@example.org']);
    await nobody.refused('401 wrong_credentials', 'POST', '/user/login', { account: '112', password: 'another password' });
    await registered('eve');
    await dot.refused('409 email_taken', 'PUT', path, { email: 'eve@example.org' });
    assert.equal((await dot.get(path)).email, 'dot@example.org');

    await other.refused('404 user_not_found', 'GET', '/user/999999');
    for (const id of ['0', 'abc', '9007199254740992', '1.5']) await other.refused('400 invalid_parameter', 'GET', `/user/${id}`);
  });
}
