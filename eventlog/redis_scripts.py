"""The Lua scripts of the log on Redis. They run on Redis 6.2 and later: ids are made from a counter."""

from __future__ import annotations

_SEGMENTS = """
-- Whole segments go, the oldest first: one XTRIM then drops thousands of entries, and bytes stay counted.
local function drop_oldest(stream, meta, segments, floor, not_after_ms)
  local second = redis.call('LINDEX', segments, 1)
  if not second then return nil end
  local offset, bytes, ms = string.match(second, '(%d+) (%d+) (%d+)')
  if floor and tonumber(offset) > floor then return nil end
  if not_after_ms and tonumber(ms) > not_after_ms then return nil end
  redis.call('LPOP', segments)
  redis.call('XTRIM', stream, 'MINID', '=', '0-' .. string.format('%.0f', tonumber(offset) + 1))
  redis.call('HSET', meta, 'base', bytes)
  return tonumber(bytes)
end

local function begin_segment(meta, segments, n, w, now)
  redis.call('RPUSH', segments, string.format('%.0f %.0f %.0f', n, w, now))
  redis.call('HSET', meta, 'at_ms', string.format('%.0f', now), 'at_bytes', string.format('%.0f', w))
end
"""

APPEND = f"""{_SEGMENTS}
-- KEYS: stream, meta, segments of each partition touched; the log's identity. ARGV[1]: msgpack of
--   [log_id, now_ms, [[max_bytes, segment_bytes, max_age_ms, segment_ms, trims_anything], ... per partition],
--    [[partition, ... per record], ... per append]]; then key and value of each record (Redis's msgpack
-- knows no binary strings).
-- Returns one offset per record, in order; -1 for every record of an append that met a full partition. Or 0,
-- and appends nothing, if the log in force is another one or its epoch is closed.
local log_id, now, parts, appends = unpack(cmsgpack.unpack(ARGV[1]))
local in_force = redis.call('HMGET', KEYS[#KEYS], 'log_id', 'closed')
if in_force[1] ~= log_id or in_force[2] then return 0 end
local next_offset, written, full = {{}}, {{}}, {{}}

for p = 1, #parts do
  local stream, meta, segments = KEYS[3*p-2], KEYS[3*p-1], KEYS[3*p]
  local max_bytes, segment_bytes, max_age, segment_ms, any = unpack(parts[p])
  local m = redis.call('HMGET', meta, 'n', 'written', 'base', 'floor', 'at_ms', 'at_bytes')
  local n, w, base = tonumber(m[1] or 0), tonumber(m[2] or 0), tonumber(m[3] or 0)
  local floor = nil
  if any == 0 then floor = tonumber(m[4] or 0) end
  if not m[5] or w - tonumber(m[6]) >= segment_bytes or now - tonumber(m[5]) >= segment_ms then
    begin_segment(meta, segments, n, w, now)
    repeat
      local dropped = drop_oldest(stream, meta, segments, floor, now - max_age)
      base = dropped or base
    until not dropped
  end
  while w - base >= max_bytes do
    local dropped = drop_oldest(stream, meta, segments, floor, nil)
    if not dropped then full[p] = true break end
    base = dropped
  end
  next_offset[p], written[p] = n, w
end

local reply, r = {{}}, 0
for a = 1, #appends do
  local places = appends[a]
  local refused = false
  for i = 1, #places do
    if full[places[i]] then refused = true break end
  end
  for i = 1, #places do
    r = r + 1
    if refused then
      full[places[i]] = true  -- what was called behind it must not come before it
      reply[r] = -1
    else
      local p, key, value = places[i], ARGV[2*r], ARGV[2*r+1]
      local n = next_offset[p]
      redis.call('XADD', KEYS[3*p-2], '0-' .. string.format('%.0f', n + 1), 'k', key, 'v', value)
      next_offset[p], written[p] = n + 1, written[p] + #key + #value
      reply[r] = n
    end
  end
end
for p = 1, #parts do
  redis.call('HSET', KEYS[3*p-1], 'n', string.format('%.0f', next_offset[p]),
    'written', string.format('%.0f', written[p]))
end
return reply
"""

TRIM_BY_AGE = f"""{_SEGMENTS}
-- KEYS: stream, meta, segments of a partition. ARGV: now in ms, max_age_ms, segment_ms, trims_anything.
-- Drops the oldest segment if all of it is too old; returns 1, or 0 if none is. The newest segment ends here once
-- it is as long as APPEND lets it be, so that it can go in its turn though nothing is appended any more.
local stream, meta, segments = KEYS[1], KEYS[2], KEYS[3]
local now, max_age, segment_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local m = redis.call('HMGET', meta, 'n', 'written', 'floor', 'at_ms', 'at_bytes')
if not m[4] then return 0 end
local n, w = tonumber(m[1]), tonumber(m[2])
if w > tonumber(m[5]) and now - tonumber(m[4]) >= segment_ms then begin_segment(meta, segments, n, w, now) end
local floor = nil
if ARGV[4] == '0' then floor = tonumber(m[3] or 0) end
return drop_oldest(stream, meta, segments, floor, now - max_age) and 1 or 0
"""

