// What the listener tells, once for each tab. A browser grants a host few connections, for all tabs together: one tab
// at a time, the one that holds the lock, streams, and passes on to the others what it hears.

/** How long to wait before asking again, in milliseconds: from the first, doubled up to the last. */
const PAUSES = { first: 250, last: 5000 };

/** The events of the listener, each exchange exactly once and in order, whoever of the tabs heard it. */
export class Feed {
  #token;
  #tell;
  #channel;
  #newest = 0;
  #over = false;
  /** Messages of the leading tab that came while this one was catching up. */
  #waiting = null;

  /** `tell(events)` is called with lists of {kind, value}: the listener's events, and `state` with a word. */
  constructor(token, tell) {
    this.#token = token;
    this.#tell = tell;
  }

  /** Asks for something else than the stream: an answer, whatever its status, or an error without an answer. */
  ask(path, options = {}) {
    return fetch(path, { ...options, headers: { ...options.headers, "X-Inspector-Token": this.#token } });
  }

  /** Catches up with what is there, then follows, and leads when it is this tab's turn. */
  async start() {
    const name = `inspector ${this.#token}`;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#overhear(data);
    await this.#catchUp();
    await navigator.locks.request(name, () => this.#lead());
  }

  /** What the leading tab heard. */
  async #overhear(events) {
    if (this.#waiting) {
      this.#waiting.push(...events);
      return;
    }
    const next = events.find(({ kind }) => kind === "exchange");
    if (next && next.id > this.#newest + 1) {
      this.#waiting = events;
      await this.#catchUp();
    } else {
      this.#take(events);
    }
  }

  /** Fetches what this tab does not know yet, and then what was overheard meanwhile. */
  async #catchUp() {
    this.#waiting ??= [];
    const take = (events) => this.#take(events);
    await this.#persist(() => this.#read("/api/events?wait=0", take), take);
    const waiting = this.#waiting;
    this.#waiting = null;
    this.#take(waiting);
  }

  /** Streams, for all tabs, until the listener stops or this tab is closed. */
  async #lead() {
    const take = (events) => {
      this.#channel.postMessage(events);
      this.#take(events);
    };
    await this.#persist(async () => {
      await this.#read("/api/events", take);
      if (!this.#over) throw new Error("the stream was cut");
    }, take);
  }

  /** Tells what is new to this tab. */
  #take(events) {
    const fresh = events.filter(({ kind, id }) => {
      if (kind === "end") this.#over = true;
      if (kind !== "exchange") return true;
      if (id <= this.#newest) return false;
      this.#newest = id;
      return true;
    });
    if (fresh.length > 0) this.#tell(fresh);
  }

  /** Does something again and again until it succeeds, or it is of no use any more. */
  async #persist(attempt, take) {
    let pause = PAUSES.first;
    while (!this.#over) {
      const known = this.#newest;
      try {
        await attempt();
        return;
      } catch {
        if (this.#over) return;
        if (this.#newest > known) pause = PAUSES.first;
        take([{ kind: "state", value: "lost" }]);
        await new Promise((wake) => setTimeout(wake, pause));
        pause = Math.min(pause * 2, PAUSES.last);
      }
    }
  }

  /** Reads one answer of events to its end. */
  async #read(path, take) {
    const answer = await this.ask(path, { headers: { "Last-Event-ID": String(this.#newest) } });
    if (answer.status === 403) {
      this.#over = true;
      this.#tell([{ kind: "state", value: "refused" }]);
      return;
    }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    take([{ kind: "state", value: "live" }]);
    let rest = "";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const blocks = (rest + read.value).split("\n\n");
      rest = blocks.pop();
      const events = blocks.map(parsed).filter(Boolean);
      if (events.length > 0) take(events);
    }
  }
}

/** One block of the stream; nothing for a comment, which only says that somebody is there. */
function parsed(block) {
  const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const kind = field("event");
  if (kind === undefined) return null;
  return { kind, id: Number(field("id")), value: JSON.parse(field("data") ?? "null") };
}
