// Pre-request script, Node 18: signs the body with HMAC-SHA256 into X-HMAC-HASH.
// Needs the authentication variable `signing_secret` (24 to 64 bytes) on the connector instance.
const crypto = require('crypto');

// Lower-case hex of HMAC-SHA256 over exactly these bytes.
function hmacHex(secret, body) {
  return crypto.createHmac('sha256', secret).update(body, 'utf8').digest('hex');
}

function handle(data) {
  // Sign the text that leaves and return that same text: a body written anew after signing no longer matches.
  const body = String(data.body ?? data.payload ?? '');
  data.body = body;
  data.headers = {
    ...(data.headers ?? {}),
    'Content-Type': 'application/json',
    'X-HMAC-HASH': hmacHex(data.variables.signing_secret, body),
  };
  return data;
}

module.exports = { handle, hmacHex };
