package main

import (
	"bytes"
	"encoding/json"
	"strings"
)

// naive is how one compares JSON without a tool for it: if the bytes differ, decode both, walk both once, note the paths that differ.
func naive(a, b []byte) (out []string) {
	if bytes.Equal(a, b) {
		return nil
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return []string{"invalid"}
	}
	walk(nil, x, y, func(path []string) { out = append(out, "$"+strings.Join(path, "")) })
	return out
}

// walk calls differ with the path of each place at which two values differ: a step, and what separates it from the one before, at a time. Nothing is
// looked at twice, and what is equal costs no path.
func walk(path []string, x, y any, differ func([]string)) {
	switch x := x.(type) {
	case map[string]any:
		if y, ok := y.(map[string]any); ok {
			walkObjects(path, x, y, differ)
			return
		}
	case []any:
		if y, ok := y.([]any); ok && len(x) == len(y) {
			path = append(path, "[*]")
			for i := range x {
				walk(path, x[i], y[i], differ)
			}
			return
		}
	default:
		if x == y {
			return
		}
	}
	differ(path)
}

func walkObjects(path []string, x, y map[string]any, differ func([]string)) {
	path = append(path, ".", "")
	for k, v := range x {
		path[len(path)-1] = k
		if w, there := y[k]; there {
			walk(path, v, w, differ)
		} else {
			differ(path)
		}
	}
	for k := range y {
		if _, there := x[k]; !there {
			path[len(path)-1] = k
			differ(path)
		}
	}
}
