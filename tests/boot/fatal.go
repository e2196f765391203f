package boot

import "regexp"

// fatalLine is a line that no boot recovers from.
type fatalLine struct {
	pattern *regexp.Regexp
	// loader: only before the kernel speaks; a program may print the same.
	loader bool
	// prompt: also an unfinished line; of the others half a line is not enough.
	prompt bool
}

var fatalLines = []fatalLine{
	{regexp.MustCompile(`Kernel panic - not syncing.*`), false, false},
	{regexp.MustCompile(`You are in (emergency|rescue) mode.*`), false, false},
	{regexp.MustCompile(`\bBUG: .*`), false, false},
	{regexp.MustCompile(`\bOops: .*`), false, false},
	{regexp.MustCompile(`general protection fault.*`), false, false},
	{regexp.MustCompile(`invoked oom-killer.*`), false, false},
	{regexp.MustCompile(`VFS: Unable to mount root fs.*`), false, false},
	{regexp.MustCompile(`grub rescue>`), true, true},
	{regexp.MustCompile(`^error: .*`), true, false},
	{regexp.MustCompile(`No bootable (device|option|media).*`), true, false},
	{regexp.MustCompile(`Boot failed: .*`), true, false},
	{regexp.MustCompile(`BdsDxe: failed to (load|start) .*`), true, false},
	{regexp.MustCompile(`^Press any key to continue\.\.\.`), true, false},
}

var kernelSpeaks = regexp.MustCompile(`\bLinux version \d`)

// fatalIn returns the part of the line that ends the boot, or "". finished is
// false for the line that is still being written.
func (v *VM) fatalIn(line string, finished bool) string {
	for _, re := range v.options.Allow {
		if re.MatchString(line) {
			return ""
		}
	}
	for _, re := range v.options.Fatal {
		if !finished {
			break
		}
		if m := re.FindString(line); m != "" {
			return m
		}
	}
	if v.options.Interactive {
		return ""
	}
	for _, f := range fatalLines {
		if f.loader && v.kernelSpoke || !finished && !f.prompt {
			continue
		}
		if m := f.pattern.FindString(line); m != "" {
			return m
		}
	}
	return ""
}
