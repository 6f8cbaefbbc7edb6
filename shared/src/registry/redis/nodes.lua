-- The nodes with a lease: id, address, id, address, … Forgets lapsed ones. KEYS[1] nodes.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local all, leased = redis.call('HGETALL', KEYS[1]), {}
for at = 1, #all, 2 do
  if all[at] ~= 'epoch' then
    local bar = string.find(all[at + 1], '|', 1, true)
    if tonumber(string.sub(all[at + 1], 1, bar - 1)) > now then
      leased[#leased + 1] = all[at]
      leased[#leased + 1] = string.sub(all[at + 1], bar + 1)
    else
      redis.call('HDEL', KEYS[1], all[at])
    end
  end
end
return leased
