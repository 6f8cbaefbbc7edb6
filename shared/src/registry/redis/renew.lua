-- Takes or renews a lease. KEYS[1] nodes. ARGV: node, milliseconds, address, an epoch should there be none.
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', ends) .. '|' .. ARGV[3])
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[4])
return redis.call('HGET', KEYS[1], 'epoch')
