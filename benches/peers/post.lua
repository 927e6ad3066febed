-- wrk posts bodies of a file, one a line, in turn; afterwards it says what came of it in one line for programs.
local requests, n = {}, 0

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for body in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format(nil, nil, nil, body)
  end
end

function request()
  n = n % #requests + 1
  return requests[n]
end

function done(summary)
  local errors = summary.errors
  local failures = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format("wrk-said %d %d %d\n", summary.requests, summary.duration, failures))
end
