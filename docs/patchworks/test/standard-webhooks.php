<?php

// The PHP script for Standard Webhooks against the vector of its libraries.

require __DIR__ . '/same.php';
require __DIR__ . '/../scripts/standard-webhooks.php';

same(
    'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    standard_webhooks(
        'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
        'msg_p5jXN8AQM9LWM0D4loKWxJek',
        1614265330,
        '{"test": 2432232314}',
    ),
    'vector',
);
$request = ['body' => '{"a":1}', 'variables' => ['signing_secret' => 'a-secret-of-32-bytes-for-the-test']];
$first = handle($request)['headers'];
same($first['webhook-id'], handle($request)['headers']['webhook-id'], 'a repeat has the same id');
same(
    standard_webhooks(
        'a-secret-of-32-bytes-for-the-test',
        $first['webhook-id'],
        (int) $first['webhook-timestamp'],
        '{"a":1}',
    ),
    $first['webhook-signature'],
    'signature of the headers sent',
);
