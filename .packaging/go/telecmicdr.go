// Package telecmicdr runs telecmi-cdr, which must be on the PATH, from tests. Copy this file into a folder telecmicdr of your module.
package telecmicdr

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
)

// Record is an exchange of listen, a delivery of send, or a case of the suite, with the fields that its type has.
type Record struct {
	Type, Name, Scenario, Method, Expected, Got, Why, Advice, Repeat, Skipped, Uncounted string

	N             int
	OK            bool
	CDR           map[string]any
	Request, Sent Message
	Answer, Reply Message
	Attempts      []struct {
		Message
		Response Message
	}
	Verdict struct {
		Kind, Leg string
		Remarks   []struct{ Code, Field, Text string }
	}
	Related []struct{ Text string }
}

// Message is a request or an answer; Base64 has a body that is not UTF-8, and Failure.Text tells why no answer came.
type Message struct {
	Method, Target, Fault string
	Status                int
	Headers               [][2]string
	Body                  struct{ Text, Base64 string }
	Failure               struct{ Text string }
}

// Listener is a process of `telecmi-cdr listen`, which ends with the test.
type Listener struct {
	URL       string
	mutex     sync.Mutex
	exchanges []Record
	changed   chan struct{} // closed at the next record
	ended     chan struct{}
}

// Listen starts a receiver on a free port.
func Listen(t testing.TB, flags ...string) *Listener {
	t.Helper()
	// The limit ends listeners whose parent process was killed.
	command := exec.Command("telecmi-cdr", append([]string{"listen", "--port=0", "--timeout=1h", "--format=ndjson", "--quiet"}, flags...)...)
	var messages bytes.Buffer
	command.Stderr = &messages
	output, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(output)
	first, _ := lines.ReadBytes('\n')
	listener := &Listener{changed: make(chan struct{}), ended: make(chan struct{})}
	if json.Unmarshal(first, listener) != nil {
		t.Fatalf("telecmi-cdr listen: %v: %s", command.Wait(), strings.TrimSpace(messages.String()))
	}
	go listener.read(json.NewDecoder(lines))
	t.Cleanup(func() {
		if command.Process.Signal(os.Interrupt) != nil {
			command.Process.Kill() // Windows has no such signal.
		}
		<-listener.ended
		command.Wait()
	})
	return listener
}

func (l *Listener) read(records *json.Decoder) {
	defer close(l.ended)
	for {
		var record Record
		if records.Decode(&record) != nil {
			return
		}
		l.mutex.Lock()
		if record.Type == "exchange" {
			l.exchanges = append(l.exchanges, record)
		}
		close(l.changed)
		l.changed = make(chan struct{})
		l.mutex.Unlock()
	}
}

func (l *Listener) snapshot() ([]Record, chan struct{}) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return append([]Record(nil), l.exchanges...), l.changed
}

// Exchanges returns all requests so far.
func (l *Listener) Exchanges() []Record {
	exchanges, _ := l.snapshot()
	return exchanges
}

// Wait waits for count CDRs with these field values since the start.
func (l *Listener) Wait(t testing.TB, count int, timeout time.Duration, expected map[string]any) []Record {
	t.Helper()
	deadline := time.After(timeout)
	for until := ""; ; {
		exchanges, changed := l.snapshot()
		var found []Record
		var blocks [][]string
		for _, exchange := range exchanges {
			why := exchange.mismatch(expected)
			if why == "counted" {
				found = append(found, exchange)
			}
			blocks = append([][]string{exchange.lines(why)}, blocks...)
		}
		if len(found) >= count {
			return found
		}
		if until != "" {
			fields, _ := json.Marshal(expected)
			t.Fatal(failure(fmt.Sprintf("%d of %d CDRs with %s arrived %s; %d requests in all", len(found), count, fields, until, len(exchanges)), blocks))
		}
		select {
		case <-changed:
		case <-l.ended:
			until = "before the listener ended"
		case <-deadline:
			until = "within " + timeout.String()
		}
	}
}

// Send delivers CDRs to url; the test fails if one did not meet its expectation.
func Send(t testing.TB, url string, flags ...string) []Record {
	t.Helper()
	return run(t, "delivery", append([]string{"--url", url}, flags...))
}

// Suite tests a handler; flags have its --url, or after -- the command that starts the handler.
func Suite(t testing.TB, flags ...string) []Record {
	t.Helper()
	return run(t, "case", append([]string{"--suite"}, flags...))
}

