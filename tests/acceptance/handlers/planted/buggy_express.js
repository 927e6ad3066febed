// good_express.js with one planted bug, named by the environment variable BUG. PAGE=1 leaves errors to Express's own page.
'use strict';
const { setTimeout: sleep } = require('node:timers/promises');
const express = require('express');
const { PATH, MAX_BODY, PATIENCE, Calls, Refused } = require('./calls.js');
const good = require('./good_express.js');

const options = { answerErrors: process.env.PAGE !== '1' };
const createApp = (more) => good.createApp({ ...options, ...more });
const changed = (methods) => createApp({ calls: Object.assign(new Calls(), methods) });
// `check` sees each CDR before it is kept, whichever way it came.
const before = (check) => changed({
  takeCdr(record) {
    check(record);
    return Calls.prototype.takeCdr.call(this, record);
  },
});
const storing = (store) => changed({ store });
const well = Calls.prototype.store;
// `middleware` sees a request to the webhook before the good handler does.
const first = (middleware) => express().use(PATH, middleware).use(createApp());
const onPost = (answer) => first((req, res, next) => (req.method === 'POST' ? answer(req, res) : next()));

let deliveries = 0;

const bugs = {
  // A status that came twice in the query is an array.
  'get-repeated-500': () => before((record) => record.status?.toLowerCase()),

  // The query string is decoded by hand: decodeURIComponent() throws for %zz, and for %ff.
  'get-percent-500': () => first((req, res, next) => {
    if (req.method === 'GET') decodeURIComponent(req.originalUrl.split('?')[1] ?? '');
    next();
  }),

  // Brackets are read with a regular expression that wants a name in each.
  'get-brackets-500': () => first((req, res, next) => {
    if (req.method === 'GET') {
      for (const name of new URL(req.originalUrl, 'http://host').searchParams.keys()) {
        if (name.includes('[')) name.match(/^\w+\[(\w+)\]$/)[1];
      }
    }
    next();
  }),

  // `to` is a text in a query string and in older code: BigInt() throws for what has other characters in it.
  'to-bigint-500': () => before((record) => record.to !== undefined && BigInt(record.to)),

  // One missing check: extra_params is parsed, and it is absent, an object, or plain text.
  'extra-params-500': () => before((record) => JSON.parse(record.extra_params).click2call),

  // Only urlencoded bodies are taken.
  'form-only-415': () => onPost((req, res) => res.status(415).send('Content-Type must be application/x-www-form-urlencoded')),

  // The type is compared as a text: "application/json; charset=utf-8" is another one.
  'charset-415': () => first((req, res, next) => (
    req.method === 'POST' && req.headers['content-type'] !== 'application/json' ? res.status(415).send('JSON only') : next())),

  // GET is routed to the function that reads the body: req.body is undefined without one.
  'get-body-500': () => first((req, res, next) => {
    if (req.method === 'GET') req.body.cmiuuid;
    next();
  }),

  // req.query has no prototype with Node's own parser, and so no hasOwnProperty().
  'get-no-prototype-500': () => first((req, res, next) => {
    if (req.method === 'GET') require('node:querystring').parse(req.originalUrl.split('?')[1]).hasOwnProperty('leg');
    next();
  }),

  // The webhook comes before the answer of the click2call API has been stored: its request_id is not known yet.
  'unknown-call-404': () => before((record) => {
    throw new Refused(404, `no call with request_id ${record.request_id}`);
  }),

  // The appid is compared with ===: in a query string it is a text.
  'appid-by-get-401': () => before((record) => {
    if (typeof record.appid === 'string') throw new Refused(401, 'appid does not match');
  }),

  // Leg a of an answered call has no filename.
  'filename-500': () => before((record) => record.status === 'answered' && record.filename.endsWith('.mp3')),

  // A file is opened for each delivery, and none is closed.
  'leak-500': () => first((req, res, next) => {
    deliveries += 1;
    if (deliveries > 150) throw new Error("EMFILE: too many open files, open 'calls.log'");
    next();
  }),

  // Each delivery is kept in a list; the process ends when the memory does.
  'leak-dies': () => first((req, res, next) => {
    deliveries += 1;
    if (deliveries > 150) process.abort();
    next();
  }),

  // The work is done 0.4 s behind the answer, and nobody catches what it throws: Node exits.
  'late-death': () => before((record) => setTimeout(() => typeof record.custom === 'string' && JSON.parse(record.custom), 400)),

  // A limit without a window: after 200 deliveries everything is 429 until the process is started again.
  'limit-forever-429': () => first((req, res, next) => {
    deliveries += 1;
    return deliveries > 200 ? res.set('Retry-After', '3600').status(429).send('Too many requests') : next();
  }),

  // The promise of the write is not awaited: Node exits behind the answer when it rejects.
  'not-awaited-dies': () => before(async (record) => record.extra_params !== undefined && JSON.parse(record.extra_params)),

  // A request must be there within 100 ms.
  'impatient': () => {
    Object.assign(PATIENCE, { headersTimeout: 100, requestTimeout: 100, connectionsCheckingInterval: 20 });
    return createApp();
  },

  // body += piece: a character whose bytes come in two pieces is lost.
  'body-in-pieces': () => first(async (req, res, next) => {
    if (req.method === 'POST') {
      let body = '';
      for await (const piece of req) body += body.length <= MAX_BODY ? piece : '';
      if (body.length > MAX_BODY) return res.sendStatus(413);
      req.body = Buffer.from(body);
    }
    next();
  }),

  // A circuit breaker opens behind three exceptions, and nothing closes it.
  'breaker-503': () => {
    let failures = 0;
    return before((record) => {
      if (failures >= 3) throw new Refused(503, 'circuit breaker is open');
      if (record.time !== undefined && Number.isNaN(Number(record.time))) {
        failures += 1;
        throw new TypeError('time is not a number');
      }
    });
  },

  // Leg a is answered when its leg b has come, which does not come when the agent does not answer.
  'waits-for-leg-b': () => {
    const legs = new Set();
    return storing(async function (key, row) {
      if (row.leg === 'b') legs.add(row.request_id);
      for (let n = 0; row.leg === 'a' && !legs.has(row.request_id) && n < 300; n += 1) await sleep(100);
      return well.call(this, key, row);
    });
  },

  // The error is in the body, with 200.
  'code-500-in-200': () => before((record) => {
    if (!record.request_id) throw Object.assign(new Error('{"message":{"code":500}}'), { status: 200 });
  }),

  // Looks, waits for the database, inserts: two copies at once are two rows.
  'race-two-rows': () => storing(async function (key, row) {
    if (this.rows.has(key)) return;
    await sleep(100);
    this.rows.set(this.rows.has(key) ? `${key} ${Math.random()}` : key, row);
  }),

  // | 0 makes a signed number of 32 bits.
  'to-wraps': () => storing(function (key, row) {
    well.call(this, key, { ...row, ...(row.to === undefined ? {} : { to: row.to | 0 }) });
  }),

  // Number.isInteger() of a text is false: by GET nothing is kept of `to`.
  'to-lost-by-get': () => storing(function (key, row) {
    well.call(this, key, { ...row, to: Number.isInteger(row.to) ? row.to : null });
  }),

  // An exception of the database in the callback of a timer is nobody's: the answer never comes.
  'no-answer-to-answered': () => storing(function (key, row) {
    if (row.status === 'answered') return new Promise(() => {});
    return well.call(this, key, row);
  }),
};

good.serve(bugs[process.env.BUG]());
