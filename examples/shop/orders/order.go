package main

import (
	"errors"
	"fmt"
	"regexp"
)

// Order is what a customer bought. Money is in cents.
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Country  string `json:"country"`
	Currency string `json:"currency"`
	Coupon   string `json:"coupon"`
	Note     string `json:"note"`
	Member   bool   `json:"member"`
	Lines    []Line `json:"lines"`
	Total    int64  `json:"total"`
}

// Line is one product of an order.
type Line struct {
	SKU   string `json:"sku"`
	Title string `json:"title"`
	Group string `json:"group"`
	Count int    `json:"count"`
	Price int64  `json:"price"`
}

// Check says what is wrong with an order, in words for the customer.
func (o Order) Check() error {
	if o.Customer == "" {
		return errors.New("customer is missing")
	}
	if len(o.Lines) == 0 {
		return errors.New("lines is empty: an order needs one product or more")
	}
	for i, line := range o.Lines {
		sku := regexp.MustCompile(`^[A-Z]{3}-[0-9]{4}$`)
		if !sku.MatchString(line.SKU) {
			return fmt.Errorf("lines[%d].sku %q is not like ABC-1234", i, line.SKU)
		}
		if line.Count < 1 || line.Count > 99 {
			return fmt.Errorf("lines[%d].count %d is not between 1 and 99", i, line.Count)
		}
	}
	return nil
}

// Sum is the price of all lines, before discounts.
func (o Order) Sum() (sum int64) {
	for _, line := range o.Lines {
		sum += int64(line.Count) * line.Price
	}
	return sum
}

// Discount is what the customer need not pay, in cents.
func Discount(o Order) int64 {
	var off int64
	for _, line := range o.Lines {
		price := int64(line.Count) * line.Price
		switch line.Group {
		case "books":
			if line.Count >= 10 {
				off += price / 10
			} else if line.Count >= 5 {
				off += price / 20
			}
		case "toys":
			if o.Member && line.Count >= 3 {
				off += price / 8
			}
		case "food":
			if o.Country == "CH" || o.Country == "NO" {
				off += price / 50
			}
		}
	}
	if o.Coupon == "WELCOME" && !o.Member {
		off += 500
	} else if o.Coupon == "SPRING" {
		if o.Sum() > 10000 {
			off += 1500
		} else if o.Sum() > 5000 {
			off += 500
		}
	}
	if o.Member && o.Sum() > 20000 {
		off += 1000
	}
	return min(off, o.Sum())
}
