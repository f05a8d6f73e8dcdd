// Who of a conversation is on which node: a column of people for each node, asked for again while it is looked at.
import { locate } from '../cluster.js';
import { h, reconcile } from '../dom.js';
import { t } from '../i18n.js';
import { avatar, nodeChip, userName } from './names.js';

/** How often, in milliseconds. */
const EVERY_MS = 3000;
/** People of a large group who are looked up, at most. */
const MOST = 40;

export class Placement {
  #places = [];
  #asked = 0;

  constructor({ chat, isShown, conversation, signal }) {
    Object.assign(this, { chat, isShown, conversation });
    this.element = h('div', { class: 'placement' });
    const timer = setInterval(() => this.refresh(), EVERY_MS);
    signal.addEventListener('abort', () => clearInterval(timer));
    chat.link.addEventListener('online', () => this.refresh(), { signal });
  }

  async refresh() {
    const conversation = this.conversation();
    if (!conversation || document.hidden || !this.isShown()) return;
    const asked = ++this.#asked;
    const places = await locate(this.chat.api, this.#people(conversation));
    if (asked !== this.#asked) return;
    this.#places = places;
    this.#render();
  }

  #people({ isGroup, targetId }) {
    const { people, me } = this.chat;
    if (!isGroup) return [...new Set([me, targetId])];
    return (people.group(targetId)?.members ?? []).slice(0, MOST).map(({ userId }) => userId);
  }

  #render() {
    const nodes = new Map();
    for (const { userId, devices } of this.#places) {
      const nodeIds = devices.length > 0 ? devices.map(({ nodeId }) => nodeId) : [''];
      for (const nodeId of new Set(nodeIds)) nodes.set(nodeId, [...(nodes.get(nodeId) ?? []), userId]);
    }
    // The nodes by name, and whoever is nowhere at the end.
    const columns = [...nodes].sort(([a], [b]) => (a === '') - (b === '') || a.localeCompare(b, 'en', { numeric: true }));
    reconcile(this.element, columns, ([nodeId]) => nodeId, ([nodeId]) => this.#column(nodeId));
  }

  #column(nodeId) {
    const list = h('ul');
    const head = nodeId ? nodeChip(nodeId) : h('span', { class: 'nowhere' }, t('about.nowhere'));
    return {
      element: h('div', { class: 'place', 'data-nowhere': nodeId === '' }, head, list),
      update: ([, userIds]) => reconcile(list, userIds, (userId) => userId, (userId) => this.#person(userId)),
    };
  }

  #person(userId) {
    const { people, me } = this.chat;
    const { element, update } = avatar(false, userId);
    const words = userName(people, userId);
    update(words);
    return { element: h('li', null, element, h('span', null, userId === me ? t('you') : words)) };
  }
}
