// The program, a browser and a handler for the checks of run.mjs; everything on loopback, every wait bounded.
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import net from "node:net";
import path from "node:path";
import readline from "node:readline";
import { fileURLToPath } from "node:url";

const require = createRequire(path.join(process.env.NODE_PATH ?? path.dirname(fileURLToPath(import.meta.url)), "x.js"));
const BROWSER = process.env.CHROMIUM ?? "/usr/bin/chromium";
if (!existsSync(BROWSER) || !process.env.NODE_PATH) {
  console.log("skipped: there is no chromium, or no playwright-core\n0 passed, 0 failed, 1 skipped");
  process.exit(0);
}
const { chromium } = require("playwright-core");
export const AXE = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const PATIENCE = 20_000;
const ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];

export const launch = () => chromium.launch({ executablePath: BROWSER, args: ARGUMENTS });

/** A promise, or a loud word if it takes too long. */
export function within(promise, what, patience = PATIENCE) {
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error(`${what}: not within ${patience} ms`)), patience); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A listener with its page. */
export class Listener {
  static async start(program, ...more) {
    const child = spawn(program, ["listen", "--port", "0", "--inspect", "0", "--format", "ndjson", ...more], { stdio: ["ignore", "pipe", "pipe"] });
    const listener = new Listener();
    let talk = "";
    child.stderr.on("data", (piece) => { talk += piece; });
    const ended = new Promise((done) => { child.on("exit", done); });
    const first = new Promise((done, fail) => {
      // What is told later must be read, too, or the program would tell no more.
      readline.createInterface({ input: child.stdout }).once("line", (line) => done(JSON.parse(line))).on("line", () => {});
      ended.then((code) => fail(new Error(`the listener ended with ${code}: ${talk}`)));
    });
    const told = await within(first, "the listener's first record");
    return Object.assign(listener, { child, ended, program, url: told.url, inspect: told.inspect });
  }

  get token() { return new URL(this.inspect).hash.slice(1); }

  get origin() { return new URL(this.inspect).origin; }

  /** Ends it as a person would. */
  async stop(signal = "SIGINT") {
    this.child.kill(signal);
    await within(this.ended, "the listener's end");
  }

  /** Delivers calls. */
  async send(...options) {
    const child = spawn(this.program, ["send", "--quiet", "--url", `${this.url}/webhook/cdr`, "--shape", "live", ...options], { stdio: "ignore" });
    const code = await within(new Promise((done) => { child.on("exit", done); }), "the sender", 60_000);
    if (code !== 0) throw new Error(`send ended with ${code}`);
  }

  /** Delivers one request, and tells when the answer was there. */
  async post(body, { method = "POST", target = "/webhook/cdr", headers = {} } = {}) {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    const { status } = await ask(`${this.url}${target}`, { method, headers: { "content-type": "application/json", ...headers } }, text);
    if (status !== 200) throw new Error(`the listener answered ${status}`);
    return Date.now();
  }

  /** Bytes as they are, and what comes back. */
  raw(bytes) {
    const { hostname, port } = new URL(this.url);
    return within(new Promise((done, fail) => {
      let answer = "";
      const socket = net.connect(Number(port), hostname, () => socket.end(bytes));
      socket.on("data", (piece) => { answer += piece; }).on("close", () => done(answer)).on("error", fail);
    }), "a raw request");
  }
}

/** One request over HTTP, with exactly these headers. */
export function ask(url, { method = "GET", headers = {} } = {}, body = "") {
  return within(new Promise((done, fail) => {
    const request = http.request(url, { method, headers, agent: false, setHost: !("host" in headers) }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (piece) => { text += piece; }).on("end", () => done({ status: answer.statusCode, headers: answer.headers, text }));
    });
    request.on("error", fail);
    request.end(body);
  }), url);
}

const serve = (answer) => new Promise((done) => {
  const server = http.createServer(answer).listen(0, "127.0.0.1", () => done(Object.assign(server, { origin: `http://127.0.0.1:${server.address().port}` })));
});

/** A handler that keeps what it is sent, and always says this. */
export async function handler(status, text) {
  const seen = [];
  const server = await serve((request, answer) => {
    let body = "";
    request.setEncoding("utf8").on("data", (piece) => { body += piece; }).on("end", () => {
      seen.push({ method: request.method, target: request.url, body });
      answer.writeHead(status).end(text);
    });
  });
  return { url: `${server.origin}/handler`, seen, close: () => server.close() };
}

/** Stands between the page and the listener, and can cut what is open. */
export async function cable(origin) {
  let whole = true;
  const open = new Set();
  const server = await serve((request, answer) => {
    if (!whole) { request.socket.destroy(); return; }
    const headers = { ...request.headers, host: new URL(origin).host };
    if (headers.origin) headers.origin = origin;
    const onward = http.request(origin + request.url, { method: request.method, headers, agent: false }, (from) => {
      answer.writeHead(from.statusCode, from.headers);
      from.pipe(answer).on("error", () => {});
    }).on("error", () => answer.destroy());
    request.pipe(onward);
    open.add(answer);
    answer.on("close", () => { open.delete(answer); onward.destroy(); });
  });
  return {
    origin: server.origin,
    cut() { whole = false; for (const answer of open) answer.socket?.destroy(); },
    mend() { whole = true; },
    close() { this.cut(); server.close(); },
  };
}
