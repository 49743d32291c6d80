-- Instructions that are tried before they are for all, from the dashboard: the share of the chats that they
-- answer, 0 if they answer beside the others and nothing of it is sent. NULL for all other texts.
ALTER TABLE text_versions ADD COLUMN share REAL;
