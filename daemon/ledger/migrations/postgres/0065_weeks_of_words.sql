-- Versions since 64 go on with this step.
-- It is about SQLite's index: nothing changes here.
SELECT 1;
