// The status of the service: the newest snapshot, and the positions of the last 15 minutes. No DOM.

const most = 180;
const recentSeconds = 10;

export class Store {
  status = null;
  #history = { intervalSeconds: 5, times: [], end: [], committed: {} };
  /** The snapshots of the last seconds, for rates. */
  #recent = [];

  /** Takes the service's history when the stream opens. */
  begin(history) {
    this.#history = { ...history, times: history.times.map((text) => Date.parse(text)) };
    this.#recent = [];
  }

  take(status) {
    this.status = status;
    const at = Date.parse(status.now);
    this.#recent.push({ at, end: status.end, bytes: status.ingest.bytes });
    while (this.#recent.length > 2 && at - this.#recent[0].at > recentSeconds * 1000) this.#recent.shift();
    const { times, end, committed, intervalSeconds } = this.#history;
    if (times.length && at - times.at(-1) < intervalSeconds * 1000) return;
    times.push(at);
    end.push(status.end);
    for (const { name, committed: offset } of status.destinations) (committed[name] ??= []).push(offset);
    if (times.length > most) for (const list of [times, end, ...Object.values(committed)]) list.shift();
  }

  /** The rates of the last seconds; null before there are two snapshots. */
  get rateIn() { return this.#rate('end'); }
  get bytesIn() { return this.#rate('bytes'); }

  #rate(what) {
    const [first, last] = [this.#recent[0], this.#recent.at(-1)];
    if (!first || last.at <= first.at) return what === 'end' ? this.ratesIn.at(-1) ?? null : null;
    return Math.max(0, (last[what] - first[what]) * 1000 / (last.at - first.at));
  }

  /** Records appended a second, between each two samples of the history. */
  get ratesIn() {
    const { times, end } = this.#history;
    return times.slice(1).map((at, index) => {
      const seconds = (at - times[index]) / 1000;
      return seconds > 0 ? Math.max(0, end[index + 1] - end[index]) / seconds : 0;
    });
  }

  /** The lag of a destination in records, for each sample. */
  lags(name) {
    const { end, committed } = this.#history;
    const list = committed[name] ?? [];
    // Both lists end at the newest sample.
    return end.map((offset, index) => {
      const done = list[index - end.length + list.length] ?? null;
      return done === null ? null : Math.max(0, offset - done);
    });
  }

  /** The time span of the history, in seconds. */
  get reach() {
    const { times } = this.#history;
    return times.length > 1 ? (times.at(-1) - times[0]) / 1000 : 0;
  }

  destination(name) { return this.status?.destinations.find((one) => one.name === name) ?? null; }
}
