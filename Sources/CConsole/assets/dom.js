// Creates and changes elements. Text becomes text nodes only, so that no event and no error message can become markup.

/** An element with attributes and children; `null` and `false` leave one out. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/**
 * Changes an element's text if it differs. Unchanged text keeps its selection, and screen readers do not read it again.
 */
export function say(element, value) {
  const text = String(value);
  if (element.textContent !== text) element.textContent = text;
}

export function show(element, isShown) { element.hidden = !isShown; }

/** A button that is disabled while its action runs, and passes the error of the action to `failed`. */
export function button(label, action, { kind = '', name = null, failed = null } = {}) {
  const element = h('button', { type: 'button', class: kind || null, 'aria-label': name }, label);
  element.addEventListener('click', async () => {
    if (element.getAttribute('aria-disabled') === 'true') return;
    // Not `disabled`, which would move the focus away.
    element.setAttribute('aria-disabled', 'true');
    try {
      await action(element);
    } catch (error) {
      if (!failed) throw error;
      failed(error);
    } finally {
      element.removeAttribute('aria-disabled');
    }
  });
  return element;
}

let lastID = 0;

/** A labelled control: the label above it, and a hint below it that screen readers read with it. */
export function field(label, control, hintText = null) {
  const id = `field-${lastID += 1}`;
  control.id = id;
  if (hintText) control.setAttribute('aria-describedby', `${id}-hint`);
  return h('div', { class: 'field' },
    h('label', { for: id }, label), control, hintText && h('p', { class: 'hint', id: `${id}-hint` }, hintText));
}

/** Rows of a term and its value. */
export function facts(rows, kind = '') {
  return h('dl', { class: `facts ${kind}` },
    rows.filter(Boolean).map(([term, ...value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
}

/** A table; `columns` are `[title, class]`, and the first cell of each row is its heading. */
export function table(caption, columns, rows, rowClass = () => null) {
  const cell = (content, index) => {
    const kind = columns[index][1] ?? null;
    return index === 0 ? h('th', { scope: 'row', class: kind }, content) : h('td', { class: kind }, content);
  };
  return h('div', { class: 'table-box' }, h('table', {},
    h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, columns.map(([title, kind]) => h('th', { scope: 'col', class: kind }, title)))),
    h('tbody', {}, rows.map((cells, index) => h('tr', { class: rowClass(index) }, cells.map(cell))))));
}

/** A titled section of a page. */
export function section(title, content, actions = []) {
  const id = `section-${lastID += 1}`;
  const heading = h('h2', { id, class: 'section-title' }, title);
  return h('section', { 'aria-labelledby': id }, actions.length ? titleRow(heading, actions) : heading, content);
}

/** A heading with its badges on one side, and actions on the other. */
export function titleRow(heading, actions) {
  return h('div', { class: 'title-row' },
    h('div', { class: 'destination-name' }, heading), h('div', { class: 'actions' }, actions));
}

/** A list to choose from: `[value, label]`, or a label that is also the value. */
export function choice(options) {
  return h('select', {}, options.map((one) => {
    const [value, label] = Array.isArray(one) ? one : [one, one];
    return h('option', { value }, label);
  }));
}

export const number = (attributes = {}) =>
  h('input', { type: 'number', min: '0', step: '1', inputmode: 'numeric', ...attributes });

export const muted = (...children) => h('p', { class: 'muted' }, ...children);
export const hint = (...children) => h('p', { class: 'hint' }, ...children);
export const tag = (text) => h('span', { class: 'tag' }, text);
export const pageOf = (destination) => `#/destinations/${encodeURIComponent(destination)}`;

export function notice(kind, ...children) { return h('div', { class: `notice ${kind}` }, ...children); }
