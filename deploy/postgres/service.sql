-- One service: its role, with a password verifier, and its own database.
select format('create role %I login', :'service')
where not exists (select from pg_roles where rolname = :'service') \gexec
select format('alter role %I password %L', :'service', :'verifier') \gexec

select format('create database %I owner %I', :'service', :'service')
where not exists (select from pg_database where datname = :'service') \gexec
-- By default every role may connect to every database.
select format('revoke all on database %I from public', :'service') \gexec
