package work

import (
	"context"

	"integrationhub/internal/bus"
)

// Weights of the priorities, most urgent first: of 15 jobs that could all be
// taken, LOW still gets one.
func Weights() [4]int { return [4]int{8, 4, 2, 1} }

// picker takes the next message of four queues: the most urgent that has credit
// left; when none that waits has any, all credits are given anew. A strict one
// knows no credit: what is less urgent waits.
type picker struct {
	in     [4]chan bus.Delivery
	credit [4]int
	strict bool
}

func newPicker(in [4]chan bus.Delivery, strict bool) *picker {
	return &picker{in: in, credit: Weights(), strict: strict}
}

// try takes a message that is there.
func (p *picker) try() (bus.Delivery, bool) {
	for range 2 {
		for i, in := range p.in {
			if p.credit[i] == 0 && !p.strict {
				continue
			}
			select {
			case d := <-in:
				p.credit[i] = max(p.credit[i]-1, 0)
				return d, true
			default:
			}
		}
		p.credit = Weights()
	}
	return bus.Delivery{}, false
}

// wait takes a message, and waits for one if need be; false when ctx ends first.
func (p *picker) wait(ctx context.Context) (bus.Delivery, bool) {
	if d, ok := p.try(); ok {
		return d, true
	}
	select {
	case d := <-p.in[0]:
		return d, true
	case d := <-p.in[1]:
		return d, true
	case d := <-p.in[2]:
		return d, true
	case d := <-p.in[3]:
		return d, true
	case <-ctx.Done():
		return bus.Delivery{}, false
	}
}
