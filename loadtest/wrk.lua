-- Many distinct bodies, and every answer checked. What to send comes from the environment:
-- LOADTEST_PATH, LOADTEST_KEY, LOADTEST_APPLICATION, LOADTEST_EXPECT (text that a right answer holds), and either
-- LOADTEST_BODIES (a file, one body a line, sent in turns) or LOADTEST_PREFIX and LOADTEST_SUFFIX (a
-- body each, with a number between that never repeats).
local requests, turn, prefix, suffix = {}, 0, os.getenv("LOADTEST_PREFIX"), os.getenv("LOADTEST_SUFFIX")
local path, expect = os.getenv("LOADTEST_PATH"), os.getenv("LOADTEST_EXPECT")
local threads = {}
wrong, example = 0, ""

wrk.method = os.getenv("LOADTEST_METHOD") or "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["X-API-Key"] = os.getenv("LOADTEST_KEY")
wrk.headers["X-Zeratul-Application"] = os.getenv("LOADTEST_APPLICATION")

function setup(thread)
   table.insert(threads, thread)
end

function init(args)
   if prefix then return end
   for body in io.lines(os.getenv("LOADTEST_BODIES")) do
      requests[#requests + 1] = wrk.format(nil, path, nil, body)
   end
end

function request()
   turn = turn + 1
   if prefix then
      return wrk.format(nil, path, nil, prefix .. turn .. suffix)
   end
   return requests[(turn - 1) % #requests + 1]
end

function response(status, headers, body)
   if status >= 300 or not string.find(body, expect, 1, true) then
      wrong = wrong + 1
      example = status .. " " .. string.sub(body, 1, 300)
   end
end

function done(summary, latency, rates)
   local failed, sample = 0, ""
   for _, thread in ipairs(threads) do
      failed = failed + thread:get("wrong")
      if thread:get("example") ~= "" then sample = thread:get("example") end
   end
   local errors = summary.errors
   io.write("\nLOADTEST\t", summary.requests, "\t", summary.duration, "\t",
      latency:percentile(50), "\t", latency:percentile(99), "\t", latency.max, "\t",
      errors.connect + errors.read + errors.write + errors.timeout, "\t",
      failed, "\t", (string.gsub(sample, "%c", " ")), "\n")
end
