// The list of calls: headings, ladders, and the instructions shown while the list is empty.
import { AGAIN, answerOf, ending, isCdr, outcome, parties, repeats, words } from "./calls.js";
import { button, element, received, status } from "./detail.js";
import { counted, humane, local } from "./text.js";

/** Shortest pause in milliseconds that gets a line in a ladder. */
const GAP = 1000;
const SIGNS = { missed: "✕", declined: "⊘", answered: "✓" };

/** A call's outcome and parties, and the names of the lifelines. */
export function heading(exchanges) {
  const known = parties(exchanges);
  const lanes = ["agent", "TeleCMI", "customer"].map((who) => element("span", {}, who));
  return [
    element("h3", {}, received(outcome(exchanges))),
    element("p", {}, received(known.length > 0 ? known.join(" · ") : `from ${exchanges[0].record.peer}`)),
    isCdr(exchanges[0]) ? element("p", { className: "lanes", ariaHidden: "true" }, lanes) : "",
  ];
}

/** One step of the ladder. */
export function row(exchange) {
  const { n, record } = exchange;
  const again = repeats(exchange);
  const { good, text } = answerOf(exchange);
  const odd = record.verdict.remarks.filter(({ code }) => code !== "duplicate" && code !== "conflict").length;
  const leg = record.verdict.leg;
  const { time, ms } = local(record.received_at);
  const about = [`#${n}`, leg && `leg ${leg}`, isCdr(exchange) && record.request.method, odd > 0 && counted(odd, "remark")].filter(Boolean);
  const open = element("button", { type: "button", className: "open", tabIndex: -1, data: { n } },
    element("time", { dateTime: record.received_at }, time, element("small", {}, ms)),
    isCdr(exchange) ? ladder(SIGNS[ending(exchange)]) : null,
    element("span", { className: "what" }, received(words(exchange), "words"),
      element("span", { className: "about" }, about.map((piece) => received(piece)),
        again ? element("span", { className: "again" }, received(sameAs(again, record))) : null)),
    status(good, text));
  return element("li", { className: "exchange", data: { leg: leg ?? "none", ending: ending(exchange), again: again?.how ?? "" } }, open);
}

/** `↻ duplicate of #3`, `↻ #3 again, by GET`. */
const sameAs = ({ how, n }, { request }) => (how === "other_method" ? `↻ #${n} again, by ${request.method}` : `↻ ${AGAIN[how]} #${n}`);

/** Three lifelines, and the sign at the end of an arrow. */
const ladder = (sign) => element("span", { className: "ladder", ariaHidden: "true" },
  element("span", { className: "arrow" }), element("span", { className: "end" }, sign));

/** The line for the pause between two steps, if the pause is long enough. */
export function gap(before, after) {
  const ms = Date.parse(after.record.received_at) - Date.parse(before.record.received_at);
  if (!(ms >= GAP)) return null;
  return element("li", { className: "gap" }, element("span", { className: "ladder", ariaHidden: "true" }),
    element("span", {}, `${humane(ms)} later`));
}

/** Instructions before the first exchange; without `hello` the listener has stopped. */
export function invitation(hello) {
  if (!hello) {
    return [element("h2", {}, "Nothing came"), element("p", {}, "The listener is gone. Start it again, and open the link that it prints.")];
  }
  const { url, public_url: outside, forward } = hello;
  return [
    element("h2", {}, "Waiting for the first CDR"),
    element("p", {}, "Every request to this address is shown here as it comes:"),
    element("p", {}, copyable(target(url))),
    ...outside ? [element("p", {}, "TeleCMI reaches it from outside. In its dashboard: business number → Settings → Webhooks → ",
      "call report, and there:"), element("p", {}, copyable(target(outside)))] : [],
    element("p", {}, "To see one at once, run this in a second terminal:"),
    element("p", {}, copyable(`telecmi-cdr send --url ${target(url)}`)),
    ...forward ? [element("p", {}, "Each is also passed on to ", received(forward, "code"), ", and what that answers is shown.")] : [],
  ];
}

/** An address with the path of TeleCMI's own examples, unless it has one. */
const target = (url) => (/^[^/]*\/\/[^/?#]*\/?$/.test(url) ? `${url.replace(/\/$/, "")}/webhook/cdr` : url);

/** Instructions if the listener refuses the token. */
export function refusal() {
  return [
    element("h2", {}, "Open the link that the listener printed"),
    element("p", {}, "This page needs the key at the end of that link, after the #. A listener makes a new one whenever it starts, ",
      "so an old link will not do."),
    element("p", {}, "Look in the terminal where ", element("code", {}, "telecmi-cdr listen --inspect"), " runs, and open the whole link."),
  ];
}

/** Text with a button that copies it. */
export const copyable = (text) => element("span", { className: "copyable" }, received(text, "code"),
  Object.assign(button("copy", "Copy"), { ariaLabel: `Copy ${text}` }));
