-- Flags a backlog. KEYS[1] bucket. ARGV: recipient, version.
local packed = redis.call('HGET', KEYS[1], ARGV[1]) or '\0'
local head = string.byte(packed)
local length = math.floor(head / 4)
-- In halves: a Lua number holds 53 bits.
local function halves(version) return struct.unpack('>I4I4', string.rep('\0', 8 - #version) .. version) end
local version, own = ARGV[2], string.sub(packed, 2, 1 + length)
local high, low = halves(own)
local new_high, new_low = halves(version)
if high > new_high or (high == new_high and low > new_low) then version = own end
redis.call('HSET', KEYS[1], ARGV[1], string.char(2 + 4 * #version) .. version .. string.sub(packed, 2 + length))
return 1
