-- A node renews its lease, or takes one; removes the nodes whose lease has run out; and is told who is there.
--
-- KEYS: 1 the hash of nodes.
-- ARGV: 1 prefix of the users' keys, 2 the node, 3 its run, 4 the epoch that it holds (0: none), 5 how many members its
--   users' key should have, 6 lease in ms, 7 how long the keys live in ms, 8 what others should know about it, 9 the
--   epoch that it held before (0: none).
-- Answers: what became of the lease, its epoch, now, the nodes removed, the other nodes and their entries.
local nodes, prefix, me, run = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local held, members, lease, ttl = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7]

local mine
local removed, others = {}, {}
each_node(nodes, function(node, epoch, expired, owner, entry)
  if node == me then
    mine = { epoch = epoch, expired = expired, run = owner }
  elseif expired then
    -- Scripts run one at a time, so a node is removed once, by one reaper.
    redis.call('HDEL', nodes, node)
    redis.call('UNLINK', users_of(prefix, node, epoch))
    removed[#removed + 1] = node
  else
    others[#others + 1] = node
    others[#others + 1] = entry
  end
end)

local outcome = 'kept'
if held == 0 then
  outcome = (mine and not mine.expired) and 'succeeded' or 'new'
elseif mine and mine.run ~= run and not mine.expired then
  redis.call('UNLINK', users_of(prefix, me, held))
  return { 'replaced', 0, now, removed, others }
elseif not mine or mine.run ~= run or mine.expired then
  outcome = 'lost'
elseif mine.epoch ~= held or redis.call('ZCARD', users_of(prefix, me, held)) ~= members then
  -- An answer that gave a new epoch never arrived, or what was written is not what is there.
  outcome = 'unsure'
end

local epoch = held
if outcome ~= 'kept' then
  redis.call('UNLINK', users_of(prefix, me, held))
  epoch = math.max(now, held + 1)
  if mine then
    redis.call('UNLINK', users_of(prefix, me, mine.epoch))
    epoch = math.max(epoch, mine.epoch + 1)
  end
  -- A member that is no user: so the key is there, and has its time to live, before the first user.
  redis.call('ZADD', users_of(prefix, me, epoch), 0, '')
end
if ARGV[9] ~= '0' then
  -- What was sent before a connection was given up may arrive late, and bring a key back that nobody reads.
  redis.call('UNLINK', users_of(prefix, me, tonumber(ARGV[9])))
end
-- First what a server without memory allows: the lease is to be renewed there, too, and a script that has written may go on.
redis.call('PEXPIRE', nodes, ttl)
redis.call('HSET', nodes, me, string.format('%.0f %.0f %s %s', epoch, now + lease, run, ARGV[8]))
-- And for a hash that is there only now.
redis.call('PEXPIRE', nodes, ttl)
redis.call('PEXPIRE', users_of(prefix, me, epoch), ttl)
return { outcome, epoch, now, removed, others }
