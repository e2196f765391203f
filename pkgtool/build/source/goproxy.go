package source

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"ashlar/pkgtool/fault"
)

// GoProxy returns the GOPROXY setting in force, looked for where the go
// command looks: the environment, the file that `go env -w` writes, and what an
// installed go has as its default. Without any of them it is empty.
func GoProxy() string {
	if v := os.Getenv("GOPROXY"); v != "" {
		return v
	}
	file := os.Getenv("GOENV")
	if file == "" {
		if dir, err := os.UserConfigDir(); err == nil {
			file = filepath.Join(dir, "go", "env")
		}
	}
	if v := readGoEnv(file, "GOPROXY"); v != "" {
		return v
	}
	// The places where pkgtool/bootstrap.sh finds or puts a go.
	programs := []string{"go", "/usr/local/go/bin/go"}
	if cache, err := DefaultCacheDir(); err == nil {
		programs = append(programs, filepath.Join(cache, "go", "bin", "go"))
	}
	for _, program := range programs {
		if v := askGo(program); v != "" {
			return v
		}
	}
	return ""
}

// goAnswerTime bounds how long a go may take to say what its setting is.
const goAnswerTime = 10 * time.Second

// askGo returns the default that is built into a go program, or stands beside
// it; "" if there is no such program.
func askGo(program string) string {
	ctx, cancel := context.WithTimeout(context.Background(), goAnswerTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "env", "GOPROXY")
	cmd.Dir = os.TempDir() // outside of any module, whose go.mod could ask for another go
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOTOOLCHAIN=local")
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func readGoEnv(path, key string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	scanner := bufio.NewScanner(bytes.NewReader(data))
	for scanner.Scan() {
		if v, ok := strings.CutPrefix(scanner.Text(), key+"="); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// goProxyURLs splits a GOPROXY list into the proxies' base URLs. Both
// separators mean the same here: the next proxy is tried after any failure,
// since whatever answers must match the pinned sum.
func goProxyURLs(setting string) ([]string, error) {
	var bases []string
	refused := ""
	for entry := range strings.FieldsFuncSeq(setting, func(r rune) bool { return r == ',' || r == '|' }) {
		switch entry = strings.TrimSpace(entry); entry {
		case "":
		case "direct", "off":
			refused = entry
		default:
			if !strings.Contains(entry, "://") {
				entry = "https://" + entry
			}
			bases = append(bases, strings.TrimRight(entry, "/"))
		}
	}
	if len(bases) > 0 {
		return bases, nil
	}
	err := fmt.Errorf("no Go module proxy is configured")
	if refused != "" {
		err = fmt.Errorf("GOPROXY is %q, which names no module proxy", refused)
	}
	return nil, fault.Mark(err, fault.Network, "set GOPROXY to a module proxy's URL (go env -w GOPROXY=URL)")
}

// goModule is the content of a gomod: URI: gomod://module@version, or with
// #go.mod for the module's go.mod file alone.
type goModule struct {
	path, version string
	modOnly       bool
}

func parseGoModule(uri string) (goModule, error) {
	rest, fragment, hasFragment := strings.Cut(strings.TrimPrefix(uri, "gomod://"), "#")
	path, version, ok := strings.Cut(rest, "@")
	m := goModule{path, version, fragment == "go.mod"}
	if !ok || (hasFragment && !m.modOnly) {
		return m, fault.Errorf(fault.Usage, "%s is not gomod://module@version", Redact(uri))
	}
	if err := module.Check(path, version); err != nil {
		return m, fault.Mark(err, fault.Usage, "")
	}
	return m, nil
}

// proxyPath is the file's path below a proxy's base, by the GOPROXY protocol.
func (m goModule) proxyPath(suffix string) (string, error) {
	path, err := module.EscapePath(m.path)
	if err != nil {
		return "", err
	}
	version, err := module.EscapeVersion(m.version)
	if err != nil {
		return "", err
	}
	return path + "/@v/" + version + suffix, nil
}

func (m goModule) suffix() string {
	if m.modOnly {
		return ".mod"
	}
	return ".zip"
}
