// Making and changing elements. Text becomes text nodes and nothing else: there is no way through here by which an
// event's body or an error's words become markup.

/**
 * An element with attributes and children; `null` and `false` leave one out.
 */
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

/** Replaces what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Changes an element's text, if it is another: what has not changed is not read out again, and keeps its selection. */
export function say(element, text) {
  const words = String(text);
  if (element.textContent !== words) element.textContent = words;
}

export function show(element, isShown) { element.hidden = !isShown; }

/** A button that is off while what it does is under way, and says what went wrong through `failed`. */
export function button(label, action, { kind = '', name = null, failed = null } = {}) {
  const element = h('button', { type: 'button', class: kind || null, 'aria-label': name }, label);
  element.addEventListener('click', async () => {
    if (element.getAttribute('aria-disabled') === 'true') return;
    // Not `disabled`, which would take the focus away.
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

/** A labelled field: the control, its label above, and a hint below that is read with it. */
export function field(label, control, words = null) {
  const id = `field-${lastID += 1}`;
  control.id = id;
  if (words) control.setAttribute('aria-describedby', `${id}-hint`);
  return h('div', { class: 'field' },
    h('label', { for: id }, label), control, words && h('p', { class: 'hint', id: `${id}-hint` }, words));
}

/** Rows of a term and what it is. */
export function facts(rows, kind = '') {
  return h('dl', { class: `facts ${kind}` },
    rows.filter(Boolean).map(([term, ...value]) => h('div', {}, h('dt', {}, term), h('dd', {}, value))));
}

/** A table; `columns` are `[word, class]`, and the first cell of each row is its head. */
export function table(caption, columns, rows, rowClass = () => null) {
  const cell = (content, index) => {
    const kind = columns[index][1] ?? null;
    return index === 0 ? h('th', { scope: 'row', class: kind }, content) : h('td', { class: kind }, content);
  };
  return h('div', { class: 'table-box' }, h('table', {},
    h('caption', { class: 'unseen' }, caption),
    h('thead', {}, h('tr', {}, columns.map(([word, kind]) => h('th', { scope: 'col', class: kind }, word)))),
    h('tbody', {}, rows.map((cells, index) => h('tr', { class: rowClass(index) }, cells.map(cell))))));
}

/** A part of a page with a title that names it. */
export function section(title, content, actions = []) {
  const id = `section-${lastID += 1}`;
  const heading = h('h2', { id, class: 'section-title' }, title);
  return h('section', { 'aria-labelledby': id }, actions.length ? titleRow(heading, actions) : heading, content);
}

/** A heading with what stands beside it, and what can be done on the other side. */
export function titleRow(heading, actions) {
  return h('div', { class: 'title-row' },
    h('div', { class: 'destination-name' }, heading), h('div', { class: 'actions' }, actions));
}

/** A list to choose from: `[value, words]`, or words that are the value. */
export function choice(options) {
  return h('select', {}, options.map((one) => {
    const [value, words] = Array.isArray(one) ? one : [one, one];
    return h('option', { value }, words);
  }));
}

export const number = (attributes = {}) =>
  h('input', { type: 'number', min: '0', step: '1', inputmode: 'numeric', ...attributes });

export const muted = (...children) => h('p', { class: 'muted' }, ...children);
export const hint = (...children) => h('p', { class: 'hint' }, ...children);
export const tag = (words) => h('span', { class: 'tag' }, words);
export const pageOf = (destination) => `#/destinations/${encodeURIComponent(destination)}`;

export function notice(kind, ...children) { return h('div', { class: `notice ${kind}` }, ...children); }
