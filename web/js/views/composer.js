// Where one writes. What was begun stays with its conversation.
import { h, setAttribute, setText } from '../dom.js';
import { t } from '../i18n.js';
import { icon, iconButton } from '../icons.js';
import { authorOf, titleOf } from './names.js';
import { gist } from './words.js';

/** The number of characters that are left is shown from here on. */
const SHOW_LEFT_BELOW = 200;

export class Composer {
  #conversation = null;
  #drafts = new WeakMap();

  constructor({ chat, config, onSent }) {
    Object.assign(this, { chat, onSent });
    this.limit = config.maxContentChars;
    this.text = h('textarea', {
      id: 'compose', rows: 1, placeholder: t('compose.placeholder'), enterkeyhint: 'send', autocomplete: 'off',
      onkeydown: (event) => this.#key(event), oninput: () => this.#input(), onblur: () => chat.stopTyping(),
    });
    this.label = h('label', { class: 'visually-hidden', for: 'compose' });
    this.left = h('span', { class: 'left', role: 'status' });
    this.replyWords = h('span');
    this.reply = h('div', { class: 'replying', hidden: true }, icon('reply'), this.replyWords,
      iconButton('close', t('compose.cancel-reply'), () => this.replyTo(null)));
    this.button = iconButton('send', t('compose.send'), null, { class: 'round primary', type: 'submit' });
    this.element = h('form', { class: 'composer', onsubmit: (event) => this.#submit(event) },
      this.reply, h('div', { class: 'compose-line' }, this.label, this.text, this.button), this.left);
  }

  show(conversation) {
    this.#conversation = conversation;
    if (!conversation) return;
    const { text = '' } = this.#draft;
    this.text.value = text;
    this.#fit();
    this.#renderReply();
  }

  focus() {
    this.text.focus();
  }

  render() {
    if (this.#conversation) setText(this.label, t('compose.label', { name: titleOf(this.chat, this.#conversation) }));
  }

  /** The next message answers this one; `null` for none. */
  replyTo(message) {
    this.#draft.replyTo = message;
    this.#renderReply();
    this.focus();
  }

  get #draft() {
    if (!this.#drafts.has(this.#conversation)) this.#drafts.set(this.#conversation, {});
    return this.#drafts.get(this.#conversation);
  }

  #renderReply() {
    const { replyTo } = this.#draft;
    this.reply.hidden = !replyTo;
    if (!replyTo) return;
    const name = authorOf(replyTo, this.chat);
    this.replyWords.replaceChildren(h('b', null, t('compose.replying', { name })), ` ${gist(replyTo)}`);
  }

  #input() {
    this.#draft.text = this.text.value;
    this.#fit();
    if (this.text.value.trim()) this.chat.type(this.#conversation);
    else this.chat.stopTyping();
  }

  /** The field is as high as its text, as far as the style allows. */
  #fit() {
    this.text.style.height = 'auto';
    this.text.style.height = `${this.text.scrollHeight}px`;
    const left = this.limit - [...this.text.value].length;
    setText(this.left, left < SHOW_LEFT_BELOW ? t('compose.left', { n: left }) : '');
    setAttribute(this.left, 'data-over', left < 0);
    this.button.disabled = this.text.value.trim() === '' || left < 0;
  }

  #key(event) {
    if (event.key === 'Escape' && this.#draft.replyTo) this.replyTo(null);
    // While an input method composes, Enter is its own. On a touch keyboard, Enter is a new line.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing || matchMedia('(pointer: coarse)').matches) return;
    this.#submit(event);
  }

  #submit(event) {
    event.preventDefault();
    if (this.button.disabled) return;
    this.chat.send(this.#conversation, this.text.value.trim(), this.#draft.replyTo?.messageId);
    this.#drafts.delete(this.#conversation);
    this.show(this.#conversation);
    this.onSent();
    this.focus();
  }
}
