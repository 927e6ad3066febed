#!/usr/bin/env node
// Hands over to the program that the package for this platform has brought: the same arguments, terminal, signals and exit code.
'use strict'

const { spawn } = require('node:child_process')
const { isatty } = require('node:tty')

function program () {
  const platform = `${process.platform}-${process.arch}`
  const name = process.platform === 'win32' ? 'telecmi-cdr.exe' : 'telecmi-cdr'
  try {
    return require.resolve(`@telecmi-cdr/${platform}/bin/${name}`)
  } catch {
    console.error(`error: @telecmi-cdr/${platform} is not installed: there is none for this platform, or optional dependencies were left out`)
    process.exit(2)
  }
}

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

const path = program()
const words = process.argv.slice(2)
if (process.execve && process.platform !== 'win32') {
  // Node 22.15 can become another program, and then there is nothing to hand over.
  process.execve(path, [path, ...words], process.env)
} else {
  runBeside(path, words)
}
