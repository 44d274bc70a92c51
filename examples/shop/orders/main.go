// Command orders takes orders over HTTP, keeps them in Postgres and tells the carrier.
package main

import (
	"database/sql"
	"log/slog"
	"net/http"
	"os"
	"time"

	_ "github.com/lib/pq"
)

func main() {
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	if err := run(log); err != nil {
		log.Error("orders stopped", "error", err)
		os.Exit(1)
	}
}

func run(log *slog.Logger) error {
	db, err := sql.Open("postgres", os.Getenv("ORDERS_DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close()

	shop := &Shop{
		store:    &Store{db: db},
		rates:    NewRates(os.Getenv("ORDERS_RATES_URL")),
		invoices: os.Getenv("ORDERS_INVOICES"),
		log:      log,
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", shop.create)
	mux.HandleFunc("GET /orders", shop.search)
	mux.HandleFunc("GET /orders/{id}/receipt", shop.receipt)
	mux.HandleFunc("GET /orders/{id}/invoice", shop.invoice)
	return http.ListenAndServe(os.Getenv("ORDERS_LISTEN"), timed(log, mux))
}

// timed logs how long each request took.
func timed(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		next.ServeHTTP(w, r)
		log.Info("served", "method", r.Method, "path", r.URL.Path, "took", time.Now().Sub(start))
	})
}
