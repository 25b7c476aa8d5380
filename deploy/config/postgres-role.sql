-- A role for the collector that can add entries to the ledger, and cannot change or remove any.
--
-- 1. As the owner of the database, run `muster-collector init` once; it creates or updates the tables.
-- 2. As the owner, run this file: `psql -d DATABASE -f postgres-role.sql`.
-- 3. Give the role a password or a certificate.
-- 4. Set `store.url = "postgres://muster_collector@HOST/DATABASE?sslmode=verify-full&passfile=FILE"`.
-- Repeat 1 and 2 at every update.
--
-- The owner and superusers can still change everything. `muster ledger verify` finds a single change by the hashes. If the whole
-- ledger was rewritten, only a checkpoint or an export that is kept elsewhere shows it.
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'muster_collector') THEN
        CREATE ROLE muster_collector LOGIN;
    END IF;
END $$;

GRANT USAGE ON SCHEMA public TO muster_collector;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO muster_collector;
GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA public TO muster_collector;
-- Entries, the hashes under which they were sealed, and the version of the tables.
REVOKE UPDATE, DELETE ON ledger, ledger_leaf FROM muster_collector;
REVOKE INSERT, UPDATE, DELETE ON schema_version FROM muster_collector;
