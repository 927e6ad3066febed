// The page of `listen --inspect`: state, selection, buttons and keys.
import { FILTERS, fellows, holds, identifiers, isCdr, outcome } from "./calls.js";
import { body, comparison, detail, editable, element } from "./detail.js";
import { Feed } from "./feed.js";
import { copyable, gap, heading, invitation, refusal, row } from "./list.js";
import { beginning, clean, counted, humane } from "./text.js";

const $ = (id) => document.getElementById(id);

/** The state of the page. */
const page = {
  /** Number -> {n, record, meaning, call, row}, the oldest first. */
  exchanges: new Map(),
  /** Identifier -> its call, and how many exchanges have it. */
  calls: new Map(),
  /** Calls that have gained or lost an exchange since they were drawn. */
  touched: new Set(),
  most: 1000,
  hello: null,
  /** What the listener answers to valid requests: {status, body}. */
  answer: null,
  state: "connecting",
  current: null,
  marked: null,
  compared: null,
  /** The number or numbers of the exchanges on the right side. */
  shown: null,
  following: true,
  unannounced: 0,
};


// ---- events of the listener

const HANDLERS = {
  hello: greet,
  answer: answering,
  exchange: add,
  forgotten: ({ oldest_kept: oldest }) => forgetBefore(oldest),
  end: () => enter("ended"),
  state: enter,
};

function take(events) {
  for (const { kind, value } of events) HANDLERS[kind]?.(value);
  forgetBefore([...page.exchanges.keys()].at(-page.most) ?? 0);
  for (const call of page.touched) retell(call);
  page.touched.clear();
  const came = events.filter(({ kind }) => kind === "exchange");
  if (came.length > 0) {
    announce(came.length);
    // New rows are animated only if at most three came together.
    if (came.length <= 3) for (const { id } of came) page.exchanges.get(id)?.row.classList.add("fresh");
    if (page.following) choose(came.at(-1).id);
  }
  count();
}

function greet(hello) {
  page.hello = hello;
  page.most = hello.most_exchanges ?? page.most;
  forgetBefore(hello.oldest_kept ?? 0);
  $("capture").hidden = $("clear").hidden = $("answer").hidden = false;
  $("address").hidden = false;
  $("address").replaceChildren(copyable(hello.public_url ?? hello.url));
  answering(hello.answer);
}

/** Shows what the listener answers from now on. */
function answering(answer) {
  page.answer = answer;
  const told = clean(beginning(`${answer.status} ${answer.body}`.trim(), 24));
  $("answer").textContent = page.hello.forward ? `Own answer: ${told}` : `Answer: ${told}`;
}

const STATES = {
  connecting: "connecting …",
  live: "● live",
  lost: "◌ connection lost, trying again …",
  ended: "■ the listener has stopped; this page keeps what it told",
  refused: "✗ refused",
};

function enter(state) {
  if (page.state === "ended") return;
  page.state = state;
  if ($("state").dataset.state !== state) $("state").textContent = STATES[state];
  $("state").dataset.state = state;
}

/** Adds an exchange to its call, and moves the call to the top. */
function add({ exchange: record, meaning }) {
  const exchange = { n: record.n, record, meaning };
  const call = callOf(exchange);
  const before = call.exchanges.at(-1);
  exchange.call = call;
  exchange.row = row(exchange);
  exchange.gap = before ? gap(before, exchange) : null;
  call.exchanges.push(exchange);
  call.rows.append(...[exchange.gap, exchange.row].filter(Boolean));
  page.exchanges.set(exchange.n, exchange);
  for (const key of identifiers(exchange)) {
    if (!page.calls.has(key)) page.calls.set(key, { call, times: 0 });
    page.calls.get(key).times += 1;
  }
  page.touched.add(call);
  if ($("list").firstChild !== call.card) {
    const focused = call.card.contains(document.activeElement) && document.activeElement;
    $("list").prepend(call.card);
    if (focused) focused.focus({ preventScroll: true });
  }
}

/** The call of an exchange: by a relation, by its identifiers, or a new one. */
function callOf(exchange) {
  for (const n of fellows(exchange)) {
    const fellow = page.exchanges.get(n);
    if (fellow) return fellow.call;
  }
  for (const key of identifiers(exchange)) {
    const known = page.calls.get(key);
    if (known) return known.call;
  }
  const call = { exchanges: [], rows: element("ol", { className: "rows" }) };
  call.head = element("div", { className: "head" });
  call.card = element("li", { className: isCdr(exchange) ? "call" : "call alone" }, call.head, call.rows);
  return call;
}

/** Forgets exchanges that the listener has forgotten. */
function forgetBefore(oldest) {
  let last = 0;
  for (const exchange of page.exchanges.values()) {
    if (exchange.n >= oldest) break;
    forget(exchange);
    last = exchange.n;
  }
  if (last === 0) return;
  $("forgotten").hidden = false;
  $("forgotten").textContent = `Those up to #${last} are gone: the listener keeps the last ${counted(page.most, "exchange")}.`;
}

