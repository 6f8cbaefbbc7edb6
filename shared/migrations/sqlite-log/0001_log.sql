-- The embedded log. A topic's slot is its number inside this file: topics of another prefix or generation have slots
-- of their own.
create table topics (
    slot integer primary key,
    name text not null unique,
    partitions integer not null
) strict;

-- Up to where retention has deleted, so that offsets never start again. Where a partition ends follows from its records.
create table partitions (
    slot integer not null,
    partition integer not null,
    first integer not null,
    primary key (slot, partition)
) strict, without rowid;

-- place = slot, partition and offset packed into one integer: one tree, each partition a run of neighbours in it.
create table records (
    place integer primary key,
    appended_ms integer not null,
    body blob not null
) strict;

-- Up to where each group has finished.
create table commits (
    slot integer not null,
    group_name text not null,
    partition integer not null,
    next integer not null,
    primary key (slot, group_name, partition)
) strict, without rowid;
