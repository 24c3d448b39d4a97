DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tokenctl_admin') THEN
    CREATE ROLE tokenctl_admin LOGIN;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'tokenctl_verify') THEN
    CREATE ROLE tokenctl_verify LOGIN CONNECTION LIMIT 100;
    ALTER ROLE tokenctl_verify SET statement_timeout = '2s';
    ALTER ROLE tokenctl_verify SET idle_in_transaction_session_timeout = '10s';
  END IF;
END $$;
GRANT USAGE ON SCHEMA tokenctl, tokenctl_read TO tokenctl_admin;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tokenctl TO tokenctl_admin;
REVOKE INSERT, UPDATE, DELETE ON tokenctl.meta FROM tokenctl_admin;
GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA tokenctl TO tokenctl_admin;
GRANT EXECUTE ON FUNCTION tokenctl_read.record_use, tokenctl_read.heartbeat TO tokenctl_admin;
GRANT USAGE ON SCHEMA tokenctl_read TO tokenctl_verify;
GRANT SELECT ON ALL TABLES IN SCHEMA tokenctl_read TO tokenctl_verify;
GRANT EXECUTE ON FUNCTION tokenctl_read.record_use, tokenctl_read.heartbeat TO tokenctl_verify;
