-- The first users above an id, of each node.
--
-- KEYS: 1 the hash of nodes. ARGV: 1 prefix of the users' keys, 2 a node to leave out, 3 the id, 4 how many of each node.
-- Answers: members.
local found = {}
each_node(KEYS[1], function(node, epoch, expired)
  if node ~= ARGV[2] and not expired then
    local key = users_of(ARGV[1], node, epoch)
    for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. ARGV[3], '+inf', 'LIMIT', 0, ARGV[4])) do
      found[#found + 1] = member
    end
  end
end)
return found
