//! The tables, for each database, and their history: numbered steps, applied once each, in order.
//!
//! A step that has been released never changes; the schema changes by a new step at the end. Steps of SQLite run in a
//! transaction. Those of MySQL commit by themselves, so each statement must be one that can run again: a crash can cut
//! a step short. Both have the same tables and columns, except where a comment says so.
//!
//! Integers are signed and fit 64 bits, times end in `_ms` (since 1970, UTC), and there are no foreign keys to users: in
//! open mode nobody is registered. What MySQL compares as text is `VARBINARY`, because its collations, even the
//! binary one, take no notice of spaces at the end.

/// Brings the schema from one version to the next.
pub(super) struct Step {
    /// For SQLite.
    pub sqlite: &'static str,
    /// For MySQL and MariaDB.
    pub mysql: &'static str,
}

/// Step n, counted from 1, leads to version n.
pub(super) const STEPS: &[Step] = &[MESSAGES, PEOPLE, MUTES];

/// Messages in conversations.
///
/// The last seq of a conversation is that of its last message, one look into the index. Rows are never removed, so that
/// seq stays without a gap. The recipient of a private message is the other user of its conversation.
///
/// MySQL keeps `last_seq` and `last_at_ms` in the conversation as well: whoever appends locks that row, and so learns
/// them on the way.
const MESSAGES: Step = Step {
    sqlite: "
    CREATE TABLE conversations (
        id        INTEGER PRIMARY KEY,
        kind      INTEGER NOT NULL CHECK (kind IN (1, 2)), -- 1 private, 2 group
        first_id  INTEGER NOT NULL,                        -- the lower user id, or the group id
        second_id INTEGER NOT NULL,                        -- the higher user id, or 0
        UNIQUE (kind, first_id, second_id)
    ) STRICT;

    CREATE TABLE messages (
        id                  INTEGER PRIMARY KEY,
        message_id          BLOB    NOT NULL, -- UUID, 16 bytes
        conversation_id     INTEGER NOT NULL REFERENCES conversations (id),
        seq                 INTEGER NOT NULL CHECK (seq >= 1),
        from_user_id        INTEGER NOT NULL,
        message_type        INTEGER NOT NULL,
        content             TEXT    NOT NULL,
        file_url            TEXT,
        file_size           INTEGER,
        file_name           TEXT,
        reply_to_message_id TEXT,
        client_message_id   TEXT,
        created_at_ms       INTEGER NOT NULL
    ) STRICT;

    CREATE UNIQUE INDEX messages_by_place ON messages (conversation_id, seq);
    CREATE UNIQUE INDEX messages_by_client_id ON messages (from_user_id, client_message_id)
        WHERE client_message_id IS NOT NULL;
    ",
    mysql: "
    CREATE TABLE IF NOT EXISTS conversations (
        id         BIGINT  NOT NULL AUTO_INCREMENT PRIMARY KEY,
        kind       TINYINT NOT NULL,           -- 1 private, 2 group
        first_id   BIGINT  NOT NULL,           -- the lower user id, or the group id
        second_id  BIGINT  NOT NULL,           -- the higher user id, or 0
        last_seq   BIGINT  NOT NULL DEFAULT 0,
        last_at_ms BIGINT  NULL,               -- when the last message was accepted
        UNIQUE KEY conversations_by_name (kind, first_id, second_id),
        KEY conversations_by_second_id (second_id, kind, first_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    CREATE TABLE IF NOT EXISTS messages (
        id                  BIGINT     NOT NULL AUTO_INCREMENT PRIMARY KEY,
        message_id          BINARY(16) NOT NULL,           -- UUID
        conversation_id     BIGINT     NOT NULL,
        seq                 BIGINT     NOT NULL,
        from_user_id        BIGINT     NOT NULL,
        message_type        TINYINT    NOT NULL,
        content             MEDIUMTEXT NOT NULL,
        file_url            TEXT       NULL,
        file_size           BIGINT     NULL,
        file_name           TEXT       NULL,
        reply_to_message_id TEXT       NULL,
        client_message_id   VARBINARY(255) NULL,
        created_at_ms       BIGINT     NOT NULL,
        is_deleted          TINYINT    NOT NULL DEFAULT 0, -- 0 no, 1 recalled, 2 deleted
        UNIQUE KEY messages_by_message_id (message_id),
        UNIQUE KEY messages_by_place (conversation_id, seq),
        UNIQUE KEY messages_by_client_id (from_user_id, client_message_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    ",
};

/// Whether a message was recalled, how far everybody has read, groups, friends and users.
const PEOPLE: Step = Step {
    sqlite: "
    ALTER TABLE messages ADD COLUMN is_deleted INTEGER NOT NULL DEFAULT 0; -- 0 no, 1 recalled, 2 deleted
    CREATE UNIQUE INDEX messages_by_message_id ON messages (message_id);
    CREATE INDEX conversations_by_second_id ON conversations (second_id, kind, first_id);

    CREATE TABLE read_positions (
        user_id         INTEGER NOT NULL,
        conversation_id INTEGER NOT NULL,
        seq             INTEGER NOT NULL, -- up to here, and this one too
        at_ms           INTEGER NOT NULL,
        PRIMARY KEY (user_id, conversation_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE im_groups (
        id              INTEGER PRIMARY KEY,
        name            TEXT    NOT NULL,
        description     TEXT,
        avatar          TEXT,
        owner_id        INTEGER NOT NULL,
        max_members     INTEGER NOT NULL,
        is_public       INTEGER NOT NULL,
        created_at_ms   INTEGER NOT NULL,
        dissolved_at_ms INTEGER
    ) STRICT;

    CREATE TABLE group_members (
        group_id       INTEGER NOT NULL,
        user_id        INTEGER NOT NULL,
        role           INTEGER NOT NULL CHECK (role IN (0, 1, 2)), -- member, admin, owner
        joined_at_ms   INTEGER NOT NULL,
        muted_until_ms INTEGER,
        PRIMARY KEY (group_id, user_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX group_members_by_user ON group_members (user_id);

    CREATE TABLE friend_requests (
        from_user_id INTEGER NOT NULL,
        to_user_id   INTEGER NOT NULL,
        remark       TEXT, -- what the one calls the other, once they are friends
        at_ms        INTEGER NOT NULL,
        PRIMARY KEY (from_user_id, to_user_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX friend_requests_by_recipient ON friend_requests (to_user_id);

    -- Two rows for each friendship, one for each side.
    CREATE TABLE friends (
        user_id   INTEGER NOT NULL,
        friend_id INTEGER NOT NULL,
        remark    TEXT,
        since_ms  INTEGER NOT NULL,
        PRIMARY KEY (user_id, friend_id)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE blocks (
        user_id    INTEGER NOT NULL,
        blocked_id INTEGER NOT NULL,
        since_ms   INTEGER NOT NULL,
        PRIMARY KEY (user_id, blocked_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX blocks_by_blocked ON blocks (blocked_id);

    CREATE TABLE users (
        id            INTEGER PRIMARY KEY,
        username      TEXT    NOT NULL UNIQUE,
        phone         TEXT    UNIQUE,
        email         TEXT    UNIQUE,
        nickname      TEXT,
        avatar        TEXT,
        password_hash TEXT    NOT NULL,
        is_admin      INTEGER NOT NULL,
        created_at_ms INTEGER NOT NULL
    ) STRICT;
    ",
    mysql: "
    CREATE TABLE IF NOT EXISTS read_positions (
        user_id         BIGINT NOT NULL,
        conversation_id BIGINT NOT NULL,
        seq             BIGINT NOT NULL,
        at_ms           BIGINT NOT NULL,
        PRIMARY KEY (user_id, conversation_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    CREATE TABLE IF NOT EXISTS im_groups (
        id              BIGINT  NOT NULL AUTO_INCREMENT PRIMARY KEY,
        name            TEXT    NOT NULL,
        description     TEXT    NULL,
        avatar          TEXT    NULL,
        owner_id        BIGINT  NOT NULL,
        max_members     BIGINT  NOT NULL,
        is_public       TINYINT NOT NULL,
        created_at_ms   BIGINT  NOT NULL,
        dissolved_at_ms BIGINT  NULL
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    CREATE TABLE IF NOT EXISTS group_members (
        group_id       BIGINT  NOT NULL,
        user_id        BIGINT  NOT NULL,
        role           TINYINT NOT NULL,
        joined_at_ms   BIGINT  NOT NULL,
        muted_until_ms BIGINT  NULL,
        PRIMARY KEY (group_id, user_id),
        KEY group_members_by_user (user_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    CREATE TABLE IF NOT EXISTS friend_requests (
        from_user_id BIGINT NOT NULL,
        to_user_id   BIGINT NOT NULL,
        remark       TEXT   NULL,
        at_ms        BIGINT NOT NULL,
        PRIMARY KEY (from_user_id, to_user_id),
        KEY friend_requests_by_recipient (to_user_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    CREATE TABLE IF NOT EXISTS friends (
        user_id   BIGINT NOT NULL,
        friend_id BIGINT NOT NULL,
        remark    TEXT   NULL,
        since_ms  BIGINT NOT NULL,
        PRIMARY KEY (user_id, friend_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    CREATE TABLE IF NOT EXISTS blocks (
        user_id    BIGINT NOT NULL,
        blocked_id BIGINT NOT NULL,
        since_ms   BIGINT NOT NULL,
        PRIMARY KEY (user_id, blocked_id),
        KEY blocks_by_blocked (blocked_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

    CREATE TABLE IF NOT EXISTS users (
        id            BIGINT         NOT NULL AUTO_INCREMENT PRIMARY KEY,
        username      VARBINARY(255) NOT NULL UNIQUE,
        phone         VARBINARY(255) NULL UNIQUE,
        email         VARBINARY(255) NULL UNIQUE,
        nickname      TEXT           NULL,
        avatar        TEXT           NULL,
        password_hash TEXT           NOT NULL,
        is_admin      TINYINT        NOT NULL,
        created_at_ms BIGINT         NOT NULL
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    ",
};

/// Mutes of those who have left their group, kept until they are over: leaving and coming back does not end one.
const MUTES: Step = Step {
    sqlite: "
    CREATE TABLE group_mutes (
        group_id INTEGER NOT NULL,
        user_id  INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (group_id, user_id)
    ) STRICT, WITHOUT ROWID;
    ",
    mysql: "
    CREATE TABLE IF NOT EXISTS group_mutes (
        group_id BIGINT NOT NULL,
        user_id  BIGINT NOT NULL,
        until_ms BIGINT NOT NULL,
        PRIMARY KEY (group_id, user_id)
    ) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
    ",
};
