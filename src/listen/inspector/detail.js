// One exchange in full, and two side by side.
import { AGAIN, answerOf, byClick2call, capital, field, isCdr, requestLine } from "./calls.js";
import { alongside, apart, beginning, bodyLines, bodyText, clean, counted, humane, isSecret, MASK, maskedTarget, members, queryPairs, shownHeader }
  from "./text.js";

/** An element with its properties, data and children; nothing becomes markup, text is text. */
export function element(tag, { data = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, data);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Received text: harmless, and set apart from what stands around it, whichever way it is written. */
export const received = (text, className = "") => element("bdi", { className }, clean(text));

/** Something to press; `what` is found again where clicks are handled. */
export const button = (what, text, key = "") =>
  element("button", { type: "button", data: { do: what } }, text, key && " ", key && element("kbd", {}, key));

const section = (title, ...content) => element("section", {}, element("h3", {}, title), ...content);

/** Names and values in two columns; a value is received text, or elements. */
function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return element("dl", { className: "facts" }, shown.map(([name, value]) => element("div", {},
    element("dt", {}, name),
    element("dd", {}, typeof value === "string" ? received(value) : value))));
}

/** A link to another exchange, as far as it is still there. */
const reference = (n, known) => (known(n) ? element("button", { type: "button", className: "link", data: { do: "go", n } }, `#${n}`) : `#${n}`);

/** Everything about one exchange. `page` knows the others, what is marked, and where requests are passed on to. */
export function detail(exchange, page) {
  const { n, meaning, record } = exchange;
  const [kind, ...rest] = meaning.split(" · ");
  return [
    element("div", { className: "title" },
      element("h2", {}, received(capital(kind)), " ", element("small", {}, `#${n}`)),
      element("p", {}, received(rest.join(" · ")))),
    element("div", { className: "buttons" }, button("back", "← Calls", "Esc"), buttons(exchange, page)),
    aboutTheCall(exchange),
    remarks(exchange, page),
    section("Request", request(record)),
    contentOf(exchange),
    section("Answer", answer(exchange)),
  ].filter(Boolean);
}

function buttons({ n, record }, { forward, marked }) {
  const other = marked !== null && marked !== n;
  return [
    button("curl", "Copy as curl", "c"),
    button("mark", other ? `Compare with #${marked}` : marked === n ? "Do not compare" : "Compare", "d"),
    forward ? button("resend", "Resend to handler") : null,
    record.request.size > 0 ? button("body", "Download body") : null,
  ];
}

function aboutTheCall(exchange) {
  const { record } = exchange;
  if (!isCdr(exchange)) return null;
  const [extension, app] = field(exchange, "user").split(/_(.*)/s);
  const at = new Date(record.cdr.time);
  return facts([
    ["agent", app ? `${extension} of app ${app}` : extension],
    ["rang", field(exchange, "to")],
    ["caller ID", field(exchange, "virtual_number")],
    ["answered for", field(exchange, "answeredsec") && `${field(exchange, "answeredsec")} s`],
    ["call of", Number.isNaN(at.getTime()) ? "" : `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`],
    ["placed", byClick2call(exchange) ? "by click2call" : "not by click2call"],
    ["payload", record.verdict.generation && `${record.verdict.generation} generation`],
  ]);
}

/** What is odd about it, and which others it belongs to. */
function remarks({ record }, { known }) {
  const { remarks: odd, generation } = record.verdict;
  const own = new Set(["duplicate", "conflict", "no_cdr"]);
  const lines = odd.map((remark) => line("odd", "!", remark.field ? [received(beginning(remark.field, 60), "name"), ": "] : [], received(remark.text)));
  if (generation && !odd.some(({ code }) => !own.has(code))) {
    const typed = record.request.method === "GET" ? "; a query has no types" : "";
    lines.unshift(line("good", "✓", `conforms to the documented CDR${typed}`));
  }
  for (const { n, how, text } of record.related ?? []) {
    // What is odd about a copy stands among the remarks already; here is the way to the first.
    lines.push(line("plain", "→", received(how in AGAIN || how === "same_call" ? text.replace(`#${n}`, "") : text), " ", reference(n, known)));
  }
  if (record.uncounted) lines.push(line("odd", "!", "does not count: ", received(record.uncounted)));
  return lines.length > 0 ? section("Remarks", element("ul", { className: "remarks" }, lines)) : null;
}

