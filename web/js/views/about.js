// About the conversation on the screen: who is in it, who of them is on which node, and for a group, what one can do.
import { h, reconcile, setText } from '../dom.js';
import { parseIds } from '../identity.js';
import { errorWords, t } from '../i18n.js';
import { icon, iconButton } from '../icons.js';
import { avatar, titleOf, userName } from './names.js';
import { Placement } from './placement.js';

export class About {
  constructor({ chat, frame, signal }) {
    Object.assign(this, { chat, frame });
    this.name = h('h2');
    this.number = h('p', { class: 'hint' });
    this.picture = h('div', { class: 'portrait' });
    this.placement = new Placement({ chat, isShown: () => this.isShown, conversation: () => frame.current, signal });
    this.members = h('ul', { class: 'members' });
    this.memberCount = h('h3');
    this.problem = h('p', { class: 'form-error', role: 'alert' });
    this.ids = h('input', { id: 'invite', inputmode: 'text', autocomplete: 'off', placeholder: '2, 3, 5', 'aria-label': t('about.invite.label') });
    this.group = h('div', { class: 'group-only' }, this.memberCount, this.members,
      h('form', { class: 'invite', onsubmit: (event) => this.#invite(event) }, this.ids, h('button', { type: 'submit' }, t('about.invite'))),
      this.problem,
      h('button', { class: 'danger', type: 'button', onclick: () => this.#leave() }, icon('leave'), t('about.leave')));
    this.element = h('aside', { class: 'about', 'aria-label': t('about.title') },
      h('header', null, h('h2', null, t('about.title')),
        iconButton('close', t('close'), () => frame.toggleAbout(false))),
      this.picture, this.name, this.number,
      h('h3', null, t('about.where')), this.placement.element, this.group);
  }

  get isShown() {
    return this.element.checkVisibility();
  }

  render() {
    const conversation = this.frame.current;
    if (!conversation || !this.isShown) return;
    const { people } = this.chat;
    const { isGroup, targetId } = conversation;
    if (this.shown !== conversation) {
      this.shown = conversation;
      this.avatar = avatar(isGroup, targetId);
      this.picture.replaceChildren(this.avatar.element);
      setText(this.problem, '');
      this.placement.refresh();
    }
    this.avatar.update(titleOf(this.chat, conversation), isGroup ? undefined : people.isOnline(targetId));
    setText(this.name, titleOf(this.chat, conversation));
    setText(this.number, `${t(isGroup ? 'about.group' : 'about.user')} ${targetId}`);
    this.group.hidden = !isGroup;
    if (!isGroup) return;
    const members = people.group(targetId)?.members ?? [];
    setText(this.memberCount, t('members', { n: members.length }));
    reconcile(this.members, members, ({ userId }) => userId, ({ userId }) => this.#member(userId));
  }

  #member(userId) {
    const { people, me } = this.chat;
    const picture = avatar(false, userId);
    const [name, role] = [h('span', { class: 'name' }), h('span', { class: 'role' })];
    return {
      element: h('li', null, picture.element, name, role),
      update: (member) => {
        const words = userName(people, userId);
        picture.update(words, userId === me ? this.chat.link.isOnline : people.isOnline(userId));
        setText(name, userId === me ? `${words} (${t('you')})` : words);
        setText(role, member.role > 0 ? t(`about.role.${member.role}`) : '');
      },
    };
  }

  async #invite(event) {
    event.preventDefault();
    const userIds = parseIds(this.ids.value);
    if (!userIds?.length) return setText(this.problem, t('new.wrong-number'));
    await this.#attempt(() => this.chat.invite(this.shown.targetId, userIds));
    this.ids.value = '';
  }

  async #leave() {
    await this.#attempt(async () => {
      await this.chat.leaveGroup(this.shown.targetId);
      location.hash = '#/chats';
    });
  }

  async #attempt(act) {
    setText(this.problem, '');
    try {
      await act();
    } catch (error) {
      setText(this.problem, errorWords(error));
    }
  }
}
