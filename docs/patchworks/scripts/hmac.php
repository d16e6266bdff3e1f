<?php

/**
 * Pre-request script, PHP 8.2: signs the body with HMAC-SHA256 into X-HMAC-HASH.
 *
 * Needs the authentication variable `signing_secret` (24 to 64 bytes) on the connector instance.
 */

/** Lower-case hex of HMAC-SHA256 over exactly these bytes. */
function hmac_hex(string $secret, string $body): string
{
    return hash_hmac('sha256', $body, $secret);
}

function handle($data)
{
    // Sign the text that leaves and return that same text: a body written anew after signing no longer matches.
    $body = (string) ($data['body'] ?? $data['payload'] ?? '');
    $data['body'] = $body;
    $data['headers'] = array_merge($data['headers'] ?? [], [
        'Content-Type' => 'application/json',
        'X-HMAC-HASH' => hmac_hex($data['variables']['signing_secret'], $body),
    ]);

    return $data;
}