function forget(exchange) {
  const { n, call, row: gone } = exchange;
  const focused = gone.contains(document.activeElement);
  page.exchanges.delete(n);
  call.exchanges.shift();
  gone.remove();
  call.exchanges[0]?.gap?.remove();
  page.touched.add(call);
  for (const key of identifiers(exchange)) {
    const known = page.calls.get(key);
    known.times -= 1;
    if (known.times === 0) page.calls.delete(key);
  }
  if (page.marked === n) mark(null);
  if (focused) rows()[0]?.focus();
}

/** Empties the list. A reload of the page brings back what the listener keeps. */
function clear() {
  for (const exchange of [...page.exchanges.values()]) forget(exchange);
  for (const call of page.touched) retell(call);
  page.touched.clear();
  page.current = page.compared = page.shown = null;
  $("forgotten").hidden = true;
  $("detail").replaceChildren();
  show("list");
  count();
}

/** Draws the heading of a call. */
function retell(call) {
  if (call.exchanges.length === 0) {
    call.card.remove();
    return;
  }
  call.head.replaceChildren(...heading(call.exchanges));
  call.card.classList.toggle("long", call.exchanges.length > 20);
  sift(call);
}

// ---- the list

const wanted = () => $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
const sifting = () => $("filter").value !== "all" || wanted().length > 0;

/** Shows a call if one of its exchanges is found. The ladder stays whole, with the found ones marked. */
function sift(call, words = wanted(), passes = FILTERS[$("filter").value], active = sifting()) {
  let found = !active && !call.card.classList.contains("sifted");
  call.card.classList.toggle("sifted", active);
  for (const exchange of found ? [] : call.exchanges) {
    const here = !active || passes(exchange) && holds(exchange, words);
    exchange.row.classList.toggle("found", active && here);
    found ||= here;
  }
  call.card.hidden = !found;
}

function siftAll() {
  const [words, passes, active] = [wanted(), FILTERS[$("filter").value], sifting()];
  for (const call of new Set([...page.exchanges.values()].map(({ call: one }) => one))) sift(call, words, passes, active);
  count();
}

/** Draws the counts, and the instructions if the list is empty. */
function count() {
  const all = $("list").children.length;
  const shown = sifting() ? $("list").querySelectorAll(".call:not([hidden])").length : all;
  const exchanges = counted(page.exchanges.size, "exchange");
  $("count").textContent = sifting() ? `${shown} of ${counted(all, "call")}` : `${counted(all, "call")} · ${exchanges}`;
  $("nothing").hidden = shown > 0 || all === 0;
  const empty = page.exchanges.size === 0;
  const refused = page.state === "refused";
  $("calls").hidden = $("detail").hidden = empty || refused;
  advise(empty, refused);
  document.title = empty ? "telecmi-cdr listen" : `${exchanges} · telecmi-cdr listen`;
}

/** Shows the instructions that fit the state. */
function advise(empty, refused) {
  const gone = page.state === "ended" || page.state === "lost" && !page.hello;
  const needed = refused || empty && (gone || page.hello !== null);
  const kind = !needed ? "" : refused ? "refused" : gone ? "gone" : "waiting";
  $("notice").hidden = !needed;
  if ($("notice").dataset.kind === kind) return;
  $("notice").dataset.kind = kind;
  if (needed) $("notice").replaceChildren(...(refused ? refusal() : invitation(gone ? null : page.hello)));
}

/** Announces new exchanges to screen readers, at most once in three seconds. */
function announce(count) {
  if (page.unannounced === 0) {
    setTimeout(() => {
      const latest = [...page.exchanges.values()].at(-1);
      $("announced").textContent = `${counted(page.unannounced, "new exchange")}, the latest: ${outcome(latest.call.exchanges)}`;
      page.unannounced = 0;
    }, 3000);
  }
  page.unannounced += count;
}

// ---- choosing

/** The steps of all ladders that are shown, from top to bottom. */
const rows = () => [...$("list").querySelectorAll(".call:not([hidden]) .open")];

/** Makes an exchange the current one. */
function choose(n) {
  const [before, now] = [page.exchanges.get(page.current), page.exchanges.get(n)];
  if (!now) return;
  before?.row.firstChild.removeAttribute("aria-current");
  if (before) before.row.firstChild.tabIndex = -1;
  now.row.firstChild.setAttribute("aria-current", "true");
  now.row.firstChild.tabIndex = 0;
  page.current = n;
  page.compared = null;
  draw();
}

/** Draws the right side once before the next frame. */
function draw() {
  if (!page.drawing) page.drawing = requestAnimationFrame(drawNow);
}

