<?php
// good_php.php with one planted bug, named by the environment variable BUG.
declare(strict_types=1);

// An uncaught error with display_errors on is a page, and its status is 200.
if (getenv('BUG') === 'fatal-in-200' && $_SERVER['REQUEST_METHOD'] === 'POST') {
    $record = json_decode(file_get_contents('php://input'), true);
    if (is_array($record) && isset($record['custom']) && is_string($record['custom'])) {
        strlen(json_decode($record['custom'], true)['crm'] ?? throw new TypeError('custom has no crm'));
    }
}
// Everything from < to > is taken for a tag.
if (getenv('BUG') === 'tags-stripped') {
    $_GET = array_map(fn ($value) => is_string($value) ? strip_tags($value) : $value, $_GET);
}
require __DIR__ . '/good_php.php';
