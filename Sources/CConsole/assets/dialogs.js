// Dialogs before a change, and short messages after it.

import { h, button } from './dom.js';

/**
 * A dialog with `content`, an action and a cancel button. `act` runs when the operator confirms; if it throws, the
 * dialog shows the error and stays open. `done` resolves to whether the action was done.
 */
export function ask({ title, content, action, kind = 'primary', act, ready = true }) {
  const heading = h('h2', { id: 'dialog-title' }, title);
  const trouble = h('p', { class: 'trouble', role: 'alert', hidden: true });
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' });
  let isDone = false;
  const yes = button(action, async () => {
    trouble.hidden = true;
    try {
      await act();
      isDone = true;
      dialog.close();
    } catch (error) {
      trouble.textContent = error.message;
      trouble.hidden = false;
    }
  }, { kind });
  yes.disabled = !ready;
  const no = button('Cancel', () => dialog.close());
  const form = h('form', { novalidate: true },
    heading, content, trouble, h('div', { class: 'dialog-actions' }, no, yes));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!yes.disabled) yes.click();
  });
  dialog.append(form);
  document.body.append(dialog);
  dialog.showModal();
  const done = new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(isDone);
    });
  });
  return { done, yes, dialog };
}

const stay = 12_000;

/** Shows a short message, with an undo button if given. It stays while the pointer or the focus is on it. */
export function toast(message, { undo = null, kind = '' } = {}) {
  const toasts = document.getElementById('toasts');
  const element = h('div', { class: `toast ${kind}` }, h('span', {}, message));
  let timer = null;
  const go = () => element.remove();
  const wait = () => { clearTimeout(timer); timer = setTimeout(go, stay); };
  if (undo) {
    element.append(button('Undo', async () => { await undo(); go(); }, { kind: 'link', failed: failed }));
  }
  element.append(button('×', go, { kind: 'link', name: 'Dismiss' }));
  for (const event of ['pointerenter', 'focusin']) element.addEventListener(event, () => clearTimeout(timer));
  for (const event of ['pointerleave', 'focusout']) element.addEventListener(event, wait);
  toasts.append(element);
  while (toasts.children.length > 3) toasts.firstChild.remove();
  wait();
}

/** Shows the error of a failed action. */
export function failed(error) { toast(error.message, { kind: 'bad' }); }
