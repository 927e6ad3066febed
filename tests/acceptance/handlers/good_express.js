// A TeleCMI CDR webhook with Express.
'use strict';
const http = require('node:http');
const express = require('express');

// The outbound CDRs, one for each leg. `cmiuuid` names a leg; `request_id` and `call_id` are shared by a call's legs.
class CallLog {
  cdrs = new Map();
  others = []; // live events, incoming calls: not ours, but no error

  keep(record) {
    if (record.type === 'cdr' && record.direction === 'outbound' && typeof record.cmiuuid === 'string') {
      return this.store(this.understand(record));
    }
    this.others = [...this.others.slice(-999), record];
  }

  store(cdr) {
    if (!this.cdrs.has(cdr.id)) this.cdrs.set(cdr.id, cdr); // deliveries repeat: the first one counts
  }

  // JSON and query strings, documentation and live traffic disagree about types; nothing here insists on one.
  understand(record) {
    return {
      id: record.cmiuuid,
      call: record.request_id || record.call_id, // click2call only; not in old CDRs
      leg: record.leg,
      status: record.status,
      to: text(record.to),
      time: Number(text(record.time)), // milliseconds
      custom: loosely(record.custom),
      extraParams: loosely(record.extra_params),
    };
  }
}

// A hostile object has a toString of its own.
function text(value) {
  return typeof value === 'object' ? '' : String(value ?? '');
}

// JSON text as what it says; "none", "false", plain text and objects as they came.
function loosely(value) {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

class Refused extends Error {
  status = 400;
}

// Not express.json(): that skips bodies whose Content-Type is not JSON.
function readRecord(body) {
  let record;
  try {
    record = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch {
    throw new Refused('not JSON');
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) throw new Refused('not a JSON object');
  return record;
}

function createApp({ log = new CallLog(), read = readRecord } = {}) {
  const app = express();
  app.set('query parser', 'extended'); // extra_params[crm]=true becomes an object
  app.route('/webhook/cdr')
    .head((req, res) => res.end()) // or Express would run the GET handler
    .get(async (req, res) => {
      await log.keep(req.query);
      res.send('got it');
    })
    .post(express.raw({ type: () => true, limit: '1mb' }), async (req, res) => {
      await log.keep(read(req.body));
      res.send('got it');
    })
    .all((req, res) => res.set('Allow', 'GET, HEAD, OPTIONS, POST').sendStatus(req.method === 'OPTIONS' ? 204 : 405));
  app.use((error, req, res, next) => { // Express knows an error handler by its four arguments
    res.status(error.status ?? 500).send(error.status ? error.message : 'our fault');
  });
  return app;
}

function serve(app) {
  // Node's own patience is a minute for the head and five for the body.
  const options = { headersTimeout: 10_000, requestTimeout: 10_000, connectionsCheckingInterval: 1_000 };
  const server = http.createServer(options, app).listen(Number(process.env.PORT ?? 5000), '127.0.0.1', () => {
    console.log(`ready http://127.0.0.1:${server.address().port}/webhook/cdr`);
  });
}

if (require.main === module) serve(createApp());
module.exports = { CallLog, Refused, readRecord, createApp, serve };
