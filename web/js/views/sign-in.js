// Who are you? A number in open mode; in jwt mode an account and its password, or a new account.
import { h, setText } from '../dom.js';
import { lastNumber, logIn, openIdentity, parseId, register } from '../identity.js';
import { errorWords, switchLanguage, t } from '../i18n.js';
import { icon, mark } from '../icons.js';
import { nodeChip } from './names.js';

export class SignIn {
  element = h('main', { class: 'sign-in' });
  #wantsAccount = false;

  /** `problem`: why one was signed out, `{code, message}`. */
  constructor({ config, problem, onSignedIn }) {
    Object.assign(this, { config, problem, onSignedIn });
    this.#build();
  }

  focus() {
    const fields = [...this.element.querySelectorAll('input')];
    (fields.find(({ value }) => value === '') ?? fields[0]).focus();
  }

  #build() {
    const isOpen = this.config.authMode !== 'jwt';
    this.error = h('p', { class: 'form-error', role: 'alert' }, this.problem ? errorWords(this.problem) : '');
    const reached = t('sign-in.reached', { node: '\n' }).split('\n');
    this.element.replaceChildren(
      h('button', { class: 'quiet language', type: 'button', onclick: () => this.#switchLanguage() }, icon('language'), t('language.other')),
      h('div', { class: 'card' },
        mark(),
        h('h1', null, 'tokio-socketio'),
        h('p', { class: 'lead' }, t('sign-in.lead')),
        isOpen ? this.#openForm() : this.#accountForm(),
        h('p', { class: 'reached' }, reached[0], nodeChip(this.config.nodeId), reached[1], h('a', { href: 'explorer' }, t('nav.api')))),
    );
  }

  #openForm() {
    const input = field({
      id: 'user-number', value: lastNumber(), inputmode: 'numeric', autocomplete: 'username', required: true, 'aria-describedby': 'user-number-hint',
    });
    return this.#form(() => {
      const userId = parseId(input.value);
      if (userId === null) throw { message: t('sign-in.number.wrong') };
      return openIdentity(userId);
    },
    labelled(t('sign-in.number'), input),
    this.error,
    h('button', { class: 'primary', type: 'submit' }, t('sign-in.go')),
    h('p', { class: 'hint', id: 'user-number-hint' }, t('sign-in.number.hint')));
  }

  #accountForm() {
    const isNew = this.#wantsAccount;
    const account = field({ id: 'account', autocomplete: 'username', autocapitalize: 'none', required: true });
    const password = field({ id: 'password', type: 'password', autocomplete: isNew ? 'new-password' : 'current-password', required: true });
    const nickname = field({ id: 'nickname', autocomplete: 'nickname' });
    const tab = (wanted, words) => h('button', {
      type: 'button', 'aria-pressed': String(isNew === wanted), onclick: () => this.#want(wanted),
    }, words);
    return this.#form(
      () => (isNew ? register(account.value.trim(), password.value, nickname.value.trim()) : logIn(account.value.trim(), password.value)),
      h('div', { class: 'segments' }, tab(false, t('sign-in.log-in')), tab(true, t('sign-in.register'))),
      labelled(t(isNew ? 'sign-in.username' : 'sign-in.account'), account),
      labelled(t('sign-in.password'), password),
      isNew && labelled(t('sign-in.nickname'), nickname),
      this.error,
      h('button', { class: 'primary', type: 'submit' }, t(isNew ? 'sign-in.register' : 'sign-in.log-in')),
    );
  }

  #form(signIn, ...children) {
    const form = h('form', { novalidate: true, 'aria-label': t('sign-in.title') }, ...children);
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = form.querySelector('[type=submit]');
      button.disabled = true;
      setText(this.error, '');
      try {
        this.onSignedIn(await signIn());
      } catch (error) {
        setText(this.error, errorWords(error));
        button.disabled = false;
        this.focus();
      }
    });
    return form;
  }

  #want(isNew) {
    this.#wantsAccount = isNew;
    this.problem = null;
    this.#build();
    this.focus();
  }

  #switchLanguage() {
    switchLanguage();
    this.#build();
    this.element.querySelector('.language').focus();
  }
}

function field(attributes) {
  return h('input', attributes);
}

function labelled(words, input) {
  return h('label', { class: 'field', for: input.id }, h('span', null, words), input);
}
