// A CDR webhook with Express.
'use strict';
const http = require('node:http');
const express = require('express');
const { PATH, PATIENCE, Calls, readRecord, port, ready } = require('./calls.js');

// `answerErrors: false` leaves errors to Express, whose page has the exception's name, message and stack.
function createApp({ calls = new Calls(), read = readRecord, answerErrors = true } = {}) {
  const app = express();
  app.set('query parser', 'extended'); // extra_params[crm]=true becomes an object
  app.route(PATH)
    .head((req, res) => res.end()) // or Express runs the GET handler
    .get(async (req, res) => {
      await calls.take({ ...req.query });
      res.send('got it');
    })
    .post(express.raw({ type: () => true, limit: '1mb' }), async (req, res) => {
      await calls.take(read(req.body));
      res.send('got it');
    })
    .all((req, res) => res.set('Allow', 'GET, HEAD, OPTIONS, POST').sendStatus(req.method === 'OPTIONS' ? 204 : 405));
  app.get('/calls/:cmiuuid', (req, res) => {
    const rows = calls.find(req.params.cmiuuid);
    res.status(rows.length ? 200 : 404).json(rows);
  });
  app.use((error, req, res, next) => { // Express knows an error handler by its four arguments
    if (!answerErrors && !error.expose) return next(error);
    res.status(error.status ?? 500).send(error.status ? error.message : 'our fault');
  });
  return app;
}

function serve(app) {
  const server = http.createServer(PATIENCE, app).listen(port(), '127.0.0.1', () => ready(server));
}

if (require.main === module) serve(createApp());
module.exports = { createApp, serve };
