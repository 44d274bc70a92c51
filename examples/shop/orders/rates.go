package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Rates asks the bank for exchange rates.
type Rates struct {
	url    string
	client *http.Client
}

// NewRates returns the rates that the bank at base offers.
func NewRates(base string) *Rates {
	return &Rates{url: base, client: &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		},
	}}
}

// Of returns how much of a currency one euro buys.
func (r *Rates) Of(ctx context.Context, currency string) (float64, error) {
	if currency == "EUR" {
		return 1, nil
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/rates/"+url.PathEscape(currency), nil)
	if err != nil {
		return 0, err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("rate of %s: the bank answered %s", currency, resp.Status)
	}
	var body struct {
		Rate float64 `json:"rate"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return 0, fmt.Errorf("rate of %s: %w", currency, err)
	}
	return body.Rate, nil
}

// Warm asks for many rates at once, so that the first customers need not wait.
func (r *Rates) Warm(ctx context.Context, currencies []string) {
	var wg sync.WaitGroup
	for _, currency := range currencies {
		go func() {
			wg.Add(1)
			defer wg.Done()
			r.Of(ctx, currency)
		}()
	}
	wg.Wait()
}
