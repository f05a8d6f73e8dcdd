// Who acts: a number in open mode, whoever a token belongs to otherwise. A login gives its token to the page.
import { h } from '../dom.js';
import { t } from '../i18n.js';
import { lastNumber, parseId, resume } from '../identity.js';

const LOGIN = 'logIn';

export class Who {
  #input;

  constructor(config, onChange) {
    this.isOpen = config.authMode !== 'jwt';
    const identity = resume(config.authMode);
    this.kept = this.isOpen ? String(identity?.userId ?? (lastNumber() || '1')) : identity?.token ?? '';
    this.onChange = onChange;
  }

  /** `{userId}` or `{token}`, as far as it is there. */
  get identity() {
    return this.isOpen ? { userId: parseId(this.kept) } : { token: this.kept };
  }

  /** The field for it. */
  element() {
    const id = 'who';
    this.#input = this.isOpen
      ? h('input', { id, value: this.kept, inputmode: 'numeric', autocomplete: 'off' })
      : h('input', { id, value: this.kept, type: 'password', autocomplete: 'off', placeholder: 'eyJ…' });
    this.#input.addEventListener('input', () => {
      this.kept = this.#input.value.trim();
      this.onChange();
    });
    return h('div', { class: 'who' }, h('label', { for: id }, t(this.isOpen ? 'explorer.acts' : 'explorer.token')), this.#input);
  }

  /** Takes the token of a login. */
  learn({ id }, { ok }, text) {
    if (this.isOpen || id !== LOGIN || !ok) return;
    this.kept = JSON.parse(text).data.token;
    this.#input.value = this.kept;
    this.onChange();
  }
}
