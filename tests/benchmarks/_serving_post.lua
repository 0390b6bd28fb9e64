-- wrk -s _serving_post.lua URL -- FILE: send the file again and again, and end with one line of figures
function init(arguments)
  local file = io.open(arguments[1], "rb")
  wrk.method = "POST"
  wrk.body = file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
  file:close()
  request_text = wrk.format()
end

function request()
  return request_text
end

function done(summary, latency, requests)
  local errors = summary.errors
  local lost = errors.connect + errors.read + errors.write + errors.timeout
  -- counts, then microseconds
  io.write(string.format("FIGURES %d %d %d %.0f %.1f %.1f\n", summary.requests, errors.status, lost, summary.duration,
    latency:percentile(50), latency:percentile(99)))
end
