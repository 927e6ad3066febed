// Runs telecmi-cdr from tests; index.d.ts describes the functions.
'use strict'

const { spawn } = require('node:child_process')
const { once } = require('node:events')
const { createInterface } = require('node:readline')
const { program } = require('./program.js')

const WIDTH = 94 // columns of a failure's text
const MAX_BODY_LINES = 6
const MAX_HEADS = 4

const running = new Set()
process.on('exit', () => running.forEach(child => child.kill()))

function start (words) {
  const child = spawn(program(), words, { stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  let messages = ''
  child.stderr.setEncoding('utf8').on('data', text => { messages += text })
  const ended = once(child, 'close').then(([code]) => ({ code, messages: messages.trim() }))
  ended.catch(() => {}).then(() => running.delete(child))
  return { child, ended, lines: createInterface({ input: child.stdout }) }
}

async function listen (flags = {}) {
  // The limit ends listeners whose parent process was killed.
  const { child, ended, lines } = start(['listen', ...words({ port: 0, timeout: '1h', ...flags, format: 'ndjson', quiet: true })])
  const exchanges = []
  const waiting = new Set()
  let hasEnded = false
  const url = await new Promise((resolve, reject) => {
    lines.on('line', line => {
      const record = JSON.parse(line)
      if (record.type === 'listening') resolve(record.url)
      if (record.type === 'exchange') exchanges.push(record)
      waiting.forEach(check => check())
    })
    ended.then(() => {
      hasEnded = true
      waiting.forEach(check => check())
      resolve()
    }, reject)
  })
  if (!url) throw unusable('listen', await ended, listen)

  // Jest and Vitest end a test after 5 s, without a word on what arrived.
  async function wait ({ count = 1, timeout = 4000, ...expected } = {}) {
    const found = () => exchanges.filter(exchange => mismatch(exchange, expected) === undefined)
    let timer
    await new Promise(resolve => {
      const check = () => (found().length >= count || hasEnded) && resolve(waiting.delete(check))
      timer = setTimeout(() => resolve(waiting.delete(check)), timeout)
      waiting.add(check)
      check()
    })
    clearTimeout(timer)
    if (found().length >= count) return found()
    const fields = Object.entries(expected).map(([name, value]) => `${name}=${text(value)}`).join(' and ')
    const until = hasEnded ? 'before the listener ended' : `within ${timeout} ms`
    const title = `${found().length} of ${number(count, 'CDR')}${fields && ' with ' + fields} arrived ${until}; ${number(exchanges.length, 'request')} in all`
    throw failure(title, exchanges.map(exchange => exchangeLines(exchange, expected)).reverse(), wait)
  }

  async function close () {
    child.kill()
    await ended
  }

  // Symbol.asyncDispose is new in Node 18.18.
  return { url, exchanges, wait, close, [Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose')]: close }
}

// `await` keeps both functions in the stack of an error.
async function send (url, flags = {}) {
  return await run(send, ['send'], { url, ...flags }, [], 'delivery', deliveryLines)
}

async function suite (handler, flags = {}) {
  const [url, command] = typeof handler === 'string' ? [handler, []] : [undefined, ['--', ...handler]]
  return await run(suite, ['send', '--suite'], { url, ...flags }, command, 'case', caseLines)
}

async function run (caller, [name, ...more], flags, command, type, toLines) {
  const { ended, lines } = start([name, ...more, ...words({ ...flags, format: 'ndjson', quiet: true }), ...command])
  const records = []
  lines.on('line', line => records.push(JSON.parse(line)))
  const { code, messages } = await ended
  const ofType = records.filter(record => record.type === type)
  const failed = ofType.filter(record => !record.ok && record.skipped === undefined)
  if (code === 1 && failed.length > 0) throw failure(`${failed.length} of ${ofType.length} failed`, failed.map(toLines), caller)
  if (code !== 0) throw unusable(name, { code, messages }, caller)
  return ofType
}

function words (flags) {
  return Object.entries(flags).flatMap(([name, values]) => {
    const flag = '--' + name.replace(/[A-Z]/g, letter => '-' + letter.toLowerCase())
    if (values !== null && typeof values === 'object' && !Array.isArray(values)) {
      values = Object.entries(values).map(([field, value]) => `${field}=${text(value)}`)
    }
    return [values].flat().filter(value => value !== false && value != null).map(value => value === true ? flag : `${flag}=${value}`)
  })
}

const text = value => typeof value === 'string' ? value : JSON.stringify(value)
const number = (count, noun) => `${count} ${noun}${count === 1 ? '' : 's'}`

// Why an exchange does not count, or undefined.
function mismatch ({ cdr, uncounted }, expected) {
  if (!cdr) return 'no CDR'
  for (const [name, value] of Object.entries(expected)) {
    if (!(name in cdr)) return `${name} is missing, not ${text(value)}`
    if (text(cdr[name]) !== text(value)) return `${name} is ${text(cdr[name])}, not ${text(value)}`
  }
  return uncounted
}

// The first block, the first line of some others, and the number of the rest.
function failure (title, [first = [], ...others], caller) {
  const rest = others.length - MAX_HEADS
  const lines = [title, ...first, ...others.slice(0, MAX_HEADS).map(block => block[0]), ...(rest > 0 ? [`… and ${rest} more`] : [])]
  const escape = c => `\\u${c.codePointAt(0).toString(16).padStart(4, '0')}`
  return errorOf(lines.map(line => line.replace(/\p{C}/gu, escape)).join('\n'), caller)
}

const unusable = (name, { code, messages }, caller) => errorOf(`telecmi-cdr ${name} ended with ${code}: ${messages}`, caller)

// Its stack begins at the call of `caller`.
function errorOf (message, caller) {
  const error = new Error(message)
  Error.captureStackTrace(error, caller)
  return error
}

function wrapped (content) {
  const lines = content.match(new RegExp(`.{1,${WIDTH}}(?:[,&]|$)|.{1,${WIDTH}}`, 'gs')) ?? []
  return [...lines.slice(0, MAX_BODY_LINES).map(line => '  ' + line), ...(lines.length > MAX_BODY_LINES ? ['  …'] : [])]
}

const bodyOf = ({ body = {} }) => body.text ?? body.base64 ?? ''

function requestLines (request) {
  const [path, query = ''] = request.target.split(/\?(.*)/s)
  return [`${request.method} ${path}`, wrapped(bodyOf(request) || query)]
}

// A status and the beginning of a body, or why there is no answer.
function replyLine (reply) {
  if (reply.status === undefined) return '  answer: ' + (reply.failure?.text ?? 'none')
  return `  answer: ${reply.status} ${bodyOf(reply)}`.slice(0, WIDTH).trimEnd()
}

function exchangeLines (exchange, expected) {
  const { n, verdict, answer, related = [] } = exchange
  const [request, body] = requestLines(exchange.request)
  const head = `#${n} ${request}  ${answer.status ?? answer.fault}  ${mismatch(exchange, expected) ?? 'counted'}`
  const meaning = `  ${verdict.kind.replaceAll('_', ' ')}${verdict.leg ? ` · leg ${verdict.leg}` : ''}`
  const remarks = verdict.remarks.slice(0, 3).map(remark => `  ! ${remark.text}`.slice(0, WIDTH))
  return [head, meaning, ...body, ...remarks, ...related.slice(0, 1).map(other => `  → ${other.text}`)]
}

function deliveryLines ({ n, method, scenario, why = '', attempts, cdr }) {
  const last = attempts.at(-1) ?? {}
  return [`#${n} ${method} ${scenario}  ${why}`, ...(cdr ? wrapped(text(cdr)) : []), replyLine({ ...last, ...last.response })]
}

function caseLines (record) {
  const [request, body] = record.sent ? requestLines(record.sent) : ['no request', []]
  const more = ['advice', 'repeat'].filter(word => record[word]).map(word => `  ${word}: ${record[word]}`)
  return [`${record.name}  wanted ${record.expected}, got ${record.got}`, `  ${request}`, ...body, replyLine(record.reply ?? {}), ...more]
}

module.exports = { listen, send, suite }
