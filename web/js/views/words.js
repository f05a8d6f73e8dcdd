// Sentences that more than one view says.
import { t } from '../i18n.js';
import { userName } from './names.js';

/** A message in a few words: its text, or what else it is. */
export function gist({ messageType, content, fileName, isDeleted }) {
  if (isDeleted) return t('message.recalled');
  if (messageType === 1) return content;
  return `${t(`message.type.${messageType}`)} ${fileName ?? content}`.trim();
}

/** Who is typing in a conversation; empty for nobody. */
export function typingWords({ people }, { typing }) {
  if (typing.length === 0) return '';
  return typing.length === 1 ? t('thread.typing.one', { name: userName(people, typing[0]) }) : t('thread.typing.some', { n: typing.length });
}
