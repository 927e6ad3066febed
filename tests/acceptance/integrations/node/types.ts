import { listen, send, suite } from 'telecmi-cdr'

export async function check (): Promise<string[]> {
  await using listener = await listen({ failFirst: 1, header: ['A: 1', 'B: 2'] })
  const deliveries = await send(listener.url, { scenario: ['docs-leg-a', 'docs-leg-b'], set: { leg: 'b' }, keepAlive: true })
  const [exchange] = await listener.wait({ count: 1, timeout: 1000, status: 'missed', appid: 2222223 })
  const cases = await suite(['node', 'handler.js'], { only: 'accepts' })
  // @ts-expect-error: a listener has no such function
  await listener.stop()
  // @ts-expect-error: the number of CDRs is a number
  await listener.wait({ count: '1' })
  return [exchange.cdr?.leg, deliveries[0].attempts[0].response?.body.text ?? '', cases[0].expected]
}
