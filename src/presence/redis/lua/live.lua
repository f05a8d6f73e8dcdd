-- The clock that all leases are measured by, and the nodes whose lease stands.
--
-- The hash of nodes holds for each node: EPOCH DEADLINE RUN ABOUT. Deadline: in milliseconds of this server's clock.
-- Run: a random name of the process. About: JSON, of no concern here. Keys are not declared to the server one by
-- one, which it does not know before it has read the hash: all have one hash tag, so they are in one slot.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function users_of(prefix, node, epoch)
  return prefix .. node .. ':' .. string.format('%.0f', epoch)
end

-- Calls `visit(node, epoch, expired, run, entry)` for each entry. One that can't be read is left alone.
local function each_node(nodes, visit)
  local entries = redis.call('HGETALL', nodes)
  for i = 1, #entries, 2 do
    local epoch, deadline, run = string.match(entries[i + 1], '^(%d+) (%d+) (%S+) ')
    if epoch then
      visit(entries[i], tonumber(epoch), tonumber(deadline) <= now, run, entries[i + 1])
    end
  end
end
