// Lines of numbers over time, as SVG: the rate of every node in one chart, and of one node beside its name. The newest
// value is at the right edge.
import { POINTS } from '../cluster.js';
import { svg, setAttribute, setText } from '../dom.js';
import { number } from '../i18n.js';
import { nodeColor } from './names.js';

const WIDTH = 600;
/** Room above the highest line, so that its stroke is whole. */
const HEADROOM = 1.12;

/** The points of a history in a box of that height, for `<polyline points>`. Pure. */
export function points(history, top, height) {
  const step = WIDTH / (POINTS - 1);
  return history.map((value, at) => {
    const x = WIDTH - (history.length - 1 - at) * step;
    return `${x.toFixed(1)},${(height - (value / top) * height).toFixed(1)}`;
  }).join(' ');
}

/** The round number above a value that a scale ends at: 1, 2 or 5 with zeros. Pure. */
export function roundUp(value) {
  if (value <= 1) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((step) => step * unit >= value) * unit;
}

/** One line with the area under it. */
export function sparkline(nodeId) {
  const height = 40;
  const line = svg('polyline', { class: 'stroke' });
  const area = svg('polygon', { class: 'area' });
  const box = { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: 'none' };
  return {
    element: svg('svg', { class: 'sparkline', ...box, 'aria-hidden': 'true', 'data-node': nodeColor(nodeId) }, area, line),
    update(history) {
      const text = points(history, Math.max(1, ...history) * HEADROOM, height);
      setAttribute(line, 'points', text);
      setAttribute(area, 'points', text && `${text} ${WIDTH},${height} ${text.slice(0, text.indexOf(','))},${height}`);
    },
  };
}

/** One line for each node, on a scale that ends at a round number. */
export function rateChart(label) {
  const height = 160;
  const lines = new Map();
  const grid = [0, 0.5, 1].map((part) => svg('line', { class: 'grid', x1: 0, x2: WIDTH, y1: height * part, y2: height * part }));
  const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': label }, grid);
  const scale = [1, 0.5].map((part) => ({ part, element: Object.assign(document.createElement('span'), { className: 'scale' }) }));
  return {
    drawing,
    scale: scale.map(({ element }) => element),
    update(nodes) {
      const top = roundUp(Math.max(...nodes.flatMap(({ rate }) => rate.history), 1));
      for (const { part, element } of scale) setText(element, number(top * part));
      for (const { nodeId, rate } of nodes) {
        if (!lines.has(nodeId)) {
          lines.set(nodeId, svg('polyline', { class: 'stroke', 'data-node': nodeColor(nodeId) }));
          drawing.append(lines.get(nodeId));
        }
        setAttribute(lines.get(nodeId), 'points', points(rate.history, top, height));
      }
      for (const [nodeId, line] of lines) {
        if (nodes.some((node) => node.nodeId === nodeId)) continue;
        line.remove();
        lines.delete(nodeId);
      }
    },
  };
}
