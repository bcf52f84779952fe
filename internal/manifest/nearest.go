package manifest

import (
	"slices"
	"strings"
)

// Nearest returns the known names that look like name, most alike first, at most three.
func Nearest(name string, known []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	plain := simplify(name)
	for _, k := range known {
		d := distance(plain, simplify(k))
		if d <= max(1, len(plain)/3) || len(plain) > 2 && strings.HasPrefix(simplify(k), plain) {
			near = append(near, candidate{k, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return a.distance - b.distance })
	var out []string
	for _, c := range near[:min(3, len(near))] {
		out = append(out, c.name)
	}
	return out
}

// simplify makes path_prefixes, path-prefixes and pathPrefixes equal.
func simplify(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// distance is the number of single-letter edits between a and b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost = 1 + min(corner, row[j], row[j+1])
			}
			corner, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// didYouMean is the sentence with the nearest names, empty if none is near.
func didYouMean(name string, known []string) string {
	if near := Nearest(name, known); len(near) > 0 {
		return "did you mean " + orList(near) + "?"
	}
	return ""
}

// orList gives "a, b or c".
func orList(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
