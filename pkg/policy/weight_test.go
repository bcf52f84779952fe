package policy_test

import (
	"errors"
	"testing"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

func TestParseWeight(t *testing.T) {
	for s, want := range map[string]policy.BasisPoints{
		"0%": 0, "100%": 10000, "12.5%": 1250, "0.01%": 1, "99.99%": 9999, " 10 % ": 1000, "010%": 1000, "1.50%": 150, "100.00%": 10000, "0.10%": 10, "1.500000%": 150, "00%": 0,
	} {
		if got, err := policy.ParseWeight(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
}

func TestParseWeightRefuses(t *testing.T) {
	for s, want := range map[string]string{
		"10":                      `"10": has no unit: it could mean 10 % or 10 basis points (hundredths of a percent); write 10% or 0.1%`,
		"5000":                    `"5000": has no unit: it could mean 5000 % or 5000 basis points (hundredths of a percent); write 50%`,
		"12.5":                    `"12.5": has no unit: it could mean 12.5 % or 12.5 basis points (hundredths of a percent); write 12.5%`,
		"100":                     `"100": has no unit: it could mean 100 % or 100 basis points (hundredths of a percent); write 100% or 1%`,
		"-1%":                     `"-1%": a weight cannot be negative; write 0% to 100%`,
		"-1":                      `"-1": a weight cannot be negative; write 0% to 100%`,
		"101%":                    `"101%": a weight is at most 100%`,
		"100.01%":                 `"100.01%": a weight is at most 100%`,
		"9999999999999999999999%": `"9999999999999999999999%": a weight is at most 100%`,
		"0.001%":                  `"0.001%": the finest step is 0.01%; round it`,
		"":                        `a weight is needed; write for example 12.5%`,
		"%":                       `"%": a weight is needed; write for example 12.5%`,
		"ten%":                    `"ten%": is not a weight; write a number with a percent sign, for example 12.5%`,
		"1e1%":                    `"1e1%": is not a weight; write a number with a percent sign, for example 12.5%`,
		"+5%":                     `"+5%": is not a weight; write a number with a percent sign, for example 12.5%`,
		"5.%":                     `"5.%": is not a weight; write a number with a percent sign, for example 12.5%`,
		".5%":                     `".5%": is not a weight; write a number with a percent sign, for example 12.5%`,
		"5%%":                     `"5%%": is not a weight; write a number with a percent sign, for example 12.5%`,
		"1,5%":                    `"1,5%": is not a weight; write a number with a percent sign, for example 12.5%`,
		"--5%":                    `"--5%": is not a weight; write a number with a percent sign, for example 12.5%`,
	} {
		_, err := policy.ParseWeight(s)
		var coded *policy.Error
		if !errors.As(err, &coded) || coded.Kind != policy.Invalid || coded.Code == "" || err.Error() != want {
			t.Errorf("%q:\ngot  %v\nwant %s", s, err, want)
		}
	}
}

func TestFormatWeightReadsBack(t *testing.T) {
	for w := range policy.Whole + 1 {
		s := policy.FormatWeight(w)
		if got, err := policy.ParseWeight(s); err != nil || got != w {
			t.Fatalf("%d: %q: %d, %v", w, s, got, err)
		}
	}
	if got := policy.FormatWeight(1250); got != "12.5%" {
		t.Error(got)
	}
	if got := policy.FormatWeight(-1); got != "-0.01%" {
		t.Error(got)
	}
}

func FuzzParseWeight(f *testing.F) {
	for _, s := range []string{"10", "12.5%", "-0%", "0.001%", "99999999999999999999%", "% %", "1.%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		w, err := policy.ParseWeight(s)
		if err == nil && (w < 0 || w > policy.Whole) {
			t.Errorf("%q: %d", s, w)
		}
		if back, err2 := policy.ParseWeight(policy.FormatWeight(w)); err == nil && (err2 != nil || back != w) {
			t.Errorf("%q: %d reads back as %d, %v", s, w, back, err2)
		}
	})
}
