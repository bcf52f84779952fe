package main

import (
	"encoding/json"
	"reflect"
)

// naive is how one compares JSON without much thought: decode both, walk both, note the paths that differ.
func naive(a, b []byte) []string {
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return []string{"invalid"}
	}
	var out []string
	walk("$", x, y, &out)
	return out
}

func walk(path string, x, y any, out *[]string) {
	if reflect.DeepEqual(x, y) {
		return
	}
	p, isMap := x.(map[string]any)
	q, isMap2 := y.(map[string]any)
	if isMap && isMap2 {
		for k := range p {
			walk(path+"."+k, p[k], q[k], out)
		}
		return
	}
	s, isList := x.([]any)
	t, isList2 := y.([]any)
	if isList && isList2 && len(s) == len(t) {
		for i := range s {
			walk(path+"[*]", s[i], t[i], out)
		}
		return
	}
	*out = append(*out, path)
}
