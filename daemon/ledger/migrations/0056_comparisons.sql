-- What `recado rehearse --from` found: stored turns, answered again by a candidate.
CREATE TABLE comparisons (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL,
    at REAL NOT NULL,
    -- The candidate: its instructions' file, its model, and its version.
    instructions TEXT NOT NULL,
    model TEXT NOT NULL,
    version TEXT NOT NULL,
    simulated INTEGER NOT NULL CHECK (simulated IN (0, 1)),
    currency TEXT NOT NULL,
    left_out INTEGER NOT NULL,
    judge_micros INTEGER NOT NULL,
    -- With how many of the labelled judgements the judge agrees; 0 of 0 without one.
    agreed INTEGER NOT NULL,
    labelled INTEGER NOT NULL
) STRICT;

-- One turn of them. What was said and answered is the turn's; here is what differs.
CREATE TABLE compared_turns (
    id INTEGER PRIMARY KEY,
    comparison_id INTEGER NOT NULL REFERENCES comparisons (id),
    turn_id INTEGER NOT NULL REFERENCES turns (id),
    verdict TEXT NOT NULL
        CHECK (verdict IN ('failed', 'worse', 'changed', 'better', 'equal', 'same')),
    reason TEXT NOT NULL,
    answer TEXT NOT NULL,
    tools TEXT NOT NULL,
    not_recorded TEXT NOT NULL,
    micros INTEGER NOT NULL,
    seconds REAL NOT NULL,
    -- Which answer a person holds to be right.
    mark TEXT NOT NULL DEFAULT '' CHECK (mark IN ('', 'old', 'new', 'neither')),
    marked_by TEXT NOT NULL DEFAULT '',
    marked_at REAL
) STRICT;
CREATE INDEX compared_turns_by_comparison ON compared_turns (comparison_id, id);
CREATE INDEX compared_turns_by_turn ON compared_turns (turn_id);
