<?php
// A CDR webhook for PHP: the built-in server (serve_php.py starts it), or php-fpm. Rows are files: each request starts
// with nothing in memory.
declare(strict_types=1);

const MAX_BODY = 1 << 20; // bytes; a CDR has about 500

// One row for each cmiuuid, which names a leg; request_id and call_id are shared by a call's legs.
function place(string $cmiuuid): string
{
    return getenv('CDR_FOLDER') . '/' . hash('sha256', $cmiuuid);
}

function answer(int $status, string $text): never
{
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    exit($text);
}

function take(array $record): void
{
    if (($record['type'] ?? null) === 'event') { // leg a's event has the cmiuuid of leg a's CDR
        return;
    }
    $cmiuuid = $record['cmiuuid'] ?? null;
    if (is_string($cmiuuid) && $cmiuuid !== '') {
        $text = json_encode([$record], JSON_INVALID_UTF8_SUBSTITUTE);
        $text !== false || answer(400, 'a number is out of range'); // 1e400
        $file = @fopen(place($cmiuuid), 'x'); // deliveries repeat: the first one counts
        if ($file) {
            fwrite($file, $text);
        }
    } elseif (($record['type'] ?? null) === 'cdr') {
        answer(400, 'a CDR needs its cmiuuid');
    }
}

$path = parse_url('http://host' . $_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '';
$method = $_SERVER['REQUEST_METHOD'];
if (str_starts_with($path, '/calls/')) {
    $file = place(rawurldecode(substr($path, strlen('/calls/'))));
    is_file($file) || answer(404, '[]');
    header('Content-Type: application/json');
    readfile($file);
} elseif ($path !== '/webhook/cdr') {
    answer(404, 'not here');
} elseif ($method === 'POST') {
    $body = file_get_contents('php://input');
    strlen($body) <= MAX_BODY || answer(413, 'too large');
    // An object, not an array: PHP makes one thing of [] and {}. A lone surrogate is an error here.
    $record = json_decode($body, false, 512, JSON_BIGINT_AS_STRING);
    is_object($record) || answer(400, 'not a JSON object');
    take(get_object_vars($record));
    answer(200, 'got it');
} elseif ($method === 'GET') {
    take($_GET);
    answer(200, 'got it');
} elseif ($method !== 'HEAD') {
    header('Allow: GET, HEAD, POST');
    answer(405, 'GET or POST');
}
