-- Where users are, at one moment.
--
-- KEYS: 1 the hash of nodes. ARGV: 1 prefix of the users' keys, 2 a node to leave out, then user ids.
-- Answers: now, the nodes and their entries, the nodes and members that were found.
local others, found = {}, {}
each_node(KEYS[1], function(node, epoch, expired, _, entry)
  if node ~= ARGV[2] and not expired then
    others[#others + 1] = node
    others[#others + 1] = entry
    local key = users_of(ARGV[1], node, epoch)
    for i = 3, #ARGV do
      for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, ARGV[i], ARGV[i])) do
        found[#found + 1] = node
        found[#found + 1] = member
      end
    end
  end
end)
return { now, others, found }