CREATE = """
-- KEYS[1]: identity. ARGV: new log id, partitions, least epoch. An existing log of that epoch stays as it is.
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or 0)
if epoch < tonumber(ARGV[3]) then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'log_id', ARGV[1], 'n_partitions', ARGV[2])
  redis.call('HDEL', KEYS[1], 'closed')
end
return redis.call('HMGET', KEYS[1], 'epoch', 'log_id', 'n_partitions')
"""

CLOSE = """
-- KEYS[1]: identity. ARGV[1]: 1 to close the epoch in force, 0 to open it again. A log that is not there stays so.
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if ARGV[1] == '1' then redis.call('HSET', KEYS[1], 'closed', '1') else redis.call('HDEL', KEYS[1], 'closed') end
return 1
"""

FILL = """
-- KEYS: meta and segments of each partition. Returns per partition the bytes that may not be trimmed: those from
-- the start of the segment that holds the floor, since APPEND drops whole segments below it.
local reply = {}
for p = 1, #KEYS / 2 do
  local m = redis.call('HMGET', KEYS[2*p-1], 'n', 'written', 'base', 'floor')
  local n, w, base, floor = tonumber(m[1] or 0), tonumber(m[2] or 0), tonumber(m[3] or 0), tonumber(m[4] or 0)
  if floor >= n then
    base = w
  else
    for i = 1, redis.call('LLEN', KEYS[2*p]) - 1 do
      local offset, bytes = string.match(redis.call('LINDEX', KEYS[2*p], i), '(%d+) (%d+) (%d+)')
      if tonumber(offset) > floor then break end
      base = tonumber(bytes)
    end
  end
  reply[p] = w - base
end
return reply
"""

RAISE_FLOOR = """
-- KEYS[1]: meta. ARGV[1]: offset. A floor only rises.
if tonumber(redis.call('HGET', KEYS[1], 'floor') or 0) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'floor', ARGV[1])
end
return 1
"""

TAKE_LEASE = """
-- KEYS: lease, generation. ARGV: owner, time to live in ms. Returns the new generation, or 0.
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  return redis.call('INCR', KEYS[2])
end
return 0
"""

KEEP_LEASE = """
-- KEYS: lease, generation. ARGV: owner, time to live in ms, generation. Returns 1 while it is ours: a lease
-- that ran out (Redis was away, or we were) is ours still if nobody took it meanwhile.
local owner = redis.call('GET', KEYS[1])
if owner == ARGV[1] or (not owner and redis.call('GET', KEYS[2]) == ARGV[3]) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 1
end
return 0
"""

FREE_LEASE = """
-- KEYS[1]: lease. ARGV[1]: owner.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

COMMIT = """
-- KEYS: generation, committed of each topic. ARGV: generation, per topic: how many, partition, offset, ...
-- Returns 1, or 0 when the generation is no longer the committer's.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local a = 2
for k = 2, #KEYS do
  local last = a + 2 * tonumber(ARGV[a])
  redis.call('HSET', KEYS[k], unpack(ARGV, a + 1, last))
  a = last + 1
end
return 1
"""

COPY = """
-- KEYS: stream, its copy. ARGV: the last id copied, how many more. Returns the last id copied now; '' once there
-- are no more. A copy that nobody finishes goes after an hour.
local last = ''
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])) do
  last = entry[1]
  redis.call('XADD', KEYS[2], last, unpack(entry[2]))
end
redis.call('PEXPIRE', KEYS[2], 3600000)
return last
"""

SWAP = """
-- KEYS: stream, its copy, a place for what the stream was. ARGV[1]: the last id copied. Returns 1 once the copy is
-- the stream; 0 where entries were erased meanwhile that the copy holds.
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not first then
  redis.call('UNLINK', KEYS[2])
  return 1
end
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+')) do
  redis.call('XADD', KEYS[2], entry[1], unpack(entry[2]))
end
redis.call('XTRIM', KEYS[2], 'MINID', '=', first[1])
if redis.call('XLEN', KEYS[1]) ~= redis.call('XLEN', KEYS[2]) then
  redis.call('UNLINK', KEYS[2])
  return 0
end
redis.call('RENAME', KEYS[1], KEYS[3])
redis.call('RENAME', KEYS[2], KEYS[1])
redis.call('PERSIST', KEYS[1])
redis.call('UNLINK', KEYS[3])
return 1
"""
