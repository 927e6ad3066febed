'use strict'

const assert = require('node:assert')
const { listen, send } = require('telecmi-cdr')

// Registers tests, each of which has a listener and a sender of its own.
exports.many = test => {
  for (let number = 0; number < Number(process.env.TESTS); number++) {
    test(`only its own CDR arrives: ${number}`, async () => {
      const listener = await listen()
      await send(listener.url, { custom: `test ${number}` })
      const [exchange] = await listener.wait({ custom: `test ${number}`, timeout: 60000 })
      assert.deepStrictEqual(listener.exchanges, [exchange])
      await listener.close()
    }, 60000)
  }
}
