-- The labels of numbers whose gateway has none: the desk's own list.
CREATE TABLE desk_labels (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    -- The name as names are compared.
    folded TEXT NOT NULL UNIQUE,
    -- One of `daemon.domain.labels.COLORS`.
    color TEXT NOT NULL
) STRICT;
