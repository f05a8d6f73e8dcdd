-- Carries the tables of a netty-socketio sample application over into those of tokio-socketio, in MySQL 8.0.16 or later or
-- MariaDB 10.6 or later. docs/from-netty-socketio.md says when and how; in short, with no node running and the old system stopped:
--
--     mariadb -u root OUR_DATABASE < from-java-sample.sql
--
-- A node must have made our tables first: start one on the empty database, and stop it again. The user needs to read the old
-- database and to create tables and views in ours.
--
-- The old tables are only read. All rows come in one transaction, so a run that fails changes nothing, and a run can be repeated:
-- what is here already stays as it is, and messages that have been written to the old tables since are added, behind what has
-- been written here. Ids of users and groups stay; where another user or group has one here already, the run stops at a
-- constraint whose name says so.

-- ------------------------------------------------------------------------------------------------ 1. To be adapted
-- The old database is `java_im`. These views give its columns our names; what yours calls otherwise is changed here, and
-- nowhere else. The time zone is that of the Java processes, which wrote local times.

SET time_zone = '+08:00';

CREATE OR REPLACE VIEW java_users AS SELECT
    id,
    username,
    nickname,
    avatar,
    phone,
    email,
    create_time AS created_at
FROM java_im.users;

CREATE OR REPLACE VIEW java_messages AS SELECT
    id,
    message_id,                           -- any text that names it; a UUID is kept, another name is replaced by a UUID
    from_user_id,
    to_user_id,                           -- NULL or 0 in a group
    group_id,                             -- NULL or 0 for a private message
    message_type,                         -- 1 text, 2 image, 3 file, 4 voice, 5 video; what is none of them becomes text
    content,
    file_url,
    file_size,
    file_name,
    is_read,
    is_deleted,                           -- not 0: keeps its place, and loses its content
    reply_to_message_id,                  -- a message_id, or an id
    create_time AS created_at
FROM java_im.messages;

CREATE OR REPLACE VIEW java_groups AS SELECT
    id,
    group_name AS name,
    description,
    avatar,
    owner_id,
    max_members,
    is_public,
    create_time AS created_at
FROM java_im.chat_group;

CREATE OR REPLACE VIEW java_group_members AS SELECT
    group_id,
    user_id,
    role,                                 -- 1 admin; the owner is the group's owner_id
    is_muted,
    mute_until,                           -- with is_muted and without mute_until: for good
    join_time AS joined_at
FROM java_im.group_member;

CREATE OR REPLACE VIEW java_friendships AS SELECT
    user_id,
    friend_id,                            -- one row or two for each friendship: both will do
    remark,                               -- what user_id calls friend_id
    status = 1 AS is_accepted,
    status = 0 AS is_pending,             -- user_id has asked, friend_id has not answered
    create_time AS created_at
FROM java_im.friendship;

-- ------------------------------------------------------------------------------------------------ 2. What must hold
-- Rows of what is to be carried over, each constraint a reason not to.

DROP TABLE IF EXISTS java_work_unread, java_work_messages, java_work_groups, java_work_users;

CREATE TABLE java_work_users (
    id         BIGINT  NOT NULL PRIMARY KEY,
    is_another TINYINT NOT NULL,
    CONSTRAINT a_user_id_is_not_within_1_to_2_pow_53 CHECK (id BETWEEN 1 AND 9007199254740991),
    CONSTRAINT a_user_id_is_taken_by_another_user CHECK (is_another = 0)
) ENGINE = InnoDB;

CREATE TABLE java_work_groups (
    id         BIGINT  NOT NULL PRIMARY KEY,
    is_another TINYINT NOT NULL,
    is_new     TINYINT NOT NULL,
    CONSTRAINT a_group_id_is_not_within_1_to_2_pow_53 CHECK (id BETWEEN 1 AND 9007199254740991),
    CONSTRAINT a_group_id_is_taken_by_another_group CHECK (is_another = 0)
) ENGINE = InnoDB;

CREATE TABLE java_work_messages (
    old_id        BIGINT         NOT NULL PRIMARY KEY,
    old_name      VARBINARY(255) NULL,
    message_id    BINARY(16)     NOT NULL,
    kind          TINYINT        NOT NULL,
    first_id      BIGINT         NOT NULL,
    second_id     BIGINT         NOT NULL,
    from_user_id  BIGINT         NOT NULL,
    is_read       TINYINT        NOT NULL,
    created_at_ms BIGINT         NOT NULL,
    CONSTRAINT two_messages_have_one_message_id UNIQUE (message_id),
    KEY by_conversation (kind, first_id, second_id),
    KEY by_old_name (old_name),
    CONSTRAINT a_sender_is_not_within_1_to_2_pow_53 CHECK (from_user_id BETWEEN 1 AND 9007199254740991),
    CONSTRAINT a_target_is_not_within_1_to_2_pow_53
        CHECK (first_id BETWEEN 1 AND 9007199254740991 AND second_id BETWEEN 0 AND 9007199254740991)
) ENGINE = InnoDB;

