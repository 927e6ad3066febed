// What TeleCMI's page has for Node: Express, its JSON parser, the CDR on standard output, the answer "got it".
'use strict';
const express = require('express');

const app = express();
app.use(express.json());
app.post('/webhook/cdr', (request, response) => {
  console.log(request.body);
  response.send('got it');
});
app.listen(Number(process.env.PORT), '127.0.0.1');
