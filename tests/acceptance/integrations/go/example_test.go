package example

import (
	"testing"
	"time"

	"example/telecmicdr"
)

func TestMissedCallIsReported(t *testing.T) {
	listener := telecmicdr.Listen(t)
	placeACall(t, listener.URL+"/webhook/cdr")
	exchanges := listener.Wait(t, 1, 5*time.Second, map[string]any{"status": "missed"})
	if leg := exchanges[0].CDR["leg"]; leg != "a" {
		t.Fatalf("leg %v", leg)
	}
}

func TestHandlerTakesBothLegs(t *testing.T) {
	deliveries := telecmicdr.Send(t, handlerURL(t), "--scenario", "customer-rejected")
	if len(deliveries) != 2 || deliveries[0].CDR["leg"] != "b" {
		t.Fatalf("%+v", deliveries)
	}
}

func TestHandlerTakesWhatTeleCMISends(t *testing.T) {
	telecmicdr.Suite(t, "--only", "accepts", "--", "python3", "handler.py")
}
