-- Enters a route. KEYS[1] bucket. ARGV: recipient, packed route, and on a second try the ids of the nodes with a lease.
-- Answers 0 when there is no room and no third argument; else 1.
local packed = redis.call('HGET', KEYS[1], ARGV[1]) or '\0'
local first = 2 + math.floor(string.byte(packed) / 4)
local session = string.sub(ARGV[2], 1, 8)
for at = first, #packed, 16 do
  if string.sub(packed, at, at + 7) == session then
    if string.sub(packed, at, at + 15) ~= ARGV[2] then
      redis.call('HSET', KEYS[1], ARGV[1], string.sub(packed, 1, at - 1) .. ARGV[2] .. string.sub(packed, at + 16))
    end
    return 1
  end
end
if #packed - first + 1 >= 16 * 16 then
  local leased = ARGV[3]
  if not leased then return 0 end
  local out = first
  for at = first, #packed, 16 do
    local node, lives = string.sub(packed, at + 8, at + 15), false
    for other = 1, #leased, 8 do
      if string.sub(leased, other, other + 7) == node then lives = true break end
    end
    if not lives then out = at break end
  end
  packed = string.sub(packed, 1, out - 1) .. string.sub(packed, out + 16)
end
redis.call('HSET', KEYS[1], ARGV[1], packed .. ARGV[2])
return 1
