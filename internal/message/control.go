package message

import "time"

// Cancel is the control message that stops the jobs of a run wherever they run.
type Cancel struct {
	Run    string `json:"run"`
	Reason string `json:"reason"`
}

// Progress tells whoever watches a run how its job gets on.
type Progress struct {
	Run     string    `json:"run"`
	Job     string    `json:"job,omitempty"`
	Kind    Kind      `json:"kind,omitempty"`
	Status  string    `json:"status"` // of the job, or of the run when Job is empty
	Attempt int       `json:"attempt,omitempty"`
	Note    string    `json:"note,omitempty"`
	At      time.Time `json:"at"`
}

// DeadLetter is the copy on HUB_DEAD of a dead letter's row.
type DeadLetter struct {
	ID       string    `json:"id"`
	Run      string    `json:"run,omitempty"`
	Kind     Kind      `json:"kind"`
	Subject  string    `json:"subject"` // where the message came from
	Cause    string    `json:"cause"`
	Attempts int       `json:"attempts"`
	At       time.Time `json:"at"`
	Body     []byte    `json:"body"` // the message as it was received
}
