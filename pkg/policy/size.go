package policy

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// sizeUnits are the units of sizes, in bytes.
func sizeUnits() map[string]int64 {
	return map[string]int64{"": 1, "B": 1, "kB": 1000, "KiB": 1 << 10, "MB": 1_000_000, "MiB": 1 << 20}
}

// ParseSize reads a number of bytes as a person writes it: "1MiB", "64KiB", "500kB", "1MB", or "65536". The error is an *Error without a field.
func ParseSize(s string) (int, error) {
	const hint = "write for example 64KiB, 500kB or 1MiB"
	wrong := func(code, message string) (int, error) {
		return 0, &Error{Kind: Invalid, Code: code, Value: clip(s), Message: message, Next: hint}
	}
	text := strings.TrimSpace(s)
	digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
	unit, known := sizeUnits()[strings.TrimSpace(text[len(digits):])]
	switch n, err := strconv.ParseInt(digits, 10, 64); {
	case text == "":
		return wrong("size_missing", "a number of bytes is needed")
	case digits == "" || !known:
		return wrong("size_invalid", "is not a number of bytes: a whole number, with B, kB, KiB, MB or MiB or without a unit")
	case err != nil || n > math.MaxInt32/unit:
		return wrong("size_range", "is more than 2 GB")
	default:
		return int(n * unit), nil
	}
}

// FormatSize writes a number of bytes as [ParseSize] reads it, in the largest unit that leaves a whole number.
func FormatSize(bytes int) string {
	switch {
	case bytes != 0 && bytes%(1<<20) == 0:
		return fmt.Sprintf("%dMiB", bytes>>20)
	case bytes != 0 && bytes%(1<<10) == 0:
		return fmt.Sprintf("%dKiB", bytes>>10)
	}
	return strconv.Itoa(bytes)
}
