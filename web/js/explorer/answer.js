// What was answered, and what may be.
import { h, setAttribute } from '../dom.js';
import { t } from '../i18n.js';

export class Answer {
  element = h('section', { class: 'answer card', hidden: true, 'aria-live': 'polite', 'aria-label': t('explorer.answer') });

  /** `answer`: what `fetch` gave; `text`: its body; `took`: how long it took, in words. */
  show({ status, statusText, headers }, text, took) {
    const isJson = headers.get('content-type')?.startsWith('application/json');
    const retry = headers.get('retry-after');
    this.#fill(status < 400,
      h('header', null, h('b', { class: 'status' }, `${status} ${statusText}`.trim()), h('span', { class: 'hint' }, took),
        retry && h('code', null, `Retry-After: ${retry}`)),
      h('pre', { tabindex: 0 }, isJson ? colored(text) : text));
  }

  fail(words) {
    this.#fill(false, h('p', { class: 'form-error', role: 'alert' }, words));
  }

  #fill(isGood, ...children) {
    this.element.replaceChildren(...children);
    setAttribute(this.element, 'data-good', isGood);
    this.element.hidden = false;
    this.element.scrollIntoView({ block: 'nearest' });
  }
}

/** JSON with its names, texts and other values in colours of their own. */
function colored(json) {
  let text;
  try {
    text = JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
  const parts = text.split(/("(?:[^"\\]|\\.)*"(?:\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/);
  return parts.map((part, i) => (i % 2 === 0 ? part : h('span', { class: part.endsWith(':') ? 'name' : part.startsWith('"') ? 'text' : 'value' }, part)));
}

/** The answers that the document has for an operation. */
export function answersOf(document, { answers }) {
  const data = ({ data: schema }) => {
    const rows = document.rows(schema);
    if (rows.length === 0) return h('p', { class: 'hint' }, document.words(schema) === 'null' ? t('explorer.nothing') : h('code', null, `data: ${document.words(schema)}`));
    return h('table', null, h('tbody', null, rows.map(({ depth, name, words, about, isRequired }) => h('tr', { 'data-depth': Math.min(depth, 3) },
      h('th', { scope: 'row' }, h('code', null, isRequired ? name : `${name}?`)), h('td', null, h('code', null, words)), h('td', null, about.replaceAll('`', ''))))));
  };
  return h('details', { class: 'card answers' }, h('summary', null, t('explorer.answers')),
    h('dl', null, answers.flatMap((answer) => [
      h('dt', { 'data-good': answer.status < 400 }, String(answer.status)),
      h('dd', null, answer.codes.length > 0 ? answer.codes.flatMap((code) => [h('code', null, code), ' ']) : answer.data ? data(answer) : answer.about),
    ])));
}
