// A CDR webhook with Fastify.
'use strict';
const fastify = require('fastify');
const { PATH, MAX_BODY, PATIENCE, Calls, readRecord, port, ready } = require('./calls.js');

function createApp({ calls = new Calls(), read = readRecord, options = {}, prepare = () => {} } = {}) {
  const app = fastify({ bodyLimit: MAX_BODY, requestTimeout: PATIENCE.requestTimeout, http: PATIENCE, ...options });
  app.removeAllContentTypeParsers(); // the default ones refuse other types with 415
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (request, body, done) => done(null, body));
  prepare(app);
  app.post(PATH, async (request) => {
    await calls.take(read(request.body ?? Buffer.alloc(0))); // no Content-Type and no body: no parser is asked
    return 'got it';
  });
  app.get(PATH, async (request) => {
    await calls.take({ ...request.query });
    return 'got it';
  });
  app.get('/calls/*', async (request, reply) => {
    const rows = calls.find(request.params['*']);
    return reply.code(rows.length ? 200 : 404).send(rows);
  });
  return app;
}

async function serve(app) {
  await app.listen({ port: port(), host: '127.0.0.1' });
  ready(app.server);
}

if (require.main === module) serve(createApp());
module.exports = { createApp, serve };
