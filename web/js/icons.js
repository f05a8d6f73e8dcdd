// The icons: strokes on a grid of 20, drawn in the colour of the text beside them, and silent to screen readers.
import { h, svg } from './dom.js';

const PATHS = {
  chats: 'M4 4h12a1.5 1.5 0 0 1 1.5 1.5v7A1.5 1.5 0 0 1 16 14h-5l-4 3v-3H4a1.5 1.5 0 0 1-1.5-1.5v-7A1.5 1.5 0 0 1 4 4z',
  cluster: 'M10 3.2v3.6M6.2 12.4 8.4 9.6M13.8 12.4l-2.2-2.8M12 8.3a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM7 14.2a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM17 14.2a2 2 0 1 1-4 0 2 2 0 0 1 4 0z',
  api: 'M7.5 5.5 3 10l4.5 4.5M12.5 5.5 17 10l-4.5 4.5',
  plus: 'M10 4v12M4 10h12',
  back: 'M12 4.5 6.5 10l5.5 5.5',
  send: 'M3.5 10h12M10.5 4.5 16 10l-5.5 5.5',
  info: 'M10 9.2v4.6M10 6.3v.1M17.5 10a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z',
  close: 'm5 5 10 10M15 5 5 15',
  down: 'm4.5 8 5.5 5.5L15.5 8',
  reply: 'M8 5 3.5 9.5 8 14M4 9.5h7a5.5 5.5 0 0 1 5.5 5.5',
  undo: 'M4.5 7.5h7.2a4.3 4.3 0 0 1 0 8.6H7M7.8 4 4.3 7.5 7.8 11',
  remove: 'M4 6h12M8 6V4h4v2M5.8 6l.7 10h7l.7-10',
  language: 'M2.8 10h14.4M10 2.5c-5 5-5 10 0 15M10 2.5c5 5 5 10 0 15M17.5 10a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z',
  leave: 'M8 3.5H4.5v13H8M12.5 6l4 4-4 4M16 10H8.5',
  sending: 'M10 5.8V10l2.6 1.8M17 10a7 7 0 1 1-14 0 7 7 0 0 1 14 0z',
  sent: 'm4 10.5 4 4 8-9',
  read: 'm1.8 10.8 3.7 3.7 7-8.5M9.3 13.4l1.4 1.1 7-8.5',
  failed: 'M10 6v5M10 13.8v.1M17.5 10a7.5 7.5 0 1 1-15 0 7.5 7.5 0 0 1 15 0z',
  file: 'M5 2.8h6.5L15 6.5v10.7H5zM11.5 2.8v3.7H15',
};

/** The icon of that name. */
export function icon(name) {
  return svg('svg', { class: 'icon', viewBox: '0 0 20 20', 'aria-hidden': 'true', 'data-icon': name }, svg('path', { d: PATHS[name] }));
}

/** A round button that shows an icon, and says `words` to those who point at it or can't see it. */
export function iconButton(name, words, onclick, attributes) {
  return h('button', { class: 'round quiet', type: 'button', 'aria-label': words, title: words, onclick, ...attributes }, icon(name));
}

/** The mark of the project: a speech bubble of three nodes. */
export function mark() {
  return svg('svg', { class: 'mark', viewBox: '0 0 32 32', 'aria-hidden': 'true' },
    svg('path', { class: 'mark-bubble', d: 'M9 3h14a7 7 0 0 1 7 7v8a7 7 0 0 1-7 7h-8.5L8 30.2V25A7 7 0 0 1 2 18v-8a7 7 0 0 1 7-7z' }),
    ...[9.5, 16, 22.5].map((cx, node) => svg('circle', { class: `mark-node-${node}`, cx, cy: 14, r: 2.6 })));
}
