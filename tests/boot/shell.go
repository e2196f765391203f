package boot

import (
	"context"
	"crypto/rand"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxCommand keeps a typed line below a terminal's limit of 4096 bytes.
const maxCommand = 3800

// Run types a command into the shell on the serial console and returns what
// it printed, lines joined by \n without a last one, and its exit code. The
// shell must be waiting for a command. Messages that the kernel prints
// meanwhile are part of the output.
func (v *VM) Run(ctx context.Context, command string) (output string, exitCode int, err error) {
	v.mu.Lock()
	v.runs++
	if v.nonce == "" {
		v.nonce = rand.Text()[:8] // no command prints it by chance
	}
	mark := fmt.Sprintf("%s-%d", v.nonce, v.runs)
	v.mu.Unlock()
	// The marks are typed in two halves, so that their echo does not match.
	line := "printf '\\n%s%s\\n' ashlar- begin-" + mark + "; eval " + shellQuote(command) +
		"; printf '\\n%s%s %d\\n' ashlar- end-" + mark + " $?\n"
	if len(line) > maxCommand {
		return "", 0, fmt.Errorf("the command has %d bytes; a terminal's line holds %d: put it into a file", len(line), maxCommand)
	}
	if err := v.Send(line); err != nil {
		return "", 0, err
	}
	if _, err := v.Expect(ctx, regexp.MustCompile(`^ashlar-begin-`+mark+`$`)); err != nil {
		return "", 0, err
	}
	v.mu.Lock()
	first := v.next
	v.mu.Unlock()
	m, err := v.Expect(ctx, regexp.MustCompile(`^ashlar-end-`+mark+` (\d+)$`))
	if err != nil {
		return "", 0, err
	}
	v.mu.Lock()
	lines := v.lines[first : v.next-1]
	v.mu.Unlock()
	// The end mark begins with a line break of its own.
	if n := len(lines); n > 0 && lines[n-1] == "" {
		lines = lines[:n-1]
	}
	exitCode, err = strconv.Atoi(m[1])
	return strings.Join(lines, "\n"), exitCode, err
}

// shellQuote makes text one word of a shell's line, on one line.
func shellQuote(text string) string {
	if !strings.ContainsAny(text, "\n\t") {
		return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
	}
	// $'...' is in bash, zsh, ksh and BusyBox.
	return "$'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`, "\t", `\t`).Replace(text) + "'"
}
