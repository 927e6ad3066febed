// good_express.js with one planted bug, named by the environment variable BUG. Express answers an exception with 500.
'use strict';
const express = require('express');
const { setTimeout: sleep } = require('node:timers/promises');
const good = require('./good_express.js');

const { CallLog, createApp, readRecord } = good;

// Plants `check` where an outbound CDR is understood; `first` runs before the good handler sees the request.
const understanding = (check) => {
  class Log extends CallLog {
    understand(record) {
      check(record, this);
      return super.understand(record);
    }
  }
  return createApp({ log: new Log() });
};
const storing = (store) => {
  class Log extends CallLog {
    store = store;
  }
  return createApp({ log: new Log() });
};
const first = (middleware) => express().use(middleware, createApp());
const deliveredAsJson = (record) => typeof record.time === 'number'; // a query string has only text

const bugs = {
  // app.post() and nothing else: Express answers a GET with 404.
  'get-404': () => first((req, res, next) => (req.method === 'GET' ? res.sendStatus(404) : next())),

  // JSON.parse(req.query.extra_params), when extra_params[crm]=true has become an object.
  'get-brackets-500': () => understanding((record) => {
    if (!deliveredAsJson(record) && typeof record.extra_params === 'object') JSON.parse(record.extra_params);
  }),

  // express.json() leaves req.body undefined unless the Content-Type is JSON: undefined has no fields.
  'content-type-500': () => first((req, res, next) => {
    if (req.method === 'POST' && !req.is('json') && req.headers['content-length'] !== '0') req.body.cmiuuid;
    next();
  }),

  // A limit made for small bodies: one long value is 413.
  'small-body-limit': () => first((req, res, next) => (
    Number(req.headers['content-length']) > 2048 ? res.sendStatus(413) : next())),

  // Leg a is joined with its leg b, which never comes when the agent does not answer.
  'needs-both-legs': () => {
    const legB = new Map();
    return understanding((record) => {
      if (record.leg === 'b') legB.set(record.call_id, record);
      if (record.leg === 'a') legB.get(record.call_id).hangup_reason;
    });
  },

  // virtual_number.startsWith('44'): documented as a string, live a number.
  'virtual-number-must-be-string': () => understanding((record) => record.virtual_number?.startsWith('44')),

  // 'crm' in extra_params: written against live objects, documented as a string.
  'extra-params-must-be-object': () => understanding((record) => {
    if (deliveredAsJson(record) && record.extra_params !== undefined) 'crm' in record.extra_params;
  }),

  // A duplicate is told so with 409, and a sender that retries what is not 2xx never stops.
  'duplicate-409': () => storing(function (cdr) {
    if (this.cdrs.has(cdr.id)) throw Object.assign(new Error('already here'), { status: 409 });
    this.cdrs.set(cdr.id, cdr);
  }),

  // Look, wait for the database, insert: two copies at once both find nothing, the second insert fails.
  'race-500': () => storing(async function (cdr) {
    if (this.cdrs.has(cdr.id)) return;
    await sleep(200);
    if (this.cdrs.has(cdr.id)) throw new Error('duplicate key value violates unique constraint');
    this.cdrs.set(cdr.id, cdr);
  }),

  // The error handler of many a tutorial: whatever went wrong, status 500.
  'every-error-500': () => createApp({
    read(body) {
      try {
        return readRecord(body);
      } catch {
        throw new Error('something broke');
      }
    },
  }),

  // The catch logs the error and forgets to answer.
  'malformed-unanswered': () => createApp({
    read(body) {
      try {
        return readRecord(body);
      } catch {
        return {};
      }
    },
    log: new class extends CallLog {
      keep(record) {
        return Object.keys(record).length ? super.keep(record) : new Promise(() => {});
      }
    }(),
  }),

  // The body is collected by hand, and JSON.parse throws in an event handler, out of Express's reach: Node exits.
  'dies-on-malformed': () => express().use(express.raw({ type: () => true, limit: '1mb' }), (req, res, next) => {
    if (req.method === 'POST') setImmediate(() => (JSON.parse(String(req.body ?? '')), next()));
    else next();
  }, createApp()),

  // 200 at once, the work later, and nobody catches it: JSON.parse('none') ends the process after the answer.
  'dies-after-answer': () => understanding((record) => setImmediate(() => {
    if (typeof record.custom === 'string') JSON.parse(record.custom);
  })),

  // Synchronous work of 300 ms (a file, bcrypt, execSync): nobody else is served meanwhile.
  'blocks-event-loop': () => understanding(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300)),
};

good.serve(bugs[process.env.BUG]());
