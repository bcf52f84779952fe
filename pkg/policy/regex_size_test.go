package policy_test

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
)

// testdata/re2_sizes.tsv holds sizes that RE2 itself reports (google-re2 1.1, the larger of its UTF-8 and Latin-1 modes): first
// expressions that people write, then random ones, most of them near the limit.
func TestRegexProgramSize(t *testing.T) {
	file, err := os.Open("testdata/re2_sizes.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines, refused := 0, 0
	for scan := bufio.NewScanner(file); scan.Scan(); lines++ {
		measured, expression, _ := strings.Cut(scan.Text(), "\t")
		size, err := strconv.Atoi(measured)
		if err != nil {
			t.Fatal(err)
		}
		estimate, err := policy.RegexProgramSize(expression)
		if err != nil {
			t.Fatalf("%s: %v", expression, err)
		}
		if estimate < size {
			t.Errorf("%s: estimated %d, RE2 says %d", expression, estimate, size)
		}
		if estimate > policy.MaxRegexProgram {
			refused++
		}
	}
	if lines < 250 || refused == 0 {
		t.Errorf("%d expressions, %d of them above the limit: the table is not what it was", lines, refused)
	}
}

func TestUsefulExpressionsAreTaken(t *testing.T) {
	for _, expression := range []string{
		`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, `.*(iPhone|iPad|Android).*`, `(?i)beta|canary`, `\w+@example\.com`,
		`Mozilla/5\.0 .*Firefox/1[2-9]\d\.0`, `user-(1|2|3|5|8|13|21)`, `[^,;]+`, `10\.0\.\d{1,3}\.\d{1,3}`, `\Q[a|b]\E.*`, `[]|a]`, `[^]|a]`, `[[:alpha:]|]+`, `\x41\x{42}\103[\x20-\x7e]`, `\Q\pL`,
	} {
		doc := orders()
		doc.Pins = []*crossfadev1.Pin{headerPin("p", regex("x-a", expression))}
		mustCompile(t, doc)
	}
}
