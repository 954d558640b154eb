// The dead letters of one destination: what they are, and delivering them again.

import { destinationPath, get, post } from './api.js';
import { ask, toast } from './dialogs.js';
import { button, facts, fill, h, hint, notice, tag } from './dom.js';
import { bytes, count, counted, time } from './format.js';

const page = 20;
const look = 1000;

export class DeadLetters {
  element = h('div');
  #from = 0;
  #timer = null;
  #redelivery = h('div', { class: 'letter-status', role: 'status' });
  #said = '';
  #list = h('div');
  #shown = '';
  /** Of each letter that is shown: its number, and the place for what changes. */
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
      // Only while it goes on, and somebody looks.
      if (answer.redelivery?.state === 'running' && this.element.isConnected) {
        this.#timer = setTimeout(() => this.read(), look);
      }
    } catch (error) {
      this.#shown = '';
      fill(this.#list, notice('bad', `The dead letters cannot be shown: ${error.message}`));
    }
  }

  #show({ count: total, deadLetters, next, redeliveredUpTo, redelivery }) {
    const { kind, words } = redeliveryWords(redelivery);
    if (words !== this.#said) {
      this.#said = words;
      fill(this.#redelivery, words && notice(kind, words));
    }
    // Made again only for other letters: what somebody reads, or has the focus on, stays where it is.
    const key = JSON.stringify([this.#from, total, next, deadLetters.map((one) => one.number)]);
    if (key !== this.#shown) {
      this.#shown = key;
      this.#fill(total, deadLetters, next);
    }
    for (const { number, place } of this.#letters) {
      const isSent = redeliveredUpTo !== null && number < redeliveredUpTo;
      if (isSent !== (place.firstChild !== null)) fill(place, isSent && tag('sent again'));
    }
    // Off, and not away, which would take the focus with it.
    for (const one of this.#buttons) {
      if (redelivery?.state === 'running') one.setAttribute('aria-disabled', 'true'); else one.removeAttribute('aria-disabled');
    }
  }

  #fill(total, deadLetters, next) {
    const open = new Set([...this.#list.querySelectorAll('details[open]')].map((one) => one.dataset.number));
    [this.#letters, this.#buttons] = [[], []];
    if (total === 0) {
      fill(this.#list, h('p', { class: 'empty' }, 'None: every record was taken, or is still to be delivered.'));
      return;
    }
    fill(this.#list,
      h('div', { class: 'title-row' },
        hint(`${counted(total, 'record')} refused and set aside, oldest first. They stay here when they are delivered again.`),
        this.maySteer && h('div', { class: 'actions' },
          this.#button('Deliver again…', 'Deliver dead letters again', {}))),
      h('ol', { class: 'letters' }, deadLetters.map((one) => this.#letter(one, open.has(String(one.number))))),
      h('div', { class: 'pages' },
        this.#from > 0 && button('From the first', () => this.read(0)),
        next !== null && button('Later ones', () => this.read(next))));
  }

  #button(label, name, scope) {
    const made = button(label, () => this.#again(scope), { name });
    this.#buttons.push(made);
    return made;
  }

  #letter(one, isOpen) {
    const place = h('span');
    this.#letters.push({ number: one.number, place });
    return h('li', {}, h('details', { 'data-number': String(one.number), open: isOpen },
      h('summary', {},
        h('span', { class: 'letter-offset' }, `Offset ${count(one.offset)}`), ' ',
        h('span', { class: 'muted' }, time(one.deadLetteredAt)), ' ', place, ' ',
        h('span', { class: 'words' }, one.reason)),
      facts([
        ['Appended', time(one.appendTime)], ['Attempts', count(one.attempts)], ['Size', bytes(one.bytes)],
        ['Delivery', h('code', {}, one.delivery)],
      ]),
      h('pre', { tabindex: '0', 'aria-label': `The record at offset ${one.offset}` },
        one.record ?? `Not text; in base64:\n${one.recordBase64}`),
      this.maySteer && h('div', { class: 'letter-actions' },
        this.#button('Deliver this one again…', `Deliver the record at offset ${one.offset} again`, { letter: one.number }))));
  }

  /** Counts first: what is asked for is what was counted. */
  #again(scope) {
    const isOne = scope.letter !== undefined;
    const effect = h('div', { class: 'effect', role: 'status' });
    const all = h('input', { type: 'checkbox' });
    const body = () => ({ ...scope, ...(all.checked ? { all: true } : {}) });
    const question = ask({
      title: isOne ? 'Deliver this record again?' : `Deliver dead letters of ${this.name} again?`,
      action: 'Deliver again', ready: false,
      content: [
        h('p', {}, 'They are sent as they are kept, under ids of their own; a webhook is told by the header webhook-replay. '
          + 'One that is refused again stays set aside.'),
        !isOne && h('label', { class: 'check' }, all, 'Also those that were sent again before'),
        effect,
      ],
      act: async () => {
        const { letters } = await post(destinationPath(this.name, 'redeliver'), body());
        toast(`${counted(letters, 'dead letter')} of ${this.name} on the way again.`);
        this.read();
      },
    });
    let asked = 0;
    const weigh = async () => {
      question.yes.disabled = true;
      asked += 1;
      const mine = asked;
      try {
        const { letters } = await post(destinationPath(this.name, 'redeliver'), { ...body(), dryRun: true });
        // An older count is not of what would be sent.
        if (mine !== asked) return;
        fill(effect, notice('info', letters === 0
          ? 'Every one of them was sent again before.'
          : `${counted(letters, 'record')} would be delivered to ${this.name}.`));
        question.yes.disabled = letters === 0;
      } catch (error) {
        if (mine === asked) fill(effect, notice('bad', error.message));
      }
    };
    all.addEventListener('input', weigh);
    return weigh();
  }
}

/** How the newest redelivery is, or was. */
export function redeliveryWords(redelivery) {
  if (!redelivery) return { kind: 'info', words: '' };
  const { state, letters, delivered, rejected, failure } = redelivery;
  const refused = rejected ? `, ${count(rejected)} refused again: ${redelivery.reasons[0].reason}` : '';
  const how = `${count(delivered)} of ${counted(letters, 'dead letter')} delivered${refused}`;
  if (state === 'running') return { kind: 'info', words: `Delivering again: ${how}.` };
  if (state === 'failed') return { kind: 'bad', words: `Delivering again ended: ${how}. ${failure}` };
  if (state === 'stopped') return { kind: 'warn', words: `Delivering again was stopped: ${how}.` };
  return { kind: rejected ? 'warn' : 'info', words: `Delivered again: ${how}.` };
}
