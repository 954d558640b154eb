// The dead letters of one destination, and their redelivery.

import { destinationPath, get, post } from './api.js';
import { ask, toast } from './dialogs.js';
import { button, facts, fill, h, hint, notice, tag } from './dom.js';
import { bytes, count, counted, time } from './format.js';

const page = 20;
const interval = 1000;

export class DeadLetters {
  element = h('div');
  #from = 0;
  #timer = null;
  #redelivery = h('div', { class: 'letter-status', role: 'status' });
  #statusText = '';
  #list = h('div');
  #shown = '';
  /** For each letter that is shown: its number, and the element for its tag. */
  #letters = [];
  #buttons = [];

  constructor(name, maySteer) {
    this.name = name;
    this.maySteer = maySteer;
    this.element.append(this.#redelivery, this.#list);
  }

  async read(from = this.#from) {
    this.#from = from;
    clearTimeout(this.#timer);
    try {
      const answer = await get(`${destinationPath(this.name, 'deadletters')}?from=${from}&limit=${page}`);
      this.#show(answer);
      // Only during a redelivery, and while the page is open.
      if (answer.redelivery?.state === 'running' && this.element.isConnected) {
        this.#timer = setTimeout(() => this.read(), interval);
      }
    } catch (error) {
      this.#shown = '';
      fill(this.#list, notice('bad', `The dead letters cannot be shown: ${error.message}`));
    }
  }

  #show({ count: total, deadLetters, next, redeliveredUpTo, redelivery }) {
    const { kind, text } = redeliveryText(redelivery);
    if (text !== this.#statusText) {
      this.#statusText = text;
      fill(this.#redelivery, text && notice(kind, text));
    }
    // Rebuilt only for other letters, so that an operator keeps selection and focus.
    const key = JSON.stringify([this.#from, total, next, deadLetters.map((one) => one.number)]);
    if (key !== this.#shown) {
      this.#shown = key;
      this.#fill(total, deadLetters, next);
    }
    for (const { number, sent } of this.#letters) {
      const isSent = redeliveredUpTo !== null && number < redeliveredUpTo;
      if (isSent !== (sent.firstChild !== null)) fill(sent, isSent && tag('sent again'));
    }
    // Disabled, not removed, which would move the focus away.
    for (const one of this.#buttons) {
      if (redelivery?.state === 'running') one.setAttribute('aria-disabled', 'true');
      else one.removeAttribute('aria-disabled');
    }
  }

  #fill(total, deadLetters, next) {
    const open = new Set([...this.#list.querySelectorAll('details[open]')].map((one) => one.dataset.number));
    [this.#letters, this.#buttons] = [[], []];
    if (total === 0) {
      fill(this.#list, h('p', { class: 'empty' }, 'None: every record was accepted, or is still to be delivered.'));
      return;
    }
    fill(this.#list,
      h('div', { class: 'title-row' },
        hint(`${counted(total, 'record')} rejected, oldest first. They stay here after a redelivery.`),
        this.maySteer && h('div', { class: 'actions' },
          this.#button('Deliver again…', 'Deliver dead letters again', {}))),
      h('ol', { class: 'letters' }, deadLetters.map((one) => this.#letter(one, open.has(String(one.number))))),
      h('div', { class: 'pages' },
        this.#from > 0 && button('First page', () => this.read(0)),
        next !== null && button('Next page', () => this.read(next))));
  }

  #button(label, name, scope) {
    const made = button(label, () => this.#again(scope), { name });
    this.#buttons.push(made);
    return made;
  }

  #letter(one, isOpen) {
    const sent = h('span');
    this.#letters.push({ number: one.number, sent });
    return h('li', {}, h('details', { 'data-number': String(one.number), open: isOpen },
      h('summary', {},
        h('span', { class: 'letter-offset' }, `Offset ${count(one.offset)}`), ' ',
        h('span', { class: 'muted' }, time(one.deadLetteredAt)), ' ', sent, ' ',
        h('span', { class: 'words' }, one.reason)),
      facts([
        ['Appended', time(one.appendTime)], ['Attempts', count(one.attempts)], ['Size', bytes(one.bytes)],
        ['Delivery', h('code', {}, one.delivery)],
      ]),
      h('pre', { tabindex: '0', 'aria-label': `The record at offset ${one.offset}` },
        one.record ?? `Not text; in base64:\n${one.recordBase64}`),
      this.maySteer && h('div', { class: 'letter-actions' },
        this.#button(
          'Deliver this one again…', `Deliver the record at offset ${one.offset} again`, { letter: one.number }))));
  }

  /** Counts first, so that the operator confirms a known number. */
  #again(scope) {
    const isOne = scope.letter !== undefined;
    const effect = h('div', { class: 'effect', role: 'status' });
    const all = h('input', { type: 'checkbox' });
    const body = () => ({ ...scope, ...(all.checked ? { all: true } : {}) });
    const question = ask({
      title: isOne ? 'Deliver this record again?' : `Deliver dead letters of ${this.name} again?`,
      action: 'Deliver again', ready: false,
      content: [
        h('p', {}, 'The service sends the stored records under new ids; a webhook gets the header webhook-replay. '
          + 'A record that is rejected again stays a dead letter.'),
        !isOne && h('label', { class: 'check' }, all, 'Include records that were sent again before'),
        effect,
      ],
      act: async () => {
        const { letters } = await post(destinationPath(this.name, 'redeliver'), body());
        toast(`${counted(letters, 'dead letter')} of ${this.name} will be delivered again.`);
        this.read();
      },
    });
    let requests = 0;
    const countLetters = async () => {
      question.yes.disabled = true;
      requests += 1;
      const own = requests;
      try {
        const { letters } = await post(destinationPath(this.name, 'redeliver'), { ...body(), dryRun: true });
        // A later request has replaced this one.
        if (own !== requests) return;
        fill(effect, notice('info', letters === 0
          ? 'All of them were sent again already.'
          : `${counted(letters, 'record')} would be delivered to ${this.name}.`));
        question.yes.disabled = letters === 0;
      } catch (error) {
        if (own === requests) fill(effect, notice('bad', error.message));
      }
    };
    all.addEventListener('input', countLetters);
    return countLetters();
  }
}

/** The state of the newest redelivery, as text. */
export function redeliveryText(redelivery) {
  if (!redelivery) return { kind: 'info', text: '' };
  const { state, letters, delivered, rejected, failure } = redelivery;
  const again = rejected ? `, ${count(rejected)} rejected again: ${redelivery.reasons[0].reason}` : '';
  const progress = `${count(delivered)} of ${counted(letters, 'dead letter')} delivered${again}`;
  if (state === 'running') return { kind: 'info', text: `Delivering again: ${progress}.` };
  if (state === 'failed') return { kind: 'bad', text: `The redelivery failed: ${progress}. ${failure}` };
  if (state === 'stopped') return { kind: 'warn', text: `The redelivery was stopped: ${progress}.` };
  return { kind: rejected ? 'warn' : 'info', text: `Delivered again: ${progress}.` };
}
