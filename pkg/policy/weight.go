package policy

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseWeight reads a share as a person writes it: a number with a percent sign, to 0.01 %. A bare number is refused, because
// "10" could mean 10 % or 10 basis points. The error is an *Error without a field.
func ParseWeight(s string) (BasisPoints, error) {
	wrong := func(code, message, next string) (BasisPoints, error) {
		return 0, &Error{Kind: Invalid, Code: code, Value: clip(s), Message: message, Next: next}
	}
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	number = strings.TrimSpace(number)
	negative := strings.HasPrefix(number, "-")
	whole, fraction, dot := strings.Cut(strings.TrimPrefix(number, "-"), ".")
	switch {
	case number == "":
		return wrong("weight_missing", "a weight is needed", "write for example 12.5%")
	case !allDigits(whole) || dot && !allDigits(fraction):
		return wrong("weight_invalid", "is not a weight", "write a number with a percent sign, for example 12.5%")
	case negative:
		return wrong("weight_range", "a weight cannot be negative", "write 0% to 100%")
	case !percent:
		return wrong("weight_unit", bareReadings(number), bareHint(number))
	}
	whole = strings.TrimLeft(whole, "0")
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > 2 {
		return wrong("weight_too_fine", "the finest step is 0.01%", "round it")
	}
	if len(whole) > 3 {
		return wrong("weight_range", "a weight is at most 100%", "")
	}
	var bp BasisPoints
	for _, digit := range (whole + fraction + "00")[:len(whole)+2] {
		bp = bp*10 + BasisPoints(digit-'0')
	}
	if bp > Whole {
		return wrong("weight_range", "a weight is at most 100%", "")
	}
	return bp, nil
}

func bareReadings(number string) string {
	return fmt.Sprintf("has no unit: it could mean %s %% or %s basis points (hundredths of a percent)", number, number)
}

// bareHint writes both readings of a number without a unit, as far as they are weights.
func bareHint(number string) string {
	next := fmt.Sprintf("write %s%%", number)
	if n, err := strconv.Atoi(number); err == nil && n <= int(Whole) {
		next = fmt.Sprintf("write %s%% or %s", number, FormatWeight(BasisPoints(n)))
		if n > 100 {
			next = "write " + FormatWeight(BasisPoints(n))
		}
	}
	return next
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// FormatWeight writes a share as [ParseWeight] reads it: "12.5%".
func FormatWeight(w BasisPoints) string {
	sign, n := "", int64(w)
	if n < 0 {
		sign, n = "-", -n
	}
	s := fmt.Sprintf("%s%d.%02d", sign, n/100, n%100)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + "%"
}

// FormatWeights writes a split as "ecs=90% eks=10%", known origins in their order, then others by name.
func FormatWeights(weights map[string]int32, origins []string) string {
	var parts []string
	for _, o := range weightOrder(weights, origins) {
		parts = append(parts, o+"="+FormatWeight(BasisPoints(weights[o])))
	}
	return strings.Join(parts, " ")
}
