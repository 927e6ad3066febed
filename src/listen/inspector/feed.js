// Shares one event stream among all tabs, since browsers limit the connections to one host: the tab that holds a lock
// reads the stream, and sends the events to the other tabs.

/** The pauses between attempts in milliseconds: the first one, doubled up to the last. */
const PAUSES = { first: 250, last: 5000 };

/** The listener's events, each exchange exactly once and in order. */
export class Feed {
  #token;
  #tell;
  #channel;
  #newest = 0;
  #over = false;
  /** Events of the leading tab that came while this tab was catching up. */
  #waiting = null;

  /** `tell(events)` gets lists of {kind, value}: the listener's events, and `state` with a key of `STATES` in page.js. */
  constructor(token, tell) {
    this.#token = token;
    this.#tell = tell;
  }

  /** A fetch with the token. */
  ask(path, options = {}) {
    return fetch(path, { ...options, headers: { ...options.headers, "X-Inspector-Token": this.#token } });
  }

  /** Catches up, then takes the leading tab's events, and leads once this tab gets the lock. */
  async start() {
    const name = `inspector ${this.#token}`;
    this.#channel = new BroadcastChannel(name);
    this.#channel.onmessage = ({ data }) => this.#overhear(data);
    await this.#catchUp();
    await navigator.locks.request(name, () => this.#lead());
  }

  /** Takes events of the leading tab. A gap in the numbers means that this tab has to catch up. */
  async #overhear(events) {
    if (this.#waiting) {
      this.#waiting.push(...events);
      return;
    }
    const next = events.find(({ kind, id }) => kind === "exchange" && id > this.#newest);
    if (next && next.id > this.#newest + 1 && !this.#over) {
      this.#waiting = events;
      await this.#catchUp();
    } else {
      this.#take(events);
    }
  }

  /** Fetches the exchanges that this tab lacks, then takes the events that came meanwhile, which may leave a gap again. */
  async #catchUp() {
    this.#waiting ??= [];
    const take = (events) => this.#take(events);
    await this.#persist(() => this.#read("/api/events?wait=0", take), take);
    const waiting = this.#waiting;
    this.#waiting = null;
    await this.#overhear(waiting);
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

  /** Passes on the events that are new to this tab. */
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

  /** Repeats an attempt until it succeeds or the stream is over. */
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

  /** Reads one event stream to its end. */
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

/** One block of the stream; null for a comment, which keeps the connection alive. */
function parsed(block) {
  const field = (name) => block.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const kind = field("event");
  if (kind === undefined) return null;
  return { kind, id: Number(field("id")), value: JSON.parse(field("data") ?? "null") };
}
