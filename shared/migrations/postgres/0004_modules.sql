-- What tasks need beside themselves: modules, what is bound to them, schedules, leases by name, and the small store of tasks.

CREATE TABLE module_bytes (
    digest text   NOT NULL PRIMARY KEY,
    size   bigint NOT NULL,
    bytes  bytea  NOT NULL
);

CREATE TABLE modules (
    tenant     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    version    text COLLATE "C" NOT NULL,
    digest     text             NOT NULL,
    size       bigint           NOT NULL,
    settings   text             NOT NULL,
    created_ms bigint           NOT NULL,
    created_by text             NOT NULL,
    PRIMARY KEY (tenant, name, version)
);

CREATE INDEX modules_by_age ON modules (tenant, name, created_ms, version);
CREATE INDEX modules_by_digest ON modules (digest);

CREATE TABLE module_aliases (
    tenant     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    alias      text COLLATE "C" NOT NULL,
    version    text COLLATE "C" NOT NULL,
    previous   text,
    changed_ms bigint           NOT NULL,
    changed_by text             NOT NULL,
    PRIMARY KEY (tenant, name, alias)
);

CREATE TABLE bindings (
    tenant      text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    type        text             NOT NULL,
    module      text             NOT NULL,
    deadline_ms bigint           NOT NULL,
    on_timeout  text             NOT NULL,
    changed_ms  bigint           NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE TABLE schedules (
    tenant     text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL,
    settings   text             NOT NULL,
    key        bytea            NOT NULL,
    headers    bytea            NOT NULL,
    payload    bytea            NOT NULL,
    enabled    boolean          NOT NULL,
    next_ms    bigint,
    fired_ms   bigint,
    count      bigint           NOT NULL,
    revision   bigint           NOT NULL,
    changed_ms bigint           NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE INDEX schedules_by_next ON schedules (next_ms, tenant, name) WHERE enabled;

CREATE TABLE leases (
    name     text   NOT NULL PRIMARY KEY,
    holder   text   NOT NULL,
    until_ms bigint NOT NULL
);

-- How many entries a space has, and the last version that was given in it: kept when its entries are gone.
CREATE TABLE key_spaces (
    tenant  text COLLATE "C" NOT NULL,
    space   text COLLATE "C" NOT NULL,
    entries bigint           NOT NULL,
    version bigint           NOT NULL,
    PRIMARY KEY (tenant, space)
);

CREATE TABLE key_values (
    tenant  text COLLATE "C" NOT NULL,
    space   text COLLATE "C" NOT NULL,
    key     bytea            NOT NULL,
    value   bytea            NOT NULL,
    version bigint           NOT NULL,
    PRIMARY KEY (tenant, space, key)
);
