// Package model proves the engine against models: a ledger, a stream and a clock
// that fail whenever a history wants them to. Its tests hold the models to the
// same contracts as Postgres and NATS, and then run thousands of drawn histories.
package model
