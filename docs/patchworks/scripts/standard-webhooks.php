<?php

/**
 * Pre-request script, PHP 8.2: signs id, time and body as Standard Webhooks does.
 *
 * Needs the authentication variable `signing_secret` on the connector instance: `whsec_` and base64, or plain text.
 */

/** `v1,` and base64 of HMAC-SHA256 over "id.timestamp.body". */
function standard_webhooks(string $secret, string $id, int $timestamp, string $body): string
{
    $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6), true) : $secret;
    if ($key === false || $key === '') {
        throw new InvalidArgumentException('signing_secret after whsec_ is not base64');
    }

    return 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
}

function handle($data)
{
    $body = (string) ($data['body'] ?? $data['payload'] ?? '');
    // The id comes from the content, so that a repeat of the same request is recognised as a duplicate.
    $id = 'msg_' . substr(hash('sha256', $body), 0, 32);
    $timestamp = time();
    $data['body'] = $body;
    $data['headers'] = array_merge($data['headers'] ?? [], [
        'Content-Type' => 'application/json',
        'webhook-id' => $id,
        'webhook-timestamp' => (string) $timestamp,
        'webhook-signature' => standard_webhooks($data['variables']['signing_secret'], $id, $timestamp, $body),
    ]);

    return $data;
}
