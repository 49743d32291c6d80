-- What a gateway that bills messages has charged one as (empty: not told yet), and the price of that by
-- the configured list, in millionths of the currency; and the sums of a day beside those of the model.
ALTER TABLE outbox ADD COLUMN charged_as TEXT NOT NULL DEFAULT '';
ALTER TABLE outbox ADD COLUMN charged_micros INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN gateway_micros INTEGER NOT NULL DEFAULT 0;
