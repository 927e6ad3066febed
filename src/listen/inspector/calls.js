// Groups exchanges into calls, and describes calls in words. Pure: no DOM.
import { beginning, bodyText } from "./text.js";

/** The relations (`how`) between exchanges of one call. */
const OF_ONE_CALL = new Set(["same_call", "duplicate", "retry", "conflict", "other_method"]);

/** Words for the relations that repeat an earlier exchange. */
export const AGAIN = { duplicate: "duplicate of", retry: "retry of", conflict: "conflicts with", other_method: "again" };

const CDRS = new Set(["outgoing_missed", "outgoing_answered", "incoming"]);

export const isCdr = ({ record }) => CDRS.has(record.verdict.kind);

/** A CDR's field as text, or "". */
export function field({ record }, name) {
  const value = record.cdr?.[name];
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

/** Keys of the call that a CDR belongs to. */
export function identifiers(exchange) {
  const [request, call, leg] = ["request_id", "call_id", "cmiuuid"].map((name) => field(exchange, name));
  const keys = [];
  if (request) keys.push(`request ${request}`);
  if (call) keys.push(`call ${call} ${request}`);
  if (leg) keys.push(`leg ${leg}`);
  return isCdr(exchange) ? keys : [];
}

/** The numbers of earlier exchanges of the same call. */
export const fellows = ({ record }) => (record.related ?? []).filter(({ how }) => OF_ONE_CALL.has(how)).map(({ n }) => n);

/** The relation by which an exchange repeats an earlier one, if any. */
export const repeats = ({ record }) => (record.related ?? []).find(({ how }) => how in AGAIN);

/** How a leg ended: `answered`, `declined` or `missed`; "" for requests that are no CDRs. */
export function ending(exchange) {
  if (!isCdr(exchange)) return "";
  if (exchange.record.verdict.kind === "outgoing_answered" || field(exchange, "status") === "answered") return "answered";
  return field(exchange, "hangup_reason") === "sent_reject" ? "declined" : "missed";
}

/** How a leg of a call ended. A leg may ring more than once: `answered` wins. */
function endingOf(exchanges, leg) {
  const endings = exchanges.filter(({ record }) => record.verdict.leg === leg).map(ending);
  return ["answered", "declined", "missed"].find((one) => endings.includes(one));
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const DID = { missed: "did not answer", declined: "declined or was busy", answered: "answered" };

/** The outcome of a call in a few words. */
export function outcome(exchanges) {
  const cdrs = exchanges.filter(isCdr);
  if (cdrs.length === 0) return capital(exchanges[0].meaning.split(" · ")[0]);
  if (cdrs[0].record.verdict.kind === "incoming") return `Incoming call, ${ending(cdrs[0])}`;
  const [agent, customer] = [endingOf(cdrs, "a"), endingOf(cdrs, "b")];
  if (!agent && !customer) return capital(ending(cdrs.at(-1)));
  if (!customer) return `Agent ${DID[agent]}`;
  if (agent && agent !== "answered" && customer !== "answered") return "Neither side answered";
  return `Customer ${DID[customer]}`;
}

/** The agent, the customer and their talking times, as far as the CDRs have them. Leg a rings the agent, leg b the customer. */
export function parties(exchanges) {
  const cdrs = exchanges.filter(isCdr);
  if (cdrs.length === 0) return [];
  const told = (leg, name) => cdrs.filter(({ record }) => record.verdict.leg === leg).map((cdr) => field(cdr, name)).find(Boolean);
  const [agent] = field(cdrs[0], "user").split("_");
  const [customer, rang] = [told("b", "to"), told("a", "to") ?? field(cdrs[0], "to")];
  const [talked, held] = [told("b", "answeredsec"), told("a", "answeredsec")];
  return [
    agent && `agent ${agent}`,
    customer ? `customer ${customer}` : rang && `rang ${rang}`,
    talked ? `talked for ${talked} s` : held && `agent on the line for ${held} s`,
    byClick2call(cdrs[0]) && "click2call",
  ].filter(Boolean);
}

export const byClick2call = ({ record }) => "request_id" in (record.cdr ?? {}) || "click_to_call" in (record.cdr ?? {});

/** `POST /webhook/cdr`. */
export const requestLine = ({ record: { request } }, most) =>
  `${beginning(request.method, 20)} ${beginning(request.target, most)}`;

/** The words of a row: how the leg ended, or the request line. */
export function words(exchange) {
  if (!isCdr(exchange)) return requestLine(exchange, 120);
  const reason = exchange.meaning.split(": ").at(-1);
  const status = ending(exchange) === "declined" ? "missed" : ending(exchange);
  return exchange.meaning.includes(": ") ? `${status} · ${reason}` : status;
}

/** The listener's answer in a word, and whether it was below 400 and no fault. */
export function answerOf({ record: { answer } }) {
  const good = answer.status < 400 && !answer.fault;
  if (answer.status === undefined) return { good: false, text: answer.fault ?? "no answer" };
  return { good, text: answer.fault && answer.fault !== "status" ? `${answer.status} ${answer.fault}` : String(answer.status) };
}

/** The choices of the filter, by their values in page.html. */
export const FILTERS = {
  all: () => true,
  missed: (exchange) => ["missed", "declined"].includes(ending(exchange)),
  answered: (exchange) => ending(exchange) === "answered",
  again: (exchange) => repeats(exchange) !== undefined,
  remarks: (exchange) => exchange.record.verdict.remarks.length > 0,
  bad: (exchange) => !answerOf(exchange).good || exchange.record.answer.forwarded?.failure !== undefined,
  other: (exchange) => !isCdr(exchange),
};

/** Whether an exchange contains all words of a search. */
export function holds(exchange, wanted) {
  if (wanted.length === 0) return true;
  const { n, record: { request, verdict, peer, answer } } = exchange;
  const told = verdict.remarks.map((remark) => `${remark.field ?? ""} ${remark.text}`);
  const text = [`#${n}`, exchange.meaning, request.method, request.target, request.headers.flat().join(" "), bodyText(request.body),
    peer, answer.status, answer.fault, ...told].join(" ").toLowerCase();
  return wanted.every((word) => text.includes(word));
}
