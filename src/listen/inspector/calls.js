// The calls that exchanges belong to: which leg of whose call, what became of it in words. Pure; knows no page.
import { beginning, bodyText, maskedTarget } from "./text.js";

/** How an exchange belongs to an earlier one, where both are of one call. */
const OF_ONE_CALL = new Set(["same_call", "duplicate", "retry", "conflict", "other_method"]);

/** Words for what came again; the sign stands in the ladder. */
export const AGAIN = { duplicate: "duplicate of", retry: "retry of", conflict: "conflicts with", other_method: "again" };

const CDRS = new Set(["outgoing_missed", "outgoing_answered", "incoming"]);

export const isCdr = ({ record }) => CDRS.has(record.verdict.kind);

/** A CDR's field as text; of a long one the beginning. */
export function field({ record }, name) {
  const value = record.cdr?.[name];
  return typeof value === "string" ? value : typeof value === "number" ? String(value) : "";
}

/** What stands for a call: the identifiers its CDRs share. */
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

/** How it repeats an earlier exchange, if it does. */
export const repeats = ({ record }) => (record.related ?? []).find(({ how }) => how in AGAIN);

/** How a leg ended: `answered`, `declined`, `missed`; nothing for what is no CDR. */
export function ending(exchange) {
  if (!isCdr(exchange)) return "";
  if (exchange.record.verdict.kind === "outgoing_answered" || field(exchange, "status") === "answered") return "answered";
  return field(exchange, "hangup_reason") === "sent_reject" ? "declined" : "missed";
}

/** How a leg of a call ended, all told: answered wins, since a leg may ring more than once. */
function endingOf(exchanges, leg) {
  const endings = exchanges.filter(({ record }) => record.verdict.leg === leg).map(ending);
  return ["answered", "declined", "missed"].find((one) => endings.includes(one));
}

export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const DID = { missed: "did not answer", declined: "declined or was busy", answered: "answered" };

/** What became of a call, in a few words. */
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

/** Who called whom, as far as the CDRs tell. Leg a rings the agent, leg b the customer. */
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

/** `POST /webhook/cdr`, its secrets masked. */
export const requestLine = ({ record: { request } }, most) =>
  `${beginning(request.method, 20)} ${beginning(maskedTarget(request.target), most)}`;

/** What one row says: how the leg ended, or what came instead. */
export function words(exchange) {
  if (!isCdr(exchange)) return requestLine(exchange, 120);
  const reason = exchange.meaning.split(": ").at(-1);
  const status = ending(exchange) === "declined" ? "missed" : ending(exchange);
  return exchange.meaning.includes(": ") ? `${status} · ${reason}` : status;
}

/** Our answer in a word, and whether it was a good one. */
export function answerOf({ record: { answer } }) {
  const good = answer.status < 400 && !answer.fault;
  if (answer.status === undefined) return { good: false, text: answer.fault ?? "no answer" };
  return { good, text: answer.fault && answer.fault !== "status" ? `${answer.status} ${answer.fault}` : String(answer.status) };
}

/** Which exchanges a choice lets through. */
export const FILTERS = {
  all: () => true,
  missed: (exchange) => ["missed", "declined"].includes(ending(exchange)),
  answered: (exchange) => ending(exchange) === "answered",
  again: (exchange) => repeats(exchange) !== undefined,
  remarks: (exchange) => exchange.record.verdict.remarks.length > 0,
  bad: (exchange) => !answerOf(exchange).good || exchange.record.answer.forwarded?.failure !== undefined,
  other: (exchange) => !isCdr(exchange),
};

/** Whether all words of a search occur in an exchange, wherever. */
export function holds(exchange, wanted) {
  if (wanted.length === 0) return true;
  const { n, record: { request, verdict, peer, answer } } = exchange;
  const told = verdict.remarks.map((remark) => `${remark.field ?? ""} ${remark.text}`);
  const text = [`#${n}`, exchange.meaning, request.method, request.target, request.headers.flat().join(" "), bodyText(request.body),
    peer, answer.status, answer.fault, ...told].join(" ").toLowerCase();
  return wanted.every((word) => text.includes(word));
}
