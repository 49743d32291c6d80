-- Under which ids of the gateway's a number was stored before it had a name: tombstones are hashed
-- with them. See daemon/ledger/former_channels.py.
CREATE TABLE former_channels (
    channel TEXT NOT NULL PRIMARY KEY,
    number TEXT NOT NULL
) STRICT;
CREATE INDEX former_channels_by_number ON former_channels (number);
