// SPDX-License-Identifier: GPL-2.0-only
// node broker.js ADDRESS PORT TLSPORT CERT KEY: aedes, MQTT 3.1.1 over TCP and TLS. What a client
// does that it takes for wrong is a line on stderr that begins with "protocol error".
const { readFileSync } = require('node:fs')
const net = require('node:net')
const tls = require('node:tls')
const { Aedes } = require('aedes')

const [addr, port, tlsPort, cert, key] = process.argv.slice(2)
// Lost, or late: a CONNECT that the net took for longer than the broker waits is nobody's fault.
const lost = /ECONNRESET|EPIPE|ETIMEDOUT|keep ?alive|closed|ended|write after|premature|socket|did not arrive in time/i

async function main () {
  const aedes = await Aedes.createBroker({ heartbeatInterval: 60000, connectTimeout: 30000 })
  const wrong = (what, client, err) => {
    if (!lost.test(String(err && err.code) + ' ' + String(err && err.message)))
      console.error('protocol error', what, client && client.id, String(err && err.message))
  }
  aedes.on('clientError', (client, err) => wrong('client', client, err))
  aedes.on('connectionError', (client, err) => wrong('connection', client, err))
  net.createServer(aedes.handle).listen(+port, addr)
  const server = tls.createServer({ cert: readFileSync(cert), key: readFileSync(key) }, aedes.handle)
  server.on('tlsClientError', () => {})
  server.listen(+tlsPort, addr, () => console.log('listening'))
}
main()
