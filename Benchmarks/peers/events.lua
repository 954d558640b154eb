-- For wrk: POSTs the events of a file (one a line) as arrays, made before the clock starts. Ends with one line of JSON.
-- usage: wrk … -s events.lua URL -- FILE BATCH
local threads = {}

function setup(thread)
  thread:set("number", #threads)
  table.insert(threads, thread)
end

function init(arguments)
  local file, batch = arguments[1], tonumber(arguments[2])
  requests, at, refused, said = {}, number * 7, 0, ""
  local lines = {}
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  for line in io.lines(file) do
    table.insert(lines, line)
    if #lines == batch then
      table.insert(requests, wrk.format(nil, nil, nil, "[" .. table.concat(lines, ",") .. "]"))
      lines = {}
      -- As many as stay in a cache of some MiB: what is measured is who answers.
      if #requests * batch >= 6400 then break end
    end
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function response(status, headers, body)
  if status ~= 200 then
    refused = refused + 1
    said = status .. " " .. body
  end
end

function done(summary, latency, rates)
  local refused, said = 0, ""
  for _, thread in ipairs(threads) do
    refused = refused + thread:get("refused")
    if thread:get("said") ~= "" then said = thread:get("said") end
  end
  local errors = summary.errors
  if refused > 0 then io.stderr:write("refused: " .. said .. "\n") end
  print(string.format(
    '{"requests": %d, "seconds": %.6f, "p50": %.1f, "p99": %.1f, "refused": %d, "failed": %d}', summary.requests,
    summary.duration / 1e6, latency:percentile(50), latency:percentile(99), refused,
    errors.connect + errors.read + errors.write + errors.timeout))
end
