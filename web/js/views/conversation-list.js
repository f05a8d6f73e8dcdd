// The conversations, the latest first; who one is, and on which node.
import { h, reconcile, setAttribute, setText } from '../dom.js';
import { briefly, t } from '../i18n.js';
import { iconButton } from '../icons.js';
import { authorOf, avatar, nodeChip, titleOf } from './names.js';
import { NewChat } from './new-chat.js';
import { gist, typingWords } from './words.js';

export class ConversationList {
  #nodeShown = null;

  constructor({ chat, identity, frame }) {
    Object.assign(this, { chat, frame });
    this.node = h('span', { class: 'my-node' });
    this.items = h('ul', { class: 'conversations' });
    this.empty = h('div', { class: 'empty' }, h('p', null, t('chats.none')), h('p', { class: 'hint' }, t('chats.none.hint')));
    this.element = h('section', { class: 'list', 'aria-labelledby': 'list-title' },
      h('header', null,
        h('div', { class: 'titles' },
          h('h1', { id: 'list-title' }, t('nav.chats')),
          h('p', { class: 'me', title: t('you.number', { id: identity.userId }) },
            h('span', null, identity.name ? `${identity.name} · ${identity.userId}` : t('user', { id: identity.userId })), this.node)),
        iconButton('plus', t('chats.new'), () => this.#newChat(), { class: 'round primary' })),
      this.items, this.empty);
  }

  render() {
    this.#renderNode();
    const conversations = this.chat.list;
    this.empty.hidden = conversations.length > 0;
    reconcile(this.items, conversations, ({ key }) => key, (conversation) => this.#item(conversation));
  }

  /** The node one is on; it lights up when it has changed. */
  #renderNode() {
    const { link } = this.chat;
    const shown = link.isOnline ? `${link.nodeId} ${link.transport}` : null;
    if (shown === this.#nodeShown) return;
    this.#nodeShown = shown;
    this.node.replaceChildren(...(link.isOnline ? [nodeChip(link.nodeId)] : []));
    setAttribute(this.node, 'data-moved', link.isOnline && link.movedFrom !== null);
    setAttribute(this.node, 'title', link.isOnline && t('link.on', { node: link.nodeId, transport: link.transport }));
  }

  #item(conversation) {
    const { chat, frame } = this;
    const picture = avatar(conversation.isGroup, conversation.targetId);
    const [title, when, last] = [h('span', { class: 'name' }), h('time'), h('span', { class: 'last' })];
    const unread = h('span', { class: 'badge' });
    const presence = h('span', { class: 'visually-hidden' });
    const link = h('a', { href: `#/chats/${conversation.key}` }, picture.element,
      h('span', { class: 'line' }, title, presence, when), h('span', { class: 'line' }, last, unread));
    return {
      element: h('li', null, link),
      update: () => {
        const name = titleOf(chat, conversation);
        const isOnline = conversation.isGroup ? undefined : chat.people.isOnline(conversation.targetId);
        picture.update(name, isOnline);
        setText(title, name);
        setText(presence, isOnline === undefined ? '' : t(isOnline ? 'online' : 'offline'));
        setText(when, conversation.lastMessage ? briefly(conversation.lastMessage.createdAt) : '');
        const typing = typingWords(chat, conversation);
        setText(last, typing || this.#lastWords(conversation));
        setAttribute(last, 'data-typing', typing !== '');
        unread.hidden = conversation.unread === 0;
        setText(unread, String(conversation.unread));
        setAttribute(unread, 'aria-label', t('chats.unread', { n: conversation.unread }));
        setAttribute(link, 'aria-current', frame.current === conversation && 'true');
      },
    };
  }

  #lastWords({ isGroup, lastMessage }) {
    if (!lastMessage) return t('chats.draft');
    const isNamed = isGroup || lastMessage.fromUserId === this.chat.me;
    return isNamed ? `${authorOf(lastMessage, this.chat)}: ${gist(lastMessage)}` : gist(lastMessage);
  }

  #newChat() {
    new NewChat({ chat: this.chat, onDone: (conversation) => this.frame.open(conversation) }).show();
  }
}
