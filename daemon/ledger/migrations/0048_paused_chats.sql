-- The chats that are or were paused, by when that ends: the dashboard's list asks for them each time.
CREATE INDEX chats_paused ON chats (paused_until) WHERE paused_until > 0;
