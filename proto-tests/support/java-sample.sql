-- A small dump in the manner of netty-socketio sample applications (Spring Boot, MyBatis): what deploy/migration reads.
CREATE DATABASE java_im CHARACTER SET utf8mb4;
USE java_im;

CREATE TABLE users (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, username varchar(50) NOT NULL UNIQUE, password varchar(255) NOT NULL,
  nickname varchar(50), avatar varchar(255), phone varchar(20), email varchar(100), status tinyint DEFAULT 1,
  create_time datetime DEFAULT CURRENT_TIMESTAMP
);
INSERT INTO users (id, username, password, nickname, phone, email, create_time) VALUES
  (1, 'anna', '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy', 'Anna', '13800000001', 'anna@example.org', '2024-01-01 08:00:00'),
  (2, 'bo', '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy', '小波', '', '', '2024-01-01 08:00:01'),
  (3, 'chen', '$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy', NULL, '', NULL, '2024-01-01 08:00:02');

CREATE TABLE messages (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, message_id varchar(64) NOT NULL, from_user_id bigint NOT NULL, to_user_id bigint,
  group_id bigint, message_type int DEFAULT 1, content text, file_url varchar(500), file_size bigint, file_name varchar(255),
  is_read tinyint DEFAULT 0, is_deleted tinyint DEFAULT 0, reply_to_message_id varchar(64), create_time datetime
);
-- Written out of order; 1 and 2 have read each other's first, and not what came last; one was deleted, one has a name of its own.
INSERT INTO messages VALUES
  (11, '0f8fad5b-d9cb-469f-a165-70867728950e', 2, 1, NULL, 1, '第二条', NULL, NULL, NULL, 1, 0, '7C9E6679-7425-40DE-944B-E07FC1F90AE7', '2024-05-01 10:00:01'),
  (10, '7C9E6679-7425-40DE-944B-E07FC1F90AE7', 1, 2, NULL, 1, 'first 😀', '', NULL, NULL, 1, 0, NULL, '2024-05-01 10:00:00'),
  (12, 'msg_1714528802', 1, 2, NULL, 2, 'a picture', 'https://files.example/p.png', 1234, 'p.png', 1, 0, '11', '2024-05-01 10:00:02'),
  (13, '6ba7b8109dad11d180b400c04fd430c8', 2, 1, NULL, 1, 'to be deleted', NULL, NULL, NULL, 0, 1, NULL, '2024-05-01 10:00:03'),
  (14, '6ba7b811-9dad-11d1-80b4-00c04fd430c8', 2, 1, NULL, 9, 'of a type of its own', NULL, NULL, NULL, 1, 0, 'nothing', '2024-05-01 10:00:03'),
  (15, '6ba7b812-9dad-11d1-80b4-00c04fd430c8', 1, NULL, 77, 1, 'to all', NULL, NULL, NULL, 0, 0, NULL, '2024-05-01 10:00:04'),
  (16, '6ba7b814-9dad-11d1-80b4-00c04fd430c8', 2, 0, 77, 1, 'to all, too', NULL, NULL, NULL, 0, 0, NULL, '2024-05-01 10:00:05'),
  (17, 'msg_to_nobody', 2, NULL, NULL, 1, 'lost', NULL, NULL, NULL, 0, 0, NULL, '2024-05-01 10:00:06');

CREATE TABLE chat_group (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, group_name varchar(100) NOT NULL, description varchar(500), avatar varchar(255),
  owner_id bigint NOT NULL, max_members int DEFAULT 200, is_public tinyint DEFAULT 1, create_time datetime
);
INSERT INTO chat_group VALUES (77, '三人行', NULL, NULL, 1, 200, 1, '2024-04-01 00:00:00');

CREATE TABLE group_member (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, group_id bigint NOT NULL, user_id bigint NOT NULL, role tinyint DEFAULT 0,
  is_muted tinyint DEFAULT 0, mute_until datetime, join_time datetime
);
INSERT INTO group_member (group_id, user_id, role, is_muted, join_time) VALUES
  (77, 1, 2, 0, '2024-04-01 00:00:00'), (77, 2, 1, 0, '2024-04-01 00:01:00'), (77, 3, 0, 1, '2024-04-01 00:02:00');

CREATE TABLE friendship (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY, user_id bigint NOT NULL, friend_id bigint NOT NULL, remark varchar(50),
  status tinyint DEFAULT 0, create_time datetime
);
INSERT INTO friendship (user_id, friend_id, remark, status, create_time) VALUES
  (1, 2, 'my Bo', 1, '2024-02-01 00:00:00'), (3, 1, 'it is Chen', 0, '2024-02-02 00:00:00');
