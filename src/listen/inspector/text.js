// Cleans, splits and compares received text, whose secrets the listener has masked. Pure: no DOM.

/** Characters that hide, reorder or forge text; the same as in `disturbs` in untrusted.rs. */
const DISTURBING = new RegExp(
  "[\\p{Cc}\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f" +
  "\\u2800\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\u{13430}-\\u{1343f}\\u{16fe4}\\u{1bca0}-\\u{1bca3}" +
  "\\u{1d159}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]", "gu");

/** Writes every disturbing character as \u{…}; nothing else changes. */
export const clean = (text) => String(text).replace(DISTURBING, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);

/** The first `most` characters, with `…` if there are more. */
export const beginning = (text, most) => (text.length > most ? `${text.slice(0, most)}…` : text);

/** Formats milliseconds as the terminal does: `340 µs`, `1.2 ms`, `2.50 s`, `3 m 05 s`. */
export function humane(ms) {
  if (ms < 1) return `${Math.floor(ms * 1000)} µs`;
  if (ms < 99.5) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${ms.toFixed(0)} ms`;
  if (ms < 59995) return `${(ms / 1000).toFixed(2)} s`;
  const whole = Math.round(ms / 1000);
  return `${Math.floor(whole / 60)} m ${String(whole % 60).padStart(2, "0")} s`;
}

/** A moment in the browser's time zone, as on the terminal: {date, time, ms, zone}. */
export function local(moment) {
  const at = new Date(moment);
  const shown = new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString();
  const zone = at.toLocaleTimeString("en", { timeZoneName: "short" }).split(/\s/).at(-1);
  return { date: shown.slice(0, 10), time: shown.slice(11, 19), ms: shown.slice(19, 23), zone };
}

/** `1 exchange`, `1 000 exchanges`. */
export function counted(count, one, many = `${one}s`) {
  return `${String(count).replace(/\B(?=(\d{3})+$)/g, "\u202f")} ${count === 1 ? one : many}`;
}

/** Decodes percent escapes; those that are not UTF-8 stay as they are. */
function unescaped(text) {
  return text.replaceAll("+", " ").replace(/(%[0-9a-f]{2})+/gi, (run) => {
    try {
      return decodeURIComponent(run);
    } catch {
      return run;
    }
  });
}

/** The pairs of a target's query, decoded. */
export function queryPairs(target) {
  const at = target.indexOf("?");
  if (at < 0) return [];
  return target.slice(at + 1).split("&").filter(Boolean).map((pair) => {
    const equals = pair.indexOf("=");
    return equals < 0 ? [unescaped(pair), ""] : [unescaped(pair.slice(0, equals)), unescaped(pair.slice(equals + 1))];
  });
}

/** Bytes that are no text, with \xHH for all but printable ASCII. */
function bytesAsText(base64) {
  return atob(base64).replace(/[^\n\r\t -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** A header's value as text. */
export const headerText = (value) => (typeof value === "string" ? value : bytesAsText(value.base64));

/** A body's text, from `text` or `base64`. */
export const bodyText = (body) => body.text ?? bytesAsText(body.base64);

/** The tokens of a JSON text as written, or null if the text is no JSON. */
function tokens(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  // The text is valid JSON: the first character tells the kind of a token.
  return text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
}

const MOST_CHARACTERS = 16 * 1024;
const MOST_LINES = 400;

/** Decodes the escapes of characters that can be shown and are not ASCII, such as `\u092a`. */
const readable = (raw) => raw.replace(/\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\./g, (escape) => {
  const text = JSON.parse(`"${escape}"`);
  return text > "\u007f" && text.isWellFormed() && clean(text) === text ? text : escape;
});

/** A body as lines of [kind, text]: JSON indented, with its tokens as `write` returns them; anything else as it is. */
export function bodyLines(text, asItCame, write = readable) {
  const found = asItCame ? null : tokens(text);
  const lines = found ? jsonLines(found, write) : plainLines(text);
  const shown = lines.shown ?? text.length;
  if (shown < text.length) lines.push([["more", `… ${counted(text.length - shown, "character")} more`]]);
  return lines;
}

function plainLines(text) {
  const lines = text.slice(0, MOST_CHARACTERS).split("\n").slice(0, MOST_LINES);
  const shown = lines.join("\n").length;
  if (lines.at(-1) === "") lines.pop();
  return Object.assign(lines.map((line) => [["plain", clean(line.replace(/\r$/, ""))]]), { shown });
}

function jsonLines(found, write) {
  const lines = [[]];
  let depth = 0;
  let before = "";
  const next = () => lines.push([["space", "  ".repeat(depth)]]);
  for (const { 0: raw, index } of found) {
    if (index > MOST_CHARACTERS || lines.length > MOST_LINES) return Object.assign(lines, { shown: index });
    const closes = raw === "}" || raw === "]";
    const opened = before === "{" || before === "[";
    if (closes) depth -= 1;
    if (before === "," || opened !== closes) next();
    if (raw === "{" || raw === "[") depth += 1;
    // The string before a colon is a key.
    if (raw === ":") lines.at(-1).at(-1)[0] = "key";
    lines.at(-1).push([kindOf(raw), clean(beginning(write(raw), MOST_CHARACTERS)) + (raw === ":" ? " " : "")]);
    before = raw;
  }
  return lines;
}

function kindOf(raw) {
  if (raw[0] === '"') return "string";
  if (/^[-\d]/.test(raw)) return "number";
  return /^\w/.test(raw) ? "word" : "mark";
}

/** The members of a JSON object as [name, value as written], or null. Numbers are never rounded. */
export function members(text) {
  const found = tokens(text);
  if (!found || !text.trimStart().startsWith("{")) return null;
  const pairs = [];
  let depth = 0;
  let inValue = false;
  for (const { 0: raw } of found) {
    if (raw === "}" || raw === "]") depth -= 1;
    if (depth === 1 && (raw === "," || raw === ":")) inValue = raw === ":";
    else if (depth > 0 && inValue) pairs.at(-1)[1] += raw;
    else if (depth > 0) pairs.push([JSON.parse(raw), ""]);
    if (raw === "{" || raw === "[") depth += 1;
  }
  return pairs;
}

/** Two texts as [common beginning, middle of the first, middle of the second, common end]. */
export function apart(first, second) {
  const [a, b] = [Array.from(first), Array.from(second)];
  const most = Math.min(a.length, b.length);
  let start = 0;
  while (start < most && a[start] === b[start]) start += 1;
  let end = 0;
  while (end < most - start && a.at(-1 - end) === b.at(-1 - end)) end += 1;
  // Texts that have little in common differ as a whole.
  if (2 * (start + end) < Math.max(a.length, b.length)) return ["", first, second, ""];
  const middle = (text) => text.slice(start, text.length - end).join("");
  return [a.slice(0, start).join(""), middle(a), middle(b), a.slice(a.length - end).join("")];
}

/** Two lists of lines side by side as [left, right]; undefined beside an unmatched line. */
export function alongside(left, right) {
  const [a, b] = [left.slice(0, MOST_LINES), right.slice(0, MOST_LINES)];
  // longest[i][j]: length of the longest common subsequence of a[i..] and b[j..].
  const longest = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i][j] = a[i] === b[j] ? longest[i + 1][j + 1] + 1 : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  const rows = [];
  for (let i = 0, j = 0; i < a.length || j < b.length;) {
    if (i < a.length && j < b.length && a[i] === b[j]) rows.push([a[i++], b[j++]]);
    else if (j >= b.length || i < a.length && longest[i + 1][j] >= longest[i][j + 1]) rows.push([a[i++], undefined]);
    else rows.push([undefined, b[j++]]);
  }
  return rows;
}
