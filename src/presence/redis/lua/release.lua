-- A node gives its lease up, and its users with it; unless another process has its name by now.
--
-- KEYS: 1 the hash of nodes. ARGV: 1 prefix of the users' keys, 2 the node, 3 its run, 4 the epoch that it holds.
each_node(KEYS[1], function(node, epoch, _, run)
  if node == ARGV[2] and run == ARGV[3] then
    redis.call('HDEL', KEYS[1], node)
    redis.call('UNLINK', users_of(ARGV[1], node, epoch))
  end
end)
redis.call('UNLINK', users_of(ARGV[1], ARGV[2], tonumber(ARGV[4])))
return 1
