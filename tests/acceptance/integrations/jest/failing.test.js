const { listen, send, suite } = require('telecmi-cdr')

test('wait', async () => {
  const listener = await listen()
  try {
    await send(listener.url, { scenario: 'customer-no-answer', seed: 7, at: '2026-11-22T09:00:00Z', set: { custom: 'none' } })
    await listener.wait({ count: 2, timeout: 200, status: 'missed' })
  } finally {
    await listener.close()
  }
})

test('send', async () => {
  const listener = await listen({ status: 500, body: 'no database' })
  try {
    await send(listener.url, { scenario: 'docs-leg-a' })
  } finally {
    await listener.close()
  }
})

test('suite', async () => {
  const listener = await listen({ status: 500, body: 'no database' })
  try {
    await suite(listener.url, { only: 'post-is-accepted', seed: 7, at: '2026-11-22T09:00:00Z' })
  } finally {
    await listener.close()
  }
})

test('flags', async () => {
  await listen({ failFrist: 2 })
})
