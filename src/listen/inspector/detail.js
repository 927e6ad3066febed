// One exchange in full, and two side by side.
import { AGAIN, answerOf, byClick2call, capital, field, isCdr, requestLine } from "./calls.js";
import { alongside, apart, beginning, bodyLines, bodyText, clean, counted, headerText, humane, local, members, queryPairs } from "./text.js";

/** Upper number of parameters that are shown. */
const MOST_PAIRS = 400;

/** An element with properties, data and children. Strings become text nodes, never markup. */
export function element(tag, { data = {}, ...properties } = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  Object.assign(made.dataset, data);
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Received text, cleaned, in a `bdi` element: its writing direction does not affect the text around it. */
export const received = (text, className = "") => element("bdi", { className }, clean(text));

/** A button; `what` is its key in `DEEDS` of page.js. */
export const button = (what, text, key = "") =>
  element("button", { type: "button", data: { do: what } }, text, key && " ", key && element("kbd", {}, key));

const section = (title, ...content) => element("section", {}, element("h3", {}, title), ...content);

/** Names and values in two columns. Values are received text or elements. */
function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return element("dl", { className: "facts" }, shown.map(([name, value]) => element("div", {},
    element("dt", {}, name),
    element("dd", {}, typeof value === "string" ? received(value) : value))));
}

/** A link to another exchange, or its number if the page has forgotten the exchange. */
const reference = (n, known) =>
  (known(n) ? element("button", { type: "button", className: "link", data: { do: "go", n } }, `#${n}`) : `#${n}`);

/** All parts of one exchange. `page` is {known, marked, forward}. */
export function detail(exchange, page) {
  const { n, meaning, record } = exchange;
  const [kind, ...rest] = meaning.split(" · ");
  return [
    element("div", { className: "title" },
      element("h2", {}, received(capital(kind)), " ", element("small", {}, `#${n}`)),
      element("p", {}, received(rest.join(" · ")))),
    element("div", { className: "buttons" }, button("back", "← Calls", "Esc"), buttons(exchange, page)),
    element("div", { className: "pair" },
      element("div", {}, section(isCdr(exchange) ? "Call" : "Sender", aboutTheCall(exchange))),
      element("div", {}, section("Answer", answer(exchange)), remarks(exchange, page))),
    section("Request", request(record)),
    contentOf(exchange),
  ];
}

function buttons({ n, record }, { forward, marked }) {
  const other = marked !== null && marked !== n;
  return [
    button("curl", "Copy as curl", "c"),
    button("mark", other ? `Compare with #${marked}` : marked === n ? "Do not compare" : "Compare", "d"),
    forward ? button("resend", "Resend to handler") : null,
    forward && record.request.complete && record.request.body.base64 === undefined ? button("edit", "Edit and send") : null,
    record.request.size > 0 ? button("body", "Download body") : null,
  ];
}

/**
 * The part of a request that the user may edit, as {what, text, written}: `written(text)` is the text as it is sent. A
 * query has a parameter on each line. A body in JSON is indented if this changes nothing else.
 */
export function editable({ record: { request } }) {
  if (request.method === "GET") {
    const lines = request.target.replace(/^[^?]*\??/s, "").replaceAll("&", "\n");
    return { what: `Query, a parameter on each line${lines.includes("=***") ? "; *** stands for the received value" : ""}`, text: lines,
      written: (text) => text.trim().replaceAll("\n", "&").replace(/[^!-~]+/gu, encodeURIComponent) };
  }
  const raw = bodyText(request.body);
  const indented = lines({ record: { request } }).join("\n");
  const bare = (text) => text.replace(/\s/g, "");
  return { what: "Body", text: bare(indented) === bare(raw) ? indented : raw,
    written: (text) => (/\r\n/.test(raw) ? text.replaceAll("\n", "\r\n") : text) };
}

/** The call's parties and times, and the request's sender. */
function aboutTheCall(exchange) {
  const { record } = exchange;
  const { peer, claimed, received_at: at, verdict: { generation } } = record;
  const [extension, app] = field(exchange, "user").split(/_(.*)/s);
  const start = new Date(Number(field(exchange, "time") || NaN));
  const answered = field(exchange, "answeredsec");
  const call = isCdr(exchange) ? [
    ["agent", app ? `${extension} of app ${app}` : extension],
    ["rang", field(exchange, "to")],
    ["caller ID", field(exchange, "virtual_number")],
    ["answered for", answered && `${answered} s`],
    ["call of", Number.isNaN(start.getTime()) ? "" : told(start)],
    ["placed", generation !== "piopiy" && (byClick2call(exchange) ? "by click2call" : "not by click2call")],
    ["payload", generation && `${generation} generation`],
  ] : [];
  return facts([...call,
    ["received", told(at, local(at).ms)],
    ["from", claimed ? `${peer}, claimed ${claimed}` : peer],
  ]);
}

