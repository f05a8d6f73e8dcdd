// How the connection is, whenever it is not simply there; and, for a while, that one has moved to another node.
import { h, setAttribute, setText } from '../dom.js';
import { t } from '../i18n.js';

/** How long a move is shown, in milliseconds. */
const MOVED_FOR_MS = 6000;

export class LinkBanner {
  #moved = null;

  constructor({ chat, signal }) {
    this.chat = chat;
    this.words = h('span', { role: 'status' });
    this.retry = h('button', { class: 'link', type: 'button', onclick: () => chat.link.retryNow() });
    this.element = h('div', { class: 'banner', hidden: true }, h('i', { 'aria-hidden': 'true' }), this.words, this.retry);
    chat.link.addEventListener('online', () => this.#noteMove(), { signal });
  }

  render() {
    const { phase } = this.chat.link;
    const isOver = phase === 'kicked';
    const words = this.#wordsFor(phase);
    this.element.hidden = words === '';
    setAttribute(this.element, 'data-kind', isOver ? 'over' : phase === 'online' ? 'moved' : 'waiting');
    setText(this.words, words);
    this.retry.hidden = !isOver && phase !== 'offline';
    setText(this.retry, t(isOver ? 'link.use-here' : 'link.retry'));
  }

  #wordsFor(phase) {
    const { link, outbox } = this.chat;
    if (phase === 'online') return this.#moved ?? '';
    if (phase === 'kicked') return link.reason.code === 'replaced' ? t('link.kicked') : t('link.kicked.other', { reason: link.reason.code });
    const state = link.attempt > 0 ? t('link.attempt', { n: link.attempt }) : t(`link.${phase}`);
    return outbox.waiting > 0 ? `${state} ${t('link.waiting', { n: outbox.waiting })}` : state;
  }

  #noteMove() {
    const { movedFrom, nodeId } = this.chat.link;
    if (!movedFrom) return;
    this.#moved = t('link.moved', { from: movedFrom, to: nodeId });
    setTimeout(() => {
      this.#moved = null;
      this.render();
    }, MOVED_FOR_MS);
    this.render();
  }
}
