package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// screen is where the story is told. Its own lines fit a terminal of 80 columns.
type screen struct {
	out   io.Writer
	file  *os.File // what out writes to: commands write there themselves, so they print as they would for the reader
	color bool
	began time.Time // of the story
	step  int
}

// columns is the width of the story: it fits a terminal of 80.
const columns = 76

// Styles of text on a terminal.
const (
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
)

func newScreen(out io.Writer, file *os.File) *screen {
	terminal := term.IsTerminal(int(file.Fd()))
	return &screen{out: out, file: file, color: terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

// say writes a line.
func (s *screen) say(format string, args ...any) { fmt.Fprintf(s.out, format+"\n", args...) }

// tell writes a paragraph, broken into lines, with an empty line before it.
func (s *screen) tell(format string, args ...any) {
	s.say("")
	line, width := "", 0
	for word := range strings.FieldsSeq(fmt.Sprintf(format, args...)) {
		if n := utf8.RuneCountInString(word); width+1+n > columns {
			s.say("%s", line)
			line, width = word, n
		} else {
			line, width = strings.TrimPrefix(line+" "+word, " "), width+1+n
		}
	}
	s.say("%s", line)
}

// title begins a step.
func (s *screen) title(format string, args ...any) {
	s.step++
	at := time.Since(s.began).Round(time.Second)
	text := fmt.Sprintf("%d/%d  %s", s.step, steps, fmt.Sprintf(format, args...))
	clock := fmt.Sprintf("%d:%02d", int(at.Minutes()), int(at.Seconds())%60)
	gap := max(2, columns-utf8.RuneCountInString(text)-len(clock))
	s.say("\n%s%s%s", s.paint(text, bold), strings.Repeat(" ", gap), s.paint(clock, faint))
}

// typed shows a command as the user would type it.
func (s *screen) typed(command string) { s.say("%s", s.paint("$ "+command, bold)) }

// paint styles a text where the output takes that.
func (s *screen) paint(text, style string) string {
	if !s.color || text == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// table writes rows in columns, the first column left, the others right; the first row is the head.
func (s *screen) table(rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for n, row := range rows {
		var b strings.Builder
		for i, text := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text))
			if i == 0 {
				b.WriteString("  " + text + pad)
			} else {
				b.WriteString("   " + pad + text)
			}
		}
		line := strings.TrimRight(b.String(), " ")
		if n == 0 {
			line = s.paint(line, faint)
		}
		s.say("%s", line)
	}
}

// thousands writes 20412 as "20,412".
func thousands[N int | uint64](n N) string {
	digits := strconv.FormatUint(uint64(n), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// milliseconds writes a time as people read it: "0.7 ms", "31 ms", "1.24 s".
func milliseconds(ms float64) string {
	switch {
	case ms < 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	default:
		return strconv.FormatFloat(ms/1000, 'f', 2, 64) + " s"
	}
}

// inMs is a duration in milliseconds, for [milliseconds] and the last line.
func inMs(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// plural is "1 request", "1,204 requests".
func plural[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return thousands(n) + " " + noun + "s"
}
