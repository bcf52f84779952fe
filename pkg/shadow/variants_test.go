package shadow

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// TestOneStatusDoesNotHideAnother: 405 in place of 200 stood behind the example of 200 in place of 206, in one row.
func TestOneStatusDoesNotHideAnother(t *testing.T) {
	c, tally := newPair(t, Options{})
	add(c, tally, 30, "/a", Pair{Control: answer(206, "x"), Candidate: answer(200, "x"), Second: answer(206, "x")})
	add(c, tally, 70, "/a", Pair{Control: answer(200, "x"), Candidate: answer(405, "x"), Second: answer(200, "x")})
	add(c, tally, 5, "/a", Pair{Control: answer(200, "x"), Candidate: failed(Timeout), Second: answer(200, "x")})
	rows := map[Kind][]Variant{}
	for _, d := range tally.Report(Policy{}).Differences {
		rows[d.Kind] = d.Variants
	}
	want := map[Kind][]Variant{KindStatus: {{"200", "405", 70}, {"206", "200", 30}}, KindFailure: {{"200", "timeout", 5}}}
	if !reflect.DeepEqual(rows, want) {
		t.Errorf("%v, want %v", rows, want)
	}
}

// TestVariantsAreBoundedAndAddUp: however many there are and in whatever order they come, few are kept, and those of them are counted whole.
func TestVariantsAreBoundedAndAddUp(t *testing.T) {
	c, _ := NewComparer(Options{Key: key})
	r := rand.New(rand.NewPCG(3, 3))
	var want []byte
	for range 3 {
		parts := [2]*Tally{}
		for i := range parts {
			parts[i], _ = NewTally(Options{Key: key})
		}
		for _, i := range r.Perm(2000) {
			p := &Pair{Method: "GET", Path: "/a", Control: answer(200, ""), Candidate: answer(500+i%100, "")}
			parts[r.IntN(2)].Add(c.Judge(p, Live{}, nil), began)
		}
		if err := parts[0].Merge(parts[1]); err != nil {
			t.Fatal(err)
		}
		got, err := parts[0].Encode()
		if want == nil {
			want = got
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v: %s, want %s", err, got, want)
		}
		again, err := DecodeTally(Options{Key: key}, got)
		if err != nil {
			t.Fatal(err)
		}
		row := again.Report(Policy{}).Differences[0]
		if len(row.Variants) != MaxVariants || row.Variants[0].Count != 20 || len(again.endpoints["/a"].cells[place{KindStatus, "status"}].variants) != keptVariants {
			t.Errorf("%+v", row)
		}
	}
}

// TestNoContentIsAVariant: a grpc-status that is none, and kinds that have content, are not kept.
func TestNoContentIsAVariant(t *testing.T) {
	c, tally := newPair(t, Options{Values: []string{"trailer:grpc-status"}})
	grpc := func(code string) *Answer {
		return answer(200, "", "content-type: application/grpc", "grpc-status: "+code)
	}
	add(c, tally, 3, "/a", Pair{Control: grpc("0"), Candidate: grpc("alice")})
	add(c, tally, 3, "/a", Pair{Control: answer(200, "x", "x-name: alice"), Candidate: answer(200, "x", "x-name: bob")})
	for _, d := range tally.Report(Policy{}).Differences {
		if s := fmt.Sprint(d.Variants); strings.Contains(s, "alice") || (d.Kind == KindGRPCStatus) != (len(d.Variants) > 0) {
			t.Errorf("%s: %s", d.Kind, s)
		}
	}
	state, _ := tally.Encode()
	for name, bad := range map[string]string{
		"out of order": `"variants":[{"control":"2","candidate":"1","count":1},{"control":"1","candidate":"1","count":1}]`, "too many pairs": `"variants":[{"control":"1","candidate":"2","count":9}]`,
		"content": `"variants":[{"control":"` + strings.Repeat("x", 65) + `","candidate":"1","count":1}]`,
	} {
		text := strings.Replace(string(state), `"variants":[{"control":"0","candidate":"string","count":3}]`, bad, 1)
		if _, err := DecodeTally(Options{Key: key}, []byte(text)); err == nil || text == string(state) {
			t.Errorf("%s: %s is read", name, text)
		}
	}
}
