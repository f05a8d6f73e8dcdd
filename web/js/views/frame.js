// The frame around everything: the rail, the banner that says how the connection is, and the panes. What is on the
// screen is in the address: #/chats, #/chats/p:1:2, #/cluster. So the browser's back button works, also on a phone.
import { h, setAttribute, setText } from '../dom.js';
import { switchLanguage, t } from '../i18n.js';
import { icon, mark } from '../icons.js';
import { About } from './about.js';
import { ClusterView } from './cluster.js';
import { ConversationList } from './conversation-list.js';
import { LinkBanner } from './link-banner.js';
import { Thread } from './thread.js';

export class Frame {
  #listening = new AbortController();
  #unwatched = [];

  constructor({ config, identity, chat, cluster, onSignOut }) {
    Object.assign(this, { chat, cluster });
    this.context = { config, identity, chat, cluster, frame: this, signal: this.#listening.signal };
    this.banner = new LinkBanner(this.context);
    this.list = new ConversationList(this.context);
    this.thread = new Thread(this.context);
    this.about = new About(this.context);
    this.clusterView = new ClusterView(this.context);
    this.tabs = { chats: this.#tab('chats', 'nav.chats'), cluster: this.#tab('cluster', 'nav.cluster') };
    this.badge = h('span', { class: 'badge', hidden: true });
    this.tabs.chats.append(this.badge);
    this.element = h('div', { class: 'app' },
      h('nav', { class: 'rail', 'aria-label': t('nav') },
        mark(), this.tabs.chats, this.tabs.cluster, h('span', { class: 'spacer' }),
        h('a', { class: 'rail-item', href: 'explorer' }, icon('api'), h('span', null, t('nav.api'))),
        railButton('language', 'language.other', () => this.#switchLanguage()),
        railButton('leave', 'nav.sign-out', () => onSignOut())),
      h('div', { class: 'stage' }, this.banner.element,
        h('div', { class: 'panes' }, this.list.element, this.thread.element, this.about.element, this.clusterView.element)));

    const { signal } = this.#listening;
    addEventListener('hashchange', () => this.#route(), { signal });
    document.addEventListener('visibilitychange', () => chat.markRead(), { signal });
    chat.addEventListener('change', () => this.#render(), { signal });
    this.rebuild = () => {
      const next = new Frame({ config, identity, chat, cluster, onSignOut });
      this.close();
      this.element.replaceWith(next.element);
      next.element.querySelector('.rail button').focus();
    };
    this.#route();
  }

  /** Goes to a conversation. */
  open(conversation) {
    location.hash = `#/chats/${conversation.key}`;
  }

  /** Shows or hides what is known about the conversation. */
  toggleAbout(isShown = this.element.dataset.about === undefined) {
    setAttribute(this.element, 'data-about', isShown);
    this.#render();
  }

  /** Stops listening; the element is of no use any more. */
  close() {
    this.#listening.abort();
  }

  #tab(name, words) {
    return h('a', { class: 'rail-item', href: `#/${name}` }, icon(name), h('span', null, t(words)));
  }

  #route() {
    const [, view, key] = /^#\/(chats|cluster)(?:\/(.+))?$/.exec(decodeURIComponent(location.hash)) ?? [null, 'chats'];
    this.current = view === 'chats' && key ? this.chat.conversation(key) : null;
    setAttribute(this.element, 'data-view', view);
    setAttribute(this.element, 'data-open', this.current !== null);
    for (const [name, tab] of Object.entries(this.tabs)) setAttribute(tab, 'aria-current', name === view && 'page');
    if (view === 'cluster') this.cluster.start();
    else this.cluster.stop();
    this.chat.watch(this.current);
    this.thread.show(this.current);
    this.#render();
  }

  #render() {
    const { unread } = this.chat;
    document.title = unread > 0 ? `(${unread}) tokio-socketio` : 'tokio-socketio';
    this.badge.hidden = unread === 0;
    setText(this.badge, unread > 99 ? '99+' : String(unread));
    this.banner.render();
    this.list.render();
    this.thread.render();
    this.about.render();
    this.clusterView.renderPeople();
  }

  #switchLanguage() {
    switchLanguage();
    this.rebuild();
  }
}

function railButton(name, words, onclick) {
  return h('button', { class: 'rail-item', type: 'button', onclick }, icon(name), h('span', null, t(words)));
}
