package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// maxOrder is the most bytes that one order may have.
const maxOrder = 64 << 10

// Shop answers the HTTP requests about orders.
type Shop struct {
	store    *Store
	rates    *Rates
	invoices string // the folder that the worker writes invoices into
	log      *slog.Logger
}

func (s *Shop) create(w http.ResponseWriter, r *http.Request) {
	var order Order
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&order); err != nil {
		http.Error(w, "the body must be one order as JSON", http.StatusBadRequest)
		return
	}
	if err := order.Check(); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	rate, err := s.rates.Of(r.Context(), order.Currency)
	if err != nil {
		s.fail(w, "rate", err)
		return
	}
	order.Total = int64(float64(order.Sum()-Discount(order)) * rate)
	id, err := s.store.Insert(r.Context(), order)
	if err != nil {
		s.fail(w, "insert", err)
		return
	}
	w.Header().Set("Location", "/orders/"+id)
	w.WriteHeader(http.StatusCreated)
}

func (s *Shop) search(w http.ResponseWriter, r *http.Request) {
	orders, err := s.store.ByCustomer(r.Context(), r.URL.Query().Get("customer"))
	if err != nil {
		s.fail(w, "search", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(orders); err != nil {
		s.log.Warn("search answer cut short", "error", err)
	}
}

func (s *Shop) receipt(w http.ResponseWriter, r *http.Request) {
	order, err := s.store.ByID(r.Context(), r.PathValue("id"))
	if errors.Is(err, ErrNoOrder) {
		http.NotFound(w, r)
		return
	}
	if err != nil {
		s.fail(w, "receipt", err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, line := range order.Lines {
		w.Write([]byte(fmt.Sprintf("%-40s %3d x %8.2f\n", line.Title, line.Count, float64(line.Price)/100)))
	}
	if strings.Index(order.Note, "gift") >= 0 {
		fmt.Fprintln(w, "Wrapped as a gift, prices are not shown to the receiver.")
	}
	fmt.Fprintf(w, "%-46s %8.2f %s\n", "Total", float64(order.Total)/100, order.Currency)
}

func (s *Shop) invoice(w http.ResponseWriter, r *http.Request) {
	f, err := os.Open(filepath.Join(s.invoices, r.PathValue("id")+".pdf"))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/pdf")
	if _, err := io.Copy(w, f); err != nil {
		s.log.Warn("invoice answer cut short", "error", err)
	}
}

func (s *Shop) fail(w http.ResponseWriter, doing string, err error) {
	s.log.Error("request failed", "doing", doing, "error", err)
	http.Error(w, "please try again later", http.StatusInternalServerError)
}
