// Requests to the service. The key is stored for this tab only, and sent in a header of its own: a cookie, which the
// browser adds by itself, would give the operator's rights to requests of other sites.

const storageKey = 'penstock.key';

export const session = {
  get key() { return sessionStorage.getItem(storageKey); },
  set key(value) { value ? sessionStorage.setItem(storageKey, value) : sessionStorage.removeItem(storageKey); },
};

/** An error answer of the service, with its message. `status` 0: the service did not answer. */
export class Refusal extends Error {
  constructor(status, code, message, after = null) {
    super(message);
    this.status = status;
    this.code = code;
    this.after = after;
  }
}

async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (session.key) headers.set('Authorization', `Bearer ${session.key}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Refusal(0, 'unreachable', 'The service does not answer.');
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  throw new Refusal(
    response.status, body.error?.code ?? 'failed', body.error?.message ?? `The service answered ${response.status}.`,
    Number(response.headers.get('Retry-After')) || null);
}

export async function get(path, options = {}) { return (await ask(path, options)).json(); }

async function send(method, path, body) {
  const options = { method };
  if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers = { 'Content-Type': 'application/json' };
  }
  return (await ask(path, options)).json();
}

export const post = (path, body = {}) => send('POST', path, body);
export const remove = (path) => send('DELETE', path);

export const destinationPath = (name, part = '') => `/v1/destinations/${encodeURIComponent(name)}${part && `/${part}`}`;

const silence = 10_000;

/**
 * The `data` of each server-sent event, as JSON. Ends when the service ends the stream; throws when nothing arrives
 * for ten seconds.
 */
async function* events(path, signal) {
  const quiet = new AbortController();
  let timer = setTimeout(() => quiet.abort(), silence);
  try {
    const response = await ask(path, { signal: AbortSignal.any([signal, quiet.signal]) });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), silence);
      text += value;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const data = text.slice(0, end).split('\n').filter((line) => line.startsWith('data:'));
        text = text.slice(end + 2);
        yield JSON.parse(data.map((line) => line.slice(5)).join('\n'));
      }
    }
  } finally {
    clearTimeout(timer);
  }
}

const pause = (milliseconds, signal) => new Promise((done) => {
  const timer = setTimeout(done, milliseconds);
  signal.addEventListener('abort', () => { clearTimeout(timer); done(); }, { once: true });
});

/**
 * Follows the status until `signal` aborts, also across restarts of the service: `opened()` when it answers,
 * `took(status)` for each snapshot, `lost(refusal, isOver)` when the stream ends. A refusal that waiting cannot change
 * ends it: `isOver`.
 */
export async function follow(signal, { opened, took, lost }) {
  for (let wait = 1000; !signal.aborted; wait = Math.min(wait * 2, 15_000)) {
    let refusal = new Refusal(0, 'ended', 'The service ended the stream.');
    try {
      let isFirst = true;
      for await (const status of events('/v1/status/stream', signal)) {
        if (isFirst) await opened();
        [isFirst, wait] = [false, 500];
        took(status);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal) refusal = error;
    }
    if (signal.aborted) return;
    const isOver = refusal.status === 401 || refusal.status === 403;
    lost(refusal, isOver);
    if (isOver) return;
    await pause(Math.max(wait, (refusal.after ?? 0) * 1000), signal);
  }
}
