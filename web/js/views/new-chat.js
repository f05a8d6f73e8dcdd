// The dialog that begins a conversation: with a user, in a new group, or in one that there is.
import { h, setAttribute, setText } from '../dom.js';
import { privateKey } from '../conversation.js';
import { parseId, parseIds } from '../identity.js';
import { errorWords, t } from '../i18n.js';
import { iconButton } from '../icons.js';

export class NewChat {
  constructor({ chat, onDone }) {
    this.chat = chat;
    this.onDone = onDone;
    this.error = h('p', { class: 'form-error', role: 'alert' });
    this.fields = {
      user: [this.#field('user', 'new.user.label', { inputmode: 'numeric' })],
      create: [
        this.#field('name', 'new.group.name', { maxlength: 100 }),
        this.#field('members', 'new.group.members', { placeholder: '2, 3, 5' }),
        h('label', { class: 'choice' }, h('input', { type: 'checkbox', name: 'isPublic' }), h('span', null, t('new.group.public'))),
      ],
      join: [this.#field('group', 'new.group.label', { inputmode: 'numeric' })],
    };
    this.tabs = Object.fromEntries(Object.keys(this.fields).map((kind) => [kind,
      h('button', { type: 'button', onclick: () => this.#pick(kind) }, t(`new.${kind}`))]));
    this.body = h('div', { class: 'fields' });
    this.go = h('button', { class: 'primary', type: 'submit' });
    this.form = h('form', { novalidate: true, onsubmit: (event) => this.#submit(event) },
      h('header', null, h('h2', { id: 'new-chat-title' }, t('chats.new')),
        iconButton('close', t('close'), () => this.element.close())),
      h('div', { class: 'segments' }, Object.values(this.tabs)), this.body, this.error, this.go);
    this.element = h('dialog', { class: 'card', 'aria-labelledby': 'new-chat-title', onclose: () => this.element.remove() }, this.form);
  }

  show() {
    document.body.append(this.element);
    this.element.showModal();
    this.#pick('user');
  }

  #field(name, words, attributes) {
    return h('label', { class: 'field' }, h('span', null, t(words)), h('input', { name, autocomplete: 'off', ...attributes }));
  }

  #pick(kind) {
    this.kind = kind;
    for (const [name, tab] of Object.entries(this.tabs)) setAttribute(tab, 'aria-pressed', String(name === kind));
    this.body.replaceChildren(...this.fields[kind]);
    setText(this.go, t(`new.${kind}.go`));
    setText(this.error, '');
    this.body.querySelector('input').focus();
  }

  async #submit(event) {
    event.preventDefault();
    this.go.disabled = true;
    setText(this.error, '');
    try {
      const conversation = await this.#begin(Object.fromEntries(new FormData(this.form)));
      this.element.close();
      this.onDone(conversation);
    } catch (error) {
      setText(this.error, errorWords(error));
      this.go.disabled = false;
    }
  }

  async #begin({ user, name, members, isPublic, group }) {
    const { chat } = this;
    if (this.kind === 'user') return chat.conversation(privateKey(chat.me, valid(parseId(user))));
    if (this.kind === 'join') return chat.joinGroup(valid(parseId(group)));
    if (!name.trim()) throw { message: t('new.name-needed') };
    return chat.createGroup({ name: name.trim(), memberIds: valid(parseIds(members)), isPublic: isPublic !== undefined });
  }
}

function valid(id) {
  if (id === null) throw { message: t('new.wrong-number') };
  return id;
}
