package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// ErrNoOrder means that no order has the id that was asked for.
var ErrNoOrder = errors.New("no such order")

// Store keeps orders in Postgres.
type Store struct{ db *sql.DB }

// Insert writes a new order and returns its id.
func (s *Store) Insert(ctx context.Context, o Order) (id string, err error) {
	lines, err := json.Marshal(o.Lines)
	if err != nil {
		return "", fmt.Errorf("encode lines: %w", err)
	}
	err = s.db.QueryRowContext(ctx,
		`INSERT INTO orders (customer, currency, total, note, lines) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		o.Customer, o.Currency, o.Total, o.Note, lines).Scan(&id)
	return id, err
}

// ByID reads one order.
func (s *Store) ByID(ctx context.Context, id string) (o Order, err error) {
	var lines []byte
	err = s.db.QueryRowContext(ctx, `SELECT id, customer, currency, total, note, lines FROM orders WHERE id = $1`, id).
		Scan(&o.ID, &o.Customer, &o.Currency, &o.Total, &o.Note, &lines)
	if errors.Is(err, sql.ErrNoRows) {
		return o, ErrNoOrder
	}
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(lines, &o.Lines)
}

// ByCustomer lists the orders of one customer, newest first, at most 100.
func (s *Store) ByCustomer(ctx context.Context, customer string) ([]Order, error) {
	query := fmt.Sprintf("SELECT id, currency, total FROM orders WHERE customer = '%s' ORDER BY id DESC LIMIT 100", customer)
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Order
	for rows.Next() {
		o := Order{Customer: customer}
		if err := rows.Scan(&o.ID, &o.Currency, &o.Total); err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, rows.Err()
}
