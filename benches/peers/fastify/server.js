// fastify, with its own deadline and signal: server.js [port of http/1]. One process has both protocols, but each
// on a port of its own: node's http2 without TLS speaks no HTTP/1.
'use strict'

const { setImmediate } = require('node:timers/promises')
const fastify = require('fastify')

// Waits once, as a query does.
async function work (signal) {
  await setImmediate(undefined, { signal })
}

async function listen (options, port) {
  const server = fastify({ handlerTimeout: 10_000, ...options })
  server.get('/x', async (request) => {
    await work(request.signal)
    return 'ok'
  })
  await server.listen({ host: '127.0.0.1', port })
  return server.server.address().port
}

async function main () {
  const http1 = await listen({}, Number(process.argv[2] ?? 0))
  const h2c = await listen({ http2: true }, 0)
  console.log(`http1 ${http1} h2c ${h2c}`)
  process.stdin.resume().on('end', () => process.exit(0))
}

main()
