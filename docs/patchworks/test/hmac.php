<?php

// The PHP script for X-HMAC-HASH against a published vector and against openssl.

require __DIR__ . '/same.php';
require __DIR__ . '/../scripts/hmac.php';

// RFC 4231, test case 2.
same(
    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    hmac_hex('Jefe', 'what do ya want for nothing?'),
    'vector',
);
$body = "{\"increment_id\":\"000000042\",\"note\":\"caf\u{e9}\"}";
$out = handle([
    'body' => $body,
    'variables' => ['signing_secret' => 'a-secret-of-32-bytes-for-the-test'],
    'headers' => ['X-Api-Key' => 'k'],
]);
same($body, $out['body'], 'the body stays as it is');
same('k', $out['headers']['X-Api-Key'], 'headers already there stay');
same(getenv('EXPECTED_HMAC'), $out['headers']['X-HMAC-HASH'], 'what openssl says');
