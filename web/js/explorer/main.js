// The API explorer: every operation of the node's OpenAPI document, with a form that sends it. What is shown is in the address:
// #/sendMessage.
import { h, setAttribute } from '../dom.js';
import { addWords, applyLanguage, switchLanguage, t } from '../i18n.js';
import { icon, mark } from '../icons.js';
import { loadConfig } from '../server.js';
import { Document } from './document.js';
import { List } from './list.js';
import { aboutAll, summaryOf } from './names.js';
import { OperationView } from './operation.js';
import { Who } from './who.js';
import { WORDS } from './words.js';

const RETRY_MS = 2000;
addWords(WORDS);

async function start() {
  applyLanguage();
  try {
    const [config, json] = await Promise.all([loadConfig(), fetch('api/openapi.json').then((answer) => answer.json())]);
    new Explorer(config, new Document(json));
  } catch {
    document.body.replaceChildren(h('p', { class: 'fatal', role: 'alert' }, t('no-node')));
    setTimeout(start, RETRY_MS);
  }
}

class Explorer {
  constructor(config, openapi) {
    this.openapi = openapi;
    this.who = new Who(config, () => this.view?.refresh());
    addEventListener('hashchange', () => this.#route(true));
    this.#build();
  }

  #build() {
    this.list = new List(this.openapi);
    this.pane = h('div', { class: 'pane', tabindex: -1 });
    this.element = h('div', { class: 'explorer' },
      h('header', { class: 'top' },
        h('a', { href: './', class: 'home', 'aria-label': t('explorer.chat') }, mark()),
        h('strong', null, h('span', null, 'tokio-socketio '), t('explorer.title')),
        this.who.element(),
        h('a', { class: 'quiet', href: './' }, t('explorer.chat')),
        h('button', { class: 'quiet language', type: 'button', onclick: () => this.#switchLanguage() }, icon('language'), t('language.other'))),
      this.list.element, this.pane);
    document.body.replaceChildren(this.element);
    this.#route();
  }

  #route(moves = false) {
    const operation = this.openapi.operations.find(({ id }) => `#/${id}` === location.hash);
    this.list.mark(operation);
    setAttribute(this.element, 'data-open', operation !== undefined);
    this.view = operation && new OperationView({ document: this.openapi, operation, who: this.who });
    document.title = operation ? `${summaryOf(operation)} – tokio-socketio API` : 'tokio-socketio API';
    this.pane.replaceChildren(this.view ? this.view.element : this.#welcome());
    this.pane.scrollTop = 0;
    if (moves && this.view) this.view.title.focus({ preventScroll: true });
  }

  #welcome() {
    const logIn = this.openapi.operations.find(({ id }) => id === 'logIn');
    return h('main', { class: 'welcome' }, h('h1', null, t('explorer.title')),
      aboutAll(this.openapi).split('\n\n').map((paragraph) => h('p', null, paragraph.replaceAll('`', ''))),
      !this.who.isOpen && h('p', null, t('explorer.token.hint', { name: summaryOf(logIn) })));
  }

  #switchLanguage() {
    switchLanguage();
    this.#build();
    this.element.querySelector('.language').focus();
  }
}

start();
