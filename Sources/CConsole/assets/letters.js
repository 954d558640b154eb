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
      fill(this.#list, notice('bad', `The dead letters cannot be shown: ${error.message}`));
    }
  }

  #show({ count: total, deadLetters, redeliveredUpTo, redelivery }) {
    const { kind, words } = redeliveryWords(redelivery);
    if (words !== this.#said) {
      this.#said = words;
      fill(this.#redelivery, words && notice(kind, words));
    }
    if (total === 0) {
      fill(this.#list, h('p', { class: 'empty' }, 'None: every record was taken, or is still to be delivered.'));
      return;
    }
    const last = deadLetters.at(-1)?.number ?? this.#from;
    const isRunning = redelivery?.state === 'running';
    // What somebody is reading stays open.
    const open = new Set([...this.#list.querySelectorAll('details[open]')].map((one) => one.dataset.number));
    fill(this.#list,
      h('div', { class: 'title-row' },
        hint(`${counted(total, 'record')} refused and set aside, oldest first. They stay here when they are delivered again.`),
        this.maySteer && !isRunning && h('div', { class: 'actions' },
          button('Deliver again…', () => this.#again({}), { name: 'Deliver dead letters again' }))),
      h('ol', { class: 'letters' }, deadLetters.map((one) =>
        this.#letter(one, open.has(String(one.number)), redeliveredUpTo, isRunning))),
      h('div', { class: 'pages' },
        this.#from > 0 && button('From the first', () => this.read(0)),
        deadLetters.length === page && button('Later ones', () => this.read(last + 1))));
  }

  #letter(one, isOpen, redeliveredUpTo, isRunning) {
    return h('li', {}, h('details', { 'data-number': String(one.number), open: isOpen },
      h('summary', {},
        h('span', { class: 'letter-offset' }, `Offset ${count(one.offset)}`), ' ',
        h('span', { class: 'muted' }, time(one.buriedAt)), ' ',
        redeliveredUpTo !== null && one.number < redeliveredUpTo && tag('sent again'), ' ',
        h('span', { class: 'words' }, one.reason)),
      facts([
        ['Appended', time(one.appendTime)], ['Attempts', count(one.attempts)], ['Size', bytes(one.bytes)],
        ['Delivery', h('code', {}, one.delivery)],
      ]),
      h('pre', { tabindex: '0', 'aria-label': `The record at offset ${one.offset}` },
        one.record ?? `Not text; in base64:\n${one.recordBase64}`),
      this.maySteer && !isRunning && h('div', { class: 'letter-actions' },
        button('Deliver this one again…', () => this.#again({ letter: one.number }), {
          name: `Deliver the record at offset ${one.offset} again`,
        }))));
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
    const weigh = async () => {
      question.yes.disabled = true;
      try {
        const { letters } = await post(destinationPath(this.name, 'redeliver'), { ...body(), dryRun: true });
        fill(effect, notice('info', letters === 0
          ? 'Every one of them was sent again before.'
          : `${counted(letters, 'record')} would be delivered to ${this.name}.`));
        question.yes.disabled = letters === 0;
      } catch (error) {
        fill(effect, notice('bad', error.message));
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
