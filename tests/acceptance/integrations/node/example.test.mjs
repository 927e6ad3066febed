import assert from 'node:assert'
import { test } from 'node:test'
import { listen, send } from 'telecmi-cdr'
import { placeACall } from '../dialler.mjs'

test('a missed call is reported', async context => {
  const listener = await listen()
  context.after(listener.close)
  await placeACall(listener.url + '/webhook/cdr')
  const [exchange] = await listener.wait({ status: 'missed' })
  assert.strictEqual(exchange.cdr.leg, 'a')
})

test('a listener is disposed of, and has what came before', async () => {
  const listener = await listen({ failFirst: 1 })
  await assert.rejects(send(listener.url), /answered 503/)
  await listener[Symbol.asyncDispose]()
  assert.strictEqual(listener.exchanges.length, 1)
  await assert.rejects(listener.wait({ count: 2 }), /before the listener ended/)
})
