-- +goose Up
-- What the agent stated in the request of how the key came to be, in JSON; empty for nothing, as for what was issued before.
ALTER TABLE certificates ADD COLUMN key_origin TEXT NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE certificates DROP COLUMN key_origin;
