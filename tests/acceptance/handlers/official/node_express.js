// TeleCMI's Node example, re-created: Express, POST only, the JSON body parser, the answer "got it".
'use strict';
const express = require('express');

process.env.NODE_ENV = 'test'; // Express then keeps its stack traces off stderr; the answers are the same
const app = express();
app.use(express.json());
app.post('/webhook/cdr', (req, res) => res.send('got it'));

const server = app.listen(Number(process.env.PORT ?? 5000), '127.0.0.1', () => {
  console.log(`ready http://127.0.0.1:${server.address().port}/webhook/cdr`);
});
