// One row of a thread: a message with its state and what can be done with it, or a line between messages.
import { h, setAttribute, setText } from '../dom.js';
import { day, errorWords, number, t, timeOfDay } from '../i18n.js';
import { icon, iconButton } from '../icons.js';
import { authorOf, avatar, userNames } from './names.js';
import { gist } from './words.js';

/** How long a message can be taken back, in milliseconds (SPEC, section 4). */
const RECALL_WITHIN_MS = 2 * 60_000;

/** What is told of a `group_event`; of all others, that something has changed. */
const GROUP_EVENTS = { created: 'created', dissolved: 'dissolved', member_joined: 'joined', member_left: 'left', member_kicked: 'kicked' };

/** The view of a row, for `reconcile`. `thread` does what the buttons ask for. */
export function rowView(row, thread) {
  if (row.kind === 'message') return messageView(thread);
  const words = h('span');
  return {
    element: h('div', { class: `row-${row.kind}` }, words),
    update: (now) => setText(words, lineWords(now, thread)),
  };
}

function lineWords({ kind, at, note }, { chat }) {
  if (kind === 'day') return day(at);
  return kind === 'note' ? noteWords(chat, note.event) : t(`thread.${kind}`);
}

function noteWords({ people }, { type, userIds = [] }) {
  const kind = GROUP_EVENTS[type] ?? 'changed';
  return t(`group-event.${kind}`, { names: userNames(people, userIds) });
}

function messageView(thread) {
  const element = h('div', { class: 'message' });
  let shown = '';
  return {
    element,
    update(row) {
      // Everything that the row shows; nothing is touched when nothing of it has changed.
      const now = JSON.stringify([row, ...thread.surroundings(row)]);
      if (now === shown) return;
      shown = now;
      fill(element, row, thread);
    },
  };
}

function fill(element, row, thread) {
  const { message, entry, isOwn } = row;
  const content = message ?? { ...entry.payload, fromUserId: row.from };
  setAttribute(element, 'data-own', isOwn);
  setAttribute(element, 'data-first', row.isFirst);
  setAttribute(element, 'data-last', row.isLast);
  setAttribute(element, 'data-state', stateOf(row, thread));
  setAttribute(element, 'data-seq', message?.seq);
  const { conversation } = thread;
  const showsSender = conversation.isGroup && !isOwn;
  setAttribute(element, 'data-grouped', showsSender);
  const name = authorOf({ fromUserId: row.from }, thread.chat);
  element.replaceChildren(...[
    showsSender && row.isLast && picture(row.from, name),
    h('div', { class: 'body' },
      showsSender && row.isFirst ? h('span', { class: 'sender' }, name) : h('span', { class: 'visually-hidden' }, `${name}: `),
      h('div', { class: 'bubble' }, ...bubble(row, content, thread)),
      message && !message.isDeleted && actions(row, thread),
      entry?.state === 'failed' && failure(entry, thread)),
  ].filter(Boolean));
}

function picture(userId, name) {
  const { element, update } = avatar(false, userId);
  update(name);
  return element;
}

function bubble(row, content, thread) {
  const meta = h('span', { class: 'meta' }, h('time', { datetime: row.at }, timeOfDay(row.at)), row.isOwn && !content.isDeleted && mark(row, thread));
  if (content.isDeleted) return [h('p', { class: 'recalled' }, t('message.recalled')), meta];
  return [
    content.replyToMessageId && quote(content.replyToMessageId, thread),
    content.messageType !== 1 && fileLink(content),
    h('p', null, ...withLinks(content.content)),
    meta,
  ].filter(Boolean);
}

/** What the message answers; takes one there. */
function quote(messageId, thread) {
  const original = thread.conversation.timeline.find(messageId);
  return h('button', { class: 'quote', type: 'button', disabled: !original, onclick: () => thread.goTo(original.seq) },
    h('b', null, original ? authorOf(original, thread.chat) : t('message.replied')),
    original && h('span', null, gist(original)));
}

/** A file is a link, and never loaded by itself: the page asks nothing of other hosts. */
function fileLink({ messageType, fileUrl, fileName, fileSize }) {
  const words = [icon('file'), h('span', null, fileName || t(`message.type.${messageType}`)),
    fileSize && h('small', null, number(fileSize / 1024, { maximumFractionDigits: 0, style: 'unit', unit: 'kilobyte' }))];
  const isLink = /^(https?:\/\/|\/(?!\/))/.test(fileUrl ?? '');
  return isLink ? h('a', { class: 'file', href: fileUrl, target: '_blank', rel: 'noopener noreferrer' }, words) : h('span', { class: 'file' }, words);
}

function withLinks(text) {
  return text.split(/(https?:\/\/[^\s<>"'）】」，。]+)/).map((part, at) => (
    at % 2 === 1 ? h('a', { href: part, target: '_blank', rel: 'noopener noreferrer' }, part) : part));
}

/** `queued`, `sending`, `failed`; `read` and `sent` for one's own, `received` for those of others. */
function stateOf({ entry, message, isOwn }, thread) {
  if (entry) return entry.state;
  if (!isOwn) return 'received';
  return thread.conversation.readersOf(message) > 0 ? 'read' : 'sent';
}

function mark(row, thread) {
  const state = stateOf(row, thread);
  const readers = row.message ? thread.conversation.readersOf(row.message) : 0;
  const words = state === 'read' && thread.conversation.isGroup ? t('message.read-by', { n: readers })
    : state === 'failed' ? '' : t(`message.${state}`);
  return h('span', { class: 'mark', title: words }, icon(state === 'queued' ? 'sending' : state), h('span', { class: 'visually-hidden' }, words));
}

function actions({ message, isOwn }, thread) {
  const isFresh = Date.now() - Date.parse(message.createdAt) < RECALL_WITHIN_MS;
  return h('div', { class: 'actions' },
    iconButton('reply', t('message.reply'), () => thread.replyTo(message)),
    isFresh && (isOwn || thread.isAdmin) && iconButton('undo', t('message.recall'), () => thread.recall(message)),
    isOwn && !isFresh && iconButton('remove', t('message.delete'), () => thread.remove(message)));
}

function failure({ payload: { clientMessageId }, error }, thread) {
  const { outbox } = thread.chat;
  return h('p', { class: 'failure', role: 'alert' },
    t('message.failed', { reason: errorWords(error) }), ' ',
    h('button', { class: 'link', type: 'button', onclick: () => outbox.retry(clientMessageId) }, t('message.retry')), ' ',
    h('button', { class: 'link', type: 'button', onclick: () => outbox.settle(clientMessageId) }, t('message.discard')));
}
