#!/usr/bin/env node
// Hands over to the program that the package for this platform has brought: the same arguments, terminal, signals and exit code.
'use strict'

const { spawn } = require('node:child_process')
const { isatty } = require('node:tty')
const { program } = require('../program.js')

function runBeside (path, words) {
  const child = spawn(path, words, { stdio: 'inherit' })
  // A terminal gives Ctrl-C and its own end to the program, too; passed on as well, they would be the second signal, which cuts the end short.
  const told = process.platform === 'win32' || [0, 1, 2].some(isatty)
  const pass = signal => child.kill(signal)
  const leave = () => {}
  process.on('SIGINT', told ? leave : pass)
  process.on('SIGHUP', told ? leave : pass)
  process.on('SIGTERM', pass)
  child.on('error', error => {
    console.error(`error: ${path} could not be started: ${error.message}`)
    process.exit(2)
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

let path
try {
  path = program()
} catch (error) {
  console.error(`error: ${error.message}`)
  process.exit(2)
}
const words = process.argv.slice(2)
if (process.execve && process.platform !== 'win32') {
  // Node 22.15 can become another program, and then there is nothing to hand over.
  process.execve(path, [path, ...words], process.env)
} else {
  runBeside(path, words)
}
