-- What wrk asks, and how it tells what came of it: as JSON, on its standard error.
wrk.method = os.getenv("BENCH_METHOD")
wrk.headers["Accept"] = "application/json"
local body = os.getenv("BENCH_BODY")
if body ~= "" then
    wrk.body = body
    wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency)
    local errors = summary.errors
    io.stderr:write(string.format(
        '{"requests":%d,"microseconds":%d,"bytes":%d,"status":%d,"broken":%d,"p50":%f,"p99":%f}',
        summary.requests, summary.duration, summary.bytes, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50), latency:percentile(99)
    ))
end
