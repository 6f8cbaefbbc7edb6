-- Moves the progress of marking. KEYS[1] progress. ARGV: partition, from (empty for none), to.
local now = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if now ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1
