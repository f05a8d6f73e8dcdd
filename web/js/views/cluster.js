// The cluster, live: what it carries together, how fast it stores messages, each node, and where the people of the last
// conversation are.
import { EVERY_MS, POINTS } from '../cluster.js';
import { h, reconcile, setAttribute, setText } from '../dom.js';
import { errorWords, number, span, t } from '../i18n.js';
import { rateChart, sparkline } from './charts.js';
import { nodeColor, nodeChip, titleOf } from './names.js';
import { Placement } from './placement.js';

const MINUTES = Math.round((POINTS * EVERY_MS) / 60_000);

export class ClusterView {
  #longestLease = new Map();

  constructor({ chat, cluster, frame, signal }) {
    Object.assign(this, { chat, cluster, frame });
    this.lead = h('p', { class: 'lead' });
    this.problem = h('p', { class: 'problem', role: 'alert' });
    this.totals = { connections: h('dd'), users: h('dd'), rate: h('dd'), total: h('dd') };
    this.chart = rateChart(t('cluster.chart', { n: MINUTES }));
    this.legend = h('div', { class: 'legend' });
    this.nodes = h('ul', { class: 'nodes' });
    this.alone = h('p', { class: 'hint', hidden: true }, t('cluster.alone'));
    this.peopleTitle = h('h2');
    this.placement = new Placement({ chat, isShown: () => this.element.checkVisibility(), conversation: () => chat.latest, signal });
    this.element = h('main', { class: 'cluster', tabindex: 0, 'aria-label': t('cluster.title') },
      h('header', null, h('h1', null, t('cluster.title')), this.lead), this.problem,
      h('dl', { class: 'totals' }, Object.entries(this.totals).map(([name, value]) => h('div', null, h('dt', null, t(`cluster.${name}`)), value))),
      h('figure', { class: 'chart card' },
        h('figcaption', null, h('h2', null, t('cluster.rate')), this.legend),
        h('div', { class: 'plot' }, this.chart.drawing, h('div', { class: 'scales' }, this.chart.scale)),
        h('div', { class: 'times' }, h('span', null, t('cluster.ago', { n: MINUTES })), h('span', null, t('cluster.now')))),
      h('h2', { class: 'visually-hidden' }, t('cluster.nodes')), this.nodes, this.alone,
      h('section', { class: 'people card' }, this.peopleTitle, h('p', { class: 'hint' }, t('about.where.hint')), this.placement.element));
    cluster.addEventListener('change', () => this.#render(), { signal });
    this.#render();
  }

  /** The conversation whose people are shown. */
  renderPeople() {
    const { latest } = this.chat;
    setText(this.peopleTitle, latest ? t('cluster.people', { name: titleOf(this.chat, latest) }) : t('cluster.people.none'));
    this.placement.element.hidden = !latest;
    if (this.element.checkVisibility() && this.shown !== latest) {
      this.shown = latest;
      this.placement.refresh();
    }
  }

  #render() {
    const { nodes, error } = this.cluster;
    const here = nodes.filter(({ isGone }) => !isGone);
    const sum = (of) => here.reduce((all, node) => all + of(node), 0);
    setText(this.problem, error ? t('cluster.error', { reason: errorWords(error) }) : '');
    setText(this.lead, nodes.length > 0 ? t('cluster.lead', { n: here.length }) : '');
    setText(this.totals.connections, number(sum(({ connections }) => connections)));
    setText(this.totals.users, number(sum(({ users }) => users)));
    setText(this.totals.rate, rateText(sum(({ rate }) => rate.now)));
    setText(this.totals.total, number(sum(({ messages }) => messages)));
    this.alone.hidden = nodes.length !== 1;
    this.chart.update(nodes);
    reconcile(this.legend, nodes, ({ nodeId }) => nodeId, ({ nodeId }) => ({ element: nodeChip(nodeId) }));
    reconcile(this.nodes, nodes, ({ nodeId }) => nodeId, ({ nodeId }) => this.#node(nodeId));
  }

  #node(nodeId) {
    const badge = h('span', { class: 'badge' });
    const rate = h('span', { class: 'rate' });
    const line = sparkline(nodeId);
    const values = { connections: h('dd'), users: h('dd'), messages: h('dd') };
    const lease = h('i');
    const leaseWords = h('span');
    const leaseLine = h('div', { class: 'lease' }, h('span', null, t('cluster.node.lease')), h('span', { class: 'lease-bar' }, lease), leaseWords);
    const up = h('p', { class: 'hint' });
    const element = h('li', { class: 'card node', 'data-node': nodeColor(nodeId), 'data-id': nodeId },
      h('h3', null, nodeChip(nodeId), badge, rate), line.element,
      h('dl', null, Object.entries(values).map(([name, value]) => h('div', null, h('dt', null, t(`cluster.node.${name}`)), value))),
      leaseLine, up);
    return {
      element,
      update: (node) => {
        const state = node.isGone ? 'gone' : node.draining ? 'draining' : nodeId === this.chat.link.nodeId && this.chat.link.isOnline ? 'here' : null;
        badge.hidden = state === null;
        setText(badge, state ? t(`cluster.${state}`) : '');
        setAttribute(element, 'data-state', state);
        setText(rate, t('cluster.node.rate', { rate: rateText(node.isGone ? 0 : node.rate.now) }));
        line.update(node.rate.history);
        for (const [name, value] of Object.entries(values)) setText(value, node.isGone ? '–' : number(node[name]));
        const longest = Math.max(node.leaseMs, this.#longestLease.get(nodeId) ?? 0);
        this.#longestLease.set(nodeId, longest);
        // A node that is alone needs no lease.
        leaseLine.hidden = longest === 0;
        const left = node.isGone ? 0 : node.leaseMs;
        lease.style.width = `${(left / (longest || 1)) * 100}%`;
        setText(leaseWords, t('cluster.node.lease.left', { n: Math.round(left / 1000) }));
        const time = span(Date.now() - Date.parse(node.since));
        setText(up, t(node.isGone ? 'cluster.gone.hint' : 'cluster.node.up', { time }));
      },
    };
  }
}

function rateText(rate) {
  return number(rate, { maximumFractionDigits: rate < 10 ? 1 : 0 });
}
