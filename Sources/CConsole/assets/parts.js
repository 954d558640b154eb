// What the overview and the page of one destination have in common.

import { destinationPath, post } from './api.js';
import { failed, toast } from './dialogs.js';
import { button, h, say, show } from './dom.js';
import { age, bytes, count, counted, rate, relative } from './format.js';

/** How a destination is: in a word, in a clause behind its name, and as one of ok, warn, bad, paused, waiting. */
export function stateOf(destination) {
  const { lag, pause, failure, state, trouble } = destination;
  if (lag?.health === 'losing') return { word: 'Losing records', clause: 'is losing records', kind: 'bad' };
  if (pause) return { word: 'Paused', clause: 'is paused', kind: 'paused' };
  if (failure) return { word: 'Stopped', clause: 'was stopped by an error', kind: 'bad' };
  if (state === 'halted' || lag?.health === 'halted') return { word: 'Needs a person', clause: 'needs a person', kind: 'bad' };
  if (lag?.health === 'stuck') return { word: 'Stuck', clause: 'is stuck', kind: 'bad' };
  if (state === 'backingOff' || trouble) return { word: 'Retrying', clause: 'is retrying after an error', kind: 'warn' };
  if (lag?.health === 'behind') return { word: 'Behind', clause: 'is behind', kind: 'warn' };
  if (!lag) return { word: 'Starting', clause: 'is starting', kind: 'waiting' };
  return lag.records === 0 ? { word: 'Caught up', kind: 'ok' } : { word: 'Delivering', kind: 'ok' };
}

const severals = [
  ['bad', 'need attention'], ['warn', 'are behind'], ['waiting', 'are starting'], ['paused', 'are paused'],
];

/** The one sentence an operator came for. */
export function headline(status) {
  if (!status.ready) return { words: 'The log takes no events', kind: 'bad' };
  const all = status.destinations.map((one) => ({ name: one.name, ...stateOf(one) }));
  if (all.length === 0) return { words: 'The log takes events and has no destination', kind: 'waiting' };
  for (const [kind, several] of severals) {
    const found = all.filter((destination) => destination.kind === kind);
    if (found.length === 1) return { words: `${found[0].name} ${found[0].clause}`, kind };
    if (found.length > 1) return { words: `${found.length} of ${all.length} destinations ${several}`, kind };
  }
  return { words: all.length === 1 ? 'The destination keeps up' : `All ${all.length} destinations keep up`, kind: 'ok' };
}

/** Where it goes, without the kind that stands beside it. */
export function whereTo({ description, kind }) {
  if (!description) return kind;
  return description.startsWith(`${kind} `) ? description.slice(kind.length + 1) : description;
}

/** A badge with a state's word; the colour is never the only sign. */
export class Badge {
  element = h('span', { class: 'badge' });
  set({ word, kind }) {
    this.element.dataset.kind = kind;
    say(this.element, word);
  }
}

const lagTerms = [
  ['records', 'Records behind'], ['bytes', 'Bytes behind'], ['seconds', 'Oldest waits'], ['rate', 'Delivered'],
  ['drain', 'Caught up in'],
];

/** The lag in three units, the rate out and the forecast, patched in place. */
export class LagFigures {
  #cells = Object.fromEntries(lagTerms.map(([name]) => [name, h('dd')]));
  element = h('dl', { class: 'lag' },
    lagTerms.map(([name, term]) => h('div', {}, h('dt', {}, term), this.#cells[name])));

  set({ lag, pause, trouble }) {
    const cells = this.#cells;
    say(cells.records, count(lag?.records));
    say(cells.bytes, bytes(lag?.bytes));
    say(cells.seconds, age(lag?.seconds));
    // Of one that stands still the rates are of before.
    const isStill = pause || trouble;
    say(cells.rate, isStill || lag?.recordsPerSecond == null ? '–' : `${rate(lag.recordsPerSecond)}/s`);
    say(cells.drain, lag?.records === 0 ? 'now' : isStill ? '–' : age(lag?.secondsToDrain));
  }
}

/** What is in the way: the pause, the last error, the next try. */
export class TroubleLine {
  #words = h('span', { class: 'words' });
  #next = h('span', { class: 'next' });
  element = h('div', { class: 'trouble-line', hidden: true }, this.#words, this.#next);

  set(destination, now) {
    const { trouble, lastTrouble, failure, pause, nextTry, lag } = destination;
    const { kind } = stateOf(destination);
    this.element.dataset.kind = kind;
    // A key of one app is told the kind alone.
    const error = failure ?? trouble?.message ?? trouble?.kind;
    let words = '';
    if (error) words = `Last error: ${error}`;
    else if (pause) {
      const since = pause.since ? ` ${relative(pause.since, now)}` : '';
      words = `Paused${since}${pause.reason ? `: ${pause.reason}` : ''}`;
    } else if (kind === 'bad' && lag) words = lag.words;
    else if (lastTrouble) words = `Last error, over now: ${lastTrouble.message ?? lastTrouble.kind}`;
    if (!error && !pause && kind === 'ok') this.element.dataset.kind = 'past';
    say(this.#words, words);
    say(this.#next, nextTry && !pause ? `Next try ${relative(nextTry, now)}` : '');
    show(this.element, words !== '');
  }
}

async function pauseDestination(name, reason) {
  await post(destinationPath(name, 'pause'), reason ? { reason } : {});
  toast(`${name} is paused. It stays so over restarts.`, { undo: () => post(destinationPath(name, 'resume')) });
}

async function resumeDestination(name, reason = '') {
  await post(destinationPath(name, 'resume'));
  toast(`${name} goes on.`, { undo: () => post(destinationPath(name, 'pause'), { reason }) });
}

/** Pause or resume, and retry while there is a wait to end. */
export class SteeringButtons {
  #name;
  #reason = '';
  #isPaused = false;

  constructor(name) {
    this.#name = name;
    this.toggle = button('Pause', () => this.#isPaused ? resumeDestination(name, this.#reason) : pauseDestination(name), {
      name: `Pause ${name}`, failed,
    });
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
    const isWaiting = !this.#isPaused && (destination.nextTry !== null || ['halted', 'backingOff'].includes(destination.state));
    // Not taken away from under the finger that presses it.
    if (this.retry.hidden === isWaiting && document.activeElement !== this.retry) show(this.retry, isWaiting);
  }
}

export const behindWords = (values, reach) => {
  const seen = values.filter((value) => value !== null);
  if (seen.length < 2) return 'Records behind: not enough looks yet for a line';
  return `Records behind over the last ${age(reach)}: now ${counted(seen.at(-1), 'record')}, at most ${count(Math.max(...seen))}`;
};
