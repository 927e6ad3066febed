// A CDR webhook with Go's net/http.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	path    = "/webhook/cdr"
	maxBody = 1 << 20 // bytes; a CDR has about 500
)

type record = map[string]any

// One row for each cmiuuid, which names a leg; request_id and call_id are shared by a call's legs.
var (
	lock sync.Mutex
	rows = map[string]record{}
)

var errNoKey = errors.New("a CDR needs its cmiuuid")

func take(cdr record) error {
	if cdr["type"] == "event" { // leg a's event has the cmiuuid of leg a's CDR
		return nil
	}
	cmiuuid, _ := cdr["cmiuuid"].(string)
	if cmiuuid == "" {
		if cdr["type"] == "cdr" {
			return errNoKey
		}
		return nil
	}
	lock.Lock()
	defer lock.Unlock()
	if _, here := rows[cmiuuid]; !here { // deliveries repeat: the first one counts
		rows[cmiuuid] = cdr
	}
	return nil
}

func readRecord(body []byte) (record, error) {
	if !utf8.Valid(body) { // encoding/json replaces bad UTF-8 and says nothing
		return nil, errors.New("not UTF-8")
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // float64 loses digits of large numbers
	var cdr record
	if err := decoder.Decode(&cdr); err != nil {
		return nil, err
	}
	if cdr == nil {
		return nil, errors.New("null is no JSON object")
	}
	if _, err := decoder.Token(); err != io.EOF { // Decode stops behind the first value
		return nil, errors.New("more than one JSON value")
	}
	return cdr, nil
}

func webhook(w http.ResponseWriter, r *http.Request) {
	var cdr record
	switch r.Method {
	case http.MethodPost:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		if err == nil {
			cdr, err = readRecord(body)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	case http.MethodGet:
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		cdr = record{}
		for name, values := range query {
			cdr[name] = values[0]
		}
	case http.MethodHead:
	default:
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "GET or POST", http.StatusMethodNotAllowed)
		return
	}
	if err := take(cdr); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprint(w, "got it")
}

func readBack(w http.ResponseWriter, r *http.Request) {
	lock.Lock()
	defer lock.Unlock()
	row, here := rows[strings.TrimPrefix(r.URL.Path, "/calls/")]
	if !here {
		http.Error(w, "[]", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode([]record{row})
}

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "5000"
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc(path, webhook)
	mux.HandleFunc("/calls/", readBack)
	fmt.Printf("ready http://%s%s\n", listener.Addr(), path)
	server := http.Server{Handler: mux, ReadTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second} // none by default
	panic(server.Serve(listener))
}
