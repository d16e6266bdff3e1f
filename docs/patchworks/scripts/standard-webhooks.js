// Pre-request script, Node 18: signs id, time and body as Standard Webhooks does.
// Needs the authentication variable `signing_secret` on the connector instance: `whsec_` and base64, or plain text.
const crypto = require('crypto');

// `v1,` and base64 of HMAC-SHA256 over "id.timestamp.body".
function standardWebhooks(secret, id, timestamp, body) {
  const key = secret.startsWith('whsec_') ? Buffer.from(secret.slice(6), 'base64') : Buffer.from(secret, 'utf8');
  if (key.length === 0) throw new Error('signing_secret after whsec_ is not base64');
  return 'v1,' + crypto.createHmac('sha256', key).update(`${id}.${timestamp}.${body}`, 'utf8').digest('base64');
}

function handle(data) {
  const body = String(data.body ?? data.payload ?? '');
  // The id comes from the content, so that a repeat of the same request is recognised as a duplicate.
  const id = 'msg_' + crypto.createHash('sha256').update(body, 'utf8').digest('hex').slice(0, 32);
  const timestamp = Math.floor(Date.now() / 1000);
  data.body = body;
  data.headers = {
    ...(data.headers ?? {}),
    'Content-Type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': standardWebhooks(data.variables.signing_secret, id, timestamp, body),
  };
  return data;
}

module.exports = { handle, standardWebhooks };