/** A moment with its zone. */
function told(moment, ms = "") {
  const { date, time, zone } = local(moment);
  return `${date} ${time}${ms} ${zone}`;
}

/** The remarks on an exchange and its relations. */
function remarks({ record }, { known }) {
  const { remarks: odd, generation } = record.verdict;
  const related = record.related ?? [];
  const own = new Set(["duplicate", "conflict", "no_cdr"]);
  // A duplicate is named once: by its relation, which has a link.
  const told = (code) => related.some(({ how }) => how === code);
  const lines = odd.filter(({ code }) => !told(code)).map(({ field: name, text }) =>
    line("odd", "!", name ? [received(beginning(name, 60), "name"), ": "] : [], received(text)));
  if (generation && odd.every(({ code }) => own.has(code))) {
    const typed = record.request.method === "GET" ? "; a query has no types" : "";
    lines.unshift(line("good", "✓", `conforms to the documented CDR${typed}`));
  }
  for (const { n, how, text } of related) {
    const [before, ...after] = text.split(`#${n}`);
    const [role, sign] = own.has(how) ? ["odd", "↻"] : ["plain", "→"];
    lines.push(line(role, sign, received(before), reference(n, known), received(after.join(`#${n}`))));
  }
  if (record.uncounted) lines.push(line("odd", "!", "does not count: ", received(record.uncounted)));
  return lines.length > 0 ? section("Remarks", element("ul", { className: "remarks" }, lines)) : null;
}

const line = (role, sign, ...content) =>
  element("li", { className: role }, element("span", { className: "sign", ariaHidden: "true" }, sign), element("span", {}, ...content));

/** The request line and headers. The query of a GET has a section of its own. */
function request({ request: { method, target, version, headers } }) {
  const path = method === "GET" ? target.replace(/\?.*/s, "") : target;
  const shown = headers.map(([name, value]) => [received(name, "name"), received(headerText(value))]);
  return [
    element("p", { className: "line" },
      received(`${beginning(method, 20)} ${beginning(path, 2000)}`, "strong"), " ", received(version, "faint")),
    element("details", { open: true, className: "headers" }, element("summary", {}, counted(shown.length, "header")), facts(shown)),
  ];
}

/** The query of a GET, and the body. */
function contentOf({ record: { request } }) {
  const parts = [];
  if (request.method === "GET" && request.target.includes("?")) {
    const raw = request.target.replace(/^[^?]*/s, "");
    const pairs = queryPairs(request.target).map(([name, value]) =>
      [received(beginning(name, 200), "name"), received(beginning(value, 4096), "string")]);
    parts.push(section("Query", element("div", { className: "query" }, facts(pairs.slice(0, MOST_PAIRS))),
      pairs.length > MOST_PAIRS ? element("p", { className: "faint" }, `… ${pairs.length - MOST_PAIRS} parameters more`) : "",
      element("details", {}, element("summary", {}, "as it came"), element("pre", { className: "body" }, received(beginning(raw, 16384))))));
  }
  if (request.size > 0) {
    const size = `${counted(request.size, "byte")}${request.complete ? "" : ", cut off"}`;
    const raw = element("button", { type: "button", className: "link", data: { do: "raw" }, ariaPressed: "false" }, "as it came");
    const title = element("div", { className: "beside" }, element("h3", {}, "Body"), element("span", { className: "faint" }, size), raw);
    parts.push(element("section", {}, title, body(request, false)));
  }
  return element("div", {}, parts);
}

/** A body, indented or as it came. Bytes that are no text are shown as they came only. */
export function body(request, asItCame) {
  const text = bodyText(request.body);
  if (!asItCame && request.body.base64 !== undefined && text.split("\\x").length > text.length / 16) {
    return element("pre", { className: "body more" }, "not text, not shown");
  }
  const lines = bodyLines(text, asItCame);
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
    forwarded ? passedOn("passed on to", forwarded, record.request) : null,
    ...resent.map((again) => passedOn(again.edited === undefined ? "resent to" : "resent, changed, to", again, record.request)),
  ];
}

