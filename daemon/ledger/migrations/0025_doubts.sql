-- The validators that doubted an answer which was sent all the same: a person should look at it.
ALTER TABLE turns ADD COLUMN doubt TEXT NOT NULL DEFAULT '';
CREATE INDEX turns_in_doubt ON turns (id) WHERE doubt != '';
