-- What tasks need beside themselves: modules, what is bound to them, schedules, leases by name, and the small store of tasks.

CREATE TABLE module_bytes (
    digest TEXT    NOT NULL PRIMARY KEY,
    size   INTEGER NOT NULL,
    bytes  BLOB    NOT NULL
);

CREATE TABLE modules (
    tenant     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    digest     TEXT    NOT NULL,
    size       INTEGER NOT NULL,
    settings   TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    created_by TEXT    NOT NULL,
    PRIMARY KEY (tenant, name, version)
);

CREATE INDEX modules_by_age ON modules (tenant, name, created_ms, version);
CREATE INDEX modules_by_digest ON modules (digest);

CREATE TABLE module_aliases (
    tenant     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    alias      TEXT    NOT NULL,
    version    TEXT    NOT NULL,
    previous   TEXT,
    changed_ms INTEGER NOT NULL,
    changed_by TEXT    NOT NULL,
    PRIMARY KEY (tenant, name, alias)
) WITHOUT ROWID;

CREATE TABLE bindings (
    tenant      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    type        TEXT    NOT NULL,
    module      TEXT    NOT NULL,
    deadline_ms INTEGER NOT NULL,
    on_timeout  TEXT    NOT NULL,
    changed_ms  INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) WITHOUT ROWID;

CREATE TABLE schedules (
    tenant     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    settings   TEXT    NOT NULL,
    key        BLOB    NOT NULL,
    headers    BLOB    NOT NULL,
    payload    BLOB    NOT NULL,
    enabled    INTEGER NOT NULL,
    next_ms    INTEGER,
    fired_ms   INTEGER,
    count      INTEGER NOT NULL,
    revision   INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE INDEX schedules_by_next ON schedules (next_ms, tenant, name) WHERE enabled;

CREATE TABLE leases (
    name     TEXT    NOT NULL PRIMARY KEY,
    holder   TEXT    NOT NULL,
    until_ms INTEGER NOT NULL
) WITHOUT ROWID;

-- How many entries a space has, and the last version that was given in it: kept when its entries are gone.
CREATE TABLE key_spaces (
    tenant  TEXT    NOT NULL,
    space   TEXT    NOT NULL,
    entries INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant, space)
) WITHOUT ROWID;

CREATE TABLE key_values (
    tenant  TEXT    NOT NULL,
    space   TEXT    NOT NULL,
    key     BLOB    NOT NULL,
    value   BLOB    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant, space, key)
);