/** The page's state as `detail` needs it. */
const about = () => ({ known: (n) => page.exchanges.has(n), marked: page.marked, forward: page.hello?.forward });

function drawNow() {
  page.drawing = null;
  const place = $("detail");
  const current = page.exchanges.get(page.current);
  if (!current && !page.compared) return;
  const focused = place !== document.activeElement && place.contains(document.activeElement) ? document.activeElement : null;
  place.replaceChildren(...(page.compared ? comparison(...page.compared) : detail(current, about())));
  // The focus stays on the button that was pressed.
  if (focused) (place.querySelector(`[data-do="${focused.dataset.do}"]`) ?? place).focus({ preventScroll: true });
  const shown = page.compared ? page.compared.map(({ n }) => n).join(" and ") : page.current;
  if (shown === page.shown) return;
  page.shown = shown;
  place.classList.remove("only-differences");
  place.scrollTop = 0;
}

function follow(following) {
  page.following = following;
  $("follow").ariaPressed = String(following);
  if (following) choose([...page.exchanges.keys()].at(-1));
}

/** Chooses an exchange, and moves the focus to its detail. */
function open(n) {
  follow(false);
  choose(n);
  show("detail");
  $("detail").focus({ preventScroll: true });
}

/** On a narrow screen, shows the list or the detail. */
const show = (view) => { document.body.dataset.view = view; };

function move(by) {
  const all = rows();
  if (all.length === 0) return;
  const at = all.indexOf(page.exchanges.get(page.current)?.row.firstChild);
  const next = all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))];
  follow(false);
  choose(Number(next.dataset.n));
  show("list");
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

function close() {
  if (page.compared) choose(page.current);
  show("list");
  page.exchanges.get(page.current)?.row.firstChild.focus();
}

/** Marks an exchange for comparison, or compares it with the marked one. */
function compare(n) {
  const [first, second] = [page.exchanges.get(page.marked), page.exchanges.get(n)];
  if (!second) return;
  if (!first || first === second) {
    mark(first ? null : n);
    return;
  }
  follow(false);
  page.compared = [first, second];
  mark(null);
  show("detail");
  $("detail").focus({ preventScroll: true });
}

function mark(n) {
  page.exchanges.get(page.marked)?.row.classList.remove("marked");
  page.marked = n;
  page.exchanges.get(n)?.row.classList.add("marked");
  $("marked").hidden = n === null;
  $("marked").textContent = n === null ? "" : `◆ #${n} marked: choose another, press d`;
  draw();
}

// ---- actions

/** Shows a message for six seconds. */
function say(text) {
  $("toast").textContent = text;
  clearTimeout(page.saying);
  page.saying = setTimeout(() => { $("toast").textContent = ""; }, 6000);
}

async function copy(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    say(done);
  } catch {
    say("The browser does not let the page copy.");
  }
}

/** The listener's answer, or null after a message about the failure. */
async function ask(path, options) {
  try {
    const answer = await feed.ask(path, options);
    if (answer.ok) return answer;
    say(`✗ ${await answer.text()}`.trim());
  } catch {
    say("✗ The listener does not answer.");
  }
  return null;
}

async function copyCurl(n) {
  const answer = await ask(`/api/exchanges/${n}/curl`);
  if (answer) await copy(await answer.text(), `#${n} copied as curl`);
}

async function download(path, name) {
  const answer = await ask(path);
  if (!answer) return;
  // With this type the browser stores the file, whatever was received, and never opens it.
  const url = URL.createObjectURL(new Blob([await answer.arrayBuffer()], { type: "application/octet-stream" }));
  element("a", { href: url, download: name }).click();
  // The browser may ask the user before it reads the data.
  setTimeout(() => URL.revokeObjectURL(url), 10 * 60 * 1000);
}

/** Sends JSON to the listener, and returns its answer or null. */
const tell = (path, value) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) });

/** Resolves with {status, text} when the user is done, or with null if the user cancels. */
function edit({ title, what, text, status, deed }) {
  $("editor-title").textContent = title;
  $("editor-what").textContent = what;
  $("editor-code").hidden = status === undefined;
  $("editor-status").value = status ?? "";
  $("editor-text").value = text;
  $("editor-do").textContent = deed;
  $("editor").returnValue = "";
  $("editor").showModal();
  const told = () => ({ status: $("editor-status").value.trim(), text: $("editor-text").value });
  const closed = (done) => () => done($("editor").returnValue === "done" ? told() : null);
  return new Promise((done) => { $("editor").addEventListener("close", closed(done), { once: true }); });
}

async function changeAnswer() {
  const { status, body: text } = page.answer;
  const title = page.hello.forward ? "Answer to requests that are not passed on" : "Answer to valid requests";
  const told = await edit({ title, what: "Body", text, status, deed: "Set answer" });
  if (told && await tell("/api/answer", { status: told.status, body: told.text })) say("The answer is changed.");
}

