<?php

/** Ends the test with words when two values differ. */
function same($wanted, $got, string $what): void
{
    if ($wanted !== $got) {
        fwrite(STDERR, "   $what: wanted " . json_encode($wanted) . ', got ' . json_encode($got) . "\n");
        exit(1);
    }
}
