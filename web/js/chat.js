// The chat of the one who is signed in: conversations, kept true by events while connected and by asking after every
// reconnect. Views read it and call it; it knows no view. Whatever changes, it says `change`, at most once a frame.
import { AnswerError } from './link.js';
import { Conversation, groupKey, parseKey, privateKey } from './conversation.js';
import { Outbox } from './outbox.js';
import { People } from './people.js';

/** Messages asked for at once. */
const PAGE = 50;
/** While somebody types, the others are told so this often, in milliseconds. */
const TYPING_EVERY_MS = 3000;
/** How long after the last key somebody no longer types, in milliseconds. */
const TYPING_ENDS_MS = 4000;

export class Chat extends EventTarget {
  conversations = new Map();
  /** The conversation that was last on the screen. */
  latest = null;
  /** The conversation on the screen. */
  #watching = null;
  #changeIsDue = false;
  #typingSince = new Map();
  #typingEnds;

  constructor({ me, api, link, hasAccounts }) {
    super();
    Object.assign(this, { me, api, link });
    this.people = new People({ api, link, hasAccounts, onChange: () => this.changed() });
    this.outbox = new Outbox({
      storage: sessionStorage,
      key: `tokio-socketio:outbox:${me}`,
      deliver: async (payload) => (await link.ask('send_message', payload)).data,
      onChange: () => this.changed(),
      onDelivered: (message) => this.#receive(message),
    });
    link.addEventListener('change', () => this.#linkChanged());
    link.addEventListener('online', () => this.#catchUp());
    link.on('private_message', (message) => this.#receive(message));
    link.on('group_message', (message) => this.#receive(message));
    link.on('message_read', (mark) => this.#readBy(mark));
    link.on('message_recalled', (message) => this.#emptied(message));
    link.on('message_deleted', (message) => this.#emptied(message));
    link.on('user_typing', (typing) => this.#typing(typing, true));
    link.on('user_stop_typing', (typing) => this.#typing(typing, false));
    link.on('group_event', (event) => this.#groupEvent(event));
  }

  /** Says `change` once for whatever changes until the next frame, also when the page is hidden and has no frames. */
  changed() {
    if (this.#changeIsDue) return;
    this.#changeIsDue = true;
    setTimeout(() => {
      this.#changeIsDue = false;
      this.dispatchEvent(new Event('change'));
    }, 16);
  }

  /** The conversation of that name, known from then on; `null` for a name that is none of ours. */
  conversation(key) {
    if (!this.conversations.has(key)) {
      if (parseKey(key, this.me) === null) return null;
      this.conversations.set(key, new Conversation(key, this.me));
    }
    return this.conversations.get(key);
  }

  /** All conversations, the latest first. */
  get list() {
    return [...this.conversations.values()].sort((a, b) => (a.activeAt < b.activeAt ? 1 : -1));
  }

  get unread() {
    return this.list.reduce((sum, { unread }) => sum + unread, 0);
  }

  /** Puts a conversation on the screen: it is loaded, and read while it is looked at. `null` for none. */
  async watch(conversation) {
    if (this.#watching !== conversation) {
      this.stopTyping();
      if (conversation) {
        conversation.openedAt ??= new Date().toISOString();
        conversation.unreadFrom = conversation.unread > 0 ? conversation.readSeq + 1 : null;
      }
    }
    this.#watching = conversation;
    this.latest = conversation ?? this.latest;
    this.changed();
    if (!conversation) return;
    if (conversation.isGroup) this.people.loadMembers(conversation.targetId).catch(() => {});
    await this.#load(conversation);
    this.markRead();
  }

  /** Tells the senders that what is on the screen was seen. */
  markRead() {
    const conversation = this.#watching;
    if (!conversation || document.hidden || !this.link.isOnline) return;
    const { key, unread, timeline: { last: seq } } = conversation;
    if (unread === 0 || seq === 0) return;
    conversation.read(this.me, seq);
    this.link.ask('mark_read', { conversation: key, seq }).catch(() => {});
    this.changed();
  }

  /** Sends a text, now or when the connection is back. */
  send(conversation, content, replyToMessageId) {
    this.stopTyping();
    this.outbox.add(conversation.key, {
      ...conversation.address, messageType: 1, content, ...(replyToMessageId && { replyToMessageId }),
    });
  }

  /** Throws `AnswerError`. */
  recall(message) {
    return this.link.ask('recall_message', { messageId: message.messageId });
  }

  /** Throws `AnswerError`. */
  remove(message) {
    return this.link.ask('delete_message', { messageId: message.messageId });
  }

  /** Somebody types in a conversation: the others are told now and then. */
  type(conversation) {
    const { targetId, targetType } = conversation;
    clearTimeout(this.#typingEnds);
    this.#typingEnds = setTimeout(() => this.stopTyping(), TYPING_ENDS_MS);
    if (Date.now() - (this.#typingSince.get(conversation) ?? 0) < TYPING_EVERY_MS) return;
    this.#typingSince.set(conversation, Date.now());
    this.link.say('typing', { targetId, targetType });
  }

  /** Nobody types here any more. */
  stopTyping() {
    clearTimeout(this.#typingEnds);
    for (const { targetId, targetType } of this.#typingSince.keys()) this.link.say('stop_typing', { targetId, targetType });
    this.#typingSince.clear();
  }

  /** Loads what is older than the timeline; gives whether there was something. */
  async loadOlder(conversation) {
    const page = conversation.timeline.older(PAGE);
    if (page === null || conversation.isLoading) return false;
    conversation.isLoading = true;
    try {
      const { data } = await this.link.ask('sync_messages', { conversation: conversation.key, ...page });
      conversation.putPage(data.messages);
      return data.messages.length > 0;
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
      return false;
    } finally {
      conversation.isLoading = false;
      this.changed();
    }
  }

  /** Throws `ApiError`. */
  async createGroup(wanted) {
    const group = await this.api.post('/group/create', wanted);
    await this.people.loadGroups();
    return this.conversation(groupKey(group.id));
  }

  /** Throws `ApiError`. */
  async joinGroup(groupId) {
    await this.api.post('/group/join', { groupId });
    await this.people.loadGroups();
    return this.conversation(groupKey(groupId));
  }

  /** Throws `ApiError`. */
  async invite(groupId, userIds) {
    await this.api.post('/group/invite', { groupId, userIds });
    await this.people.loadMembers(groupId);
  }

  /** Throws `ApiError`. */
  async leaveGroup(groupId) {
    await this.api.post('/group/leave', { groupId });
    await this.#forget(groupId);
  }

  /** After every connect: what was said meanwhile, who is there now, and what is still to be sent. */
  async #catchUp() {
    this.outbox.flush();
    this.people.refresh().then(() => this.#listGroups());
    await this.#loadList();
    await Promise.all(this.list.map(async (conversation) => {
      if (conversation.isLoaded) await this.#syncToEnd(conversation);
      else if (conversation === this.#watching) await this.#load(conversation);
    }));
    this.markRead();
  }

  async #loadList() {
    try {
      let cursor;
      do {
        const { data, nextCursor } = await this.link.ask('get_conversations', cursor ? { cursor } : {});
        for (const item of data) this.#takeListItem(item);
        cursor = nextCursor;
      } while (cursor);
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
    }
    this.changed();
  }

  /** A group is in the list before anything was said there. */
  #listGroups() {
    for (const { id, createdAt } of this.people.groups) this.conversation(groupKey(id)).openedAt ??= createdAt;
  }

  #takeListItem({ conversation: key, lastMessage, lastSeq, readSeq, unreadCount }) {
    const conversation = this.conversation(key);
    if (!conversation || lastSeq < conversation.lastSeq) return;
    Object.assign(conversation, { lastMessage, lastSeq, readSeq, unread: unreadCount });
  }

  /** The newest page, once; and the end of the conversation. */
  async #load(conversation) {
    if (conversation.isLoaded || conversation.isLoading || !this.link.isOnline) return;
    conversation.isLoading = true;
    try {
      await this.#syncToEnd(conversation, Math.max(0, conversation.lastSeq - PAGE));
      conversation.isLoaded = true;
    } finally {
      conversation.isLoading = false;
      this.changed();
    }
  }

  /** Asks for what comes after the timeline until there is no more. */
  async #syncToEnd(conversation, start = 0) {
    try {
      for (;;) {
        const afterSeq = conversation.timeline.last || start;
        const { data } = await this.link.ask('sync_messages', { conversation: conversation.key, afterSeq });
        const seen = conversation.lastSeq;
        conversation.putPage(data.messages);
        this.#countUnread(conversation, data.messages.filter(({ seq }) => seq > seen));
        for (const { fromUserId, clientMessageId } of data.messages) {
          if (fromUserId === this.me && clientMessageId) this.outbox.settle(clientMessageId);
        }
        if (!data.hasMore || data.messages.length === 0) return;
      }
    } catch (error) {
      if (!(error instanceof AnswerError)) throw error;
    } finally {
      this.changed();
    }
  }

  #receive(message) {
    const conversation = this.conversation(message.conversation);
    if (!conversation) return;
    const isNew = conversation.put(message);
    if (isNew) this.#countUnread(conversation, [message]);
    if (message.fromUserId === this.me && message.clientMessageId) this.outbox.settle(message.clientMessageId);
    if (conversation.isLoaded && conversation.timeline.hasGap) this.#syncToEnd(conversation);
    if (conversation === this.#watching) this.markRead();
    this.changed();
  }

  #countUnread(conversation, messages) {
    conversation.unread += messages.filter(({ fromUserId }) => fromUserId !== this.me).length;
  }

  #readBy({ conversation: key, userId, seq }) {
    this.conversations.get(key)?.read(userId, seq);
    this.changed();
  }

  #emptied({ conversation: key, messageId }) {
    const change = { content: '', fileUrl: null, fileName: null, fileSize: null, isDeleted: true };
    const conversations = this.conversations.has(key) ? [this.conversations.get(key)] : this.list;
    for (const conversation of conversations) conversation.change((message) => message.messageId === messageId, change);
    this.changed();
  }

  #typing({ userId, targetId, targetType }, isTyping) {
    if (userId === this.me) return;
    const key = targetType === 1 ? privateKey(userId, this.me) : groupKey(targetId);
    this.conversations.get(key)?.setTyping(userId, isTyping);
    this.changed();
    // A `user_typing` that is never taken back ends by itself.
    if (isTyping) setTimeout(() => this.changed(), 6100);
  }

  async #groupEvent(event) {
    // One's own leaving is told to all of one's devices.
    if (event.type === 'member_left' && event.userIds.includes(this.me)) return this.#forget(event.groupId);
    const conversation = this.conversation(groupKey(event.groupId));
    conversation.notes.push({ afterSeq: conversation.lastSeq, at: new Date().toISOString(), event });
    this.changed();
    await this.people.loadGroups();
    this.#listGroups();
    if (conversation === this.#watching) await this.people.loadMembers(event.groupId).catch(() => {});
  }

  async #forget(groupId) {
    this.conversations.delete(groupKey(groupId));
    await this.people.loadGroups();
  }

  #linkChanged() {
    if (!this.link.isOnline) this.people.forgetPresence();
    this.changed();
  }
}
