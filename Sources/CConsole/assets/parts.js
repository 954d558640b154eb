// The parts that the overview and the page of a destination share.

import { destinationPath, post } from './api.js';
import { failed, toast } from './dialogs.js';
import { button, h, say, show } from './dom.js';
import { age, bytes, count, counted, rate, relative } from './format.js';

/** The state of a destination: a title, a clause that follows its name, and one of ok, warn, bad, paused, waiting. */
export function stateOf(destination) {
  const { lag, pause, failure, state, trouble } = destination;
  if (lag?.health === 'losing') return { word: 'Losing records', clause: 'is losing records', kind: 'bad' };
  if (pause) return { word: 'Paused', clause: 'is paused', kind: 'paused' };
  if (failure) return { word: 'Stopped', clause: 'was stopped by an error', kind: 'bad' };
  if (state === 'halted' || lag?.health === 'halted') {
    return { word: 'Needs an operator', clause: 'needs an operator', kind: 'bad' };
  }
  if (lag?.health === 'stuck') return { word: 'Stuck', clause: 'is stuck', kind: 'bad' };
  if (state === 'backingOff' || trouble) {
    return { word: 'Retrying', clause: 'is retrying after an error', kind: 'warn' };
  }
  if (lag?.health === 'behind') return { word: 'Lagging', clause: 'is lagging', kind: 'warn' };
  if (!lag) return { word: 'Starting', clause: 'is starting', kind: 'waiting' };
  return lag.records === 0 ? { word: 'Caught up', kind: 'ok' } : { word: 'Delivering', kind: 'ok' };
}

const plurals = [
  ['bad', 'need attention'], ['warn', 'are lagging'], ['waiting', 'are starting'], ['paused', 'are paused'],
];

/** The state of the service in one sentence. */
export function headline(status) {
  if (!status.ready) return { text: 'The service accepts no events', kind: 'bad' };
  const all = status.destinations.map((one) => ({ name: one.name, ...stateOf(one) }));
  if (all.length === 0) return { text: 'The service accepts events and has no destination', kind: 'waiting' };
  for (const [kind, plural] of plurals) {
    const matching = all.filter((destination) => destination.kind === kind);
    if (matching.length === 1) return { text: `${matching[0].name} ${matching[0].clause}`, kind };
    if (matching.length > 1) return { text: `${matching.length} of ${all.length} destinations ${plural}`, kind };
  }
  return { text: all.length === 1 ? 'The destination keeps up' : `All ${all.length} destinations keep up`, kind: 'ok' };
}

/** Where it delivers to, without the kind, which is shown next to it. */
export function whereTo({ description, kind }) {
  if (!description) return kind;
  return description.startsWith(`${kind} `) ? description.slice(kind.length + 1) : description;
}

/** A badge with the name of a state; the colour is never the only sign. */
export class Badge {
  element = h('span', { class: 'badge' });
  set({ word, kind }) {
    this.element.dataset.kind = kind;
    say(this.element, word);
  }
}

const lagTerms = [
  ['records', 'Records waiting'], ['bytes', 'Bytes waiting'], ['seconds', 'Oldest record waits'], ['rate', 'Delivered'],
  ['drain', 'Caught up in'],
];

/** The lag in records, bytes and seconds, the delivery rate and the forecast; updated in place. */
export class LagFigures {
  #cells = Object.fromEntries(lagTerms.map(([name]) => [name, h('dd')]));
  element = h('dl', { class: 'lag' },
    lagTerms.map(([name, term]) => h('div', {}, h('dt', {}, term), this.#cells[name])));

  set({ lag, pause, trouble }) {
    const cells = this.#cells;
    say(cells.records, count(lag?.records));
    say(cells.bytes, bytes(lag?.bytes));
    say(cells.seconds, age(lag?.seconds));
    // While nothing is delivered, the rates are out of date.
    const isStill = pause || trouble;
    say(cells.rate, isStill || lag?.recordsPerSecond == null ? '–' : `${rate(lag.recordsPerSecond)}/s`);
    say(cells.drain, lag?.records === 0 ? 'now' : isStill ? '–' : age(lag?.secondsToDrain));
  }
}

/** What holds up delivery: the pause, the last error, the next attempt. */
export class TroubleLine {
  #text = h('span', { class: 'words' });
  #next = h('span', { class: 'next' });
  element = h('div', { class: 'trouble-line', hidden: true }, this.#text, this.#next);

  set(destination, now) {
    const { trouble, lastTrouble, failure, pause, nextTry, lag } = destination;
    const { kind } = stateOf(destination);
    this.element.dataset.kind = kind;
    // A key of one app sees only the kind.
    const error = failure ?? trouble?.message ?? trouble?.kind;
    let text = '';
    if (error) text = `Last error: ${error}`;
    else if (pause) {
      const since = pause.since ? ` ${relative(pause.since, now)}` : '';
      text = `Paused${since}${pause.reason ? `: ${pause.reason}` : ''}`;
          } else if (kind === 'bad' && lag) text = lag.words;
          else if (lastTrouble) text = `Last error, resolved: ${lastTrouble.message ?? lastTrouble.kind}`;
    if (!error && !pause && kind === 'ok') this.element.dataset.kind = 'past';
    say(this.#text, text);
    say(this.#next, nextTry && !pause ? `Next attempt ${relative(nextTry, now)}` : '');
    show(this.element, text !== '');
  }
}

async function pauseDestination(name, reason) {
  await post(destinationPath(name, 'pause'), reason ? { reason } : {});
  toast(`${name} is paused. The pause survives restarts.`, {
    undo: () => post(destinationPath(name, 'resume')),
  });
}

async function resumeDestination(name, reason = '') {
  await post(destinationPath(name, 'resume'));
  toast(`${name} is resumed.`, { undo: () => post(destinationPath(name, 'pause'), { reason }) });
}

/** Pause or resume, and retry while a backoff lasts. */
export class SteeringButtons {
  #name;
  #reason = '';
  #isPaused = false;

  constructor(name) {
    this.#name = name;
    const change = () => this.#isPaused ? resumeDestination(name, this.#reason) : pauseDestination(name);
    this.toggle = button('Pause', change, { name: `Pause ${name}`, failed });
    this.retry = button('Retry now', async () => {
      await post(destinationPath(name, 'retry'));
      toast(`${name} tries again.`);
    }, { name: `Retry ${name} now`, failed });
    this.elements = [this.retry, this.toggle];
  }

  set(destination) {
    this.#isPaused = destination.pause !== null;
    this.#reason = destination.pause?.reason ?? '';
    const word = this.#isPaused ? 'Resume' : 'Pause';
    say(this.toggle, word);
    this.toggle.setAttribute('aria-label', `${word} ${this.#name}`);
    const isWaiting = !this.#isPaused
      && (destination.nextTry !== null || ['halted', 'backingOff'].includes(destination.state));
    // A focused button is not hidden while an operator may be pressing it.
    if (this.retry.hidden === isWaiting && document.activeElement !== this.retry) show(this.retry, isWaiting);
  }
}

export const lagText = (values, reach) => {
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return 'Waiting records: not enough data yet';
  const [now, most] = [counted(known.at(-1), 'record'), count(Math.max(...known))];
  return `Waiting records over the last ${age(reach)}: now ${now}, at most ${most}`;
};
