package apt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Proxy returns the proxy that apt's configuration in dir sets for scheme
// ("http" or "https"), or "" for none. Only plain values are understood;
// anything else in the files is passed over.
func Proxy(dir, scheme string) string {
	paths := []string{}
	if names, err := os.ReadDir(filepath.Join(dir, "apt.conf.d")); err == nil {
		for _, n := range names {
			if ext := filepath.Ext(n.Name()); ext == "" || ext == ".conf" {
				paths = append(paths, filepath.Join(dir, "apt.conf.d", n.Name()))
			}
		}
	}
	paths = append(paths, filepath.Join(dir, "apt.conf"))
	found := map[string]string{}
	for _, path := range paths {
		data, err := readConfig(path)
		if err != nil {
			continue
		}
		values, err := parseConf(string(data))
		if err != nil {
			continue
		}
		for _, v := range values {
			found[v[0]] = v[1]
		}
	}
	proxy, ok := found["acquire::"+scheme+"::proxy"]
	if !ok { // https falls back on http's, as apt-transport-https(1) says
		proxy = found["acquire::http::proxy"]
	}
	if strings.EqualFold(proxy, "DIRECT") {
		return ""
	}
	return proxy
}

// parseConf flattens apt.conf(5) into (lower-case name, value) pairs in order.
func parseConf(text string) ([][2]string, error) {
	var out [][2]string
	var scope []string
	var words []string
	name := func() string {
		return strings.ToLower(strings.Join(append(scope[:len(scope):len(scope)], words[:1]...), "::"))
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '#' || strings.HasPrefix(text[i:], "//"):
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				end = len(text) - i
			}
			i += end
		case strings.HasPrefix(text[i:], "/*"):
			end := strings.Index(text[i:], "*/")
			if end < 0 {
				return out, fmt.Errorf("a comment without an end")
			}
			i += end + 2
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case c == '"':
			end := strings.IndexByte(text[i+1:], '"')
			if end < 0 {
				return out, fmt.Errorf("a string without an end")
			}
			words = append(words, text[i+1:i+1+end])
			i += end + 2
		case c == '{':
			if len(words) == 0 || len(scope) > 20 {
				return out, fmt.Errorf("a block without a name, or too deep")
			}
			scope = append(scope, words[0])
			words = nil
			i++
		case c == '}':
			if len(scope) == 0 {
				return out, fmt.Errorf("an unexpected }")
			}
			scope, words = scope[:len(scope)-1], nil
			i++
		case c == ';':
			if len(words) == 2 {
				out = append(out, [2]string{name(), words[1]})
			}
			words = nil
			i++
		default:
			end := strings.IndexAny(text[i:], " \t\r\n\";{}")
			if end < 0 {
				end = len(text) - i
			}
			words = append(words, text[i:i+end])
			i += end
		}
	}
	return out, nil
}
