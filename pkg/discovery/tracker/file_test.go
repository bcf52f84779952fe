package tracker

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/discovery"
)

const oneOrigin = `{"version":1,"origins":[{"service":"orders","origin":"eks","source":"a","looked":"2026-11-24T22:00:00Z",
	"endpoints":[{"address":"10.0.0.1:80","zone":"a","state":"ready"},{"address":"[fd00::1]:80","state":"draining"}]}]}`

// TestDamaged: whatever is in the file, it is said once and replaced.
func TestDamaged(t *testing.T) {
	for name, tt := range map[string]struct{ content, words string }{
		"empty":              {"", "it is damaged"},
		"cut off":            {oneOrigin[:100], "it is damaged"},
		"text":               {"hello", "it is damaged"},
		"newer":              {`{"version":2,"origins":[]}`, "version 2"},
		"other JSON":         {`{}`, "version 0"},
		"a bad time":         {strings.Replace(oneOrigin, "2026", "x", 1), "it is damaged"},
		"a bad address":      {strings.Replace(oneOrigin, "10.0.0.1:80", "10.0.0.1", 1), "it is damaged"},
		"no address":         {strings.Replace(oneOrigin, "10.0.0.1:80", "", 1), "it is damaged"},
		"a state of another": {strings.Replace(oneOrigin, "draining", "asleep", 1), `that is \"asleep\"`},
		"too long":           {strings.Repeat(" ", maxSize+1), "more than 64 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "endpoints.json")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			var log logged
			tr := New(Config{File: path, Log: log.logger()})
			tr.Follow(orders, "a", newSource().watch, nil)
			expect(t, tr, orders, "", false)
			if said := log.takes(); !strings.Contains(said, tt.words) || strings.Count(said, "\n") != 1 || !strings.Contains(said, path) {
				t.Errorf("said %s", said)
			}
			closed(t, tr)
			if got := written(t, path); got != "" {
				t.Errorf("replaced by %q", got)
			}
		})
	}
}

// TestFormat is what the file looks like; it is read by later versions.
func TestFormat(t *testing.T) {
	records, err := parse([]byte(oneOrigin))
	if err != nil {
		t.Fatal(err)
	}
	r := records[0]
	s := state{head: r, endpoints: discovery.Seed(r.endpoints(), r.Looked).Endpoints()}
	s.head.Endpoints = nil
	data, left := (&encoder{room: maxSize}).encode([]state{s})
	want := `{"version":1,"origins":[
{"service":"orders","origin":"eks","source":"a","looked":"2026-11-24T22:00:00Z","endpoints":[{"address":"10.0.0.1:80","zone":"a","state":"ready"},{"address":"[fd00::1]:80","state":"draining"}]}
]}
`
	if string(data) != want || left != 0 {
		t.Errorf("%s", data)
	}
	if again, err := parse(data); err != nil || !reflect.DeepEqual(again, records) {
		t.Errorf("%v, %v", again, err)
	}
}

// TestInvalidAddress: an endpoint that no file can name is left out, and does not damage the file.
func TestInvalidAddress(t *testing.T) {
	all := append(endpoints("1"), discovery.Endpoint{State: discovery.Ready})
	data, _ := (&encoder{room: maxSize}).encode([]state{{endpoints: discovery.Seed(all, time.Now()).Endpoints()}})
	if got, err := parse(data); err != nil || len(got) != 1 || len(got[0].Endpoints) != 1 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestTooLarge: a giant is left out, which is said, and the others are kept.
func TestTooLarge(t *testing.T) {
	var log logged
	path := filepath.Join(t.TempDir(), "endpoints.json")
	n := newNote(path, log.logger())
	n.encoder.room = 5000
	giant := state{head: record{Service: "giant", Origin: "eks"}, endpoints: discovery.Seed(many(100), time.Now()).Endpoints()}
	small := state{head: record{Service: "small", Origin: "eks"}, endpoints: discovery.Seed(many(1), time.Now()).Endpoints()}
	for range 2 {
		if err := n.save([]state{giant, small}); err != nil {
			t.Fatal(err)
		}
	}
	if got := written(t, path); !strings.HasPrefix(got, "small/eks") || strings.Contains(got, "\n") {
		t.Errorf("written %q", got)
	}
	if at, err := os.Stat(path); err != nil || at.Size() > int64(n.encoder.room) {
		t.Errorf("the file: %v, %v", at, err)
	}
	if said := log.takes(); strings.Count(said, "is full") != 1 || strings.Count(said, "\n") != 1 {
		t.Errorf("said %s", said)
	}
	if err := n.save([]state{small}); err != nil || !strings.Contains(log.takes(), "room for all") {
		t.Errorf("%v", err)
	}
}

// FuzzParse: whatever is in the file, reading it does not panic, and what it says can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add([]byte(oneOrigin))
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(strings.Replace(oneOrigin, "2026-11-24T22:00:00Z", "9999-12-31T23:59:59-01:00", 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := parse(data)
		if err != nil {
			return
		}
		var states []state
		for _, r := range records {
			s := state{head: r, endpoints: discovery.Seed(r.endpoints(), r.Looked).Endpoints(), owner: new(origin)}
			s.head.Endpoints = nil
			states = append(states, s)
		}
		again, left := (&encoder{room: maxSize}).encode(states)
		if got, err := parse(again); err != nil || len(got) != len(records) || left > 0 {
			t.Errorf("%v, then %v, %v", records, got, err)
		}
	})
}

// many returns so many endpoints.
func many(n int) []discovery.Endpoint {
	out := make([]discovery.Endpoint, n)
	for i := range out {
		out[i] = endpoint(i)
	}
	return out
}

func (k Key) String() string { return fmt.Sprintf("%s/%s", k.Service, k.Origin) }
