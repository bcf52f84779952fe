package xds

import (
	"maps"
	"slices"
	"strconv"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func mapHas[V any](m map[string]V, key string) bool {
	_, ok := m[key]
	return ok
}

func itoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }
