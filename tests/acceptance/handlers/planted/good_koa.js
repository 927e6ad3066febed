// A CDR webhook with Koa.
'use strict';
const http = require('node:http');
const Koa = require('koa');
const { PATH, MAX_BODY, PATIENCE, Calls, Refused, readRecord, port, ready } = require('./calls.js');

const app = new Koa();
app.silent = true;
const calls = new Calls();

async function readBody(req) {
  const pieces = [];
  let length = 0;
  for await (const piece of req) {
    length += piece.length;
    if (length <= MAX_BODY) pieces.push(piece); // a sender that still sends does not see the 413
    else if (length > 8 * MAX_BODY) break;
  }
  if (length > MAX_BODY) throw new Refused(413, 'too large');
  return Buffer.concat(pieces);
}

app.use(async (ctx) => {
  if (ctx.path === PATH && ctx.method === 'POST') {
    calls.take(readRecord(await readBody(ctx.req)));
    ctx.body = 'got it';
  } else if (ctx.path === PATH && ctx.method === 'GET') {
    calls.take({ ...ctx.query });
    ctx.body = 'got it';
  } else if (ctx.path === PATH) {
    ctx.set('Allow', 'GET, HEAD, POST');
    ctx.status = ctx.method === 'HEAD' ? 200 : 405;
  } else if (ctx.path.startsWith('/calls/')) {
    ctx.body = calls.find(decodeURIComponent(ctx.path.slice('/calls/'.length)));
    ctx.status = ctx.body.length ? 200 : 404;
  }
});

const server = http.createServer(PATIENCE, app.callback()).listen(port(), '127.0.0.1', () => ready(server));
