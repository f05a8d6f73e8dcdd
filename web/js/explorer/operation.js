// One operation: what it is, a form for its parameters, and what was answered.
import { h, setText } from '../dom.js';
import { t } from '../i18n.js';
import { Answer, answersOf } from './answer.js';
import { curlOf, requestOf, textOf } from './document.js';
import { method, summaryOf } from './names.js';

export class OperationView {
  #fields = new Map();

  /** `who`: tells and keeps who acts. */
  constructor({ document, operation, who }) {
    Object.assign(this, { operation, who });
    const { about, fields, actor } = operation;
    this.answer = new Answer();
    this.button = h('button', { class: 'primary', type: 'submit' }, t('explorer.send'));
    this.shell = h('pre', { tabindex: 0 });
    const form = h('form', { novalidate: true, 'aria-label': t('explorer.parameters') },
      h('h2', null, t('explorer.parameters')),
      fields.length === 0 ? h('p', { class: 'hint' }, t('explorer.no-parameters')) : fields.map((field) => this.#field(field)),
      this.button);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    form.addEventListener('input', () => this.#showShell());
    this.title = h('h1', { tabindex: -1 }, method(operation), h('code', null, operation.path));
    this.element = h('main', { class: 'operation' },
      h('a', { class: 'back', href: '#/' }, '‹ ', t('explorer.back')),
      this.title,
      h('p', { class: 'lead' }, summaryOf(operation), ' ',
        h('span', { class: 'badge' }, t(actor === 'token' ? 'explorer.with-token' : actor === 'number' ? 'explorer.with-number' : 'explorer.anybody'))),
      about && h('p', { class: 'hint' }, about.replaceAll('`', '')),
      h('div', { class: 'card' }, form), this.answer.element,
      h('details', { class: 'card' }, h('summary', null, t('explorer.shell')), this.shell),
      answersOf(document, operation));
    this.#showShell();
  }

  #field(field) {
    const { name, kind, schema, words, about, isRequired, place, example } = field;
    const id = `field-${name}`;
    const value = textOf(field, example);
    const attributes = { id, name, 'aria-describedby': `${id}-about`, autocomplete: 'off', 'aria-required': isRequired && 'true' };
    const choices = (values) => h('select', attributes, !isRequired && h('option', { value: '' }, t('explorer.unset')),
      values.map((each) => h('option', { value: String(each), selected: String(each) === value }, String(each))));
    const input = kind === 'flag' ? choices([true, false])
      : kind === 'choice' ? choices(schema.enum)
        : ['long', 'any'].includes(kind) ? h('textarea', { ...attributes, rows: 2 }, value)
          : h('input', {
            ...attributes, value, type: kind === 'secret' ? 'password' : 'text', inputmode: kind === 'whole' && 'numeric',
            autocapitalize: 'none', spellcheck: 'false', autocomplete: kind === 'secret' ? 'new-password' : 'off',
          });
    this.#fields.set(name, input);
    const notes = [isRequired && t('explorer.needed'), t(`explorer.in.${place}`), words].filter(Boolean).join(' · ');
    return h('div', { class: 'field' },
      h('label', { for: id }, h('code', null, name), h('small', null, notes)),
      input, h('p', { class: 'hint', id: `${id}-about` }, about.replaceAll('`', '')));
  }

  /** Shows what it would send now that somebody else acts. */
  refresh() {
    this.#showShell();
  }

  #request() {
    const texts = Object.fromEntries([...this.#fields].map(([name, input]) => [name, input.value]));
    return requestOf(this.operation, texts, this.who.identity);
  }

  #showShell() {
    setText(this.shell, curlOf(this.#request(), location.href));
  }

  async #send() {
    const { method: name, path, headers, body } = this.#request();
    this.#showShell();
    this.button.disabled = true;
    setText(this.button, t('explorer.sending'));
    const start = performance.now();
    try {
      const answer = await fetch(path, { method: name, headers, body, cache: 'no-store' });
      const text = await answer.text();
      const took = t('explorer.took', { n: Math.round(performance.now() - start) });
      this.answer.show(answer, text, took);
      this.who.learn(this.operation, answer, text);
    } catch (error) {
      this.answer.fail(t('explorer.unreachable', { reason: error.message }));
    }
    this.button.disabled = false;
    setText(this.button, t('explorer.send'));
    this.#showShell();
  }
}
