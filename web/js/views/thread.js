// The conversation on the screen: its head, its messages, and where one writes. It stays at the latest message while one
// is there, and where one is while one reads what is older; older messages come when one scrolls up to them.
import { h, reconcile, setAttribute, setText } from '../dom.js';
import { errorWords, t } from '../i18n.js';
import { icon, iconButton } from '../icons.js';
import { rows } from '../rows.js';
import { Composer } from './composer.js';
import { rowView } from './message.js';
import { authorOf, avatar, titleOf } from './names.js';
import { typingWords } from './words.js';

/** So near to an end counts as being there, in pixels. */
const NEAR = 80;

export class Thread {
  conversation = null;
  #isAtEnd = true;

  constructor({ chat, config, frame }) {
    Object.assign(this, { chat, frame });
    this.title = h('h1', { tabindex: -1 });
    this.subtitle = h('p', { class: 'subtitle' });
    this.picture = h('span');
    this.rows = h('div', { class: 'rows', role: 'log', 'aria-label': t('thread.messages'), 'aria-relevant': 'additions' });
    this.scroller = h('div', { class: 'scroller', tabindex: 0, 'aria-label': t('thread.messages'), role: 'region', onscroll: () => this.#scrolled() },
      this.rows);
    this.toEnd = iconButton('down', t('thread.latest'), () => this.#goToEnd(), { class: 'round to-end', hidden: true });
    this.problem = h('p', { class: 'problem', role: 'alert' });
    this.composer = new Composer({ chat, config, onSent: () => this.#goToEnd() });
    this.talk = h('div', { class: 'talk' },
      h('header', null,
        h('a', { class: 'round quiet back', href: '#/chats', 'aria-label': t('back') }, icon('back')),
        this.picture,
        h('div', { class: 'titles' }, this.title, this.subtitle),
        iconButton('info', t('thread.info'), () => frame.toggleAbout())),
      h('div', { class: 'log' }, this.scroller, this.toEnd),
      this.problem, this.composer.element);
    this.element = h('main', { class: 'thread' }, this.talk, h('div', { class: 'nothing' }, icon('chats'), h('p', null, t('chats.pick'))));
    new ResizeObserver(() => this.#isAtEnd && this.#goToEnd()).observe(this.scroller);
  }

  /** Puts another conversation on the screen. */
  show(conversation) {
    if (conversation === this.conversation) return;
    this.conversation = conversation;
    setText(this.problem, '');
    this.composer.show(conversation);
    setAttribute(this.element, 'data-empty', conversation === null);
    if (!conversation) return;
    this.avatar = avatar(conversation.isGroup, conversation.targetId);
    this.picture.replaceChildren(this.avatar.element);
    reconcile(this.rows, [], null, null);
    this.#isAtEnd = true;
    this.render();
    if (matchMedia('(pointer: coarse)').matches) this.title.focus({ preventScroll: true });
    else this.composer.focus();
  }

  render() {
    const { conversation, chat } = this;
    if (!conversation) return;
    this.#renderHead();
    this.composer.render();
    // What comes in above must not push away what is being read.
    const fromEnd = this.scroller.scrollHeight - this.scroller.scrollTop;
    const hadFirst = this.firstShown;
    this.firstShown = conversation.timeline.first;
    setAttribute(this.rows, 'aria-busy', String(conversation.isLoading));
    reconcile(this.rows, rows(conversation, chat.outbox.entries(conversation.key), chat.me), ({ key }) => key, (row) => rowView(row, this));
    if (this.#isAtEnd) this.#goToEnd();
    else if (this.firstShown < hadFirst) this.scroller.scrollTop = this.scroller.scrollHeight - fromEnd;
  }

  /** What a row shows beside itself, so that it is drawn again when that changes. */
  surroundings({ message, entry, isOwn, from }) {
    const { conversation, chat } = this;
    const replyTo = (message ?? entry.payload).replyToMessageId;
    const original = replyTo && conversation.timeline.find(replyTo);
    const author = original && authorOf(original, chat);
    return [isOwn && message && conversation.readersOf(message), original?.isDeleted, author, chat.people.name(from), this.isAdmin];
  }

  /** Whether one may take back what others have said. */
  get isAdmin() {
    const { conversation, chat } = this;
    const members = conversation?.isGroup ? chat.people.group(conversation.targetId)?.members : null;
    return members?.some(({ userId, role }) => userId === chat.me && role > 0) ?? false;
  }

  replyTo(message) {
    this.composer.replyTo(message);
  }

  recall(message) {
    this.#attempt(this.chat.recall(message));
  }

  remove(message) {
    this.#attempt(this.chat.remove(message));
  }

  /** Scrolls to a message, and marks it for a moment. */
  goTo(seq) {
    const row = this.rows.querySelector(`[data-seq="${seq}"]`);
    row.scrollIntoView({ block: 'center' });
    row.classList.remove('found');
    void row.offsetWidth; // A reading of the layout, so that the animation begins again.
    row.classList.add('found');
  }

  async #attempt(asked) {
    try {
      await asked;
      setText(this.problem, '');
    } catch (error) {
      setText(this.problem, errorWords(error));
    }
  }

  #renderHead() {
    const { conversation, chat } = this;
    const { isGroup, targetId } = conversation;
    const name = titleOf(chat, conversation);
    const isOnline = isGroup ? undefined : chat.people.isOnline(targetId);
    this.avatar.update(name, isOnline);
    setText(this.title, name);
    const typing = typingWords(chat, conversation);
    setAttribute(this.subtitle, 'data-typing', typing !== '');
    setText(this.subtitle, typing || (isGroup ? this.#groupWords(targetId) : isOnline === undefined ? '' : t(isOnline ? 'online' : 'offline')));
  }

  #groupWords(groupId) {
    const group = this.chat.people.group(groupId);
    if (!group) return '';
    const count = t('members', { n: group.members?.length ?? group.memberCount });
    const online = group.members?.filter(({ userId }) => userId === this.chat.me || this.chat.people.isOnline(userId)).length;
    return online ? `${count}, ${t('members.online', { n: online })}` : count;
  }

  async #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    this.toEnd.hidden = this.#isAtEnd;
    if (scrollTop < NEAR && scrollHeight > clientHeight) await this.chat.loadOlder(this.conversation);
  }

  #goToEnd() {
    this.#isAtEnd = true;
    this.toEnd.hidden = true;
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}