const line = (role, sign, ...content) =>
  element("li", { className: role }, element("span", { className: "sign", ariaHidden: "true" }, sign), element("span", {}, ...content));

function request({ request, received_at, peer, claimed }) {
  const headers = request.headers.map((header) => [received(header[0], "name"), received(shownHeader(header))]);
  return [
    element("p", { className: "line" }, received(requestLine({ record: { request } }, 2000), "strong"), " ", received(request.version, "faint")),
    facts([
      ["received", `${received_at.slice(0, 10)} ${received_at.slice(11, 23)} UTC`],
      ["from", claimed ? `${peer}, claimed ${claimed}` : peer],
    ]),
    element("details", { open: true, className: "headers" }, element("summary", {}, counted(headers.length, "header")), facts(headers)),
  ];
}

/** The query of a GET, and the body of whatever has one. */
function contentOf({ record: { request } }) {
  const parts = [];
  const pairs = request.method === "GET" ? queryPairs(request.target) : [];
  if (pairs.length > 0) {
    const shown = pairs.slice(0, 400).map(([name, value]) => [received(beginning(name, 200), "name"), received(isSecret(name) ? MASK : beginning(value, 4096), "string")]);
    parts.push(section("Query", facts(shown), pairs.length > 400 ? element("p", {}, `… ${pairs.length - 400} parameters more`) : ""));
  }
  if (request.size > 0) {
    parts.push(section("Body", element("p", { className: "faint" }, counted(request.size, "byte"), request.complete ? "" : ", cut off", " ",
      element("button", { type: "button", className: "link", data: { do: "raw" }, ariaPressed: "false" }, "as it came")),
    body(request, false)));
  }
  return parts.length > 0 ? element("div", {}, parts) : null;
}

/** A body, indented or as it came. */
export function body(request, asItCame) {
  const lines = bodyLines(bodyText(request.body), asItCame);
  return element("pre", { className: "body" }, lines.flatMap((pieces) => [
    ...pieces.map(([kind, text]) => (kind === "space" || kind === "mark" ? text : element("span", { className: `got ${kind}` }, text))), "\n"]));
}

function answer(exchange) {
  const { record, resent = [] } = exchange;
  const { good, text } = answerOf(exchange);
  const { fault, forwarded, unsaved } = record.answer;
  return [
    element("p", { className: "line" }, status(good, text), ` after ${humane(record.took_ms)}`, fault ? " · on purpose" : ""),
    unsaved ? element("p", { className: "bad" }, "✗ not saved: ", received(unsaved)) : null,
    forwarded ? passedOn("passed on to", forwarded) : null,
    ...resent.map((again) => passedOn("resent to", again)),
  ];
}

/** What a handler said. */
function passedOn(how, { url, status: code, latency_ms, complete, said, failure, instead_of }) {
  const good = code !== undefined && code < 400;
  const other = instead_of !== undefined && code !== undefined && Math.floor(code / 100) !== Math.floor(instead_of / 100);
  return element("div", { className: "passed-on" },
    element("p", {}, `→ ${how} `, received(url), " ", code === undefined ? null : status(good, String(code)), ` after ${humane(latency_ms)}`,
      other ? ` · our own answer would have been ${instead_of}` : "", code !== undefined && !complete ? " · its body was cut" : ""),
    failure ? element("p", { className: "bad" }, "✗ ", received(failure.text ?? failure)) : null,
    said ? element("p", { className: "said" }, received(said)) : null);
}

/** A status in words and colour. */
export const status = (good, text) => element("span", { className: `status ${good ? "good" : "bad"}` }, good ? "" : "✗ ", received(text));

