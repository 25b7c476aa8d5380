-- A role for the collector that can add entries to the ledger, and cannot change or remove any.
--
-- The owner of the database makes the tables: start one collector with the owner's address once (`muster-collector init`,
-- `muster-collector serve`), also after an update of Muster, because updates may change tables. Then run this file in the
-- database as its owner (`psql -d DATABASE -f postgres-role.sql`), give the role a password or a certificate, and start the
-- collectors with it: `store.url = "postgres://muster_collector@HOST/DATABASE"`.
--
-- The owner and superusers can still change everything. `muster ledger verify` finds it, by the hashes and an earlier checkpoint.
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
