<?php

// What the response script makes of each answer.

require __DIR__ . '/same.php';
require __DIR__ . '/../scripts/response.php';

$code = fn (int $status, string $body = '') => handle(['response' => ['status' => $status, 'body' => $body]]);
foreach ([200 => 0, 202 => 0, 401 => 3, 409 => 3, 413 => 3, 422 => 3, 429 => 1, 500 => 1, 503 => 1] as $status => $wanted) {
    same($wanted, $code($status)['response_code'], "status $status");
}
$refused = '{"results":[{"key":"000000042","status":"rejected","problems":[{"path":"items","message":"is empty"}]}]}';
same('000000042 items: is empty', $code(422, $refused)['message'], 'the message a person sees');
same('Too busy: try again', $code(503, '{"title":"Too busy","detail":"try again"}')['message'], 'a problem document');
same(false, isset($code(202)['message']), 'no message when all is well');
