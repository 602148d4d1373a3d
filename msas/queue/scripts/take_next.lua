-- take_next: renew an idle worker's lease, and move the next message into its list. Owners take turns; the jobs of one
--       owner are taken first in, first out.
-- ARGV  1 worker   2 its models, a JSON list; empty: any
-- returns the message; nil where no job waits: the worker then blocks on QUEUE; 0 where none waits, but some were
--       parked within the last hour: the worker then blocks for a short time, because parked jobs never come to QUEUE
-- sent twice: the second call finds the message in the worker's list.
-- Jobs for models that the worker lacks are parked. Parked lines take turns with the owners; a job that `refill_queue`
-- moved to QUEUE keeps the turn that its owner had.
local MOST_PARKED, MOST_READ, PARKED_POLLING = 100, 10, 3600 * 1000
redis.call('ZADD', WORKERS, NOW + LEASE, ARGV[1])
local taken, models = run_key(ARGV[1]), model_set(ARGV[2])
local in_hand = redis.call('LINDEX', taken, -1)
if in_hand then return in_hand end
local function first_of(name) -- return the first job of a parked line that this worker may run
  local model = string.match(name, '^[^\n]*')
  if models and model ~= '' and not models[model] then return nil end
  for _, songhash in ipairs(redis.call('ZRANGE', parked_key(name), 0, MOST_READ - 1)) do
    if redis.call('HGET', job_key(songhash), 'status') ~= 'queued' then
      leave_parked(name, songhash) -- a script of the previous release ended the job
    elseif may_run(songhash, ARGV[1], models) then
      return songhash
    end
  end
end
local function next_parked() -- of all parked lines, return the job whose turn is next, its line and its turn
  local found = redis.call('ZRANGE', PARKED, 0, -1, 'WITHSCORES')
  for i = 1, #found, 2 do
    local songhash = first_of(found[i])
    if songhash then return songhash, found[i], tonumber(found[i + 1]) end
  end
end
local function give(message)
  redis.call('LPUSH', taken, message)
  refill_queue()
  return message
end
local function give_parked(songhash)
  unpark(songhash)
  return give(redis.call('HGET', job_key(songhash), 'message'))
end
local function pop_next(refilled) -- remove and return the next message of the list and the owners' lines
  local message = not refilled and pop_from_owners()
  if message then return message end
  if not refilled then redis.call('ZADD', RING, next_number('turn'), '') end
  message = redis.call('RPOP', QUEUE)
  redis.call('ZREM', line_key(''), parse_songhash(message) or '')
  return message
end
for _ = 1, MOST_PARKED do
  refill_queue() -- BLMOVE may have emptied the list
  local head = redis.call('LINDEX', QUEUE, -1)
  -- A job that `refill_queue` moved here waited longer than the jobs in its owner's line.
  local refilled = head and parse_songhash(head) and owner_of(parse_songhash(head)) ~= ''
  if head then redis.call('ZADD', RING, 'NX', next_number('turn'), '') end
  local turn = refilled and redis.call('HGET', COUNTERS, 'fed') or redis.call('ZRANGE', RING, 0, 0, 'WITHSCORES')[2]
  local parked, name, parked_turn = next_parked()
  if parked and (not head or parked_turn < tonumber(turn)) then
    redis.call('ZADD', PARKED, next_number('turn'), name)
    return give_parked(parked)
  end
  if not head then
    redis.call('DEL', line_key(''))
    break
  end
  local message = pop_next(refilled)
  local songhash = parse_songhash(message)
  local status, queued_message = unpack(redis.call('HMGET', job_key(songhash or ''), 'status', 'message'))
  if status ~= 'queued' or queued_message ~= message then return give(message) end
  local line = parked_line(songhash)
  local able = may_run(songhash, ARGV[1], models)
  if able and redis.call('EXISTS', parked_key(line)) == 0 then return give(message) end
  park(songhash)
  if able then return give_parked(first_of(line) or songhash) end -- the jobs that were parked before come first
end
local parked_at = redis.call('HGET', COUNTERS, 'parked_at')
return parked_at and NOW < parked_at + PARKED_POLLING and 0 or nil
