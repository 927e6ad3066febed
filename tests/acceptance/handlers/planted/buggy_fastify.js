// good_fastify.js with one planted bug, named by the environment variable BUG. Fastify's JSON for an error has its message.
'use strict';
const { PATH, Calls } = require('./calls.js');
const good = require('./good_fastify.js');

const changed = (methods) => good.createApp({ calls: Object.assign(new Calls(), methods) });
const before = (check) => changed({
  takeCdr(record) {
    check(record);
    return Calls.prototype.takeCdr.call(this, record);
  },
});
const well = Calls.prototype.store;
const keeping = (change) => changed({
  store(key, row) {
    return well.call(this, key, change(row));
  },
});
const refused = (status, message) => Object.assign(new Error(message), { statusCode: status });
// `hook` sees a request to the webhook before the good handler does.
const first = (hook) => good.createApp({
  prepare: (app) => app.addHook('onRequest', async (request) => {
    if (request.url.split('?')[0] === PATH) hook(request);
  }),
});

const bugs = {
  // The status is looked up in another provider's list.
  'status-unknown-400': () => before((record) => {
    const known = ['answered', 'no-answer', 'busy', 'failed'];
    if (record.status !== undefined && !known.includes(record.status)) {
      throw refused(400, 'body/status must be equal to one of the allowed values');
    }
  }),

  // JSON.parse(custom): an unset custom is the text none or false, another is plain text.
  'custom-none-500': () => before((record) => record.custom && JSON.parse(record.custom).crm),

  // A JSON schema says that extra_params is a string; live it is an object.
  'extra-params-schema-400': () => before((record) => {
    if (typeof (record.extra_params ?? '') !== 'string') throw refused(400, 'body/extra_params must be string');
  }),

  // Leg b is joined with a leg a that came before it. Leg b comes first.
  'leg-b-needs-leg-a-500': () => {
    const legs = new Map();
    return before((record) => {
      if (record.leg === 'a') legs.set(record.call_id, record);
      if (record.leg === 'b') legs.get(record.call_id).user;
    });
  },

  // new Date(time).toISOString() of what is no time.
  'time-invalid-500': () => before((record) => record.time !== undefined && new Date(Number(record.time)).toISOString()),

  // A body limit of 1 KiB: a CDR with a longer custom is 413.
  'small-limit-413': () => first((request) => {
    if (Number(request.headers['content-length']) > 1024) throw refused(413, 'Request body is too large');
  }),

  // ON CONFLICT (request_id) DO NOTHING: the second leg of a call got 200, and is not kept.
  'second-leg-ignored': () => changed({
    key: (record) => String(record.request_id ?? record.cmiuuid),
  }),

  // Texts are cut at 100 characters.
  'cut-at-100': () => keeping((row) => Object.fromEntries(Object.entries(row).map(
    ([name, value]) => [name, typeof value === 'string' ? value.slice(0, 100) : value]))),

  // The text of a query string is decoded again: %25 becomes %, and %2B a plus.
  'decoded-twice': () => keeping((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => {
    try {
      return [name, typeof value === 'string' && typeof row.time === 'string' ? decodeURIComponent(value) : value];
    } catch {
      return [name, value];
    }
  }))),

  // Only US-ASCII is kept.
  'ascii-only': () => keeping((row) => JSON.parse(JSON.stringify(row).replace(/[^\x20-\x7e]/g, ''))),

  // Minutes are enough for the report.
  'time-in-minutes': () => keeping((row) => (
    Number.isInteger(Number(row.time ?? 0.5)) ? { ...row, time: Number(row.time) - (Number(row.time) % 60_000) } : row)),
};

good.serve(bugs[process.env.BUG]());
