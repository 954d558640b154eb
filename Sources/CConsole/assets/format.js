// Formats numbers, sizes and times for operators. Pure.

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const brief = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });
const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

/** `12,345`; a dash when unknown. */
export const count = (value) => known(value) ? grouped.format(value) : '–';

/** `1 record`, `12,345 records` */
export const counted = (value, noun, nouns = `${noun}s`) => `${count(value)} ${value === 1 ? noun : nouns}`;

/** `1.4 MiB` */
export function bytes(value) {
  if (!known(value)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let [size, unit] = [value, 0];
  for (; size >= 1024 && unit < units.length - 1; unit += 1) size /= 1024;
  return unit === 0 ? `${value} B` : `${size < 10 ? size.toFixed(2) : size.toFixed(1)} ${units[unit]}`;
}

/** `0`, `0.4`, `128`, `12,345`: a rate a second. */
export function rate(value) {
  if (!known(value)) return '–';
  return value < 100 ? brief.format(value < 0.005 ? 0 : value) : grouped.format(value);
}

/** The two largest units, as `3 h 12 min`. */
export function duration(seconds) {
  if (!known(seconds)) return '–';
  if (seconds < 1) return seconds <= 0 ? '0 s' : `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 60) return `${seconds < 10 ? Math.round(seconds * 10) / 10 : Math.round(seconds)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor(whole % 3600 / 60)} min`;
  return `${grouped.format(Math.floor(whole / 86400))} d ${Math.floor(whole % 86400 / 3600)} h`;
}

/** Whole seconds, for a value that changes while it is shown. */
export const age = (seconds) => known(seconds) ? duration(seconds < 1 ? 0 : Math.floor(seconds)) : '–';

const clock = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const today = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

/** A time of day, with the date unless it is today's. */
export function time(text) {
  const date = new Date(text ?? NaN);
  if (Number.isNaN(date.getTime())) return '–';
  return date.toDateString() === new Date().toDateString() ? today.format(date) : clock.format(date);
}

/** `3.2×`: the uncompressed size divided by the stored size. */
export function ratio(stored, raw) {
  return known(stored) && known(raw) && stored > 0 ? `${(raw / stored).toFixed(raw / stored < 10 ? 1 : 0)}×` : '–';
}

/** `4 s ago`, `in 12 s` */
export function relative(text, now) {
  const seconds = (new Date(text) - new Date(now)) / 1000;
  if (!known(seconds)) return '–';
  return seconds > 0 ? `in ${age(Math.ceil(seconds))}` : `${age(-seconds)} ago`;
}

/** The value of a `datetime-local` field, in the time zone of this browser. */
export function local(date) {
  const shifted = new Date(date.getTime() - date.getTimezoneOffset() * 60000);
  return shifted.toISOString().slice(0, 19);
}

/** `Europe/Berlin (UTC+01:00)` */
export function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const part = (value) => String(Math.floor(Math.abs(value))).padStart(2, '0');
  const shift = `${minutes < 0 ? '−' : '+'}${part(minutes / 60)}:${part(minutes % 60)}`;
  return `${Intl.DateTimeFormat().resolvedOptions().timeZone} (UTC${shift})`;
}
