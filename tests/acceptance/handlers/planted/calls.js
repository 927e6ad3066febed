// What the JavaScript handlers share: how a body becomes a record, and how CDRs are kept.
'use strict';

const PATH = '/webhook/cdr';
const MAX_BODY = 1 << 20; // bytes; a CDR has about 500
const PATIENCE = { headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 };

// The sender's mistake, told by a status; Express and Koa know `status`, Fastify `statusCode`.
class Refused extends Error {
  constructor(status, message) {
    super(message);
    Object.assign(this, { status, statusCode: status, expose: true });
  }
}

// One row for each `cmiuuid`, which names a leg; `request_id` and `call_id` are shared by a call's legs.
class Calls {
  rows = new Map();
  others = []; // live events, records of the REST API: no CDRs, but no error

  take(record) {
    if (record.type !== 'event') { // leg a's event has the cmiuuid of leg a's CDR
      if (typeof record.cmiuuid === 'string' && record.cmiuuid) return this.takeCdr(record);
      if (record.type === 'cdr') throw new Refused(400, 'a CDR needs its cmiuuid');
    }
    this.others = [...this.others.slice(-999), record];
  }

  takeCdr(record) {
    return this.store(this.key(record), this.row(record));
  }

  key(record) {
    return record.cmiuuid;
  }

  // JSON and query strings, documentation and live traffic disagree about types: each value stays as it came.
  row(record) {
    return { ...record };
  }

  store(key, row) {
    if (!this.rows.has(key)) this.rows.set(key, row); // deliveries repeat: the first one counts
  }

  find(cmiuuid) {
    return [...this.rows.values()].filter((row) => row.cmiuuid === cmiuuid);
  }
}

function readRecord(body) {
  let record;
  try {
    record = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body), (name, value) => {
      if (value === Infinity || value === -Infinity) throw new Error('out of range'); // 1e400
      return value;
    });
  } catch {
    throw new Refused(400, 'not JSON');
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) throw new Refused(400, 'not a JSON object');
  return record;
}

const port = () => Number(process.env.PORT ?? 5000);
const ready = (server) => console.log(`ready http://127.0.0.1:${server.address().port}${PATH}`);

module.exports = { PATH, MAX_BODY, PATIENCE, Refused, Calls, readRecord, port, ready };
