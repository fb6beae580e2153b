-- The roles of compose.ha.yaml. Patroni makes them only when it makes the cluster; this one may be older.
select format('create role %I login replication', 'replicator')
where not exists (select from pg_roles where rolname = 'replicator') \gexec
select format('create role %I login', 'rewind') where not exists (select from pg_roles where rolname = 'rewind') \gexec
select format('alter role %I password %L', 'replicator', :'replicator') \gexec
select format('alter role %I password %L', 'rewind', :'rewind') \gexec
grant execute on function pg_ls_dir(text, boolean, boolean), pg_stat_file(text, boolean), pg_read_binary_file(text),
    pg_read_binary_file(text, bigint, bigint, boolean) to rewind;