-- What may be unread of the conversations that are carried over: what is flagged so, and what was written here.
CREATE TABLE java_work_unread (
    conversation_id BIGINT  NOT NULL,
    seq             BIGINT  NOT NULL,
    from_user_id    BIGINT  NOT NULL,
    is_carried      TINYINT NOT NULL,
    PRIMARY KEY (conversation_id, seq)
) ENGINE = InnoDB;

INSERT INTO java_work_users
SELECT j.id, u.id IS NOT NULL AND u.username <> CAST(CONVERT(j.username USING utf8mb4) AS BINARY)
FROM java_users j LEFT JOIN users u ON u.id = j.id;

INSERT INTO java_work_groups
SELECT j.id, g.id IS NOT NULL AND g.created_at_ms <> CAST(UNIX_TIMESTAMP(j.created_at) * 1000 AS SIGNED), g.id IS NULL
FROM java_groups j LEFT JOIN im_groups g ON g.id = j.id;

-- A name that is no UUID becomes one of version 3, by the MD5 of the name, so that each run finds the same.
INSERT INTO java_work_messages
SELECT
    id,
    CAST(message_id AS BINARY),
    UNHEX(CASE
        WHEN REPLACE(message_id, '-', '') REGEXP '^[0-9A-Fa-f]{32}$' THEN REPLACE(message_id, '-', '')
        ELSE INSERT(INSERT(MD5(CONCAT('java message ', COALESCE(message_id, id))), 13, 1, '3'), 17, 1, '8')
    END),
    IF(group_id > 0, 2, 1),
    IF(group_id > 0, group_id, LEAST(from_user_id, to_user_id)),
    IF(group_id > 0, 0, GREATEST(from_user_id, to_user_id)),
    from_user_id,
    group_id > 0 OR COALESCE(is_read, 0) <> 0,
    CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED)
FROM (SELECT id, message_id, from_user_id, to_user_id, COALESCE(group_id, 0) AS group_id, is_read, created_at
      FROM java_messages) j
WHERE group_id > 0 OR to_user_id > 0;

-- ------------------------------------------------------------------------------------------------ 3. All or nothing
START TRANSACTION;

-- A bcrypt hash says nothing to argon2id: in its place stands the hash of a password that nobody has.
INSERT INTO users (id, username, phone, email, nickname, avatar, password_hash, is_admin, created_at_ms)
SELECT j.id, CONVERT(j.username USING utf8mb4), NULLIF(CONVERT(j.phone USING utf8mb4), ''),
    NULLIF(CONVERT(j.email USING utf8mb4), ''), j.nickname, j.avatar,
    '$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
    0, CAST(UNIX_TIMESTAMP(j.created_at) * 1000 AS SIGNED)
FROM java_users j
WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.id = j.id)
ORDER BY j.id;

INSERT INTO im_groups (id, name, description, avatar, owner_id, max_members, is_public, created_at_ms)
SELECT j.id, j.name, j.description, j.avatar, j.owner_id, COALESCE(j.max_members, 500), COALESCE(j.is_public, 0) <> 0,
    CAST(UNIX_TIMESTAMP(j.created_at) * 1000 AS SIGNED)
FROM java_groups j JOIN java_work_groups w ON w.id = j.id AND w.is_new = 1
ORDER BY j.id;

-- Members come with their group only: who has left it here since is not let in again by another run.
INSERT INTO group_members (group_id, user_id, role, joined_at_ms, muted_until_ms)
SELECT j.group_id, j.user_id,
    CASE WHEN j.user_id = g.owner_id THEN 2 WHEN j.role > 0 THEN 1 ELSE 0 END,
    COALESCE(CAST(UNIX_TIMESTAMP(j.joined_at) * 1000 AS SIGNED), g.created_at_ms),
    CASE
        WHEN j.mute_until IS NOT NULL THEN CAST(UNIX_TIMESTAMP(j.mute_until) * 1000 AS SIGNED)
        WHEN j.is_muted <> 0 THEN 253370764800000 -- the year 9999
    END
