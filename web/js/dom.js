// Elements: making them, changing them, and keeping a list of them in step with a list of data. Text is always set as
// text, never as HTML, so nothing that a user wrote is ever markup.

const SVG = 'http://www.w3.org/2000/svg';

/** An HTML element. Attributes that begin with `on` are listeners; `null`, `undefined` and `false` are left out. */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** The same, for SVG. */
export function svg(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else setAttribute(element, name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets an attribute where it differs; `null`, `undefined` and `false` remove it, `true` sets it empty. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else {
    const text = value === true ? '' : String(value);
    if (element.getAttribute(name) !== text) element.setAttribute(name, text);
  }
}

/** Sets the text where it differs, so that a screen reader is not told what it knows. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const listViews = new WeakMap();

/**
 * Makes the children of `parent` be the views of `items`, in order: one view for each key, made once, updated each time,
 * moved only when it must be (a moved element loses the focus).
 * `create(item)` gives `{element, update?(item)}`.
 */
export function reconcile(parent, items, keyOf, create) {
  const before = listViews.get(parent) ?? new Map();
  const after = new Map();
  for (const item of items) {
    const key = keyOf(item);
    const view = before.get(key) ?? create(item);
    view.update?.(item);
    after.set(key, view);
  }
  for (const [key, { element }] of before) if (!after.has(key)) element.remove();
  let place = parent.firstElementChild;
  for (const { element } of after.values()) {
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  listViews.set(parent, after);
}
