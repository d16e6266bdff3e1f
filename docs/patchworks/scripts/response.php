<?php

/**
 * Response script, PHP 8.2: tells the flow what to do with our answer.
 *
 * 0 go on · 1 fail the step, try it again · 3 fail the flow, no retry · 4 sign in again, then retry
 */

function handle($data)
{
    $status = (int) ($data['response']['status'] ?? 0);
    $body = json_decode((string) ($data['response']['body'] ?? ''), true);

    $data['response_code'] = match (true) {
        $status >= 200 && $status < 300 => 0,        // new, or known already
        $status === 401, $status === 403 => 3,       // a wrong key does not get better by repeating
        $status === 408, $status === 429, $status >= 500, $status === 0 => 1, // busy or away: safe to send again
        default => 3,                                // 409, 413, 422: a person reads the run log
    };

    $messages = [];
    foreach ($body['results'] ?? [] as $result) {
        foreach ($result['problems'] ?? [] as $problem) {
            $messages[] = trim(($result['key'] ?? '?') . ' ' . ($problem['path'] ?? '') . ': ' . ($problem['message'] ?? ''));
        }
    }
    if ($messages === [] && isset($body['title'])) {
        $messages[] = $body['title'] . (isset($body['detail']) ? ': ' . $body['detail'] : '');
    }
    if ($messages !== []) {
        $data['message'] = implode('; ', $messages);
    }

    return $data;
}
