// One destination: its progress, its attempts, its dead letters, and its actions.

import { destinationPath, get, post } from './api.js';
import { condensed, Sparkline } from './chart.js';
import { ask, toast } from './dialogs.js';
import {
  button, choice, facts, field, fill, h, muted, notice, number, say, section, show, table, titleRow,
} from './dom.js';
import { age, bytes, count, counted, duration, local, time, zone } from './format.js';
import { DeadLetters } from './letters.js';
import {
  Badge, lagText, LagFigures, stateOf, SteeringButtons, TroubleLine, whereTo,
} from './parts.js';

export class DestinationPage {
  #badge = new Badge();
  #lag = new LagFigures();
  #trouble = new TroubleLine();
  #spark = new Sparkline('tall');
  #caption = h('figcaption', { class: 'hint' });
  #facts = h('div');
  #attempts = h('div', {}, muted('Loading…'));
  #body = h('div', { class: 'stack' });
  #missing = h('div', { class: 'empty', hidden: true },
    h('p', {}, 'There is no destination with this name.'), h('a', { href: '#/' }, 'To the overview'));
  #seen = '';
  #attemptsShown = 12;
  #shown = '';

  constructor(context, name) {
    this.context = context;
    this.name = name;
    this.title = name;
    this.letters = new DeadLetters(name, context.maySteer);
    this.buttons = context.maySteer ? new SteeringButtons(name) : null;
    const actions = context.maySteer
      ? [...this.buttons.elements, button('Move cursor…', () => this.#seek()),
        h('a', { class: 'button', href: `#/replays?to=${encodeURIComponent(name)}` }, 'Replay…')]
      : [];
    fill(this.#body,
      this.#trouble.element, this.#lag.element,
      h('figure', { class: 'chart' }, this.#spark.element, this.#caption), this.#facts,
      section('Attempts', this.#attempts), section('Dead letters', this.letters.element));
    this.element = h('div', { class: 'page' },
      h('p', { class: 'crumb' }, h('a', { href: '#/' }, 'Overview')),
      titleRow([h('h1', {}, name), this.#badge.element], actions),
      this.#missing, this.#body);
    if (!context.mayRead) {
      for (const part of [this.#attempts, this.letters.element]) {
        fill(part, muted('Your key does not have the right to see this: it contains events of every app.'));
      }
    }
  }

  update(store) {
    const destination = store.destination(this.name);
    show(this.#missing, destination === null);
    show(this.#body, destination !== null);
    if (!destination) return;
    this.destination = destination;
    this.#badge.set(stateOf(destination));
    this.#lag.set(destination);
    this.#trouble.set(destination, store.status.now);
    this.buttons?.set(destination);
    const lags = store.lags(this.name);
    const text = lagText(lags, store.reach);
    this.#spark.draw(condensed(lags, 180), text);
    say(this.#caption, text);
    this.#updateFacts(destination);
    const key = `${destination.attempts} ${destination.batches} ${destination.deadLetters}`;
    if (this.context.mayRead && key !== this.#seen) {
      if (this.#seen.split(' ')[2] !== key.split(' ')[2]) this.letters.read();
      this.#seen = key;
      this.#readAttempts();
    }
  }

  #updateFacts(one) {
    const key = JSON.stringify([one.committed, one.end, one.inFlight, one.state, one.batches, one.attempts]);
    if (key === this.#shown) return;
    this.#shown = key;
    fill(this.#facts, facts([
      ['Delivers to', `${one.kind} · ${whereTo(one)}`],
      ['Delivered up to offset', count(one.committed)], ['Log ends at', count(one.end)],
      ['In flight', one.inFlight ? `${count(one.inFlight.first)} – ${count(one.inFlight.end - 1)}` : 'nothing'],
      ['Since the start', [
        counted(one.batches ?? 0, 'batch', 'batches'), counted(one.records ?? 0, 'record'), bytes(one.bytes ?? 0),
      ].join(', ')],
      ['Attempts', `${count(one.attempts ?? 0)}, ${count(one.retries ?? 0)} of them retries`],
      one.lag?.secondsToLoss !== null && one.lag && ['Retention reaches it in', age(one.lag.secondsToLoss)],
    ], 'columns'));
  }

  async #readAttempts() {
    try {
      const { attempts } = await get(destinationPath(this.name, 'attempts'));
      const most = this.#attemptsShown;
      fill(this.#attempts,
        attempts.length ? attemptTable(attempts.slice(0, most)) : h('p', { class: 'empty' }, 'No attempt yet.'),
        attempts.length > most && h('div', { class: 'pages' }, button(`Show all ${count(attempts.length)}`, () => {
          this.#attemptsShown = attempts.length;
          return this.#readAttempts();
        })));
    } catch (error) {
      fill(this.#attempts, notice('bad', `The attempts cannot be shown: ${error.message}`));
    }
  }

  // MARK: Moving the cursor

  #seek() {
    const { name } = this;
    const before = this.destination?.committed ?? null;
    const kind = choice([
      ['offset', 'An offset'], ['time', 'A time'], ['beginning', 'The beginning: deliver everything again'],
      ['end', 'The end: skip the waiting records'],
    ]);
    const offset = number({ value: String(before ?? 0) });
    const moment = h('input', { type: 'datetime-local', step: '1', value: local(new Date(Date.now() - 3_600_000)) });
    const offsetField = field('Offset', offset, 'The next record to deliver.');
    const momentField = field('Append time', moment, zone());
    const effect = h('div', { class: 'effect', role: 'status' });
    let target = null;
    const position = () => {
      if (kind.value === 'time') return moment.value && new Date(moment.value).toISOString();
      return kind.value === 'offset' ? offset.value.trim() : kind.value;
    };
    const forget = () => {
      target = null;
      question.yes.disabled = true;
      say(question.yes, 'Move the cursor');
      fill(effect);
      show(offsetField, kind.value === 'offset');
      show(momentField, kind.value === 'time');
    };
    const check = button('See what that does', async () => {
      try {
        const { window } = await post(
          '/v1/replays', { destination: name, dryRun: true, from: position(), to: 'end' });
        target = window.first;
        const now = this.destination?.committed ?? before ?? 0;
        const { text, severity, action } = effectOf(now, target);
        fill(effect, notice(severity, text));
        say(question.yes, action);
        question.yes.disabled = target === now;
      } catch (error) {
        fill(effect, notice('bad', error.message));
      }
    });
    const question = ask({
      title: `Move the cursor of ${name}`, action: 'Move the cursor', kind: 'danger', ready: false,
      content: [
        h('p', {}, 'Delivery continues at another position in the log, after the attempt in progress. A batch that is '
          + 'still in flight then is given up: the receiver may have it already.'),
        field('To', kind), offsetField, momentField, check, effect,
      ],
      act: async () => {
        // Not the position when the dialog opened: delivery has advanced since then.
        const { formerCommitted } = await post(
          destinationPath(name, 'seek'), { to: String(target), giveUpBatch: true });
        toast(`${name} continues at offset ${count(target)}.`, {
          undo: () => post(destinationPath(name, 'seek'), { to: String(formerCommitted), giveUpBatch: true }),
        });
      },
    });
    for (const input of [kind, offset, moment]) input.addEventListener('input', forget);
    forget();
    if (before !== null && !this.destination?.pause) {
      effect.append(notice('info', 'The destination is delivering. Pause it first to stop the cursor meanwhile.'));
    }
  }
}

/** The effect of a moved cursor on the receiver. */
export function effectOf(now, target) {
  if (target < now) {
    const records = counted(now - target, 'record');
    return {
      text: `${records} (offsets ${count(target)} – ${count(now - 1)}) will be delivered again, under new ids. `
        + 'A receiver that has stored them will have them twice.',
      severity: 'warn', action: `Deliver ${records} again`,
    };
  }
  if (target > now) {
    const records = counted(target - now, 'record');
    return {
      text: `${records} (offsets ${count(now)} – ${count(target - 1)}) will not be delivered to this destination.`,
      severity: 'bad', action: `Skip ${records}`,
    };
  }
  return { text: 'The cursor is already at this position.', severity: 'info', action: 'Move the cursor' };
}

const outcomes = { delivered: 'ok', retry: 'warn', 'under way': 'waiting' };

function attemptTable(attempts) {
  const columns = [
    ['Started'], ['Outcome'], ['Offsets', 'number wide'], ['Records', 'number'], ['Sent', 'number wide'],
    ['Took', 'number wide'], ['Attempt', 'number wide'], ['Answer', 'words'],
  ];
  return table('The newest attempts, newest first', columns, attempts.map((one) => {
    const badge = new Badge();
    badge.set({ word: one.outcome, kind: outcomes[one.outcome] ?? 'bad' });
    const { first, end } = one.range;
    return [
      time(one.time), badge.element, `${count(first)} – ${count(end - 1)}`, count(end - first), bytes(one.bodyBytes),
      one.outcome === 'under way' ? '–' : duration(one.milliseconds / 1000), count(one.attempt), one.words,
    ];
  }));
}
