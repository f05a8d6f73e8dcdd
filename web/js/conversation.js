// One conversation, as far as the page knows it.
import { Timeline } from './timeline.js';

/** A `user_typing` that is not renewed is over after this, in milliseconds. */
const TYPING_FOR_MS = 6000;

/** The name of the private conversation of two users. */
export const privateKey = (a, b) => `p:${Math.min(a, b)}:${Math.max(a, b)}`;
/** The name of a group's conversation. */
export const groupKey = (groupId) => `g:${groupId}`;

/** What a conversation's name says to user `me`: `{isGroup, targetId}`, or `null` when it names nothing of theirs. */
export function parseKey(key, me) {
  const [kind, first, second] = key.split(':');
  if (kind === 'g' && Number(first) > 0) return { isGroup: true, targetId: Number(first) };
  if (kind !== 'p' || ![Number(first), Number(second)].includes(me)) return null;
  return { isGroup: false, targetId: Number(first) === me ? Number(second) : Number(first) };
}

export class Conversation {
  timeline = new Timeline();
  /** Whether the newest messages are in the timeline. */
  isLoaded = false;
  isLoading = false;
  lastMessage = null;
  lastSeq = 0;
  /** Up to where one has read, and how many messages of others come after that. */
  readSeq = 0;
  unread = 0;
  /** Where unread messages began when the conversation was opened. */
  unreadFrom = null;
  /** What has happened to the group while we looked: `{afterSeq, at, event}`. */
  notes = [];

  #readBy = new Map();
  #typing = new Map();

  constructor(key, me) {
    Object.assign(this, { key, me }, parseKey(key, me));
  }

  /** The target as the commands name it. */
  get address() {
    return this.isGroup ? { groupId: this.targetId } : { toUserId: this.targetId };
  }

  /** 1 for a user, 2 for a group: what `targetType`, `roomType` and `conversationType` say. */
  get targetType() {
    return this.isGroup ? 2 : 1;
  }

  /** When something was last said here, for the order of the list. */
  get activeAt() {
    return this.lastMessage?.createdAt ?? this.openedAt ?? '';
  }

  /** Takes a message that was pushed or acked. */
  put(message) {
    const isNew = message.seq > this.lastSeq;
    this.#see(message);
    this.timeline.put(message);
    this.#typing.delete(message.fromUserId);
    return isNew;
  }

  /** Takes a page of the history. */
  putPage(messages) {
    this.timeline.putPage(messages);
    if (messages.length > 0) this.#see(messages.at(-1));
  }

  #see(message) {
    if (message.seq < this.lastSeq) return;
    this.lastSeq = message.seq;
    this.lastMessage = message;
  }

  /** Changes a message wherever it is shown. */
  change(matches, change) {
    this.timeline.change(matches, change);
    if (this.lastMessage && matches(this.lastMessage)) this.lastMessage = { ...this.lastMessage, ...change };
  }

  /** A user has read up to `seq`. Positions only move forward. */
  read(userId, seq) {
    if (userId === this.me) {
      this.readSeq = Math.max(seq, this.readSeq);
      if (seq >= this.lastSeq) this.unread = 0;
    } else this.#readBy.set(userId, Math.max(seq, this.#readBy.get(userId) ?? 0));
  }

  /** How many others have read a message of ours. */
  readersOf(message) {
    const readers = [...this.#readBy.values()].filter((seq) => seq >= message.seq).length;
    return readers || (message.isRead ? 1 : 0);
  }

  setTyping(userId, isTyping) {
    if (isTyping) this.#typing.set(userId, Date.now() + TYPING_FOR_MS);
    else this.#typing.delete(userId);
  }

  /** Who is typing now. */
  get typing() {
    return [...this.#typing].filter(([, until]) => until > Date.now()).map(([userId]) => userId);
  }
}
