-- Flags clean if the version is still the one given. KEYS[1] bucket. ARGV: recipient, version as 8 bytes.
local packed = redis.call('HGET', KEYS[1], ARGV[1]) or '\0'
local zero = string.rep('\0', 8)
local flag, first = string.byte(packed), 2
if flag == 0 then
  if ARGV[2] ~= zero then return 0 end
else
  if string.sub(packed, 2, 9) ~= ARGV[2] then return 0 end
  if flag == 1 then return 1 end
  if ARGV[2] == zero then return 0 end
  first = 10
end
redis.call('HSET', KEYS[1], ARGV[1], '\1' .. ARGV[2] .. string.sub(packed, first))
return 1