/** A handler's answer: status, headers and body. The query of a GET has a section of its own. */
function passedOn(how, { url, status: code, latency_ms, complete, failure, instead_of, response, edited }, { method }) {
  const shown = method === "GET" ? url.replace(/\?.*/s, "") : url;
  const good = code !== undefined && code < 400;
  const other = instead_of !== undefined && code !== undefined && Math.floor(code / 100) !== Math.floor(instead_of / 100);
  return element("div", { className: "passed-on" },
    element("p", {}, `→ ${how} `, received(beginning(shown, 2000)), " ", code === undefined ? null : status(good, String(code)), ` after ${humane(latency_ms)}`,
      other ? ` · our own answer would have been ${instead_of}` : "", code !== undefined && !complete ? " · its body was cut" : ""),
    failure ? element("p", { className: "bad" }, "✗ ", received(failure.text ?? failure)) : null,
    edited === undefined ? null : element("details", { className: "reply" }, element("summary", {}, "what was sent"), body({ body: { text: edited } }, false)),
    response ? reply(response) : null);
}

/** The headers and the body of a response. A compressed body is named. */
function reply({ headers, body: content, size }) {
  const pairs = headers.map(([name, value]) => [received(name, "name"), received(headerText(value))]);
  const [, coding] = headers.find(([name]) => name.toLowerCase() === "content-encoding") ?? [];
  const compressed = content.base64 && coding ? `${counted(size, "byte")}, compressed (${headerText(coding)})` : "";
  return element("div", { className: "reply" },
    element("details", { className: "headers" }, element("summary", {}, counted(pairs.length, "header")), facts(pairs)),
    compressed ? element("p", { className: "faint" }, received(compressed)) : size > 0 ? body({ body: content }, false) : null);
}

/** A status in words and colour. */
export const status = (good, text) => element("span", { className: `status ${good ? "good" : "bad"}` }, good ? "" : "✗ ", received(text));

/** Two exchanges side by side, with their differences marked. */
export function comparison(first, second) {
  const tables = [
    ["Request", byName(aspects(first), aspects(second))],
    ["Headers", byName(headerPairs(first), headerPairs(second))],
    contents(first, second),
    ["Answer", byName(answers(first), answers(second))],
  ].map(([title, rows]) => table(title, rows, first, second));
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

const aspects = ({ meaning, record: { request } }) => [
  ["means", meaning], ["method", request.method], ["path", request.target.replace(/\?.*/s, "")],
  ["version", request.version], ["size", String(request.size)],
];

const headerPairs = ({ record }) =>
  record.request.headers.map(([name, value]) => [name.toLowerCase(), JSON.stringify(value), headerText(value)]);

const answers = (exchange) => {
  const { forwarded } = exchange.record.answer;
  return [["answer", answerOf(exchange).text], ["handler", String(forwarded?.status ?? forwarded?.failure?.text ?? "")]];
};

/** The rows of both contents: parameters and fields if both bodies are JSON objects or empty, lines otherwise. */
function contents(first, second) {
  const bodies = [first, second].map(({ record: { request } }) => (request.size > 0 ? members(bodyText(request.body)) : []));
  if (bodies.some((found) => found === null)) {
    return ["Body", alongside(lines(first), lines(second)).map(([a, b], at) => [String(at + 1), a && [a], b && [b]])];
  }
  // A query has no types: beside one, strings are compared without their quotes.
  const untyped = (bodies[0].length === 0) !== (bodies[1].length === 0);
  const value = (raw) => (untyped && raw.startsWith('"') ? JSON.parse(raw) : raw);
  const [left, right] = [first, second].map(({ record: { request } }, side) => [
    ...queryPairs(request.target),
    ...bodies[side].map(([name, raw]) => [name, value(raw)]),
  ]);
  return [untyped ? "Fields, without their types" : "Fields", byName(left, right)];
}

const lines = ({ record }) => bodyLines(bodyText(record.request.body), false, String).map((pieces) => pieces.map(([, text]) => text).join(""));

/** Pairs of [name, exact, shown] side by side. A repeated name gets a number. */
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
  const named = title === "Request" ? when : ({ n }) => `#${n}`;
  const heads = ["what", named(first), named(second)].map((head) => element("th", { scope: "col" }, head));
  return element("table", { data: { differing } },
    element("caption", {}, title, " ", element("small", {}, differing === 0 ? "the same" : counted(differing, "difference"))),
    element("thead", {}, element("tr", {}, heads)), element("tbody", {}, made));
}

const when = ({ n, record }) => `#${n} at ${local(record.received_at).time}${local(record.received_at).ms}`;

/** Both values of a row, with the differing parts marked. */
function sides(left, right) {
  const [a, b] = [left, right].map((side) => side && clean(beginning(side[1] ?? side[0], 4096)));
  if (a === b) return [received(a), received(b)];
  if (a === undefined || b === undefined) {
    return [a, b].map((side) => (side === undefined ? element("em", {}, "not there") : element("mark", {}, received(side))));
  }
  const [before, one, other, after] = apart(a, b);
  return [one, other].map((middle) => element("bdi", {}, before, middle && element("mark", {}, middle), after));
}