/** Two exchanges side by side, row by row, with what differs. */
export function comparison(first, second) {
  const tables = [
    ["Request", byName(aspects(first), aspects(second))],
    ["Headers", byName(headerPairs(first), headerPairs(second))],
    contents(first, second),
    ["Answer", byName(answers(first), answers(second))],
  ].map(([title, rows]) => table(title, rows, first.n, second.n));
  const differing = tables.reduce((sum, made) => sum + Number(made.dataset.differing), 0);
  return [
    element("div", { className: "title" }, element("h2", {}, `#${first.n} and #${second.n}`),
      element("p", {}, differing === 0 ? "They are the same." : `They differ in ${counted(differing, "place")}.`)),
    element("div", { className: "buttons" },
      element("button", { type: "button", data: { do: "differences" }, ariaPressed: "false" }, "Only differences"),
      button("close", "Close", "Esc")),
    ...tables,
  ];
}

const aspects = ({ meaning, record: { request, peer, received_at } }) => [
  ["means", meaning], ["method", request.method], ["target", request.target, maskedTarget(request.target)],
  ["version", request.version], ["from", peer.replace(/:\d+$/, "")], ["received", received_at.slice(11, 23)],
];

const headerPairs = ({ record }) =>
  record.request.headers.map(([name, value]) => [name.toLowerCase(), JSON.stringify(value), shownHeader([name, value])]);

const answers = (exchange) => {
  const { forwarded } = exchange.record.answer;
  return [["answer", answerOf(exchange).text], ["handler", String(forwarded?.status ?? forwarded?.failure?.text ?? "")]];
};

/** What both carry: fields where both have fields, lines otherwise. */
function contents(first, second) {
  const [left, right] = [first, second].map(({ record: { request } }) =>
    (request.size > 0 ? members(bodyText(request.body)) : queryPairs(request.target).map(([name, value]) =>
      [name, value, isSecret(name) ? MASK : value])));
  return left && right ? ["Fields", byName(left, right)] : ["Body", alongside(lines(first), lines(second)).map(([a, b], at) =>
    [String(at + 1), a && [a], b && [b]])];
}

const lines = ({ record }) => bodyLines(bodyText(record.request.body), false).map((pieces) => pieces.map(([, text]) => text).join(""));

/** Pairs of [name, exact, shown] side by side, a name that occurs again under its own number. */
function byName(left, right) {
  const numbered = (pairs) => {
    const times = new Map();
    return new Map(pairs.map(([name, ...value]) => {
      times.set(name, (times.get(name) ?? 0) + 1);
      return [times.get(name) > 1 ? `${name} (${times.get(name)})` : name, value];
    }));
  };
  const [a, b] = [numbered(left), numbered(right)];
  return [...new Set([...a.keys(), ...b.keys()])].map((name) => [name, a.get(name), b.get(name)]);
}

function table(title, rows, first, second) {
  const made = rows.slice(0, 500).map(([name, left, right]) => {
    const same = left?.[0] === right?.[0];
    return element("tr", { className: same ? "same" : "differs" },
      element("th", { scope: "row" }, element("span", { className: "sign" }, same ? "=" : "≠"), " ", received(beginning(name, 60))),
      sides(left, right).map((side) => element("td", {}, side)));
  });
  const differing = made.filter((row) => row.className === "differs").length;
  const heads = ["what", `#${first}`, `#${second}`].map((head) => element("th", { scope: "col" }, head));
  return element("table", { data: { differing } },
    element("caption", {}, title, " ", element("small", {}, differing === 0 ? "the same" : counted(differing, "difference"))),
    element("thead", {}, element("tr", {}, heads)), element("tbody", {}, made));
}

/** Both values of a row, with what differs in them marked. */
function sides(left, right) {
  const [a, b] = [left, right].map((side) => side && clean(beginning(side[1] ?? side[0], 4096)));
  if (a === b) return [received(a), received(b)];
  if (a === undefined || b === undefined) {
    return [a, b].map((side) => (side === undefined ? element("em", {}, "not there") : element("mark", {}, received(side))));
  }
  const [before, one, other, after] = apart(a, b);
  return [one, other].map((middle) => element("bdi", {}, before, middle && element("mark", {}, middle), after));
}
