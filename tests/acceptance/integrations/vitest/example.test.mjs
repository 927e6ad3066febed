import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { listen, send, suite } from 'telecmi-cdr'
import { placeACall } from '../dialler.mjs'

let handler
beforeAll(async () => { handler = await listen() })
afterAll(() => handler.close())

test('a missed call is reported', async () => {
  const listener = await listen()
  onTestFinished(listener.close)
  await placeACall(listener.url + '/webhook/cdr')
  const [exchange] = await listener.wait({ count: 1, timeout: 4000, status: 'missed' })
  expect(exchange.cdr.leg).toBe('a')
})

test('the handler takes both legs', async () => {
  const deliveries = await send(handler.url, { scenario: 'customer-rejected' })
  expect(deliveries.map(delivery => delivery.cdr.leg)).toEqual(['b', 'a'])
})

test('the handler takes what TeleCMI sends', async () => {
  await suite(['python3', 'handler.py'], { only: 'accepts' })
}, 60000)