FROM java_group_members j
    JOIN java_work_groups w ON w.id = j.group_id AND w.is_new = 1
    JOIN im_groups g ON g.id = j.group_id;

INSERT INTO group_members (group_id, user_id, role, joined_at_ms)
SELECT g.id, g.owner_id, 2, g.created_at_ms
FROM im_groups g JOIN java_work_groups w ON w.id = g.id AND w.is_new = 1
WHERE NOT EXISTS (SELECT 1 FROM group_members m WHERE m.group_id = g.id AND m.user_id = g.owner_id);

-- Two rows for each friendship, each side with its own remark.
INSERT INTO friends (user_id, friend_id, remark, since_ms)
SELECT user_id, friend_id, MAX(remark), MIN(CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED))
FROM (
    SELECT user_id, friend_id, NULLIF(remark, '') AS remark, created_at FROM java_friendships WHERE is_accepted
    UNION ALL
    SELECT friend_id, user_id, NULL, created_at FROM java_friendships WHERE is_accepted
) j
WHERE NOT EXISTS (SELECT 1 FROM friends f WHERE f.user_id = j.user_id AND f.friend_id = j.friend_id)
GROUP BY user_id, friend_id;

INSERT INTO friend_requests (from_user_id, to_user_id, remark, at_ms)
SELECT user_id, friend_id, MAX(NULLIF(remark, '')), MIN(CAST(UNIX_TIMESTAMP(created_at) * 1000 AS SIGNED))
FROM java_friendships j
WHERE is_pending
    AND NOT EXISTS (SELECT 1 FROM friends f WHERE f.user_id = j.user_id AND f.friend_id = j.friend_id)
    AND NOT EXISTS (SELECT 1 FROM friend_requests r WHERE r.from_user_id = j.user_id AND r.to_user_id = j.friend_id)
GROUP BY user_id, friend_id;

INSERT INTO conversations (kind, first_id, second_id)
SELECT DISTINCT w.kind, w.first_id, w.second_id
FROM java_work_messages w
WHERE NOT EXISTS (
    SELECT 1 FROM conversations c
    WHERE c.kind = w.kind AND c.first_id = w.first_id AND c.second_id = w.second_id
);

-- Ids grow with time, as lists of conversations expect. seq goes on from the last one that the conversation has.
INSERT INTO messages (message_id, conversation_id, seq, from_user_id, message_type, content, file_url, file_size, file_name,
    reply_to_message_id, created_at_ms, is_deleted)
SELECT
    w.message_id,
    c.id,
    c.last_seq + ROW_NUMBER() OVER (PARTITION BY c.id ORDER BY w.created_at_ms, w.old_id),
    w.from_user_id,
    IF(j.message_type BETWEEN 1 AND 5, j.message_type, 1),
    IF(j.is_deleted <> 0, '', COALESCE(j.content, '')),
    IF(j.is_deleted <> 0, NULL, NULLIF(j.file_url, '')),
    IF(j.is_deleted <> 0, NULL, j.file_size),
    IF(j.is_deleted <> 0, NULL, NULLIF(j.file_name, '')),
    LOWER(INSERT(INSERT(INSERT(INSERT(HEX(COALESCE(
        (SELECT r.message_id FROM java_work_messages r WHERE r.old_name = CAST(j.reply_to_message_id AS BINARY) LIMIT 1),
        (SELECT r.message_id FROM java_work_messages r WHERE r.old_id =
            CAST(CASE WHEN j.reply_to_message_id REGEXP '^[0-9]{1,18}$' THEN j.reply_to_message_id END AS SIGNED))
    )), 21, 0, '-'), 17, 0, '-'), 13, 0, '-'), 9, 0, '-')),
    w.created_at_ms,
    IF(j.is_deleted <> 0, 2, 0)
FROM java_work_messages w
    JOIN java_messages j ON j.id = w.old_id
    JOIN conversations c ON c.kind = w.kind AND c.first_id = w.first_id AND c.second_id = w.second_id
WHERE NOT EXISTS (SELECT 1 FROM messages m WHERE m.message_id = w.message_id)
ORDER BY w.created_at_ms, w.old_id;

UPDATE conversations c
    JOIN (
        SELECT m.conversation_id, MAX(m.seq) AS last_seq, MAX(m.created_at_ms) AS last_at_ms
        FROM messages m JOIN java_work_messages w ON w.message_id = m.message_id
        GROUP BY m.conversation_id
    ) carried ON carried.conversation_id = c.id
