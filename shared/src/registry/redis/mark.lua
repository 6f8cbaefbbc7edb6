-- Flags a backlog. KEYS[1] bucket. ARGV: recipient, version as 8 bytes.
local packed = redis.call('HGET', KEYS[1], ARGV[1]) or '\0'
local version, first = ARGV[2], 2
if string.byte(packed) ~= 0 then
  first = 10
  -- Compared in halves: a Lua number holds 53 bits.
  local high, low = struct.unpack('>I4I4', string.sub(packed, 2, 9))
  local new_high, new_low = struct.unpack('>I4I4', ARGV[2])
  if high > new_high or (high == new_high and low > new_low) then version = string.sub(packed, 2, 9) end
end
redis.call('HSET', KEYS[1], ARGV[1], '\2' .. version .. string.sub(packed, first))
return 1
