// How people, groups and nodes are shown everywhere: a name, an avatar, a chip.
import { h, setAttribute, setText } from '../dom.js';
import { t } from '../i18n.js';

/** Tints of avatars, and colours of nodes, in `base.css`. */
const TINTS = 6;

export function userName(people, userId) {
  return people.name(userId) ?? t('user', { id: userId });
}

export function groupName(people, groupId) {
  return people.group(groupId)?.name || t('group', { id: groupId });
}

export function titleOf({ people }, { isGroup, targetId }) {
  return isGroup ? groupName(people, targetId) : userName(people, targetId);
}

/** Who has written a message: you, or a name. */
export function authorOf({ fromUserId }, { me, people }) {
  return fromUserId === me ? t('you') : userName(people, fromUserId);
}

/** Several users: Ann, Bob, Cy. */
export function userNames(people, userIds) {
  return userIds.map((userId) => userName(people, userId)).join(', ');
}

/** The round picture of a user, or the square one of a group: what they are called, in short. */
export function avatar(isGroup, id) {
  const letters = h('span', { 'aria-hidden': 'true' });
  const dot = h('span', { class: 'dot', hidden: true });
  const element = h('span', { class: 'avatar', 'data-group': isGroup, 'data-tint': id % TINTS }, letters, dot);
  return {
    element,
    /** `isOnline` as `People` gives it; a group has none. */
    update(name, isOnline) {
      setText(letters, short(name, id));
      dot.hidden = isOnline === undefined;
      setAttribute(dot, 'data-online', isOnline === true);
    },
  };
}

/** Two letters of a name, one of a Chinese one, or the number of somebody who has no name. */
function short(name, id) {
  if (/\d$/.test(name)) return String(id).slice(-3);
  const words = name.split(/\s+/).filter(Boolean);
  if (/[^\u0000-\u024f]/.test(words[0])) return [...words[0]][0];
  return words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join('');
}

/** The colour of a node: by the number at the end of its name, so that it is the same on every page. */
export function nodeColor(nodeId) {
  const digits = /(\d+)$/.exec(nodeId)?.[1];
  const number = digits ? Number(digits) - 1 : [...nodeId].reduce((sum, letter) => sum * 31 + letter.codePointAt(0), 7);
  return Math.abs(number) % TINTS;
}

/** A node's name with its colour. */
export function nodeChip(nodeId, ...more) {
  return h('span', { class: 'node-chip', 'data-node': nodeColor(nodeId) }, h('i', { 'aria-hidden': 'true' }), nodeId, ...more);
}
