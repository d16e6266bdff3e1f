// Shows requests to Adobe's own library for receivers of I/O events and prints what it says of each.
// In: {"clientId", "keys": {path: pem}, "requests": [{"body", "headers"}]}; out: a list of booleans.
// The library reads keys from a fixed host and keeps them in a store of App Builder: both are replaced here.
'use strict'

function replace (name, exports) {
  const file = require.resolve(name)
  require.cache[file] = { id: file, filename: file, loaded: true, exports }
}

const input = JSON.parse(require('fs').readFileSync(0, 'utf8'))
replace('node-fetch', async url => ({ text: async () => input.keys[new URL(url).pathname] || 'none' }))
replace('@adobe/aio-lib-state', { init: async () => ({ get: async () => undefined, put: async () => {} }) })
const library = require('@adobe/aio-lib-events')

async function says (client, request) {
  const header = name => request.headers[name] || ''
  const verdict = await client.verifyDigitalSignatureForEvent(request.body, input.clientId, {
    digiSignature1: header('x-adobe-digital-signature-1'),
    digiSignature2: header('x-adobe-digital-signature-2'),
    publicKeyPath1: header('x-adobe-public-key1-path'),
    publicKeyPath2: header('x-adobe-public-key2-path')
  })
  return verdict === true
}

async function main () {
  const client = await library.init('organisation', input.clientId, 'token')
  const verdicts = []
  for (const request of input.requests) verdicts.push(await says(client, request))
  console.log(JSON.stringify(verdicts))
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