async function editAndResend(n) {
  const exchange = page.exchanges.get(n);
  const { what, text, written } = editable(exchange);
  const told = await edit({ title: `Resend #${n}, changed`, what, text: exchange.draft ?? text, deed: "Send to handler" });
  if (!told) return;
  exchange.draft = told.text;
  await resend(n, told.text === text.replaceAll("\r\n", "\n") ? {} : { edited: written(told.text) });
}

async function resend(n, change = {}) {
  const exchange = page.exchanges.get(n);
  say(`resending #${n} …`);
  const answer = await tell(`/api/exchanges/${n}/resend`, change);
  if (!answer || !exchange) return;
  const again = { ...await answer.json(), ...change };
  exchange.resent = [...exchange.resent ?? [], again].slice(-5);
  say(`#${n} resent: ${again.status ?? "no answer"} after ${humane(again.latency_ms)}`);
  if (page.current === n) draw();
}

/** The actions of the buttons, by `data-do`. */
const DEEDS = {
  curl: () => copyCurl(page.current),
  mark: () => compare(page.current),
  resend: () => resend(page.current),
  edit: () => editAndResend(page.current),
  body: () => download(`/api/exchanges/${page.current}/body`, `exchange-${page.current}-body`),
  go: ({ dataset }) => { open(Number(dataset.n)); page.exchanges.get(page.current)?.row.scrollIntoView({ block: "nearest" }); },
  copy: (pressed) => copy(pressed.previousSibling.textContent, "copied"),
  back: close,
  close,
  raw: (pressed) => {
    const asItCame = pressed.ariaPressed !== "true";
    pressed.ariaPressed = String(asItCame);
    pressed.closest("section").querySelector("pre").replaceWith(body(page.exchanges.get(page.current).record.request, asItCame));
  },
  differences: (pressed) => {
    pressed.ariaPressed = String(pressed.ariaPressed !== "true");
    $("detail").classList.toggle("only-differences", pressed.ariaPressed === "true");
  },
};

/** The actions of the keys. */
const KEYS = {
  "/": () => { show("list"); $("search").focus(); },
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Enter: () => open(page.current),
  Escape: close,
  c: DEEDS.curl,
  d: DEEDS.mark,
  f: () => follow(!page.following),
  "?": () => $("keys").showModal(),
};

function pressed(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]") || !(key in KEYS)) return;
  if (target === $("search") && (key === "Escape" || key === "ArrowDown" || key === "Enter")) {
    if (key === "Escape" && target.value !== "") { target.value = ""; siftAll(); } else move(0);
    event.preventDefault();
    return;
  }
  if (target.matches("input, select") || key === "Enter" && target.closest("button, summary")) return;
  // In the detail the arrow keys scroll.
  if (key.startsWith("Arrow") && $("detail").contains(target)) return;
  if (page.current === null && key !== "?" && key !== "/") return;
  event.preventDefault();
  KEYS[key]();
}

/** The token from the link, stored for this tab: a reload may come without it. */
function token() {
  try {
    if (location.hash.length > 1) sessionStorage.setItem("token", location.hash.slice(1));
    return sessionStorage.getItem("token");
  } catch {
    return location.hash.slice(1);
  }
}

document.addEventListener("keydown", pressed);
document.addEventListener("click", ({ target }) => {
  const step = target.closest(".open");
  const deed = target.closest("[data-do]");
  if (step) open(Number(step.dataset.n));
  else if (deed) DEEDS[deed.dataset.do](deed);
});
document.addEventListener("animationend", ({ target }) => target.classList.remove("fresh"));
let soon;
$("search").addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(siftAll, 100); });
$("filter").addEventListener("change", siftAll);
$("all").addEventListener("click", () => { $("search").value = ""; $("filter").value = "all"; siftAll(); $("search").focus(); });
$("follow").addEventListener("click", () => follow(!page.following));
$("clear").addEventListener("click", clear);
$("answer").addEventListener("click", changeAnswer);
$("editor-do").addEventListener("click", () => $("editor").close("done"));
$("editor-close").addEventListener("click", () => $("editor").close(""));
$("editor-status").addEventListener("keydown", ({ key }) => { if (key === "Enter") $("editor").close("done"); });
$("capture").addEventListener("click", () => download("/api/capture", "capture.ndjson"));
$("help").addEventListener("click", () => $("keys").showModal());
$("keys-close").addEventListener("click", () => $("keys").close());
// Opening the link of a new listener in an old tab changes the fragment only, which does not reload the page.
window.addEventListener("hashchange", () => location.reload());

const key = token();
const feed = new Feed(key, take);
if (key) feed.start();
else take([{ kind: "state", value: "refused" }]);
