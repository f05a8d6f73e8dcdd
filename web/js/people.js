// Who is who, and who is there: names of users, groups and their members, presence. Asked for when first needed, and
// kept. Presence is watched, so it stays true while connected, and is asked for again after every reconnect.

/** Users asked about in one request. */
const BATCH = 200;

export class People {
  #api;
  #link;
  #onChange;
  #hasAccounts;
  #names = new Map();
  #online = new Map();
  #watched = new Set();
  #wanted = new Set();
  #groups = new Map();

  /** `hasAccounts`: users have names. In open mode they are numbers. */
  constructor({ api, link, hasAccounts, onChange }) {
    this.#api = api;
    this.#link = link;
    this.#hasAccounts = hasAccounts;
    this.#onChange = onChange;
    link.on('user_online', ({ userId }) => this.#setOnline(userId, true));
    link.on('user_offline', ({ userId }) => this.#setOnline(userId, false));
  }

  /** A user's name, or `null` while or if there is none. */
  name(userId) {
    if (this.#hasAccounts && !this.#names.has(userId)) {
      this.#names.set(userId, null);
      this.#api.get(`/user/${userId}`).then(({ nickname, username }) => {
        this.#names.set(userId, nickname || username);
        this.#onChange();
      }, () => {});
    }
    return this.#names.get(userId) ?? null;
  }

  /** `true`, `false`, or `undefined` while unknown. Whoever is asked about is watched from then on. */
  isOnline(userId) {
    if (!this.#watched.has(userId)) {
      if (this.#wanted.size === 0) queueMicrotask(() => this.#watchWanted());
      this.#watched.add(userId);
      this.#wanted.add(userId);
    }
    return this.#online.get(userId);
  }

  /** After a reconnect: the new connection watches nobody yet, and what was known may be old. */
  async refresh() {
    this.#wanted = new Set(this.#watched);
    await Promise.all([this.#watchWanted(), this.loadGroups()]);
  }

  /** While offline nothing is known. */
  forgetPresence() {
    this.#online.clear();
  }

  async #watchWanted() {
    const users = [...this.#wanted];
    this.#wanted.clear();
    for (let at = 0; at < users.length; at += BATCH) {
      const userIds = users.slice(at, at + BATCH);
      try {
        await this.#link.ask('watch_presence', { userIds });
        const { data } = await this.#link.ask('get_online_users', { userIds });
        for (const userId of userIds) this.#online.set(userId, data.includes(userId));
      } catch {
        return; // Asked again with the next connection.
      }
      this.#onChange();
    }
  }

  #setOnline(userId, isOnline) {
    this.#online.set(userId, isOnline);
    this.#onChange();
  }

  /** What is known about a group, or `undefined`: the API's group, and `members` once they were loaded. */
  group(groupId) {
    return this.#groups.get(groupId);
  }

  get groups() {
    return [...this.#groups.values()];
  }

  /** The groups that one is in. */
  async loadGroups() {
    const groups = await this.#api.get(`/group/user/${this.#api.identity.userId}`).catch(() => null);
    if (groups === null) return;
    const before = this.#groups;
    this.#groups = new Map(groups.map((group) => [group.id, { ...before.get(group.id), ...group }]));
    this.#onChange();
  }

  /** The members of a group, as `{userId, role}`. */
  async loadMembers(groupId) {
    const [group, members] = await Promise.all([this.#api.get(`/group/${groupId}`), this.#api.get(`/group/${groupId}/members`)]);
    this.#groups.set(groupId, { ...group, members });
    this.#onChange();
  }
}
