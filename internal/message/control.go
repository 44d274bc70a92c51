package message

import "time"

// Cancel is the control message that stops the jobs of a run wherever they run.
type Cancel struct {
	Run    string `json:"run"`
	Reason string `json:"reason"`
}

// Control is what the replicas of a worker are told over core NATS: to stop the
// jobs of a run (run and reason, which is a Cancel), to leave (drain), or to say
// that they are there (ping). Drain and ping are answered with a Replica.
// History: run, reason 2026-11; drain, ping 2026-11.
type Control struct {
	Run    string `json:"run,omitempty"`
	Reason string `json:"reason,omitempty"`
	Drain  string `json:"drain,omitempty"` // name of the replica that is meant
	Ping   bool   `json:"ping,omitempty"`
}

// Replica is a worker of one process, as it answers.
type Replica struct {
	Worker      string `json:"worker"`
	Name        string `json:"name"`        // of its process: worker/host/pid/random
	Jobs        int    `json:"jobs"`        // claimed and not yet ended
	Concurrency int    `json:"concurrency"` // jobs at a time
	Strict      bool   `json:"strict"`      // takes a priority only when no higher one waits
	Draining    bool   `json:"draining"`    // takes no more work
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
