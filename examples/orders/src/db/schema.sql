-- Run once, on a new database, as one transaction: a start that fails here leaves nothing behind.
BEGIN IMMEDIATE;

PRAGMA application_id = 0x4F524452; -- "ORDR": tells this service's files from those of other programs

CREATE TABLE stock (
    sku         TEXT    PRIMARY KEY,
    price_cents INTEGER NOT NULL CHECK (price_cents > 0),
    quantity    INTEGER NOT NULL CHECK (quantity >= 0),
    recounts    INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE orders (
    id             INTEGER PRIMARY KEY,
    key            TEXT, -- as the client sent it, for people
    sku            TEXT    NOT NULL REFERENCES stock (sku),
    quantity       INTEGER NOT NULL CHECK (quantity > 0),
    shipping_cents INTEGER NOT NULL,
    total_cents    INTEGER NOT NULL,
    charge         TEXT    NOT NULL UNIQUE, -- a repetition whose record is gone meets its order here
    placed_at      TEXT    NOT NULL DEFAULT (strftime('%FT%H:%M:%fZ', 'now'))
) STRICT;

CREATE INDEX orders_by_sku ON orders (sku);

-- A hold that was released keeps its row, without goods: a late hold with the same id conflicts with that row.
CREATE TABLE holds (
    id       TEXT    PRIMARY KEY,
    sku      TEXT    REFERENCES stock (sku),
    quantity INTEGER CHECK (quantity > 0),
    CHECK ((sku IS NULL) = (quantity IS NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE transfers (
    id       INTEGER PRIMARY KEY,
    source   TEXT    NOT NULL REFERENCES stock (sku),
    target   TEXT    NOT NULL REFERENCES stock (sku),
    quantity INTEGER NOT NULL CHECK (quantity > 0)
) STRICT;

INSERT INTO stock (sku, price_cents, quantity)
VALUES ('tea', 450, 100), ('coffee', 700, 50), ('cocoa', 550, 10), ('kettle', 3900, 3);

INSERT INTO stock (sku, price_cents, quantity)
WITH RECURSIVE part (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM part WHERE n < 36)
SELECT printf('part-%02d', n), 100, 20 FROM part;

COMMIT;
