package streams_test

import (
	"slices"
	"strings"
	"testing"

	"integrationhub/internal/hub"
	"integrationhub/internal/message"
	"integrationhub/streams"
)

func match(pattern, subject string) bool {
	p, s := strings.Split(pattern, "."), strings.Split(subject, ".")
	for i, t := range p {
		if t == ">" {
			return len(s) > i
		}
		if i >= len(s) || (t != "*" && t != s[i]) {
			return false
		}
	}
	return len(p) == len(s)
}

func subjects(ns string, e message.Entry) []string {
	switch e.Stream {
	case message.Events:
		return []string{message.EventSubject(ns, "forge", e.Kind)}
	case message.Jobs:
		var all []string
		for _, p := range hub.Priorities {
			all = append(all, message.JobSubject(ns, e.Kind, p))
		}
		return all
	}
	return []string{message.FactSubject(ns, e.Kind)}
}

func TestEveryKindIsOnExactlyOneStreamAndHasExactlyOneReader(t *testing.T) {
	for _, ns := range []string{"hub", "shadow"} {
		all, consumers, err := streams.Load(ns)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range message.Catalog {
			for _, subject := range subjects(ns, e) {
				var on, readers []string
				for _, s := range all {
					if slices.ContainsFunc(s.Subjects, func(p string) bool { return match(p, subject) }) {
						on = append(on, s.Name)
					}
				}
				for _, c := range consumers {
					if match(c.Config.FilterSubject, subject) {
						readers = append(readers, c.Config.Durable)
					}
				}
				if want := streams.Name(ns, e.Stream); len(on) != 1 || on[0] != want {
					t.Errorf("%s is on %v, want %s alone", subject, on, want)
				}
				if len(readers) != 1 {
					t.Errorf("%s is read by %v, want one durable", subject, readers)
				}
			}
		}
	}
}

func TestEveryWorkerAndPriorityHasItsDurable(t *testing.T) {
	_, consumers, err := streams.Load(streams.Default)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range message.Workers {
		for _, p := range hub.Priorities {
			if !slices.ContainsFunc(consumers, func(c streams.Consumer) bool { return c.Config.Durable == message.Durable(w, p) }) {
				t.Errorf("no file for durable %s", message.Durable(w, p))
			}
		}
	}
}

func TestConsumersCountNoDeliveriesAndHaveNoBackOff(t *testing.T) {
	_, consumers, err := streams.Load(streams.Default)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range consumers {
		// Attempts are counted at the claim; a message past MaxDeliver would stay
		// in a work queue unseen, and BackOff would add to every delayed Nak.
		if c.Config.MaxDeliver != -1 || len(c.Config.BackOff) > 0 || c.Config.MaxAckPending != 4096 {
			t.Errorf("%s: max_deliver %d, backoff %v, max_ack_pending %d", c.Config.Durable, c.Config.MaxDeliver, c.Config.BackOff, c.Config.MaxAckPending)
		}
	}
}
