// What the thread shows, row by row: messages and those still on their way, with the head of each day, the line above
// what is new, and what has happened to the group. Pure.

/** Messages of one sender within this time stand together, in milliseconds. */
const TOGETHER_MS = 5 * 60_000;

/**
 * The rows of a conversation: `{kind: 'begin' | 'day' | 'unread' | 'note' | 'message', key, …}`. A message keeps its key
 * from its writing on, so that its row stays the same when it is stored.
 */
export function rows(conversation, waiting, me) {
  const rows = [];
  const { timeline } = conversation;
  if (conversation.isLoaded && timeline.first <= 1) rows.push({ kind: 'begin', key: 'begin' });
  const notes = [...conversation.notes];
  let before = null;
  let isMarked = conversation.unreadFrom === null;

  const noteUpTo = (seq) => {
    while (notes.length > 0 && notes[0].afterSeq <= seq) {
      const note = notes.shift();
      rows.push({ kind: 'note', key: `note ${note.at} ${note.event.type}`, note });
      before = null;
    }
  };
  const add = (row) => {
    const day = dayOf(row.at);
    if (before === null || dayOf(before.at) !== day) {
      if (!rows.some(({ key }) => key === `day ${day}`)) rows.push({ kind: 'day', key: `day ${day}`, at: row.at });
      before = null;
    }
    if (!isMarked && !row.isOwn && row.message.seq >= conversation.unreadFrom) {
      rows.push({ kind: 'unread', key: 'unread' });
      isMarked = true;
      before = null;
    }
    row.isFirst = before === null || before.from !== row.from || Date.parse(row.at) - Date.parse(before.at) > TOGETHER_MS;
    if (before) before.isLast = row.isFirst;
    row.isLast = true;
    rows.push(row);
    before = row;
  };

  for (const message of timeline.messages) {
    noteUpTo(message.seq - 1);
    const isOwn = message.fromUserId === me;
    const key = isOwn && message.clientMessageId ? `own ${message.clientMessageId}` : `seq ${message.seq}`;
    add({ kind: 'message', key, message, isOwn, from: message.fromUserId, at: message.createdAt });
  }
  noteUpTo(Infinity);
  for (const entry of waiting) {
    add({ kind: 'message', key: `own ${entry.payload.clientMessageId}`, entry, isOwn: true, from: me, at: entry.at });
  }
  return rows;
}

/** The day of a time where the reader is. */
function dayOf(iso) {
  const date = new Date(iso);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}
