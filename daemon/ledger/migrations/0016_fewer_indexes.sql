-- Each message that comes is entered into every index of its table, and most of them lie on a page
-- of its own that is then written too. So there is one index of what is open instead of two, and
-- messages without a turn are not in the index by turn.
DROP INDEX messages_waiting;
DROP INDEX messages_by_turn;
CREATE INDEX messages_by_turn ON messages (turn_id) WHERE turn_id IS NOT NULL;
