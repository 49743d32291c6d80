-- Versions since 61 go on with this step.
-- It is about SQLite's indexes: nothing changes here.
SELECT 1;
