"""What Redis does of a catalog's versions in one step each."""

from __future__ import annotations

# What is the newest already keeps its number. KEYS: version, versions, bodies; ARGV: digest, body, the history's
# entry as JSON, channel.
PUBLISH = """
local newest = redis.call('GET', KEYS[1])
if newest then
  local entry = redis.call('HGET', KEYS[2], newest)
  if entry and cjson.decode(entry).digest == ARGV[1] then return tonumber(newest) end
end
local version = redis.call('INCR', KEYS[1])
redis.call('HSETNX', KEYS[3], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], version, ARGV[3])
redis.call('PUBLISH', ARGV[4], version)
return version
"""


# The same content under the next number, if nobody published another meanwhile. KEYS: version, versions; ARGV: the
# version meant, the history's entry as JSON, channel.
PUBLISH_AGAIN = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local version = redis.call('INCR', KEYS[1])
redis.call('HSET', KEYS[2], version, ARGV[2])
redis.call('PUBLISH', ARGV[3], version)
return version
"""


# Other keys, if nobody published another version meanwhile; what ends stays ended whatever is published later.
# KEYS: version, versions, bodies, ended; ARGV: the version meant, digest, body, the history's entry as JSON,
# channel, then the SHA-256 of a key and when it ends for each.
CHANGE_KEYS = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local version = redis.call('INCR', KEYS[1])
redis.call('HSETNX', KEYS[3], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], version, ARGV[4])
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
redis.call('PUBLISH', ARGV[5], version)
return version
"""


# A number that was lost gets its content back; the newest stays the newest. KEYS and ARGV as above, and the number.
RESTORE = """
local version = tonumber(ARGV[5])
if redis.call('HEXISTS', KEYS[2], version) == 1 then return 0 end
redis.call('HSETNX', KEYS[3], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[2], version, ARGV[3])
if version > tonumber(redis.call('GET', KEYS[1]) or '0') then redis.call('SET', KEYS[1], version) end
redis.call('PUBLISH', ARGV[4], version)
return version
"""
