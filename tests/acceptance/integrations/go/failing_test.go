package example

import (
	"testing"
	"time"

	"example/telecmicdr"
)

func TestFailingWait(t *testing.T) {
	listener := telecmicdr.Listen(t)
	telecmicdr.Send(t, listener.URL, "--scenario=customer-no-answer", "--seed=7", "--at=2026-11-22T09:00:00Z", "--set=custom=none")
	listener.Wait(t, 2, 200*time.Millisecond, map[string]any{"status": "missed"})
}

func TestFailingSend(t *testing.T) {
	listener := telecmicdr.Listen(t, "--status=500", "--body=no database")
	telecmicdr.Send(t, listener.URL, "--scenario=docs-leg-a")
}

func TestFailingSuite(t *testing.T) {
	listener := telecmicdr.Listen(t, "--status=500", "--body=no database")
	telecmicdr.Suite(t, "--url", listener.URL, "--only=post-is-accepted", "--seed=7", "--at=2026-11-22T09:00:00Z")
}

func TestFailingFlags(t *testing.T) {
	telecmicdr.Listen(t, "--fail-frist=2")
}
