-- Removes exactly one route. KEYS[1] bucket. ARGV: recipient, packed route.
local packed = redis.call('HGET', KEYS[1], ARGV[1])
if not packed then return 0 end
local first = 2 + math.floor(string.byte(packed) / 4)
for at = first, #packed, 16 do
  if string.sub(packed, at, at + 15) == ARGV[2] then
    packed = string.sub(packed, 1, at - 1) .. string.sub(packed, at + 16)
    if #packed == 1 then
      redis.call('HDEL', KEYS[1], ARGV[1])
    else
      redis.call('HSET', KEYS[1], ARGV[1], packed)
    end
    return 1
  end
end
return 0