func run(t testing.TB, kind string, words []string) (records []Record) {
	t.Helper()
	command := exec.Command("telecmi-cdr", append([]string{"send", "--format=ndjson", "--quiet"}, words...)...)
	var messages bytes.Buffer
	command.Stderr = &messages
	output, err := command.Output()
	var failed [][]string
	for decoder := json.NewDecoder(bytes.NewReader(output)); ; {
		var record Record
		if decoder.Decode(&record) != nil {
			break
		}
		if record.Type == kind {
			records = append(records, record)
		}
		if record.Type == kind && !record.OK && record.Skipped == "" {
			failed = append(failed, record.lines(""))
		}
	}
	if err != nil && len(failed) > 0 {
		t.Fatal(failure(fmt.Sprintf("%d of %d failed", len(failed), len(records)), failed))
	}
	if err != nil {
		t.Fatalf("telecmi-cdr send: %v: %s", err, strings.TrimSpace(messages.String()))
	}
	return records
}

func text(value any) string {
	if value, is := value.(string); is {
		return value
	}
	written, _ := json.Marshal(value)
	return string(written)
}

// mismatch tells why an exchange does not count.
func (r Record) mismatch(expected map[string]any) string {
	if r.CDR == nil {
		return "no CDR"
	}
	for name, value := range expected {
		if found, has := r.CDR[name]; !has {
			return fmt.Sprintf("%s is missing, not %s", name, text(value))
		} else if text(found) != text(value) {
			return fmt.Sprintf("%s is %s, not %s", name, text(found), text(value))
		}
	}
	if r.Uncounted != "" {
		return r.Uncounted
	}
	return "counted"
}

var wrapped = regexp.MustCompile(`.{1,94}(?:[,&]|$)|.{1,94}`)

// lines shows what was sent and what came back.
func (r Record) lines(why string) (lines []string) {
	sent, reply := r.Sent, r.Reply
	switch r.Type {
	case "exchange":
		sent, reply = r.Request, r.Answer
	case "delivery":
		lines = append(lines, fmt.Sprintf("#%d %s %s  %s", r.N, r.Method, r.Scenario, r.Why))
		sent.Body.Text = text(r.CDR)
		if last := len(r.Attempts) - 1; last >= 0 {
			reply = r.Attempts[last].Message
			reply.Body = r.Attempts[last].Response.Body
		}
	case "case":
		lines = append(lines, fmt.Sprintf("%s  wanted %s, got %s", r.Name, r.Expected, r.Got))
	}
	path, query, _ := strings.Cut(sent.Target, "?")
	answer := strings.TrimSpace(strings.TrimPrefix(fmt.Sprint(reply.Status), "0") + " " + reply.Fault + reply.Body.Text + reply.Failure.Text)
	if r.Type == "exchange" {
		lines = append(lines, fmt.Sprintf("#%d %s %s  %s  %s", r.N, sent.Method, path, answer, why), "  "+strings.ReplaceAll(r.Verdict.Kind, "_", " ")+" "+r.Verdict.Leg)
	}
	for _, line := range wrapped.FindAllString(sent.Body.Text+sent.Body.Base64+query, 7) {
		lines = append(lines, "  "+line)
	}
	for at := 0; at < len(r.Verdict.Remarks) && at < 3; at++ {
		lines = append(lines, "  ! "+r.Verdict.Remarks[at].Text)
	}
	for _, related := range r.Related {
		lines = append(lines, "  → "+related.Text)
	}
	if r.Type != "exchange" {
		lines = append(lines, "  answer: "+answer)
	}
	if r.Advice != "" {
		lines = append(lines, "  advice: "+r.Advice, "  repeat: "+r.Repeat)
	}
	return lines
}

// failure has the first block, and the first lines of some others.
func failure(title string, blocks [][]string) string {
	lines := []string{title}
	for at, block := range blocks {
		if at == 0 {
			lines = append(lines, block...)
		} else if at < 5 {
			lines = append(lines, block[0])
		}
	}
	if rest := len(blocks) - 5; rest > 0 {
		lines = append(lines, fmt.Sprintf("… and %d more", rest))
	}
	return strings.Map(func(c rune) rune {
		if c == '\n' || unicode.IsPrint(c) {
			return c
		}
		return unicode.ReplacementChar
	}, strings.Join(lines, "\n"))
}
