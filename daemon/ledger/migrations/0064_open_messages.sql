-- What no turn has answered, in the order of arrival: messages of many chats go into one page.
DROP INDEX messages_open;
CREATE INDEX messages_open ON messages (channel, seq) WHERE state IN ('received', 'in_turn');
