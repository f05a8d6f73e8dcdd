// All operations, by tag, and the field that finds some of them.
import { h, setAttribute } from '../dom.js';
import { t } from '../i18n.js';
import { method, summaryOf, tagName } from './names.js';

export class List {
  #links = new Map();

  constructor(document) {
    this.document = document;
    const find = h('input', { type: 'search', id: 'find', placeholder: t('explorer.find'), 'aria-label': t('explorer.find'), autocomplete: 'off' });
    find.addEventListener('input', () => this.#show(find.value));
    this.none = h('p', { class: 'hint', hidden: true, role: 'status' }, t('explorer.none'));
    this.groups = document.tags.map((tag) => h('section', null, h('h2', null, tagName(tag)),
      h('ul', null, tag.operations.map((operation) => h('li', null, this.#link(operation))))));
    this.element = h('nav', { class: 'operations', 'aria-label': t('explorer.operations') }, find, this.none, this.groups,
      h('a', { class: 'document', href: 'api/openapi.json' }, t('explorer.document')));
  }

  /** Marks the operation that is shown. */
  mark(operation) {
    for (const [id, link] of this.#links) setAttribute(link, 'aria-current', id === operation?.id && 'page');
  }

  #link(operation) {
    const link = h('a', { href: `#/${operation.id}` }, method(operation), h('span', null, h('code', null, operation.path), h('small', null, summaryOf(operation))));
    this.#links.set(operation.id, link);
    return link;
  }

  #show(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const link of this.#links.values()) link.parentElement.hidden = !words.every((word) => link.textContent.toLowerCase().includes(word));
    for (const group of this.groups) group.hidden = !group.querySelector('li:not([hidden])');
    this.none.hidden = this.groups.some((group) => !group.hidden);
  }
}
