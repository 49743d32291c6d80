-- WhatsApp shows one person now under the phone number, now under an opaque id (`…@lid`). Once the
-- pair is known, everything of the alias belongs to the chat.
CREATE TABLE aliases (
    channel TEXT NOT NULL,
    alias TEXT NOT NULL,
    chat TEXT NOT NULL,
    PRIMARY KEY (channel, alias)
) STRICT, WITHOUT ROWID;
