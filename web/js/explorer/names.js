// What operations are called.
import { h } from '../dom.js';
import { currentLanguage } from '../i18n.js';
import { OPERATIONS } from './words.js';

/** What an operation does, in the language of the page. */
export function summaryOf({ id, summary }) {
  return OPERATIONS[currentLanguage()]?.[id] ?? summary;
}

/** What there is to know about all of them. */
export function aboutAll({ about }) {
  return OPERATIONS[currentLanguage()]?.about ?? about;
}

export function tagName({ name, about }) {
  return OPERATIONS[currentLanguage()]?.[name] ?? about.replace(/\.$/, '');
}

export function method({ method: name }) {
  return h('b', { class: 'method', 'data-method': name }, name);
}