SET c.last_seq = GREATEST(c.last_seq, carried.last_seq),
    c.last_at_ms = GREATEST(COALESCE(c.last_at_ms, 0), carried.last_at_ms);

-- One has read up to the first message of somebody else that is unread: by its flag, or, of what was written here, because it
-- is after the position that there is. In groups one flag for all members says nothing: members begin with all of it as read.
INSERT INTO java_work_unread
SELECT m.conversation_id, m.seq, m.from_user_id, w.message_id IS NOT NULL
FROM (SELECT DISTINCT kind, first_id, second_id FROM java_work_messages) carried
    JOIN conversations c
        ON c.kind = carried.kind AND c.first_id = carried.first_id AND c.second_id = carried.second_id
    JOIN messages m ON m.conversation_id = c.id
    LEFT JOIN java_work_messages w ON w.message_id = m.message_id
WHERE w.message_id IS NULL OR w.is_read = 0;

INSERT INTO read_positions (user_id, conversation_id, seq, at_ms)
SELECT reader.user_id, reader.conversation_id, COALESCE(MIN(x.seq) - 1, MAX(reader.last_seq)) AS read_seq,
    CAST(UNIX_TIMESTAMP() * 1000 AS SIGNED)
FROM (
    SELECT takes_part.user_id, c.id AS conversation_id, c.last_seq
    FROM (
        SELECT first_id AS user_id, kind, first_id, second_id FROM java_work_messages WHERE kind = 1
        UNION
        SELECT second_id, kind, first_id, second_id FROM java_work_messages WHERE kind = 1
        UNION
        SELECT g.user_id, 2, g.group_id, 0
        FROM group_members g JOIN (SELECT DISTINCT first_id FROM java_work_messages WHERE kind = 2) w ON w.first_id = g.group_id
    ) takes_part
        JOIN conversations c ON c.kind = takes_part.kind
            AND c.first_id = takes_part.first_id AND c.second_id = takes_part.second_id
) reader
    LEFT JOIN read_positions p ON p.user_id = reader.user_id AND p.conversation_id = reader.conversation_id
    LEFT JOIN java_work_unread x ON x.conversation_id = reader.conversation_id
        AND x.from_user_id <> reader.user_id AND (x.is_carried = 1 OR x.seq > COALESCE(p.seq, 0))
GROUP BY reader.user_id, reader.conversation_id
HAVING read_seq > 0
ON DUPLICATE KEY UPDATE
    at_ms = IF(VALUES(seq) > read_positions.seq, VALUES(at_ms), read_positions.at_ms),
    seq = GREATEST(read_positions.seq, VALUES(seq));

-- Ids of users and groups that are gone are not given out again, as far as anything is left of them: who came to have one would
-- read what was theirs. A row that is taken back at once moves the counts there.
SET @last_user = (SELECT MAX(id) FROM (
    SELECT MAX(from_user_id) AS id FROM messages
    UNION ALL SELECT MAX(second_id) FROM conversations WHERE kind = 1
    UNION ALL SELECT MAX(user_id) FROM group_members
    UNION ALL SELECT MAX(owner_id) FROM im_groups
    UNION ALL SELECT MAX(user_id) FROM friends
    UNION ALL SELECT MAX(GREATEST(from_user_id, to_user_id)) FROM friend_requests
) mentioned);
INSERT INTO users (id, username, password_hash, is_admin, created_at_ms)
SELECT @last_user, '', '', 0, 0 FROM DUAL WHERE @last_user > (SELECT COALESCE(MAX(id), 0) FROM users);
DELETE FROM users WHERE id = @last_user AND username = '';

SET @last_group = (SELECT MAX(first_id) FROM conversations WHERE kind = 2);
INSERT INTO im_groups (id, name, owner_id, max_members, is_public, created_at_ms)
SELECT @last_group, '', 0, 0, 0, 0 FROM DUAL WHERE @last_group > (SELECT COALESCE(MAX(id), 0) FROM im_groups);
DELETE FROM im_groups WHERE id = @last_group AND owner_id = 0;

COMMIT;

SELECT
    (SELECT COUNT(*) FROM java_work_users) AS users,
    (SELECT COUNT(*) FROM java_work_groups) AS `groups`,
    (SELECT COUNT(*) FROM java_work_messages) AS messages,
    (SELECT COUNT(*) FROM java_messages) - (SELECT COUNT(*) FROM java_work_messages) AS messages_to_nobody;

DROP TABLE java_work_unread, java_work_messages, java_work_groups, java_work_users;
DROP VIEW java_users, java_messages, java_groups, java_group_members, java_friendships;
