-- Flags clean if the version is still the one given. KEYS[1] bucket. ARGV: recipient, version.
local packed = redis.call('HGET', KEYS[1], ARGV[1]) or '\0'
local head = string.byte(packed)
local flag, length = head % 4, math.floor(head / 4)
if flag == 0 then
  if ARGV[2] ~= '' then return 0 end
else
  if string.sub(packed, 2, 1 + length) ~= ARGV[2] then return 0 end
  if flag == 1 then return 1 end
  if ARGV[2] == '' then return 0 end
end
local entry = string.char(1 + 4 * #ARGV[2]) .. ARGV[2] .. string.sub(packed, 2 + length)
redis.call('HSET', KEYS[1], ARGV[1], entry)
return 1
