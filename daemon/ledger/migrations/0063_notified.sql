-- Whether the chat was told, or for all of them the operator, that the budget of the day is spent.
ALTER TABLE usage_days RENAME COLUMN told TO notified;
