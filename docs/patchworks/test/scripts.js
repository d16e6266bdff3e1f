// Both Node scripts against published vectors, and against openssl for one body with a letter beyond ASCII.
const assert = require('assert');
const plain = require('../scripts/hmac.js');
const standard = require('../scripts/standard-webhooks.js');

const body = '{"increment_id":"000000042","note":"caf\u00e9"}';
const variables = { signing_secret: 'a-secret-of-32-bytes-for-the-test' };

// RFC 4231, test case 2.
assert.strictEqual(
  plain.hmacHex('Jefe', 'what do ya want for nothing?'),
  '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
);
const out = plain.handle({ body, variables, headers: { 'X-Api-Key': 'k' } });
assert.strictEqual(out.body, body);
assert.strictEqual(out.headers['X-Api-Key'], 'k');
assert.strictEqual(out.headers['X-HMAC-HASH'], process.env.EXPECTED_HMAC);

// The vector of the Standard Webhooks libraries.
assert.strictEqual(
  standard.standardWebhooks(
    'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1614265330, '{"test": 2432232314}',
  ),
  'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
);
const first = standard.handle({ body, variables }).headers;
const again = standard.handle({ body, variables }).headers;
assert.strictEqual(first['webhook-id'], again['webhook-id']);
assert.ok(!first['webhook-id'].includes('.'));
assert.ok(Math.abs(Number(first['webhook-timestamp']) - Date.now() / 1000) < 5);
assert.strictEqual(
  first['webhook-signature'],
  standard.standardWebhooks(variables.signing_secret, first['webhook-id'], first['webhook-timestamp'], body),
);
